/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_permute.c - pipe/permute.c against numbers from another program.
 *
 * The pinned numbers were computed by the Python program below, which was written from the
 * definition in permute.h and not from permute.c. They may never change: hosts that run different
 * releases must agree on the order.
 *
 *     M = (1 << 64) - 1
 *     G, A, B = 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb
 *     def mix(z):
 *         z = (z + G) & M; z = ((z ^ z >> 30) * A) & M; z = ((z ^ z >> 27) * B) & M
 *         return z ^ z >> 31
 *     def key(seed, epoch): return mix((mix(seed) + epoch) & M)
 *     def permute(i, n, k):
 *         bits = max(2, (n - 1).bit_length()); bits += bits % 2; h = bits // 2; low = (1 << h) - 1
 *         while True:
 *             l, r = i >> h, i & low
 *             for j in range(8): l, r = r, l ^ (mix((k + (j + 1) * G + r) & M) & low)
 *             i = l << h | r
 *             if i < n: return i
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/permute.h"

static void test_keys_are_the_pinned_ones(void **state)
{
    static const struct {
        uint64_t seed, epoch, key;
    } cases[] = {
        {0, 0, UINT64_C(0xa706dd2f4d197e6f)},
        {0, 1, UINT64_C(0x2a98f501af37e97f)},
        {1, 0, UINT64_C(0x5e41ab087439611e)},
        {42, 0, UINT64_C(0x57e1faba65107204)},
        {42, 1, UINT64_C(0xfa4f945599f9054a)},
        {UINT64_MAX, 0, UINT64_C(0x5dc20aa7b2a27137)},
        {UINT64_MAX, UINT32_MAX, UINT64_C(0x70d282d23c89cba)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(ps_permute_key(cases[i].seed, cases[i].epoch) == cases[i].key);
}

static void test_small_orders_are_the_pinned_ones(void **state)
{
    static const struct {
        uint64_t seed, epoch, n;
        uint8_t to[17];
    } cases[] = {
        {1, 0, 1, {0}},
        {1, 0, 2, {1, 0}},
        {1, 0, 3, {2, 0, 1}},
        {1, 0, 4, {2, 0, 1, 3}},
        {1, 0, 5, {2, 1, 0, 4, 3}},
        {42, 0, 10, {0, 9, 7, 8, 2, 4, 1, 5, 3, 6}},
        {42, 1, 10, {4, 8, 6, 0, 1, 2, 5, 3, 7, 9}},
        {7, 3, 17, {16, 10, 5, 14, 15, 12, 2, 7, 8, 6, 3, 11, 9, 4, 1, 0, 13}},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (uint64_t i = 0; i < cases[c].n; i++)
            assert_int_equal(
                ps_permute(i, cases[c].n, ps_permute_key(cases[c].seed, cases[c].epoch)),
                cases[c].to[i]);
}

static void test_large_domains_are_the_pinned_ones(void **state)
{
    static const struct {
        uint64_t i, n, to;
    } cases[] = {
        {0, 1000000, 0xcbb99},
        {1, 1000000, 0x71d2c},
        {999999, 1000000, 0xdd8b7},
        {0, UINT64_C(1) << 32, 0xd13df3fa},
        {UINT32_MAX, UINT64_C(1) << 32, 0x93e6f5e5},
        {5, (UINT64_C(1) << 32) + 1, 0xfee1e24d},
        {UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1, 0x52b8a57c},
        {0, UINT64_C(1) << 63, UINT64_C(0xe189e557b30427c)},
        {(UINT64_C(1) << 63) - 1, UINT64_C(1) << 63, UINT64_C(0x1989d0455595291c)},
        {0, (UINT64_C(1) << 63) + 1, UINT64_C(0xe189e557b30427c)},
        {UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_C(0x5917b1929530910c)},
        {0, UINT64_MAX, UINT64_C(0xe189e557b30427c)},
        {UINT64_MAX - 1, UINT64_MAX, UINT64_C(0xce36b1f200474401)},
        {UINT64_C(123456789012345678), UINT64_MAX, UINT64_C(0x1d02e6a70e51d081)},
    };
    uint64_t key = ps_permute_key(42, 5);

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        assert_true(ps_permute(cases[c].i, cases[c].n, key) == cases[c].to);
}

/* FNV-1a over the values of a whole order, as whole numbers. */
static void test_whole_orders_have_the_pinned_digests(void **state)
{
    static const struct {
        uint64_t n, digest;
    } cases[] = {
        {255, UINT64_C(0x9de2577ba1e89c52)},   {256, UINT64_C(0x9c894400528d35c7)},
        {257, UINT64_C(0x1bf6a6f60df56cf3)},   {1000, UINT64_C(0xe99fc8a3a33b5305)},
        {65537, UINT64_C(0xe6b4398c7c77cc01)},
    };
    uint64_t key = ps_permute_key(9, 2);

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint64_t digest = UINT64_C(0xcbf29ce484222325);

        for (uint64_t i = 0; i < cases[c].n; i++)
            digest = (digest ^ ps_permute(i, cases[c].n, key)) * UINT64_C(0x100000001b3);
        assert_true(digest == cases[c].digest);
    }
}

static void assert_bijective(uint64_t n, uint64_t key)
{
    uint8_t *seen = calloc(n, 1);

    assert_non_null(seen);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t to = ps_permute(i, n, key);

        assert_in_range(to, 0, n - 1);
        assert_int_equal(seen[to], 0);
        seen[to] = 1;
    }
    free(seen);
}

static void test_every_order_is_a_permutation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 300; n++)
        for (uint64_t epoch = 0; epoch < 3; epoch++)
            assert_bijective(n, ps_permute_key(n * 77, epoch));
    for (unsigned bits = 9; bits <= 16; bits++)
        for (uint64_t n = (UINT64_C(1) << bits) - 1; n <= (UINT64_C(1) << bits) + 1; n++)
            assert_bijective(n, ps_permute_key(bits, 0));
    assert_bijective(1000000, ps_permute_key(1, 1));
}

/* How many of n places differ between two orders. */
static uint64_t differing(uint64_t n, uint64_t key_a, uint64_t key_b)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < n; i++)
        count += ps_permute(i, n, key_a) != ps_permute(i, n, key_b);
    return count;
}

static void test_order_differs_by_seed_and_by_epoch(void **state)
{
    const uint64_t n = 1000;

    (void)state;
    for (uint64_t k = 0; k < 20; k++) {
        /* Two random orders agree in one place on average; 20 is out of reach. */
        assert_true(differing(n, ps_permute_key(k, 0), ps_permute_key(k + 1, 0)) > n - 20);
        assert_true(differing(n, ps_permute_key(3, k), ps_permute_key(3, k + 1)) > n - 20);
        /* Epoch e of seed s is not epoch 0 of another small seed. */
        assert_true(differing(n, ps_permute_key(0, k + 1), ps_permute_key(k + 1, 0)) > n - 20);
    }
    assert_int_equal(differing(n, ps_permute_key(5, 6), ps_permute_key(5, 6)), 0);
}

/* Over many epochs each object comes about equally often at each place: 6 objects, 6,000 epochs,
 * 1,000 expected with a deviation of 29 (numbers are fixed, so this cannot fail by chance). */
static void test_every_object_comes_first_equally_often(void **state)
{
    enum { N = 6, EPOCHS = 6000 };
    unsigned count[N][N] = {{0}};

    (void)state;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (uint64_t i = 0; i < N; i++)
            count[i][ps_permute(i, N, ps_permute_key(11, epoch))]++;
    for (size_t i = 0; i < N; i++)
        for (size_t to = 0; to < N; to++)
            assert_in_range(count[i][to], EPOCHS / N - 150, EPOCHS / N + 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_the_pinned_ones),
        cmocka_unit_test(test_small_orders_are_the_pinned_ones),
        cmocka_unit_test(test_large_domains_are_the_pinned_ones),
        cmocka_unit_test(test_whole_orders_have_the_pinned_digests),
        cmocka_unit_test(test_every_order_is_a_permutation),
        cmocka_unit_test(test_order_differs_by_seed_and_by_epoch),
        cmocka_unit_test(test_every_object_comes_first_equally_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
