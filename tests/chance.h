/* SPDX-License-Identifier: Apache-2.0 */
/* tests/chance.h - numbers that look random, the same in every run of a test program. */
#ifndef TESTS_CHANCE_H
#define TESTS_CHANCE_H

#include "formats/mix.h"

static uint64_t seed = 88172645463325252u;

/* 0 to n - 1. */
static inline uint32_t below(uint32_t n)
{
    return (uint32_t)((fmt_mix_next(&seed) >> 11) % n);
}

#endif
