/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_credentials_answers.c - pipe/credentials_json.c: keys and times in answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/credentials_sources.h"

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t at_s; /* 0: no time */
    } table[] = {
        {"1970-01-02T00:00:01Z", 86401},
        {"1970-01-02T00:00:01.123456Z", 86401},
        {"1970-01-02T00:00:01+00:00", 86401},
        {"1970-01-02T00:00:01.5+0000", 86401},
        {"2026-11-21T09:00:00Z", 1795251600},
        {"", 0},
        {"now", 0},
        {"1970-01-02", 0},
        {"1970-01-02T00:00:01", 0},
        {"1970-01-02T00:00:01Zx", 0},
        {"1970-01-02T00:00:01+01:00", 0}, /* no AWS service writes one */
        {"1970-13-02T00:00:01Z", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (ps_key_parse_time(table[i].text) != table[i].at_s)
            fail_msg("'%s' is read as %lld", table[i].text,
                     (long long)ps_key_parse_time(table[i].text));
}

static void test_keys(void **state)
{
    static const char text[] = "{\"Code\":\"Success\",\"AccessKeyId\":\"I\",\"SecretAccessKey\":"
                               "\"S\",\"Token\":\"T\",\"Expiration\":\"1970-01-02T00:00:00Z\"}";
    struct ps_credentials out = {.origin = "the test"};
    (void)state;

    assert_int_equal(ps_key_parse_json(text, strlen(text), &out, NULL), PENSTOCK_OK);
    assert_string_equal(out.keys.access_key_id, "I");
    assert_string_equal(out.keys.secret_access_key, "S");
    assert_string_equal(out.keys.session_token, "T");
    assert_int_equal(out.expires_s, 86400);
    for (size_t len = 0; len < strlen(text); len++) {
        struct ps_credentials cut = {.origin = "the test"};
        if (ps_key_parse_json(text, len, &cut, NULL) != PENSTOCK_E_CREDENTIALS)
            fail_msg("an answer cut to %zu bytes is taken", len);
    }
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } table[] = {
        {"[1]", "no JSON object"},
        {"{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"not trusted\"}", "not trusted"},
        {"{\"AccessKeyId\":\"I\"}", "no AccessKeyId and SecretAccessKey"},
        {"{\"AccessKeyId\":1,\"SecretAccessKey\":\"HUSH\"}", "no AccessKeyId and SecretAccessKey"},
        {"{\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"S\",\"Expiration\":\"soon\"}", "is no time"},
        {"{\"AccessKeyId\":\"I\\r\\n\",\"SecretAccessKey\":\"HUSH\"}",
         "AccessKeyId of the test holds a line break"},
        {"{\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"HUSH\\n\"}",
         "SecretAccessKey of the test holds a line break"},
        {"{\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"S\",\"SessionToken\":\"HUSH\\r\\nX: y\"}",
         "the session token of the test holds a line break"},
        {"{\"AccessKeyId\":\"I\",\"AccessKeyId\":\"J\",\"SecretAccessKey\":\"S\"}",
         "no JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ps_credentials out = {.origin = "the test"};
        struct penstock_error error;
        assert_int_equal(ps_key_parse_json(table[i].text, strlen(table[i].text), &out, &error),
                         PENSTOCK_E_CREDENTIALS);
        if (!strstr(error.message, table[i].part) || strstr(error.message, "HUSH"))
            fail_msg("case %zu: %s", i, error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
