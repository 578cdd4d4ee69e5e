/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_csv.c - what was measured, as lines: of repeats, and of every look at the stream. */
#include "bench/bench_limit.h"
#include "bench/bench_result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* A text between quotes, those inside doubled (RFC 4180). */
static void write_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_head(FILE *out)
{
    fputs("started,command,label,cache,variant,connections,part_bytes,repeat,complete,limit", out);
    for (int i = 0; i < BENCH_FIGURES; i++)
        fprintf(out, ",%s", bench_figures[i].name);
    fputc('\n', out);
}

static void write_run(FILE *out, const struct bench_result *result,
                      const struct bench_variant *variant, size_t number)
{
    const struct bench_run *run = &variant->runs[number];
    const struct bench_options *o = result->options;

    fprintf(out, "%s,%s,", result->environment.started, result->command);
    write_text(out, o->label ? o->label : "");
    fputc(',', out);
    write_text(out, o->cache ? o->cache : "not declared");
    fputc(',', out);
    write_text(out, variant->name);
    fprintf(out, ",%u,%llu,%zu,%d,%s", variant->connections,
            (unsigned long long)variant->part_bytes, number + 1, run->complete,
            bench_limit_name(run->limit));
    for (int i = 0; i < BENCH_FIGURES; i++)
        if (isfinite(run->figures[i]))
            fprintf(out, ",%.9g", run->figures[i]);
        else
            fputc(',', out);
    fputc('\n', out);
}

int bench_write_csv(const struct bench_result *result, const char *path)
{
    FILE *out = bench_output_open(path, true);

    if (!out)
        return errno;
    /* Only the first of those that append to a file writes the names. */
    if (out == stdout || (fseek(out, 0, SEEK_END) == 0 && ftell(out) == 0))
        write_head(out);
    for (size_t v = 0; v < result->variant_count; v++)
        for (size_t r = 0; r < result->variants[v].run_count; r++)
            write_run(out, result, &result->variants[v], r);
    return bench_output_close(out);
}

static void write_ticks(FILE *out, const struct bench_variant *variant, size_t number)
{
    const struct bench_run *run = &variant->runs[number];

    for (size_t i = 0; i < run->tick_count; i++) {
        const struct bench_tick *tick = &run->ticks[i];

        write_text(out, variant->name);
        fprintf(out, ",%zu,%.6f,%d,%llu,%llu,%llu", number + 1, (double)tick->at_ns * 1e-9,
                tick->at_ns >= run->begin_ns && tick->at_ns <= run->end_ns,
                (unsigned long long)tick->bytes, (unsigned long long)tick->received_bytes,
                (unsigned long long)tick->records);
        for (int stage = 0; stage < BENCH_STAGE_OTHER; stage++)
            fprintf(out, ",%.3f", (double)tick->busy[stage]);
        fputc('\n', out);
    }
}

int bench_write_raw(const struct bench_result *result, const char *path)
{
    FILE *out = bench_output_open(path, false);

    if (!out)
        return errno;
    fputs("variant,repeat,seconds,measured,bytes,received_bytes,records,"
          "io_busy,inflate_busy,frame_busy,decode_busy,consumer_busy\n",
          out);
    for (size_t v = 0; v < result->variant_count; v++)
        for (size_t r = 0; r < result->variants[v].run_count; r++)
            write_ticks(out, &result->variants[v], r);
    return bench_output_close(out);
}
