/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/blas.h - the matrix product of the cpu device: OpenBLAS, opened when a device is, for its
 * threads start with it, and other commands have no use for them.
 *
 * Threads: tr_blas_open from one thread at a time.
 */
#ifndef TRAINER_BLAS_H
#define TRAINER_BLAS_H

#include <cblas.h>
#include <stdbool.h>
#include <stddef.h>

/* What we use of it; the same until the program ends. */
struct tr_blas {
    __typeof__(&cblas_sgemm) sgemm;
    int threads; /* $OPENBLAS_NUM_THREADS, or 1 */
};

/* NULL, with the reason in text[text_bytes], when there is no OpenBLAS. */
const struct tr_blas *tr_blas_open(char *text, size_t text_bytes);

#endif
