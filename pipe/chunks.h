/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/chunks.h - the hand-over from framer to decode threads, and the release of ring space behind
 * them.
 *
 * Threads: the framer pushes; decode threads run ps_decoder_main.
 */
#ifndef PIPE_CHUNKS_H
#define PIPE_CHUNKS_H

#include "pipe/channel.h"

/* Queues a chunk, waiting for room; one without rows is done at once, and only releases its bytes.
 * False when the stream breaks off. */
bool ps_chunks_push(struct ps_channel *channel, const struct ps_chunk *chunk);

/* Moves released over chunks that are done, without a gap. Lock held. True when space was freed:
 * then I/O threads are to be woken. */
bool ps_chunks_release_done(struct ps_channel *channel);

/* Waits until every byte before `pos` is released. False when the stream breaks off. Framer only.
 */
bool ps_chunks_wait_released(struct ps_channel *channel, uint64_t pos);

/* So many more records were decoded. */
void ps_chunks_count_records(struct ps_channel *channel, uint32_t rows);

/* Thread main of a decode thread; `channel` is a struct ps_channel. */
void *ps_decoder_main(void *channel);

#endif
