/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/blas.h - matrix products of the cpu device, and LAPACK: OpenBLAS, opened when a device
 * is, for its threads start with it, and other commands have no use for them.
 *
 * Threads: any.
 */
#ifndef TRAINER_BLAS_H
#define TRAINER_BLAS_H

#include <cblas.h>
#include <stdbool.h>
#include <stddef.h>

/* What we use of it; the same until the program ends. */
struct tr_blas {
    __typeof__(&cblas_sgemm) sgemm;
    __typeof__(&cblas_ssyrk) ssyrk;
    /* LAPACK's eigenvalues and eigenvectors of a symmetric matrix; NULL where the library has no
     * LAPACK inside and there is no other. */
    void (*dsyevd)(const char *job, const char *triangle, const blasint *n, double *a,
                   const blasint *lda, double *values, double *work, const blasint *work_n,
                   blasint *iwork, const blasint *iwork_n, blasint *info);
    int threads; /* $OPENBLAS_NUM_THREADS, or 1 */
};

/* NULL, with the reason in text[text_bytes], when there is no OpenBLAS. */
const struct tr_blas *tr_blas_open(char *text, size_t text_bytes);

#endif
