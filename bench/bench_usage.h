/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_usage.h - what this process has used of the machine, in all and by stage of the pipe.
 *
 * Stages are told by the names of threads (pipe/engine.h). Of a stage with several threads the
 * busiest is kept, too: a stage is at its end when one of its threads is.
 *
 * Threads: any. Units: seconds, bytes.
 */
#ifndef BENCH_BENCH_USAGE_H
#define BENCH_BENCH_USAGE_H

#include <stdint.h>

enum bench_stage {
    BENCH_STAGE_IO,
    BENCH_STAGE_INFLATE,
    BENCH_STAGE_FRAME,
    BENCH_STAGE_DECODE,
    BENCH_STAGE_CONSUMER,
    BENCH_STAGE_OTHER,
    BENCH_STAGES
};

enum { BENCH_THREADS_MAX = 128 };

struct bench_thread {
    int tid;
    enum bench_stage stage;
    double run_s;
    double queued_s; /* it could have run, but there was no CPU */
};

struct bench_usage {
    double user_s, system_s;
    uint64_t voluntary, involuntary; /* context switches */
    uint64_t peak_rss_bytes;
    struct bench_thread threads[BENCH_THREADS_MAX];
    int thread_count;
};

/* From now on the most memory is of what comes, not of what was. */
void bench_usage_forget_peak(void);

void bench_usage_take(struct bench_usage *usage);

/* CPU time of a stage between two looks. */
double bench_usage_stage_s(const struct bench_usage *before, const struct bench_usage *after,
                           enum bench_stage stage);

/* Of the stage's busiest thread: time that it ran or wanted to. */
double bench_usage_busiest_s(const struct bench_usage *before, const struct bench_usage *after,
                             enum bench_stage stage);

/* CPUs that this process may run on. */
int bench_usage_cpus(void);

#endif
