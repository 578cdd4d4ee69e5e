/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framer.h - the framer thread of a channel: stream bytes -> chunks of whole records, with
 * places.
 *
 * Threads: one per channel. It alone writes shape, chunk_next, event_next and the FILLING slots'
 * framing fields.
 */
#ifndef PIPE_FRAMER_H
#define PIPE_FRAMER_H

#include "pipe/channel.h"

/* Thread main; `channel` is a struct ps_channel. Returns NULL after the last event was queued, or
 * when the stream stops. */
void *ps_framer_main(void *channel);

#endif
