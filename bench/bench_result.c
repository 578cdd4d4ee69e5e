/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_result.c - see bench_result.h: variants, repeats, and the files they are written to.
 */
#include "bench/bench_result.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for one more element, doubling. */
static void *grown(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    size_t more = *room ? 2 * *room : 8;
    void *bigger = realloc(items, more * size);

    if (bigger)
        *room = more;
    return bigger;
}

struct bench_variant *bench_result_add(struct bench_result *result, const char *name)
{
    struct bench_variant *variants = grown(result->variants, result->variant_count,
                                           &result->variant_room, sizeof *result->variants);

    if (!variants)
        return NULL;
    result->variants = variants;
    struct bench_variant *variant = &variants[result->variant_count++];

    *variant = (struct bench_variant){.run_count = 0};
    snprintf(variant->name, sizeof variant->name, "%s", name);
    return variant;
}

struct bench_run *bench_variant_add(struct bench_variant *variant)
{
    struct bench_run *runs =
        grown(variant->runs, variant->run_count, &variant->run_room, sizeof *variant->runs);

    if (!runs)
        return NULL;
    variant->runs = runs;
    runs[variant->run_count] = (struct bench_run){.tick_count = 0};
    return &runs[variant->run_count++];
}

void bench_result_note(struct bench_result *result, const char *format, ...)
{
    char **notes =
        grown(result->notes, result->note_count, &result->note_room, sizeof *result->notes);
    va_list args;

    if (!notes)
        return;
    result->notes = notes;
    va_start(args, format);
    if (vasprintf(&notes[result->note_count], format, args) >= 0)
        result->note_count++;
    va_end(args);
}

bool bench_result_has_runs(const struct bench_result *result)
{
    for (size_t v = 0; v < result->variant_count; v++)
        if (result->variants[v].run_count > 0)
            return true;
    return false;
}

void bench_result_free(struct bench_result *result)
{
    for (size_t v = 0; v < result->variant_count; v++) {
        for (size_t r = 0; r < result->variants[v].run_count; r++)
            bench_run_free(&result->variants[v].runs[r]);
        free(result->variants[v].runs);
    }
    free(result->variants);
    for (size_t i = 0; i < result->note_count; i++)
        free(result->notes[i]);
    free(result->notes);
    result->notes = NULL;
    result->note_count = 0;
    result->variants = NULL;
    result->variant_count = 0;
}

/* Of the latencies the quantile of all repeats' requests is told, not the middle of quantiles. */
static double merged_latency(const struct bench_variant *variant, enum bench_figure figure)
{
    static const unsigned asked[] = {500, 900, 990, 999, 1000};
    bool part = figure >= BENCH_PART_P50;
    unsigned per_mille = asked[figure - (part ? BENCH_PART_P50 : BENCH_TTFB_P50)];
    struct penstock_latencies all = {.count = 0};

    for (size_t r = 0; r < variant->run_count; r++)
        penstock_latencies_merge(&all,
                                 part ? &variant->runs[r].parts : &variant->runs[r].first_bytes);
    return all.count ? (double)penstock_latencies_quantile_ns(&all, per_mille) * 1e-9 : NAN;
}

struct bench_spread bench_variant_figure(const struct bench_variant *variant,
                                         enum bench_figure figure)
{
    double *values = calloc(variant->run_count + 1, sizeof *values);
    struct bench_spread spread = {NAN, NAN, NAN, 0};

    if (!values)
        return spread;
    for (size_t r = 0; r < variant->run_count; r++)
        values[r] = variant->runs[r].figures[figure];
    spread = bench_spread_of(values, variant->run_count);
    free(values);
    if (figure >= BENCH_TTFB_P50 && figure <= BENCH_PART_MAX)
        spread.median = merged_latency(variant, figure);
    return spread;
}

/* Positive values of a figure; the caller's to free. */
static double *values_of(const struct bench_variant *variant, enum bench_figure figure,
                         size_t *count)
{
    double *values = calloc(variant->run_count + 1, sizeof *values);

    *count = 0;
    for (size_t r = 0; values && r < variant->run_count; r++)
        if (variant->runs[r].figures[figure] > 0)
            values[(*count)++] = variant->runs[r].figures[figure];
    return values;
}

bool bench_variant_factor(const struct bench_variant *a, const struct bench_variant *b,
                          enum bench_figure figure, struct bench_factor *out)
{
    size_t a_count, b_count;
    double *of_a = values_of(a, figure, &a_count);
    double *of_b = values_of(b, figure, &b_count);
    bool known = of_a && of_b && bench_factor_of(of_a, a_count, of_b, b_count, 0.99, out);

    free(of_a);
    free(of_b);
    return known;
}

const struct bench_run *bench_variant_limit(const struct bench_variant *variant)
{
    const struct bench_run *best = NULL;
    size_t most = 0;

    for (size_t r = 0; r < variant->run_count; r++) {
        size_t same = 0;

        for (size_t i = 0; i < variant->run_count; i++)
            same += variant->runs[i].limit == variant->runs[r].limit;
        if (same > most) {
            most = same;
            best = &variant->runs[r];
        }
    }
    return best;
}

/* ---- files ---- */

FILE *bench_output_open(const char *path, bool append)
{
    if (strcmp(path, "-") == 0)
        return stdout;
    return fopen(path, append ? "ae" : "we");
}

int bench_output_close(FILE *out)
{
    bool bad = fflush(out) != 0 || ferror(out) != 0;
    int sys_errno = errno;

    if (out != stdout && fclose(out) != 0 && !bad) {
        bad = true;
        sys_errno = errno;
    }
    return bad ? (sys_errno ? sys_errno : EIO) : 0;
}

int bench_outputs_check(const struct bench_options *o, const char **path)
{
    const char *const paths[] = {o->json, o->csv, o->raw, o->report, o->metrics};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!paths[i] || strcmp(paths[i], "-") == 0 ||
            (paths[i] == o->metrics && ps_metrics_is_port(o->metrics)))
            continue;
        /* What is there stays until there is something better. */
        int fd = open(paths[i], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

        *path = paths[i];
        if (fd < 0)
            return errno;
        close(fd);
    }
    return 0;
}
