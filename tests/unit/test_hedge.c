/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_hedge.c - pipe/hedge.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipe/clock.h"
#include "pipe/hedge.h"

#define MS PS_NS_PER_MS
#define MIB (UINT64_C(1) << 20)

static int make(void **state)
{
    struct ps_hedge *hedge = calloc(1, sizeof *hedge);

    ps_hedge_init(hedge);
    *state = hedge;
    return 0;
}

static int drop(void **state)
{
    free(*state);
    return 0;
}

/* To within the histogram's 1 %. */
static void assert_near(uint64_t value, uint64_t wanted)
{
    assert_true(value >= wanted - wanted / 100 && value <= wanted + wanted / 100);
}

/* ---- decisions ---- */

static void saw_heads(struct ps_hedge *hedge, int times, uint64_t wait_ns)
{
    while (times-- > 0)
        ps_hedge_saw_head(hedge, wait_ns);
}

static void test_patience(void **state)
{
    struct ps_hedge *hedge = *state;

    assert_int_equal(ps_hedge_patience_ns(hedge), 1000 * MS); /* nothing is known yet */
    saw_heads(hedge, 15, MS);
    assert_int_equal(ps_hedge_patience_ns(hedge), 1000 * MS);
    saw_heads(hedge, 5, MS);
    assert_int_equal(ps_hedge_patience_ns(hedge), 200 * MS);
    /* One of twenty may be slow; more of them are the way this server is. */
    saw_heads(hedge, 1, 4000 * MS);
    assert_int_equal(ps_hedge_patience_ns(hedge), 200 * MS);
    saw_heads(hedge, 2, 100 * MS);
    assert_near(ps_hedge_patience_ns(hedge), 300 * MS);
    saw_heads(hedge, 10, 4000 * MS);
    assert_int_equal(ps_hedge_patience_ns(hedge), 5000 * MS);
}

static void test_a_quarter_of_the_middle_rate_is_slow(void **state)
{
    struct ps_hedge *hedge = *state;

    for (int i = 0; i < 16; i++) {
        assert_int_equal(ps_hedge_pace(hedge, 20000, 200 * MS, 8 * MIB), PS_HEDGE_GOOD);
        ps_hedge_saw_body(hedge, 8 * MIB, 80 * MS); /* 100 MiB/s */
    }
    assert_int_equal(ps_hedge_pace(hedge, 6 * MIB, 200 * MS, 8 * MIB), PS_HEDGE_GOOD); /* 30 */
    assert_int_equal(ps_hedge_pace(hedge, 4 * MIB, 200 * MS, 8 * MIB), PS_HEDGE_SLOW); /* 20 */
    assert_int_equal(ps_hedge_pace(hedge, 4 * MIB, 200 * MS, 4 * MIB),
                     PS_HEDGE_GOOD); /* nearly there */
    assert_int_equal(hedge->bytes, 16 * 8 * MIB);
}

static void test_a_trickle_is_slow_before_anything_is_known(void **state)
{
    assert_int_equal(ps_hedge_pace(*state, 60000, 1000 * MS, MIB), PS_HEDGE_SLOW);
    assert_int_equal(ps_hedge_pace(*state, 70000, 1000 * MS, MIB), PS_HEDGE_GOOD);
}

static void test_silence_is_slow_whatever_is_known(void **state)
{
    assert_int_equal(ps_hedge_pace(*state, 0, 1000 * MS, 1), PS_HEDGE_SILENT);
}

static void test_short_bodies_say_nothing_about_the_rate(void **state)
{
    struct ps_hedge *hedge = *state;

    for (int i = 0; i < 100; i++)
        ps_hedge_saw_body(hedge, 4096, 1000);
    ps_hedge_saw_body(hedge, 8 * MIB, 0);
    assert_int_equal(ps_histogram_count(&hedge->rate_bytes_s), 0);
    assert_int_equal(ps_hedge_pace(hedge, 20000, 200 * MS, 8 * MIB), PS_HEDGE_GOOD);
}

static void test_two_percent_of_the_requests(void **state)
{
    struct ps_hedge *hedge = *state;

    for (hedge->requests = 0; hedge->requests < 10000; hedge->requests++)
        while (ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT))
            hedge->hedges++;
    assert_in_range(hedge->hedges, 200, 204);
    assert_false(ps_hedge_is_affordable(hedge, PS_HEDGE_GOOD));
}

static void test_half_of_it_for_those_that_move(void **state)
{
    struct ps_hedge *hedge = *state;

    for (hedge->requests = 0; hedge->requests < 10000; hedge->requests++)
        while (ps_hedge_is_affordable(hedge, PS_HEDGE_SLOW))
            hedge->hedges++;
    assert_in_range(hedge->hedges, 100, 102);
    assert_true(ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT));
    assert_false(ps_hedge_is_affordable(hedge, PS_HEDGE_GOOD));
}

static void test_two_percent_of_the_bytes(void **state)
{
    struct ps_hedge *hedge = *state;

    hedge->requests = 1000000;
    hedge->twice_bytes = 4 * MIB - 1;
    assert_true(ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT));
    hedge->twice_bytes = 4 * MIB;
    assert_false(ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT));
    hedge->bytes = 100 * MIB;
    assert_true(ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT));
    hedge->twice_bytes = 6 * MIB;
    assert_false(ps_hedge_is_affordable(hedge, PS_HEDGE_SILENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_patience, make, drop),
        cmocka_unit_test_setup_teardown(test_a_quarter_of_the_middle_rate_is_slow, make, drop),
        cmocka_unit_test_setup_teardown(test_a_trickle_is_slow_before_anything_is_known, make,
                                        drop),
        cmocka_unit_test_setup_teardown(test_silence_is_slow_whatever_is_known, make, drop),
        cmocka_unit_test_setup_teardown(test_short_bodies_say_nothing_about_the_rate, make, drop),
        cmocka_unit_test_setup_teardown(test_two_percent_of_the_requests, make, drop),
        cmocka_unit_test_setup_teardown(test_half_of_it_for_those_that_move, make, drop),
        cmocka_unit_test_setup_teardown(test_two_percent_of_the_bytes, make, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
