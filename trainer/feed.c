/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/feed.c - see trainer/feed.h.
 *
 * tests/mutants/feed_*.patch take out one ordering each: tests/unit/test_feed.c must notice.
 */
#include "trainer/feed.h"

#include "trainer/batch.h"
#include "trainer/clock.h"
#include "trainer/device_use.h"

#include <stdlib.h>

/* How long the source may block while copies are in flight whose host slots it may need. */
#define POLL_MS 1

struct slot {
    char *memory;                      /* on the device, as the next */
    char *records;                     /* of a batch that lends them; NULL: none ever did */
    struct tr_event *copied;           /* E1 */
    struct tr_event *used;             /* E2 */
    const struct penstock_batch *loan; /* host batch not yet released, or NULL */
};

/* When the compute stream began and ended the work on a batch. */
struct mark {
    struct tr_event *begun;
    struct tr_event *ended;
    bool follows; /* a batch of the same pass came before: what lies between is a stall */
};

/* By the time that a mark is taken again, it was reached: a batch is given when the one slot_count
 * before has been copied, and that was copied when the one slot_count before it was used. */
#define MARKS (2U * TR_FEED_SLOTS_MAX + 2U)

/* Steps of a replay between two looks at the clock. */
#define REPLAY_STEPS 8U

/* Batches before the state is steady. */
#define WARM_BATCHES 3U

struct tr_feed {
    struct tr_device *device;
    uint32_t slot_count;
    uint32_t next;     /* slot of the next batch */
    uint32_t on_loan;  /* slots with a loan: the `on_loan` ones before `next` */
    size_t slot_bytes; /* 0 until the first batch */
    size_t records_bytes;
    float *labels; /* of a batch that lends records: host memory */
    struct slot slots[TR_FEED_SLOTS_MAX];
    struct mark marks[MARKS];
    uint64_t given;    /* batches ever given to the compute stream: its mark is given % MARKS */
    uint64_t measured; /* batches whose marks were read */
    bool in_pass;
    struct tr_device_counts steady; /* the device's counts since this pass is in a steady state */
    struct tr_feed_stats stats;
    bool keeping;
    void *kept_memory; /* of `kept`; NULL: none */
    struct penstock_batch kept;
};

int tr_feed_new(struct tr_device *device, uint32_t slot_count, struct tr_feed **out,
                struct tr_error *error)
{
    struct tr_feed *feed = calloc(1, sizeof *feed);
    *out = NULL;
    if (!feed)
        return tr_fail(error, "no memory");
    feed->device = device;
    feed->slot_count = slot_count;
    for (uint32_t i = 0; i < slot_count; i++) {
        struct slot *slot = &feed->slots[i];
        if (device->ops->event_new(device, &slot->copied) < 0 ||
            device->ops->event_new(device, &slot->used) < 0) {
            tr_device_failed(feed->device, error);
            tr_feed_free(&feed);
            return -1;
        }
    }
    for (uint32_t i = 0; i < MARKS; i++) {
        struct mark *mark = &feed->marks[i];
        if (device->ops->timer_new(device, &mark->begun) < 0 ||
            device->ops->timer_new(device, &mark->ended) < 0) {
            tr_device_failed(feed->device, error);
            tr_feed_free(&feed);
            return -1;
        }
    }
    *out = feed;
    return 0;
}

void tr_feed_free(struct tr_feed **feed)
{
    struct tr_feed *f = feed ? *feed : NULL;
    if (!f)
        return;
    const struct tr_device_ops *ops = f->device->ops;
    ops->drain(f->device);
    for (uint32_t i = 0; i < f->slot_count; i++) {
        struct slot *slot = &f->slots[i];
        ops->event_free(f->device, slot->used);
        ops->event_free(f->device, slot->copied);
        ops->dealloc(f->device, slot->records);
        ops->dealloc(f->device, slot->memory);
    }
    for (uint32_t i = 0; i < MARKS; i++) {
        ops->event_free(f->device, f->marks[i].begun);
        ops->event_free(f->device, f->marks[i].ended);
    }
    free(f->kept_memory);
    free(f->labels);
    free(f);
    *feed = NULL;
}

static int allocate_slots(struct tr_feed *feed, size_t slot_bytes, struct tr_error *error)
{
    for (uint32_t i = 0; i < feed->slot_count; i++) {
        void *memory;
        feed->device->ops->dealloc(feed->device, feed->slots[i].memory);
        feed->slots[i].memory = NULL;
        if (feed->device->ops->alloc(feed->device, slot_bytes > 0 ? slot_bytes : 1, &memory) < 0)
            return tr_device_failed(feed->device, error);
        feed->slots[i].memory = memory;
    }
    feed->slot_bytes = slot_bytes;
    return 0;
}

/* A rank that has had no rows knows no size, and needs a place for its batches without rows. */
static int make_slots(struct tr_feed *feed, const struct tr_source *source, struct tr_error *error)
{
    size_t slot_bytes = source->batch_bytes_max(source->cookie);
    if (slot_bytes == 0 && feed->slots[0].memory)
        return 0;
    return allocate_slots(feed, slot_bytes, error);
}

/* Room for the records of a source that lends them. A batch has no more rows than its slot. */
static int allocate_records(struct tr_feed *feed, const struct penstock_batch *batch,
                            struct tr_error *error)
{
    size_t row_bytes = ((size_t)batch->feature_dim + batch->label_dim) * sizeof(float);
    size_t rows_max = feed->slot_bytes / row_bytes;
    feed->labels = calloc(rows_max * batch->label_dim + 1, sizeof *feed->labels);
    if (!feed->labels)
        return tr_fail(error, "no memory for labels");
    for (uint32_t i = 0; i < feed->slot_count; i++) {
        void *memory;
        if (feed->device->ops->alloc(feed->device, rows_max * batch->stride_bytes, &memory) < 0)
            return tr_device_failed(feed->device, error);
        feed->slots[i].records = memory;
    }
    feed->records_bytes = rows_max * batch->stride_bytes;
    return 0;
}

/* --- what the device's clock says
 * ----------------------------------------------------------------
 */

/* Reads the marks of the oldest batch that was not measured yet; its work is done. */
static int measure_one(struct tr_feed *feed, struct tr_error *error)
{
    const struct tr_device_ops *ops = feed->device->ops;
    const struct mark *mark = &feed->marks[feed->measured % MARKS];
    const struct mark *before = &feed->marks[(feed->measured + MARKS - 1) % MARKS];
    double busy_s;
    double stall_s = 0.0;
    if (ops->elapsed(feed->device, mark->begun, mark->ended, &busy_s) < 0 ||
        (mark->follows && ops->elapsed(feed->device, before->ended, mark->begun, &stall_s) < 0))
        return tr_device_failed(feed->device, error);
    feed->stats.busy_s += busy_s;
    feed->stats.stall_s += stall_s;
    feed->measured++;
    return 0;
}

/* Gives the model's work, between two marks; before it, what makes rows of records, if any. */
static int give(struct tr_feed *feed, const struct tr_sink *sink,
                const struct tr_gather_args *gather, const struct tr_device_batch *batch,
                struct tr_error *error)
{
    struct tr_device *device = feed->device;
    struct mark *mark = &feed->marks[feed->given % MARKS];
    /* The one before the oldest is needed for the gap: one mark less than there are. */
    if (feed->given - feed->measured == MARKS - 1 && measure_one(feed, error) < 0)
        return -1;
    mark->follows = feed->in_pass;
    feed->in_pass = true;
    if (device->ops->event_record(device, mark->begun, TR_STREAM_COMPUTE) < 0 ||
        (gather && tr_launch_gather(device, gather) < 0))
        return tr_device_failed(feed->device, error);
    int rc = sink->step(sink->cookie, batch, error);
    if (device->ops->event_record(device, mark->ended, TR_STREAM_COMPUTE) < 0 && rc == 0)
        return tr_device_failed(feed->device, error);
    feed->given++;
    if (feed->given == WARM_BATCHES)
        feed->steady = device->counts;
    return rc;
}

struct tr_feed_stats tr_feed_get_stats(struct tr_feed *feed)
{
    const struct tr_device_ops *ops = feed->device->ops;
    while (feed->measured < feed->given &&
           ops->event_query(feed->device, feed->marks[feed->measured % MARKS].ended) > 0 &&
           measure_one(feed, NULL) == 0)
        continue;
    feed->stats.batches = feed->given;
    feed->stats.batches_timed = feed->measured;
    feed->stats.slot_bytes = feed->slot_bytes + feed->records_bytes;
    return feed->stats;
}

/* --- slots ---------------------------------------------------------------------------------------
 */

static void release_oldest(struct tr_feed *feed, const struct tr_source *source)
{
    uint32_t oldest = (feed->next + feed->slot_count - feed->on_loan) % feed->slot_count;
    source->release(source->cookie, feed->slots[oldest].loan);
    feed->slots[oldest].loan = NULL;
    feed->on_loan--;
}

/* Releases host slots whose copy is done; with `all`, waits for the copies. */
static int retire(struct tr_feed *feed, const struct tr_source *source, bool all,
                  struct tr_error *error)
{
    const struct tr_device_ops *ops = feed->device->ops;
    while (feed->on_loan > 0) {
        uint32_t oldest = (feed->next + feed->slot_count - feed->on_loan) % feed->slot_count;
        struct tr_event *copied = feed->slots[oldest].copied;
        int done = all ? 1 : ops->event_query(feed->device, copied);
        if (done < 0 || (all && tr_device_await(feed->device, copied) < 0))
            return tr_device_failed(feed->device, error);
        if (done == 0)
            break;
        release_oldest(feed, source);
    }
    return 0;
}

static int claim_slot(struct tr_feed *feed, const struct tr_source *source,
                      const struct penstock_batch *batch, struct tr_error *error)
{
    if (feed->slot_bytes == 0 && make_slots(feed, source, error) < 0)
        return -1;
    if (batch->stride_bytes > 0 && feed->records_bytes == 0 &&
        allocate_records(feed, batch, error) < 0)
        return -1;
    size_t len_bytes = tr_batch_copy_bytes(batch);
    if (len_bytes > feed->slot_bytes ||
        (tr_batch_lends(batch) && tr_batch_records_bytes(batch) > feed->records_bytes))
        return tr_fail(error, "a batch of %zu bytes came after batches of at most %zu bytes",
                       len_bytes, feed->slot_bytes);
    if (feed->on_loan == feed->slot_count) {
        if (tr_device_await(feed->device, feed->slots[feed->next].copied) < 0)
            return tr_device_failed(feed->device, error);
        release_oldest(feed, source);
    }
    return 0;
}

/* The arrays of a batch whose bytes from base on, or rows, lie at `base` of the device. */
static struct tr_device_batch view_at(const struct penstock_batch *batch, void *base, uint32_t slot)
{
    struct penstock_batch there;
    if (tr_batch_lends(batch))
        tr_batch_rows_at(batch, base, &there);
    else
        tr_batch_at(batch, base, &there);
    return (struct tr_device_batch){.features = there.features,
                                    .labels = there.labels,
                                    .data = there.data,
                                    .weights = there.weights,
                                    .row_offsets = there.row_offsets,
                                    .columns = there.columns,
                                    .values = there.values,
                                    .host = batch,
                                    .slot = slot};
}

/* One copy of a batch of rows; of records one a run, so that they are one behind the other. */
static int upload(struct tr_feed *feed, const struct slot *slot, const struct penstock_batch *batch)
{
    struct tr_device *device = feed->device;
    size_t at = 0;
    int rc = 0;
    if (!tr_batch_lends(batch))
        return device->ops->upload(device, slot->memory, batch->base, batch->len_bytes);
    for (uint32_t i = 0; i < batch->run_count && rc == 0; i++) {
        size_t len_bytes = batch->runs[i].rows * batch->stride_bytes;
        rc = device->ops->upload(device, slot->records + at, batch->runs[i].data, len_bytes);
        at += len_bytes;
    }
    return rc;
}

/* What the host can see of a batch that lends records: its labels. */
static struct penstock_batch host_view(struct tr_feed *feed, const struct penstock_batch *batch)
{
    struct penstock_batch view = *batch;
    view.type = PENSTOCK_FLOAT32;
    view.len_bytes = tr_batch_records_bytes(batch);
    if (batch->label_dim > 0) {
        tr_batch_labels(batch, feed->labels);
        view.labels = feed->labels;
    }
    return view;
}

static int give_lent(struct tr_feed *feed, const struct tr_sink *sink,
                     const struct penstock_batch *batch, struct tr_device_batch *on_device,
                     struct tr_error *error)
{
    const struct penstock_batch host = host_view(feed, batch);
    const struct tr_gather_args gather = tr_batch_gather(
        batch, feed->slots[on_device->slot].records, (float *)(uintptr_t)on_device->features,
        (float *)(uintptr_t)on_device->labels);
    feed->stats.batches_lent++;
    on_device->host = &host;
    return give(feed, sink, &gather, on_device, error);
}

/* Gives one batch to both streams. The loan is taken over in every case. */
static int submit(struct tr_feed *feed, const struct tr_source *source, const struct tr_sink *sink,
                  const struct penstock_batch *batch, struct tr_error *error)
{
    struct tr_device *device = feed->device;
    const struct tr_device_ops *ops = device->ops;
    struct slot *slot = &feed->slots[feed->next];
    if (claim_slot(feed, source, batch, error) < 0) {
        source->release(source->cookie, batch);
        return -1;
    }
    struct tr_device_batch on_device = view_at(batch, slot->memory, feed->next);
    slot->loan = batch;
    feed->next = (feed->next + 1) % feed->slot_count;
    feed->on_loan++;
    if (ops->stream_wait(device, TR_STREAM_COPY, slot->used) < 0)
        return tr_device_failed(feed->device, error);
    if (upload(feed, slot, batch) < 0 ||
        ops->event_record(device, slot->copied, TR_STREAM_COPY) < 0)
        return tr_device_failed(feed->device, error);
    if (ops->stream_wait(device, TR_STREAM_COMPUTE, slot->copied) < 0)
        return tr_device_failed(feed->device, error);
    if (!batch->pinned && feed->given >= WARM_BATCHES)
        feed->stats.late_pageable_copies++;
    int rc = tr_batch_lends(batch) ? give_lent(feed, sink, batch, &on_device, error)
                                   : give(feed, sink, NULL, &on_device, error);
    if (ops->event_record(device, slot->used, TR_STREAM_COMPUTE) < 0 && rc == 0)
        return tr_device_failed(feed->device, error);
    return rc;
}

static int compute_in_place(struct tr_feed *feed, const struct tr_source *source,
                            const struct tr_sink *sink, const struct penstock_batch *batch,
                            struct tr_error *error)
{
    if (tr_batch_lends(batch)) {
        source->release(source->cookie, batch);
        return tr_fail(
            error,
            "framed=true is for devices with memory of their own, and %s has none: leave "
            "it out of the content type",
            feed->device->ops->name);
    }
    const struct tr_device_batch in_place = view_at(batch, batch->base, 0);
    int rc = give(feed, sink, NULL, &in_place, error);
    source->release(source->cookie, batch);
    return rc;
}

/* --- one batch again and again
 * --------------------------------------------------------------------
 */

void tr_feed_keep(struct tr_feed *feed)
{
    feed->keeping = true;
}

/* Without memory there is nothing to replay. */
static void keep(struct tr_feed *feed, const struct penstock_batch *batch)
{
    feed->keeping = false;
    feed->kept_memory = malloc(tr_batch_copy_bytes(batch));
    if (feed->kept_memory)
        tr_batch_copy(batch, feed->kept_memory, &feed->kept);
}

/* Where the kept batch is for the model: in host memory, or in the first slot. */
static int place_kept(struct tr_feed *feed, void **base, struct tr_error *error)
{
    const struct tr_device_ops *ops = feed->device->ops;
    struct slot *slot = &feed->slots[0];
    *base = feed->kept_memory;
    if (ops->reads_host_memory)
        return 0;
    *base = slot->memory;
    return tr_device_put(feed->device, slot->copied, slot->memory, feed->kept_memory,
                         feed->kept.len_bytes, error);
}

int tr_feed_replay(struct tr_feed *feed, const struct tr_sink *sink, double seconds,
                   double *steps_per_s, struct tr_error *error)
{
    const struct tr_device_ops *ops = feed->device->ops;
    struct slot *slot = &feed->slots[0];
    uint64_t steps = 0;
    void *base;
    *steps_per_s = 0.0;
    if (!feed->kept_memory)
        return 0;
    if (place_kept(feed, &base, error) < 0)
        return -1;
    const struct tr_device_batch batch = view_at(&feed->kept, base, 0);
    double from_s = tr_now_s();
    double now_s = from_s;
    while (now_s - from_s < seconds) {
        for (uint32_t i = 0; i < REPLAY_STEPS; i++, steps++) {
            if (sink->step(sink->cookie, &batch, error) < 0)
                return -1;
        }
        if (ops->event_record(feed->device, slot->used, TR_STREAM_COMPUTE) < 0 ||
            tr_device_await(feed->device, slot->used) < 0)
            return tr_device_failed(feed->device, error);
        now_s = tr_now_s();
    }
    *steps_per_s = (double)steps / (now_s - from_s);
    return 0;
}

/* Other feeds of the device, e.g. of validation, have their own passes. */
static void count_late(struct tr_feed *feed)
{
    const struct tr_device_counts *now = &feed->device->counts;
    if (feed->given <= WARM_BATCHES)
        return;
    feed->stats.late_allocs += now->allocs - feed->steady.allocs;
    feed->stats.late_host_waits += now->host_waits - feed->steady.host_waits;
}

int tr_feed_run(struct tr_feed *feed, const struct tr_source *source, const struct tr_sink *sink,
                int *source_rc, struct tr_error *error)
{
    bool in_place = feed->device->ops->reads_host_memory;
    int rc = 0;
    feed->in_pass = false;
    feed->steady = feed->device->counts;
    while (rc == 0) {
        const struct penstock_batch *batch;
        rc = retire(feed, source, false, error);
        if (rc < 0)
            break;
        *source_rc = source->next(source->cookie, feed->on_loan > 0 ? POLL_MS : -1, &batch);
        if (*source_rc == PENSTOCK_AGAIN)
            continue;
        if (*source_rc != PENSTOCK_OK)
            break;
        if (feed->keeping)
            keep(feed, batch);
        rc = in_place ? compute_in_place(feed, source, sink, batch, error)
                      : submit(feed, source, sink, batch, error);
    }
    count_late(feed);
    if (rc == 0)
        rc = retire(feed, source, true, error);
    if (rc < 0) { /* what the events say is not to be relied on */
        feed->device->ops->drain(feed->device);
        while (feed->on_loan > 0)
            release_oldest(feed, source);
    }
    return rc;
}
