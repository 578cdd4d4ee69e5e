/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_sweep.c - penstock bench sweep: connections times part size.
 *
 * For each part size the connections grow until that brings less than 3 %. The cells near the best
 * are then measured again, in turn, and of those within 3 % of the best median the one with the
 * fewest connections is recommended.
 */
#include "bench/bench_commands.h"

#include "bench/bench_limit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AXIS_MAX = 16, FINALISTS_MAX = 8 };

#define GAIN 1.03
#define NEAR 0.97
#define FINALIST 0.90
#define USUAL_GRID "4,8,16,32,64,128,256x8MiB,4MiB,16MiB,2MiB,1MiB"

struct grid {
    uint64_t connections[AXIS_MAX];
    uint64_t part_bytes[AXIS_MAX];
    size_t connection_count, part_count;
};

struct sweep {
    struct bench_result *result;
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct bench_plan plan;
};

/* Reads numbers with commas between up to `end`; false for anything else. */
static bool read_axis(const char *text, const char *end, uint64_t *out, size_t *count)
{
    *count = 0;
    while (text < end) {
        size_t len = strcspn(text, ",x");

        if (*count == AXIS_MAX || !bench_parse_size(text, len, &out[*count]))
            return false;
        (*count)++;
        text += len + 1;
    }
    return *count > 0;
}

static bool read_grid(const char *text, struct grid *grid)
{
    const char *cross = strchr(text, 'x');

    if (!cross || !read_axis(text, cross, grid->connections, &grid->connection_count) ||
        !read_axis(cross + 1, text + strlen(text), grid->part_bytes, &grid->part_count))
        return false;
    for (size_t i = 0; i < grid->connection_count; i++)
        if (grid->connections[i] > 256 ||
            (i > 0 && grid->connections[i] <= grid->connections[i - 1]))
            return false;
    for (size_t i = 0; i < grid->part_count; i++)
        if (grid->part_bytes[i] < 64 << 10 || grid->part_bytes[i] > 1 << 30)
            return false;
    return true;
}

/* One more run of a variant. */
static int run_cell(struct sweep *s, size_t cell, struct penstock_error *error)
{
    struct bench_variant *variant = &s->result->variants[cell];

    s->config.max_connections = variant->connections;
    s->config.part_bytes = variant->part_bytes;
    bench_options_channel(s->result->options, (uint32_t)variant->run_count, &s->channel);
    snprintf(s->plan.what, sizeof s->plan.what, "%.50s", variant->name);
    return bench_add_run(s->result, variant, &s->plan, error);
}

static double rate_of(const struct bench_variant *variant)
{
    double rate = bench_variant_figure(variant, BENCH_RECEIVED).median;

    return isfinite(rate) ? rate : 0;
}

/* One part size: more and more connections, as long as that pays. */
static int walk(struct sweep *s, const struct grid *grid, uint64_t part_bytes,
                struct penstock_error *error)
{
    size_t memory = s->config.memory_limit_bytes ? s->config.memory_limit_bytes : 1 << 30;
    double before = 0;

    for (size_t i = 0; i < grid->connection_count; i++) {
        char name[64];

        if (i > 0 && grid->connections[i] * part_bytes > memory)
            break; /* the ring would be what limits it */
        snprintf(name, sizeof name, "--connections %llu --part-size %lluKiB",
                 (unsigned long long)grid->connections[i], (unsigned long long)part_bytes >> 10);
        struct bench_variant *variant = bench_result_add(s->result, name);

        if (!variant) {
            snprintf(error->message, sizeof error->message, "out of memory");
            return error->rc = PENSTOCK_E_MEMORY;
        }
        variant->connections = (uint32_t)grid->connections[i];
        variant->part_bytes = part_bytes;
        int rc = run_cell(s, s->result->variant_count - 1, error);

        if (rc != PENSTOCK_OK)
            return rc;
        double rate = rate_of(&s->result->variants[s->result->variant_count - 1]);

        if (rate < GAIN * before)
            break;
        before = rate;
    }
    return PENSTOCK_OK;
}

static double best_rate(const struct bench_result *result)
{
    double best = 0;

    for (size_t v = 0; v < result->variant_count; v++)
        best = fmax(best, rate_of(&result->variants[v]));
    return best;
}

/* Those that may be the best are measured as often as was asked for, in turn. */
static int run_finals(struct sweep *s, struct penstock_error *error)
{
    size_t finalists[FINALISTS_MAX];
    size_t count = 0;
    double best = best_rate(s->result);

    for (size_t v = 0; v < s->result->variant_count && count < FINALISTS_MAX; v++)
        if (rate_of(&s->result->variants[v]) >= FINALIST * best)
            finalists[count++] = v;
    for (uint32_t repeat = 1; repeat < s->result->options->repeats; repeat++)
        for (size_t i = 0; i < count; i++) {
            int rc = run_cell(s, finalists[i], error);

            if (rc != PENSTOCK_OK)
                return rc;
        }
    return PENSTOCK_OK;
}

/* Whether the connections that a cell has more than the one before it still brought at least half
 * of what as many had brought there: even more of them would bring more. */
static bool still_grows(const struct bench_result *result, const struct bench_variant *cell)
{
    const struct bench_variant *before = NULL;

    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *other = &result->variants[v];

        if (other->part_bytes == cell->part_bytes && other->connections < cell->connections &&
            (!before || other->connections > before->connections))
            before = other;
    }
    if (!before)
        return true;
    double more = (double)cell->connections / before->connections - 1;

    return rate_of(cell) >= (1 + more / 2) * rate_of(before);
}

static void tell_met(struct bench_result *result, const struct bench_variant *chosen, bool at_edge)
{
    const struct bench_run *limit = bench_variant_limit(chosen);
    bool grows = at_edge && still_grows(result, chosen);

    if (!limit)
        return;
    bool late = limit->limit == BENCH_LIMIT_SERVER && limit->figures[BENCH_RETRIES_THROTTLED] <= 0;

    if (grows && late)
        snprintf(result->met, sizeof result->met,
                 "latency x window: even %u requests of %llu KiB at once mostly wait",
                 chosen->connections, (unsigned long long)chosen->part_bytes >> 10);
    else if (grows && limit->limit == BENCH_LIMIT_NETWORK)
        snprintf(result->met, sizeof result->met,
                 "network: %.3g MiB/s for each of %u connections; more of them may bring more",
                 1024 * rate_of(chosen) / chosen->connections, chosen->connections);
    else if (late)
        snprintf(result->met, sizeof result->met,
                 "network, or the server's own rate: more connections bring no more");
    else
        snprintf(result->met, sizeof result->met, "%s: %.150s", bench_limit_name(limit->limit),
                 limit->why);
}

static void recommend(struct bench_result *result, const struct grid *grid)
{
    const struct bench_variant *chosen = NULL;
    double best = best_rate(result);

    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *variant = &result->variants[v];
        double rate = rate_of(variant);

        if (rate <= 0 || rate < NEAR * best)
            continue;
        if (!chosen || variant->connections < chosen->connections ||
            (variant->connections == chosen->connections && rate > rate_of(chosen)))
            chosen = variant;
    }
    if (!chosen)
        return;
    snprintf(result->recommended, sizeof result->recommended, "%s", chosen->name);
    tell_met(result, chosen, chosen->connections == grid->connections[grid->connection_count - 1]);
}

int bench_sweep(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct sweep s = {.result = result, .config = o->stream.config};
    struct grid grid;
    int rc = PENSTOCK_OK;

    if (!read_grid(o->grid ? o->grid : USUAL_GRID, &grid)) {
        snprintf(error->message, sizeof error->message,
                 "--grid: '%s' is not N,...xSIZE,... such as 4,8,16x1MiB,8MiB, with up to %d "
                 "ascending numbers of connections, at most 256, and sizes from 64KiB to 1GiB",
                 o->grid, AXIS_MAX);
        return error->rc = PENSTOCK_E_ARGUMENT;
    }
    s.config.channels = &s.channel;
    s.config.channel_count = 1;
    s.plan = (struct bench_plan){.config = &s.config,
                                 .warmup_s = o->warmup_s,
                                 .seconds = o->seconds,
                                 .bytes = o->bytes,
                                 .quiet = o->quiet};
    for (size_t p = 0; rc == PENSTOCK_OK && p < grid.part_count; p++)
        rc = walk(&s, &grid, grid.part_bytes[p], error);
    if (rc == PENSTOCK_OK)
        rc = run_finals(&s, error);
    recommend(result, &grid);
    return rc;
}
