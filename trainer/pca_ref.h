/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_ref.h - principal components the plain way, in double: two passes over all rows, and
 * Jacobi's rotations. For tests.
 *
 * Owner: the caller owns the arrays. Threads: one.
 */
#ifndef TRAINER_PCA_REF_H
#define TRAINER_PCA_REF_H

#include <stddef.h>
#include <stdint.h>

/* Sums over rows (n, dim): mean (dim), and product (dim, dim) of the differences from `origin`, or
 * from the mean if it is NULL. */
void tr_pca_ref_moments(const float *x, size_t n, uint32_t dim, const double *origin, double *mean,
                        double *product);

/* Eigenvectors of the symmetric a (n, n), which is overwritten, as rows of vectors (n, n); values
 * (n) from the largest. */
void tr_pca_ref_eigen(double *a, uint32_t n, double *vectors, double *values);

#endif
