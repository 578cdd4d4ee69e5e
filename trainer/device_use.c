/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_use.c - see trainer/device_use.h. */
#include "trainer/device_use.h"

#include <time.h>

#define BLOCK_ROWS_MULTIPLE 16U
#define WATCH_NS 20000L /* between two looks at an event that is watched */

int tr_device_failed(const struct tr_device *device, struct tr_error *error)
{
    return tr_fail(error, "device %s: %s", device->ops->name, device->error);
}

void *tr_device_allocate(struct tr_device *device, size_t n, size_t element_bytes,
                         struct tr_error *error)
{
    void *memory = NULL;
    if (device->ops->alloc(device, n * element_bytes, &memory) == 0)
        return memory;
    tr_device_failed(device, error);
    return NULL;
}

int tr_device_allocate_floats(struct tr_device *device, float **out, size_t n,
                              struct tr_error *error)
{
    float *memory = tr_device_allocate(device, n, sizeof *memory, error);
    if (!memory)
        return -1;
    *out = memory;
    return 0;
}

/* Some of the work may be under way: it is not waited for by an event any more. */
static int give_up(struct tr_device *device, struct tr_error *error)
{
    tr_device_failed(device, error);
    device->ops->drain(device);
    return -1;
}

int tr_device_await(struct tr_device *device, struct tr_event *event)
{
    int done = device->watch ? device->ops->event_query(device, event) : 1;
    if (done == 0)
        device->counts.host_waits++;
    while (done == 0) {
        if (device->watch(device->watch_cookie, device->error, sizeof device->error) < 0)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = WATCH_NS}, NULL);
        done = device->ops->event_query(device, event);
    }
    return done < 0 ? -1 : device->ops->event_wait(device, event);
}

int tr_device_wait(struct tr_device *device, struct tr_event *event, enum tr_stream stream,
                   struct tr_error *error)
{
    if (device->ops->event_record(device, event, stream) < 0 || tr_device_await(device, event) < 0)
        return give_up(device, error);
    return 0;
}

int tr_device_put(struct tr_device *device, struct tr_event *event, void *to, const void *from_host,
                  size_t len_bytes, struct tr_error *error)
{
    if (device->ops->upload(device, to, from_host, len_bytes) < 0)
        return give_up(device, error);
    return tr_device_wait(device, event, TR_STREAM_COPY, error);
}

int tr_device_take(struct tr_device *device, struct tr_event *event, void *to_host,
                   const void *from, size_t len_bytes, struct tr_error *error)
{
    if (device->ops->download(device, to_host, from, len_bytes) < 0)
        return give_up(device, error);
    return tr_device_wait(device, event, TR_STREAM_COMPUTE, error);
}

uint32_t tr_device_block_rows(const struct tr_device *device, size_t row_floats,
                              uint32_t batch_rows)
{
    size_t bound = device->ops->block_floats;
    size_t rows = bound > 0 ? bound / row_floats : batch_rows;
    if (rows > BLOCK_ROWS_MULTIPLE)
        rows -= rows % BLOCK_ROWS_MULTIPLE;
    if (rows > batch_rows)
        rows = batch_rows;
    return rows > 0 ? (uint32_t)rows : 1;
}
