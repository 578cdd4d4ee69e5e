/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_group.c - what is common to all groups: no group is one rank, and sums of device
 * memory come to every device in the stream's order. The ranks are threads (group_fixture.h).
 */
#include "tests/unit/group_checks.h"

static void no_group_is_one_rank(void **state)
{
    double values[2] = {1.0, 2.0};
    struct tr_gathered all;
    struct tr_heard heard;
    (void)state;
    assert_int_equal(tr_group_rank(NULL), 0);
    assert_int_equal(tr_group_count(NULL), 1);
    assert_int_equal(tr_group_sum(NULL, values, 2, TR_NUMBER_DOUBLE, NULL), 0);
    assert_int_equal(tr_group_broadcast(NULL, values, sizeof values, NULL), 0);
    assert_true(values[0] == 1.0 && values[1] == 2.0);
    assert_int_equal(tr_group_gather(NULL, "abc", 3, &all, NULL), 0);
    assert_int_equal(all.begins[1], 3);
    assert_memory_equal(all.bytes, "abc", 3);
    tr_gathered_free(&all);
    assert_int_equal(tr_group_say(NULL, TR_SAYS_MORE, 10, NULL), 0);
    assert_int_equal(tr_group_hear(NULL, &heard, NULL), 0);
    tr_group_leave(NULL, "no reason");
}

static void sums_reach_the_device_in_order(void **state)
{
    (void)state;
    group_run(3, "cpu", group_checks_sum_on, NULL);
    group_run(3, "delayed", group_checks_sum_on, NULL);
    group_run(1, "delayed", group_checks_sum_on, NULL);
}

static void tallies_are_summed(void **state)
{
    (void)state;
    group_run(3, "delayed", group_checks_tally, NULL);
}

static void ranks_talk(void **state)
{
    (void)state;
    group_run(4, "cpu", group_checks_talk, NULL);
    group_run(2, "cpu", group_checks_talk, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_group_is_one_rank),
        cmocka_unit_test(sums_reach_the_device_in_order),
        cmocka_unit_test(tallies_are_summed),
        cmocka_unit_test(ranks_talk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
