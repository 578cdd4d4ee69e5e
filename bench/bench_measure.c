/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_measure.c - penstock bench read, decode and train. */
#include "bench/bench_commands.h"

#include "bench/bench_limit.h"

#include <stdio.h>
#include <string.h>

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

    if (!run) {
        snprintf(error->message, sizeof error->message, "out of memory");
        return error->rc = PENSTOCK_E_MEMORY;
    }
    int rc = bench_run(run, plan, error);

    if (!environment->io_backend[0]) {
        snprintf(environment->io_backend, sizeof environment->io_backend, "%s",
                 run->after.io_backend);
        snprintf(environment->io_reason, sizeof environment->io_reason, "%s", run->after.io_reason);
    }
    if (rc == PENSTOCK_OK && run->tick_count == 0) {
        snprintf(error->message, sizeof error->message, "out of memory");
        rc = error->rc = PENSTOCK_E_MEMORY;
    }
    if (run->tick_count == 0 || (rc != PENSTOCK_OK && run->figures[BENCH_MEASURED] <= 0)) {
        bench_run_free(run); /* nothing is to be told of it */
        variant->run_count--;
        return rc;
    }
    bench_limit_find(run, plan->config->channels[0].uris[0], least_first_byte_s(result));
    return rc;
}

int bench_measure(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct bench_variant *variant = bench_result_add(result, result->command);
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct bench_plan plan = {.config = &config,
                              .warmup_s = o->warmup_s,
                              .seconds = o->seconds,
                              .bytes = o->bytes,
                              .consume_rate = o->consume_rate,
                              .step_ns = (uint64_t)(o->step_s * 1e9),
                              .step_bytes = o->step_bytes,
                              .inject_ns = (uint64_t)(o->inject_s * 1e9),
                              .inject_every = o->inject_every,
                              .quiet = o->quiet};
    int rc = variant ? PENSTOCK_OK : PENSTOCK_E_MEMORY;

    if (variant) {
        variant->connections = config.max_connections;
        variant->part_bytes = config.part_bytes;
    }
    config.channels = &channel;
    config.channel_count = 1;
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < o->repeats; repeat++) {
        bench_options_channel(o, repeat, &channel);
        snprintf(plan.what, sizeof plan.what, "repeat %u of %u", repeat + 1, o->repeats);
        rc = bench_add_run(result, variant, &plan, error);
    }
    return rc;
}
