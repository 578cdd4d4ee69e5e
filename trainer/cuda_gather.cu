/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_gather.cu - trainer/gather.h on the GPU. */
#include "trainer/cuda_device.cuh"
#include "trainer/gather.h"

/* The word at any address, by way of the one or two that it lies in: no other is read. */
static __device__ inline uint32_t load_word(const uint8_t *at)
{
    uintptr_t address = reinterpret_cast<uintptr_t>(at);
    const uint32_t *words = reinterpret_cast<const uint32_t *>(address & ~(uintptr_t)3);
    uint32_t shift = (uint32_t)(address & 3) * 8;
    return shift == 0 ? words[0] : __funnelshift_r(words[0], words[1], shift);
}

static __device__ inline float load_value(const uint8_t *values, uint32_t i, bool are_wide)
{
    if (!are_wide)
        return __uint_as_float(load_word(values + (size_t)i * sizeof(float)));
    const uint8_t *at = values + (size_t)i * sizeof(double);
    return (float)__hiloint2double((int)load_word(at + 4), (int)load_word(at));
}

/* A warp takes neighbouring values of a record, labels behind features. */
#define WARP 32U
#define WARPS (TR_THREADS / WARP)
#define VALUES 4U /* of a thread, where there are so many */

static __global__ void gather_kernel(tr_gather_args a)
{
    uint32_t count = a.dim + a.label_dim;
    uint32_t step = gridDim.x * blockDim.x;
    for (uint32_t row = blockIdx.y * blockDim.y + threadIdx.y; row < a.rows;
         row += gridDim.y * blockDim.y) {
        const uint8_t *record = a.records + row * a.stride_bytes;
        for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
            if (i < a.dim)
                a.features[(size_t)row * a.dim + i] =
                    load_value(record + a.features_offset, i, a.features_are_wide);
            else
                a.labels[(size_t)row * a.label_dim + (i - a.dim)] =
                    load_value(record + a.labels_offset, i - a.dim, a.labels_are_wide);
        }
    }
}

int tr_cuda_gather(struct cuda_device *d, const void *args)
{
    const struct tr_gather_args *a = (const struct tr_gather_args *)args;
    uint32_t across = (a->dim + a->label_dim) / (WARP * VALUES) + 1;
    uint32_t along = a->rows / WARPS + 1;
    dim3 block(WARP, WARPS);
    dim3 grid(across < BLOCKS_MAX ? across : BLOCKS_MAX, along < GRID_Y_MAX ? along : GRID_Y_MAX);
    gather_kernel<<<grid, block, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "gather_kernel");
}
