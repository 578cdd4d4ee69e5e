/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_output.h - write arrays as shards of records: DIR/PREFIX_0007.pbr, .csv.
 *
 * Threads: the caller's.
 */
#ifndef PIPE_PACK_OUTPUT_H
#define PIPE_PACK_OUTPUT_H

#include "formats/array.h"
#include "pipe/penstock.h"

#include <signal.h>

struct ps_pack_job {
    const struct fmt_array *features;
    const struct fmt_array *labels; /* as many rows; NULL for none */
    enum fmt_type feature_type;
    enum fmt_type label_type;
    double scale; /* features are divided by it; 1 leaves integers alone */
    bool csv;     /* else recordio-protobuf */
    const char *directory;
    const char *prefix;
    uint64_t shards;                   /* 1 .. rows */
    bool force;                        /* replace existing shards of the prefix */
    const volatile sig_atomic_t *stop; /* set by a signal handler: give up */
};

struct ps_pack_report {
    uint64_t bytes;
    uint64_t shards;
};

/* Writes every shard; all get their names together when the last one is whole, and then old shards
 * of the prefix that are not of this set are removed (pack_shards.h). On an error none is left.
 * Rows are dealt as the SageMaker SDK's upload_numpy_to_s3_shards does: rows / shards to each
 * (rounded down), the rest to the last. Returns PENSTOCK_OK, PENSTOCK_E_SYSTEM, _DENIED,
 * _NOT_FOUND, _MEMORY, _FORMAT, _ARGUMENT or _STOPPED. */
int ps_pack_write(const struct ps_pack_job *job, struct ps_pack_report *report,
                  struct penstock_error *error);

#endif
