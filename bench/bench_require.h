/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_require.h - conditions on figures, for CI: 'first_batch<2s,stall<5%,gib_per_s>=1'.
 *
 * Threads: pure functions.
 */
#ifndef BENCH_BENCH_REQUIRE_H
#define BENCH_BENCH_REQUIRE_H

#include <stdbool.h>
#include <stddef.h>

struct bench_variant;

/* Whether the list can be understood; if not, `why` says what is wrong with it. */
bool bench_require_check(const char *list, char *why, size_t why_size);

/* Judges the medians of the variant, and prints a line to standard error for each condition that is
 * not met; a figure that was not measured does not meet any. Returns whether all are. */
bool bench_require_judge(const char *list, const struct bench_variant *variant);

#endif
