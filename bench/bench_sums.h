/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_sums.h - from what a run has kept to its figures, and from several to one.
 *
 * Threads: pure functions.
 */
#ifndef BENCH_BENCH_SUMS_H
#define BENCH_BENCH_SUMS_H

#include "bench/bench_run.h"

/* Fills figures and windows. */
void bench_sum_up(struct bench_run *run);

/* What is known of a run that read no stream of ours. */
struct bench_totals {
    uint64_t bytes;
    double wall_s, user_s, system_s;
    double peak_rss_bytes;
};

/* Fills the figures of such a run. */
void bench_sum_totals(struct bench_run *run, const struct bench_totals *totals);

/* Median, least and most of finite values; NAN when there is none. */
struct bench_spread {
    double median, min, max;
    size_t count;
};

struct bench_spread bench_spread_of(const double *values, size_t count);

#endif
