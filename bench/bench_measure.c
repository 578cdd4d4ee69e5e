/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_measure.c - penstock bench read, decode and train. */
#include "bench/bench_commands.h"

#include "bench/bench_limit.h"

#include <stdio.h>
#include <string.h>

static int no_memory(struct penstock_error *error)
{
    snprintf(error->message, sizeof error->message, "out of memory");
    return error->rc = PENSTOCK_E_MEMORY;
}

/* The shortest wait for a first byte that was seen. */
static double least_first_byte_s(const struct bench_result *result)
{
    uint64_t least_ns = UINT64_MAX;

    for (size_t v = 0; v < result->variant_count; v++)
        for (size_t r = 0; r < result->variants[v].run_count; r++) {
            const struct penstock_latencies *seen = &result->variants[v].runs[r].first_bytes;
            uint64_t ns = penstock_latencies_quantile_ns(seen, 1);

            if (seen->count > 0 && ns < least_ns)
                least_ns = ns;
        }
    return (double)least_ns * 1e-9;
}

int bench_add_run(struct bench_result *result, struct bench_variant *variant,
                  struct bench_plan *plan, struct penstock_error *error)
{
    struct bench_run *run = bench_variant_add(variant);
    struct bench_environment *environment = &result->environment;

    if (!run)
        return no_memory(error);
    plan->metrics = result->metrics;
    int rc = bench_run(run, plan, error);

    if (!environment->io_backend[0]) {
        snprintf(environment->io_backend, sizeof environment->io_backend, "%s",
                 run->after.io_backend);
        snprintf(environment->io_reason, sizeof environment->io_reason, "%s", run->after.io_reason);
    }
    if (run->device_line[0])
        snprintf(environment->device, sizeof environment->device, "%s", run->device_line);
    if (rc == PENSTOCK_OK && run->tick_count == 0)
        rc = no_memory(error);
    if (run->tick_count == 0 || (rc != PENSTOCK_OK && run->figures[BENCH_MEASURED] <= 0)) {
        bench_run_free(run); /* nothing is to be told of it */
        variant->run_count--;
        return rc;
    }
    bench_limit_find(run, plan->config->channels[0].uris[0], least_first_byte_s(result));
    return rc;
}

int bench_add_totals(struct bench_variant *variant, const struct bench_totals *totals,
                     struct penstock_error *error)
{
    struct bench_run *run = bench_variant_add(variant);

    if (!run)
        return no_memory(error);
    bench_sum_totals(run, totals);
    return PENSTOCK_OK;
}

/* One repeat of variant `number`. */
static int measure_once(struct bench_result *result, const struct bench_options *o, size_t number,
                        uint32_t repeat, struct penstock_error *error)
{
    struct bench_variant *variant = &result->variants[number];
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct bench_plan plan = {.config = &config,
                              .warmup_s = o->warmup_s,
                              .seconds = o->seconds,
                              .bytes = o->bytes,
                              .consume_rate = o->consume_rate,
                              .model = o->model.ops ? &o->model : NULL,
                              .step_ns = (uint64_t)(o->step_s * 1e9),
                              .step_bytes = o->step_bytes,
                              .inject_ns = (uint64_t)(o->inject_s * 1e9),
                              .inject_every = o->inject_every,
                              .quiet = o->quiet};

    config.channels = &channel;
    config.channel_count = 1;
    variant->connections = config.max_connections;
    variant->part_bytes = config.part_bytes;
    bench_options_channel(o, repeat, &channel);
    snprintf(plan.what, sizeof plan.what, "%.30s, repeat %u of %u", variant->name, repeat + 1,
             o->repeats);
    return bench_add_run(result, variant, &plan, error);
}

/* The variants in turn, so that all of them meet the same weather. */
static int measure_varied(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct bench_options varied;
    char name[64], text[64];
    size_t count = 0;

    for (; bench_options_vary(o, count, &varied, name, sizeof name, text, sizeof text); count++)
        if (!bench_result_add(result, name))
            return no_memory(error);
    for (uint32_t repeat = 0; repeat < o->repeats; repeat++)
        for (size_t v = 0; v < count; v++) {
            bench_options_vary(o, v, &varied, name, sizeof name, text, sizeof text);
            int rc = measure_once(result, &varied, v, repeat, error);

            if (rc != PENSTOCK_OK)
                return rc;
        }
    return PENSTOCK_OK;
}

int bench_measure(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    int rc = PENSTOCK_OK;

    if (o->vary)
        return measure_varied(result, error);
    if (!bench_result_add(result, result->command))
        return no_memory(error);
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < o->repeats; repeat++)
        rc = measure_once(result, o, 0, repeat, error);
    return rc;
}
