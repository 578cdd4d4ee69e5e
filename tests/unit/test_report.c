/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_report.c - the host's name in metric lines, and the names of scores. What is
 * printed is tested by tests/integration/test_train.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/report.h"

static void test_host_is_read_from_resourceconfig(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"{\"current_host\":\"algo-7\",\"hosts\":[\"algo-1\",\"algo-7\"]}", "algo-7"},
        {"{ \"hosts\": [],\n \"current_host\" :\t\"a.b-C9\" }", "a.b-C9"},
        {"{\"current_host\":\"two words\"}", "algo-1"},
        {"{\"current_host\":\"cut off", "algo-1"},
        {"{\"current_host\":", "algo-1"},
        {"{\"current_host\"", "algo-1"},
        {"{\"current_host\":\"\"}", "algo-1"},
        {"{\"current_host\":7}", "algo-1"},
        {"{\"current_host\":\"much-too-long-for-the-room\"}", "algo-1"},
        {"", "algo-1"},
        {NULL, "algo-1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char host[16];
        tr_report_host(cases[i].text, host, sizeof host);
        assert_string_equal(host, cases[i].want);
    }
}

static void test_quiet_shows_no_progress(void **state)
{
    (void)state;
    struct tr_report report;
    tr_report_init(&report, true, false, NULL);
    assert_false(report.terminal);
    assert_false(tr_report_progress_due(&report, 1e9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_is_read_from_resourceconfig),
        cmocka_unit_test(test_quiet_shows_no_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
