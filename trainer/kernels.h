/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kernels.h - the arithmetic that dense models share: what each kernel takes and gives.
 *
 * A kernel runs on the compute stream (device->ops->launch). Its cpu implementation is in
 * the cpu_ files (the table: trainer/cpu_kernels.h), its CUDA one in the .cu files. Models with
 * kernels of their own have a header of their own; all are listed in enum tr_kernel.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Units: rows. Matrices are row-major float32 without gaps; a comment gives the shape.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_KERNELS_H
#define TRAINER_KERNELS_H

#include "trainer/device.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tr_loss { TR_LOSS_SQUARED = 0, TR_LOSS_LOGISTIC = 1, TR_LOSS_SOFTMAX = 2 };

enum tr_optimizer { TR_OPTIMIZER_SGD = 0, TR_OPTIMIZER_ADAM = 1 };

/* Sums over rows, kept on the device. */
struct tr_stats {
    double loss_sum;
    double correct; /* rows whose class was predicted; 0 for TR_LOSS_SQUARED */
    double rows;
};

/* y = (x - mean) * inv_std, column by column. */
struct tr_scale_args {
    const float *x;       /* (rows, dim) */
    const float *mean;    /* (dim) */
    const float *inv_std; /* (dim) */
    float *y;             /* (rows, dim); not x */
    uint32_t rows;
    uint32_t dim;
};

/* z = x w + b. */
struct tr_forward_args {
    const float *x; /* (rows, dim) */
    const float *w; /* (dim, outputs) */
    const float *b; /* (outputs) */
    float *z;       /* (rows, outputs) */
    uint32_t rows;
    uint32_t dim;
    uint32_t outputs;
};

/* Adds the rows' losses and hits to *stats and gives the gradient of gradient_scale * sum(loss).
 *   squared   (z - t)^2 with t = (label - label_mean) * label_inv_std; outputs is 1
 *   logistic  log(1 + exp(z)) - label * z, label 0 or 1; outputs is 1
 *   softmax   log(sum(exp(z))) - z[label]; label in [0, outputs): the caller has checked it */
struct tr_loss_args {
    enum tr_loss loss;
    const float *z;      /* (rows, outputs) */
    const float *labels; /* (rows, label_dim); column 0 is the label */
    uint32_t label_dim;
    uint32_t rows;
    uint32_t outputs;
    float label_mean;
    float label_inv_std;
    float gradient_scale;
    float *dz;       /* (rows, outputs), or NULL when no gradient is wanted */
    float *row_loss; /* (rows), scratch */
    float *row_hit;  /* (rows), scratch */
    struct tr_stats *stats;
};

/* dw = x' dz and db = column sums of dz; added to dw and db when accumulate. */
struct tr_gradient_args {
    const float *x;  /* (rows, dim) */
    const float *dz; /* (rows, outputs) */
    float *dw;       /* (dim, outputs) */
    float *db;       /* (outputs) */
    uint32_t rows;
    uint32_t dim;
    uint32_t outputs;
    bool accumulate;
};

/* One optimizer step on n weights: see tr_update_one in trainer/linear_math.h. */
struct tr_update_args {
    enum tr_optimizer optimizer;
    float *w;       /* (n) */
    const float *g; /* (n) */
    float *m;       /* (n): momentum, or Adam's first moment */
    float *v;       /* (n): Adam's second moment; unused by SGD */
    size_t n;
    float learning_rate;
    float momentum; /* SGD */
    float beta1;    /* Adam */
    float beta2;
    float inv_bias1; /* 1 / (1 - beta1^t), likewise 2 */
    float inv_bias2;
    float epsilon;
    float wd; /* weight of w^2 / 2 */
    float l1; /* weight of |w| */
};

static inline int tr_launch_scale(struct tr_device *device, const struct tr_scale_args *args)
{
    return device->ops->launch(device, TR_KERNEL_SCALE, args, sizeof *args);
}

static inline int tr_launch_forward(struct tr_device *device, const struct tr_forward_args *args)
{
    return device->ops->launch(device, TR_KERNEL_FORWARD, args, sizeof *args);
}

static inline int tr_launch_loss(struct tr_device *device, const struct tr_loss_args *args)
{
    return device->ops->launch(device, TR_KERNEL_LOSS, args, sizeof *args);
}

static inline int tr_launch_gradient(struct tr_device *device, const struct tr_gradient_args *args)
{
    return device->ops->launch(device, TR_KERNEL_GRADIENT, args, sizeof *args);
}

static inline int tr_launch_update(struct tr_device *device, const struct tr_update_args *args)
{
    return device->ops->launch(device, TR_KERNEL_UPDATE, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
