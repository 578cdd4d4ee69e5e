/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framed.c - see framed.h. */
#include "pipe/framed.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/slot_rows.h"
#include "pipe/slots.h"
#include "pipe/tap.h"

/* Batches that fit in the ring: one being read, one ready, one being filled, and parts of what
 * comes behind it under way. */
#define BATCHES_IN_RING 4

static size_t batch_bytes_max(struct ps_channel *ch)
{
    return ps_tap_ring(ch)->size_bytes / BATCHES_IN_RING;
}

static bool goes_with(const struct ps_channel *ch)
{
    return !ch->staged && ch->shaping.last == PS_LAST_KEEP;
}

void ps_framed_choose(struct ps_channel *ch, struct fmt_shape *shape)
{
    struct fmt_framing *framing = &shape->framing;

    if (framing->lenient && (!goes_with(ch) || ch->split == PS_SPLIT_BYTES ||
                             framing->stride_bytes > batch_bytes_max(ch) / ch->config.batch_rows))
        *framing = (struct fmt_framing){.stride_bytes = 0};
}

int ps_framed_open(struct ps_channel *ch, struct penstock_error *error)
{
    const struct ps_ring *ring = ps_tap_ring(ch);
    const struct penstock_config *config = &ch->stream->config;
    size_t stride_bytes = ch->shape.framing.stride_bytes;

    if (!goes_with(ch))
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
    if (stride_bytes > batch_bytes_max(ch) / ch->config.batch_rows)
        return ps_fail(
            error, PENSTOCK_E_MEMORY,
            "channel %s: a batch of %u records of %zu bytes is more than a fourth of the "
            "stream ring of %zu bytes, where framed=true leaves it: raise the memory "
            "limit or lower the batch size",
            ch->name, ch->config.batch_rows, stride_bytes, ring->size_bytes);
    ch->ring_pinned =
        config->pin && config->pin(config->pin_cookie, ring->map, ring->map_bytes) == 0;
    ch->lends = true;
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
}

static void show_records(struct ps_slot *slot)
{
    const struct ps_channel *ch = slot->channel;
    struct penstock_batch *batch = &slot->batch;

    batch->type = (enum penstock_type)ch->shape.framing.feature_type;
    batch->pinned = ch->ring_pinned;
    batch->features = batch->labels = NULL;
    batch->data = NULL;
}

static void show_arrays(struct ps_slot *slot)
{
    const struct ps_channel *ch = slot->channel;
    struct penstock_batch *batch = &slot->batch;
    struct fmt_rows rows = ps_slot_rows(slot, 0);

    batch->type = (enum penstock_type)ch->shape.type;
    batch->pinned = slot->pinned;
    batch->data = rows.features;
    batch->features = ch->shape.type == FMT_F32 ? rows.features : NULL;
    batch->labels = rows.labels;
    batch->run_count = 0;
}

void ps_framed_fill(struct ps_slot *slot)
{
    slot->from_pos = UINT64_MAX;
    slot->batch.run_count = 0;
    slot->has_odd = false;
    slot->lends = slot->channel->lends;
    if (!ps_is_framed(slot->channel))
        return;
    if (slot->lends)
        show_records(slot);
    else
        show_arrays(slot);
}

void ps_framed_pin(struct ps_slot *slot)
{
    const struct ps_channel *ch = slot->channel;
    const struct penstock_config *config = &ch->stream->config;

    if (!ps_is_framed(ch) || slot->lends)
        return;
    if (!slot->was_to_pin)
        slot->pinned =
            config->pin && config->pin(config->pin_cookie, slot->batch.base, ch->slot_bytes) == 0;
    slot->was_to_pin = true;
    slot->batch.pinned = slot->pinned;
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

void ps_framed_settle(struct ps_slot *slot)
{
    if (!slot->lends || slot->batch.run_count > 0)
        return;
    slot->lends = false;
    show_arrays(slot);
}

/* ---- odd records ---- */

void ps_framed_is_odd(struct ps_channel *ch, struct ps_slot *slot)
{
    pthread_mutex_lock(&ch->lock);
    slot->has_odd = true;
    ch->lends = false;
    pthread_mutex_unlock(&ch->lock);
}

/* Decodes the records of the slot's runs to its arrays. */
static int decode_runs(struct ps_slot *slot, struct penstock_error *error)
{
    struct ps_channel *ch = slot->channel;
    const struct fmt_ops *ops = ch->options.ops;
    const struct penstock_batch *batch = &slot->batch;
    struct fmt_shape shape = ps_framed_decoded_shape(ch);
    struct fmt_decoder *decoder = ops->decoder_new(&ch->options, &shape);
    struct fmt_error cause = {.text = "out of memory"};
    enum fmt_rc rc = decoder ? FMT_OK : FMT_E_MEMORY;
    uint32_t row = 0;

    for (uint32_t i = 0; i < batch->run_count && rc == FMT_OK; i++) {
        const struct penstock_run *run = &slot->runs[i];
        struct fmt_span span = {.in = run->data,
                                .len = run->rows * batch->stride_bytes,
                                .rows = run->rows,
                                .epoch = batch->epoch,
                                .position = batch->position + row};
        struct fmt_rows rows = ps_slot_rows(slot, row);

        rc = ops->decode(decoder, &span, &rows, &cause);
        row += run->rows;
    }
    ops->decoder_free(decoder);
    if (rc == FMT_OK)
        return PENSTOCK_OK;
    return ps_fail(error, rc == FMT_E_FORMAT ? PENSTOCK_E_FORMAT : PENSTOCK_E_MEMORY,
                   "channel %s: records at %llu of epoch %u: %s", ch->name,
                   (unsigned long long)batch->position, batch->epoch, cause.text);
}

/* Its records are not needed any more. */
static void unlend(struct ps_slot *slot)
{
    struct ps_channel *ch = slot->channel;

    pthread_mutex_lock(&ch->lock);
    ch->lends = slot->lends = slot->has_odd = false;
    slot->from_pos = UINT64_MAX;
    show_arrays(slot);
    bool freed = ps_framed_release(ch);

    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(ch->stream);
}

int ps_framed_recall(struct ps_channel *ch, struct ps_slot *slot)
{
    pthread_mutex_lock(&ch->lock);
    while (ch->chunk_first < ch->chunk_next && !ch->decode_failed &&
           !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_DECODERS], &ch->framer_wakes, &ch->lock, NULL);
    bool broken_off = ch->decode_failed || atomic_load(&ch->stream->stopping);

    pthread_mutex_unlock(&ch->lock);
    if (broken_off)
        return PENSTOCK_E_STOPPED;
    int rc = decode_runs(slot, &ch->frame_error);

    if (rc != PENSTOCK_OK)
        return rc;
    unlend(slot);
    ps_framed_pin(slot);
    return PENSTOCK_OK;
}

int ps_framed_decode(struct ps_slot *slot, struct penstock_error *error)
{
    int rc = decode_runs(slot, error);

    if (rc != PENSTOCK_OK)
        return rc;
    unlend(slot);
    slot->batch.len_bytes = ps_slot_used_bytes(slot);
    return PENSTOCK_OK;
}
