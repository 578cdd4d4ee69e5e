/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pipe_reader.h - the thread that fills a channel's ring from the FIFOs PATH_0, PATH_1, ...,
 * each of which is one epoch: SageMaker's Pipe mode, seen from the reader.
 *
 * A FIFO has no size, no offsets and one reader: instead of parts there is one thread that reads
 * into the ring in order and moves head itself. The end of a FIFO is the end of its object and of
 * its epoch; the next FIFO is waited for at once, so that its bytes are there when its epoch
 * begins.
 *
 * Owner: the channel. Threads: ps_pipe_reader_main is one; the others may call what says so.
 */
#ifndef PIPE_PIPE_READER_H
#define PIPE_PIPE_READER_H

#include "pipe/channel.h"

struct ps_pipe_reader;

/* Returns PENSTOCK_OK, PENSTOCK_E_MEMORY or PENSTOCK_E_SYSTEM. */
int ps_pipe_reader_open(struct ps_channel *channel, struct ps_pipe_reader **out,
                        struct penstock_error *error);
void ps_pipe_reader_close(struct ps_pipe_reader *reader); /* accepts NULL */

/* Thread main; `channel` is a struct ps_channel. Ends after the last epoch, an error, or when the
 * stream stops. */
void *ps_pipe_reader_main(void *channel);

/* Makes the thread look at its world again. Any thread. */
void ps_pipe_reader_wake(struct ps_pipe_reader *reader);

/* There may be room in the ring: wakes the thread if it waits for that. Any thread. */
void ps_pipe_reader_room(struct ps_pipe_reader *reader);

/* Ends `epoch` with what has come of it. Its FIFO is opened nevertheless, for its writer would wait
 * for a reader for ever, and closed once there is a writer. Lock held. */
void ps_pipe_reader_skip(struct ps_channel *channel, uint32_t epoch);

#endif
