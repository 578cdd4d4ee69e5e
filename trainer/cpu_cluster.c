/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_cluster.c - trainer/cluster.h on the cpu: OpenBLAS for matrix products, sums in row
 * order.
 */
#include "trainer/cluster_math.h"
#include "trainer/cpu_kernels.h"

#include <string.h>

static uint32_t nearest_of_row(const struct tr_nearest_args *a, uint32_t row)
{
    const float *product = a->product + (size_t)row * a->centres.count;
    const float *norm = a->centres.norm;
    float best = tr_nearest_measure(norm[0], product[0]);
    uint32_t at = 0;
    for (uint32_t j = 1; j < a->centres.count; j++) {
        float measure = tr_nearest_measure(norm[j], product[j]);
        if (measure < best) {
            best = measure;
            at = j;
        }
    }
    return at;
}

/* In four sums, which the compiler computes side by side. */
static double squared_distance(const float *restrict x, const double *restrict place, uint32_t dim)
{
    double sums[4] = {0.0, 0.0, 0.0, 0.0};
    uint32_t j = 0;
    for (; j + 4 <= dim; j += 4) {
        for (uint32_t i = 0; i < 4; i++)
            sums[i] += tr_nearest_term(x[j + i], place[j + i]);
    }
    for (; j < dim; j++)
        sums[0] += tr_nearest_term(x[j], place[j]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

int tr_cpu_nearest(const struct tr_blas *blas, const void *args)
{
    const struct tr_nearest_args *a = args;
    const struct tr_centres *c = &a->centres;
    double loss_sum = 0.0;
    blas->sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)a->rows, (blasint)c->count,
                (blasint)c->dim, 1.0F, a->x, (blasint)c->dim, c->transposed, (blasint)c->count,
                0.0F, a->product, (blasint)c->count);
    for (uint32_t i = 0; i < a->rows; i++) {
        uint32_t nearest = nearest_of_row(a, i);
        double distance = squared_distance(a->x + (size_t)i * c->dim,
                                           c->place + (size_t)nearest * c->dim, c->dim);
        a->nearest[i] = nearest;
        a->distance[i] = (float)distance;
        loss_sum += (double)a->distance[i];
    }
    a->stats->loss_sum += loss_sum;
    a->stats->rows += (double)a->rows;
    return 0;
}

int tr_cpu_collect(const struct tr_blas *blas, const void *args)
{
    const struct tr_collect_args *a = args;
    (void)blas;
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict x = a->x + (size_t)i * a->dim;
        double *restrict sum = a->sum + (size_t)a->nearest[i] * a->dim;
        for (uint32_t j = 0; j < a->dim; j++)
            sum[j] += (double)x[j];
        a->number[a->nearest[i]] += 1.0;
    }
    return 0;
}

static void move_centre(const struct tr_move_args *a, uint32_t centre)
{
    const struct tr_centres *c = &a->centres;
    double *place = c->place + (size_t)centre * c->dim;
    double *sum = a->sum + (size_t)centre * c->dim;
    double number = a->number[centre];
    double weight = c->weight[centre] * a->decay + number;
    double norm = 0.0;
    for (uint32_t j = 0; j < c->dim; j++) {
        if (number > 0.0)
            place[j] = tr_move_one(place[j], sum[j], number, weight);
        sum[j] = 0.0;
        norm += place[j] * place[j];
        c->transposed[(size_t)j * c->count + centre] = (float)place[j];
    }
    c->norm[centre] = (float)norm;
    c->weight[centre] = weight;
    a->number[centre] = 0.0;
}

int tr_cpu_move(const struct tr_blas *blas, const void *args)
{
    const struct tr_move_args *a = args;
    (void)blas;
    for (uint32_t i = 0; i < a->centres.count; i++)
        move_centre(a, i);
    return 0;
}
