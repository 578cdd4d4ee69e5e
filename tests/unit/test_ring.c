/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_ring.c - pipe/ring.c: where a stream position lives, and the carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipe/ring.h"

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct ps_ring open_ring(size_t size_bytes, size_t headroom_bytes)
{
    struct ps_ring ring;
    struct penstock_error error;

    assert_int_equal(ps_ring_open(&ring, size_bytes, headroom_bytes, &error), PENSTOCK_OK);
    return ring;
}

static void test_sizes_are_rounded_down_to_whole_pages(void **state)
{
    struct ps_ring ring = open_ring(3 * page() + 17, 2 * page() - 1);

    (void)state;
    assert_int_equal(ring.size_bytes, 3 * page());
    assert_int_equal(ring.headroom_bytes, page());
    assert_int_equal((uintptr_t)ring.base % page(), 0);
    /* Every byte of both is there. */
    memset(ring.base - ring.headroom_bytes, 1, ring.headroom_bytes + ring.size_bytes);
    ps_ring_close(&ring);
    ps_ring_close(&ring);
}

static void test_positions_repeat_every_lap(void **state)
{
    struct ps_ring ring = open_ring(3 * page(), page());
    const uint64_t size = ring.size_bytes; /* three pages: no power of two */
    const uint64_t laps[] = {0, 1, 2, 1000, UINT64_C(1) << 40};

    (void)state;
    for (size_t l = 0; l < sizeof laps / sizeof *laps; l++) {
        uint64_t lap_pos = laps[l] * size;

        assert_ptr_equal(ps_ring_at(&ring, lap_pos), ring.base);
        assert_ptr_equal(ps_ring_at(&ring, lap_pos + 1), ring.base + 1);
        assert_ptr_equal(ps_ring_at(&ring, lap_pos + size - 1), ring.base + size - 1);
        assert_int_equal(ps_ring_run_bytes(&ring, lap_pos), size);
        assert_int_equal(ps_ring_run_bytes(&ring, lap_pos + 1), size - 1);
        assert_int_equal(ps_ring_run_bytes(&ring, lap_pos + size - 1), 1);
    }
    ps_ring_close(&ring);
}

static void fill(struct ps_ring *ring)
{
    for (size_t i = 0; i < ring->size_bytes; i++)
        ring->base[i] = (uint8_t)(i * 7 + i / 251);
}

static void test_carry_makes_the_lap_end_contiguous_with_its_start(void **state)
{
    struct ps_ring ring = open_ring(4 * page(), 2 * page());
    const size_t tails[] = {1, 2, 63, 64, 65, page() - 1, page(), page() + 1, 2 * page()};

    (void)state;
    fill(&ring);
    for (size_t t = 0; t < sizeof tails / sizeof *tails; t++)
        for (uint64_t lap = 1; lap < 4; lap++) {
            const uint8_t *at = ps_ring_carry(&ring, lap * ring.size_bytes - tails[t]);

            assert_non_null(at);
            assert_ptr_equal(at + tails[t], ring.base);
            assert_memory_equal(at, ring.base + ring.size_bytes - tails[t], tails[t]);
        }
    ps_ring_close(&ring);
}

static void test_carry_touches_nothing_else(void **state)
{
    struct ps_ring ring = open_ring(2 * page(), page());
    uint8_t before[64];

    (void)state;
    fill(&ring);
    memset(ring.base - ring.headroom_bytes, 0xee, ring.headroom_bytes);
    memcpy(before, ring.base, sizeof before);
    assert_non_null(ps_ring_carry(&ring, ring.size_bytes - 100));
    assert_memory_equal(ring.base, before, sizeof before);
    for (size_t i = 101; i <= ring.headroom_bytes; i++)
        assert_int_equal(ring.base[-(ptrdiff_t)i], 0xee);
    ps_ring_close(&ring);
}

static void test_carry_of_more_than_the_headroom_is_refused(void **state)
{
    struct ps_ring ring = open_ring(4 * page(), page());

    (void)state;
    fill(&ring);
    assert_null(ps_ring_carry(&ring, ring.size_bytes - page() - 1));
    assert_null(ps_ring_carry(&ring, 0));
    assert_non_null(ps_ring_carry(&ring, ring.size_bytes - page()));
    ps_ring_close(&ring);
}

static void test_impossible_size_is_an_error_with_the_size(void **state)
{
    struct ps_ring ring;
    struct penstock_error error;

    (void)state;
    assert_int_equal(ps_ring_open(&ring, SIZE_MAX / 2, page(), &error), PENSTOCK_E_MEMORY);
    assert_non_null(strstr(error.message, "stream ring"));
    assert_null(ring.map);
    ps_ring_close(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_rounded_down_to_whole_pages),
        cmocka_unit_test(test_positions_repeat_every_lap),
        cmocka_unit_test(test_carry_makes_the_lap_end_contiguous_with_its_start),
        cmocka_unit_test(test_carry_touches_nothing_else),
        cmocka_unit_test(test_carry_of_more_than_the_headroom_is_refused),
        cmocka_unit_test(test_impossible_size_is_an_error_with_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
