/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_dense.c - trainer/kernels.h on the cpu: OpenBLAS for matrix products, sums in row
 * order.
 */
#include "trainer/cpu_kernels.h"
#include "trainer/linear_math.h"

#include <string.h>

int tr_cpu_scale(const struct tr_blas *blas, const void *args)
{
    const struct tr_scale_args *a = args;
    const float *restrict mean = a->mean;
    const float *restrict inv_std = a->inv_std;
    uint32_t dim = a->dim;
    (void)blas;
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict x = a->x + (size_t)i * dim;
        float *restrict y = a->y + (size_t)i * dim;
        for (uint32_t j = 0; j < dim; j++)
            y[j] = tr_scale_one(x[j], mean[j], inv_std[j]);
    }
    return 0;
}

int tr_cpu_forward(const struct tr_blas *blas, const void *args)
{
    const struct tr_forward_args *a = args;
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint outputs = (blasint)a->outputs;
    for (uint32_t i = 0; i < a->rows; i++)
        memcpy(a->z + (size_t)i * a->outputs, a->b, a->outputs * sizeof(float));
    blas->sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, outputs, dim, 1.0F, a->x, dim,
                a->w, outputs, 1.0F, a->z, outputs);
    return 0;
}

int tr_cpu_loss(const struct tr_blas *blas, const void *args)
{
    const struct tr_loss_args *a = args;
    struct tr_stats sums = {0};
    (void)blas;
    for (uint32_t i = 0; i < a->rows; i++) {
        float flags;
        float loss = tr_loss_row(a, i, &flags);
        tr_count_row(a, i, loss, flags, &sums);
    }
    tr_add_stats(a->stats, &sums);
    return 0;
}

int tr_cpu_gradient(const struct tr_blas *blas, const void *args)
{
    const struct tr_gradient_args *a = args;
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint outputs = (blasint)a->outputs;
    blas->sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, dim, outputs, rows, 1.0F, a->x, dim, a->dz,
                outputs, a->accumulate ? 1.0F : 0.0F, a->dw, outputs);
    float *restrict db = a->db;
    if (!a->accumulate)
        memset(db, 0, a->outputs * sizeof(float));
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict dz = a->dz + (size_t)i * a->outputs;
        for (uint32_t j = 0; j < a->outputs; j++)
            db[j] += dz[j];
    }
    return 0;
}

/* Numbers in a copy of their own, arrays that do not overlap, and a loop for each optimizer: or gcc
 * does not use vectors. */
void tr_cpu_update_run(const struct tr_update_args *args, size_t from, size_t n,
                       const float *restrict g)
{
    struct tr_update_args a = *args;
    float *restrict w = a.w + from;
    float *restrict m = a.m + from;
    float *restrict v = a.v + from;
    if (a.optimizer == TR_OPTIMIZER_ADAM) {
        a.optimizer = TR_OPTIMIZER_ADAM;
        for (size_t i = 0; i < n; i++)
            w[i] = tr_update_value(&a, w[i], g[i], &m[i], &v[i]);
    } else {
        a.optimizer = TR_OPTIMIZER_SGD;
        for (size_t i = 0; i < n; i++)
            w[i] = tr_update_value(&a, w[i], g[i], &m[i], &v[i]);
    }
}

int tr_cpu_update(const struct tr_blas *blas, const void *args)
{
    const struct tr_update_args *a = args;
    (void)blas;
    if (a->run == 0)
        tr_cpu_update_run(a, 0, a->n, a->g);
    for (size_t i = 0; a->run > 0 && i < a->n; i += a->run) {
        size_t from = tr_update_index(a, i);
        tr_cpu_update_run(a, from, a->run, a->g + from);
    }
    return 0;
}

int tr_cpu_sum(const struct tr_blas *blas, const void *args)
{
    const struct tr_sum_args *a = args;
    (void)blas;
    for (uint32_t j = 0; j < a->columns; j++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < a->rows; i++)
            sum += (double)a->x[(size_t)i * a->columns + j];
        a->sums[j] = (float)sum;
    }
    return 0;
}
