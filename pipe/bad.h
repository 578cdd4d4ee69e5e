/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/bad.h - the account of records that are bad: counts, limits, report.
 *
 * Threads: whoever has the turn in placing (place.h), so that everything comes in stream order.
 */
#ifndef PIPE_BAD_H
#define PIPE_BAD_H

#include "pipe/channel.h"

/* A record that is left out. */
struct ps_bad_one {
    const struct ps_object *object;
    uint32_t epoch;
    uint64_t position;
    uint64_t offset_bytes; /* in the object */
    uint64_t len_bytes;    /* 0: not known */
    const char *cause;
};

/* Books a record. Returns PENSTOCK_OK; or PENSTOCK_E_FORMAT with *error, which then ends the
 * stream, if it may not be left out, or is one too many. */
int ps_bad_add(struct ps_channel *channel, const struct ps_bad_one *one,
               struct penstock_error *error);

/* Books bytes of a record whose length was not known. */
void ps_bad_add_bytes(struct ps_channel *channel, uint64_t len_bytes);

/* The epoch ends, of `seen` records, good and bad. Returns as above. */
int ps_bad_end_epoch(struct ps_channel *channel, uint32_t epoch, uint64_t seen,
                     struct penstock_error *error);

#endif
