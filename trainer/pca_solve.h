/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_solve.h - principal components from moments, on the host in double.
 *
 * With all products of two columns (regular) they are the eigenvectors of that matrix. With its
 * product by a random matrix omega alone (randomized) they are those of the Nystrom approximation
 * A omega (omega' A omega)^-1 omega' A, the best that is known from one pass (Tropp, Yurtsever,
 * Udell and Cevher 2017).
 *
 * Owner: the caller owns the arrays. Threads: one.
 */
#ifndef TRAINER_PCA_SOLVE_H
#define TRAINER_PCA_SOLVE_H

#include "trainer/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The moments of trainer/moments.h, in host memory. */
struct tr_pca_moments {
    uint32_t dim;
    uint32_t width;
    double rows;
    const float *omega; /* (dim, width), or NULL: regular */
    double *mean;       /* (dim) */
    double *square;     /* (dim) */
    double *product;    /* (dim, width) */
};

/* Finds the first `count` components, count <= width.
 *   origin      (dim): what is subtracted from rows: the mean, or zeros
 *   components  (count, dim), receives them, of length 1; zeros where the rows have no such many
 *   values      (count), receives the sums of squares of the rows' projections, the largest first
 *   *total      receives the sum of squares of the rows
 * Returns 0, or -1 with *error. */
int tr_pca_solve(const struct tr_pca_moments *moments, const double *origin, uint32_t count,
                 double *components, double *values, double *total, struct tr_error *error);

/* The sum of squares of rows about an origin, and that of their projections on components; omega of
 * the moments is the components' transpose. */
void tr_pca_explained(const struct tr_pca_moments *moments, const double *origin, double *total,
                      double *explained);

#endif
