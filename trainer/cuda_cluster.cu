/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_cluster.cu - trainer/cluster.h on the GPU. Sums over rows are taken in a fixed
 * order, so the same batches give the same bits.
 */
#include "trainer/cluster_math.h"
#include "trainer/cuda_device.cuh"

#define WARP 32U
#define WARPS (TR_THREADS / WARP)
#define ALL_LANES 0xffffffffU

/* The nearest centre of a row; a warp's lanes share the centres. Of equal ones the first. */
static __device__ uint32_t nearest_of_row(const tr_nearest_args *a, uint32_t row, uint32_t lane)
{
    const float *product = a->product + (size_t)row * a->centres.count;
    uint32_t at = lane < a->centres.count ? lane : 0;
    float best = tr_nearest_measure(a->centres.norm[at], product[at]);
    for (uint32_t j = lane + WARP; j < a->centres.count; j += WARP) {
        float measure = tr_nearest_measure(a->centres.norm[j], product[j]);
        if (measure < best) {
            best = measure;
            at = j;
        }
    }
    for (uint32_t half = WARP / 2; half > 0; half /= 2) {
        float other = __shfl_xor_sync(ALL_LANES, best, half);
        uint32_t other_at = __shfl_xor_sync(ALL_LANES, at, half);
        if (other < best || (other == best && other_at < at)) {
            best = other;
            at = other_at;
        }
    }
    return at;
}

/* One warp a row. */
static __global__ void nearest_kernel(tr_nearest_args a)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t dim = a.centres.dim;
    for (uint32_t row = blockIdx.x * WARPS + threadIdx.x / WARP; row < a.rows;
         row += gridDim.x * WARPS) {
        uint32_t nearest = nearest_of_row(&a, row, lane);
        const float *x = a.x + (size_t)row * dim;
        const double *place = a.centres.place + (size_t)nearest * dim;
        double sum = 0.0;
        for (uint32_t j = lane; j < dim; j += WARP)
            sum += tr_nearest_term(x[j], place[j]);
        for (uint32_t half = WARP / 2; half > 0; half /= 2)
            sum += __shfl_down_sync(ALL_LANES, sum, half);
        if (lane == 0) {
            a.nearest[row] = nearest;
            a.distance[row] = (float)sum;
        }
    }
}

/* One block. */
static __global__ void sum_distances_kernel(const float *distance, uint32_t rows, tr_stats *stats)
{
    __shared__ double shared[TR_THREADS];
    double sum = 0.0;
    for (uint32_t row = threadIdx.x; row < rows; row += TR_THREADS)
        sum += (double)distance[row];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) {
        stats->loss_sum += sum;
        stats->rows += (double)rows;
    }
}

/* Columns along x, centres along y: a thread looks for its centre's rows. */
static __global__ void collect_kernel(tr_collect_args a)
{
    uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= a.dim)
        return;
    for (uint32_t centre = blockIdx.y; centre < a.count; centre += gridDim.y) {
        double sum = 0.0;
        uint32_t number = 0;
        for (uint32_t row = 0; row < a.rows; row++) {
            if (a.nearest[row] == centre) {
                sum += (double)a.x[(size_t)row * a.dim + column];
                number++;
            }
        }
        a.sum[(size_t)centre * a.dim + column] += sum;
        if (column == 0)
            a.number[centre] += (double)number;
    }
}

/* One block a centre. */
static __global__ void move_kernel(tr_move_args a)
{
    __shared__ double shared[TR_THREADS];
    const tr_centres c = a.centres;
    for (uint32_t centre = blockIdx.x; centre < c.count; centre += gridDim.x) {
        double number = a.number[centre];
        double weight = c.weight[centre] * a.decay + number;
        double norm = 0.0;
        for (uint32_t j = threadIdx.x; j < c.dim; j += TR_THREADS) {
            size_t at = (size_t)centre * c.dim + j;
            double place = c.place[at];
            if (number > 0.0)
                place = tr_move_one(place, a.sum[at], number, weight);
            c.place[at] = place;
            a.sum[at] = 0.0;
            norm += place * place;
            c.transposed[(size_t)j * c.count + centre] = (float)place;
        }
        norm = block_sum(norm, shared); /* every thread has read number and weight by now */
        if (threadIdx.x == 0) {
            c.norm[centre] = (float)norm;
            c.weight[centre] = weight;
            a.number[centre] = 0.0;
        }
        __syncthreads();
    }
}

int tr_cuda_nearest(struct cuda_device *d, const void *args)
{
    const struct tr_nearest_args *a = (const struct tr_nearest_args *)args;
    cudaStream_t stream = compute_of(d);
    uint32_t blocks = blocks_for((size_t)a->rows * WARP);
    if (tr_cuda_matmul(d, false, a->x, a->centres.transposed, a->product, a->rows, a->centres.count,
                       a->centres.dim, false) < 0)
        return -1;
    nearest_kernel<<<blocks, TR_THREADS, 0, stream>>>(*a);
    if (check_launch(&d->base, "nearest_kernel") < 0)
        return -1;
    sum_distances_kernel<<<1, TR_THREADS, 0, stream>>>(a->distance, a->rows, a->stats);
    return check_launch(&d->base, "sum_distances_kernel");
}

int tr_cuda_collect(struct cuda_device *d, const void *args)
{
    const struct tr_collect_args *a = (const struct tr_collect_args *)args;
    dim3 grid((a->dim + TR_THREADS - 1) / TR_THREADS,
              a->count < GRID_Y_MAX ? a->count : GRID_Y_MAX);
    collect_kernel<<<grid, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "collect_kernel");
}

int tr_cuda_move(struct cuda_device *d, const void *args)
{
    const struct tr_move_args *a = (const struct tr_move_args *)args;
    uint32_t blocks = a->centres.count < BLOCKS_MAX ? a->centres.count : BLOCKS_MAX;
    move_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "move_kernel");
}
