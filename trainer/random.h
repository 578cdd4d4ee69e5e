/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/random.h - what models draw: a number is a function of the seed, the stream and its index
 * alone, so that initial weights, centres and masks are the same bits on every device, for any
 * number of threads, and after a resume.
 *
 * Streams part uses that must not share numbers. The generator is that of formats/mix.h, entered at
 * a place that the seed and the stream give.
 *
 * Threads: pure functions. Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_RANDOM_H
#define TRAINER_RANDOM_H

#include "formats/mix.h"

#include <math.h>
#include <stdint.h>

#define TR_RANDOM_FN FMT_MIX_FN

/* Number `index` of a stream: 64 random bits. */
TR_RANDOM_FN uint64_t tr_random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint64_t from = fmt_mix(fmt_mix(seed + FMT_MIX_STEP) ^ (stream * FMT_MIX_STEP));
    return fmt_mix(from + (index + 1) * FMT_MIX_STEP);
}

/* Uniform in [0, 1). */
TR_RANDOM_FN double tr_random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(tr_random_bits(seed, stream, index) >> 11) * (1.0 / 9007199254740992.0);
}

/* From the normal distribution of mean 0 and standard deviation 1 (Box and Muller). Host only: the
 * maths libraries of host and device differ in the last bit. */
static inline double tr_random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    const double two_pi = 6.283185307179586;
    double u = 1.0 - tr_random_uniform(seed, stream, 2 * index); /* not 0 */
    double angle = two_pi * tr_random_uniform(seed, stream, 2 * index + 1);
    return sqrt(-2.0 * log(u)) * cos(angle);
}

#endif
