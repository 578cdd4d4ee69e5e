/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tap.h - where a channel's consumer, framer or penstock_next_span, draws from: the stream
 * ring, or what an inflater makes of it.
 *
 * Consumers walk the plan, object by object, and are told here how far the bytes of the object they
 * are at go. An object of the stream ring has the size that was listed, a FIFO the one it has once
 * it has ended; an object that is inflated ends where the inflater says when it has come there. The
 * latter two may be of no bytes at all.
 *
 * Threads: the consumer's. Units: positions of the stream that is drawn from.
 */
#ifndef PIPE_TAP_H
#define PIPE_TAP_H

#include "pipe/stream.h"

static inline struct ps_ring *ps_tap_ring(struct ps_channel *channel)
{
    return channel->inflater ? &channel->inflater->ring : &channel->ring;
}

/* Where `pos` is in the object. */
static inline uint64_t ps_view_offset(const struct ps_view *view, uint64_t pos)
{
    const struct ps_slice *slice = view->object->slice;

    return pos - view->object_pos + (slice ? slice->from : 0);
}

/* Whether the object goes on behind what is read of it. */
static inline bool ps_view_is_cut_off(const struct ps_view *view)
{
    const struct ps_object *object = view->object;

    return object->slice && object->slice->to < object->size_bytes;
}

/* Records that begin here or later are other streams'. */
static inline uint64_t ps_view_own_end(const struct ps_view *view)
{
    const struct ps_slice *slice = view->object->slice;

    return slice ? view->object_pos + (slice->own_to - slice->from) : UINT64_MAX;
}

/* The consumer begins `object` at `pos`. */
void ps_tap_begin(struct ps_channel *channel, const struct ps_object *object, uint64_t pos,
                  struct ps_view *view);

/* The consumer has passed the end of the object it was at. Lock held. */
void ps_tap_pass(struct ps_channel *channel);

/* Whether there is something to see at `pos`: MOVED when head is past it or the object ends there;
 * FAILED when nothing ever will be (ps_tap_error); else as ps_stream_look_head. Updates *view. Lock
 * held. */
enum ps_head_answer ps_tap_look(struct ps_channel *channel, uint64_t pos, struct ps_view *view);

/* Waits until the answer is not WAIT. */
enum ps_head_answer ps_tap_wait(struct ps_channel *channel, uint64_t pos, struct ps_view *view);

/* Before and after waiting on framer_wakes for more to see. Lock held. */
void ps_tap_hunger(struct ps_channel *channel, bool hungry);

/* Why there is nothing more, after FAILED. */
const struct penstock_error *ps_tap_error(const struct ps_channel *channel);

/* Bytes before `pos` are done with. Lock held. */
void ps_tap_release(struct ps_channel *channel, uint64_t pos);

static inline uint64_t ps_tap_released(const struct ps_channel *channel)
{
    return channel->inflater ? channel->inflater->released_pos : channel->released_pos;
}

/* The rest of the epoch of `cursor` is not wanted; `pos` is where the object at the cursor begins,
 * or would. Returns where the epoch ends: bytes before that are to be let go. Lock held. */
uint64_t ps_tap_skip_epoch(struct ps_channel *channel, struct ps_cursor cursor, uint64_t pos);

#endif
