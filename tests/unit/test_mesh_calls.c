/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_mesh_calls.c - ranks that do not make the same calls in the same order, as a
 * model of a user's own may, hear of it and do not wait for ever.
 */
#include "tests/unit/mesh_fixture.h"

/* Rank 0 sums before it says something of the first step, rank 1 after that has been heard. */
static void crossed(struct tr_group *group, struct tr_device *device, void *cookie)
{
    double values[600] = {0.0};
    struct tr_error error = {""};
    struct tr_heard heard;
    char *said = (char *)cookie + group->rank * sizeof error.text;
    (void)device;
    if (group->rank == 0) {
        group_check(tr_group_sum(group, values, 600, TR_NUMBER_DOUBLE, &error) == -1);
    } else {
        group_check(tr_group_say(group, 0, 0, &error) == 0);
        group_check(tr_group_hear(group, &heard, &error) == -1);
    }
    memcpy(said, error.text, sizeof error.text);
}

static void waiting_for_each_other_is_told(void **state)
{
    struct tr_error told[2] = {{""}};
    (void)state;
    tcp_run(2, crossed, told);
    assert_non_null(strstr(told[1].text,
                           "waits in call 1 with a sum of 600 doubles, while this rank "
                           "(1) waits for its word of step 1: ranks have to"));
    assert_non_null(strstr(told[0].text, " failed: "));
    assert_non_null(strstr(told[0].text, "waits in call 1"));
}

static void different_calls(struct tr_group *group, struct tr_device *device, void *cookie)
{
    uint32_t *told = cookie;
    struct tr_error error = {""};
    double values[600] = {0.0};
    int rc = 0;
    (void)device;
    if (group->rank == 0)
        rc = tr_group_broadcast(group, values, sizeof values, &error);
    else
        rc = tr_group_sum(group, values, 600, TR_NUMBER_DOUBLE, &error);
    while (rc == 0) { /* rank 0 may be done with its broadcast */
        usleep(1000);
        rc = tr_group_beat(group, &error);
    }
    if (strstr(error.text, "same calls in the same order"))
        __atomic_fetch_add(told, 1, __ATOMIC_RELAXED);
    else
        group_check(strstr(error.text, " failed: ") || strstr(error.text, " has gone"));
}

static void different_calls_over_tcp_are_told(void **state)
{
    uint32_t told = 0;
    (void)state;
    tcp_run(2, different_calls, &told);
    assert_in_range(told, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(different_calls_over_tcp_are_told),
        cmocka_unit_test(waiting_for_each_other_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
