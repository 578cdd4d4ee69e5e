/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_moments.c - trainer/moments.h on the cpu: OpenBLAS for matrix products, sums in row
 * order.
 */
#include "trainer/cpu_kernels.h"
#include "trainer/moments_math.h"

#include <string.h>

/* shift: the block's mean, rounded. */
static void find_shift(const struct tr_moments_args *a)
{
    double *restrict sum = a->block;
    uint32_t dim = a->dim;
    memset(sum, 0, dim * sizeof *sum);
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict x = a->x + (size_t)i * dim;
        for (uint32_t j = 0; j < dim; j++)
            sum[j] += (double)x[j];
    }
    for (uint32_t j = 0; j < dim; j++)
        a->shift[j] = (float)(sum[j] / (double)a->rows);
}

static void centre(const struct tr_moments_args *a)
{
    double *restrict sum = a->block;
    double *restrict square = a->block + a->dim;
    const float *restrict shift = a->shift;
    uint32_t dim = a->dim;
    memset(sum, 0, 2 * (size_t)dim * sizeof *sum);
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict x = a->x + (size_t)i * dim;
        float *restrict y = a->y + (size_t)i * dim;
        for (uint32_t j = 0; j < dim; j++) {
            y[j] = x[j] - shift[j];
            sum[j] += (double)y[j];
            square[j] += (double)y[j] * (double)y[j];
        }
    }
}

static void multiply(const struct tr_blas *blas, const struct tr_moments_args *a)
{
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint width = (blasint)a->width;
    if (!a->omega) {
        blas->ssyrk(CblasRowMajor, CblasUpper, CblasTrans, dim, rows, 1.0F, a->y, dim, 0.0F,
                    a->gram, dim);
        return;
    }
    blas->sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, dim, 1.0F, a->y, dim,
                a->omega, width, 0.0F, a->z, width);
    blas->sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, dim, width, rows, 1.0F, a->y, dim, a->z,
                width, 0.0F, a->gram, width);
}

/* What the rank-one parts of the merge are made from. */
static void project(const struct tr_moments_args *a)
{
    uint32_t width = a->width;
    memset(a->projected, 0, 2 * (size_t)width * sizeof *a->projected);
    for (uint32_t i = 0; i < a->dim; i++) {
        double sum = a->block[i];
        double delta = tr_moments_delta(a, i);
        if (!a->omega) {
            a->projected[i] = sum;
            a->projected[width + i] = delta;
            continue;
        }
        for (uint32_t k = 0; k < width; k++) {
            double omega = (double)a->omega[(size_t)i * width + k];
            a->projected[k] += sum * omega;
            a->projected[width + k] += delta * omega;
        }
    }
}

static void merge(const struct tr_moments_args *a)
{
    double weight = tr_moments_weight(a);
    const double *restrict sums = a->projected;
    const double *restrict deltas = a->projected + a->width;
    for (uint32_t i = 0; i < a->dim; i++) {
        double *restrict product = a->product + (size_t)i * a->width;
        const float *restrict gram = a->gram + (size_t)i * a->width;
        double mean = a->block[i] / (double)a->rows;
        double delta = weight * tr_moments_delta(a, i);
        for (uint32_t k = a->omega ? 0 : i; k < a->width; k++)
            product[k] += tr_moments_element(gram[k], mean, delta, sums[k], deltas[k]);
    }
    for (uint32_t j = 0; j < a->dim; j++)
        tr_moments_merge_mean(a, j);
}

int tr_cpu_moments(const struct tr_blas *blas, const void *args)
{
    const struct tr_moments_args *a = args;
    find_shift(a);
    centre(a);
    multiply(blas, a);
    project(a);
    merge(a);
    return 0;
}

int tr_cpu_checksum(const struct tr_blas *blas, const void *args)
{
    const struct tr_checksum_args *a = args;
    uint64_t sum = 0;
    (void)blas;
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *x = a->x + (size_t)i * a->dim;
        uint64_t row = 0;
        for (uint32_t j = 0; j < a->dim; j++) {
            uint32_t bits;
            memcpy(&bits, &x[j], sizeof bits);
            row += bits * a->key[j];
        }
        sum += fmt_mix(row);
    }
    *a->sum += sum;
    return 0;
}
