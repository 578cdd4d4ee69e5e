/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slots.h - batch memory: slots filled by decode threads, lent by penstock_next in stream
 * order.
 *
 * Life of a slot: FREE -> FILLING (framer took it) -> sealed, a BATCH event waits for its last row
 * -> LENT -> FREE by penstock_release.
 */
#ifndef PIPE_SLOTS_H
#define PIPE_SLOTS_H

#include "pipe/channel.h"

/* Allocates and pins the slots once the shape is known. Framer only. Returns PENSTOCK_OK or
 * PENSTOCK_E_MEMORY. */
int ps_slots_open(struct ps_channel *channel, struct penstock_error *error);
void ps_slots_close(struct ps_channel *channel);

/* The shape is known: settles what follows from it, and for it, and does that. Framer only. */
int ps_slots_take_shape(struct ps_channel *channel, struct fmt_shape *shape,
                        struct penstock_error *error);

/* Waits for a free slot and makes it FILLING for the given epoch and position; NULL when the stream
 * breaks off. Framer only. */
struct ps_slot *ps_slots_take(struct ps_channel *channel, uint32_t epoch, uint64_t position);

/* Queues an event, waiting for room. A BATCH's slot gets no more rows. False when the stream stops.
 */
bool ps_slots_queue(struct ps_channel *channel, enum ps_event_kind kind, struct ps_slot *slot);

/* For staged channels, all with the lock held. A free slot, or NULL; makes it FILLING; queues an
 * event for which there is room, as there always is for batches; waits for room for another, false
 * when the stream stops. */
struct ps_slot *ps_slots_find_free(struct ps_channel *channel);
void ps_slots_fill(struct ps_slot *slot, uint32_t epoch, uint64_t position);
void ps_slots_push(struct ps_channel *channel, struct ps_event event);
bool ps_slots_wait_room(struct ps_channel *channel, pthread_cond_t *wakes);

/* Bytes of a row's dense features. */
static inline size_t ps_row_bytes(const struct fmt_shape *shape)
{
    return shape->sparse ? 0 : shape->feature_dim * fmt_feature_bytes(shape->type);
}

/* Where decoded rows go, the slot's row `row` first. */
struct fmt_rows ps_slot_rows(const struct ps_slot *slot, uint32_t row);

#endif
