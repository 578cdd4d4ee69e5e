/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_plot.h - plots as SVG, and text that is safe in HTML.
 *
 * Owner: the caller owns the stream. Threads: one. Write errors are the stream's.
 */
#ifndef BENCH_BENCH_PLOT_H
#define BENCH_BENCH_PLOT_H

#include "bench/bench_result.h"

#include <stdio.h>

void bench_html_text(FILE *out, const char *text);

/* A row of two cells; none when `value` is empty. */
void bench_html_row(FILE *out, const char *name, const char *value);

/* GiB/s of every repeat. */
void bench_plot_throughput(FILE *out, const struct bench_variant *variant);

/* How many requests took how long, to the first byte and to the last. */
void bench_plot_latency(FILE *out, const struct bench_variant *variant);

/* Of the first repeat, how much of the time each stage worked. */
void bench_plot_stages(FILE *out, const struct bench_variant *variant);

/* Of a start, how long each step of each variant took. */
void bench_plot_start(FILE *out, const struct bench_result *result);

/* A sweep's cells. */
void bench_plot_grid(FILE *out, const struct bench_result *result);

#endif
