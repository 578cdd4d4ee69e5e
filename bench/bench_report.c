/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_report.c - what was measured, as one page of HTML that needs nothing else: tables,
 * and the plots of bench_plot.c in it. */
#include "bench/bench_limit.h"
#include "bench/bench_plot.h"
#include "bench/bench_result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static const char style[] =
    "body{font:14px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1d21;background:#fff}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}"
    "table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:right;"
    "border-bottom:1px solid #e3e6ea}td:first-child,th:first-child,td:last-child{text-align:left}"
    "code{background:#f1f3f5;padding:.1rem .3rem;border-radius:3px}"
    "svg{width:100%;height:auto;border:1px solid #e3e6ea;border-radius:4px}"
    "svg text{font:11px system-ui,sans-serif;fill:#40464d}.limit{font-weight:600}";

static void write_facts(FILE *out, const struct bench_result *result)
{
    const struct bench_environment *e = &result->environment;
    const struct bench_options *o = result->options;

    fputs("<h2>Environment</h2>\n<table>\n", out);
    bench_html_row(out, "started", e->started);
    bench_html_row(out, "version", penstock_version());
    bench_html_row(out, "commit", e->commit);
    bench_html_row(out, "build", e->build);
    bench_html_row(out, "compiler", e->compiler);
    bench_html_row(out, "kernel", e->kernel);
    bench_html_row(out, "CPU", e->cpu_model);
    bench_html_row(out, "I/O", e->io_backend);
    bench_html_row(out, "caches", o->cache ? o->cache : "not declared");
    bench_html_row(out, "label", o->label ? o->label : "");
    fputs("</table>\n<p><code>penstock bench", out);
    for (int i = 0; i < result->argc; i++) {
        fputc(' ', out);
        bench_html_text(out, result->argv[i]);
    }
    fputs("</code></p>\n", out);
}

static void write_figures(FILE *out, const struct bench_variant *variant)
{
    fputs("<table>\n<tr><th>figure</th><th>median</th><th>least</th><th>most</th><th></th></tr>\n",
          out);
    for (int i = 0; i < BENCH_FIGURES; i++) {
        struct bench_spread spread = bench_variant_figure(variant, (enum bench_figure)i);

        if (spread.count == 0)
            continue;
        fprintf(out, "<tr><td>%s</td><td>%.5g</td><td>%.5g</td><td>%.5g</td><td>",
                bench_figures[i].name, spread.median, spread.min, spread.max);
        bench_html_text(out, bench_figures[i].what);
        fputs("</td></tr>\n", out);
    }
    fputs("</table>\n", out);
}

static void write_plots(FILE *out, const struct bench_variant *variant)
{
    fputs("<h3>Throughput over time</h3>\n", out);
    bench_plot_throughput(out, variant);
    fputs("<h3>Latency of requests</h3>\n", out);
    bench_plot_latency(out, variant);
    fputs("<h3>How much of the time each stage worked</h3>\n", out);
    bench_plot_stages(out, variant);
}

static void write_variant(FILE *out, const struct bench_variant *variant)
{
    const struct bench_run *limit = bench_variant_limit(variant);

    if (!limit)
        return;
    fputs("<h2>", out);
    bench_html_text(out, variant->name);
    fputs("</h2>\n", out);
    if (limit->limit != BENCH_LIMIT_UNKNOWN) {
        fprintf(out, "<p class=\"limit\">limited by: %s: ", bench_limit_name(limit->limit));
        bench_html_text(out, limit->why);
        fputs("</p>\n", out);
    }
    /* A start ends before there is anything to see over time. */
    if (variant->runs[0].tick_count > 0 && variant->runs[0].end_ns > variant->runs[0].begin_ns)
        write_plots(out, variant);
    write_figures(out, variant);
}

int bench_write_report(const struct bench_result *result, const char *path)
{
    FILE *out = bench_output_open(path, false);

    if (!out)
        return errno;
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
            "<title>penstock bench %s</title>\n<style>%s</style></head><body>\n"
            "<h1>penstock bench %s</h1>\n",
            result->command, style, result->command);
    if (result->interrupted)
        fputs("<p>Interrupted: this is what was measured until then.</p>\n", out);
    if (result->options->command == BENCH_SWEEP) {
        fputs("<h2>GiB/s by connections and part size</h2>\n", out);
        bench_plot_grid(out, result);
        fputs("<p>recommended: <code>", out);
        bench_html_text(out, result->recommended);
        fputs("</code></p>\n<p class=\"limit\">limited by: ", out);
        bench_html_text(out, result->met);
        fputs("</p>\n", out);
    } else {
        if (result->options->command == BENCH_START) {
            fputs("<h2>From the start until there is something to train on</h2>\n", out);
            bench_plot_start(out, result);
        }
        for (size_t v = 0; v < result->variant_count; v++)
            write_variant(out, &result->variants[v]);
    }
    write_facts(out, result);
    fputs("</body></html>\n", out);
    return bench_output_close(out);
}
