/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_error.c - pipe/error.c and pipe/text.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/text.h"

static void test_fail_fills_and_clears(void **state)
{
    (void)state;
    struct penstock_error error;
    memset(&error, 0x55, sizeof error);
    assert_int_equal(ps_fail(&error, PENSTOCK_E_DENIED, "no %s for %d", "entry", 7),
                     PENSTOCK_E_DENIED);
    assert_int_equal(error.rc, PENSTOCK_E_DENIED);
    assert_string_equal(error.message, "no entry for 7");
    assert_string_equal(error.bucket, "");
    assert_int_equal(error.http_status, 0);
    assert_int_equal(error.sys_errno, 0);

    ps_error_object(&error, "bucket", "a/key", UINT64_C(1) << 40);
    ps_error_answer(&error, 503, "SlowDown", "RID", "192.0.2.1", 10);
    assert_string_equal(error.bucket, "bucket");
    assert_string_equal(error.key, "a/key");
    assert_true(error.offset_bytes == UINT64_C(1) << 40);
    assert_int_equal(error.http_status, 503);
    assert_string_equal(error.s3_code, "SlowDown");
    assert_string_equal(error.request_id, "RID");
    assert_string_equal(error.remote_ip, "192.0.2.1");
    assert_int_equal(error.attempts, 10);
    assert_string_equal(error.message, "no entry for 7");
}

static void test_fail_accepts_null_error(void **state)
{
    (void)state;
    assert_int_equal(ps_fail(NULL, PENSTOCK_E_MEMORY, "x"), PENSTOCK_E_MEMORY);
    assert_int_equal(ps_fail_errno(NULL, PENSTOCK_E_SYSTEM, EIO, "x"), PENSTOCK_E_SYSTEM);
    ps_error_object(NULL, "b", "k", 1);
    ps_error_answer(NULL, 1, "c", "r", "i", 1);
}

static void test_fail_errno_appends_text(void **state)
{
    (void)state;
    struct penstock_error error;
    ps_fail_errno(&error, PENSTOCK_E_SYSTEM, ENOENT, "cannot open %s", "/x");
    assert_string_equal(error.message, "cannot open /x: No such file or directory");
    assert_int_equal(error.sys_errno, ENOENT);
}

static void test_fail_message_is_one_line(void **state)
{
    (void)state;
    struct penstock_error error;
    ps_fail(&error, PENSTOCK_E_HTTP, "key a\nb\x7f\x1b[0m of caf\xc3\xa9");
    assert_string_equal(error.message, "key a?b??[0m of caf\xc3\xa9");
}

static void test_fail_argument_may_point_into_error(void **state)
{
    (void)state;
    struct penstock_error error;
    ps_fail(&error, PENSTOCK_E_HTTP, "first");
    ps_fail(&error, PENSTOCK_E_NETWORK, "second after %s", error.message);
    assert_string_equal(error.message, "second after first");
}

static void test_long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    struct penstock_error error;
    char key[3000];
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    memcpy(key + sizeof error.key - 3, "\xe2\x82\xac", 3); /* a euro sign across the end */
    ps_fail(&error, PENSTOCK_E_HTTP, "%s%s", key, key);
    ps_error_object(&error, NULL, key, 0);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_int_equal(strlen(error.key), sizeof error.key - 3);
}

static void test_text_builder_stops_at_its_end(void **state)
{
    (void)state;
    char buffer[8];
    struct ps_text text = ps_text_in(buffer, sizeof buffer);
    ps_text_add(&text, "abc");
    ps_text_add_u64(&text, 1234);
    assert_false(text.cut);
    assert_string_equal(buffer, "abc1234");
    ps_text_add_bytes(&text, "z", 1);
    assert_true(text.cut);
    assert_string_equal(buffer, "abc1234");

    char long_buffer[32];

    text = ps_text_in(long_buffer, sizeof long_buffer);
    ps_text_add_u64(&text, 0);
    ps_text_add_u64(&text, UINT64_MAX);
    assert_string_equal(long_buffer, "018446744073709551615");
    text = ps_text_in(buffer, sizeof buffer);
    ps_text_addf(&text, "%s", "123456789");
    assert_true(text.cut);
    assert_int_equal(text.len, 7);
    assert_string_equal(buffer, "1234567");
}

static void test_percent_encoding(void **state)
{
    (void)state;
    char buffer[256];
    struct ps_text text = ps_text_in(buffer, sizeof buffer);
    ps_text_add_encoded(&text, "/AZaz09-._~ +%?#&='()*\n\xc3\xa9//", true);
    assert_string_equal(buffer, "/AZaz09-._~%20%2B%25%3F%23%26%3D%27%28%29%2A%0A%C3%A9//");
    text = ps_text_in(buffer, sizeof buffer);
    ps_text_add_encoded(&text, "a/b", false);
    assert_string_equal(buffer, "a%2Fb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_fills_and_clears),
        cmocka_unit_test(test_fail_accepts_null_error),
        cmocka_unit_test(test_fail_errno_appends_text),
        cmocka_unit_test(test_fail_message_is_one_line),
        cmocka_unit_test(test_fail_argument_may_point_into_error),
        cmocka_unit_test(test_long_texts_are_cut_at_a_character),
        cmocka_unit_test(test_text_builder_stops_at_its_end),
        cmocka_unit_test(test_percent_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
