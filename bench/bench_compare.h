/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_compare.h - by what factor one set of measurements differs from another, and how sure
 * that is, whatever their distribution.
 *
 * The factor is the middle of all ratios b/a (Hodges and Lehmann's estimate), its interval that of
 * the rank sum test of Mann, Whitney and Wilcoxon, turned round: exact for few measurements.
 * Nothing is drawn by lot.
 *
 * Threads: pure functions.
 */
#ifndef BENCH_BENCH_COMPARE_H
#define BENCH_BENCH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

struct bench_factor {
    double factor, least, most;
    bool sure; /* there are enough measurements for an interval; else it is 0 to infinity */
};

/* Of positive values. `confidence` is e.g. 0.99. False without memory, or when a set is empty. */
bool bench_factor_of(const double *a, size_t a_count, const double *b, size_t b_count,
                     double confidence, struct bench_factor *out);

#endif
