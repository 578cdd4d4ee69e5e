/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bench_compare.c - what penstock bench cmp and --require decide by. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bench/bench_compare.h"
#include "bench/bench_figures.h"
#include "bench/bench_require.h"
#include "bench/bench_sums.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* With a = 1, 1, ... and b so that all ratios differ, the interval's ends tell how many ratios were
 * left out on either side: as the tables of the rank sum test have it for two-sided 5 % and 1 %. */
static void test_intervals_are_those_of_the_tables(void **state)
{
    static const struct {
        size_t n, m;
        double confidence;
        long critical; /* largest U that is significant; -1: none is */
    } cases[] = {{4, 4, 0.95, 0},  {5, 5, 0.95, 2},     {8, 8, 0.95, 13}, {10, 10, 0.95, 23},
                 {5, 10, 0.95, 8}, {20, 20, 0.95, 127}, {3, 3, 0.95, -1}, {5, 5, 0.99, 0},
                 {8, 8, 0.99, 7},  {10, 10, 0.99, 16},  {4, 4, 0.99, -1}, {20, 20, 0.99, 105}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double a[20], b[20];
        struct bench_factor factor;

        for (size_t i = 0; i < cases[c].n; i++)
            a[i] = exp(-(double)i * 1e-6);
        for (size_t i = 0; i < cases[c].m; i++)
            b[i] = exp((double)(i * cases[c].n) * 1e-6);
        assert_true(bench_factor_of(a, cases[c].n, b, cases[c].m, cases[c].confidence, &factor));
        assert_int_equal(factor.sure, cases[c].critical >= 0);
        if (!factor.sure)
            continue;
        double last = (double)(cases[c].n * cases[c].m - 1);

        assert_int_equal(lround(log(factor.least) * 1e6), cases[c].critical);
        assert_int_equal(lround(log(factor.most) * 1e6), lround(last) - cases[c].critical);
    }
}

static void test_many_measurements_have_about_the_normal_interval(void **state)
{
    double a[30], b[30];
    struct bench_factor factor;

    (void)state;
    for (int i = 0; i < 30; i++) {
        a[i] = exp(-i * 1e-6);
        b[i] = exp(i * 30 * 1e-6);
    }
    assert_true(bench_factor_of(a, 30, b, 30, 0.95, &factor));
    assert_true(factor.sure);
    assert_in_range(lround(log(factor.least) * 1e6), 316, 318); /* 317 in the tables */
}

static void test_the_factor_is_the_middle_ratio(void **state)
{
    const double a[] = {1, 2, 4}, b[] = {3, 6, 12}, one[] = {5};
    struct bench_factor factor;

    (void)state;
    assert_true(bench_factor_of(a, 3, b, 3, 0.95, &factor));
    assert_true(near(factor.factor, 3));
    assert_true(bench_factor_of(one, 1, one, 1, 0.5, &factor));
    assert_true(near(factor.factor, 1));
    assert_false(bench_factor_of(a, 0, b, 3, 0.95, &factor));
}

/* About normal: a sum of uniform ones. */
static double noise(uint64_t *random)
{
    double sum = -6;

    for (int i = 0; i < 12; i++) {
        *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        sum += (double)(*random >> 32) / 4294967296.0;
    }
    return sum;
}

/* Of 2000 comparisons of five repeats each, which vary by 2 %, those that found a change. */
static int changes_found(double times)
{
    uint64_t random = 7;
    int found = 0;

    for (int trial = 0; trial < 2000; trial++) {
        double a[5], b[5];
        struct bench_factor factor;

        for (int i = 0; i < 5; i++) {
            a[i] = 1 + 0.02 * noise(&random);
            b[i] = times * (1 + 0.02 * noise(&random));
        }
        assert_true(bench_factor_of(a, 5, b, 5, 0.99, &factor));
        assert_true(factor.sure);
        found += factor.least > 1 || factor.most < 1;
    }
    return found;
}

static void test_a_tenth_is_told_from_noise(void **state)
{
    (void)state;
    assert_in_range(changes_found(0.9), 1940, 2000);
    assert_in_range(changes_found(1.1), 1940, 2000);
    assert_in_range(changes_found(1), 0, 30); /* 1 % of them by chance */
}

static void test_spread(void **state)
{
    const double values[] = {NAN, 4, 1, 2, INFINITY, 3};
    struct bench_spread spread = bench_spread_of(values, 6);

    (void)state;
    assert_int_equal(spread.count, 4);
    assert_true(near(spread.median, 2.5) && near(spread.min, 1) && near(spread.max, 4));
    assert_int_equal(bench_spread_of(values, 1).count, 0);
    assert_true(isnan(bench_spread_of(values, 1).median));
}

static void test_figures_are_found_with_and_without_their_unit(void **state)
{
    (void)state;
    for (int i = 0; i < BENCH_FIGURES; i++) {
        const char *name = bench_figures[i].name;

        assert_int_equal(bench_figure_find(name, strlen(name)), i);
    }
    assert_int_equal(bench_figure_find("first_batch", 11), BENCH_FIRST_BATCH);
    assert_int_equal(bench_figure_find("stall", 5), BENCH_STALL);
    assert_int_equal(bench_figure_find("peak_rss", 8), BENCH_RSS);
    assert_int_equal(bench_figure_find("gib_per", 7), -1);
    assert_int_equal(bench_figure_find("", 0), -1);
    assert_string_equal(bench_figure_unit(BENCH_GIB_PER_S), "");
    assert_string_equal(bench_figure_unit(BENCH_FIRST_BATCH), "s");
    assert_string_equal(bench_figure_unit(BENCH_STALL), "%");
    assert_string_equal(bench_figure_unit(BENCH_RSS), "bytes");
}

static void test_conditions(void **state)
{
    static const char *const good[] = {"first_batch<2s",
                                       "first_batch<=200ms",
                                       "stall<5%",
                                       "stall < 5",
                                       "gib_per_s>=1",
                                       "peak_rss<1.5GiB",
                                       "first_batch<2s,gib_per_s>1, retries<1",
                                       "retries<1,"};
    static const char *const bad[] = {"",
                                      "first_batch",
                                      "first_batch<",
                                      "first_batch<x",
                                      "first_batch=2",
                                      "first_batch<2 parsecs",
                                      "gib_per_s>1s",
                                      "speed>1",
                                      "stall<5%,,",
                                      "retries<1,speed>1"};
    char why[256];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!bench_require_check(good[i], why, sizeof why))
            fail_msg("%s: %s", good[i], why);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (bench_require_check(bad[i], why, sizeof why))
            fail_msg("'%s' is no list", bad[i]);
        assert_non_null(strstr(why, "--require: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals_are_those_of_the_tables),
        cmocka_unit_test(test_many_measurements_have_about_the_normal_interval),
        cmocka_unit_test(test_the_factor_is_the_middle_ratio),
        cmocka_unit_test(test_a_tenth_is_told_from_noise),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_figures_are_found_with_and_without_their_unit),
        cmocka_unit_test(test_conditions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
