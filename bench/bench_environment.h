/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_environment.h - where something was measured: what a reader has to know to compare.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef BENCH_BENCH_ENVIRONMENT_H
#define BENCH_BENCH_ENVIRONMENT_H

#include <stdint.h>

struct bench_environment {
    char started[32]; /* UTC, ISO 8601 */
    char host[72];
    char kernel[200];
    char machine[72];
    char cpu_model[128];
    int cpus; /* that this process may use */
    uint64_t memory_bytes;
    char commit[48]; /* of the build; "" outside a repository */
    char compiler[96];
    char build[48];                      /* "optimized", with sanitizers said */
    char io_backend[16], io_reason[160]; /* "" until a stream was open */
    char device[160];                    /* that trained a model; else "" */
};

void bench_environment_take(struct bench_environment *environment);

#endif
