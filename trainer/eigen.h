/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/eigen.h - eigenvalues and eigenvectors of a symmetric matrix, by LAPACK in double.
 *
 * Owner: the caller owns the arrays. Threads: one at a time.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_EIGEN_H
#define TRAINER_EIGEN_H

#include "trainer/error.h"

#include <stdint.h>

/* 0 if there is a LAPACK; to be asked before anything is learnt in vain. */
int tr_eigen_available(struct tr_error *error);

/* a       (n, n), row-major, of which the upper triangle counts; receives the eigenvectors as rows,
 *         of length 1, each with the sign that makes its largest element positive
 * values  (n), the largest first */
int tr_eigen_symmetric(double *a, uint32_t n, double *values, struct tr_error *error);

/* Turns a vector round where its element of largest size is negative. */
void tr_eigen_fix_sign(double *vector, uint32_t n);

#endif
