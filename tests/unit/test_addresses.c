/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_addresses.c - connections spread over the addresses of a host, by how they serve.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "pipe/addresses.h"

#define S UINT64_C(1000000000)
#define START (1000 * S)
#define PART (8u << 20)

static struct ps_addresses list;

static struct ps_address address_of(unsigned last)
{
    struct ps_address address = {.len_bytes = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)&address.sockaddr;

    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(0x7f000000u + last);
    snprintf(address.text, sizeof address.text, "127.0.0.%u", last);
    return address;
}

/* 127.0.0.2 and on. */
static int know(void **state)
{
    struct ps_address found[8];

    (void)state;
    list = (struct ps_addresses){.count = 0};
    for (unsigned i = 0; i < 8; i++)
        found[i] = address_of(2 + i);
    ps_addresses_update(&list, found, 8, START);
    return 0;
}

static uint32_t open_at(unsigned last)
{
    char text[16];

    snprintf(text, sizeof text, "127.0.0.%u", last);
    for (uint32_t i = 0; i < list.count; i++)
        if (strcmp(list.known[i].address.text, text) == 0)
            return list.known[i].open;
    return 0;
}

static void take(unsigned count, uint64_t now_ns)
{
    for (unsigned i = 0; i < count; i++)
        assert_non_null(ps_addresses_take(&list, NULL, now_ns));
}

static void test_equal_addresses_get_equally_many(void **state)
{
    uint64_t now_ns = START;

    (void)state;
    /* Rates of 0.6 to 1 of the best are as good; connections come and go. */
    for (unsigned round = 0; round < 200; round++) {
        struct ps_address gone = address_of(2 + round * 5 % 8);

        take(round < 50 ? 2 : 1, now_ns);
        ps_addresses_served(&list, &gone, PART, S / 10 + round * 7 % 6 * S / 100, now_ns);
        ps_addresses_give_back(&list, &gone);
        now_ns += S / 20;
    }
    uint32_t least = UINT32_MAX, most = 0;

    for (unsigned last = 2; last < 10; last++) {
        least = open_at(last) < least ? open_at(last) : least;
        most = open_at(last) > most ? open_at(last) : most;
    }
    assert_true(least > 0);
    assert_true(most <= 2 * least);
}

static void test_a_slow_address_gets_few_and_keeps_none(void **state)
{
    (void)state;
    for (unsigned last = 2; last < 10; last++) {
        struct ps_address address = address_of(last);

        assert_true(ps_addresses_served(&list, &address, PART, S / 10, START));
    }
    struct ps_address slow = address_of(5);

    assert_false(ps_addresses_served(&list, &slow, PART, 100 * S, START) &&
                 ps_addresses_served(&list, &slow, PART, 100 * S, START) &&
                 ps_addresses_served(&list, &slow, PART, 100 * S, START) &&
                 ps_addresses_served(&list, &slow, PART, 100 * S, START) &&
                 ps_addresses_served(&list, &slow, PART, 100 * S, START) &&
                 ps_addresses_served(&list, &slow, PART, 100 * S, START));
    take(64, START + S);
    assert_true(open_at(5) <= 4);
    assert_true(open_at(2) >= 8);
}

/* A latency is no rate. */
static void test_small_answers_say_nothing_of_the_rate(void **state)
{
    struct ps_address small = address_of(2);
    struct ps_address large = address_of(3);

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        assert_true(ps_addresses_served(&list, &large, PART, S / 100, START));
        assert_true(ps_addresses_served(&list, &small, 4096, S / 100, START));
    }
    take(16, START);
    assert_int_equal(open_at(2), 2);
}

static void test_a_bad_address_is_probed_by_one_connection(void **state)
{
    struct ps_address dead = address_of(4);

    (void)state;
    ps_addresses_dead(&list, &dead, START);
    take(70, START + S);
    assert_int_equal(open_at(4), 0);
    take(14, START + 31 * S);
    assert_int_equal(open_at(4), 1);
    /* It answers: now it is as good as any. */
    ps_addresses_served(&list, &dead, PART, S / 10, START + 32 * S);
    take(12, START + 32 * S);
    assert_true(open_at(4) >= 10);
}

static void test_an_address_that_fails_gets_fewer(void **state)
{
    struct ps_address failing = address_of(9);

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        ps_addresses_failed(&list, &failing, START);
    take(64, START);
    assert_true(open_at(9) <= 2);
    for (unsigned i = 0; i < 8; i++)
        ps_addresses_served(&list, &failing, 1, S, START);
    take(16, START);
    assert_true(open_at(9) >= 8);
}

static void test_all_dead_are_used_all_the_same(void **state)
{
    struct ps_address first = address_of(2);

    (void)state;
    for (unsigned last = 2; last < 10; last++) {
        struct ps_address address = address_of(last);

        assert_int_equal(ps_addresses_has_other(&list, &address, START), last < 9);
        ps_addresses_dead(&list, &address, START);
    }
    assert_false(ps_addresses_has_other(&list, &first, START));
    assert_true(ps_addresses_has_other(&list, &first, START + 31 * S));
    take(8, START);
}

static void test_another_one_for_a_hedge(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++)
        assert_string_not_equal(ps_addresses_take(&list, "127.0.0.3", START)->text, "127.0.0.3");

    struct ps_address only = address_of(3);

    list = (struct ps_addresses){.count = 0};
    ps_addresses_update(&list, &only, 1, START);
    assert_string_equal(ps_addresses_take(&list, "127.0.0.3", START)->text, "127.0.0.3");
}

static void test_a_new_answer_keeps_what_is_known(void **state)
{
    struct ps_address found[] = {address_of(4), address_of(20), address_of(20)};

    (void)state;
    take(16, START);
    ps_addresses_dead(&list, &found[0], START);
    ps_addresses_update(&list, found, 3, START);
    assert_int_equal(open_at(4), 2);
    /* Addresses that are gone get no new connections, but are remembered by those they have. */
    take(10, START);
    assert_int_equal(open_at(20), 10);
    assert_int_equal(open_at(2), 2);

    struct ps_address gone = address_of(2);

    ps_addresses_give_back(&list, &gone);
    ps_addresses_give_back(&list, &gone);
    ps_addresses_give_back(&list, &gone);
    ps_addresses_update(&list, found, 3, START);
    assert_int_equal(open_at(2), 0);
    ps_addresses_update(&list, NULL, 0, START);
    assert_null(ps_addresses_take(&list, NULL, START));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_equal_addresses_get_equally_many, know),
        cmocka_unit_test_setup(test_a_slow_address_gets_few_and_keeps_none, know),
        cmocka_unit_test_setup(test_small_answers_say_nothing_of_the_rate, know),
        cmocka_unit_test_setup(test_a_bad_address_is_probed_by_one_connection, know),
        cmocka_unit_test_setup(test_an_address_that_fails_gets_fewer, know),
        cmocka_unit_test_setup(test_all_dead_are_used_all_the_same, know),
        cmocka_unit_test_setup(test_another_one_for_a_hedge, know),
        cmocka_unit_test_setup(test_a_new_answer_keeps_what_is_known, know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
