/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_result.h - what a command of penstock bench has measured: variants, each with its
 * repeats; and how it is written down.
 *
 * Owner: the caller; bench_result_free. Threads: one.
 */
#ifndef BENCH_BENCH_RESULT_H
#define BENCH_BENCH_RESULT_H

#include "bench/bench_compare.h"
#include "bench/bench_environment.h"
#include "bench/bench_options.h"
#include "bench/bench_run.h"
#include "bench/bench_sums.h"

#include <stdio.h>

#define BENCH_SCHEMA "penstock-bench/1"

/* One way of doing it, e.g. one cell of a sweep. */
struct bench_variant {
    char name[64];
    uint32_t connections; /* 0: as many as pay */
    uint64_t part_bytes;  /* 0: from latency, rate and memory */
    struct bench_run *runs;
    size_t run_count, run_room;
};

struct bench_result {
    const struct bench_options *options;
    const char *command; /* "read" */
    int argc;
    char **argv; /* as given, less the program */
    struct bench_environment environment;
    struct bench_variant *variants;
    size_t variant_count, variant_room;
    char recommended[160]; /* options, of a sweep; else "" */
    char met[200];         /* which limit a sweep met */
    char **notes;          /* lines to be told, such as who was not measured */
    size_t note_count, note_room;
    bool interrupted;
    struct ps_metrics *metrics; /* of --metrics :PORT, or NULL */
};

/* Whether there is something to tell. */
bool bench_result_has_runs(const struct bench_result *result);

/* A new variant, NULL without memory. Those had before move. */
struct bench_variant *bench_result_add(struct bench_result *result, const char *name);

/* A place for the variant's next run, NULL without memory. */
struct bench_run *bench_variant_add(struct bench_variant *variant);

/* A line to be told. */
void bench_result_note(struct bench_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void bench_result_free(struct bench_result *result);

/* A figure over the variant's repeats; of latencies, those of all repeats together. */
struct bench_spread bench_variant_figure(const struct bench_variant *variant,
                                         enum bench_figure figure);

/* By what factor a figure of variant `b` differs from that of `a`, with 99 % confidence. False when
 * there is nothing to compare. */
bool bench_variant_factor(const struct bench_variant *a, const struct bench_variant *b,
                          enum bench_figure figure, struct bench_factor *out);

/* The stage that limited most repeats, and the first of those repeats. */
const struct bench_run *bench_variant_limit(const struct bench_variant *variant);

/* Variants below each other, each beside the first; and the notes. */
void bench_print_beside(const struct bench_result *result);

/* The table for people. */
void bench_print_table(const struct bench_result *result);

/* Write a file (of CSV: append to it); "-" is standard output. Return 0 or an errno. */
int bench_write_json(const struct bench_result *result, const char *path);
int bench_write_csv(const struct bench_result *result, const char *path);
int bench_write_raw(const struct bench_result *result, const char *path);
int bench_write_report(const struct bench_result *result, const char *path);
int bench_write_metrics(const struct bench_result *result, const char *path);

/* Whether the files can be written, before anything is measured. Returns 0, or an errno with the
 * file's name in *path. */
int bench_outputs_check(const struct bench_options *options, const char **path);

/* Opens for writing, or appending; closes. */
FILE *bench_output_open(const char *path, bool append);
int bench_output_close(FILE *out);

#endif
