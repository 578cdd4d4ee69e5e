/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/sizer.h - sizes and entity tags of what manifests name, found out just ahead of the
 * fetching.
 *
 * A listing tells them, a manifest does not: so each object is asked for by HEAD, many at once, in
 * the order of the plan, a few thousand ahead of the I/O threads. Files are looked at. Every object
 * is asked for once, in the first epoch that comes to it.
 *
 * Threads: the channel's lister, after the plan is complete.
 */
#ifndef PIPE_SIZER_H
#define PIPE_SIZER_H

#include "pipe/channel.h"

/* Runs until there is nothing more to ask, or the stream stops. PENSTOCK_OK, or the earliest
 * failure in stream order: everything before it has its size. */
int ps_sizer_run(struct ps_channel *channel, struct penstock_error *error);

#endif
