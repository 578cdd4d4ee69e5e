/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_csv_write.c - numbers as CSV text: shortest, and the same bits when read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "formats/csv_write.h"
#include "tests/number_texts.h"

static size_t write_one(enum fmt_type type, const void *value, char text[FMT_CSV_FIELD_BYTES_MAX])
{
    size_t len = fmt_csv_write(type, value, 1, true, text);
    assert_true(len >= 2 && len <= FMT_CSV_FIELD_BYTES_MAX && text[len - 1] == '\n');
    text[len - 1] = 0;
    return len - 1;
}

static void test_csv_write_forms(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-255, "-255"},
        {0.5, "0.5"},
        {-0.1, "-0.1"},
        {0.001, "0.001"},
        {1e-4, "0.0001"},
        {1e-5, "1e-5"},
        {1.5e-7, "1.5e-7"},
        {1e6, "1000000"},
        {123456.75, "123456.75"},
        {1e18, "1e18"},
        {1.25e20, "1.25e20"},
        {1e16, "10000000000000000"},
        {16777216, "16777216"},
        {NAN, "nan"},
        {HUGE_VAL, "inf"},
        {-HUGE_VAL, "-inf"},
    };
    char text[FMT_CSV_FIELD_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float single = (float)cases[i].value;
        write_one(FMT_FLOAT64, &cases[i].value, text);
        assert_string_equal(text, cases[i].text);
        if ((double)single == cases[i].value || i == 5 || (i > 5 && i < 10)) {
            write_one(FMT_FLOAT32, &single, text);
            assert_string_equal(text, cases[i].text);
        }
    }
}

/* No longer than the shortest of %.1g .. %.9g that reads back, in digits. */
static size_t shortest_digits(float value)
{
    char text[40];
    size_t digits = 1;
    for (;; digits++) {
        snprintf(text, sizeof(text), "%.*e", (int)digits - 1, (double)value);
        if (strtof(text, NULL) == value)
            return digits;
    }
}

static size_t count_digits(const char *text)
{
    size_t digits = 0;
    size_t zeros = 0;
    for (; *text != 0 && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && digits == 0))
            continue;
        digits++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return digits - zeros;
}

static void check_single(uint32_t bits)
{
    char text[FMT_CSV_FIELD_BYTES_MAX];
    float value;
    memcpy(&value, &bits, sizeof(value));
    if (!isfinite(value))
        return;
    write_one(FMT_FLOAT32, &value, text);
    float back = strtof(text, NULL);
    if (memcmp(&back, &value, sizeof(back)) != 0)
        fail_msg("%a is written as %s", (double)value, text);
    if (value != 0 && count_digits(text) > shortest_digits(value))
        fail_msg("%a is written as %s: not the shortest", (double)value, text);
}

static void test_csv_write_float32_shortest_and_equal(void **state)
{
    (void)state;
    for (uint32_t exponent = 0; exponent < 256; exponent++)
        for (uint32_t i = 0; i < 8; i++) {
            check_single(exponent << 23 | i);
            check_single((exponent << 23) - i);
        }
    for (uint32_t i = 0; i < 200000; i++)
        check_single((uint32_t)text_next_random());
    for (uint32_t i = 0; i < 256; i++) {
        float scaled = (float)i / 255;
        uint32_t bits;
        memcpy(&bits, &scaled, sizeof(bits));
        check_single(bits);
    }
}

static void test_csv_write_float64_equal(void **state)
{
    char text[FMT_CSV_FIELD_BYTES_MAX];
    (void)state;
    for (uint32_t i = 0; i < 50000; i++) {
        uint64_t bits = text_next_random();
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2 == 0)
            value = (double)(int64_t)bits / pow(2, 60);
        if (!isfinite(value))
            continue;
        write_one(FMT_FLOAT64, &value, text);
        if (strtod(text, NULL) != value)
            fail_msg("%a is written as %s", value, text);
    }
}

static void test_csv_write_rows(void **state)
{
    static const float features[3] = {1, -2.5f, 0.25f};
    static const int64_t labels[2] = {INT64_MIN, 7};
    char text[5 * FMT_CSV_FIELD_BYTES_MAX];
    (void)state;
    size_t len = fmt_csv_write(FMT_INT64, labels, 2, false, text);
    len += fmt_csv_write(FMT_FLOAT32, features, 3, true, text + len);
    text[len] = 0;
    assert_string_equal(text, "-9223372036854775808,7,1,-2.5,0.25\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_write_forms),
        cmocka_unit_test(test_csv_write_float32_shortest_and_equal),
        cmocka_unit_test(test_csv_write_float64_equal),
        cmocka_unit_test(test_csv_write_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
