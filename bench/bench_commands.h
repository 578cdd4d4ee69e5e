/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_commands.h - the commands of penstock bench that measure.
 *
 * Each adds variants and runs to the result. They return PENSTOCK_OK; PENSTOCK_E_STOPPED after a
 * signal, with what there is; or an error, with *error.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef BENCH_BENCH_COMMANDS_H
#define BENCH_BENCH_COMMANDS_H

#include "bench/bench_result.h"

/* One variant, over and over. */
int bench_measure(struct bench_result *result, struct penstock_error *error);

/* Whether the list of --modes names one ("pipe"); NULL: whether it names nothing else. */
bool bench_start_has(const char *list, const char *mode);

/* Pipe mode, File mode and FIFOs to the first batch, in turn. */
int bench_start(struct bench_result *result, struct penstock_error *error);

/* Numbers of connections times part sizes. */
int bench_sweep(struct bench_result *result, struct penstock_error *error);

/* The same objects read by penstock, File mode and other clients. */
int bench_rivals(struct bench_result *result, struct penstock_error *error);

/* Whether "s5cmd,boto3" names rivals that there are. */
bool bench_rivals_are(const char *list);

/* The transports, by both I/O backends, in parts of several sizes. */
int bench_transport(struct bench_result *result, struct penstock_error *error);

/* The sizes of "8MiB,1MiB", how many; 0: that is no list of sizes. */
size_t bench_transport_sizes(const char *list, uint64_t *sizes, size_t room);

/* FIFOs beside what a pipe carries of memory. */
int bench_fifo(struct bench_result *result, struct penstock_error *error);

/* One run of a variant, as the options say, with config's connections and part size. */
int bench_add_run(struct bench_result *result, struct bench_variant *variant,
                  struct bench_plan *plan, struct penstock_error *error);

/* One run that read no stream of ours. */
int bench_add_totals(struct bench_variant *variant, const struct bench_totals *totals,
                     struct penstock_error *error);

/* penstock bench formats: its own command line. Returns the exit code. */
int bench_formats(int argc, char **argv);

/* penstock bench cmp: its own command line. Returns the exit code. */
int bench_compare(int argc, char **argv);

#endif
