/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framer_cut.h - records cut out of the bytes of one object. For framer.c.
 *
 * It looks at the bytes from the current record's start to head, as far as they are contiguous, and
 * lets the format cut whole records off. When a record runs over the ring's end, its front part is
 * carried before the start, and the view goes on from there.
 *
 * Owner, threads: the channel's framer.
 */
#ifndef PIPE_FRAMER_CUT_H
#define PIPE_FRAMER_CUT_H

#include "pipe/state.h"
#include "pipe/tap.h"

struct ps_framer {
    struct ps_channel *ch;
    struct ps_cursor cursor;
    struct ps_view view; /* of the object it is in, as last seen */
    uint64_t pos;        /* start of the next record */
    uint64_t
        carried_lap_pos; /* lap end whose last bytes are carried: [lap - n, lap) lie before base */
    uint64_t carried_end_pos; /* end of the last record that used the headroom */
    struct fmt_cut cut;
    size_t limit_bytes;   /* longest chunk to cut next */
    struct ps_slot *slot; /* being filled, or NULL */
    uint32_t rows;        /* of the batch that is being filled, those of other shares, too */
    bool past_first;      /* it is not the epoch's first one */
    uint64_t position;    /* rows placed in this epoch; of a staged channel all records */
    uint64_t object_row;  /* the same, in this object, */
    uint64_t index;       /* which is at this place of the epoch */
    uint64_t pass_rows;   /* so many records to come were delivered before the stream was opened */
    uint64_t epoch_objects;
    const struct ps_object *value; /* that a manifest gives with the object it is in, or NULL */
    bool lost;    /* after bytes that are no record: the next one has to be found */
    bool seeking; /* the same, and the bytes are not bad: a slice begins anywhere */
};

enum ps_step { PS_STEP_GO_ON, PS_STEP_BROKEN_OFF, PS_STEP_ERROR };

/* Hands a chunk on that holds the stream's next `len_bytes`. */
enum ps_step ps_framer_push(struct ps_framer *f, struct ps_chunk *chunk, size_t len_bytes);

/* Where the stream goes on behind the records that have been handed on. */
struct ps_anchor ps_framer_anchor(const struct ps_framer *f);

/* Cuts and places what is at hand of the current object, or waits for more of it. */
enum ps_step ps_framer_cut(struct ps_framer *f);

#endif
