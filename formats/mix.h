/* SPDX-License-Identifier: Apache-2.0 */
/* formats/mix.h - numbers that look random and are the same everywhere: splitmix64 (Steele, Lea and
 * Flood, OOPSLA 2014).
 *
 * Threads: pure functions. Compiles as C11 and as C++17 (nvcc).
 */
#ifndef FORMATS_MIX_H
#define FORMATS_MIX_H

#include <stdint.h>

#ifdef __CUDACC__
#define FMT_MIX_FN static __device__ __host__ __forceinline__
#else
#define FMT_MIX_FN static inline
#endif

/* What its state grows by. */
#define FMT_MIX_STEP UINT64_C(0x9e3779b97f4a7c15)

/* Its finaliser: every bit of the input reaches every bit of the result. */
FMT_MIX_FN uint64_t fmt_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The next number of a sequence, which any *state begins. */
FMT_MIX_FN uint64_t fmt_mix_next(uint64_t *state)
{
    *state += FMT_MIX_STEP;
    return fmt_mix(*state);
}

#endif
