/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/sums.c - see trainer/sums.h. */
#include "trainer/sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Host memory that downloads fill: a page of its own, so that it can be pinned. A download into
 * other memory would make the host wait. */
struct tr_landing {
    struct tr_stats read;
    struct tr_stats peek;
};

#define LANDING_BYTES 4096U

int tr_sums_open(struct tr_sum_reader *reader, struct tr_device *device)
{
    const struct tr_device_ops *ops = device->ops;
    void *sums;
    reader->device = device;
    if (ops->event_new(device, &reader->ready) < 0 || ops->event_new(device, &reader->peeked) < 0 ||
        ops->alloc(device, TR_SUMS_COUNT * sizeof *reader->sums, &sums) < 0)
        return -1;
    reader->sums = sums;
    reader->landing = aligned_alloc(LANDING_BYTES, LANDING_BYTES);
    if (!reader->landing) {
        snprintf(device->error, sizeof device->error, "no memory");
        return -1;
    }
    memset(reader->landing, 0, LANDING_BYTES);
    reader->landing_pinned = ops->pin && ops->pin(device, reader->landing, LANDING_BYTES) == 0;
    return 0;
}

void tr_sums_close(struct tr_sum_reader *reader)
{
    struct tr_device *device = reader->device;
    if (!device)
        return;
    device->ops->dealloc(device, reader->sums);
    device->ops->event_free(device, reader->ready);
    device->ops->event_free(device, reader->peeked);
    if (reader->landing_pinned)
        device->ops->unpin(device, reader->landing, LANDING_BYTES);
    free(reader->landing);
    memset(reader, 0, sizeof *reader);
}

int tr_sums_wait(struct tr_sum_reader *reader)
{
    const struct tr_device_ops *ops = reader->device->ops;
    if (ops->event_record(reader->device, reader->ready, TR_STREAM_COMPUTE) < 0)
        return -1;
    return ops->event_wait(reader->device, reader->ready);
}

int tr_sums_take(struct tr_sum_reader *reader, enum tr_sums which, struct tr_stats *out)
{
    const struct tr_device_ops *ops = reader->device->ops;
    struct tr_stats *sums = reader->sums + which;
    if (ops->download(reader->device, &reader->landing->read, sums, sizeof *sums) < 0 ||
        ops->zero(reader->device, sums, sizeof *sums) < 0 || tr_sums_wait(reader) < 0)
        return -1;
    *out = reader->landing->read;
    if (which == TR_SUMS_TRAIN) { /* a peek that was under way is done as well */
        memset(&reader->landing->peek, 0, sizeof reader->landing->peek);
        memset(&reader->peek_last, 0, sizeof reader->peek_last);
    }
    return 0;
}

int tr_sums_peek(struct tr_sum_reader *reader, struct tr_stats *out)
{
    const struct tr_device_ops *ops = reader->device->ops;
    int done = ops->event_query(reader->device, reader->peeked);
    if (done < 0)
        return -1;
    if (done > 0) {
        reader->peek_last = reader->landing->peek;
        if (ops->download(reader->device, &reader->landing->peek, reader->sums + TR_SUMS_TRAIN,
                          sizeof reader->landing->peek) < 0 ||
            ops->event_record(reader->device, reader->peeked, TR_STREAM_COMPUTE) < 0)
            return -1;
    }
    *out = reader->peek_last;
    return 0;
}
