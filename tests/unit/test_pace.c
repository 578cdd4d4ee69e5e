/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_pace.c - how many parts are under way, against simulated servers with a clock of
 * their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/pace.h"

#define MS UINT64_C(1000000)
#define MIB (UINT64_C(1) << 20)

/* Bytes a second that a server gives to `n` connections together. */
typedef double (*server_fn)(uint32_t n);

/* Needs 64 connections to fill the link, and slows down with more of them. */
static double slows_beyond_64(uint32_t n)
{
    return n <= 64 ? n * 50e6 : 64 * 50e6 * 64 / n;
}

/* Every request waits 30 ms for 100 KB. */
static double latency_bound(uint32_t n)
{
    return n * 100e3 / 0.030;
}

/* Eight connections fill the link; more do not hurt. */
static double full_with_8(uint32_t n)
{
    return (n < 8 ? n : 8) * 90e6;
}

struct simulation {
    struct ps_pace pace;
    uint64_t now_ns;
    double received_bytes;
    uint32_t noise; /* state of the noise; 0: none */
    bool starved;
};

static double noisy(struct simulation *s, double rate)
{
    if (s->noise == 0)
        return rate;
    s->noise = s->noise * 1664525u + 1013904223u;
    return rate * (0.98 + 0.04 * (s->noise >> 8) / (double)(1 << 24));
}

/* Lets time pass in steps of 10 ms; every part takes 50 ms. */
static void run(struct simulation *s, server_fn server, unsigned seconds)
{
    double parts = 0;

    for (unsigned step = 0; step < seconds * 100; step++) {
        s->now_ns += 10 * MS;
        s->received_bytes += noisy(s, server(s->pace.limit)) * 0.01;
        for (parts += s->pace.limit * 0.2; parts >= 1; parts--)
            ps_pace_part(&s->pace, s->now_ns - 50 * MS, s->now_ns - 20 * MS, s->now_ns, MIB);
        if (s->starved)
            ps_pace_starved(&s->pace);
        ps_pace_look(&s->pace, s->now_ns, (uint64_t)s->received_bytes);
    }
}

static struct simulation begin(uint32_t wish)
{
    struct simulation s = {.now_ns = 1000 * MS};

    ps_pace_init(&s.pace, wish, wish ? wish : 256);
    return s;
}

static void test_finds_the_number_a_server_likes(void **state)
{
    (void)state;
    for (uint32_t noise = 0; noise < 20; noise++) {
        struct simulation s = begin(0);

        s.noise = noise;
        assert_int_equal(s.pace.limit, 16);
        run(&s, slows_beyond_64, 10);
        for (unsigned i = 0; i < 30; i++) {
            run(&s, slows_beyond_64, 1);
            assert_in_range(s.pace.settled, 48, 80);
        }
    }
}

static void test_grows_as_long_as_it_pays(void **state)
{
    struct simulation s = begin(0);

    (void)state;
    run(&s, latency_bound, 6);
    assert_int_equal(s.pace.settled, 256);
    run(&s, latency_bound, 20);
    assert_int_equal(s.pace.settled, 256);
}

static void test_does_without_what_brings_nothing(void **state)
{
    (void)state;
    for (uint32_t noise = 0; noise < 20; noise++) {
        struct simulation s = begin(0);
        uint32_t most = 0;

        s.noise = noise;
        run(&s, full_with_8, 5);
        for (unsigned i = 0; i < 60; i++) {
            run(&s, full_with_8, 1);
            most = s.pace.limit > most ? s.pace.limit : most;
        }
        assert_in_range(most, 8, 24);
        assert_in_range(s.pace.settled, 7, 20);
    }
}

static void test_adapts_when_the_server_changes(void **state)
{
    struct simulation s = begin(0);

    (void)state;
    run(&s, full_with_8, 60);
    run(&s, latency_bound, 60);
    assert_in_range(s.pace.settled, 128, 256);
    run(&s, slows_beyond_64, 120);
    assert_in_range(s.pace.settled, 48, 80);
}

static void test_time_without_work_says_nothing(void **state)
{
    struct simulation s = begin(0);

    (void)state;
    s.starved = true;
    run(&s, latency_bound, 30);
    assert_int_equal(s.pace.limit, 16);
    s.starved = false;
    run(&s, latency_bound, 6);
    assert_int_equal(s.pace.settled, 256);
    s.starved = true;
    run(&s, full_with_8, 30);
    assert_int_equal(s.pace.settled, 256);
}

static void test_yields_to_a_throttling_server(void **state)
{
    struct simulation s = begin(0);

    (void)state;
    run(&s, latency_bound, 6);
    uint32_t before = s.pace.limit;

    assert_in_range(before, 200, 256);
    for (unsigned i = 0; i < 50; i++)
        ps_pace_throttled(&s.pace, s.now_ns + i * MS); /* a burst counts once */
    assert_int_equal(s.pace.limit, before - before / 4);
    for (unsigned i = 0; i < 60; i++) {
        s.now_ns += 1100 * MS;
        ps_pace_throttled(&s.pace, s.now_ns);
    }
    assert_int_equal(s.pace.limit, 4);
    run(&s, latency_bound, 120); /* and comes back */
    assert_in_range(s.pace.settled, 64, 256);
}

static void test_a_number_given_stays(void **state)
{
    struct simulation s = begin(64);

    (void)state;
    assert_int_equal(s.pace.limit, 64);
    run(&s, full_with_8, 20);
    ps_pace_throttled(&s.pace, s.now_ns);
    run(&s, latency_bound, 20);
    assert_int_equal(s.pace.limit, 64);
}

static void test_part_size(void **state)
{
    struct ps_pace pace;

    (void)state;
    ps_pace_init(&pace, 0, 256);
    assert_int_equal(ps_pace_part_bytes(&pace, 1024 * MIB), 8 * MIB);
    /* Two for each of 16 in the ring, and never less than 1 MiB. */
    assert_int_equal(ps_pace_part_bytes(&pace, 96 * MIB), 3 * MIB);
    assert_int_equal(ps_pace_part_bytes(&pace, 8 * MIB), MIB);
    pace.limit = 256;
    assert_int_equal(ps_pace_part_bytes(&pace, 1024 * MIB), 2 * MIB);
    /* 30 ms at 90 MB/s: 2.7 MB are worth waiting for; four times that. */
    pace.limit = 16;
    for (unsigned i = 0; i < 200; i++)
        ps_pace_part(&pace, 0, 30 * MS, 130 * MS, 9000000);
    assert_in_range(ps_pace_part_bytes(&pace, 1024 * MIB), 10 * MIB, 11 * MIB);
    for (unsigned i = 0; i < 200; i++)
        ps_pace_part(&pace, 0, 500 * MS, 600 * MS, 9000000);
    assert_int_equal(ps_pace_part_bytes(&pace, 1024 * MIB), 16 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_number_a_server_likes),
        cmocka_unit_test(test_grows_as_long_as_it_pays),
        cmocka_unit_test(test_does_without_what_brings_nothing),
        cmocka_unit_test(test_adapts_when_the_server_changes),
        cmocka_unit_test(test_time_without_work_says_nothing),
        cmocka_unit_test(test_yields_to_a_throttling_server),
        cmocka_unit_test(test_a_number_given_stays),
        cmocka_unit_test(test_part_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
