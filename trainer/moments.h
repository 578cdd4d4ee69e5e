/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/moments.h - kernels that learn the mean and the covariance of rows, block by block, and a
 * checksum of rows in any order.
 *
 * A block's rows are centred on their own mean, multiplied in float32, and merged in double into
 * what the blocks before gave (Chan, Golub and LeVeque 1983): a column far from zero, or one whose
 * mean drifts while the data goes by, loses no digits.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Units: rows. Matrices are row-major without gaps; a comment gives the shape.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_MOMENTS_H
#define TRAINER_MOMENTS_H

#include "trainer/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Merges rows into mean, square and product: with m their mean,
 *   square[i]      sum of (x[i] - m[i])^2
 *   product[i][k]  sum of (x[i] - m[i]) ((x - m) omega)[k]; without omega, of (x[i] - m[i])
 *                  (x[k] - m[k]), for k >= i only */
struct tr_moments_args {
    const float *x;     /* (rows, dim) */
    const float *omega; /* (dim, width), or NULL: the identity, and width is dim */
    double *mean;       /* (dim) */
    double *square;     /* (dim) */
    double *product;    /* (dim, width) */
    float *y;           /* (rows, dim), scratch as all that follow: the centred rows */
    float *z;           /* (rows, width): y omega; NULL without omega */
    float *gram;        /* (dim, width): y' z */
    float *shift;       /* (dim) */
    double *block;      /* (2, dim): sums of y, and of its squares */
    double *projected;  /* (2, width): of the sums of y, and of the change of mean, by omega */
    double rows_before; /* merged so far */
    uint32_t rows;
    uint32_t dim;
    uint32_t width;
};

/* *sum += mix(bits of a row . key) for every row, modulo 2^64: the same for the same rows in
 * whatever order; a row that is lost, repeated or changed in any bit changes it. `key` makes it a
 * universal hash: see tr_checksum_key in trainer/moments_math.h. */
struct tr_checksum_args {
    const float *x;      /* (rows, dim) */
    const uint64_t *key; /* (dim) */
    uint64_t *sum;
    uint32_t rows;
    uint32_t dim;
};

static inline int tr_launch_moments(struct tr_device *device, const struct tr_moments_args *args)
{
    return device->ops->launch(device, TR_KERNEL_MOMENTS, args, sizeof *args);
}

static inline int tr_launch_checksum(struct tr_device *device, const struct tr_checksum_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CHECKSUM, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
