/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/scaler.c - see trainer/scaler.h. */
#include "trainer/scaler.h"

#include <math.h>
#include <stdlib.h>

struct tr_scaler {
    uint32_t dim;
    uint64_t rows;
    double *origin; /* (dim): the first row; the other two follow it in one allocation */
    double *sum;    /* (dim): of x - origin */
    double *square; /* (dim): of (x - origin)^2 */
};

struct tr_scaler *tr_scaler_new(uint32_t dim)
{
    struct tr_scaler *scaler = calloc(1, sizeof *scaler);
    if (!scaler)
        return NULL;
    scaler->dim = dim;
    scaler->origin = calloc((size_t)dim * 3, sizeof(double));
    if (!scaler->origin) {
        free(scaler);
        return NULL;
    }
    scaler->sum = scaler->origin + dim;
    scaler->square = scaler->sum + dim;
    return scaler;
}

void tr_scaler_free(struct tr_scaler **scaler)
{
    if (scaler && *scaler) {
        free((*scaler)->origin);
        free(*scaler);
        *scaler = NULL;
    }
}

void tr_scaler_add(struct tr_scaler *scaler, const float *rows, uint32_t row_count, size_t stride)
{
    double *restrict sum = scaler->sum;
    double *restrict square = scaler->square;
    if (scaler->rows == 0) {
        for (uint32_t j = 0; j < scaler->dim; j++)
            scaler->origin[j] = (double)rows[j];
    }
    for (uint32_t i = 0; i < row_count; i++) {
        const float *row = rows + i * stride;
        for (uint32_t j = 0; j < scaler->dim; j++) {
            double d = (double)row[j] - scaler->origin[j];
            sum[j] += d;
            square[j] += d * d;
        }
    }
    scaler->rows += row_count;
}

void tr_scaler_add_sparse(struct tr_scaler *scaler, const uint32_t *row_offsets,
                          const uint32_t *columns, const float *values, uint32_t row_count)
{
    for (uint32_t e = row_offsets[0]; e < row_offsets[row_count]; e++) {
        double x = (double)values[e];
        scaler->sum[columns[e]] += x;
        scaler->square[columns[e]] += x * x;
    }
    scaler->rows += row_count;
}

void tr_scaler_get(const struct tr_scaler *scaler, double *mean, double *std)
{
    double n = (double)scaler->rows;
    double largest = 0.0;
    for (uint32_t j = 0; j < scaler->dim; j++) {
        double shift = scaler->sum[j] / n;
        mean[j] = scaler->origin[j] + shift;
        /* Rounding may leave a little less than nothing. */
        std[j] = sqrt(fmax(scaler->square[j] / n - shift * shift, 0.0));
        largest = fmax(largest, std[j]);
    }
    for (uint32_t j = 0; j < scaler->dim; j++) {
        if (std[j] == 0.0)
            std[j] = largest > 0.0 ? largest : 1.0;
    }
}
