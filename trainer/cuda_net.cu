/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_net.cu - trainer/net_kernels.h on the GPU. One thread an element, which gathers what
 * it is made of in a fixed order: no atomics.
 */
#include "trainer/cuda_device.cuh"
#include "trainer/net_math.h"

#define TILE 16U

static __device__ __forceinline__ size_t first_element()
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ size_t element_step()
{
    return (size_t)gridDim.x * blockDim.x;
}

static __global__ void load_kernel(tr_load_args a)
{
    size_t row_values = (size_t)a.pixels * a.channels;
    size_t n = row_values * a.rows;
    for (size_t i = first_element(); i < n; i += element_step()) {
        uint32_t in_row = (uint32_t)(i % row_values);
        tr_load_one(&a, i / row_values, in_row / a.channels, in_row % a.channels);
    }
}

static __global__ void finish_kernel(tr_finish_args a)
{
    for (size_t i = first_element(); i < a.n; i += element_step())
        tr_finish_one(&a, i);
}

static __global__ void unfinish_kernel(tr_unfinish_args a)
{
    for (size_t i = first_element(); i < a.n; i += element_step())
        tr_unfinish_one(&a, i);
}

/* c (m, n) = a (m, k) b', b stored (n, k); added to c when accumulate. For machines without cuBLAS.
 */
static __global__ void matmul_by_rows_kernel(const float *a, const float *b, float *c, uint32_t m,
                                             uint32_t n, uint32_t k, bool accumulate)
{
    __shared__ float a_tile[TILE][TILE + 1];
    __shared__ float b_tile[TILE][TILE + 1];
    uint32_t tx = threadIdx.x;
    uint32_t ty = threadIdx.y;
    uint32_t row = blockIdx.x * TILE + ty;
    uint32_t column = blockIdx.y * TILE + tx;
    uint32_t b_row = blockIdx.y * TILE + ty;
    float sum = 0.0F;
    for (uint32_t at = 0; at < k; at += TILE) {
        bool inside = at + tx < k;
        a_tile[ty][tx] = inside && row < m ? a[(size_t)row * k + at + tx] : 0.0F;
        b_tile[ty][tx] = inside && b_row < n ? b[(size_t)b_row * k + at + tx] : 0.0F;
        __syncthreads();
        for (uint32_t i = 0; i < TILE; i++)
            sum = fmaf(a_tile[ty][i], b_tile[tx][i], sum);
        __syncthreads();
    }
    if (row < m && column < n) {
        float *out = c + (size_t)row * n + column;
        *out = accumulate ? *out + sum : sum;
    }
}

static __global__ void patches_kernel(tr_patches_args a)
{
    size_t n = (size_t)a.rows * a.out_height * a.out_width * a.kernel * a.kernel * a.channels;
    uint32_t pad = a.kernel / 2;
    for (size_t i = first_element(); i < n; i += element_step()) {
        uint32_t channel = (uint32_t)(i % a.channels);
        size_t rest = i / a.channels;
        uint32_t kx = (uint32_t)(rest % a.kernel);
        rest /= a.kernel;
        uint32_t ky = (uint32_t)(rest % a.kernel);
        rest /= a.kernel;
        uint32_t ox = (uint32_t)(rest % a.out_width);
        rest /= a.out_width;
        uint32_t oy = (uint32_t)(rest % a.out_height);
        size_t row = rest / a.out_height;
        uint32_t y = oy * a.stride + ky - pad; /* below zero: wraps, and is too large then */
        uint32_t x = ox * a.stride + kx - pad;
        bool inside = y < a.height && x < a.width;
        a.patches[i] =
            inside ? a.x[((row * a.height + y) * a.width + x) * a.channels + channel] : 0.0F;
    }
}

static __global__ void unpatch_kernel(tr_unpatch_args a)
{
    const tr_patches_args *s = &a.shape;
    size_t n = (size_t)s->rows * s->height * s->width * s->channels;
    for (size_t i = first_element(); i < n; i += element_step()) {
        uint32_t channel = (uint32_t)(i % s->channels);
        size_t rest = i / s->channels;
        uint32_t x = (uint32_t)(rest % s->width);
        rest /= s->width;
        uint32_t y = (uint32_t)(rest % s->height);
        float from = a.accumulate ? a.dx[i] : 0.0F;
        a.dx[i] = tr_unpatch_one(&a, rest / s->height, y, x, channel, from);
    }
}

static __global__ void mean_kernel(tr_mean_args a)
{
    size_t n = (size_t)a.rows * a.channels;
    float factor = 1.0F / (float)a.pixels;
    for (size_t i = first_element(); i < n; i += element_step()) {
        const float *x = a.x + i / a.channels * a.pixels * a.channels + i % a.channels;
        float sum = 0.0F;
        for (uint32_t pixel = 0; pixel < a.pixels; pixel++)
            sum += x[(size_t)pixel * a.channels];
        a.y[i] = sum * factor;
    }
}

static __global__ void spread_kernel(tr_spread_args a)
{
    size_t row_values = (size_t)a.pixels * a.channels;
    size_t n = row_values * a.rows;
    float factor = 1.0F / (float)a.pixels;
    for (size_t i = first_element(); i < n; i += element_step()) {
        float d = a.dy[i / row_values * a.channels + i % a.channels] * factor;
        a.dx[i] = (a.accumulate ? a.dx[i] : 0.0F) + d;
    }
}

int tr_cuda_load(struct cuda_device *d, const void *args)
{
    const struct tr_load_args *a = (const struct tr_load_args *)args;
    size_t n = (size_t)a->rows * a->pixels * a->channels;
    load_kernel<<<blocks_for(n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "load_kernel");
}

int tr_cuda_finish(struct cuda_device *d, const void *args)
{
    const struct tr_finish_args *a = (const struct tr_finish_args *)args;
    finish_kernel<<<blocks_for(a->n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "finish_kernel");
}

int tr_cuda_unfinish(struct cuda_device *d, const void *args)
{
    const struct tr_unfinish_args *a = (const struct tr_unfinish_args *)args;
    unfinish_kernel<<<blocks_for(a->n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "unfinish_kernel");
}

int tr_cuda_backward(struct cuda_device *d, const void *args)
{
    const struct tr_backward_args *a = (const struct tr_backward_args *)args;
    if (d->blas) {
        /* cuBLAS is column-major: it is given dx' = w dz'. */
        const float one = 1.0F;
        const float beta = a->accumulate ? 1.0F : 0.0F;
        int k = (int)a->outputs;
        int rc = d->sgemm(d->blas, BLAS_TRANSPOSED, BLAS_AS_IS, (int)a->dim, (int)a->rows, k, &one,
                          a->w, k, a->dz, k, &beta, a->dx, (int)a->dim);
        if (rc == BLAS_OK)
            return 0;
        snprintf(d->base.error, sizeof d->base.error, "cublasSgemm: status %d", rc);
        return -1;
    }
    dim3 block(TILE, TILE);
    dim3 grid((a->rows + TILE - 1) / TILE, (a->dim + TILE - 1) / TILE);
    matmul_by_rows_kernel<<<grid, block, 0, compute_of(d)>>>(a->dz, a->w, a->dx, a->rows, a->dim,
                                                             a->outputs, a->accumulate);
    return check_launch(&d->base, "matmul_by_rows_kernel");
}

int tr_cuda_patches(struct cuda_device *d, const void *args)
{
    const struct tr_patches_args *a = (const struct tr_patches_args *)args;
    size_t n = (size_t)a->rows * a->out_height * a->out_width * a->kernel * a->kernel * a->channels;
    patches_kernel<<<blocks_for(n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "patches_kernel");
}

int tr_cuda_unpatch(struct cuda_device *d, const void *args)
{
    const struct tr_unpatch_args *a = (const struct tr_unpatch_args *)args;
    size_t n = (size_t)a->shape.rows * a->shape.height * a->shape.width * a->shape.channels;
    unpatch_kernel<<<blocks_for(n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "unpatch_kernel");
}

int tr_cuda_mean(struct cuda_device *d, const void *args)
{
    const struct tr_mean_args *a = (const struct tr_mean_args *)args;
    mean_kernel<<<blocks_for((size_t)a->rows * a->channels), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "mean_kernel");
}

int tr_cuda_spread(struct cuda_device *d, const void *args)
{
    const struct tr_spread_args *a = (const struct tr_spread_args *)args;
    size_t n = (size_t)a->rows * a->pixels * a->channels;
    spread_kernel<<<blocks_for(n), TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "spread_kernel");
}
