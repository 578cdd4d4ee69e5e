/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framed.h - batches that lend records where they lie in the stream ring (framed=true, and
 * lend_records): decode threads only check them, and nothing is copied.
 *
 * A batch's records are one piece of the stream, so they are in one run of memory, or in two where
 * the ring ends among them. Ring space is released when batches come back, up to the first record
 * of the oldest that is out or being filled.
 *
 * With lend_records a record whose values lie elsewhere than the first one's ("odd") is no error.
 * It is decoded to its row's place in the slot, batches that begin later are all decoded, and of
 * its own batch what was lent is, too: by the consumer, before it is delivered, or by the framer
 * where it sees the odd record by its length. Batches that lend are so never longer than they were
 * found to be when the channel was opened, and the ring holds enough of them.
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

/* The shape is known: forgets its framing where decoding is allowed, and needed since the channel's
 * other options or the ring's size do not go with it. Framer only. */
void ps_framed_choose(struct ps_channel *channel, struct fmt_shape *shape);

/* The shape is known: checks that the channel's other options and the ring's size go with it, and
 * pins the ring. Framer only. Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT or _MEMORY. */
int ps_framed_open(struct ps_channel *channel, struct penstock_error *error);
void ps_framed_close(struct ps_channel *channel);

/* Says in the slot's batch what is the same for all batches. */
void ps_framed_init_slot(struct ps_slot *slot);

/* The slot begins another batch. Lock held. */
void ps_framed_fill(struct ps_slot *slot);

/* Before the slot's first row is decoded to it: pins it, once. Framer only. */
void ps_framed_pin(struct ps_slot *slot);

/* Whether so many records, of so many bytes, can be the slot's next; else what it lends is to be
 * decoded first. Framer only. */
static inline bool ps_framed_takes(const struct ps_slot *slot, uint32_t rows, size_t len_bytes)
{
    const struct fmt_framing *framing = &slot->channel->shape.framing;

    return !slot->lends || !framing->lenient || len_bytes == rows * framing->stride_bytes;
}

/* Waits for decoders, and decodes what the slot lends: from now on its rows are decoded. Framer
 * only. Returns PENSTOCK_OK; PENSTOCK_E_STOPPED when the stream breaks off; or with ch->frame_error
 * another. */
int ps_framed_recall(struct ps_channel *channel, struct ps_slot *slot);

/* The same for a batch that is delivered and has odd records; its error goes to *error. Consumer
 * only. */
int ps_framed_decode(struct ps_slot *slot, struct penstock_error *error);

/* The records of `chunk`, of a slot that lends, were found not to be like the first. Decoders. */
void ps_framed_is_odd(struct ps_channel *channel, struct ps_slot *slot);

/* The batch is complete: a share without rows has no records to lend. Lock held. */
void ps_framed_settle(struct ps_slot *slot);

/* The shape of rows that are decoded after all. */
static inline struct fmt_shape ps_framed_decoded_shape(const struct ps_channel *channel)
{
    struct fmt_shape shape = channel->shape;

    shape.framing = (struct fmt_framing){.stride_bytes = 0};
    return shape;
}

/* Gives the chunk's records their place behind those that the slot has. */
void ps_framed_add(const struct ps_chunk *chunk);

/* Releases the ring space that no batch needs. True when there was any: then I/O threads are to be
 * woken. */
bool ps_framed_release(struct ps_channel *channel);

#endif
