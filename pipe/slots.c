/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slots.c - see slots.h; and the consumer's end: penstock_next and penstock_release. */
#include "pipe/slots.h"

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/framed.h"
#include "pipe/slot_rows.h"
#include "pipe/stage.h"
#include "pipe/window.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARRAY_ALIGN_BYTES 64
#define SLOTS_LEAST 2
#define SLOTS_BESIDES 4 /* a window's, which its consumer may hold */
#define VARIABLE_SLOTS 4
#define EVENT_PASSED INT_MIN

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* Behind `end`, aligned, as many bytes for each row. */
static size_t place_array(size_t *end, size_t row_bytes, size_t rows)
{
    size_t offset = round_up(*end, ARRAY_ALIGN_BYTES);

    if (row_bytes > 0)
        *end = offset + row_bytes * rows;
    return offset;
}

static struct ps_layout lay_out(const struct fmt_shape *shape, uint32_t rows)
{
    struct ps_layout layout = {.end = 0};

    place_array(&layout.end, ps_row_bytes(shape), rows);
    layout.labels = place_array(&layout.end, shape->label_dim * sizeof(float), rows);
    layout.weights = place_array(&layout.end, shape->weighted ? sizeof(float) : 0, rows);
    layout.groups = place_array(&layout.end, shape->grouped ? sizeof(uint64_t) : 0, rows);
    layout.row_offsets =
        place_array(&layout.end, shape->sparse ? sizeof(uint32_t) : 0, (size_t)rows + 1);
    layout.text_offsets = place_array(&layout.end, shape->text_dim > 0 ? sizeof(uint32_t) : 0,
                                      (size_t)rows * shape->text_dim + 1);
    return layout;
}

struct fmt_rows ps_slot_rows(const struct ps_slot *slot, uint32_t row)
{
    const struct ps_channel *ch = slot->channel;
    const struct fmt_shape *shape = &ch->shape;
    char *base = slot->batch.base;
    size_t row_bytes = ps_row_bytes(shape);
    struct fmt_rows rows = {.features = row_bytes > 0 ? base + row * row_bytes : NULL};

    if (shape->label_dim > 0)
        rows.labels = (float *)(void *)(base + ch->layout.labels) + (size_t)row * shape->label_dim;
    if (shape->weighted)
        rows.weights = (float *)(void *)(base + ch->layout.weights) + row;
    if (shape->grouped)
        rows.groups = (uint64_t *)(void *)(base + ch->layout.groups) + row;
    return rows;
}

/* All but the pinning. */
static void init_slot(struct ps_channel *ch, struct ps_slot *slot, uint32_t slot_no)
{
    const struct fmt_shape *shape = &ch->shape;
    struct penstock_batch *batch = &slot->batch;
    const char *base = (char *)ch->slot_map + slot_no * ch->slot_bytes;

    slot->channel = ch;
    slot->state = PS_SLOT_FREE;
    *batch = (struct penstock_batch){.slot_no = slot_no,
                                     .base = (char *)ch->slot_map + slot_no * ch->slot_bytes,
                                     .first_row = ch->shaping.share.from,
                                     .feature_dim = shape->feature_dim,
                                     .label_dim = shape->label_dim,
                                     .text_dim = shape->text_dim,
                                     .type = (enum penstock_type)shape->type};
    struct fmt_rows rows = ps_slot_rows(slot, 0);

    batch->data = rows.features;
    batch->features = shape->type == FMT_F32 ? rows.features : NULL;
    batch->labels = rows.labels;
    batch->weights = rows.weights;
    batch->groups = rows.groups;
    if (shape->sparse)
        batch->row_offsets = (const uint32_t *)(const void *)(base + ch->layout.row_offsets);
    if (shape->text_dim > 0)
        batch->text_offsets = (const uint32_t *)(const void *)(base + ch->layout.text_offsets);
    if (ps_is_framed(ch))
        ps_framed_init_slot(slot);
}

static void pin_slot(struct ps_channel *ch, struct ps_slot *slot)
{
    const struct penstock_config *config = &ch->stream->config;

    if (ps_is_framed(ch))
        return; /* the ring is */
    slot->pinned =
        config->pin && config->pin(config->pin_cookie, slot->batch.base, ch->slot_bytes) == 0;
    slot->batch.pinned = slot->pinned;
}

/* The slots that a channel cannot do without, besides the one that is kept. */
static size_t slots_least(const struct ps_channel *ch)
{
    size_t window = (size_t)ps_window_slots(ch);

    return window > 0 ? window + SLOTS_BESIDES : SLOTS_LEAST;
}

/* One window fills while another is read. */
static size_t slots_of_windows(const struct ps_channel *ch)
{
    size_t two_windows = 2 * (size_t)ps_window_slots(ch) + SLOTS_BESIDES;

    return two_windows < PS_WINDOW_SLOTS_MAX ? two_windows : PS_WINDOW_SLOTS_MAX;
}

/* As many as are of use. */
static size_t slots_most(const struct ps_channel *ch)
{
    size_t of_windows = slots_of_windows(ch);

    return of_windows > PS_SLOTS_MAX ? of_windows : PS_SLOTS_MAX;
}

static int refuse_slots(const struct ps_channel *ch, size_t budget_bytes,
                        struct penstock_error *error)
{
    const char *what = ch->shape.sparse ? "columns" : "features";

    if (ch->shaping.window_rows > 0)
        return ps_fail(error, PENSTOCK_E_MEMORY,
                       "channel %s: shuffle_rows takes %zu batches of %u rows, of %u %s and %u "
                       "labels, %zu bytes each, and as many have to fit in %zu bytes (half the "
                       "channel's share of the memory limit): raise the memory limit or lower "
                       "shuffle_rows",
                       ch->name, slots_least(ch), ch->shaping.slot_rows, ch->shape.feature_dim,
                       what, ch->shape.label_dim, ch->slot_bytes, budget_bytes);
    return ps_fail(error, PENSTOCK_E_MEMORY,
                   "channel %s: a batch of %u rows of %u %s and %u labels takes %zu "
                   "bytes; two must fit in %zu bytes (half the channel's share of the memory "
                   "limit): raise the memory limit or lower the batch size",
                   ch->name, ch->shaping.slot_rows, ch->shape.feature_dim, what,
                   ch->shape.label_dim, ch->slot_bytes, budget_bytes);
}

/* Sizes and count of the slots, from the shape; `kept` of them are not for batches to deliver. */
static int size_slots(struct ps_channel *ch, size_t kept, size_t *count,
                      struct penstock_error *error)
{
    size_t row_numbers = (size_t)ch->shape.feature_dim + ch->shape.label_dim + ch->shape.text_dim;
    size_t row_numbers_max = SIZE_MAX / sizeof(double) / ch->shaping.slot_rows / 2;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t stage_bytes = ch->staged ? ps_stage_bytes(ch) : 0;
    size_t budget_bytes =
        ch->slot_budget_bytes > stage_bytes ? ch->slot_budget_bytes - stage_bytes : 0;

    if (row_numbers > row_numbers_max)
        return ps_fail(error, PENSTOCK_E_MEMORY, "a batch of %u rows of %zu numbers is too large",
                       ch->shaping.slot_rows, row_numbers);
    if (slots_least(ch) > PS_WINDOW_SLOTS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: shuffle_rows of %llu is more than %d batches of %u rows: raise "
                       "batch_rows or lower shuffle_rows",
                       ch->name, (unsigned long long)ch->shaping.window_rows,
                       PS_WINDOW_SLOTS_MAX - SLOTS_BESIDES, ch->config.batch_rows);
    ch->layout = lay_out(&ch->shape, ch->shaping.slot_rows);
    ch->slot_bytes = round_up(ch->layout.end, page);
    if (ch->shape.sparse || ch->shape.text_dim > 0) {
        /* What rows bring is not known: a few slots share all there is. */
        uint32_t window_rows = ch->shaping.window_rows > 0 ? ch->config.batch_rows : 0;
        size_t wanted = window_rows > 0 ? slots_of_windows(ch) : VARIABLE_SLOTS;
        size_t share_bytes = budget_bytes / (wanted + kept) / page * page;
        size_t least_bytes = ch->slot_bytes + window_rows * 2 * sizeof(uint32_t) + page;

        if (share_bytes < least_bytes)
            return refuse_slots(ch, budget_bytes, error);
        ch->slot_bytes = share_bytes;
        ps_slot_lay_out_variable(&ch->shape, share_bytes, window_rows, &ch->layout);
    }
    *count = budget_bytes / ch->slot_bytes;
    if (*count < slots_least(ch) + kept)
        return refuse_slots(ch, budget_bytes, error);
    *count -= kept;
    if (*count > slots_most(ch))
        *count = slots_most(ch);
    return PENSTOCK_OK;
}

static int make_slots(struct ps_channel *ch, size_t kept, size_t count,
                      struct penstock_error *error)
{
    size_t map_bytes = (count + kept) * ch->slot_bytes;

    ch->slots = calloc(count, sizeof *ch->slots);
    if (!ch->slots)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    ch->slot_map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ch->slot_map == MAP_FAILED) {
        ch->slot_map = NULL;
        return ps_fail_errno(error, PENSTOCK_E_MEMORY, errno, "cannot map %zu bytes of batches",
                             map_bytes);
    }
    ch->slot_map_bytes = map_bytes;
    madvise(ch->slot_map, ch->slot_map_bytes, MADV_HUGEPAGE);
    for (uint32_t i = 0; i < count; i++) {
        init_slot(ch, &ch->slots[i], i);
        pin_slot(ch, &ch->slots[i]);
    }
    if (kept > 0)
        init_slot(ch, &ch->placing.kept, (uint32_t)count);
    return PENSTOCK_OK;
}

int ps_slots_open(struct ps_channel *ch, struct penstock_error *error)
{
    size_t kept = ch->shaping.last == PS_LAST_WRAP;
    size_t count = 0;
    int rc = ps_is_framed(ch) ? ps_framed_open(ch, error) : PENSTOCK_OK;

    if (rc == PENSTOCK_OK)
        rc = size_slots(ch, kept, &count, error);
    if (rc == PENSTOCK_OK)
        rc = make_slots(ch, kept, count, error);
    if (rc != PENSTOCK_OK)
        return rc;
    pthread_mutex_lock(&ch->lock);
    ch->slot_count = (uint32_t)count;
    pthread_mutex_unlock(&ch->lock);
    return ps_window_open(ch) ? PENSTOCK_OK : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
}

int ps_slots_take_shape(struct ps_channel *ch, struct fmt_shape *shape,
                        struct penstock_error *error)
{
    /* Bad records may have been handed on before: their ring space is released meanwhile. */
    ch->staged |= shape->sparse || shape->text_dim > 0;
    ps_framed_choose(ch, shape);
    pthread_mutex_lock(&ch->lock);
    ch->shape = *shape;
    pthread_mutex_unlock(&ch->lock);
    if (ch->staged)
        ps_stage_plan(ch);
    int rc = ps_slots_open(ch, error);

    ch->shape_known = rc == PENSTOCK_OK;
    return rc;
}

void ps_slots_close(struct ps_channel *ch)
{
    const struct penstock_config *config = &ch->stream->config;

    if (ps_is_framed(ch))
        ps_framed_close(ch);
    for (uint32_t i = 0; i < ch->slot_count; i++)
        if (ch->slots[i].pinned && config->unpin)
            config->unpin(config->pin_cookie, ch->slots[i].batch.base, ch->slot_bytes);
    if (ch->slot_map)
        munmap(ch->slot_map, ch->slot_map_bytes);
    free(ch->slots);
    ch->slots = NULL;
    ch->slot_map = NULL;
    ch->slot_count = 0;
}

struct ps_slot *ps_slots_find_free(struct ps_channel *ch)
{
    for (uint32_t i = 0; i < ch->slot_count; i++)
        if (ch->slots[i].state == PS_SLOT_FREE)
            return &ch->slots[i];
    return NULL;
}

void ps_slots_fill(struct ps_slot *slot, uint32_t epoch, uint64_t position)
{
    slot->state = PS_SLOT_FILLING;
    slot->rows_framed = slot->rows_decoded = 0;
    slot->sealed = slot->unfinished = slot->first = slot->dropped = slot->bad = false;
    slot->whole = false;
    slot->whole_rows = 0;
    slot->batch.epoch = epoch;
    slot->batch.position = position;
    slot->batch.rows = slot->batch.rows_padded = 0;
    ps_framed_fill(slot);
}

struct ps_slot *ps_slots_take(struct ps_channel *ch, uint32_t epoch, uint64_t position)
{
    struct ps_slot *slot;

    pthread_mutex_lock(&ch->lock);
    while (!(slot = ps_slots_find_free(ch)) && !ch->decode_failed &&
           !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_SLOT], &ch->framer_wakes, &ch->lock, NULL);
    if (slot)
        ps_slots_fill(slot, epoch, position);
    pthread_mutex_unlock(&ch->lock);
    if (slot)
        ps_framed_pin(slot);
    return slot;
}

void ps_slots_push(struct ps_channel *ch, struct ps_event event)
{
    ch->events[ch->event_next++ % PS_EVENT_PLACES] = event;
    pthread_cond_broadcast(&ch->consumer_wakes);
}

bool ps_slots_wait_room(struct ps_channel *ch, pthread_cond_t *wakes)
{
    while (ch->event_next - ch->event_first >= PS_EVENTS_MAX && !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_SLOT], wakes, &ch->lock, NULL);
    return !atomic_load(&ch->stream->stopping);
}

bool ps_slots_queue(struct ps_channel *ch, enum ps_event_kind kind, struct ps_slot *slot)
{
    pthread_mutex_lock(&ch->lock);
    bool go_on = ps_slots_wait_room(ch, &ch->framer_wakes);

    if (go_on)
        ps_slots_push(ch, (struct ps_event){.kind = kind, .slot = slot, .error = &ch->frame_error});
    pthread_mutex_unlock(&ch->lock);
    return go_on;
}

/* The first event, if it can be told to the caller yet: a batch only when its rows are decoded. */
static const struct ps_event *ready_event(const struct ps_channel *ch)
{
    if (ch->event_first == ch->event_next)
        return NULL;
    const struct ps_event *event = &ch->events[ch->event_first % PS_EVENT_PLACES];
    const struct ps_slot *slot = event->slot;

    if (slot && (slot->unfinished || slot->rows_decoded < slot->rows_framed))
        return NULL;
    return event;
}

static void free_slot(struct ps_slot *slot)
{
    struct ps_channel *ch = slot->channel;

    slot->state = PS_SLOT_FREE;
    pthread_cond_signal(&ch->framer_wakes);
    pthread_cond_broadcast(&ch->place_wakes);
}

/* EVENT_PASSED: there was nothing to deliver. */
static int lend_batch(struct ps_channel *ch, struct ps_slot *slot,
                      const struct penstock_batch **out)
{
    struct penstock_batch *batch = &slot->batch;

    if (slot->bad)
        return ps_channel_end(ch, slot->error.rc, &slot->error);
    if (slot->dropped || ch->drop_left > 0) {
        ch->drop_left -= ch->drop_left > 0;
        free_slot(slot);
        return EVENT_PASSED;
    }
    ch->delivered = slot->after;
    batch->rows = ps_row_share_of(&ch->shaping.share, slot->whole_rows);
    batch->rows_elsewhere = slot->whole_rows - batch->rows;
    ps_framed_settle(slot);
    batch->len_bytes = ps_slot_used_bytes(slot);
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
    pthread_cond_broadcast(&ch->place_wakes);
    switch (event.kind) {
    case PS_EVENT_BATCH:
        return lend_batch(ch, event.slot, out);
    case PS_EVENT_EPOCH_END:
        ch->delivered = (struct ps_anchor){.epoch = ch->delivered.epoch + 1};
        return PENSTOCK_EPOCH_END;
    case PS_EVENT_END:
        return ps_channel_end(ch, PENSTOCK_END, NULL);
    case PS_EVENT_ERROR:
        break;
    }
    /* A bad record in the batch that was cut short comes earlier in the stream than its cause. */
    const struct penstock_error *error =
        event.slot && event.slot->bad ? &event.slot->error : event.error;

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
        int rc = event ? deliver(ch, event, out) : EVENT_PASSED;

        if (rc != EVENT_PASSED)
            return rc;
        if (event)
            continue;
        if (timeout_ms == 0)
            return PENSTOCK_AGAIN;
        if (timeout_ms < 0)
            pthread_cond_wait(&ch->consumer_wakes, &ch->lock);
        else if (pthread_cond_timedwait(&ch->consumer_wakes, &ch->lock, &deadline) == ETIMEDOUT)
            timeout_ms = 0; /* look once more, then give up */
    }
}

/* Some of a batch's records are not where those of the others are: they come decoded, all of it. */
static int decode_lent(struct ps_channel *ch, const struct penstock_batch **batch)
{
    struct ps_slot *slot =
        (struct ps_slot *)((char *)(uintptr_t)*batch - offsetof(struct ps_slot, batch));
    struct penstock_error error;

    if (!slot->has_odd)
        return PENSTOCK_OK;
    int rc = ps_framed_decode(slot, &error);

    if (rc == PENSTOCK_OK)
        return rc;
    pthread_mutex_lock(&ch->lock);
    free_slot(slot);
    *batch = NULL;
    rc = ps_channel_end(ch, rc, &error);
    pthread_mutex_unlock(&ch->lock);
    return rc;
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
    if (rc == PENSTOCK_OK)
        rc = decode_lent(ch, batch);
    atomic_fetch_add_explicit(&ch->counts.wait_ns, ps_now_ns() - start_ns, memory_order_relaxed);
    return rc;
}

void penstock_release(struct penstock *stream, const struct penstock_batch *batch)
{
    bool freed = false;

    if (!batch)
        return;
    struct ps_slot *slot =
        (struct ps_slot *)((char *)(uintptr_t)batch - offsetof(struct ps_slot, batch));
    struct ps_channel *ch = slot->channel;

    pthread_mutex_lock(&ch->lock);
    if (slot->state == PS_SLOT_LENT) {
        free_slot(slot);
        freed = ps_is_framed(ch) && ps_framed_release(ch);
    }
    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(stream);
}
