/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/feed.c - see trainer/feed.h.
 *
 * tests/mutants/feed_*.patch take out one ordering each: tests/unit/test_feed.c must notice.
 */
#include "trainer/feed.h"

#include "trainer/batch.h"

#include <stdlib.h>

/* How long the source may block while copies are in flight whose host slots it may need. */
#define POLL_MS 1

struct slot {
    char *memory;                      /* on the device */
    struct tr_event *copied;           /* E1 */
    struct tr_event *used;             /* E2 */
    const struct penstock_batch *loan; /* host batch not yet released, or NULL */
};

struct tr_feed {
    struct tr_device *device;
    uint32_t slot_count;
    uint32_t next;     /* slot of the next batch */
    uint32_t on_loan;  /* slots with a loan: the `on_loan` ones before `next` */
    size_t slot_bytes; /* 0 until the first batch */
    struct slot slots[TR_FEED_SLOTS_MAX];
};

static int device_failed(const struct tr_feed *feed, struct tr_error *error)
{
    return tr_fail(error, "device %s: %s", feed->device->ops->name, feed->device->error);
}

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
            device_failed(feed, error);
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
        ops->dealloc(f->device, slot->memory);
    }
    free(f);
    *feed = NULL;
}

static int allocate_slots(struct tr_feed *feed, size_t slot_bytes, struct tr_error *error)
{
    for (uint32_t i = 0; i < feed->slot_count; i++) {
        void *memory;
        if (feed->device->ops->alloc(feed->device, slot_bytes, &memory) < 0)
            return device_failed(feed, error);
        feed->slots[i].memory = memory;
    }
    feed->slot_bytes = slot_bytes;
    return 0;
}

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
        if (done < 0 || (all && ops->event_wait(feed->device, copied) < 0))
            return device_failed(feed, error);
        if (done == 0)
            break;
        release_oldest(feed, source);
    }
    return 0;
}

static int claim_slot(struct tr_feed *feed, const struct tr_source *source,
                      const struct penstock_batch *batch, struct tr_error *error)
{
    if (feed->slot_bytes == 0 &&
        allocate_slots(feed, source->batch_bytes_max(source->cookie), error) < 0)
        return -1;
    if (batch->len_bytes > feed->slot_bytes)
        return tr_fail(error, "a batch of %zu bytes came after batches of at most %zu bytes",
                       batch->len_bytes, feed->slot_bytes);
    if (feed->on_loan == feed->slot_count) {
        if (feed->device->ops->event_wait(feed->device, feed->slots[feed->next].copied) < 0)
            return device_failed(feed, error);
        release_oldest(feed, source);
    }
    return 0;
}

/* The arrays of a batch whose bytes from base on lie at `base` of the device. */
static struct tr_device_batch view_at(const struct penstock_batch *batch, void *base)
{
    struct penstock_batch there;
    tr_batch_at(batch, base, &there);
    return (struct tr_device_batch){.features = there.features,
                                    .labels = there.labels,
                                    .data = there.data,
                                    .weights = there.weights,
                                    .row_offsets = there.row_offsets,
                                    .columns = there.columns,
                                    .values = there.values,
                                    .host = batch};
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
    const struct tr_device_batch on_device = view_at(batch, slot->memory);
    slot->loan = batch;
    feed->next = (feed->next + 1) % feed->slot_count;
    feed->on_loan++;
    if (ops->stream_wait(device, TR_STREAM_COPY, slot->used) < 0)
        return device_failed(feed, error);
    if (ops->upload(device, slot->memory, batch->base, batch->len_bytes) < 0 ||
        ops->event_record(device, slot->copied, TR_STREAM_COPY) < 0)
        return device_failed(feed, error);
    if (ops->stream_wait(device, TR_STREAM_COMPUTE, slot->copied) < 0)
        return device_failed(feed, error);
    int rc = sink->step(sink->cookie, &on_device, error);
    if (ops->event_record(device, slot->used, TR_STREAM_COMPUTE) < 0 && rc == 0)
        return device_failed(feed, error);
    return rc;
}

static int compute_in_place(const struct tr_source *source, const struct tr_sink *sink,
                            const struct penstock_batch *batch, struct tr_error *error)
{
    const struct tr_device_batch in_place = view_at(batch, batch->base);
    int rc = sink->step(sink->cookie, &in_place, error);
    source->release(source->cookie, batch);
    return rc;
}

int tr_feed_run(struct tr_feed *feed, const struct tr_source *source, const struct tr_sink *sink,
                int *source_rc, struct tr_error *error)
{
    bool in_place = feed->device->ops->reads_host_memory;
    int rc = 0;
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
        rc = in_place ? compute_in_place(source, sink, batch, error)
                      : submit(feed, source, sink, batch, error);
    }
    if (rc == 0)
        rc = retire(feed, source, true, error);
    if (rc < 0) { /* what the events say is not to be relied on */
        feed->device->ops->drain(feed->device);
        while (feed->on_loan > 0)
            release_oldest(feed, source);
    }
    return rc;
}
