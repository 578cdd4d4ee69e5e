/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/cuda_runtime.h - as much of CUDA as trainer's .cu files use, for a C++ compiler: they
 * become a plug-in that computes on the CPU (tests/cuda/emulator.h). A launch is written
 * emu_launch(grid, block, 0, stream, kernel, arguments) by then; see the Makefile.
 */
#ifndef TESTS_CUDA_CUDA_RUNTIME_H
#define TESTS_CUDA_CUDA_RUNTIME_H

#include <math.h>
#include <string.h>

#include <tuple>

#define _Atomic
#define _Alignas alignas
#include "tests/cuda/emulator.h"

#define CUDART_VERSION 13000

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static thread_local /* a block at a time is on a stream's thread */

#define threadIdx emu_here.thread
#define blockIdx emu_here.block
#define blockDim emu_here.block_dim
#define gridDim emu_here.grid_dim

struct dim3 {
    uint32_t x, y, z;
    dim3(uint32_t x = 1, uint32_t y = 1, uint32_t z = 1) : x(x), y(y), z(z)
    {
    }
};

/* --- kernels -------------------------------------------------------------------------------------
 */

template <class... P, class... A>
static void emu_launch(dim3 grid, dim3 block, size_t, cudaStream_t stream, void (*kernel)(P...),
                       A... args)
{
    struct closure {
        void (*kernel)(P...);
        std::tuple<P...> args;
    };
    const closure all = {kernel, std::tuple<P...>(args...)};
    struct emu_op *op = emu_op_new(emu_op::EMU_KERNEL, &all, sizeof all);
    const uint32_t sizes[2][3] = {{grid.x, grid.y, grid.z}, {block.x, block.y, block.z}};
    memcpy(op->grid, sizes[0], sizeof op->grid);
    memcpy(op->block, sizes[1], sizeof op->block);
    op->run = [](void *cookie) {
        const closure *c = static_cast<const closure *>(cookie);
        std::apply(c->kernel, c->args);
    };
    emu_give(stream, op);
}

static inline void __syncthreads()
{
    emu_sync_block();
}

template <class T> static T emu_shuffle(uint32_t mask, T value, uint32_t from)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_exchange(mask, bits, from);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t emu_lane()
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % EMU_WARP;
}

template <class T> static T __shfl_xor_sync(uint32_t mask, T value, uint32_t distance)
{
    return emu_shuffle(mask, value, emu_lane() ^ distance);
}

/* The last lanes keep their own. */
template <class T> static T __shfl_down_sync(uint32_t mask, T value, uint32_t distance)
{
    uint32_t from = emu_lane() + distance;
    return emu_shuffle(mask, value, from < EMU_WARP ? from : emu_lane());
}

template <class T> static T atomicAdd(T *at, T value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

template <class To, class From> static To emu_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline float __uint_as_float(uint32_t bits)
{
    return emu_bits<float>(bits);
}

static inline uint32_t __float_as_uint(float value)
{
    return emu_bits<uint32_t>(value);
}

static inline double __hiloint2double(int high, int low)
{
    return emu_bits<double>((uint64_t)(uint32_t)high << 32 | (uint32_t)low);
}

static inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift)
{
    return (uint32_t)(((uint64_t)high << 32 | low) >> (shift & 31));
}

static inline uint32_t min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

#endif
