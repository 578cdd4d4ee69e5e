/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/tally.h - sums over rows that kernels keep on the device, and reading them back.
 *
 * There are two sets (enum tr_sums), so that evaluation leaves the sums of training alone, each
 * with one struct tr_stats for every model that is trained on the same batches.
 *
 * Owner: the caller frees it before the device. Threads: the device's.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_TALLY_H
#define TRAINER_TALLY_H

#include "trainer/kernels.h"
#include "trainer/model.h"

struct tr_tally {
    struct tr_device *device;
    struct tr_group *group;
    uint32_t models;
    struct tr_stats *sums; /* (TR_SUMS_COUNT, models), device */
    struct tr_event *ready;
    struct tr_event *peeked;
    struct tr_stats *landing; /* (3, models), host: what was read, peeked, and peeked last */
    size_t landing_bytes;
    bool landing_pinned;
};

int tr_tally_open(struct tr_tally *tally, struct tr_device *device, struct tr_group *group,
                  uint32_t models, struct tr_error *error);

/* The device is idle. Also for one that was never opened: all zero. */
void tr_tally_close(struct tr_tally *tally);

/* Sums of `model` in a set, on the device. */
struct tr_stats *tr_tally_at(const struct tr_tally *tally, enum tr_sums which, uint32_t model);

/* Together: waits for the device and reads a set, `out` (models), with the sums of all ranks; with
 * `reset`, sets it to zero. */
int tr_tally_read(struct tr_tally *tally, enum tr_sums which, bool reset, struct tr_stats *out,
                  struct tr_error *error);

/* Together: both sets go to rank 0. */
int tr_tally_fold(struct tr_tally *tally, struct tr_error *error);

/* Of each rank alone, after a checkpoint was restored: both sets are rank 0's, and begin at nothing
 * on the others. */
int tr_tally_unfold(struct tr_tally *tally, struct tr_error *error);

/* Sums of training so far, of this rank alone, without waiting: each call starts a read-back and
 * returns what the latest finished one brought (all zero before the first). out (models). */
int tr_tally_peek(struct tr_tally *tally, struct tr_stats *out, struct tr_error *error);

/* Waits until all work given to the compute stream is done. */
int tr_tally_wait(struct tr_tally *tally, struct tr_error *error);

#endif
