/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_numbers.c - statistics of numbers as they come. See inspect.h. */
#include "pipe/inspect.h"

#include <math.h>

static void take_distinct(struct ps_numbers *numbers, float value)
{
    uint32_t i = 0;

    if (numbers->distinct_count > PS_DISTINCT_MAX)
        return;
    while (i < numbers->distinct_count && numbers->distinct[i] != value)
        i++;
    if (i == numbers->distinct_count) {
        numbers->distinct_count++;
        if (i == PS_DISTINCT_MAX)
            return;
        numbers->distinct[i] = value;
    }
    numbers->distinct_rows[i]++;
}

void ps_numbers_take(struct ps_numbers *numbers, const float *values, size_t n, size_t step,
                     bool distinct)
{
    double sum = 0;
    uint64_t count = 0;

    for (size_t i = 0; i < n; i++) {
        float value = values[i * step];

        if (!isfinite(value)) {
            numbers->nan_count += isnan(value);
            numbers->inf_count += !isnan(value);
            continue;
        }
        if (numbers->count + count == 0 || value < numbers->least)
            numbers->least = value;
        if (numbers->count + count == 0 || value > numbers->most)
            numbers->most = value;
        count++;
        sum += value;
        if (distinct) {
            numbers->fractions |= value != floorf(value);
            take_distinct(numbers, value);
        }
    }
    numbers->count += count;
    if (count > 0) /* a running mean: a sum of all would lose digits */
        numbers->mean += (sum - (double)count * numbers->mean) / (double)numbers->count;
}
