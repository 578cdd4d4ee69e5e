/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framed.c - see framed.h. */
#include "pipe/framed.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/tap.h"

/* Batches that fit in the ring: one being read, one ready, one being filled, and parts of what
 * comes behind it under way. */
#define BATCHES_IN_RING 4

int ps_framed_open(struct ps_channel *ch, struct penstock_error *error)
{
    const struct ps_ring *ring = ps_tap_ring(ch);
    const struct penstock_config *config = &ch->stream->config;
    size_t stride_bytes = ch->shape.framing.stride_bytes;

    if (ch->staged || ch->shaping.last != PS_LAST_KEEP)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: framed=true leaves records where they are: it does not go with "
                       "bad_records, last_batch, shuffle_rows or a sample",
                       ch->name);
    if (ch->split == PS_SPLIT_BYTES)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: framed=true leaves records where they are, and between those "
                       "of a batch lie bytes of other shards with split_objects=bytes: use index, "
                       "or leave out one of the two",
                       ch->name);
    if (stride_bytes > ring->size_bytes / BATCHES_IN_RING / ch->config.batch_rows)
        return ps_fail(
            error, PENSTOCK_E_MEMORY,
            "channel %s: a batch of %u records of %zu bytes is more than a fourth of the "
            "stream ring of %zu bytes, where framed=true leaves it: raise the memory "
            "limit or lower the batch size",
            ch->name, ch->config.batch_rows, stride_bytes, ring->size_bytes);
    ch->ring_pinned =
        config->pin && config->pin(config->pin_cookie, ring->map, ring->map_bytes) == 0;
    return PENSTOCK_OK;
}

void ps_framed_close(struct ps_channel *ch)
{
    const struct penstock_config *config = &ch->stream->config;
    const struct ps_ring *ring = ps_tap_ring(ch);

    if (ch->ring_pinned && config->unpin)
        config->unpin(config->pin_cookie, ring->map, ring->map_bytes);
    ch->ring_pinned = false;
}

void ps_framed_init_slot(struct ps_slot *slot)
{
    const struct fmt_framing *framing = &slot->channel->shape.framing;
    struct penstock_batch *batch = &slot->batch;

    batch->runs = slot->runs;
    batch->stride_bytes = framing->stride_bytes;
    batch->features_offset = framing->features_offset;
    batch->labels_offset = framing->labels_offset;
    batch->label_type = (enum penstock_type)framing->label_type;
    batch->pinned = slot->channel->ring_pinned;
    batch->features = batch->labels = NULL;
    batch->data = NULL;
}

void ps_framed_fill(struct ps_slot *slot)
{
    slot->from_pos = UINT64_MAX;
    slot->batch.run_count = 0;
}

void ps_framed_add(const struct ps_chunk *chunk)
{
    struct ps_slot *slot = chunk->slot;
    struct penstock_batch *batch = &slot->batch;
    struct penstock_run *last = batch->run_count > 0 ? &slot->runs[batch->run_count - 1] : NULL;

    if (slot->from_pos == UINT64_MAX)
        slot->from_pos = chunk->end_pos - chunk->len_bytes;
    if (last && (const uint8_t *)last->data + last->rows * batch->stride_bytes == chunk->in) {
        last->rows += chunk->rows;
        return;
    }
    /* A batch is less than a lap: there are two runs at most. */
    if (batch->run_count < PS_RUNS_MAX)
        slot->runs[batch->run_count++] =
            (struct penstock_run){.data = chunk->in, .rows = chunk->rows};
}

bool ps_framed_release(struct ps_channel *ch)
{
    uint64_t pos = ch->framed_end_pos;

    for (uint32_t i = 0; i < ch->slot_count; i++) {
        const struct ps_slot *slot = &ch->slots[i];

        if (slot->state != PS_SLOT_FREE && slot->from_pos < pos)
            pos = slot->from_pos;
    }
    if (pos <= ps_tap_released(ch))
        return false;
    ps_tap_release(ch, pos);
    return true;
}
