/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/moments_math.h - the element-wise maths of trainer/moments.h, one source for gcc (cpu
 * device) and nvcc (CUDA kernels).
 *
 * Owner: pure functions. Everything is double.
 */
#ifndef TRAINER_MOMENTS_MATH_H
#define TRAINER_MOMENTS_MATH_H

#include "trainer/moments.h"
#include "trainer/random.h"

/* How far the block's mean is from the mean so far. */
TR_RANDOM_FN double tr_moments_delta(const struct tr_moments_args *a, uint32_t column)
{
    double mean = (double)a->shift[column] + a->block[column] / (double)a->rows;
    return mean - a->mean[column];
}

/* Weight of the product of two such distances. */
TR_RANDOM_FN double tr_moments_weight(const struct tr_moments_args *a)
{
    return a->rows_before * (double)a->rows / (a->rows_before + (double)a->rows);
}

/* What a block adds to one element of the product; `mean` and `delta` are of its row: the mean of y
 * there, and the change of mean, weighted. */
TR_RANDOM_FN double tr_moments_element(float gram, double mean, double delta, double projected_sum,
                                       double projected_delta)
{
    return (double)gram - mean * projected_sum + delta * projected_delta;
}

/* The last step, as it changes the mean. */
TR_RANDOM_FN void tr_moments_merge_mean(const struct tr_moments_args *a, uint32_t column)
{
    double rows = (double)a->rows;
    double delta = tr_moments_delta(a, column);
    double sum = a->block[column];
    a->square[column] +=
        a->block[a->dim + column] - sum * sum / rows + tr_moments_weight(a) * delta * delta;
    a->mean[column] += delta * (rows / (a->rows_before + rows));
}

/* Factor of column `column` in the hash of a row. */
TR_RANDOM_FN uint64_t tr_checksum_key(uint32_t column)
{
    return fmt_mix(((uint64_t)column + 1) * FMT_MIX_STEP);
}

#endif
