/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_kernels.c - see trainer/cpu_kernels.h. */
#include "trainer/cpu_kernels.h"

const tr_cpu_kernel_fn tr_cpu_kernels[TR_KERNEL_COUNT] = {
    [TR_KERNEL_SCALE] = tr_cpu_scale,
    [TR_KERNEL_FORWARD] = tr_cpu_forward,
    [TR_KERNEL_LOSS] = tr_cpu_loss,
    [TR_KERNEL_GRADIENT] = tr_cpu_gradient,
    [TR_KERNEL_UPDATE] = tr_cpu_update,
    [TR_KERNEL_SUM] = tr_cpu_sum,
    [TR_KERNEL_CSR_ORDER] = tr_cpu_csr_order,
    [TR_KERNEL_CSR_UPDATE] = tr_cpu_csr_update,
    [TR_KERNEL_CSR_FORWARD] = tr_cpu_csr_forward,
    [TR_KERNEL_CSR_GRADIENT] = tr_cpu_csr_gradient,
    [TR_KERNEL_FM_FORWARD] = tr_cpu_fm_forward,
    [TR_KERNEL_LOAD] = tr_cpu_load,
    [TR_KERNEL_FINISH] = tr_cpu_finish,
    [TR_KERNEL_UNFINISH] = tr_cpu_unfinish,
    [TR_KERNEL_BACKWARD] = tr_cpu_backward,
    [TR_KERNEL_PATCHES] = tr_cpu_patches,
    [TR_KERNEL_UNPATCH] = tr_cpu_unpatch,
    [TR_KERNEL_MEAN] = tr_cpu_mean,
    [TR_KERNEL_SPREAD] = tr_cpu_spread,
    [TR_KERNEL_MOMENTS] = tr_cpu_moments,
    [TR_KERNEL_CHECKSUM] = tr_cpu_checksum,
    [TR_KERNEL_NEAREST] = tr_cpu_nearest,
    [TR_KERNEL_COLLECT] = tr_cpu_collect,
    [TR_KERNEL_MOVE] = tr_cpu_move,
    [TR_KERNEL_CALL] = tr_cpu_call,
    [TR_KERNEL_GATHER] = tr_cpu_gather,
};
