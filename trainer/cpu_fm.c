/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_fm.c - trainer/fm_kernels.h on the cpu. */
#include "trainer/fm_kernels.h"

#include "trainer/cpu_kernels.h"

#include <string.h>

/* Sums of squares kept in registers and the first cache. */
#define CHUNK 64U

/* Fills n of the row's sums from factor `f` on; returns what they add to its prediction. */
static float pairs_of_chunk(const struct tr_fm_forward_args *a, uint32_t row, uint32_t f,
                            uint32_t n)
{
    float *restrict sums = a->sums + (size_t)row * a->factor_count + f;
    float squares[CHUNK] = {0.0F};
    float pairs = 0.0F;
    memset(sums, 0, n * sizeof *sums);
    for (uint32_t e = a->row_offsets[row]; e < a->row_offsets[row + 1]; e++) {
        const float *restrict v = a->factors + (size_t)a->columns[e] * a->factor_count + f;
        float x = a->values[e];
        for (uint32_t j = 0; j < n; j++) {
            float term = v[j] * x;
            sums[j] += term;
            squares[j] += term * term;
        }
    }
    for (uint32_t j = 0; j < n; j++)
        pairs += sums[j] * sums[j] - squares[j];
    return 0.5F * pairs;
}

int tr_cpu_fm_forward(const struct tr_blas *blas, const void *args)
{
    const struct tr_fm_forward_args *a = args;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        float z = a->bias[0];
        for (uint32_t e = a->row_offsets[row]; e < a->row_offsets[row + 1]; e++)
            z += a->linear[a->columns[e]] * a->values[e];
        for (uint32_t f = 0; f < a->factor_count; f += CHUNK) {
            uint32_t n = a->factor_count - f < CHUNK ? a->factor_count - f : CHUNK;
            z += pairs_of_chunk(a, row, f, n);
        }
        a->z[row] = z;
    }
    return 0;
}
