/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_math.h - the element-wise maths of networks, one source for gcc (cpu device) and nvcc
 * (CUDA kernels).
 *
 * Owner: pure functions.
 */
#ifndef TRAINER_NET_MATH_H
#define TRAINER_NET_MATH_H

#include "trainer/linear_math.h"
#include "trainer/net_kernels.h"
#include "trainer/random.h"

/* What dropout multiplies element i of the array by. */
TR_FN float tr_dropout_factor(const struct tr_dropout *dropout, size_t i)
{
    if (dropout->below == 0)
        return 1.0F;
    uint32_t draw = (uint32_t)(tr_random_bits(dropout->seed, 0, dropout->first + i) >> 32);
    return draw < dropout->below ? 0.0F : dropout->scale;
}

TR_FN float tr_activate(enum tr_activation activation, float z)
{
    if (activation == TR_ACTIVATION_RELU)
        return z < 0.0F ? 0.0F : z; /* NaN stays NaN */
    return activation == TR_ACTIVATION_TANH ? tanhf(z) : z;
}

/* The derivative, from the activation's result. */
TR_FN float tr_activation_slope(enum tr_activation activation, float a)
{
    if (activation == TR_ACTIVATION_RELU)
        return a > 0.0F ? 1.0F : 0.0F;
    return activation == TR_ACTIVATION_TANH ? 1.0F - a * a : 1.0F;
}

TR_FN void tr_finish_one(const struct tr_finish_args *args, size_t i)
{
    float z = args->residual ? args->a[i] + args->residual[i] : args->a[i];
    args->a[i] = tr_activate(args->activation, z) * tr_dropout_factor(&args->dropout, i);
}

TR_FN void tr_unfinish_one(const struct tr_unfinish_args *args, size_t i)
{
    float factor = tr_dropout_factor(&args->dropout, i);
    float a = factor > 0.0F ? args->a[i] / factor : 0.0F;
    float d = args->d[i] * factor * tr_activation_slope(args->activation, a);
    args->d[i] = d;
    if (args->dresidual)
        args->dresidual[i] = args->accumulate ? args->dresidual[i] + d : d;
}

/* One value of tr_load_args: row, pixel, channel. */
TR_FN void tr_load_one(const struct tr_load_args *a, size_t row, uint32_t pixel, uint32_t channel)
{
    size_t base = row * a->pixels * a->channels;
    size_t to = base + (size_t)pixel * a->channels + channel;
    size_t from = a->planes ? base + (size_t)channel * a->pixels + pixel : to;
    float x = a->bytes ? (float)((const uint8_t *)a->x)[from] : ((const float *)a->x)[from];
    a->y[to] = a->mean ? tr_scale_one(x, a->mean[channel], a->inv_std[channel]) : x;
}

/* One value of tr_unpatch_args: `sum` and its places in the patches of one row, in the patches'
 * order. */
TR_FN float tr_unpatch_one(const struct tr_unpatch_args *a, size_t row, uint32_t y, uint32_t x,
                           uint32_t channel, float sum)
{
    const struct tr_patches_args *s = &a->shape;
    uint32_t pad = s->kernel / 2;
    for (uint32_t ky = s->kernel; ky-- > 0;) {
        uint32_t top = y + pad - ky; /* below zero: wraps, and is too large then */
        if (top % s->stride != 0 || top / s->stride >= s->out_height)
            continue;
        for (uint32_t kx = s->kernel; kx-- > 0;) {
            uint32_t left = x + pad - kx;
            if (left % s->stride != 0 || left / s->stride >= s->out_width)
                continue;
            size_t pixel =
                (row * s->out_height + top / s->stride) * s->out_width + left / s->stride;
            size_t at = (pixel * s->kernel + ky) * s->kernel + kx;
            sum += a->dpatches[at * s->channels + channel];
        }
    }
    return sum;
}

#endif
