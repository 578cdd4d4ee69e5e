/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_proxy.c - pipe/proxy.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipe/proxy.h"

static void test_exceptions(void **state)
{
    static const struct {
        const char *no_proxy, *host;
        bool excepted;
    } table[] = {
        {"*", "any.example", true},
        {"*", "10.0.0.1", true},
        {"", "any.example", false},
        {"x,*", "any.example", false},
        {"example.com", "example.com", true},
        {"example.com", "b.s3.Example.COM", true},
        {".example.com", "example.com", true},
        {".example.com", "a.example.com", true},
        {"example.com.", "a.example.com", true},
        {"example.com", "a.example.com.", true},
        {"example.com", "notexample.com", false},
        {"a.example.com", "example.com", false},
        {"other, example.com", "example.com", true},
        {"other example.com\tlast", "example.com", true},
        {",,other,,last", "last", true},
        {".", "example.com", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"0.0.1", "127.0.0.1", false},
        {"10.0.0.0/8", "10.9.8.7", true},
        {"10.0.0.0/8", "11.9.8.7", false},
        {"10.0.0.128/25", "10.0.0.129", true},
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.1/0", "10.0.0.1", true},
        {"10.0.0.1/0", "10.0.0.2", false},
        {"10.0.0.0/33", "10.0.0.0", false},
        {"::1", "::1", true},
        {"0:0::1", "::1", true},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe12::1", false},
        {"::1", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (ps_proxy_excepts(table[i].no_proxy, table[i].host) != table[i].excepted)
            fail_msg("'%s' and %s", table[i].no_proxy, table[i].host);
}

static void test_variables(void **state)
{
    static const struct {
        const char *name, *value, *no_proxy;
        bool http, https;
    } table[] = {
        {"http_proxy", "http://p:1", "", true, false},
        {"HTTP_PROXY", "http://p:1", "", false, false},
        {"https_proxy", "http://p:1", "", false, true},
        {"HTTPS_PROXY", "http://p:1", "", false, true},
        {"all_proxy", "http://p:1", "", true, true},
        {"ALL_PROXY", "http://p:1", "", true, true},
        {"ALL_PROXY", "", "", false, false},
        {"ALL_PROXY", "http://p:1", "h.example", false, false},
        {"ALL_PROXY", "http://p:1", "g.example", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        setenv(table[i].name, table[i].value, 1);
        setenv("NO_PROXY", table[i].no_proxy, 1);
        assert_int_equal(ps_proxy_is_set(false, "h.example"), table[i].http);
        assert_int_equal(ps_proxy_is_set(true, "h.example"), table[i].https);
        unsetenv(table[i].name);
    }
    setenv("all_proxy", "http://p:1", 1);
    setenv("no_proxy", "g.example", 1);
    setenv("NO_PROXY", "h.example", 1);
    assert_true(ps_proxy_is_set(true, "h.example"));
    assert_false(ps_proxy_is_set(true, "g.example"));
}

static int fresh(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exceptions),
        cmocka_unit_test_setup(test_variables, fresh),
    };
    return cmocka_run_group_tests(tests, fresh, fresh);
}
