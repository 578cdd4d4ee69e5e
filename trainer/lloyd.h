/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/lloyd.h - k-means of weighted points in memory: how centres are chosen among the first
 * rows, and how many centres are merged into few.
 *
 * The same points, weights and numbers (trainer/random.h) give the same bits.
 *
 * Owner: the caller owns all arrays. Threads: pure functions.
 */
#ifndef TRAINER_LLOYD_H
#define TRAINER_LLOYD_H

#include <stddef.h>
#include <stdint.h>

/* Points: (count, dim), row-major without gaps. */
struct tr_points {
    const double *place;  /* (count, dim) */
    const double *weight; /* (count), not negative; NULL: 1 each */
    size_t count;
    uint32_t dim;
};

/* Where numbers are drawn from. */
struct tr_draw {
    uint64_t seed;
    uint64_t stream;
};

/* Chooses `count` different points, or all and the last over again; those with weight first.
 * centres (count, dim) receives them. */
void tr_choose_random(const struct tr_points *points, struct tr_draw draw, uint32_t count,
                      double *centres);

/* k-means++ (Arthur and Vassilvitskii 2007): each next point with a probability in proportion to
 * its weight and to the square of its distance from those chosen before.
 *   distance  (points->count), scratch */
void tr_choose_apart(const struct tr_points *points, struct tr_draw draw, uint32_t count,
                     double *centres, double *distance);

/* Lloyd's iterations from `centres` (count, dim), until the sum of weighted squared distances falls
 * by less than `tolerance` of itself, or max_iterations. A centre without points stays.
 *   sums  (count, dim + 1), scratch
 * Returns that sum for the centres before the last iteration: not less than for the result. */
double tr_lloyd(const struct tr_points *points, uint32_t count, uint32_t max_iterations,
                double tolerance, double *centres, double *sums);

#endif
