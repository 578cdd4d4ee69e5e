/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_kernels.h - the prediction of factorization machines (Rendle 2010):
 *
 *   z = bias + sum(w[i] x[i]) + sum over pairs i < j of <v[i], v[j]> x[i] x[j]
 *
 * taken in linear time, by sum over factors f of (sums[f]^2 - sum((v[i, f] x[i])^2)) / 2 with
 * sums[f] = sum(v[i, f] x[i]). The entries of a row are its features: a column that comes twice is
 * two features with the same weights.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_FM_KERNELS_H
#define TRAINER_FM_KERNELS_H

#include "trainer/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tr_fm_forward_args {
    const uint32_t *row_offsets; /* (rows + 1) */
    const uint32_t *columns;     /* (row_offsets[rows]) */
    const float *values;
    const float *bias;    /* (1) */
    const float *linear;  /* (dim) */
    const float *factors; /* (dim, factor_count) */
    float *z;             /* (rows) */
    float *sums;          /* (rows, factor_count) */
    uint32_t rows;
    uint32_t factor_count;
};

static inline int tr_launch_fm_forward(struct tr_device *device,
                                       const struct tr_fm_forward_args *args)
{
    return device->ops->launch(device, TR_KERNEL_FM_FORWARD, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
