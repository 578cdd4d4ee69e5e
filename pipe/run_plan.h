/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run_plan.h - what a channel would stream, and to which host: its objects listed, none read.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef PIPE_RUN_PLAN_H
#define PIPE_RUN_PLAN_H

#include "pipe/penstock.h"

struct ps_share {
    uint64_t objects;
    uint64_t bytes;
};

/* Lists the channel's objects and deals those of epoch 0 to `share_count` shares as shards are
 * (penstock_channel_config's own shard is ignored). `config` has the S3 settings; its channels are
 * ignored. Returns as penstock_open and penstock_next. */
int ps_plan_shares(const struct penstock_config *config,
                   const struct penstock_channel_config *channel, struct ps_share *shares,
                   uint32_t share_count, struct penstock_error *error);

#endif
