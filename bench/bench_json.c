/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_json.c - what was measured, as JSON: bench/bench.schema.json says what it holds. */
#include "bench/bench_limit.h"
#include "bench/bench_result.h"
#include "trainer/json.h"

#include <errno.h>
#include <math.h>

static void write_environment(struct tr_json *j, const struct bench_environment *e)
{
    tr_json_open(j, "environment", '{');
    tr_json_text(j, "version", penstock_version());
    tr_json_text(j, "commit", e->commit);
    tr_json_text(j, "build", e->build);
    tr_json_text(j, "compiler", e->compiler);
    tr_json_text(j, "host", e->host);
    tr_json_text(j, "kernel", e->kernel);
    tr_json_text(j, "machine", e->machine);
    tr_json_text(j, "cpu_model", e->cpu_model);
    tr_json_count(j, "cpus", (uint64_t)e->cpus);
    tr_json_count(j, "memory_bytes", e->memory_bytes);
    tr_json_text(j, "device", e->device);
    tr_json_text(j, "io_backend", e->io_backend);
    tr_json_text(j, "io_reason", e->io_reason);
    tr_json_close(j, '}');
}

static void write_figures(struct tr_json *j, const double *figures)
{
    tr_json_open(j, "figures", '{');
    for (int i = 0; i < BENCH_FIGURES; i++)
        tr_json_number(j, bench_figures[i].name, figures[i]);
    tr_json_close(j, '}');
}

static void write_run(struct tr_json *j, const struct bench_run *run)
{
    tr_json_open(j, NULL, '{');
    tr_json_truth(j, "complete", run->complete);
    write_figures(j, run->figures);
    tr_json_open(j, "windows_gib_per_s", '[');
    for (size_t i = 0; i < run->window_count; i++)
        tr_json_number(j, NULL, run->windows[i]);
    tr_json_close(j, ']');
    tr_json_open(j, "limit", '{');
    tr_json_text(j, "stage", bench_limit_name(run->limit));
    tr_json_text(j, "why", run->why);
    tr_json_close(j, '}');
    tr_json_close(j, '}');
}

static void write_summary(struct tr_json *j, const struct bench_variant *variant)
{
    tr_json_open(j, "summary", '{');
    for (int i = 0; i < BENCH_FIGURES; i++) {
        struct bench_spread spread = bench_variant_figure(variant, (enum bench_figure)i);

        if (spread.count == 0)
            continue;
        tr_json_open(j, bench_figures[i].name, '{');
        tr_json_number(j, "median", spread.median);
        tr_json_number(j, "min", spread.min);
        tr_json_number(j, "max", spread.max);
        tr_json_close(j, '}');
    }
    tr_json_close(j, '}');
}

/* [[least ns of the bucket, how many], ...], of buckets that are not empty. */
static void write_histogram(struct tr_json *j, const char *key, const struct bench_variant *variant,
                            bool part)
{
    struct penstock_latencies all = {.count = 0};

    for (size_t r = 0; r < variant->run_count; r++)
        penstock_latencies_merge(&all,
                                 part ? &variant->runs[r].parts : &variant->runs[r].first_bytes);
    tr_json_open(j, key, '[');
    for (unsigned i = 0; i < PENSTOCK_LATENCY_BUCKETS; i++) {
        if (all.counts[i] == 0)
            continue;
        tr_json_open(j, NULL, '[');
        tr_json_count(j, NULL, penstock_latency_bucket_ns(i));
        tr_json_count(j, NULL, all.counts[i]);
        tr_json_close(j, ']');
    }
    tr_json_close(j, ']');
}

static void write_variant(struct tr_json *j, const struct bench_variant *variant)
{
    const struct bench_run *limit = bench_variant_limit(variant);

    tr_json_open(j, NULL, '{');
    tr_json_text(j, "name", variant->name);
    tr_json_count(j, "connections", variant->connections);
    tr_json_count(j, "part_bytes", variant->part_bytes);
    tr_json_open(j, "repeats", '[');
    for (size_t r = 0; r < variant->run_count; r++)
        write_run(j, &variant->runs[r]);
    tr_json_close(j, ']');
    write_summary(j, variant);
    tr_json_open(j, "latency_ns", '{');
    write_histogram(j, "first_byte", variant, false);
    write_histogram(j, "part", variant, true);
    tr_json_close(j, '}');
    tr_json_text(j, "limit", limit ? bench_limit_name(limit->limit) : "unknown");
    tr_json_close(j, '}');
}

static void write_head(struct tr_json *j, const struct bench_result *result)
{
    const struct bench_options *o = result->options;

    tr_json_text(j, "schema", BENCH_SCHEMA);
    tr_json_text(j, "command", result->command);
    tr_json_text(j, "started", result->environment.started);
    tr_json_text(j, "label", o->label ? o->label : "");
    tr_json_text(j, "cache", o->cache ? o->cache : "not declared");
    tr_json_truth(j, "interrupted", result->interrupted);
    tr_json_open(j, "arguments", '[');
    for (int i = 0; i < result->argc; i++)
        tr_json_text(j, NULL, result->argv[i]);
    tr_json_close(j, ']');
    tr_json_open(j, "uris", '[');
    for (size_t i = 0; i < o->uri_count; i++)
        tr_json_text(j, NULL, o->uris[i]);
    tr_json_close(j, ']');
    write_environment(j, &result->environment);
    tr_json_text(j, "recommended", result->recommended);
    tr_json_text(j, "met", result->met);
    tr_json_open(j, "notes", '[');
    for (size_t i = 0; i < result->note_count; i++)
        tr_json_text(j, NULL, result->notes[i]);
    tr_json_close(j, ']');
}

int bench_write_json(const struct bench_result *result, const char *path)
{
    FILE *out = bench_output_open(path, false);
    struct tr_json j = {.out = out};

    if (!out)
        return errno;
    tr_json_open(&j, NULL, '{');
    write_head(&j, result);
    tr_json_open(&j, "variants", '[');
    for (size_t v = 0; v < result->variant_count; v++)
        write_variant(&j, &result->variants[v]);
    tr_json_close(&j, ']');
    tr_json_close(&j, '}');
    fputc('\n', out);
    return bench_output_close(out);
}
