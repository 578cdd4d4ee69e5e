/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_output.h - write arrays as shards of records: DIR/PREFIX_0007.pbr, .csv.
 *
 * Threads: the caller's.
 */
#ifndef PIPE_PACK_OUTPUT_H
#define PIPE_PACK_OUTPUT_H

#include "formats/array.h"
#include "pipe/pack_sparse.h"
#include "pipe/penstock.h"

#include <signal.h>

enum { PS_PACK_ENTRIES_MAX = 32 };

/* What becomes one entry of each record. */
struct ps_pack_entry {
    const char *name; /* NULL: "values" */
    bool is_label;
    enum fmt_type type;
    const struct fmt_array *dense;       /* NULL if it is sparse: */
    const struct ps_pack_sparse *sparse; /* features alone */
};

struct ps_pack_job {
    const struct ps_pack_entry *entries; /* features first; all of as many rows */
    size_t entry_count;
    uint64_t rows;
    double scale; /* features are divided by it; 1 leaves integers alone */
    bool csv;     /* else recordio-protobuf: dense features, one entry, and one of labels at most */
    const char *directory;
    const char *prefix;
    uint64_t shards;                   /* 1 .. rows */
    bool index;                        /* a file .idx beside each shard: formats/recordio_index.h */
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
