/* SPDX-License-Identifier: Apache-2.0 */
/* tests/arena.h - memory between two pages that must not be touched, random numbers, and ways to
 * hand an object to a decoder in pieces. For tests of one source file.
 */
#ifndef TESTS_ARENA_H
#define TESTS_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "tests/chance.h"

/* Objects up to ARENA_BYTES, between two pages that must not be touched. */
#define ARENA_BYTES ((size_t)1 << 16)
static uint8_t *arena;

static inline int arena_make(void **state)
{
    size_t page = 65536;
    uint8_t *base =
        mmap(NULL, ARENA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    if (base == MAP_FAILED || mprotect(base + page, ARENA_BYTES, PROT_READ | PROT_WRITE) != 0)
        return -1;
    arena = base + page;
    return 0;
}

static inline size_t step_all(void *cookie)
{
    (void)cookie;
    return SIZE_MAX / 2;
}

static inline size_t step_one(void *cookie)
{
    (void)cookie;
    return 1;
}

/* First *cookie bytes, then all. */
static inline size_t step_split(void *cookie)
{
    size_t *first = cookie;
    size_t n = *first;
    *first = SIZE_MAX / 2;
    return n;
}

#endif
