/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_resolver.c - addresses are found off the calling thread, and failures are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "pipe/resolver.h"

static atomic_int changes;

static void on_change(void *cookie)
{
    (void)cookie;
    atomic_fetch_add(&changes, 1);
}

static struct ps_resolver *open_resolver(void)
{
    struct ps_resolver *resolver = NULL;
    struct penstock_error error;

    atomic_store(&changes, 0);
    assert_int_equal(ps_resolver_open(&resolver, on_change, NULL, &error), PENSTOCK_OK);
    return resolver;
}

/* Asks until the answer is final; as long as a name server may take. */
static enum ps_resolve_rc find(struct ps_resolver *resolver, const char *host,
                               struct ps_address *address, const char **why)
{
    enum ps_resolve_rc rc;

    while ((rc = ps_resolver_take(resolver, host, 80, NULL, address, why)) == PS_RESOLVE_WAIT)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return rc;
}

static void test_digits_need_no_look_up(void **state)
{
    struct ps_resolver *resolver = open_resolver();
    struct ps_address address;
    const char *why = "";

    (void)state;
    assert_int_equal(ps_resolver_take(resolver, "127.0.0.1", 8080, NULL, &address, &why),
                     PS_RESOLVED);
    assert_string_equal(address.text, "127.0.0.1");
    assert_int_equal(address.sockaddr.ss_family, AF_INET);
    assert_int_equal(ntohs(((struct sockaddr_in *)&address.sockaddr)->sin_port), 8080);
    assert_int_equal(ps_resolver_take(resolver, "::1", 81, NULL, &address, &why), PS_RESOLVED);
    assert_int_equal(address.sockaddr.ss_family, AF_INET6);
    assert_int_equal(atomic_load(&changes), 0);
    ps_resolver_close(resolver);
}

static void test_a_name_is_looked_up_and_the_news_told(void **state)
{
    struct ps_resolver *resolver = open_resolver();
    struct ps_address address;
    const char *why = "";

    (void)state;
    assert_int_equal(ps_resolver_take(resolver, "localhost", 80, NULL, &address, &why),
                     PS_RESOLVE_WAIT);
    assert_int_equal(find(resolver, "localhost", &address, &why), PS_RESOLVED);
    assert_true(strcmp(address.text, "127.0.0.1") == 0 || strcmp(address.text, "::1") == 0);
    ps_resolver_close(resolver);
    assert_true(atomic_load(&changes) >= 1);
}

static void test_a_failure_is_told_once_and_asked_again(void **state)
{
    struct ps_resolver *resolver = open_resolver();
    struct ps_address address;
    const char *why = "";

    (void)state;
    assert_int_equal(find(resolver, "no-such-host.invalid", &address, &why), PS_RESOLVE_FAILED);
    assert_true(strlen(why) > 0);
    assert_int_equal(ps_resolver_take(resolver, "no-such-host.invalid", 80, NULL, &address, &why),
                     PS_RESOLVE_WAIT);
    ps_resolver_close(resolver); /* perhaps in the middle of the second look-up */
}

static void test_a_bad_address_is_used_when_there_is_no_other(void **state)
{
    struct ps_resolver *resolver = open_resolver();
    struct ps_address address;
    const char *why = "";

    (void)state;
    assert_int_equal(find(resolver, "127.0.0.1", &address, &why), PS_RESOLVED);
    ps_resolver_dead(resolver, &address);
    assert_int_equal(find(resolver, "127.0.0.1", &address, &why), PS_RESOLVED);
    assert_string_equal(address.text, "127.0.0.1");
    ps_resolver_close(resolver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits_need_no_look_up),
        cmocka_unit_test(test_a_name_is_looked_up_and_the_news_told),
        cmocka_unit_test(test_a_failure_is_told_once_and_asked_again),
        cmocka_unit_test(test_a_bad_address_is_used_when_there_is_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
