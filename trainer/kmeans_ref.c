/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kmeans_ref.c - see trainer/kmeans_ref.h. */
#include "trainer/kmeans_ref.h"

#include <math.h>
#include <stddef.h>

double tr_kmeans_ref_collect(const float *x, uint32_t rows, uint32_t dim, const double *centres,
                             uint32_t count, double *sum, double *number, uint32_t *nearest)
{
    double total = 0.0;
    for (uint32_t r = 0; r < rows; r++) {
        double least = INFINITY;
        uint32_t best = 0;
        for (uint32_t k = 0; k < count; k++) {
            double distance = 0.0;
            for (uint32_t j = 0; j < dim; j++) {
                double d = (double)x[(size_t)r * dim + j] - centres[(size_t)k * dim + j];
                distance += d * d;
            }
            if (distance < least) {
                least = distance;
                best = k;
            }
        }
        total += least;
        number[best] += 1.0;
        for (uint32_t j = 0; j < dim; j++)
            sum[(size_t)best * dim + j] += (double)x[(size_t)r * dim + j];
        if (nearest)
            nearest[r] = best;
    }
    return total;
}

void tr_kmeans_ref_move(double *centres, double *weight, uint32_t count, uint32_t dim, double *sum,
                        double *number, double decay)
{
    for (uint32_t k = 0; k < count; k++) {
        double before = weight[k] * decay;
        weight[k] = before + number[k];
        for (uint32_t j = 0; j < dim; j++) {
            size_t at = (size_t)k * dim + j;
            if (number[k] > 0.0)
                centres[at] = (centres[at] * before + sum[at]) / weight[k];
            sum[at] = 0.0;
        }
        number[k] = 0.0;
    }
}
