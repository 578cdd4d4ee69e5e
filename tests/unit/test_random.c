/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_random.c - numbers from seed, stream and index: pinned, distributed as they say,
 * and without relation between seeds, streams and indices that follow each other.
 */
#include "tests/unit/trainer_fixture.h"

#include <math.h>

#include "trainer/random.h"

enum { DRAWS = 20000 };

/* What models were trained with must not change. The first is splitmix64's own test vector. */
static void test_numbers_are_pinned(void **state)
{
    (void)state;
    assert_true(fmt_mix(FMT_MIX_STEP) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(tr_random_bits(0, 0, 0) == UINT64_C(0x568a9b0b1a2c05ec));
    assert_true(tr_random_bits(1, 2, 3) == UINT64_C(0x198109f2b20dcf03));
}

/* Mean and variance are within five standard errors. */
static void test_moments_are_those_of_the_distribution(void **state)
{
    (void)state;
    double sum = 0.0;
    double squares = 0.0;
    double normal = 0.0;
    double normal_squares = 0.0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = tr_random_uniform(7, 1, i);
        double z = tr_random_normal(7, 2, i);
        assert_true(u >= 0.0 && u < 1.0);
        sum += u;
        squares += u * u;
        normal += z;
        normal_squares += z * z;
    }
    double error = 5.0 / sqrt(DRAWS);
    assert_true(fabs(sum / DRAWS - 0.5) < error * sqrt(1.0 / 12.0));
    assert_true(fabs(squares / DRAWS - 1.0 / 3.0) < error * sqrt(4.0 / 45.0));
    assert_true(fabs(normal / DRAWS) < error);
    assert_true(fabs(normal_squares / DRAWS - 1.0) < error * sqrt(2.0));
}

static double correlation(uint64_t seed_step, uint64_t stream_step, uint64_t index_step)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < DRAWS; i++)
        sum += (tr_random_uniform(3, 4, i) - 0.5) *
               (tr_random_uniform(3 + seed_step, 4 + stream_step, i + index_step) - 0.5);
    return sum / DRAWS * 12.0;
}

static void test_neighbours_are_independent(void **state)
{
    (void)state;
    assert_true(fabs(correlation(0, 0, 0) - 1.0) < 0.05); /* itself */
    assert_true(fabs(correlation(1, 0, 0)) < 5.0 / sqrt(DRAWS));
    assert_true(fabs(correlation(0, 1, 0)) < 5.0 / sqrt(DRAWS));
    assert_true(fabs(correlation(0, 0, 1)) < 5.0 / sqrt(DRAWS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_pinned),
        cmocka_unit_test(test_moments_are_those_of_the_distribution),
        cmocka_unit_test(test_neighbours_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
