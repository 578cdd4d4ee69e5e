/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_beside.c - variants in lines below each other, each beside the first: what rivals and
 * parts measured by themselves are told as. */
#include "bench/bench_result.h"

#include <math.h>
#include <stdio.h>

static void print_spread(const struct bench_variant *variant, enum bench_figure figure)
{
    struct bench_spread spread = bench_variant_figure(variant, figure);
    char range[48];

    snprintf(range, sizeof range, "(%.3g to %.3g)", spread.min, spread.max);
    if (spread.count > 0)
        printf(" %8.3f %-18s", spread.median, range);
    else
        printf(" %8s %-18s", "-", "");
}

static void print_memory(const struct bench_variant *variant)
{
    struct bench_spread spread = bench_variant_figure(variant, BENCH_RSS);

    if (spread.count > 0)
        printf(" %8.0f", spread.median / (1 << 20));
    else
        printf(" %8s", "-");
}

static void print_ratio(const struct bench_variant *first, const struct bench_variant *variant,
                        enum bench_figure figure)
{
    double ratio =
        bench_variant_figure(variant, figure).median / bench_variant_figure(first, figure).median;

    if (isfinite(ratio))
        printf(" %8.2f", ratio);
    else
        printf(" %8s", "-");
}

static void print_line(const struct bench_variant *first, const struct bench_variant *variant)
{
    printf("  %-26s", variant->name);
    print_spread(variant, BENCH_GB_PER_S);
    print_spread(variant, BENCH_CPU);
    print_memory(variant);
    print_ratio(first, variant, BENCH_GB_PER_S);
    print_ratio(first, variant, BENCH_CPU);
    printf("\n");
}

void bench_print_beside(const struct bench_result *result)
{
    const struct bench_variant *first = &result->variants[0];

    printf("%zu repeats, in turn; median (least to most)\n", first->run_count);
    printf("  %-26s %8s %-18s %8s %-18s %8s %8s %8s\n", "", "GB/s", "", "CPU-s/GiB", "", "MiB",
           "x rate", "x CPU");
    for (size_t v = 0; v < result->variant_count; v++)
        if (result->variants[v].run_count > 0)
            print_line(first, &result->variants[v]);
    for (size_t i = 0; i < result->note_count; i++)
        printf("%s\n", result->notes[i]);
}
