/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stream.h - the fetching side of a channel: parts are claimed, filled in place, and passed by
 * head.
 *
 * Threads: I/O threads, each for the parts it claimed; head is looked at by the inflater, or
 * through tap.h by the framer or the consumer of a channel of plain bytes, which has no framer.
 */
#ifndef PIPE_STREAM_H
#define PIPE_STREAM_H

#include "pipe/channel.h"

/* Claims the next part in plan order: at most the bytes that the configuration says, or else
 * `part_bytes`, within one object and one lap of the ring. NULL when there is none for now: no free
 * space, listing not far enough, everything fetched.
 */
struct ps_part *ps_stream_claim(struct ps_channel *channel, uint64_t part_bytes);

/* No further part of the cursor's epoch is claimed. Returns the stream position that the epoch ends
 * at, of which every byte comes or has come; `pos` is where the object at the cursor begins. Lock
 * held. */
uint64_t ps_stream_skip_epoch(struct ps_channel *channel, struct ps_cursor cursor, uint64_t pos);

/* Where the part's next byte goes, and how many bytes may still come. */
uint8_t *ps_part_into(const struct ps_part *part);
uint64_t ps_part_left_bytes(const struct ps_part *part);

/* `len_bytes` more bytes of the part are in the ring. */
void ps_part_advance(struct ps_part *part, uint64_t len_bytes);

/* Wakes who waits for bytes received since the last call. By I/O threads, before they wait. */
void ps_stream_tell(struct ps_channel *channel);

/* The part is whole (every byte advanced). The part may be claimed anew afterwards: forget it. */
void ps_part_complete(struct ps_part *part);

/* The part will never be whole. The earliest failure of a channel, in stream order, wins. */
void ps_part_fail(struct ps_part *part, const struct penstock_error *error);

/* An I/O thread broke down: whatever it had under way will never come, so the stream ends with what
 * head has passed. */
void ps_stream_fail(struct ps_channel *channel, const struct penstock_error *error);

enum ps_head_answer { PS_HEAD_MOVED, PS_HEAD_FAILED, PS_HEAD_BROKEN_OFF, PS_HEAD_WAIT };

/* Whether head is past `pos`: MOVED when it is; FAILED when it never will be
 * (channel->fetch_error); BROKEN_OFF when the stream stops or a decoder met a bad record; else
 * WAIT. Lock held. */
enum ps_head_answer ps_stream_look_head(struct ps_channel *channel, uint64_t pos);

/* Before waiting for head on *head_wakes, with the lock held: I/O threads tell of bytes from now
 * on. Look again before the first wait. */
void ps_stream_hunger(struct ps_channel *channel, bool hungry);

#endif
