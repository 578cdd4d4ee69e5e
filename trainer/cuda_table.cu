/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_table.cu - the kernels of the cuda device, in the order of enum tr_kernel. */
#include "trainer/cuda_device.cuh"

const tr_cuda_kernel_fn tr_cuda_kernels[TR_KERNEL_COUNT] = {
    tr_cuda_scale,       tr_cuda_forward,      tr_cuda_loss,       tr_cuda_gradient,
    tr_cuda_update,      tr_cuda_sum,          tr_cuda_csr_order,  tr_cuda_csr_update,
    tr_cuda_csr_forward, tr_cuda_csr_gradient, tr_cuda_fm_forward, tr_cuda_load,
    tr_cuda_finish,      tr_cuda_unfinish,     tr_cuda_backward,   tr_cuda_patches,
    tr_cuda_unpatch,     tr_cuda_mean,         tr_cuda_spread,     tr_cuda_moments,
    tr_cuda_checksum,    tr_cuda_nearest,      tr_cuda_collect,    tr_cuda_move,
    tr_cuda_call,        tr_cuda_gather,
};
