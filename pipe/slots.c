/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slots.c - see slots.h; and the consumer's end: penstock_next and penstock_release. */
#include "pipe/slots.h"

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARRAY_ALIGN_BYTES 64
#define SLOTS_LEAST 2

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Behind `end`, aligned, as many bytes for each row. */
static size_t place_array(size_t *end, size_t row_bytes, uint32_t rows)
{
    size_t offset = round_up(*end, ARRAY_ALIGN_BYTES);

    if (row_bytes > 0)
        *end = offset + row_bytes * rows;
    return offset;
}

static struct ps_layout lay_out(const struct fmt_shape *shape, uint32_t rows)
{
    struct ps_layout layout = {.end = 0};

    place_array(&layout.end, shape->feature_dim * fmt_feature_bytes(shape->type), rows);
    layout.labels = place_array(&layout.end, shape->label_dim * sizeof(float), rows);
    layout.weights = place_array(&layout.end, shape->weighted ? sizeof(float) : 0, rows);
    layout.groups = place_array(&layout.end, shape->grouped ? sizeof(uint64_t) : 0, rows);
    return layout;
}

struct fmt_rows ps_slot_rows(const struct ps_slot *slot, uint32_t row)
{
    const struct ps_channel *ch = slot->channel;
    const struct fmt_shape *shape = &ch->shape;
    char *base = slot->batch.base;
    struct fmt_rows rows = {.features =
                                base + row * (shape->feature_dim * fmt_feature_bytes(shape->type))};

    if (shape->label_dim > 0)
        rows.labels = (float *)(void *)(base + ch->layout.labels) + (size_t)row * shape->label_dim;
    if (shape->weighted)
        rows.weights = (float *)(void *)(base + ch->layout.weights) + row;
    if (shape->grouped)
        rows.groups = (uint64_t *)(void *)(base + ch->layout.groups) + row;
    return rows;
}

static void init_slot(struct ps_channel *ch, uint32_t slot_no)
{
    struct ps_slot *slot = &ch->slots[slot_no];
    const struct penstock_config *config = &ch->stream->config;
    struct penstock_batch *batch = &slot->batch;

    slot->channel = ch;
    slot->state = PS_SLOT_FREE;
    *batch = (struct penstock_batch){.slot_no = slot_no,
                                     .base = (char *)ch->slot_map + slot_no * ch->slot_bytes,
                                     .feature_dim = ch->shape.feature_dim,
                                     .label_dim = ch->shape.label_dim,
                                     .type = (enum penstock_type)ch->shape.type};
    struct fmt_rows rows = ps_slot_rows(slot, 0);

    batch->data = rows.features;
    batch->features = ch->shape.type == FMT_F32 ? rows.features : NULL;
    batch->labels = rows.labels;
    batch->weights = rows.weights;
    batch->groups = rows.groups;
    batch->pinned =
        config->pin && config->pin(config->pin_cookie, batch->base, ch->slot_bytes) == 0;
}

int ps_slots_open(struct ps_channel *ch, struct penstock_error *error)
{
    size_t row_floats = (size_t)ch->shape.feature_dim + ch->shape.label_dim;
    size_t row_floats_max = SIZE_MAX / sizeof(double) / ch->config.batch_rows / 2;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (row_floats > row_floats_max)
        return ps_fail(error, PENSTOCK_E_MEMORY, "a batch of %u rows of %zu numbers is too large",
                       ch->config.batch_rows, row_floats);
    ch->layout = lay_out(&ch->shape, ch->config.batch_rows);
    ch->slot_bytes = round_up(ch->layout.end, page);
    size_t count = ch->slot_budget_bytes / ch->slot_bytes;

    if (count < SLOTS_LEAST)
        return ps_fail(error, PENSTOCK_E_MEMORY,
                       "channel %s: a batch of %u rows of %u features and %u labels takes %zu "
                       "bytes; two must fit in %zu bytes (half the channel's share of the memory "
                       "limit): raise the memory limit or lower the batch size",
                       ch->name, ch->config.batch_rows, ch->shape.feature_dim, ch->shape.label_dim,
                       ch->slot_bytes, ch->slot_budget_bytes);
    if (count > PS_SLOTS_MAX)
        count = PS_SLOTS_MAX;
    ch->slot_map_bytes = count * ch->slot_bytes;
    ch->slot_map = mmap(NULL, ch->slot_map_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ch->slot_map == MAP_FAILED) {
        ch->slot_map = NULL;
        return ps_fail_errno(error, PENSTOCK_E_MEMORY, errno, "cannot map %zu bytes of batches",
                             ch->slot_map_bytes);
    }
    madvise(ch->slot_map, ch->slot_map_bytes, MADV_HUGEPAGE);
    for (uint32_t i = 0; i < count; i++)
        init_slot(ch, i);
    pthread_mutex_lock(&ch->lock);
    ch->slot_count = (uint32_t)count;
    pthread_mutex_unlock(&ch->lock);
    return PENSTOCK_OK;
}

void ps_slots_close(struct ps_channel *ch)
{
    const struct penstock_config *config = &ch->stream->config;

    for (uint32_t i = 0; i < ch->slot_count; i++)
        if (ch->slots[i].batch.pinned && config->unpin)
            config->unpin(config->pin_cookie, ch->slots[i].batch.base, ch->slot_bytes);
    if (ch->slot_map)
        munmap(ch->slot_map, ch->slot_map_bytes);
    ch->slot_map = NULL;
    ch->slot_count = 0;
}

static struct ps_slot *free_slot(struct ps_channel *ch)
{
    for (uint32_t i = 0; i < ch->slot_count; i++)
        if (ch->slots[i].state == PS_SLOT_FREE)
            return &ch->slots[i];
    return NULL;
}

struct ps_slot *ps_slots_take(struct ps_channel *ch, uint32_t epoch, uint64_t position)
{
    struct ps_slot *slot;

    pthread_mutex_lock(&ch->lock);
    while (!(slot = free_slot(ch)) && !ch->decode_failed && !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_SLOT], &ch->framer_wakes, &ch->lock, NULL);
    if (slot) {
        slot->state = PS_SLOT_FILLING;
        slot->rows_framed = slot->rows_decoded = 0;
        slot->bad = false;
        slot->batch.epoch = epoch;
        slot->batch.position = position;
        slot->batch.rows = 0;
    }
    pthread_mutex_unlock(&ch->lock);
    return slot;
}

bool ps_slots_queue(struct ps_channel *ch, enum ps_event_kind kind, struct ps_slot *slot)
{
    pthread_mutex_lock(&ch->lock);
    while (ch->event_next - ch->event_first == PS_EVENTS_MAX && !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_SLOT], &ch->framer_wakes, &ch->lock, NULL);
    bool stopping = atomic_load(&ch->stream->stopping);

    if (!stopping) {
        ch->events[ch->event_next++ % PS_EVENTS_MAX] =
            (struct ps_event){.kind = kind, .slot = slot};
        pthread_cond_broadcast(&ch->consumer_wakes);
    }
    pthread_mutex_unlock(&ch->lock);
    return !stopping;
}

/* The first event, if it can be told to the caller yet: a batch only when its rows are decoded. */
static const struct ps_event *ready_event(const struct ps_channel *ch)
{
    if (ch->event_first == ch->event_next)
        return NULL;
    const struct ps_event *event = &ch->events[ch->event_first % PS_EVENTS_MAX];

    if (event->slot && event->slot->rows_decoded < event->slot->rows_framed)
        return NULL;
    return event;
}

/* Up to the last row of the last array. */
static size_t used_bytes(const struct ps_channel *ch, const struct penstock_batch *batch)
{
    size_t rows = batch->rows;

    if (batch->groups)
        return ch->layout.groups + rows * sizeof *batch->groups;
    if (batch->weights)
        return ch->layout.weights + rows * sizeof *batch->weights;
    if (batch->labels)
        return ch->layout.labels + rows * batch->label_dim * sizeof *batch->labels;
    return rows * batch->feature_dim * fmt_feature_bytes(ch->shape.type);
}

static int lend_batch(struct ps_channel *ch, struct ps_slot *slot,
                      const struct penstock_batch **out)
{
    struct penstock_batch *batch = &slot->batch;

    if (slot->bad)
        return ps_channel_end(ch, slot->error.rc, &slot->error);
    batch->rows = slot->rows_framed;
    batch->len_bytes = used_bytes(ch, batch);
    slot->state = PS_SLOT_LENT;
    *out = batch;
    if (atomic_fetch_add(&ch->counts.batches, 1) == 0)
        atomic_store(&ch->counts.first_batch_ns, ps_now_ns() - ch->stream->opened_ns);
    return PENSTOCK_OK;
}

static int deliver(struct ps_channel *ch, const struct ps_event *ready,
                   const struct penstock_batch **out)
{
    struct ps_event event = *ready;

    ch->event_first++;
    pthread_cond_signal(&ch->framer_wakes);
    switch (event.kind) {
    case PS_EVENT_BATCH:
        return lend_batch(ch, event.slot, out);
    case PS_EVENT_EPOCH_END:
        return PENSTOCK_EPOCH_END;
    case PS_EVENT_END:
        return ps_channel_end(ch, PENSTOCK_END, NULL);
    case PS_EVENT_ERROR:
        break;
    }
    /* A bad record in the batch that was cut short comes earlier in the stream than its cause. */
    const struct penstock_error *error =
        event.slot && event.slot->bad ? &event.slot->error : &ch->frame_error;

    return ps_channel_end(ch, error->rc, error);
}

static int wait_event(struct ps_channel *ch, int timeout_ms, const struct penstock_batch **out)
{
    struct timespec deadline =
        ps_timespec(ps_now_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0) * PS_NS_PER_MS);

    for (;;) {
        int ended_rc = ps_channel_check_ended(ch);

        if (ended_rc != PENSTOCK_OK)
            return ended_rc;
        const struct ps_event *event = ready_event(ch);

        if (event)
            return deliver(ch, event, out);
        if (timeout_ms == 0)
            return PENSTOCK_AGAIN;
        if (timeout_ms < 0)
            pthread_cond_wait(&ch->consumer_wakes, &ch->lock);
        else if (pthread_cond_timedwait(&ch->consumer_wakes, &ch->lock, &deadline) == ETIMEDOUT)
            timeout_ms = 0; /* look once more, then give up */
    }
}

int penstock_next(struct penstock *stream, size_t channel_no, int timeout_ms,
                  const struct penstock_batch **batch)
{
    *batch = NULL;
    if (channel_no >= stream->channel_count)
        return PENSTOCK_E_ARGUMENT;
    struct ps_channel *ch = stream->channels[channel_no];
    uint64_t start_ns = ps_now_ns();

    if (ch->plain)
        return ps_channel_misused(ch);

    pthread_mutex_lock(&ch->lock);
    int rc = wait_event(ch, timeout_ms, batch);

    pthread_mutex_unlock(&ch->lock);
    atomic_fetch_add_explicit(&ch->counts.wait_ns, ps_now_ns() - start_ns, memory_order_relaxed);
    return rc;
}

void penstock_release(struct penstock *stream, const struct penstock_batch *batch)
{
    (void)stream;
    if (!batch)
        return;
    struct ps_slot *slot =
        (struct ps_slot *)((char *)(uintptr_t)batch - offsetof(struct ps_slot, batch));
    struct ps_channel *ch = slot->channel;

    pthread_mutex_lock(&ch->lock);
    if (slot->state == PS_SLOT_LENT) {
        slot->state = PS_SLOT_FREE;
        pthread_cond_signal(&ch->framer_wakes);
    }
    pthread_mutex_unlock(&ch->lock);
}
