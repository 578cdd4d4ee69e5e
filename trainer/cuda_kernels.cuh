/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_kernels.cuh - the CUDA kernels of the linear model. The arithmetic of an element or
 * a row is trainer/linear_math.h's; sums over rows are taken in a fixed order, so the same batches
 * give the same bits on the same GPU.
 *
 * Compiled with -fmad=false: what linear_math.h computes is then rounded as on the cpu. The matrix
 * product asks for its fused multiply-adds by name.
 */
#ifndef TRAINER_CUDA_KERNELS_CUH
#define TRAINER_CUDA_KERNELS_CUH

#include "trainer/cuda_device.cuh"
#include "trainer/linear_math.h"

#define TR_TILE 16U

/* Columns along x, rows along y. */
static __global__ void scale_kernel(tr_scale_args a)
{
    uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= a.dim)
        return;
    float mean = a.mean[column];
    float inv_std = a.inv_std[column];
    for (uint32_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
        size_t at = (size_t)row * a.dim + column;
        a.y[at] = tr_scale_one(a.x[at], mean, inv_std);
    }
}

/* z = b in every row: the product is then added to it. */
static __global__ void fill_rows_kernel(float *z, const float *b, size_t n, uint32_t outputs)
{
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        z[i] = b[i % outputs];
}

/* c (m, n) = a (m, k) b (k, n), added to c when accumulate; all row-major. With TRANSPOSED, `a` is
 * stored (k, m). One thread an element, tiles in shared memory: for machines without cuBLAS. */
template <bool TRANSPOSED>
static __global__ void matmul_kernel(const float *a, const float *b, float *c, uint32_t m,
                                     uint32_t n, uint32_t k, bool accumulate)
{
    __shared__ float a_tile[TR_TILE][TR_TILE + 1];
    __shared__ float b_tile[TR_TILE][TR_TILE + 1];
    uint32_t tx = threadIdx.x;
    uint32_t ty = threadIdx.y;
    uint32_t row = blockIdx.x * TR_TILE + ty;
    uint32_t column = blockIdx.y * TR_TILE + tx;
    float sum = 0.0F;
    for (uint32_t at = 0; at < k; at += TR_TILE) {
        if (TRANSPOSED) { /* threads along x read along m: neighbours in memory */
            uint32_t a_row = blockIdx.x * TR_TILE + tx;
            bool inside = a_row < m && at + ty < k;
            a_tile[tx][ty] = inside ? a[(size_t)(at + ty) * m + a_row] : 0.0F;
        } else {
            bool inside = row < m && at + tx < k;
            a_tile[ty][tx] = inside ? a[(size_t)row * k + at + tx] : 0.0F;
        }
        bool inside = at + ty < k && column < n;
        b_tile[ty][tx] = inside ? b[(size_t)(at + ty) * n + column] : 0.0F;
        __syncthreads();
        for (uint32_t i = 0; i < TR_TILE; i++)
            sum = fmaf(a_tile[ty][i], b_tile[i][tx], sum);
        __syncthreads();
    }
    if (row < m && column < n) {
        float *out = c + (size_t)row * n + column;
        *out = accumulate ? *out + sum : sum;
    }
}

/* One thread a row. */
static __global__ void loss_kernel(tr_loss_args a)
{
    uint32_t step = gridDim.x * blockDim.x;
    for (uint32_t row = blockIdx.x * blockDim.x + threadIdx.x; row < a.rows; row += step)
        a.row_loss[row] = tr_loss_row(&a, row, &a.row_hit[row]);
}

/* One block: each thread's sums, then those of all. */
static __global__ void sum_losses_kernel(tr_loss_args a)
{
    __shared__ double shared[TR_THREADS];
    struct tr_stats sums = {};
    for (uint32_t row = threadIdx.x; row < a.rows; row += TR_THREADS)
        tr_count_row(&a, row, a.row_loss[row], a.row_hit[row], &sums);
    sums.loss_sum = block_sum(sums.loss_sum, shared);
    sums.rows = block_sum(sums.rows, shared);
    sums.correct = block_sum(sums.correct, shared);
    sums.correct_top = block_sum(sums.correct_top, shared);
    sums.true_positive = block_sum(sums.true_positive, shared);
    sums.false_positive = block_sum(sums.false_positive, shared);
    sums.false_negative = block_sum(sums.false_negative, shared);
    sums.squared = block_sum(sums.squared, shared);
    sums.absolute = block_sum(sums.absolute, shared);
    if (threadIdx.x == 0)
        tr_add_stats(a.stats, &sums);
}

/* One block a column. */
static __global__ void sum_columns_kernel(const float *dz, float *db, uint32_t rows,
                                          uint32_t outputs, bool accumulate)
{
    __shared__ double shared[TR_THREADS];
    double sum = 0.0;
    for (uint32_t row = threadIdx.x; row < rows; row += TR_THREADS)
        sum += (double)dz[(size_t)row * outputs + blockIdx.x];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0)
        db[blockIdx.x] = (accumulate ? db[blockIdx.x] : 0.0F) + (float)sum;
}

static __global__ void update_kernel(tr_update_args a)
{
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < a.n; i += step)
        tr_update_one(&a, tr_update_index(&a, i));
}

#endif
