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

enum tr_loss {
    TR_LOSS_SQUARED = 0,
    TR_LOSS_LOGISTIC,
    TR_LOSS_SOFTMAX,
    TR_LOSS_HINGE,
    TR_LOSS_ABSOLUTE,
    TR_LOSS_HUBER,
    TR_LOSS_QUANTILE,
    TR_LOSS_EPS_SQUARED,
    TR_LOSS_EPS_ABSOLUTE,
    TR_LOSS_COUNT
};

enum tr_optimizer { TR_OPTIMIZER_SGD = 0, TR_OPTIMIZER_ADAM = 1 };

/* Sums over rows, kept on the device. Only loss_sum knows of weights. */
struct tr_stats {
    double loss_sum;
    double rows;
    double correct;       /* rows whose class was predicted */
    double correct_top;   /* softmax: rows whose class is among the top_k of largest z */
    double true_positive; /* classes 0 and 1: rows of class 1 predicted as such */
    double false_positive;
    double false_negative;
    double squared; /* regression: of z - t, likewise the next */
    double absolute;
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

/* Adds the rows' losses and scores to *stats and gives the gradient of gradient_scale * sum(weight
 * * loss), where a row's weight is that of the record times that of its class.
 *
 *   softmax       log(sum(exp(z))) - z[label]; label in [0, outputs): the caller has checked it
 *   logistic      log(1 + exp(z)) - label * z; label 0 or 1, outputs is 1: likewise
 *   hinge         max(0, parameter - z) for label 1, max(0, parameter + z) for label 0
 *
 * and with d = z - t, t = (label - label_mean) * label_inv_std; outputs is 1:
 *   squared       d^2
 *   absolute      |d|
 *   huber         d^2 / 2 where |d| <= parameter, else parameter * (|d| - parameter / 2)
 *   quantile      parameter * -d where d < 0, else (1 - parameter) * d
 *   eps squared   max(0, |d| - parameter)^2, eps absolute: likewise without the square
 *
 * Where a loss has a kink its derivative is taken to be 0. */
struct tr_loss_args {
    enum tr_loss loss;
    const float *z;      /* (rows, outputs), rows z_stride apart */
    const float *labels; /* (rows, label_dim); column 0 is the label */
    uint32_t label_dim;
    uint32_t rows;
    uint32_t outputs;
    uint32_t z_stride; /* of z and dz; 0: outputs */
    float label_mean;
    float label_inv_std;
    float parameter;
    float gradient_scale;
    uint32_t top_k;             /* softmax; 0: not counted */
    const float *weights;       /* (rows), or NULL: 1 */
    const float *class_weights; /* (outputs), or (2) for labels 0 and 1; NULL: 1 */
    float *dz;                  /* (rows, outputs), or NULL when no gradient is wanted */
    float *row_loss;            /* (rows), scratch, as the next */
    float *row_hit;             /* enum tr_row_flags added up */
    float *row_error;           /* z - t; NULL where `squared` and `absolute` are not wanted */
    struct tr_stats *stats;
};

/* What a row of a class was. */
enum tr_row_flags {
    TR_ROW_CORRECT = 1,
    TR_ROW_CORRECT_TOP = 2,
    TR_ROW_SAID_POSITIVE = 4,
    TR_ROW_IS_POSITIVE = 8
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
    uint32_t run;    /* they lie in runs of so many; 0: in one */
    uint32_t stride; /* whose starts are so far apart */
    float learning_rate;
    float momentum; /* SGD */
    float beta1;    /* Adam */
    float beta2;
    float inv_bias1; /* 1 / (1 - beta1^t), likewise 2 */
    float inv_bias2;
    float epsilon;
    float wd;   /* weight of w^2 / 2 */
    float l1;   /* weight of |w| */
    float clip; /* bound on the gradient with both penalties; 0: none */
};

/* sums = column sums of x, taken in double. */
struct tr_sum_args {
    const float *x; /* (rows, columns) */
    float *sums;    /* (columns) */
    uint32_t rows;
    uint32_t columns;
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

static inline int tr_launch_sum(struct tr_device *device, const struct tr_sum_args *args)
{
    return device->ops->launch(device, TR_KERNEL_SUM, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
