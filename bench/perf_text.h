/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_text.h - what measurements of text formats share: chance, and the pace of memchr,
 * which a cutter is compared with.
 *
 * For bench/perf_*.c alone. Threads: one.
 */
#ifndef BENCH_PERF_TEXT_H
#define BENCH_PERF_TEXT_H

#include "bench/perf.h"
#include "formats/mix.h"

#include <stdint.h>
#include <string.h>

static uint64_t perf_seed = 88172645463325252u;

static inline uint64_t perf_random(void)
{
    return fmt_mix_next(&perf_seed);
}

/* 0 to 1. */
static inline double perf_uniform(void)
{
    return (double)(perf_random() >> 11) / 9007199254740992.0;
}

/* Looks for each line's end; there are `lines`. */
static inline void perf_find_lines(const char *in, size_t len_bytes, size_t lines)
{
    const char *end = in + len_bytes;
    size_t found = 0;

    while (in < end && (in = memchr(in, '\n', (size_t)(end - in))) != NULL) {
        found++;
        in++;
    }
    if (found != lines)
        perf_die("memchr", "finds other lines");
}

#endif
