/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kmeans_ref.h - k-means' steps the plain way, in double, row by row. For tests.
 *
 * Owner: the caller owns the arrays. Threads: pure functions.
 */
#ifndef TRAINER_KMEANS_REF_H
#define TRAINER_KMEANS_REF_H

#include <stdint.h>

/* Finds every row's nearest centre, adds the rows to sum (count, dim) and number (count), and
 * returns the sum of squared distances. nearest (rows) may be NULL. */
double tr_kmeans_ref_collect(const float *x, uint32_t rows, uint32_t dim, const double *centres,
                             uint32_t count, double *sum, double *number, uint32_t *nearest);

/* Moves centres by what was collected: see struct tr_move_args. Clears sum and number. */
void tr_kmeans_ref_move(double *centres, double *weight, uint32_t count, uint32_t dim, double *sum,
                        double *number, double decay);

#endif
