/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_ranks.h - the rows of all ranks that a step of factorization machines learns from.
 *
 * A step changes the weights of the columns that the batch has, of which there are few, among all
 * that there are: no gradient is ever made whole. So ranks do not add up gradients: each tells all
 * what the update needs of its rows, and all make the same update, with the rows in the order of
 * ranks.
 *
 * Owner: the caller frees it before the device. Threads: the device's.
 */
#ifndef TRAINER_FM_RANKS_H
#define TRAINER_FM_RANKS_H

#include "pipe/penstock.h"
#include "trainer/group.h"

/* A batch's entries, and what came of its rows: device arrays. */
struct tr_fm_rows {
    const uint32_t *offsets; /* (count + 1) */
    const uint32_t *columns; /* (entries) */
    const float *values;     /* (entries) */
    const float *dz;         /* (count) */
    const float *sums;       /* (count, factor_count) */
    uint32_t count;
    uint32_t entries;
};

/* Words of memory. */
struct tr_fm_room {
    uint32_t *words;
    size_t count;
};

/* Set the first five; the rest is all zero before the first call. */
struct tr_fm_ranks {
    struct tr_group *group;
    struct tr_device *device;
    struct tr_event *ready; /* one that is not in use */
    uint32_t dim;
    uint32_t factor_count;
    struct tr_fm_room own;       /* what this rank tells */
    struct tr_fm_room all;       /* what all told, put together */
    struct tr_fm_room on_device; /* the same, where the device does not read host memory */
};

/* Together, and waits for the device: the rows of this rank's batch, which may be none, become
 * those of all ranks. They are valid until the next call. Returns 0, or -1 with *error. */
int tr_fm_ranks_join(struct tr_fm_ranks *ranks, const struct penstock_batch *host,
                     struct tr_fm_rows *rows, struct tr_error *error);

/* The device is idle. */
void tr_fm_ranks_free(struct tr_fm_ranks *ranks);

#endif
