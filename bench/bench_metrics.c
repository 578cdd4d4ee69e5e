/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_metrics.c - what was measured, for Prometheus: the text format, version 0.0.4, as its
 * node exporter's textfile collector takes it. */
#include "bench/bench_result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A label's value between quotes. */
static void write_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        if (*value == '\n')
            fputs("\\n", out);
        else
            fputc(*value, out);
    }
    fputc('"', out);
}

static void write_figure(FILE *out, const struct bench_result *result, enum bench_figure figure)
{
    bool named = false;

    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *variant = &result->variants[v];
        struct bench_spread spread = bench_variant_figure(variant, figure);

        if (spread.count == 0)
            continue;
        if (!named)
            fprintf(out, "# HELP penstock_bench_%s %s\n# TYPE penstock_bench_%s gauge\n",
                    bench_figures[figure].name, bench_figures[figure].what,
                    bench_figures[figure].name);
        named = true;
        fprintf(out, "penstock_bench_%s{", bench_figures[figure].name);
        write_label(out, "command", result->command);
        fputc(',', out);
        write_label(out, "variant", variant->name);
        fputc(',', out);
        write_label(out, "label", result->options->label ? result->options->label : "");
        fprintf(out, "} %.9g\n", spread.median);
    }
}

static void write_figures(FILE *out, const struct bench_result *result)
{
    for (int i = 0; i < BENCH_FIGURES; i++)
        write_figure(out, result, (enum bench_figure)i);
}

/* A file is put in place whole: a collector may come at any time. */
int bench_write_metrics(const struct bench_result *result, const char *path)
{
    char *name = NULL;

    if (strcmp(path, "-") == 0) {
        write_figures(stdout, result);
        return bench_output_close(stdout);
    }
    if (asprintf(&name, "%s.part", path) < 0)
        return ENOMEM;
    FILE *out = bench_output_open(name, false);
    int sys_errno = out ? 0 : errno;

    if (out) {
        write_figures(out, result);
        sys_errno = bench_output_close(out);
    }
    if (sys_errno == 0 && rename(name, path) != 0)
        sys_errno = errno;
    if (sys_errno != 0)
        remove(name);
    free(name);
    return sys_errno;
}
