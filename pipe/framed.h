/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framed.h - batches that lend records where they lie in the stream ring (framed=true): decode
 * threads only check them, and nothing is copied.
 *
 * A batch's records are one piece of the stream, so they are in one run of memory, or in two where
 * the ring ends among them. Ring space is released when batches come back, up to the first record
 * of the oldest that is out or being filled.
 *
 * Owner: the channel; runs belong to the batch's slot. Threads: the framer adds; whoever releases
 * batches releases ring space. All with the lock held, but for opening and closing.
 */
#ifndef PIPE_FRAMED_H
#define PIPE_FRAMED_H

#include "pipe/channel.h"

static inline bool ps_is_framed(const struct ps_channel *channel)
{
    return channel->shape.framing.stride_bytes > 0;
}

/* The shape is known: checks that the channel's other options and the ring's size go with it, and
 * pins the ring. Framer only. Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT or _MEMORY. */
int ps_framed_open(struct ps_channel *channel, struct penstock_error *error);
void ps_framed_close(struct ps_channel *channel);

/* Says in the slot's batch what is the same for all batches. */
void ps_framed_init_slot(struct ps_slot *slot);

/* The slot begins another batch. */
void ps_framed_fill(struct ps_slot *slot);

/* Gives the chunk's records their place behind those that the slot has. */
void ps_framed_add(const struct ps_chunk *chunk);

/* Releases the ring space that no batch needs. True when there was any: then I/O threads are to be
 * woken. */
bool ps_framed_release(struct ps_channel *channel);

#endif
