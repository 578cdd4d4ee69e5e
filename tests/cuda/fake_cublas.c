/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/fake_cublas.c - a libcublas.so.13 for the emulated plug-in: products of matrices in
 * column order, as cuBLAS has them (cublasSgemm), done by the stream.
 */
#include "tests/cuda/emulator.h"

#include <stdlib.h>

#pragma GCC visibility push(default)

struct handle {
    struct emu_stream *stream;
};

/* The start of a stream, as tests/cuda/streams.c has it. */
struct callee {
    cudaError_t (*call)(struct emu_stream *stream, void (*run)(void *), const void *closure,
                        size_t closure_bytes);
};

struct matrix {
    const float *values; /* columns one after the other, `step` apart */
    int step;
    bool transposed;
};

struct product {
    struct matrix a, b;
    int m, n, k;
    float alpha, beta;
    float *c;
    int ldc;
};

static double element(const struct matrix *m, int row, int column)
{
    int along = m->transposed ? column : row;
    int across = m->transposed ? row : column;
    return (double)m->values[(size_t)across * (size_t)m->step + (size_t)along];
}

static void multiply(void *closure)
{
    const struct product *p = closure;
    for (int j = 0; j < p->n; j++) {
        for (int i = 0; i < p->m; i++) {
            float *c = p->c + (size_t)j * (size_t)p->ldc + i;
            double sum = 0.0;
            for (int l = 0; l < p->k; l++)
                sum += element(&p->a, i, l) * element(&p->b, l, j);
            /* What c holds counts for nothing where beta is 0, were it no number. */
            *c = (float)(p->alpha * sum + (p->beta != 0.0F ? (double)(p->beta * *c) : 0.0));
        }
    }
}

static bool fits(const struct matrix *m, int rows, int columns)
{
    int height = m->transposed ? columns : rows;
    return rows >= 0 && columns >= 0 && m->step >= (height > 1 ? height : 1);
}

int cublasCreate_v2(struct handle **out);
int cublasDestroy_v2(struct handle *handle);
int cublasSetStream_v2(struct handle *handle, struct emu_stream *stream);
int cublasSgemm_v2(struct handle *handle, int op_a, int op_b, int m, int n, int k,
                   const float *alpha, const float *a, int lda, const float *b, int ldb,
                   const float *beta, float *c, int ldc);

int cublasCreate_v2(struct handle **out)
{
    *out = calloc(1, sizeof **out);
    return 0;
}

int cublasDestroy_v2(struct handle *handle)
{
    free(handle);
    return 0;
}

int cublasSetStream_v2(struct handle *handle, struct emu_stream *stream)
{
    handle->stream = stream;
    return 0;
}

int cublasSgemm_v2(struct handle *handle, int op_a, int op_b, int m, int n, int k,
                   const float *alpha, const float *a, int lda, const float *b, int ldb,
                   const float *beta, float *c, int ldc)
{
    const struct product product = {.a = {a, lda, op_a != 0},
                                    .b = {b, ldb, op_b != 0},
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .alpha = *alpha,
                                    .beta = *beta,
                                    .c = c,
                                    .ldc = ldc};
    const struct matrix result = {c, ldc, false};
    const struct callee *callee = (const struct callee *)(const void *)handle->stream;
    if (!fits(&product.a, m, k) || !fits(&product.b, k, n) || !fits(&result, m, n))
        return 7; /* CUBLAS_STATUS_INVALID_VALUE */
    return callee->call(handle->stream, multiply, &product, sizeof product) == cudaSuccess ? 0 : 13;
}
