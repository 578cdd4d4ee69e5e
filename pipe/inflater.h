/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inflater.h - the inflater of a compressed channel: stream ring -> objects inflated, in a
 * ring of their own.
 *
 * It takes the stream's bytes in place and lets them go as it goes; what it makes is shown to the
 * consumer but for each object's last byte, which waits until the object's end, and its checksums,
 * have been found right. Memory is bounded by the second ring: without room there nothing is
 * consumed, so that nothing more is fetched.
 *
 * Threads: one per channel, "ps-inflate-CHANNEL", which others,
 *   "ps-team-CHANNEL", help with lz4 and Parquet.
 *   Struct ps_inflater is guarded by the channel's lock, which is not held while it inflates.
 */
#ifndef PIPE_INFLATER_H
#define PIPE_INFLATER_H

#include "pipe/stream.h"

/* Makes channel->inflater, with a ring of that size. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_inflater_open(struct ps_channel *channel, enum fmt_codec codec, size_t memory_bytes,
                     size_t ring_bytes, size_t headroom_bytes, struct penstock_error *error);

/* Frees it; its thread is gone. The channel may have none. */
void ps_inflater_close(struct ps_channel *channel);

/* Thread main; `channel` is a struct ps_channel. */
void *ps_inflater_main(void *channel);

/* Tells the consumer in *view what there is; returns what it means if that is nothing new. Lock
 * held. */
enum ps_head_answer ps_inflater_look(const struct ps_channel *channel, struct ps_view *view);

/* Drops what is made and to be made of `epoch`, which the consumer is in, at `pos`. Returns where
 * the next epoch begins. Lock held. */
uint64_t ps_inflater_skip_epoch(struct ps_channel *channel, uint32_t epoch, uint64_t pos);

#endif
