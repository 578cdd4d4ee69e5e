/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/tally.c - see trainer/tally.h. */
#include "trainer/tally.h"

#include "trainer/device_use.h"

#include <stdlib.h>
#include <string.h>

/* Host memory that downloads fill has pages of its own, so that it can be pinned: a download into
 * other memory would make the host wait. */
#define PAGE_BYTES 4096U

enum { LANDING_READ, LANDING_PEEK, LANDING_PEEKED_LAST, LANDING_COUNT };

static struct tr_stats *landing_at(const struct tr_tally *tally, uint32_t part)
{
    return tally->landing + (size_t)part * tally->models;
}

static size_t set_bytes(const struct tr_tally *tally)
{
    return tally->models * sizeof(struct tr_stats);
}

int tr_tally_open(struct tr_tally *tally, struct tr_device *device, struct tr_group *group,
                  uint32_t models, struct tr_error *error)
{
    const struct tr_device_ops *ops = device->ops;
    void *sums;
    *tally = (struct tr_tally){.device = device, .group = group, .models = models};
    size_t pages = (LANDING_COUNT * set_bytes(tally) + PAGE_BYTES - 1) / PAGE_BYTES;
    tally->landing_bytes = pages * PAGE_BYTES;
    tally->landing = aligned_alloc(PAGE_BYTES, tally->landing_bytes);
    if (!tally->landing)
        return tr_fail(error, "no memory");
    memset(tally->landing, 0, tally->landing_bytes);
    tally->landing_pinned = ops->pin && ops->pin(device, tally->landing, tally->landing_bytes) == 0;
    if (ops->event_new(device, &tally->ready) < 0 || ops->event_new(device, &tally->peeked) < 0 ||
        ops->alloc(device, TR_SUMS_COUNT * set_bytes(tally), &sums) < 0)
        return tr_device_failed(tally->device, error);
    tally->sums = sums;
    return 0;
}

void tr_tally_close(struct tr_tally *tally)
{
    if (!tally->device)
        return;
    const struct tr_device_ops *ops = tally->device->ops;
    ops->dealloc(tally->device, tally->sums);
    ops->event_free(tally->device, tally->ready);
    ops->event_free(tally->device, tally->peeked);
    if (tally->landing_pinned)
        ops->unpin(tally->device, tally->landing, tally->landing_bytes);
    free(tally->landing);
    *tally = (struct tr_tally){0};
}

struct tr_stats *tr_tally_at(const struct tr_tally *tally, enum tr_sums which, uint32_t model)
{
    return tally->sums + (size_t)which * tally->models + model;
}

int tr_tally_wait(struct tr_tally *tally, struct tr_error *error)
{
    return tr_device_wait(tally->device, tally->ready, TR_STREAM_COMPUTE, error);
}

int tr_tally_read(struct tr_tally *tally, enum tr_sums which, bool reset, struct tr_stats *out,
                  struct tr_error *error)
{
    const struct tr_device_ops *ops = tally->device->ops;
    struct tr_stats *sums = tr_tally_at(tally, which, 0);
    struct tr_stats *read = landing_at(tally, LANDING_READ);
    if (ops->download(tally->device, read, sums, set_bytes(tally)) < 0 ||
        (reset && ops->zero(tally->device, sums, set_bytes(tally)) < 0))
        return tr_device_failed(tally->device, error);
    if (tr_tally_wait(tally, error) < 0)
        return -1;
    memcpy(out, read, set_bytes(tally));
    if (tr_group_sum(tally->group, out, set_bytes(tally) / sizeof(double), TR_NUMBER_DOUBLE,
                     error) < 0)
        return -1;
    if (reset && which == TR_SUMS_TRAIN) /* a peek that was under way is done as well */
        memset(landing_at(tally, LANDING_PEEK), 0, 2 * set_bytes(tally));
    return 0;
}

/* Of both sets. */
static size_t numbers_of(const struct tr_tally *tally)
{
    return TR_SUMS_COUNT * set_bytes(tally) / sizeof(double);
}

int tr_tally_fold(struct tr_tally *tally, struct tr_error *error)
{
    return tr_group_fold_on(tally->group, tally->device, tally->sums, numbers_of(tally),
                            TR_NUMBER_DOUBLE, error);
}

int tr_tally_unfold(struct tr_tally *tally, struct tr_error *error)
{
    return tr_group_unfold_on(tally->group, tally->device, tally->sums, numbers_of(tally),
                              TR_NUMBER_DOUBLE, error);
}

int tr_tally_peek(struct tr_tally *tally, struct tr_stats *out, struct tr_error *error)
{
    const struct tr_device_ops *ops = tally->device->ops;
    struct tr_stats *peek = landing_at(tally, LANDING_PEEK);
    struct tr_stats *last = landing_at(tally, LANDING_PEEKED_LAST);
    int done = ops->event_query(tally->device, tally->peeked);
    if (done < 0)
        return tr_device_failed(tally->device, error);
    if (done > 0) {
        memcpy(last, peek, set_bytes(tally));
        if (ops->download(tally->device, peek, tr_tally_at(tally, TR_SUMS_TRAIN, 0),
                          set_bytes(tally)) < 0 ||
            ops->event_record(tally->device, tally->peeked, TR_STREAM_COMPUTE) < 0)
            return tr_device_failed(tally->device, error);
    }
    memcpy(out, last, set_bytes(tally));
    return 0;
}
