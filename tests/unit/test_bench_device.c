/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bench_device.c - the emulated device's stall, on a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/bench_device.h"

#define MS UINT64_C(1000000)

/* The host brings the next batch when a step begins, after `load_ns`; every tenth `late_ns` later.
 */
static struct bench_device train(uint64_t step_ns, uint64_t load_ns, uint64_t late_ns)
{
    struct bench_device device = {.step_ns = step_ns};
    uint64_t now_ns = 1;

    for (int step = 1; step <= 1000; step++) {
        now_ns += load_ns + (step % 10 == 0 ? late_ns : 0);
        now_ns = bench_device_step(&device, now_ns);
    }
    return device;
}

static void test_an_injected_delay_is_the_stall(void **state)
{
    (void)state;
    /* A step of 5 ms hides 5 of 20 ms. */
    assert_int_equal(train(5 * MS, 0, 20 * MS).idle_ns, 100 * 15 * MS);
    assert_int_equal(train(5 * MS, 0, 20 * MS).steps, 1000);
    assert_int_equal(train(20 * MS, 0, 20 * MS).idle_ns, 0);
    assert_int_equal(train(20 * MS, 5 * MS, 20 * MS).idle_ns, 100 * 5 * MS);
}

static void test_slow_data_stall_every_step(void **state)
{
    (void)state;
    assert_int_equal(train(10 * MS, 9 * MS, 0).idle_ns, 0);
    assert_int_equal(train(10 * MS, 12 * MS, 0).idle_ns, 999 * 2 * MS); /* not before the first */
    assert_int_equal(train(10 * MS, 12 * MS, 0).free_ns, 1 + 1000 * 12 * MS + 10 * MS);
}

/* What an H100 with these steps needs, in MB a second, as published. */
static void test_workloads(void **state)
{
    static const struct {
        const char *name;
        int mb_per_s;
    } known[] = {{"unet3d", 3177}, {"resnet50", 204}, {"cosmoflow", 808}};

    (void)state;
    assert_null(bench_workload_find("bert"));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct bench_workload *workload = bench_workload_find(known[i].name);

        assert_non_null(workload);
        assert_int_equal((int)((double)workload->step_bytes / workload->step_s / 1e6),
                         known[i].mb_per_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_injected_delay_is_the_stall),
        cmocka_unit_test(test_slow_data_stall_every_step),
        cmocka_unit_test(test_workloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
