/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_fm.cu - trainer/fm_kernels.h on the GPU. */
#include "trainer/cuda_device.cuh"
#include "trainer/fm_kernels.h"

#define WARP 32U

/* Adds up a warp's values in a fixed order; every lane has the sum. */
static __device__ float warp_sum(float value)
{
    for (uint32_t half = WARP / 2; half > 0; half /= 2)
        value += __shfl_xor_sync(0xffffffffU, value, half);
    return value;
}

/* One warp a row: lanes share its entries for the linear part, its factors for the pairs. */
static __global__ void fm_forward_kernel(tr_fm_forward_args a)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t warps = gridDim.x * (blockDim.x / WARP);
    for (uint32_t row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; row < a.rows;
         row += warps) {
        uint32_t from = a.row_offsets[row];
        uint32_t to = a.row_offsets[row + 1];
        float z = 0.0F;
        for (uint32_t e = from + lane; e < to; e += WARP)
            z += a.linear[a.columns[e]] * a.values[e];
        for (uint32_t f = lane; f < a.factor_count; f += WARP) {
            float sum = 0.0F;
            float squares = 0.0F;
            for (uint32_t e = from; e < to; e++) {
                float term = a.factors[(size_t)a.columns[e] * a.factor_count + f] * a.values[e];
                sum += term;
                squares += term * term;
            }
            a.sums[(size_t)row * a.factor_count + f] = sum;
            z += 0.5F * (sum * sum - squares);
        }
        z = warp_sum(z);
        if (lane == 0)
            a.z[row] = a.bias[0] + z;
    }
}

int tr_cuda_fm_forward(struct cuda_device *d, const void *args)
{
    const struct tr_fm_forward_args *a = (const struct tr_fm_forward_args *)args;
    uint32_t blocks = blocks_for((size_t)a->rows * WARP);
    fm_forward_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "fm_forward_kernel");
}
