/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_ref.c - see trainer/pca_ref.h. Slow on purpose. */
#include "trainer/pca_ref.h"

#include <math.h>
#include <string.h>

#define SWEEPS 60

void tr_pca_ref_moments(const float *x, size_t n, uint32_t dim, const double *origin, double *mean,
                        double *product)
{
    memset(mean, 0, dim * sizeof *mean);
    memset(product, 0, (size_t)dim * dim * sizeof *product);
    for (size_t r = 0; r < n; r++) {
        for (uint32_t i = 0; i < dim; i++)
            mean[i] += (double)x[r * dim + i] / (double)n;
    }
    const double *from = origin ? origin : mean;
    for (size_t r = 0; r < n; r++) {
        for (uint32_t i = 0; i < dim; i++) {
            for (uint32_t j = 0; j < dim; j++)
                product[(size_t)i * dim + j] +=
                    ((double)x[r * dim + i] - from[i]) * ((double)x[r * dim + j] - from[j]);
        }
    }
}

/* Makes a[p][q] zero by a rotation of rows and columns p and q. */
static void rotate(double *a, double *vectors, uint32_t n, uint32_t p, uint32_t q)
{
    double apq = a[(size_t)p * n + q];
    if (apq == 0.0)
        return;
    double theta = (a[(size_t)q * n + q] - a[(size_t)p * n + p]) / (2.0 * apq);
    double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    double c = 1.0 / sqrt(t * t + 1.0);
    double s = t * c;
    for (uint32_t i = 0; i < n; i++) {
        double aip = a[(size_t)i * n + p];
        double aiq = a[(size_t)i * n + q];
        a[(size_t)i * n + p] = c * aip - s * aiq;
        a[(size_t)i * n + q] = s * aip + c * aiq;
    }
    for (uint32_t i = 0; i < n; i++) {
        double api = a[(size_t)p * n + i];
        double aqi = a[(size_t)q * n + i];
        a[(size_t)p * n + i] = c * api - s * aqi;
        a[(size_t)q * n + i] = s * api + c * aqi;
        double vp = vectors[(size_t)p * n + i];
        double vq = vectors[(size_t)q * n + i];
        vectors[(size_t)p * n + i] = c * vp - s * vq;
        vectors[(size_t)q * n + i] = s * vp + c * vq;
    }
}

static void swap_rows(double *vectors, double *values, uint32_t n, uint32_t a, uint32_t b)
{
    double value = values[a];
    values[a] = values[b];
    values[b] = value;
    for (uint32_t i = 0; i < n; i++) {
        double element = vectors[(size_t)a * n + i];
        vectors[(size_t)a * n + i] = vectors[(size_t)b * n + i];
        vectors[(size_t)b * n + i] = element;
    }
}

void tr_pca_ref_eigen(double *a, uint32_t n, double *vectors, double *values)
{
    memset(vectors, 0, (size_t)n * n * sizeof *vectors);
    for (uint32_t i = 0; i < n; i++)
        vectors[(size_t)i * n + i] = 1.0;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (uint32_t p = 0; p < n; p++) {
            for (uint32_t q = p + 1; q < n; q++)
                rotate(a, vectors, n, p, q);
        }
    }
    for (uint32_t i = 0; i < n; i++)
        values[i] = a[(size_t)i * n + i];
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = i + 1; j < n; j++) {
            if (values[j] > values[i])
                swap_rows(vectors, values, n, i, j);
        }
    }
}
