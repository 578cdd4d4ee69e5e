/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_kernels.h - the kernels of the cpu device, done when the call returns.
 *
 * Owner: the caller. Threads: any, one at a time for the same arrays. Return 0, or -1 where
 * trainer/device.h allows a kernel to fail.
 */
#ifndef TRAINER_CPU_KERNELS_H
#define TRAINER_CPU_KERNELS_H

#include "trainer/blas.h"
#include "trainer/device.h"
#include "trainer/kernels.h"

typedef int (*tr_cpu_kernel_fn)(const struct tr_blas *blas, const void *args);

/* By enum tr_kernel. */
extern const tr_cpu_kernel_fn tr_cpu_kernels[TR_KERNEL_COUNT];

/* trainer/cpu_dense.c */
int tr_cpu_scale(const struct tr_blas *blas, const void *args);
int tr_cpu_forward(const struct tr_blas *blas, const void *args);
int tr_cpu_loss(const struct tr_blas *blas, const void *args);
int tr_cpu_gradient(const struct tr_blas *blas, const void *args);
int tr_cpu_update(const struct tr_blas *blas, const void *args);
int tr_cpu_sum(const struct tr_blas *blas, const void *args);

/* Steps n weights from weight `from` on with gradients g (n), which lie in one run. */
void tr_cpu_update_run(const struct tr_update_args *args, size_t from, size_t n,
                       const float *restrict g);

/* trainer/cpu_sparse.c */
int tr_cpu_csr_order(const struct tr_blas *blas, const void *args);
int tr_cpu_csr_update(const struct tr_blas *blas, const void *args);
int tr_cpu_csr_forward(const struct tr_blas *blas, const void *args);
int tr_cpu_csr_gradient(const struct tr_blas *blas, const void *args);

/* trainer/cpu_fm.c */
int tr_cpu_fm_forward(const struct tr_blas *blas, const void *args);

/* trainer/cpu_net.c */
int tr_cpu_load(const struct tr_blas *blas, const void *args);
int tr_cpu_finish(const struct tr_blas *blas, const void *args);
int tr_cpu_unfinish(const struct tr_blas *blas, const void *args);
int tr_cpu_backward(const struct tr_blas *blas, const void *args);
int tr_cpu_patches(const struct tr_blas *blas, const void *args);
int tr_cpu_unpatch(const struct tr_blas *blas, const void *args);
int tr_cpu_mean(const struct tr_blas *blas, const void *args);
int tr_cpu_spread(const struct tr_blas *blas, const void *args);

/* trainer/cpu_moments.c */
int tr_cpu_moments(const struct tr_blas *blas, const void *args);
int tr_cpu_checksum(const struct tr_blas *blas, const void *args);

/* trainer/cpu_cluster.c */
int tr_cpu_nearest(const struct tr_blas *blas, const void *args);
int tr_cpu_collect(const struct tr_blas *blas, const void *args);
int tr_cpu_move(const struct tr_blas *blas, const void *args);

/* trainer/cpu_call.c */
int tr_cpu_call(const struct tr_blas *blas, const void *args);

/* trainer/cpu_gather.c */
int tr_cpu_gather(const struct tr_blas *blas, const void *args);

#endif
