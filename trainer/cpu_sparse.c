/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_sparse.c - trainer/sparse_kernels.h on the cpu. */
#include "trainer/sparse_kernels.h"

#include "trainer/cpu_kernels.h"

#include <string.h>

/* Gradient sums kept in registers and the first cache. */
#define CHUNK 64U

/* --- order ---------------------------------------------------------------------------------------
 */

/* One stable pass of a radix sort. */
static void sort_by_digit(const uint32_t *columns, const uint32_t *entries, uint32_t n,
                          uint32_t shift, uint32_t *to_columns, uint32_t *to_entries,
                          uint32_t *counts)
{
    uint32_t before = 0;
    memset(counts, 0, TR_CSR_DIGITS * sizeof *counts);
    for (uint32_t i = 0; i < n; i++)
        counts[columns[i] >> shift & (TR_CSR_DIGITS - 1)]++;
    for (uint32_t digit = 0; digit < TR_CSR_DIGITS; digit++) {
        uint32_t count = counts[digit];
        counts[digit] = before;
        before += count;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = counts[columns[i] >> shift & (TR_CSR_DIGITS - 1)]++;
        to_columns[to] = columns[i];
        to_entries[to] = entries[i];
    }
}

int tr_cpu_csr_order(const struct tr_blas *blas, const void *args)
{
    const struct tr_csr_order_args *a = args;
    uint32_t passes = tr_csr_passes(a->dim);
    bool into_spare = passes % 2 == 0; /* where the first pass writes, so that the last is right */
    uint32_t *columns = into_spare ? a->sorted_columns : a->spare_columns;
    uint32_t *entries = into_spare ? a->sorted_entries : a->spare_entries;
    (void)blas;
    if (a->entries == 0) /* nothing was allocated, maybe */
        return 0;
    memcpy(columns, a->columns, a->entries * sizeof *columns);
    for (uint32_t row = 0; row < a->rows; row++) {
        for (uint32_t e = a->row_offsets[row]; e < a->row_offsets[row + 1]; e++) {
            a->entry_rows[e] = row;
            entries[e] = e;
        }
    }
    for (uint32_t pass = 0; pass < passes; pass++) {
        uint32_t *to_columns = into_spare ? a->spare_columns : a->sorted_columns;
        uint32_t *to_entries = into_spare ? a->spare_entries : a->sorted_entries;
        sort_by_digit(columns, entries, a->entries, pass * TR_CSR_DIGIT_BITS, to_columns,
                      to_entries, a->counts);
        columns = to_columns;
        entries = to_entries;
        into_spare = !into_spare;
    }
    return 0;
}

/* --- update --------------------------------------------------------------------------------------
 */

/* Steps n weights of one column from element `at` on, whose entries are from .. to of the sorted
 * ones; `f` is the first of them in a row of sums. */
static void update_chunk(const struct tr_csr_update_args *a, uint32_t from, uint32_t to, size_t at,
                         uint32_t f, uint32_t n)
{
    const float *w = a->update.w + at;
    float gradient[CHUNK] = {0.0F};
    for (uint32_t i = from; i < to; i++) {
        uint32_t entry = a->sorted_entries[i];
        uint32_t row = a->entry_rows[entry];
        float x = a->values[entry];
        float d = a->dz[row] * x;
        const float *sums = a->sums ? a->sums + (size_t)row * a->width + f : NULL;
        for (uint32_t j = 0; j < n; j++)
            gradient[j] += sums ? d * (sums[j] - w[j] * x) : d;
    }
    tr_cpu_update_run(&a->update, at, n, gradient);
}

/* Where the entries of the column at `from` of the sorted ones end. */
static uint32_t end_of_column(const uint32_t *sorted_columns, uint32_t from, uint32_t entries)
{
    uint32_t to = from + 1;
    while (to < entries && sorted_columns[to] == sorted_columns[from])
        to++;
    return to;
}

int tr_cpu_csr_update(const struct tr_blas *blas, const void *args)
{
    const struct tr_csr_update_args *a = args;
    uint32_t to;
    (void)blas;
    for (uint32_t from = 0; from < a->entries; from = to) {
        uint32_t column = a->sorted_columns[from];
        to = end_of_column(a->sorted_columns, from, a->entries);
        for (uint32_t f = 0; f < a->width; f += CHUNK) {
            uint32_t n = a->width - f < CHUNK ? a->width - f : CHUNK;
            update_chunk(a, from, to, (size_t)column * a->width + f, f, n);
        }
    }
    return 0;
}

/* --- linear
 * ---------------------------------------------------------------------------------------
 */

int tr_cpu_csr_forward(const struct tr_blas *blas, const void *args)
{
    const struct tr_csr_forward_args *a = args;
    (void)blas;
    for (uint32_t row = 0; row < a->rows; row++) {
        float *restrict z = a->z + (size_t)row * a->width;
        memcpy(z, a->b, a->width * sizeof *z);
        for (uint32_t e = a->row_offsets[row]; e < a->row_offsets[row + 1]; e++) {
            uint32_t column = a->columns[e];
            const float *restrict w = a->w + (size_t)column * a->width;
            float x = a->scale ? a->values[e] * a->scale[column] : a->values[e];
            for (uint32_t j = 0; j < a->width; j++)
                z[j] += x * w[j];
        }
    }
    return 0;
}

int tr_cpu_csr_gradient(const struct tr_blas *blas, const void *args)
{
    const struct tr_csr_gradient_args *a = args;
    uint32_t to;
    (void)blas;
    for (uint32_t from = 0; from < a->entries; from = to) {
        uint32_t column = a->sorted_columns[from];
        float *restrict dw = a->dw + (size_t)column * a->width;
        to = end_of_column(a->sorted_columns, from, a->entries);
        memset(dw, 0, a->width * sizeof *dw);
        for (uint32_t i = from; i < to; i++) {
            uint32_t entry = a->sorted_entries[i];
            const float *restrict dz = a->dz + (size_t)a->entry_rows[entry] * a->width;
            float x = a->scale ? a->values[entry] * a->scale[column] : a->values[entry];
            for (uint32_t j = 0; j < a->width; j++)
                dw[j] += x * dz[j];
        }
    }
    return 0;
}
