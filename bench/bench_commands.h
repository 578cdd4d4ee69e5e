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

/* Pipe mode and File mode to the first batch, in turn. */
int bench_start(struct bench_result *result, struct penstock_error *error);

/* Numbers of connections times part sizes. */
int bench_sweep(struct bench_result *result, struct penstock_error *error);

/* The same objects read by penstock, File mode and other clients. */
int bench_rivals(struct bench_result *result, struct penstock_error *error);

/* Whether "s5cmd,boto3" names rivals that there are. */
bool bench_rivals_are(const char *list);

/* One run of a variant, as the options say, with config's connections and part size. */
int bench_add_run(struct bench_result *result, struct bench_variant *variant,
                  struct bench_plan *plan, struct penstock_error *error);

/* penstock bench cmp: its own command line. Returns the exit code. */
int bench_compare(int argc, char **argv);

#endif
