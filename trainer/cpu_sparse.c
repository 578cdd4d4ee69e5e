/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_sparse.c - trainer/sparse_kernels.h on the cpu. */
#include "trainer/sparse_kernels.h"

#include "trainer/cpu_kernels.h"
#include "trainer/linear_math.h"

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
    const struct tr_update_args *update = &a->update;
    float *w = update->w + at;
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
    for (uint32_t j = 0; j < n; j++)
        w[j] = tr_update_value(update, w[j], gradient[j], &update->m[at + j], &update->v[at + j]);
}

int tr_cpu_csr_update(const struct tr_blas *blas, const void *args)
{
    const struct tr_csr_update_args *a = args;
    uint32_t to;
    (void)blas;
    for (uint32_t from = 0; from < a->entries; from = to) {
        uint32_t column = a->sorted_columns[from];
        for (to = from + 1; to < a->entries && a->sorted_columns[to] == column;)
            to++;
        for (uint32_t f = 0; f < a->width; f += CHUNK) {
            uint32_t n = a->width - f < CHUNK ? a->width - f : CHUNK;
            update_chunk(a, from, to, (size_t)column * a->width + f, f, n);
        }
    }
    return 0;
}
