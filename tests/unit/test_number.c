/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_number.c - formats/number.c gives the bits that strtof gives.
 *
 *     build/release/tests/unit/test_number [COUNT]
 *
 * COUNT generated texts (default 2,000,000) of every shape: ties, subnormals, overflow, 1 to 40
 * digits, exponents, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/number.h"
#include "tests/guard.h"
#include "tests/number_texts.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Compares with strtof on text that is one whole number: alone, and with more behind it. */
static void check(const char *text)
{
    size_t len = strlen(text);
    float expected = strtof(text, NULL);
    float got = 0;
    uint8_t *p = guard_end - len;
    memcpy(p, text, len);
    if (fmt_number_scan(p, guard_end, &got) != guard_end || bits_of(got) != bits_of(expected))
        fail_msg("'%s' at the end: got %a, strtof says %a", text, (double)got, (double)expected);
    p -= 16;
    memcpy(p, text, len);
    memcpy(p + len, ",987654321012345", 16);
    if (fmt_number_scan(p, guard_end, &got) != p + len || bits_of(got) != bits_of(expected))
        fail_msg("'%s' with more behind: got %a, strtof says %a", text, (double)got,
                 (double)expected);
}

static void test_number_table_equals_strtof(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "+0",
        "1",
        "-1",
        "+1",
        "00000000000000000000001",
        "0.0",
        "-0.0",
        ".5",
        "5.",
        "-.5",
        "0.1",
        "3.14159265358979",
        "255",
        "16777216",
        "16777217",
        "16777218",
        "16777219",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901",
        "1e0",
        "1E5",
        "1e+5",
        "1e-5",
        "1.5e3",
        ".5e1",
        "5.e1",
        "1e38",
        "3.4028235e38",
        "3.4028234663852886e38",
        "3.40282356779733661637539395458142568447e38",
        "3.4028236e38",
        "3.5e38",
        "1e39",
        "1e400",
        "1e99999999999999999999",
        "-1e39",
        "1e-37",
        "1.17549435e-38",
        "1.1754942e-38",
        "1e-45",
        "1.4e-45",
        "7e-46",
        "7.0064923216240853546186479164495e-46",
        "7.0064923216240853546186479164496e-46",
        "7.1e-46",
        "1e-46",
        "-1e-46",
        "1e-99999999999999",
        "0e99999",
        "0.000e-99999",
        "0.00000000000000000000000000000000000000000001",
        "100000000000000000000000000000000000000",
        "nan",
        "NaN",
        "-nan",
        "+NAN",
        "inf",
        "-inf",
        "INF",
        "infinity",
        "-Infinity",
        "8388608.5",
        "8388609.5",
        "0.50000002980232238769531250",
        "0.500000029802322387695312500000000000000000000000000000000000000000000000000000000000001",
        "1.00000005960464477539062",
        "1.000000059604644775390625",
        "1.000000059604644775390626",
        "33554433",
        "33554435.0000000000000000000000001",
        "4.7019774032891500318749461488889827e-38",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check(texts[i]);
}

static void test_number_ends_where_the_number_ends(void **state)
{
    static const struct {
        const char *text;
        int used; /* -1: no number */
    } cases[] = {
        {"", -1},         {" 1", -1},
        {"-", -1},        {"+", -1},
        {".", -1},        {"-.", -1},
        {"e5", -1},       {"abc", -1},
        {"--1", -1},      {"+-1", -1},
        {"na", -1},       {"in", -1},
        {".e5", -1},      {"\"1\"", -1},
        {"0x10", 1},      {"1e", 1},
        {"1e+", 1},       {"1.5e-", 3},
        {"1ex", 1},       {"1.2.3", 3},
        {"12abc", 2},     {"1 ", 1},
        {"1_000", 1},     {"nan(1)", 3},
        {"infinit", 3},   {"1e5e5", 3},
        {"1,2", 1},       {"1-2", 1},
        {"12345678/", 8}, {"12345678:", 8},
        {"1234567/", 7},  {"1234567:", 7},
        {"1\xb1", 1},     {"12\xb0\xb1\xb2\xb3\xb4\xb5\xb6", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float value;
        const uint8_t *p = (const uint8_t *)cases[i].text;
        const uint8_t *q = fmt_number_scan(p, p + strlen(cases[i].text), &value);
        int used = q == NULL ? -1 : (int)(q - p);
        if (used != cases[i].used)
            fail_msg("'%s': read %d bytes, not %d", cases[i].text, used, cases[i].used);
    }
}

static uint64_t generated_count = 2000000;

static void test_number_generated_equals_strtof(void **state)
{
    char text[TEXT_BYTES];
    (void)state;
    for (uint64_t i = 0; i < generated_count; i++) {
        switch (i % 8) {
        case 0:
        case 1:
        case 2:
            text_digits(text);
            break;
        case 3:
        case 4:
            text_printed(text, sizeof(text));
            break;
        case 5:
            text_tie(text, sizeof(text));
            break;
        case 6:
            text_short_tie(text, sizeof(text));
            break;
        default:
            text_named(text);
            break;
        }
        check(text);
    }
}

static void test_number_short_integers_equal_strtof(void **state)
{
    char text[16];
    (void)state;
    for (int i = -10000; i <= 100000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        check(text);
    }
}

static void test_number_five_thousand_digits(void **state)
{
    static char text[5100];
    (void)state;
    memset(text, '3', 5000);
    text[0] = '0';
    text[1] = '.';
    check(text);
    memset(text, '0', 5000);
    text[1] = '.';
    text[4999] = '7';
    check(text);
    memcpy(text + 5000, "e4999", 6);
    check(text);
    memset(text, '0', 5000);
    memcpy(text, "1.000000059604644775390625", 26);
    check(text);
    text[4000] = '1';
    check(text);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        generated_count = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_table_equals_strtof),
        cmocka_unit_test(test_number_ends_where_the_number_ends),
        cmocka_unit_test(test_number_generated_equals_strtof),
        cmocka_unit_test(test_number_short_integers_equal_strtof),
        cmocka_unit_test(test_number_five_thousand_digits),
    };
    return cmocka_run_group_tests(tests, guard_make, NULL);
}
