/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_math.h - the element-wise and row-wise maths of the linear model, one source for
 * gcc (cpu device) and nvcc (CUDA kernels), so that the two cannot drift apart.
 *
 * Owner: pure functions. Everything is float32; sums over rows are the caller's, in double.
 */
#ifndef TRAINER_LINEAR_MATH_H
#define TRAINER_LINEAR_MATH_H

#include "trainer/kernels.h"

#include <math.h>

#ifdef __CUDACC__
#define TR_FN static __device__ __host__ __forceinline__
#else
#define TR_FN static inline
#endif

TR_FN float tr_scale_one(float x, float mean, float inv_std)
{
    return (x - mean) * inv_std;
}

/* (z - t)^2; *dz receives its derivative. */
TR_FN float tr_squared_row(float z, float target, float *dz)
{
    float difference = z - target;
    *dz = 2.0F * difference;
    return difference * difference;
}

/* log(1 + exp(z)) - label z without overflow; *dz receives sigmoid(z) - label. */
TR_FN float tr_logistic_row(float z, float label, float *dz)
{
    float small = expf(-fabsf(z)); /* in (0, 1]: never overflows */
    float sigmoid = z >= 0.0F ? 1.0F / (1.0F + small) : small / (1.0F + small);
    *dz = sigmoid - label;
    return log1pf(small) + fmaxf(z, 0.0F) - label * z;
}

/* Cross entropy of softmax(z) with class `label`. dz (outputs) receives scale * (p - onehot), or is
 * NULL. *hit receives 1 when the first largest z is the label's, else 0. */
TR_FN float tr_softmax_row(const float *z, uint32_t outputs, uint32_t label, float scale, float *dz,
                           float *hit)
{
    uint32_t best = 0;
    float sum = 0.0F;
    for (uint32_t j = 1; j < outputs; j++) {
        if (z[j] > z[best])
            best = j;
    }
    float top = z[best];
    for (uint32_t j = 0; j < outputs; j++) {
        float e = expf(z[j] - top);
        if (dz)
            dz[j] = e;
        sum += e;
    }
    if (dz) {
        float factor = scale / sum;
        for (uint32_t j = 0; j < outputs; j++)
            dz[j] *= factor;
        dz[label] -= scale;
    }
    *hit = best == label ? 1.0F : 0.0F;
    return logf(sum) - (z[label] - top);
}

/* Loss of row `row`; fills its dz, *hit. */
TR_FN float tr_loss_row(const struct tr_loss_args *a, uint32_t row, float *hit)
{
    float label = a->labels[(size_t)row * a->label_dim];
    const float *z = a->z + (size_t)row * a->outputs;
    float *dz = a->dz ? a->dz + (size_t)row * a->outputs : NULL;
    float derivative;
    float loss;
    if (a->loss == TR_LOSS_SOFTMAX)
        return tr_softmax_row(z, a->outputs, (uint32_t)label, a->gradient_scale, dz, hit);
    if (a->loss == TR_LOSS_LOGISTIC) {
        loss = tr_logistic_row(z[0], label, &derivative);
        *hit = (z[0] > 0.0F) == (label > 0.5F) ? 1.0F : 0.0F;
    } else {
        float target = (label - a->label_mean) * a->label_inv_std;
        loss = tr_squared_row(z[0], target, &derivative);
        *hit = 0.0F;
    }
    if (dz)
        dz[0] = derivative * a->gradient_scale;
    return loss;
}

/* One weight's step. The penalties' gradients are wd * w and l1 * sign(w), with sign(0) = 0.
 * Adam as in Kingma and Ba (2015), algorithm 1; SGD with momentum: m = momentum m + g. */
TR_FN void tr_update_one(const struct tr_update_args *a, size_t i)
{
    float w = a->w[i];
    float sign = w > 0.0F ? 1.0F : (w < 0.0F ? -1.0F : 0.0F);
    float g = a->g[i] + a->wd * w + a->l1 * sign;
    if (a->optimizer == TR_OPTIMIZER_ADAM) {
        float m = a->beta1 * a->m[i] + (1.0F - a->beta1) * g;
        float v = a->beta2 * a->v[i] + (1.0F - a->beta2) * g * g;
        a->m[i] = m;
        a->v[i] = v;
        w -= a->learning_rate * (m * a->inv_bias1) / (sqrtf(v * a->inv_bias2) + a->epsilon);
    } else {
        float m = a->momentum * a->m[i] + g;
        a->m[i] = m;
        w -= a->learning_rate * m;
    }
    a->w[i] = w;
}

#endif
