/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_histogram.c - pipe/histogram.c, against exact percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/histogram.h"

enum { SAMPLES = 20000 };

static const unsigned asked[] = {1, 10, 500, 900, 990, 999, 1000};

/* To within 1 %. */
static void assert_near(uint64_t value, uint64_t wanted)
{
    uint64_t apart = value > wanted ? value - wanted : wanted - value;

    if (apart > wanted / 100)
        fail_msg("%llu is not near %llu", (unsigned long long)value, (unsigned long long)wanted);
}

static void test_every_value_has_its_bucket(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 44; shift++)
        for (int offset = -1; offset <= 1; offset++) {
            struct ps_histogram histogram = {.forget_at = 0};
            uint64_t value = (UINT64_C(1) << shift) + (uint64_t)(int64_t)offset;

            ps_histogram_add(&histogram, 0);
            ps_histogram_add(&histogram, value);
            ps_histogram_add(&histogram, UINT64_MAX);
            assert_near(ps_histogram_quantile(&histogram, 500), value);
            assert_int_equal(ps_histogram_quantile(&histogram, 1), 0);
            assert_true(ps_histogram_quantile(&histogram, 1000) == UINT64_MAX);
        }
}

static void test_buckets_begin_where_they_say(void **state)
{
    static struct ps_histogram histogram;
    static struct penstock_latencies told;

    (void)state;
    for (unsigned i = 0; i < PENSTOCK_LATENCY_BUCKETS; i++) {
        if (i > 0)
            assert_true(penstock_latency_bucket_ns(i) > penstock_latency_bucket_ns(i - 1));
        ps_histogram_add(&histogram, penstock_latency_bucket_ns(i));
        ps_histogram_add(&histogram, penstock_latency_bucket_ns(i + 1) - 1);
    }
    ps_histogram_tell(&histogram, &told);
    assert_int_equal(told.count, 2 * PENSTOCK_LATENCY_BUCKETS);
    for (unsigned i = 0; i < PENSTOCK_LATENCY_BUCKETS; i++)
        assert_int_equal(told.counts[i], 2);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* From 1 us to 100 s, each octave as likely as any other, with a few that stand out. */
static uint64_t draw(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    unsigned shift = (unsigned)(*random >> 59) % 27;

    return (UINT64_C(1000) << shift) + ((*random >> 16) % 1000 << shift);
}

static void test_quantiles_of_random_values(void **state)
{
    static uint64_t values[SAMPLES];
    static struct ps_histogram histograms[4];
    static struct penstock_latencies merged, told;
    uint64_t random = 7;

    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        values[i] = draw(&random);
        ps_histogram_add(&histograms[i % 3], values[i]);
        ps_histogram_add(&histograms[3], values[i]);
    }
    for (int i = 0; i < 3; i++) {
        ps_histogram_tell(&histograms[i], &told);
        penstock_latencies_merge(&merged, &told);
    }
    ps_histogram_tell(&histograms[3], &told);
    assert_memory_equal(&merged, &told, sizeof told);
    qsort(values, SAMPLES, sizeof *values, ascending);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        uint64_t exact = values[(SAMPLES * (uint64_t)asked[i] + 999) / 1000 - 1];

        assert_near(ps_histogram_quantile(&histograms[3], asked[i]), exact);
        assert_int_equal(penstock_latencies_quantile_ns(&merged, asked[i]),
                         ps_histogram_quantile(&histograms[3], asked[i]));
    }
    assert_int_equal(penstock_latencies_quantile_ns(&merged, 1000), values[SAMPLES - 1]);
}

static void test_nothing_is_zero(void **state)
{
    static struct ps_histogram histogram;
    static struct penstock_latencies told;

    (void)state;
    ps_histogram_tell(&histogram, &told);
    assert_int_equal(ps_histogram_quantile(&histogram, 990), 0);
    assert_int_equal(penstock_latencies_quantile_ns(&told, 990), 0);
    assert_int_equal(told.count, 0);
}

static void test_old_values_fade(void **state)
{
    struct ps_histogram histogram = {.forget_at = 64};

    (void)state;
    for (int i = 0; i < 63; i++)
        ps_histogram_add(&histogram, 1000);
    for (int i = 0; i < 128; i++) {
        ps_histogram_add(&histogram, 9000);
        assert_true(ps_histogram_count(&histogram) < 64);
    }
    assert_near(ps_histogram_quantile(&histogram, 200), 9000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_has_its_bucket),
        cmocka_unit_test(test_buckets_begin_where_they_say),
        cmocka_unit_test(test_quantiles_of_random_values),
        cmocka_unit_test(test_nothing_is_zero),
        cmocka_unit_test(test_old_values_fade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
