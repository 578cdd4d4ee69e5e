/* SPDX-License-Identifier: Apache-2.0 */
/* bench/count_calls.c - see count_calls.h. Its malloc is that of every library in the program,
 * OpenSSL's and libcurl's too. */
#include "bench/count_calls.h"

#include "pipe/penstock.h"

#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic uint64_t allocations;

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                             \
    !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
/* Sanitizers have a malloc of their own. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

PENSTOCK_API void *malloc(size_t len_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(len_bytes);
}

PENSTOCK_API void *calloc(size_t count, size_t each_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, each_bytes);
}

PENSTOCK_API void *realloc(void *old, size_t len_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(old, len_bytes);
}
#endif

uint64_t bench_count_allocations(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

int bench_count_open(void)
{
    static const char *const ids[] = {"/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
                                      "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"};
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .inherit = 1};
    FILE *in = NULL;

    if (!getenv("PERF_COUNT_SYSCALLS"))
        return -1;
    for (size_t i = 0; !in && i < 2; i++)
        in = fopen(ids[i], "re");
    bool known = in && fscanf(in, "%" SCNu64, (uint64_t *)&attr.config) == 1;

    if (in)
        fclose(in);
    return known ? (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) : -1;
}
