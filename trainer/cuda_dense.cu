/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_dense.cu - trainer/kernels.h on the GPU. */
#include "trainer/cuda_device.cuh"
#include "trainer/cuda_kernels.cuh"

int tr_cuda_scale(struct cuda_device *d, const void *args)
{
    const struct tr_scale_args *a = (const struct tr_scale_args *)args;
    cudaStream_t stream = compute_of(d);
    dim3 grid((a->dim + TR_THREADS - 1) / TR_THREADS, a->rows < GRID_Y_MAX ? a->rows : GRID_Y_MAX);
    scale_kernel<<<grid, TR_THREADS, 0, stream>>>(*a);
    return check_launch(&d->base, "scale_kernel");
}

int tr_cuda_matmul(struct cuda_device *d, bool transposed, const float *a, const float *b, float *c,
                   uint32_t m, uint32_t n, uint32_t k, bool accumulate)
{
    const float one = 1.0F;
    const float beta = accumulate ? 1.0F : 0.0F;
    if (d->blas) {
        /* cuBLAS is column-major: it is given c' = b' op(a)'. */
        int rc =
            d->sgemm(d->blas, BLAS_AS_IS, transposed ? BLAS_TRANSPOSED : BLAS_AS_IS, (int)n, (int)m,
                     (int)k, &one, b, (int)n, a, (int)(transposed ? m : k), &beta, c, (int)n);
        if (rc == BLAS_OK)
            return 0;
        snprintf(d->base.error, sizeof d->base.error, "cublasSgemm: status %d", rc);
        return -1;
    }
    dim3 block(TR_TILE, TR_TILE);
    dim3 grid((m + TR_TILE - 1) / TR_TILE, (n + TR_TILE - 1) / TR_TILE);
    cudaStream_t stream = compute_of(d);
    if (transposed)
        matmul_kernel<true><<<grid, block, 0, stream>>>(a, b, c, m, n, k, accumulate);
    else
        matmul_kernel<false><<<grid, block, 0, stream>>>(a, b, c, m, n, k, accumulate);
    return check_launch(&d->base, "matmul_kernel");
}

int tr_cuda_forward(struct cuda_device *d, const void *args)
{
    const struct tr_forward_args *a = (const struct tr_forward_args *)args;
    cudaStream_t stream = compute_of(d);
    size_t n = (size_t)a->rows * a->outputs;
    fill_rows_kernel<<<blocks_for(n), TR_THREADS, 0, stream>>>(a->z, a->b, n, a->outputs);
    if (check_launch(&d->base, "fill_rows_kernel") < 0)
        return -1;
    return tr_cuda_matmul(d, false, a->x, a->w, a->z, a->rows, a->outputs, a->dim, true);
}

int tr_cuda_loss(struct cuda_device *d, const void *args)
{
    const struct tr_loss_args *a = (const struct tr_loss_args *)args;
    cudaStream_t stream = compute_of(d);
    loss_kernel<<<blocks_for(a->rows), TR_THREADS, 0, stream>>>(*a);
    if (check_launch(&d->base, "loss_kernel") < 0)
        return -1;
    sum_losses_kernel<<<1, TR_THREADS, 0, stream>>>(*a);
    return check_launch(&d->base, "sum_losses_kernel");
}

int tr_cuda_gradient(struct cuda_device *d, const void *args)
{
    const struct tr_gradient_args *a = (const struct tr_gradient_args *)args;
    cudaStream_t stream = compute_of(d);
    sum_columns_kernel<<<a->outputs, TR_THREADS, 0, stream>>>(a->dz, a->db, a->rows, a->outputs,
                                                              a->accumulate);
    if (check_launch(&d->base, "sum_columns_kernel") < 0)
        return -1;
    return tr_cuda_matmul(d, true, a->x, a->dz, a->dw, a->dim, a->outputs, a->rows, a->accumulate);
}

int tr_cuda_update(struct cuda_device *d, const void *args)
{
    const struct tr_update_args *a = (const struct tr_update_args *)args;
    cudaStream_t stream = compute_of(d);
    update_kernel<<<blocks_for(a->n), TR_THREADS, 0, stream>>>(*a);
    return check_launch(&d->base, "update_kernel");
}

int tr_cuda_sum(struct cuda_device *d, const void *args)
{
    const struct tr_sum_args *a = (const struct tr_sum_args *)args;
    cudaStream_t stream = compute_of(d);
    sum_columns_kernel<<<a->columns, TR_THREADS, 0, stream>>>(a->x, a->sums, a->rows, a->columns,
                                                              false);
    return check_launch(&d->base, "sum_columns_kernel");
}
