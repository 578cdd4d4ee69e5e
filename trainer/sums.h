/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/sums.h - the sums of a model's losses, kept on the device, and how the host reads them:
 * waiting, or in passing.
 *
 * Owner: the caller owns the struct, the struct its memory. Threads: the device's thread.
 * Errors: int functions return 0, or -1 with the reason in device->error.
 */
#ifndef TRAINER_SUMS_H
#define TRAINER_SUMS_H

#include "trainer/kernels.h"
#include "trainer/model.h"

struct tr_sum_reader {
    struct tr_device *device;
    struct tr_stats *sums; /* (TR_SUMS_COUNT), device memory */
    struct tr_event *ready;
    struct tr_event *peeked;
    struct tr_landing *landing;
    bool landing_pinned;
    struct tr_stats peek_last;
};

/* `reader` is zeros. On failure it is to be closed as well. */
int tr_sums_open(struct tr_sum_reader *reader, struct tr_device *device);
void tr_sums_close(struct tr_sum_reader *reader); /* accepts one of zeros; the device is drained */

/* Waits until the compute stream has done all it was given. */
int tr_sums_wait(struct tr_sum_reader *reader);

/* Waits for the device, reads one set and sets it to zero. */
int tr_sums_take(struct tr_sum_reader *reader, enum tr_sums which, struct tr_stats *out);

/* Sums of training so far without waiting: each call starts a read-back and gives what the latest
 * finished one brought (all zero before the first). */
int tr_sums_peek(struct tr_sum_reader *reader, struct tr_stats *out);

#endif
