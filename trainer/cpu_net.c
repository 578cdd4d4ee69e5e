/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_net.c - trainer/net_kernels.h on the cpu. Loops over a pixel's channels are innermost
 * where they can be: these lie together.
 */
#include "trainer/cpu_kernels.h"
#include "trainer/net_math.h"

#include <string.h>

static void add_floats(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

int tr_cpu_load(const struct tr_blas *blas, const void *args)
{
    const struct tr_load_args *a = args;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        for (uint32_t pixel = 0; pixel < a->pixels; pixel++) {
            for (uint32_t channel = 0; channel < a->channels; channel++)
                tr_load_one(a, row, pixel, channel);
        }
    }
    return 0;
}

int tr_cpu_finish(const struct tr_blas *blas, const void *args)
{
    const struct tr_finish_args *a = args;
    (void)blas;
    if (a->activation == TR_ACTIVATION_RELU && a->dropout.below == 0) {
        const float *restrict residual = a->residual;
        float *restrict out = a->a;
        for (size_t i = 0; i < a->n && residual; i++)
            out[i] = tr_activate(TR_ACTIVATION_RELU, out[i] + residual[i]);
        for (size_t i = 0; i < a->n && !residual; i++)
            out[i] = tr_activate(TR_ACTIVATION_RELU, out[i]);
        return 0;
    }
    for (size_t i = 0; i < a->n; i++)
        tr_finish_one(a, i);
    return 0;
}

int tr_cpu_unfinish(const struct tr_blas *blas, const void *args)
{
    const struct tr_unfinish_args *a = args;
    (void)blas;
    if (a->activation == TR_ACTIVATION_RELU && a->dropout.below == 0) {
        const float *restrict out = a->a;
        float *restrict d = a->d;
        float *restrict dresidual = a->dresidual;
        for (size_t i = 0; i < a->n; i++)
            d[i] = out[i] > 0.0F ? d[i] : 0.0F;
        if (dresidual && a->accumulate)
            add_floats(dresidual, d, a->n);
        else if (dresidual)
            memcpy(dresidual, d, a->n * sizeof *d);
        return 0;
    }
    for (size_t i = 0; i < a->n; i++)
        tr_unfinish_one(a, i);
    return 0;
}

int tr_cpu_backward(const struct tr_blas *blas, const void *args)
{
    const struct tr_backward_args *a = args;
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint outputs = (blasint)a->outputs;
    blas->sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, dim, outputs, 1.0F, a->dz, outputs,
                a->w, outputs, a->accumulate ? 1.0F : 0.0F, a->dx, dim);
    return 0;
}

/* The kernel's row ky of the patch of the output pixel at column ox: `kernel` neighbouring pixels
 * of the row `from`, which is NULL outside the picture. */
static void patch_row(const struct tr_patches_args *a, const float *from, uint32_t ox, float *to)
{
    uint32_t pad = a->kernel / 2;
    uint32_t left = ox * a->stride; /* with the padding counted */
    uint32_t channels = a->channels;
    if (from && left >= pad && left - pad + a->kernel <= a->width) {
        memcpy(to, from + (size_t)(left - pad) * channels, a->kernel * channels * sizeof *to);
        return;
    }
    for (uint32_t kx = 0; kx < a->kernel; kx++, to += channels) {
        if (from && left + kx >= pad && left + kx - pad < a->width)
            memcpy(to, from + (size_t)(left + kx - pad) * channels, channels * sizeof *to);
        else
            memset(to, 0, channels * sizeof *to);
    }
}

int tr_cpu_patches(const struct tr_blas *blas, const void *args)
{
    const struct tr_patches_args *a = args;
    uint32_t pad = a->kernel / 2;
    size_t line = (size_t)a->kernel * a->channels;
    float *to = a->patches;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        const float *x = a->x + (size_t)row * a->height * a->width * a->channels;
        for (uint32_t oy = 0; oy < a->out_height; oy++) {
            for (uint32_t ox = 0; ox < a->out_width; ox++) {
                for (uint32_t ky = 0; ky < a->kernel; ky++, to += line) {
                    uint32_t y = oy * a->stride + ky;
                    bool inside = y >= pad && y - pad < a->height;
                    patch_row(a, inside ? x + (size_t)(y - pad) * a->width * a->channels : NULL, ox,
                              to);
                }
            }
        }
    }
    return 0;
}

/* The other way round from patch_row. */
static void unpatch_row(const struct tr_patches_args *a, const float *from, uint32_t ox, float *to)
{
    uint32_t pad = a->kernel / 2;
    uint32_t left = ox * a->stride;
    uint32_t channels = a->channels;
    if (left >= pad && left - pad + a->kernel <= a->width) {
        add_floats(to + (size_t)(left - pad) * channels, from, (size_t)a->kernel * channels);
        return;
    }
    for (uint32_t kx = 0; kx < a->kernel; kx++, from += channels) {
        if (left + kx >= pad && left + kx - pad < a->width)
            add_floats(to + (size_t)(left + kx - pad) * channels, from, channels);
    }
}

/* Patch by patch: the order of tr_unpatch_one's sums. */
int tr_cpu_unpatch(const struct tr_blas *blas, const void *args)
{
    const struct tr_unpatch_args *a = args;
    const struct tr_patches_args *s = &a->shape;
    uint32_t pad = s->kernel / 2;
    size_t line = (size_t)s->kernel * s->channels;
    size_t row_floats = (size_t)s->height * s->width * s->channels;
    const float *from = a->dpatches;
    (void)blas;
    if (!a->accumulate)
        memset(a->dx, 0, s->rows * row_floats * sizeof(float));
    for (uint32_t row = 0; row < s->rows; row++) {
        float *dx = a->dx + row * row_floats;
        for (uint32_t oy = 0; oy < s->out_height; oy++) {
            for (uint32_t ox = 0; ox < s->out_width; ox++) {
                for (uint32_t ky = 0; ky < s->kernel; ky++, from += line) {
                    uint32_t y = oy * s->stride + ky;
                    if (y >= pad && y - pad < s->height)
                        unpatch_row(s, from, ox, dx + (size_t)(y - pad) * s->width * s->channels);
                }
            }
        }
    }
    return 0;
}

int tr_cpu_mean(const struct tr_blas *blas, const void *args)
{
    const struct tr_mean_args *a = args;
    float factor = 1.0F / (float)a->pixels;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        float *y = a->y + (size_t)row * a->channels;
        memset(y, 0, a->channels * sizeof *y);
        for (uint32_t pixel = 0; pixel < a->pixels; pixel++)
            add_floats(y, a->x + ((size_t)row * a->pixels + pixel) * a->channels, a->channels);
        for (uint32_t channel = 0; channel < a->channels; channel++)
            y[channel] *= factor;
    }
    return 0;
}

int tr_cpu_spread(const struct tr_blas *blas, const void *args)
{
    const struct tr_spread_args *a = args;
    float factor = 1.0F / (float)a->pixels;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        const float *dy = a->dy + (size_t)row * a->channels;
        for (uint32_t pixel = 0; pixel < a->pixels; pixel++) {
            float *dx = a->dx + ((size_t)row * a->pixels + pixel) * a->channels;
            for (uint32_t channel = 0; channel < a->channels; channel++)
                dx[channel] = (a->accumulate ? dx[channel] : 0.0F) + dy[channel] * factor;
        }
    }
    return 0;
}
