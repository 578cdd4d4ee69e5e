/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_budget.c - pipe/budget.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/budget.h"
#include "pipe/clock.h"

#define NOW (UINT64_C(1000) * PS_NS_PER_S)

static int make(void **state)
{
    *state = NULL;
    return ps_budget_find((struct ps_budget **)state, "host", "bucket") ? 0 : -1;
}

static int drop(void **state)
{
    ps_budget_free((struct ps_budget **)state);
    assert_null(*state);
    return 0;
}

static void take(struct ps_budget *budget, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(ps_budget_take_ms(budget, false, NOW), 0);
}

static void test_one_for_each_host_and_bucket(void **state)
{
    struct ps_budget **list = (struct ps_budget **)state;
    struct ps_budget *budget = *list;
    struct ps_budget *other = ps_budget_find(list, "host", "b2");

    assert_ptr_not_equal(budget, other);
    assert_ptr_not_equal(ps_budget_find(list, "host2", "bucket"), budget);
    assert_ptr_equal(ps_budget_find(list, "host", "bucket"), budget);
    assert_ptr_equal(ps_budget_find(list, "host", "b2"), other);
}

static void test_a_hundred_retries_then_one_a_second(void **state)
{
    struct ps_budget *budget = *state;

    take(budget, 100);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW), 1000);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW), 2000);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW + PS_NS_PER_S), 2000);
    /* Paid back by time, they cost nothing again. */
    assert_int_equal(ps_budget_take_ms(budget, false, NOW + 4 * PS_NS_PER_S), 0);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW + 4 * PS_NS_PER_S), 1000);
}

static void test_no_wait_is_longer_than_20_s(void **state)
{
    struct ps_budget *budget = *state;
    uint32_t longest_ms = 0;

    for (int i = 0; i < 1000; i++) {
        uint32_t wait_ms = ps_budget_take_ms(budget, false, NOW);

        longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
    }
    assert_int_equal(longest_ms, 20000);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW + 21 * PS_NS_PER_S), 0);
}

static void test_resuming_is_cheap(void **state)
{
    struct ps_budget *budget = *state;

    for (int i = 0; i < 500; i++)
        assert_int_equal(ps_budget_take_ms(budget, true, NOW), 0);
    assert_int_equal(ps_budget_take_ms(budget, true, NOW), 200);
}

static void test_what_comes_gives_tokens_back(void **state)
{
    struct ps_budget *budget = *state;

    take(budget, 100);
    ps_budget_refund(budget, true);
    take(budget, 1);
    for (int i = 0; i < 5; i++)
        ps_budget_refund(budget, false);
    take(budget, 1);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW), 1000);
}

static void test_never_more_than_full(void **state)
{
    struct ps_budget *budget = *state;

    for (int i = 0; i < 1000; i++)
        ps_budget_refund(budget, true);
    take(budget, 100);
    assert_int_equal(ps_budget_take_ms(budget, false, NOW), 1000);
    /* Nor by an age without retries. */
    assert_int_equal(ps_budget_take_ms(budget, false, UINT64_MAX / 2), 0);
    for (int i = 0; i < 99; i++)
        assert_int_equal(ps_budget_take_ms(budget, false, UINT64_MAX / 2), 0);
    assert_int_equal(ps_budget_take_ms(budget, false, UINT64_MAX / 2), 1000);
}

/* Seven of ten requests are served at once, as under the faults that the stream must bear. */
static void test_a_server_that_mostly_serves_never_strains(void **state)
{
    struct ps_budget *budget = *state;

    for (int i = 0; i < 10000; i++) {
        if (i % 10 < 3)
            assert_int_equal(ps_budget_take_ms(budget, false, NOW), 0);
        ps_budget_refund(budget, i % 10 < 3);
        assert_false(ps_budget_is_strained(budget));
    }
    take(budget, 51);
    assert_true(ps_budget_is_strained(budget));
}

static void test_without_a_budget(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ps_budget_take_ms(NULL, false, NOW), 0);
    ps_budget_refund(NULL, true);
    assert_false(ps_budget_is_strained(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_for_each_host_and_bucket, make, drop),
        cmocka_unit_test_setup_teardown(test_a_hundred_retries_then_one_a_second, make, drop),
        cmocka_unit_test_setup_teardown(test_no_wait_is_longer_than_20_s, make, drop),
        cmocka_unit_test_setup_teardown(test_resuming_is_cheap, make, drop),
        cmocka_unit_test_setup_teardown(test_what_comes_gives_tokens_back, make, drop),
        cmocka_unit_test_setup_teardown(test_never_more_than_full, make, drop),
        cmocka_unit_test_setup_teardown(test_a_server_that_mostly_serves_never_strains, make, drop),
        cmocka_unit_test(test_without_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
