/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/place.h - gives rows of a staged channel their places in batches, in stream order.
 *
 * Which batch a row belongs to follows from how many good rows came before it, so chunks take
 * turns: who has the turn knows that, books what was bad, takes slots, and queues batches and
 * marks. Then the next one has it, and the rows are copied while others are given theirs. So batch
 * b of an epoch holds the good rows b * batch_rows and on, whatever the threads and chunks.
 *
 * Who waits for the turn, or having it for a slot, has copied every row that has a place: what is
 * waited for never waits in turn for that.
 *
 * Threads: decode threads.
 */
#ifndef PIPE_PLACE_H
#define PIPE_PLACE_H

#include "pipe/stage.h"

/* Waits for the turn of the chunk, which was decoded into the stage; places its rows, or does what
 * the mark asks for; copies. The chunk may be used again afterwards. `stage` is NULL when there was
 * no memory for one. */
void ps_place_chunk(struct ps_channel *channel, struct ps_stage *stage, struct ps_chunk *chunk);

#endif
