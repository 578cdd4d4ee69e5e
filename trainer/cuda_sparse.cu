/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_sparse.cu - trainer/sparse_kernels.h on the GPU: a stable radix sort, whose counters
 * are whole numbers, and sums by one warp a column in the order of the entries.
 */
#include "trainer/cuda_device.cuh"
#include "trainer/linear_math.h"
#include "trainer/sparse_kernels.h"

#define WARP 32U

/* Rounds of a block over its tile. */
#define ROUNDS (TR_CSR_TILE / TR_THREADS)

static_assert(TR_THREADS == TR_CSR_DIGITS, "a thread a digit");

struct sort_pass {
    const uint32_t *columns;
    const uint32_t *entries;
    uint32_t *to_columns;
    uint32_t *to_entries;
    uint32_t *counts; /* (TR_CSR_DIGITS, blocks) */
    uint32_t n;
    uint32_t shift;
};

/* One warp a row. */
static __global__ void name_entries_kernel(tr_csr_order_args a, uint32_t *columns,
                                           uint32_t *entries)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t warps = gridDim.x * (blockDim.x / WARP);
    for (uint32_t row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; row < a.rows;
         row += warps) {
        for (uint32_t e = a.row_offsets[row] + lane; e < a.row_offsets[row + 1]; e += WARP) {
            a.entry_rows[e] = row;
            columns[e] = a.columns[e];
            entries[e] = e;
        }
    }
}

static __device__ uint32_t digit_of(const sort_pass &pass, uint32_t i)
{
    return pass.columns[i] >> pass.shift & (TR_CSR_DIGITS - 1);
}

/* How often each digit comes in the tile of a block. */
static __global__ void count_digits_kernel(sort_pass pass)
{
    __shared__ uint32_t counts[TR_CSR_DIGITS];
    uint32_t tile = blockIdx.x * TR_CSR_TILE;
    counts[threadIdx.x] = 0;
    __syncthreads();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t i = tile + round * TR_THREADS + threadIdx.x;
        if (i < pass.n)
            atomicAdd(&counts[digit_of(pass, i)], 1U);
    }
    __syncthreads();
    pass.counts[(size_t)threadIdx.x * gridDim.x + blockIdx.x] = counts[threadIdx.x];
}

/* One block: every count becomes the sum of those before it. */
static __global__ void add_up_counts_kernel(uint32_t *counts, uint32_t n)
{
    __shared__ uint32_t sums[TR_THREADS];
    uint32_t each = (n + TR_THREADS - 1) / TR_THREADS;
    uint32_t from = min(threadIdx.x * each, n);
    uint32_t to = min(from + each, n);
    uint32_t sum = 0;
    for (uint32_t i = from; i < to; i++)
        sum += counts[i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    uint32_t before = 0;
    for (uint32_t i = 0; i < threadIdx.x; i++)
        before += sums[i];
    for (uint32_t i = from; i < to; i++) {
        uint32_t count = counts[i];
        counts[i] = before;
        before += count;
    }
}

/* Moves a tile's entries to their places; equal digits keep their order. */
static __global__ void move_entries_kernel(sort_pass pass)
{
    __shared__ uint32_t next[TR_CSR_DIGITS];
    __shared__ uint32_t digits[TR_THREADS];
    uint32_t tile = blockIdx.x * TR_CSR_TILE;
    next[threadIdx.x] = pass.counts[(size_t)threadIdx.x * gridDim.x + blockIdx.x];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t i = tile + round * TR_THREADS + threadIdx.x;
        bool inside = i < pass.n;
        uint32_t digit = inside ? digit_of(pass, i) : TR_CSR_DIGITS;
        uint32_t before = 0;
        uint32_t equal = 0;
        digits[threadIdx.x] = digit;
        __syncthreads();
        for (uint32_t j = 0; j < TR_THREADS; j++) {
            bool same = digits[j] == digit;
            before += same && j < threadIdx.x ? 1U : 0U;
            equal += same ? 1U : 0U;
        }
        if (inside) {
            uint32_t to = next[digit] + before;
            pass.to_columns[to] = pass.columns[i];
            pass.to_entries[to] = pass.entries[i];
        }
        __syncthreads();
        if (inside && before + 1 == equal)
            next[digit] += equal;
        __syncthreads();
    }
}

static int run_pass(struct cuda_device *d, const sort_pass &pass)
{
    cudaStream_t stream = compute_of(d);
    uint32_t blocks = (pass.n + TR_CSR_TILE - 1) / TR_CSR_TILE;
    count_digits_kernel<<<blocks, TR_THREADS, 0, stream>>>(pass);
    if (check_launch(&d->base, "count_digits_kernel") < 0)
        return -1;
    add_up_counts_kernel<<<1, TR_THREADS, 0, stream>>>(pass.counts, blocks * TR_CSR_DIGITS);
    if (check_launch(&d->base, "add_up_counts_kernel") < 0)
        return -1;
    move_entries_kernel<<<blocks, TR_THREADS, 0, stream>>>(pass);
    return check_launch(&d->base, "move_entries_kernel");
}

int tr_cuda_csr_order(struct cuda_device *d, const void *args)
{
    const struct tr_csr_order_args *a = (const struct tr_csr_order_args *)args;
    uint32_t passes = tr_csr_passes(a->dim);
    bool into_spare = passes % 2 == 0; /* where the first pass writes, so that the last is right */
    uint32_t *columns = into_spare ? a->sorted_columns : a->spare_columns;
    uint32_t *entries = into_spare ? a->sorted_entries : a->spare_entries;
    if (a->entries == 0)
        return 0;
    name_entries_kernel<<<blocks_for((size_t)a->rows * WARP), TR_THREADS, 0, compute_of(d)>>>(
        *a, columns, entries);
    if (check_launch(&d->base, "name_entries_kernel") < 0)
        return -1;
    for (uint32_t at = 0; at < passes; at++) {
        uint32_t *to_columns = into_spare ? a->spare_columns : a->sorted_columns;
        uint32_t *to_entries = into_spare ? a->spare_entries : a->sorted_entries;
        sort_pass pass = {columns,
                          entries,
                          to_columns,
                          to_entries,
                          a->counts,
                          a->entries,
                          at * TR_CSR_DIGIT_BITS};
        if (run_pass(d, pass) < 0)
            return -1;
        columns = to_columns;
        entries = to_entries;
        into_spare = !into_spare;
    }
    return 0;
}

/* One warp a sorted entry; that of a column's first entry does the whole column, a lane a weight.
 */
static __global__ void csr_update_kernel(tr_csr_update_args a)
{
    const tr_update_args &update = a.update;
    uint32_t lane = threadIdx.x % WARP;
    uint32_t warps = gridDim.x * (blockDim.x / WARP);
    for (uint32_t from = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; from < a.entries;
         from += warps) {
        uint32_t column = a.sorted_columns[from];
        if (from > 0 && a.sorted_columns[from - 1] == column)
            continue;
        for (uint32_t f = lane; f < a.width; f += WARP) {
            size_t at = (size_t)column * a.width + f;
            float w = update.w[at];
            float gradient = 0.0F;
            for (uint32_t i = from; i < a.entries && a.sorted_columns[i] == column; i++) {
                uint32_t entry = a.sorted_entries[i];
                uint32_t row = a.entry_rows[entry];
                float x = a.values[entry];
                float dz = a.dz[row] * x;
                gradient += a.sums ? dz * (a.sums[(size_t)row * a.width + f] - w * x) : dz;
            }
            update.w[at] = tr_update_value(&update, w, gradient, &update.m[at], &update.v[at]);
        }
    }
}

int tr_cuda_csr_update(struct cuda_device *d, const void *args)
{
    const struct tr_csr_update_args *a = (const struct tr_csr_update_args *)args;
    if (a->entries == 0)
        return 0;
    uint32_t blocks = blocks_for((size_t)a->entries * WARP);
    csr_update_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "csr_update_kernel");
}

/* One warp a row, a lane a column of z. */
static __global__ void csr_forward_kernel(tr_csr_forward_args a)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t warps = gridDim.x * (blockDim.x / WARP);
    for (uint32_t row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; row < a.rows;
         row += warps) {
        for (uint32_t j = lane; j < a.width; j += WARP) {
            float z = a.b[j];
            for (uint32_t e = a.row_offsets[row]; e < a.row_offsets[row + 1]; e++) {
                uint32_t column = a.columns[e];
                float x = a.scale ? a.values[e] * a.scale[column] : a.values[e];
                z += x * a.w[(size_t)column * a.width + j];
            }
            a.z[(size_t)row * a.width + j] = z;
        }
    }
}

int tr_cuda_csr_forward(struct cuda_device *d, const void *args)
{
    const struct tr_csr_forward_args *a = (const struct tr_csr_forward_args *)args;
    uint32_t blocks = blocks_for((size_t)a->rows * WARP);
    csr_forward_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "csr_forward_kernel");
}

/* One warp a sorted entry, as csr_update_kernel. */
static __global__ void csr_gradient_kernel(tr_csr_gradient_args a)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t warps = gridDim.x * (blockDim.x / WARP);
    for (uint32_t from = (blockIdx.x * blockDim.x + threadIdx.x) / WARP; from < a.entries;
         from += warps) {
        uint32_t column = a.sorted_columns[from];
        if (from > 0 && a.sorted_columns[from - 1] == column)
            continue;
        for (uint32_t j = lane; j < a.width; j += WARP) {
            float dw = 0.0F;
            for (uint32_t i = from; i < a.entries && a.sorted_columns[i] == column; i++) {
                uint32_t entry = a.sorted_entries[i];
                float x = a.scale ? a.values[entry] * a.scale[column] : a.values[entry];
                dw += x * a.dz[(size_t)a.entry_rows[entry] * a.width + j];
            }
            a.dw[(size_t)column * a.width + j] = dw;
        }
    }
}

int tr_cuda_csr_gradient(struct cuda_device *d, const void *args)
{
    const struct tr_csr_gradient_args *a = (const struct tr_csr_gradient_args *)args;
    if (a->entries == 0)
        return 0;
    uint32_t blocks = blocks_for((size_t)a->entries * WARP);
    csr_gradient_kernel<<<blocks, TR_THREADS, 0, compute_of(d)>>>(*a);
    return check_launch(&d->base, "csr_gradient_kernel");
}
