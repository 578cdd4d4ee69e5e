/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_use.h - what those who use a device do again and again: memory and copies that are
 * waited for, away from the hot path, with errors in words.
 *
 * Owner: the caller. Threads: the device's.
 * Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_DEVICE_USE_H
#define TRAINER_DEVICE_USE_H

#include "trainer/device.h"
#include "trainer/error.h"

/* Says what the device said last. Returns -1. */
int tr_device_failed(const struct tr_device *device, struct tr_error *error);

/* Memory for n elements, filled with zeros; NULL, with *error, when there is none. */
void *tr_device_allocate(struct tr_device *device, size_t n, size_t element_bytes,
                         struct tr_error *error);

/* The same for floats; *out stays as it is when there is none. */
int tr_device_allocate_floats(struct tr_device *device, float **out, size_t n,
                              struct tr_error *error);

/* Waits for an event, and asks the device's watch meanwhile. Returns 0, or -1 with the reason in
 * device->error. */
int tr_device_await(struct tr_device *device, struct tr_event *event);

/* Waits until all work given to `stream` is done; `event` is any that is not in use. When that
 * fails, nothing of it is under way any more: host memory that was copied from or to can be freed.
 */
int tr_device_wait(struct tr_device *device, struct tr_event *event, enum tr_stream stream,
                   struct tr_error *error);

/* Copies to the device, or from it, and waits as tr_device_wait does. */
int tr_device_put(struct tr_device *device, struct tr_event *event, void *to, const void *from_host,
                  size_t len_bytes, struct tr_error *error);
int tr_device_take(struct tr_device *device, struct tr_event *event, void *to_host,
                   const void *from, size_t len_bytes, struct tr_error *error);

/* Rows of `row_floats` floats that a block should have for the device's block_floats, at least 1
 * and at most batch_rows: whole multiples of 16, when there are so many. */
uint32_t tr_device_block_rows(const struct tr_device *device, size_t row_floats,
                              uint32_t batch_rows);

#endif
