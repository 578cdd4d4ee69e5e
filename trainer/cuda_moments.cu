/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_moments.cu - trainer/moments.h on the GPU. Sums over rows are taken in a fixed
 * order, so the same batches give the same bits; the checksum is a sum of integers, which has no
 * order.
 */
#include "trainer/cuda_device.cuh"
#include "trainer/moments_math.h"

#define COLUMNS 32U /* of a block that sums over rows: neighbours in memory */
#define LANES 8U    /* threads that share a column */
#define ROWS_OF_BLOCK (TR_THREADS / 32U)

/* Adds up the LANES values of a column; every thread of the block has the sum. */
static __device__ double column_sum(double value, double (*shared)[COLUMNS])
{
    shared[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    double sum = 0.0;
    for (uint32_t i = 0; i < LANES; i++)
        sum += shared[i][threadIdx.x];
    __syncthreads();
    return sum;
}

/* Finds shift, y and its sums. A block has COLUMNS columns. */
static __global__ void centre_kernel(tr_moments_args a)
{
    __shared__ double shared[LANES][COLUMNS];
    uint32_t column = blockIdx.x * COLUMNS + threadIdx.x;
    bool inside = column < a.dim;
    double sum = 0.0;
    for (uint32_t row = threadIdx.y; row < a.rows && inside; row += LANES)
        sum += (double)a.x[(size_t)row * a.dim + column];
    float shift = (float)(column_sum(sum, shared) / (double)a.rows);
    double square = 0.0;
    sum = 0.0;
    for (uint32_t row = threadIdx.y; row < a.rows && inside; row += LANES) {
        size_t at = (size_t)row * a.dim + column;
        float y = a.x[at] - shift;
        a.y[at] = y;
        sum += (double)y;
        square += (double)y * (double)y;
    }
    sum = column_sum(sum, shared);
    square = column_sum(square, shared);
    if (threadIdx.y == 0 && inside) {
        a.shift[column] = shift;
        a.block[column] = sum;
        a.block[a.dim + column] = square;
    }
}

/* One block for COLUMNS columns of omega. */
static __global__ void project_kernel(tr_moments_args a)
{
    __shared__ double shared[LANES][COLUMNS];
    uint32_t k = blockIdx.x * COLUMNS + threadIdx.x;
    bool inside = k < a.width;
    double sum = 0.0;
    double delta = 0.0;
    for (uint32_t i = threadIdx.y; i < a.dim && inside; i += LANES) {
        double omega = a.omega ? (double)a.omega[(size_t)i * a.width + k] : (i == k ? 1.0 : 0.0);
        sum += a.block[i] * omega;
        delta += tr_moments_delta(&a, i) * omega;
    }
    sum = column_sum(sum, shared);
    delta = column_sum(delta, shared);
    if (threadIdx.y == 0 && inside) {
        a.projected[k] = sum;
        a.projected[a.width + k] = delta;
    }
}

/* Columns along x, rows along y. */
static __global__ void merge_product_kernel(tr_moments_args a)
{
    uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
    double weight = tr_moments_weight(&a);
    if (k >= a.width)
        return;
    for (uint32_t i = blockIdx.y; i < a.dim; i += gridDim.y) {
        size_t at = (size_t)i * a.width + k;
        if (!a.omega && k < i)
            continue;
        a.product[at] += tr_moments_element(a.gram[at], a.block[i] / (double)a.rows,
                                            weight * tr_moments_delta(&a, i), a.projected[k],
                                            a.projected[a.width + k]);
    }
}

static __global__ void merge_mean_kernel(tr_moments_args a)
{
    uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column < a.dim)
        tr_moments_merge_mean(&a, column);
}

/* One warp a row. */
static __global__ void checksum_kernel(tr_checksum_args a)
{
    uint32_t lane = threadIdx.x % 32U;
    uint32_t row = blockIdx.x * ROWS_OF_BLOCK + threadIdx.x / 32U;
    uint64_t sum = 0;
    for (; row < a.rows; row += gridDim.x * ROWS_OF_BLOCK) {
        const float *x = a.x + (size_t)row * a.dim;
        uint64_t hash = 0;
        for (uint32_t j = lane; j < a.dim; j += 32U)
            hash += __float_as_uint(x[j]) * a.key[j];
        for (uint32_t half = 16U; half > 0; half /= 2)
            hash += __shfl_down_sync(0xffffffffU, hash, half);
        sum += fmt_mix(hash);
    }
    if (lane == 0)
        atomicAdd((unsigned long long *)a.sum, (unsigned long long)sum);
}

static uint32_t blocks_of_columns(uint32_t columns)
{
    return (columns + COLUMNS - 1) / COLUMNS;
}

static int multiply(struct cuda_device *d, const struct tr_moments_args *a)
{
    if (!a->omega)
        return tr_cuda_matmul(d, true, a->y, a->y, a->gram, a->dim, a->dim, a->rows, false);
    if (tr_cuda_matmul(d, false, a->y, a->omega, a->z, a->rows, a->width, a->dim, false) < 0)
        return -1;
    return tr_cuda_matmul(d, true, a->y, a->z, a->gram, a->dim, a->width, a->rows, false);
}

int tr_cuda_moments(struct cuda_device *d, const void *args)
{
    const struct tr_moments_args *a = (const struct tr_moments_args *)args;
    cudaStream_t stream = compute_of(d);
    dim3 threads(COLUMNS, LANES);
    dim3 grid((a->width + TR_THREADS - 1) / TR_THREADS, a->dim < GRID_Y_MAX ? a->dim : GRID_Y_MAX);
    centre_kernel<<<blocks_of_columns(a->dim), threads, 0, stream>>>(*a);
    if (check_launch(&d->base, "centre_kernel") < 0 || multiply(d, a) < 0)
        return -1;
    project_kernel<<<blocks_of_columns(a->width), threads, 0, stream>>>(*a);
    if (check_launch(&d->base, "project_kernel") < 0)
        return -1;
    merge_product_kernel<<<grid, TR_THREADS, 0, stream>>>(*a);
    if (check_launch(&d->base, "merge_product_kernel") < 0)
        return -1;
    merge_mean_kernel<<<(a->dim + TR_THREADS - 1) / TR_THREADS, TR_THREADS, 0, stream>>>(*a);
    return check_launch(&d->base, "merge_mean_kernel");
}

int tr_cuda_checksum(struct cuda_device *d, const void *args)
{
    const struct tr_checksum_args *a = (const struct tr_checksum_args *)args;
    uint32_t blocks = blocks_for((size_t)a->rows * 32U);
    checksum_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "checksum_kernel");
}
