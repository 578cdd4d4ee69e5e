/* SPDX-License-Identifier: Apache-2.0 */
/* tests/guard.h - memory that ends where a page begins that must not be touched. */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include <stdint.h>
#include <sys/mman.h>

#define GUARDED_BYTES 65536U /* before guard_end */
static uint8_t *guard_end;

/* A group's set-up. */
static inline int guard_make(void **state)
{
    (void)state;
    uint8_t *base = mmap(NULL, 2 * (size_t)GUARDED_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + GUARDED_BYTES, GUARDED_BYTES, PROT_NONE) != 0)
        return -1;
    guard_end = base + GUARDED_BYTES;
    return 0;
}

#endif
