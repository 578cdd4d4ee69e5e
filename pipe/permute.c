/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/permute.c - see permute.h for the definition. */
#include "pipe/permute.h"

#include "formats/mix.h"

#define ROUNDS 8

static uint64_t mix(uint64_t z)
{
    return fmt_mix(z + FMT_MIX_STEP);
}

uint64_t ps_permute_key(uint64_t seed, uint64_t epoch)
{
    return mix(mix(seed) + epoch);
}

uint64_t ps_permute(uint64_t i, uint64_t n, uint64_t key)
{
    unsigned bits = n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 1;
    unsigned half = (bits + 1) / 2;
    uint64_t mask = half == 32 ? UINT32_MAX : (UINT64_C(1) << half) - 1;

    do {
        uint64_t left = i >> half;
        uint64_t right = i & mask;

        for (uint64_t r = 1; r <= ROUNDS; r++) {
            uint64_t next = left ^ (mix(key + r * FMT_MIX_STEP + right) & mask);

            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}
