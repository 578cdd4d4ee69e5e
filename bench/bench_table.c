/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_table.c - what was measured, for people. The last line says what the limit is. */
#include "bench/bench_limit.h"
#include "bench/bench_result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A number in four digits or so, with its unit. */
static void format(char *out, size_t size, enum bench_figure figure, double value)
{
    static const char *const binary[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    const char *unit = bench_figure_unit(figure);
    int step = 0;

    if (!isfinite(value)) {
        snprintf(out, size, "-");
    } else if (strcmp(unit, "bytes") == 0) {
        for (; value >= 1024 && step < 4; step++)
            value /= 1024;
        snprintf(out, size, "%.4g %s", value, binary[step]);
    } else if (strcmp(unit, "s") == 0 && value < 1) {
        snprintf(out, size, "%.4g ms", value * 1e3);
    } else if (value >= 10000) {
        snprintf(out, size, "%.0f%s%s", value, *unit ? " " : "", unit);
    } else {
        snprintf(out, size, "%.4g%s%s", value, *unit ? " " : "", unit);
    }
}

static void print_row(const struct bench_variant *variant, enum bench_figure figure,
                      const char *label, const char *unit)
{
    struct bench_spread spread = bench_variant_figure(variant, figure);
    char median[32], min[32], max[32];

    if (spread.count == 0)
        return;
    format(median, sizeof median, figure, spread.median);
    format(min, sizeof min, figure, spread.min);
    format(max, sizeof max, figure, spread.max);
    if (variant->run_count == 1)
        printf("  %-34s %12s %s\n", label, median, unit);
    else
        printf("  %-34s %12s %-6s  (%s to %s)\n", label, median, unit, min, max);
}

struct row {
    enum bench_figure figure;
    const char *label, *unit;
};

static void print_rows(const struct bench_variant *variant, const char *title,
                       const struct row *rows, size_t count)
{
    bool has_records = bench_variant_figure(variant, BENCH_RECORDS).count > 0;
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        struct bench_spread spread = bench_variant_figure(variant, rows[i].figure);
        bool of_cpu = rows[i].figure >= BENCH_CPU_IO && rows[i].figure <= BENCH_CPU_OTHER;

        if (spread.count == 0 || (of_cpu && !(spread.max > 0)) ||
            (rows[i].figure == BENCH_WAIT_BYTES && !has_records))
            continue;
        if (!any)
            printf("%s\n", title);
        any = true;
        print_row(variant, rows[i].figure, rows[i].label, rows[i].unit);
    }
}

#define PRINT_ROWS(variant, title, rows)                                                           \
    print_rows(variant, title, rows, sizeof(rows) / sizeof *(rows))

static const struct row throughput[] = {
    {BENCH_GB_PER_S, "delivered", "GB/s"},
    {BENCH_GIB_PER_S, "", "GiB/s"},
    {BENCH_WINDOW_MIN, "slowest second", "GiB/s"},
    {BENCH_WINDOW_MEDIAN, "middle second", "GiB/s"},
    {BENCH_WINDOW_MAX, "fastest second", "GiB/s"},
    {BENCH_INFLATED, "inflated", "GiB/s"},
    {BENCH_RECORDS_PER_S, "records a second", ""},
    {BENCH_OBJECTS_PER_S, "objects a second", ""},
    {BENCH_FIRST_DONE, "first slot done after", ""},
    {BENCH_LAST_DONE, "all delivered after", ""},
};
static const struct row start[] = {
    {BENCH_FIRST_OBJECT, "object listed", ""}, {BENCH_FIRST_CONNECTION, "connected, TLS", ""},
    {BENCH_FIRST_BYTE, "first byte", ""},      {BENCH_FIRST_RECORD, "first record", ""},
    {BENCH_FIRST_BATCH, "first batch", ""},    {BENCH_ON_DEVICE, "first batch on device", ""},
    {BENCH_FIRST_STEP, "first step", ""},
};
static const struct row device[] = {
    {BENCH_STEPS_PER_S, "steps a second", ""},
    {BENCH_UTILISATION, "AU (MLPerf-style formula), unofficial", ""},
    {BENCH_DEVICE_STALL, "idle, waiting for data", ""},
    {BENCH_HEADROOM, "headroom (1: data is free)", ""},
    {BENCH_REPLAY, "steps a second, one batch", ""},
};
static const struct row cost[] = {
    {BENCH_CPU, "CPU-seconds for a GiB", "s"},
    {BENCH_CPU_USER, "  user", "s"},
    {BENCH_CPU_SYSTEM, "  system", "s"},
    {BENCH_CPU_IO, "  I/O, TLS", "s"},
    {BENCH_CPU_INFLATE, "  inflating", "s"},
    {BENCH_CPU_FRAME, "  framing", "s"},
    {BENCH_CPU_DECODE, "  decoding", "s"},
    {BENCH_CPU_CONSUMER, "  consumer", "s"},
    {BENCH_SWITCHES, "context switches", ""},
    {BENCH_PREEMPTIONS, "  involuntary", ""},
    {BENCH_RSS, "peak memory", ""},
    {BENCH_PINNED, "registered with device", ""},
    {BENCH_PIN, "  which took", ""},
    {BENCH_DEVICE_MEMORY, "device memory", ""},
};
static const struct row requests[] = {
    {BENCH_GETS, "GETs", ""},
    {BENCH_CONNECTIONS, "connections opened", ""},
    {BENCH_REUSED, "  reused", ""},
    {BENCH_RETRIES, "retries", ""},
    {BENCH_REFETCHED, "received twice", ""},
};
static const struct row waits[] = {
    {BENCH_STALL, "consumer, for data (stall)", ""},
    {BENCH_WAIT_CHUNKS, "decoders, for records", ""},
    {BENCH_WAIT_SLOT, "framer, for a free batch", ""},
    {BENCH_WAIT_DECODERS, "framer, for decoders", ""},
    {BENCH_WAIT_BYTES, "framer, for bytes", ""},
    {BENCH_WAIT_ROOM, "I/O, for room in the ring", ""},
};

static void print_latencies(const struct bench_variant *variant)
{
    static const struct {
        const char *label;
        enum bench_figure first;
    } rows[] = {{"to the first byte", BENCH_TTFB_P50}, {"to the last", BENCH_PART_P50}};

    if (bench_variant_figure(variant, BENCH_PART_P50).count == 0)
        return;
    printf("Requests take     %12s %12s %12s %12s %12s\n", "p50", "p90", "p99", "p99.9", "max");
    for (size_t i = 0; i < 2; i++) {
        printf("  %-18s", rows[i].label);
        for (int p = 0; p < 5; p++) {
            enum bench_figure figure = (enum bench_figure)((int)rows[i].first + p);
            struct bench_spread spread = bench_variant_figure(variant, figure);
            char text[32];

            format(text, sizeof text, figure, p == 4 ? spread.max : spread.median);
            printf("%s%12s", p ? " " : "", text);
        }
        printf("\n");
    }
}

/* Causes that there were. */
static void print_causes(const struct bench_variant *variant)
{
    for (int f = BENCH_RETRIES_CONNECT; f <= BENCH_RETRIES_OTHER; f++)
        if (bench_variant_figure(variant, (enum bench_figure)f).max > 0)
            print_row(variant, (enum bench_figure)f, bench_figures[f].what, "");
}

/* A step's end, and what it took. */
static void print_step(const struct bench_result *result, const struct bench_start_step *step)
{
    enum bench_figure figure = step->figure, before = step->before;
    bool known = false;

    for (size_t v = 0; v < result->variant_count; v++)
        known = known || bench_variant_figure(&result->variants[v], figure).count > 0;
    if (!known)
        return;
    printf("  %-26s", step->label);
    for (size_t v = 0; v < result->variant_count; v++) {
        double at_s = bench_variant_figure(&result->variants[v], figure).median;
        double since_s = bench_variant_figure(&result->variants[v], before).median;
        char at[32], took[32];

        format(at, sizeof at, figure, at_s);
        format(took, sizeof took, figure, figure == before ? at_s : at_s - since_s);
        printf(" %12s  (+%s)%*s", at, took, (int)(12 - strlen(took)), "");
    }
    printf("\n");
}

static void print_start_table(const struct bench_result *result)
{
    printf("From the start until (and of that, the step)\n%28s", "");
    for (size_t v = 0; v < result->variant_count; v++)
        printf(" %12s%17s", result->variants[v].name, "");
    printf("\n");
    for (int i = 0; i < BENCH_START_STEPS; i++)
        print_step(result, &bench_start_steps[i]);
}

static const struct bench_variant *cell_of(const struct bench_result *result, uint32_t connections,
                                           uint64_t part_bytes)
{
    for (size_t v = 0; v < result->variant_count; v++)
        if (result->variants[v].connections == connections &&
            result->variants[v].part_bytes == part_bytes)
            return &result->variants[v];
    return NULL;
}

/* Whether a variant is the first of its column (or row). */
static bool is_first(const struct bench_result *result, size_t number, bool of_connections)
{
    for (size_t v = 0; v < number; v++)
        if (of_connections ? result->variants[v].connections == result->variants[number].connections
                           : result->variants[v].part_bytes == result->variants[number].part_bytes)
            return false;
    return true;
}

/* A cell is the median of its repeats; those that were not worth measuring are empty. */
static void print_grid(const struct bench_result *result)
{
    printf("GiB/s by part size and connections\n%14s", "");
    for (size_t v = 0; v < result->variant_count; v++)
        if (is_first(result, v, true))
            printf("%10u", result->variants[v].connections);
    printf("\n");
    for (size_t row = 0; row < result->variant_count; row++) {
        uint64_t part_bytes = result->variants[row].part_bytes;

        if (!is_first(result, row, false))
            continue;
        printf("  %8.4g MiB", (double)part_bytes / (1 << 20));
        for (size_t v = 0; v < result->variant_count; v++) {
            const struct bench_variant *cell =
                cell_of(result, result->variants[v].connections, part_bytes);

            if (is_first(result, v, true) && cell)
                printf("%10.4g", bench_variant_figure(cell, BENCH_RECEIVED).median);
            else if (is_first(result, v, true))
                printf("%10s", "");
        }
        printf("\n");
    }
    printf("recommended: %s\n", result->recommended);
}

static void print_variant(const struct bench_variant *variant)
{
    PRINT_ROWS(variant, "Throughput", throughput);
    PRINT_ROWS(variant, "Start, from opening the stream", start);
    PRINT_ROWS(variant, "Device", device);
    PRINT_ROWS(variant, "Cost", cost);
    PRINT_ROWS(variant, "Requests", requests);
    print_causes(variant);
    print_latencies(variant);
    PRINT_ROWS(variant, "Share of the time that waited", waits);
}

/* Variants beside each other, and by what factor each differs from the first. */
static void print_varied(const struct bench_result *result, enum bench_figure figure)
{
    printf("%s\n", bench_figures[figure].name);
    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *variant = &result->variants[v];
        struct bench_factor factor;

        print_row(variant, figure, variant->name, "");
        if (v == 0 || !bench_variant_factor(&result->variants[0], variant, figure, &factor))
            continue;
        printf("  %34s %+.1f %%", "", 100 * (factor.factor - 1));
        if (factor.sure)
            printf(" (%+.1f to %+.1f %%, 99 %% confidence)\n", 100 * (factor.least - 1),
                   100 * (factor.most - 1));
        else
            printf(" (too few repeats to be sure)\n");
    }
}

static void print_variants(const struct bench_result *result)
{
    print_varied(result, BENCH_GIB_PER_S);
    print_varied(result, BENCH_FIRST_BATCH);
    print_varied(result, BENCH_CPU);
    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_run *limit = bench_variant_limit(&result->variants[v]);

        if (limit)
            printf("%s is limited by: %s: %s\n", result->variants[v].name,
                   bench_limit_name(limit->limit), limit->why);
    }
}

/* Requests that begin together end together: rates of less than ten times that long jump. */
static void print_coarseness(const struct bench_variant *variant)
{
    double request_s = bench_variant_figure(variant, BENCH_PART_P50).median;
    double measured_s = bench_variant_figure(variant, BENCH_MEASURED).median;

    if (measured_s < 10 * request_s && !(bench_variant_figure(variant, BENCH_LAST_DONE).count > 0))
        printf("note: a request takes %.3g s: rates are coarse; use --seconds %.0f, or smaller "
               "--part-size\n",
               request_s, ceil(10 * request_s));
}

static void print_environment(const struct bench_result *result)
{
    const struct bench_environment *e = &result->environment;

    printf("penstock bench %s: penstock %s%s%s, %s, %s\n", result->command, penstock_version(),
           *e->commit ? " " : "", e->commit, e->build, e->compiler);
    printf("%s, %d CPUs (%s), %.1f GiB, I/O by %s\n", e->kernel, e->cpus, e->cpu_model,
           (double)e->memory_bytes / (double)(1 << 30), *e->io_backend ? e->io_backend : "-");
    if (*e->device)
        printf("%s\n", e->device);
    printf("caches: %s\n",
           result->options->cache ? result->options->cache : "not declared (--cache cold|warm)");
}

void bench_print_table(const struct bench_result *result)
{
    const struct bench_run *limit = NULL;

    print_environment(result);
    if (result->options->command == BENCH_START) {
        print_start_table(result);
    } else if (result->options->command == BENCH_SWEEP) {
        print_grid(result);
    } else if (result->options->command >= BENCH_RIVALS) {
        bench_print_beside(result);
    } else if (result->options->vary) {
        print_variants(result);
    } else if (result->variant_count > 0) {
        printf("%zu repeats; median (least to most)\n", result->variants[0].run_count);
        print_variant(&result->variants[0]);
        print_coarseness(&result->variants[0]);
    }
    if (result->interrupted)
        printf("interrupted: what was measured until then\n");
    if (result->options->command == BENCH_SWEEP)
        printf("limited by: %s\n", result->met);
    else if (result->options->command < BENCH_START && !result->options->vary &&
             result->variant_count > 0)
        limit = bench_variant_limit(&result->variants[0]);
    if (limit)
        printf("limited by: %s: %s\n", bench_limit_name(limit->limit), limit->why);
    fflush(stdout);
}
