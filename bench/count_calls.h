/* SPDX-License-Identifier: Apache-2.0 */
/* bench/count_calls.h - calls that the program counts when it is linked with bench/count_calls.c,
 * as build/release/bench/penstock-counted is. In the program itself the functions are NULL.
 *
 * Threads: any.
 */
#ifndef BENCH_COUNT_CALLS_H
#define BENCH_COUNT_CALLS_H

#include <stdint.h>

/* Calls of malloc, calloc and realloc so far. */
uint64_t bench_count_allocations(void) __attribute__((weak));

/* A counter of the system calls that this process makes, threads to come included; -1: the kernel
 * does not let us, or $PERF_COUNT_SYSCALLS does not ask for it, for counting takes time. */
int bench_count_open(void) __attribute__((weak));

#endif
