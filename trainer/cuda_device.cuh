/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_device.cuh - what the files of the CUDA plug-in share: the device, its kernels'
 * table, and checks of CUDA's return codes.
 *
 * Threads: trainer/device.h's rules.
 */
#ifndef TRAINER_CUDA_DEVICE_CUH
#define TRAINER_CUDA_DEVICE_CUH

#include "trainer/device.h"

#include <cuda_runtime.h>
#include <stdio.h>

#define TR_THREADS 256U /* of a block, where nothing else is said */
#define BLOCKS_MAX 4096U
#define GRID_Y_MAX 65535U

/* What we use of cuBLAS, declared here so that its header is not needed (cublas_api.h, the same in
 * versions 12 and 13). */
typedef void *blas_handle;
enum { BLAS_OK = 0, BLAS_AS_IS = 0, BLAS_TRANSPOSED = 1 };
typedef int (*blas_destroy_fn)(blas_handle handle);
typedef int (*blas_sgemm_fn)(blas_handle handle, int op_a, int op_b, int m, int n, int k,
                             const float *alpha, const float *a, int lda, const float *b, int ldb,
                             const float *beta, float *c, int ldc);

struct cuda_device {
    struct tr_device base; /* first: the table hands out a struct tr_device */
    int number;            /* CUDA's, from 0 */
    cudaStream_t streams[TR_STREAM_COUNT];
    blas_handle blas;                      /* NULL: own kernel */
    cudaGraphExec_t graphs[TR_GRAPHS_MAX]; /* of a step, NULL before the first */
    blas_destroy_fn blas_destroy;
    blas_sgemm_fn sgemm;
};

static inline struct cuda_device *cuda_of(struct tr_device *device)
{
    return reinterpret_cast<struct cuda_device *>(device);
}

static inline int check(struct tr_device *device, cudaError_t rc, const char *what)
{
    if (rc == cudaSuccess)
        return 0;
    snprintf(device->error, sizeof device->error, "%s: %s (CUDA error %d)", what,
             cudaGetErrorString(rc), (int)rc);
    return -1;
}

static inline int check_launch(struct tr_device *device, const char *kernel)
{
    return check(device, cudaGetLastError(), kernel);
}

static inline uint32_t blocks_for(size_t n)
{
    size_t blocks = (n + TR_THREADS - 1) / TR_THREADS;
    return blocks < BLOCKS_MAX ? (uint32_t)(blocks > 0 ? blocks : 1) : BLOCKS_MAX;
}

static inline cudaStream_t compute_of(struct cuda_device *d)
{
    return d->streams[TR_STREAM_COMPUTE];
}

/* Adds up a block's TR_THREADS values; every thread has the sum, and may use
 * `shared` again. */
static __device__ inline double block_sum(double value, double *shared)
{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (uint32_t half = TR_THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    double sum = shared[0];
    __syncthreads();
    return sum;
}

/* c (m, n) = op(a) b + beta c, row-major; op transposes a stored (k, m). trainer/cuda_dense.cu */
int tr_cuda_matmul(struct cuda_device *d, bool transposed, const float *a, const float *b, float *c,
                   uint32_t m, uint32_t n, uint32_t k, bool accumulate);

typedef int (*tr_cuda_kernel_fn)(struct cuda_device *d, const void *args);

/* By enum tr_kernel: trainer/cuda_table.cu. */
extern const tr_cuda_kernel_fn tr_cuda_kernels[TR_KERNEL_COUNT];

/* trainer/cuda_dense.cu */
int tr_cuda_scale(struct cuda_device *d, const void *args);
int tr_cuda_forward(struct cuda_device *d, const void *args);
int tr_cuda_loss(struct cuda_device *d, const void *args);
int tr_cuda_gradient(struct cuda_device *d, const void *args);
int tr_cuda_update(struct cuda_device *d, const void *args);
int tr_cuda_sum(struct cuda_device *d, const void *args);

/* trainer/cuda_sparse.cu */
int tr_cuda_csr_order(struct cuda_device *d, const void *args);
int tr_cuda_csr_update(struct cuda_device *d, const void *args);
int tr_cuda_csr_forward(struct cuda_device *d, const void *args);
int tr_cuda_csr_gradient(struct cuda_device *d, const void *args);

/* trainer/cuda_fm.cu */
int tr_cuda_fm_forward(struct cuda_device *d, const void *args);

/* trainer/cuda_net.cu */
int tr_cuda_load(struct cuda_device *d, const void *args);
int tr_cuda_finish(struct cuda_device *d, const void *args);
int tr_cuda_unfinish(struct cuda_device *d, const void *args);
int tr_cuda_backward(struct cuda_device *d, const void *args);
int tr_cuda_patches(struct cuda_device *d, const void *args);
int tr_cuda_unpatch(struct cuda_device *d, const void *args);
int tr_cuda_mean(struct cuda_device *d, const void *args);
int tr_cuda_spread(struct cuda_device *d, const void *args);

/* trainer/cuda_moments.cu */
int tr_cuda_moments(struct cuda_device *d, const void *args);
int tr_cuda_checksum(struct cuda_device *d, const void *args);

/* trainer/cuda_cluster.cu */
int tr_cuda_nearest(struct cuda_device *d, const void *args);
int tr_cuda_collect(struct cuda_device *d, const void *args);
int tr_cuda_move(struct cuda_device *d, const void *args);

/* trainer/cuda_call.cu */
int tr_cuda_call(struct cuda_device *d, const void *args);

/* trainer/cuda_gather.cu */
int tr_cuda_gather(struct cuda_device *d, const void *args);

#endif
