/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bench_lists.c - lists that penstock bench takes, and figures of runs that read no
 * stream of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/bench_commands.h"

#include <math.h>

static void test_modes_of_start(void **state)
{
    (void)state;
    assert_true(bench_start_has("pipe", NULL) && bench_start_has("fifo,pipe,file", NULL));
    assert_true(bench_start_has("file,fifo", "fifo"));
    assert_false(bench_start_has("file,fifo", "pipe"));
    static const char *const bad[] = {"", "pipe,", ",pipe", "pipes", "pip", "pipe;file", "tape"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bench_start_has(bad[i], NULL));
}

static void test_rivals(void **state)
{
    (void)state;
    assert_true(bench_rivals_are("boto3") && bench_rivals_are("fio,s5cmd,mount-s3"));
    assert_false(bench_rivals_are("") || bench_rivals_are("boto") || bench_rivals_are("boto34") ||
                 bench_rivals_are("boto3,") || bench_rivals_are("warp"));
}

static void test_sizes_of_parts(void **state)
{
    uint64_t sizes[4];

    (void)state;
    assert_int_equal(bench_transport_sizes("8MiB,64KiB,1GiB", sizes, 4), 3);
    assert_true(sizes[0] == 8 << 20 && sizes[1] == 64 << 10 && sizes[2] == 1 << 30);
    assert_int_equal(bench_transport_sizes("65536,65537,65538,65539,65540", sizes, 4), 0);
    static const char *const bad[] = {"", "8MiB,", "63KiB", "2GiB", "8 MiBs", "-1", "nan", "1e30"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bench_transport_sizes(bad[i], sizes, 4), 0);
}

static void test_totals_become_figures(void **state)
{
    const struct bench_totals totals = {
        .bytes = UINT64_C(2) << 30, .wall_s = 4, .user_s = 1, .system_s = 0.5};
    struct bench_run run;

    (void)state;
    bench_sum_totals(&run, &totals);
    assert_true(fabs(run.figures[BENCH_GIB_PER_S] - 0.5) < 1e-12);
    assert_true(fabs(run.figures[BENCH_GB_PER_S] - 0.536870912) < 1e-12);
    assert_true(fabs(run.figures[BENCH_CPU] - 0.75) < 1e-12);
    assert_true(fabs(run.figures[BENCH_CPU_SYSTEM] - 0.25) < 1e-12);
    assert_true(isnan(run.figures[BENCH_RSS]) && isnan(run.figures[BENCH_FIRST_BYTE]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes_of_start),
        cmocka_unit_test(test_rivals),
        cmocka_unit_test(test_sizes_of_parts),
        cmocka_unit_test(test_totals_become_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
