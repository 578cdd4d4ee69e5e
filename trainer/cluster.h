/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cluster.h - kernels of k-means: which centre is nearest, the sum of each centre's rows,
 * and the centres' next places.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Units: rows. Matrices are row-major without gaps; a comment gives the shape.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_CLUSTER_H
#define TRAINER_CLUSTER_H

#include "trainer/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Centres as the kernels keep them. */
struct tr_centres {
    double *place;     /* (count, dim) */
    float *transposed; /* (dim, count): the same, rounded, for the matrix product */
    float *norm;       /* (count): squared lengths */
    double *weight;    /* (count): how many rows made the place, less what has decayed */
    uint32_t count;
    uint32_t dim;
};

/* Finds the centre nearest to every row, the first of several; adds the squared distances to
 * *stats. */
struct tr_nearest_args {
    struct tr_centres centres;
    const float *x;    /* (rows, dim) */
    float *product;    /* (rows, count), scratch */
    float *distance;   /* (rows): squared */
    uint32_t *nearest; /* (rows) */
    struct tr_stats *stats;
    uint32_t rows;
};

/* Adds every row to its centre's sum. */
struct tr_collect_args {
    const float *x;          /* (rows, dim) */
    const uint32_t *nearest; /* (rows), each less than count */
    double *sum;             /* (count, dim) */
    double *number;          /* (count): rows added */
    uint32_t rows;
    uint32_t dim;
    uint32_t count;
};

/* Moves the centres by what was collected, and clears that. With w = weight decay + number, a place
 * becomes place + (sum - number place) / w, and w the weight. A centre without rows stays. */
struct tr_move_args {
    struct tr_centres centres;
    double *sum;    /* (count, dim) */
    double *number; /* (count) */
    double decay;   /* 1: no row is forgotten; 0: all before are */
};

static inline int tr_launch_nearest(struct tr_device *device, const struct tr_nearest_args *args)
{
    return device->ops->launch(device, TR_KERNEL_NEAREST, args, sizeof *args);
}

static inline int tr_launch_collect(struct tr_device *device, const struct tr_collect_args *args)
{
    return device->ops->launch(device, TR_KERNEL_COLLECT, args, sizeof *args);
}

static inline int tr_launch_move(struct tr_device *device, const struct tr_move_args *args)
{
    return device->ops->launch(device, TR_KERNEL_MOVE, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
