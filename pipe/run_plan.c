/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run_plan.c - see run_plan.h. */
#include "pipe/run_plan.h"

#include "pipe/engine.h"

#include <string.h>

/* Adds up the plan's epoch 0, which is complete. `unit_items` objects stay together. */
static int deal(struct ps_plan *plan, uint64_t unit_items, struct ps_share *shares,
                uint32_t share_count, struct penstock_error *error)
{
    struct ps_cursor cursor = {.epoch = 0};
    const struct ps_object *object;
    enum ps_plan_answer answer;

    while ((answer = ps_plan_at(plan, &cursor, &object)) == PS_PLAN_OBJECT) {
        struct ps_share *share = &shares[cursor.index++ / unit_items % share_count];

        share->objects++;
        share->bytes += object->size_bytes;
    }
    if (answer != PS_PLAN_FAILED)
        return PENSTOCK_OK;
    *error = *ps_plan_error(plan);
    return error->rc;
}

int ps_plan_shares(const struct penstock_config *config,
                   const struct penstock_channel_config *channel, struct ps_share *shares,
                   uint32_t share_count, struct penstock_error *error)
{
    struct penstock_config listing = *config;
    struct penstock_channel_config whole = *channel;
    struct penstock *stream;

    memset(shares, 0, share_count * sizeof *shares);
    whole.shard_index = 0;
    whole.shard_count = 1;
    whole.epochs = 1;
    whole.content_type = "application/octet-stream";
    listing.channels = &whole;
    listing.channel_count = 1;
    int rc = ps_engine_list(&listing, &stream, error);

    if (rc == PENSTOCK_OK)
        rc = deal(stream->channels[0]->plan,
                  channel->attribute_count > 0 ? channel->attribute_count : 1, shares, share_count,
                  error);
    penstock_close(&stream);
    return rc;
}
