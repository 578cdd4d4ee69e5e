/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_metrics.c - what was measured, for Prometheus: the text format, version 0.0.4, as its
 * node exporter's textfile collector takes it. */
#include "bench/bench_result.h"
#include "pipe/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        char command[PS_METRICS_LABEL_BYTES], name[PS_METRICS_LABEL_BYTES];
        char label[PS_METRICS_LABEL_BYTES];

        fprintf(
            out, "penstock_bench_%s{%s,%s,%s} %.9g\n", bench_figures[figure].name,
            ps_metrics_label(command, "command", result->command),
            ps_metrics_label(name, "variant", variant->name),
            ps_metrics_label(label, "label", result->options->label ? result->options->label : ""),
            spread.median);
    }
}

static void write_figures(FILE *out, const struct bench_result *result)
{
    for (int i = 0; i < BENCH_FIGURES; i++)
        write_figure(out, result, (enum bench_figure)i);
}

int bench_write_metrics(const struct bench_result *result, const char *path)
{
    struct penstock_error error;
    char *text = NULL;
    size_t len_bytes = 0;
    FILE *out = open_memstream(&text, &len_bytes);

    if (!out)
        return ENOMEM;
    write_figures(out, result);
    int sys_errno = bench_output_close(out);

    errno = 0;
    if (sys_errno == 0 && strcmp(path, "-") == 0) {
        fputs(text, stdout);
        sys_errno = bench_output_close(stdout);
    } else if (sys_errno == 0 && ps_metrics_replace(path, text, len_bytes, &error) != PENSTOCK_OK) {
        sys_errno = errno ? errno : EIO;
    }
    free(text);
    return sys_errno;
}
