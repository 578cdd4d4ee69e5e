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

/* A loss of d = z - t; *dz receives its derivative. */
TR_FN float tr_distance_row(enum tr_loss loss, float d, float parameter, float *dz)
{
    float size = fabsf(d);
    float sign = d > 0.0F ? 1.0F : (d < 0.0F ? -1.0F : 0.0F);
    float outside = fmaxf(size - parameter, 0.0F);
    float slope = d > 0.0F ? 1.0F - parameter : -parameter;
    if (loss == TR_LOSS_SQUARED) {
        *dz = 2.0F * d;
        return d * d;
    }
    if (loss == TR_LOSS_HUBER) {
        *dz = size <= parameter ? d : parameter * sign;
        return size <= parameter ? 0.5F * d * d : parameter * (size - 0.5F * parameter);
    }
    if (loss == TR_LOSS_QUANTILE) {
        *dz = sign == 0.0F ? 0.0F : slope;
        return d * slope;
    }
    if (loss == TR_LOSS_EPS_SQUARED) {
        *dz = 2.0F * outside * sign;
        return outside * outside;
    }
    if (loss == TR_LOSS_EPS_ABSOLUTE) {
        *dz = outside > 0.0F ? sign : 0.0F;
        return outside;
    }
    *dz = sign;
    return size;
}

/* max(0, margin - y z), y = 1 for label 1 and -1 for label 0; *dz receives its derivative. */
TR_FN float tr_hinge_row(float z, float label, float margin, float *dz)
{
    float y = label > 0.5F ? 1.0F : -1.0F;
    float missing = margin - y * z;
    *dz = missing > 0.0F ? -y : 0.0F;
    return missing > 0.0F ? missing : 0.0F;
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
 * NULL. *before receives how many classes come before the label's, by z and then by number. */
TR_FN float tr_softmax_row(const float *z, uint32_t outputs, uint32_t label, float scale, float *dz,
                           uint32_t *before)
{
    uint32_t best = 0;
    uint32_t higher = 0;
    float sum = 0.0F;
    for (uint32_t j = 0; j < outputs; j++) {
        if (z[j] > z[best])
            best = j;
        higher += z[j] > z[label] || (z[j] == z[label] && j < label) ? 1U : 0U;
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
    *before = higher;
    return logf(sum) - (z[label] - top);
}

TR_FN float tr_row_weight(const struct tr_loss_args *a, uint32_t row, uint32_t label)
{
    float weight = a->weights ? a->weights[row] : 1.0F;
    return a->class_weights ? weight * a->class_weights[label] : weight;
}

TR_FN float tr_class_row(const struct tr_loss_args *a, uint32_t row, const float *z, float *dz,
                         float *flags)
{
    uint32_t label = (uint32_t)a->labels[(size_t)row * a->label_dim];
    uint32_t before;
    float weight = tr_row_weight(a, row, label);
    float loss = tr_softmax_row(z, a->outputs, label, weight * a->gradient_scale, dz, &before);
    *flags =
        (float)((before == 0 ? TR_ROW_CORRECT : 0) + (before < a->top_k ? TR_ROW_CORRECT_TOP : 0));
    return weight * loss;
}

TR_FN float tr_binary_row(const struct tr_loss_args *a, uint32_t row, float z, float *dz,
                          float *flags)
{
    float label = a->labels[(size_t)row * a->label_dim];
    bool said = z > 0.0F;
    bool is = label > 0.5F;
    float derivative;
    float weight = tr_row_weight(a, row, is ? 1 : 0);
    float loss = a->loss == TR_LOSS_HINGE ? tr_hinge_row(z, label, a->parameter, &derivative)
                                          : tr_logistic_row(z, label, &derivative);
    *flags = (float)((said == is ? TR_ROW_CORRECT : 0) + (said ? TR_ROW_SAID_POSITIVE : 0) +
                     (is ? TR_ROW_IS_POSITIVE : 0));
    if (dz)
        dz[0] = derivative * (weight * a->gradient_scale);
    return weight * loss;
}

/* Weighted loss of row `row`; fills its dz and *flags, and row_error. */
TR_FN float tr_loss_row(const struct tr_loss_args *a, uint32_t row, float *flags)
{
    uint32_t stride = a->z_stride > 0 ? a->z_stride : a->outputs;
    const float *z = a->z + (size_t)row * stride;
    float *dz = a->dz ? a->dz + (size_t)row * stride : NULL;
    float derivative;
    if (a->loss == TR_LOSS_SOFTMAX)
        return tr_class_row(a, row, z, dz, flags);
    if (a->loss == TR_LOSS_LOGISTIC || a->loss == TR_LOSS_HINGE)
        return tr_binary_row(a, row, z[0], dz, flags);
    float weight = a->weights ? a->weights[row] : 1.0F;
    float label = a->labels[(size_t)row * a->label_dim];
    float d = z[0] - (label - a->label_mean) * a->label_inv_std;
    float loss = tr_distance_row(a->loss, d, a->parameter, &derivative);
    *flags = 0.0F;
    if (a->row_error)
        a->row_error[row] = d;
    if (dz)
        dz[0] = derivative * (weight * a->gradient_scale);
    return weight * loss;
}

/* Adds what a row was to the sums. */
TR_FN void tr_count_row(const struct tr_loss_args *a, uint32_t row, float loss, float flags,
                        struct tr_stats *sums)
{
    uint32_t is = (uint32_t)flags;
    bool said = (is & TR_ROW_SAID_POSITIVE) != 0;
    bool positive = (is & TR_ROW_IS_POSITIVE) != 0;
    double d = a->row_error ? (double)a->row_error[row] : 0.0;
    sums->loss_sum += (double)loss;
    sums->rows += 1.0;
    sums->correct += (is & TR_ROW_CORRECT) != 0 ? 1.0 : 0.0;
    sums->correct_top += (is & TR_ROW_CORRECT_TOP) != 0 ? 1.0 : 0.0;
    sums->true_positive += said && positive ? 1.0 : 0.0;
    sums->false_positive += said && !positive ? 1.0 : 0.0;
    sums->false_negative += !said && positive ? 1.0 : 0.0;
    sums->squared += d * d;
    sums->absolute += fabs(d);
}

TR_FN void tr_add_stats(struct tr_stats *to, const struct tr_stats *sums)
{
    to->loss_sum += sums->loss_sum;
    to->rows += sums->rows;
    to->correct += sums->correct;
    to->correct_top += sums->correct_top;
    to->true_positive += sums->true_positive;
    to->false_positive += sums->false_positive;
    to->false_negative += sums->false_negative;
    to->squared += sums->squared;
    to->absolute += sums->absolute;
}

/* One weight's step with gradient g: returns the weight and replaces the optimizer's memory of it,
 * *m and *v. The penalties' gradients are wd * w and l1 * sign(w), with sign(0) = 0.
 * Adam as in Kingma and Ba (2015), algorithm 1; SGD with momentum: m = momentum m + g. */
TR_FN float tr_update_value(const struct tr_update_args *a, float w, float g, float *m, float *v)
{
    float sign = (float)((w > 0.0F) - (w < 0.0F));
    float most = a->clip > 0.0F ? a->clip : INFINITY;
    g = g + a->wd * w + a->l1 * sign;
    g = g > most ? most : g; /* NaN stays NaN */
    g = g < -most ? -most : g;
    if (a->optimizer == TR_OPTIMIZER_ADAM) {
        *m = a->beta1 * *m + (1.0F - a->beta1) * g;
        *v = a->beta2 * *v + (1.0F - a->beta2) * g * g;
        return w - a->learning_rate * (*m * a->inv_bias1) / (sqrtf(*v * a->inv_bias2) + a->epsilon);
    }
    *m = a->momentum * *m + g;
    return w - a->learning_rate * *m;
}

/* inv_bias1 or inv_bias2 of the step after so many, on the host: the devices' pow differs. */
static inline float tr_inv_bias(double beta, uint64_t steps)
{
    return (float)(1.0 / (1.0 - pow(beta, (double)steps + 1.0)));
}

TR_FN size_t tr_update_index(const struct tr_update_args *a, size_t i)
{
    return a->run > 0 ? i / a->run * a->stride + i % a->run : i;
}

TR_FN void tr_update_one(const struct tr_update_args *a, size_t i)
{
    a->w[i] = tr_update_value(a, a->w[i], a->g[i], &a->m[i], &a->v[i]);
}

#endif
