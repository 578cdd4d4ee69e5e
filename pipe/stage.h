/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stage.h - where a decode thread's rows are until they have their places.
 *
 * A chunk is decoded into it whole, but for rows that are bad or not in the sample. It is small
 * enough to stay in the core's own cache, and used again for every chunk: in the long run nothing
 * is allocated.
 *
 * Owner: one decode thread. Units: rows of a chunk, from 0; bytes.
 */
#ifndef PIPE_STAGE_H
#define PIPE_STAGE_H

#include "pipe/channel.h"
#include "pipe/slot_rows.h"

enum { PS_PIECES_MAX = 64 };

/* A bad row of the chunk. */
struct ps_bad_row {
    uint32_t row;
    size_t offset_bytes; /* in the chunk */
    size_t len_bytes;
};

/* Rows of the stage that have their places: one behind the other, or, in a block, all over it. */
struct ps_piece {
    struct ps_place place;
    struct ps_block *block; /* or NULL */
    uint64_t block_row;
    uint32_t first;
    uint32_t count;
};

struct ps_stage {
    struct ps_channel *channel;
    struct fmt_decoder *decoder;
    struct fmt_rows rows;
    uint32_t room;          /* rows there is memory for */
    uint32_t count;         /* rows there are */
    uint32_t *row_nos;      /* of each, in its chunk */
    struct ps_bad_row *bad; /* in the order of the chunk */
    size_t bad_count;
    size_t bad_room;
    uint32_t unsampled;
    enum fmt_rc rc; /* what ended the decoding: FMT_OK, FMT_E_MEMORY, or FMT_E_FORMAT for the last
                       of `bad`, which may not be left out */
    struct fmt_error cause; /* of the last bad row */
    struct ps_piece pieces[PS_PIECES_MAX];
    size_t piece_count;
};

/* Sizes chunks of a staged channel, once its shape is known, so that stages stay small. */
void ps_stage_plan(struct ps_channel *channel);

/* Memory of all stages, which is taken from the slots'. */
size_t ps_stage_bytes(const struct ps_channel *channel);

/* NULL when memory is out. */
struct ps_stage *ps_stage_new(struct ps_channel *channel);
void ps_stage_free(struct ps_stage *stage);

/* Decodes a chunk of records. */
void ps_stage_decode(struct ps_stage *stage, const struct ps_chunk *chunk);

/* Why a row of the chunk is bad. */
void ps_stage_explain(struct ps_stage *stage, const struct ps_chunk *chunk,
                      const struct ps_bad_row *bad, struct fmt_error *cause);

#endif
