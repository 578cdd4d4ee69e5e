/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/window.h - rows shuffled within a window: the batches of a block are filled all at once, row
 * i of the block at place ps_permute(i).
 *
 * Threads: as noted; what a block says is constant while rows go there, but for `copied`.
 */
#ifndef PIPE_WINDOW_H
#define PIPE_WINDOW_H

#include "pipe/channel.h"
#include "pipe/slot_rows.h"

/* Makes room for as many blocks as there can be at a time. Framer only, once there are slots. False
 * when memory is out. */
bool ps_window_open(struct ps_channel *channel);
void ps_window_close(struct ps_channel *channel);

/* A block to begin; there always is one. Lock held. */
struct ps_block *ps_window_find_unused(struct ps_channel *channel);

/* How many batches a block is. */
static inline uint64_t ps_window_slots(const struct ps_channel *channel)
{
    return channel->shaping.window_rows / channel->config.batch_rows;
}

/* Gives from[first] and the `count - 1` rows behind it room for what grows, at the places of the
 * block's rows from `row` on. By the thread that has the turn. False if it does not fit, and then
 * *place tells where and how large it would be. */
bool ps_window_reserve(const struct ps_block *block, uint64_t row, const struct fmt_rows *from,
                       uint32_t first, uint32_t count, struct ps_place *place);

/* Copies from[first] and the `count - 1` rows behind it to the places of the block's rows from
 * `row` on. */
void ps_window_put(const struct ps_block *block, uint64_t row, const struct fmt_rows *from,
                   uint32_t first, uint32_t count);

/* Of a block that has no more than `rows` rows, all of which are in place: moves them together, in
 * the order of their places. Returns PENSTOCK_OK; or PENSTOCK_E_MEMORY, and then place->slot is
 * NULL, or else *place tells what does not fit. */
int ps_window_close_gaps(const struct ps_block *block, uint64_t rows, struct ps_place *place);

#endif
