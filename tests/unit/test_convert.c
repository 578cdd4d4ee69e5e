/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_convert.c - packed arrays to float32: every way that this machine knows against
 * plain loops, input at the edge of readable memory, canaries after the output.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/convert.h"
#include "formats/convert_x86.h"
#include "tests/chance.h"
#include "tests/guard.h"

enum { VALUES_MAX = 300, BYTES_MAX = 10 * VALUES_MAX };

/* What the varints in in[len_bytes] mean. Returns their number, and in ends[i] where the i-th ends;
 * *good is false when they are malformed. */
static size_t reference(const uint8_t *in, size_t len_bytes, float *values, uint64_t *integers,
                        size_t *ends, bool *good)
{
    size_t count = 0;
    size_t start = 0;
    *good = true;
    for (size_t i = 0; i < len_bytes; i++) {
        if (i - start == 10) {
            *good = false;
            return count;
        }
        if (in[i] >= 0x80)
            continue;
        uint64_t sum = 0;
        for (size_t k = start; k <= i; k++)
            sum |= (uint64_t)(in[k] & 0x7f) << (7 * (k - start));
        integers[count] = sum;
        values[count] = (float)(int32_t)(uint32_t)sum;
        ends[count++] = i + 1;
        start = i + 1;
    }
    *good = start == len_bytes;
    return count;
}

/* Up to VALUES_MAX varints, each of 1 to len_max bytes, mostly the shorter ones. */
static size_t make_varints(uint8_t *out, uint32_t count, uint32_t len_max)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = 1 + below(1 + below(len_max));
        for (uint32_t k = 1; k < len; k++)
            out[at++] = (uint8_t)(0x80 | below(128));
        out[at++] = (uint8_t)below(128);
    }
    return at;
}

struct varints {
    const uint8_t *in; /* ends at the guard page */
    size_t len_bytes;
    float values[BYTES_MAX];
    uint64_t integers[BYTES_MAX]; /* the same, cut to 64 bits */
    size_t ends[BYTES_MAX];
    size_t count;
    bool good;
};

static void check_values(const char *name, const struct varints *varints, const float *got,
                         size_t count, size_t out_max)
{
    size_t written = count < out_max ? count : out_max;
    assert_true(count <= varints->count);
    if (memcmp(got, varints->values, written * sizeof(float)) != 0)
        fail_msg("%s: %zu varints in %zu bytes, out_max %zu: wrong values", name, varints->count,
                 varints->len_bytes, out_max);
}

#if defined(__x86_64__)
/* A way that converts some varints from the front. */
static void check_front(const char *name, const struct varints *varints, size_t out_max,
                        size_t (*convert)(const uint8_t *, size_t, float *, size_t, size_t *))
{
    float got[BYTES_MAX + 1];
    memset(got, 0xa5, sizeof(got));
    size_t count;
    size_t used = convert(varints->in, varints->len_bytes, got, out_max, &count);
    assert_true(count <= out_max);
    assert_int_equal(used, count == 0 ? 0 : varints->ends[count - 1]);
    check_values(name, varints, got, count, out_max);
    float canary;
    memset(&canary, 0xa5, sizeof(canary));
    assert_memory_equal(&got[out_max], &canary, sizeof(canary));
}
#endif

static void check_varints(const struct varints *varints, size_t out_max)
{
    float got[BYTES_MAX + 1];
    memset(got, 0xa5, sizeof(got));
    size_t count = 0;
    bool good = fmt_convert_varints(varints->in, varints->len_bytes, got, out_max, &count);
    assert_int_equal(good, varints->good);
    if (good) {
        assert_int_equal(count, varints->count);
        check_values("fmt_convert_varints", varints, got, count, out_max);
    }
    float canary;
    memset(&canary, 0xa5, sizeof(canary));
    assert_memory_equal(&got[out_max], &canary, sizeof(canary));
#if defined(__x86_64__)
    if (fmt_has_avx2())
        check_front("avx2", varints, out_max, fmt_varints_avx2);
    if (fmt_has_avx512())
        check_front("avx512", varints, out_max, fmt_varints_avx512);
#endif
}

/* out[count], and what was there before behind them. */
static void check_integers(const char *name, const struct varints *varints, const uint32_t *got,
                           size_t count, size_t out_max)
{
    assert_true(count <= out_max);
    for (size_t i = 0; i < count; i++)
        if (got[i] != (uint32_t)varints->integers[i])
            fail_msg("%s: varint %zu of %zu is wrong", name, i, varints->count);
    assert_int_equal(got[out_max], 0xa5a5a5a5);
}

static void check_take(const struct varints *varints, size_t out_max)
{
    uint32_t got[BYTES_MAX + 1];
    size_t count = 0;
    memset(got, 0xa5, sizeof(got));
    size_t used =
        fmt_take_varints(varints->in, varints->len_bytes, (int32_t *)got, out_max, &count);
    if (used == SIZE_MAX) {
        assert_false(varints->good);
        assert_true(varints->count < out_max);
        return;
    }
    assert_int_equal(count, out_max < varints->count ? out_max : varints->count);
    assert_int_equal(used, count == 0 ? 0 : varints->ends[count - 1]);
    check_integers("fmt_take_varints", varints, got, count, out_max);
#if defined(__x86_64__)
    if (fmt_has_avx2()) {
        memset(got, 0xa5, sizeof(got));
        (void)fmt_varints_u32_avx2(varints->in, varints->len_bytes, got, out_max, &count);
        check_integers("avx2", varints, got, count, out_max);
    }
    if (fmt_has_avx512()) {
        memset(got, 0xa5, sizeof(got));
        (void)fmt_varints_u32_avx512(varints->in, varints->len_bytes, got, out_max, &count);
        check_integers("avx512", varints, got, count, out_max);
    }
#endif
}

static void check_keys(const struct varints *varints)
{
    uint32_t got[BYTES_MAX + 1];
    uint64_t most = 0;
    uint64_t expected = 0;
    memset(got, 0xa5, sizeof(got));
    assert_int_equal(fmt_check_varints(varints->in, varints->len_bytes), varints->good);
    bool good = fmt_convert_keys(varints->in, varints->len_bytes, got, varints->count, &most);
    assert_int_equal(good, varints->good);
    if (!good)
        return;
    assert_int_equal(fmt_count_varints(varints->in, varints->len_bytes), varints->count);
    check_integers("fmt_convert_keys", varints, got, varints->count, varints->count);
    for (size_t i = 0; i < varints->count; i++)
        expected = varints->integers[i] > expected ? varints->integers[i] : expected;
    assert_int_equal(most, expected);
}

static void test_varints_of_every_mix_convert_alike(void **state)
{
    (void)state;
    static const uint32_t LEN_MAX[] = {1, 2, 3, 4, 5, 10};
    static uint8_t made[BYTES_MAX];
    static struct varints varints;
    for (uint32_t i = 0; i < 12000; i++) {
        uint32_t count = below(i % 4 == 0 ? VALUES_MAX : 60);
        varints.len_bytes = make_varints(made, count, LEN_MAX[i % 6]);
        if (i % 5 == 0 && varints.len_bytes > 0) /* damage: too long, or no end */
            memset(made + below((uint32_t)varints.len_bytes), 0xff, 1);
        varints.in = memcpy(guard_end - varints.len_bytes, made, varints.len_bytes);
        varints.count = reference(varints.in, varints.len_bytes, varints.values, varints.integers,
                                  varints.ends, &varints.good);
        check_varints(&varints, varints.count);
        check_varints(&varints, below((uint32_t)varints.count + 1));
        check_varints(&varints, varints.count + 20);
        check_take(&varints, varints.count);
        check_take(&varints, below((uint32_t)varints.count + 1));
        check_take(&varints, varints.count + 20);
        check_keys(&varints);
    }
}

static void test_varints_longer_than_10_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t in[64] = {0};
    size_t count;
    float out[64];
    memset(in + 20, 0x80, 9);
    assert_true(fmt_convert_varints(in, sizeof(in), out, 64, &count));
    assert_int_equal(count, 55);
    in[29] = 0x80;
    assert_false(fmt_convert_varints(in, sizeof(in), out, 64, &count));
    in[29] = 0;
    in[63] = 0x80;
    assert_false(fmt_convert_varints(in, sizeof(in), out, 64, &count));
}

static void check_f64(const char *name, void (*convert)(const uint8_t *, size_t, float *))
{
    static const double SPECIAL[] = {0.0,
                                     -0.0,
                                     INFINITY,
                                     -INFINITY,
                                     NAN,
                                     1e300,
                                     -1e300,
                                     1e-310,
                                     1e-45,
                                     7e-46,
                                     3.4028235677973366e38,
                                     1.00000005960464478,
                                     16777217.0};
    double in[40];
    float expected[40];
    float got[41];
    for (size_t count = 0; count <= 40; count++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t bits = (uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX);
            memcpy(&in[i], &bits, sizeof(bits));
            if (below(2) == 0)
                in[i] = SPECIAL[below(sizeof(SPECIAL) / sizeof(SPECIAL[0]))];
            expected[i] = (float)in[i];
        }
        memset(got, 0xa5, sizeof(got));
        uint8_t *at = guard_end - count * sizeof(double); /* and at any address: */
        for (size_t shift = 0; shift < 8; shift++) {
            memcpy(at - shift, in, count * sizeof(double));
            convert(at - shift, count, got);
            if (memcmp(got, expected, count * sizeof(float)) != 0)
                fail_msg("%s: %zu values, shifted by %zu: wrong", name, count, shift);
            uint32_t canary;
            memcpy(&canary, &got[count], sizeof(canary));
            assert_int_equal(canary, 0xa5a5a5a5);
        }
    }
}

static void test_f64_of_every_count_convert_alike(void **state)
{
    (void)state;
    check_f64("fmt_convert_f64", fmt_convert_f64);
#if defined(__x86_64__)
    if (fmt_has_avx2())
        check_f64("avx2", fmt_f64_avx2);
    if (fmt_has_avx512())
        check_f64("avx512", fmt_f64_avx512);
#endif
}

static void test_f32_keeps_every_bit(void **state)
{
    (void)state;
    static const uint32_t BITS[] = {0x7fc00001, 0x7f800001, 0xff812345, 0x80000000, 0xced7230a};
    float out[6] = {0};
    fmt_convert_f32((const uint8_t *)BITS, 5, out);
    assert_memory_equal(out, BITS, sizeof(BITS));
    assert_true(out[5] == 0);
    fmt_convert_f32(NULL, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints_of_every_mix_convert_alike),
        cmocka_unit_test(test_varints_longer_than_10_bytes_are_refused),
        cmocka_unit_test(test_f64_of_every_count_convert_alike),
        cmocka_unit_test(test_f32_keeps_every_bit),
    };
    return cmocka_run_group_tests(tests, guard_make, NULL);
}
