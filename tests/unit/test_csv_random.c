/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_csv_random.c - the CSV decoder on generated input: random objects, odd fields in
 * the midst of bulk conversions, a million numbers, random bytes for the searches.
 *
 *     build/release/tests/unit/test_csv_random [OBJECTS]
 *
 * OBJECTS of 1000 numbers each (default 1000) are compared with strtof.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/csv_fixture.h"
#include "tests/number_texts.h"

/* The masks of every processor, on every byte value. */
static void test_csv_find_and_skip_equal_a_plain_search(void **state)
{
    enum { BLOCKS = 8 };
    uint8_t bytes[BLOCKS * CSV_BLOCK_BYTES];
    struct csv_masks masks[2];
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        size_t blocks = 1 + below(BLOCKS);
        size_t plain_blocks = blocks;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(below(round % 300 + 1) < 2 ? below(256) : 'x');
        fmt_csv_find(bytes, blocks, &masks[0]);
        fmt_csv_find_base(bytes, blocks, &masks[1]);
        for (size_t i = blocks; i-- > 0;) {
            uint64_t newline = 0;
            uint64_t quote = 0;
            for (size_t k = 0; k < CSV_BLOCK_BYTES; k++) {
                uint8_t c = bytes[i * CSV_BLOCK_BYTES + k];
                newline |= (uint64_t)(c == '\n' || c == '\r') << k;
                quote |= (uint64_t)(c == '"') << k;
            }
            if ((newline | quote) != 0)
                plain_blocks = i;
            for (size_t m = 0; m < 2; m++) {
                assert_true(masks[m].newline[i] == newline);
                assert_true(masks[m].quote[i] == quote);
            }
        }
        size_t skipped = fmt_csv_skip(bytes, blocks);
        assert_true(skipped == plain_blocks || skipped == 0);
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2"))
            assert_int_equal(fmt_csv_skip_avx2(bytes, blocks), plain_blocks);
#endif
    }
}

static size_t append(char *out, size_t n, const char *text)
{
    size_t len = strlen(text);
    memcpy(out + n, text, len);
    return n + len;
}

static size_t random_number(char *out, size_t n, uint32_t kind)
{
    char text[64];
    switch (kind % 7) {
    case 0:
        snprintf(text, sizeof(text), "%u", below(256));
        break;
    case 1:
        snprintf(text, sizeof(text), "%.6f", (double)below(2000000) / 1e6 - 1);
        break;
    case 2:
        snprintf(text, sizeof(text), "%.9g", (double)below(1u << 30) / 12345.678 - 30000);
        break;
    case 3:
        snprintf(text, sizeof(text), "%.17g", (double)below(1u << 30) / 1.2345678e9);
        break;
    case 4:
        snprintf(text, sizeof(text), "%d", (int)below(200000) - 100000);
        break;
    case 5:
        snprintf(text, sizeof(text), "%.8e", (double)below(1u << 30) * 1e-20);
        break;
    default:
        snprintf(text, sizeof(text), "%u.%u", below(100), below(1000));
        break;
    }
    return append(out, n, text);
}

static size_t random_odd_field(char *out, size_t n)
{
    static const char *const odd[] = {
        "", " ", "\"\"", "\"7\"", " \"8\"", "\" 9 \" ", "nan", "-inf", " 3", "4\t", "+5",
    };
    static const char *const bad[] = {"x",          "\"a,b\"", "\"a\nb\"", "1\"",
                                      "\"1\"\"2\"", "\"open",  "0x1",      "1..2"};
    if (below(400) == 0)
        return append(out, n, bad[below(8)]);
    return append(out, n, odd[below(11)]);
}

/* `odd_one_in`: how many fields to one that is not plain. */
static size_t random_object(char *out, size_t cap, uint32_t columns, uint32_t odd_one_in)
{
    static const char *const ends[] = {"\n", "\r\n", "\r", "\n\n", "\n \n", "\r\n\r\n"};
    uint32_t kind = below(8);
    uint32_t style = below(4);
    size_t n = below(8) == 0 ? append(out, 0, "\xef\xbb\xbf") : 0;
    while (n + columns * 48 < cap) {
        uint32_t here = columns;
        if (odd_one_in < 1000 && below(60) == 0)
            here = 1 + below(columns + 1);
        for (uint32_t i = 0; i < here; i++) {
            if (i > 0)
                out[n++] = ',';
            if (below(odd_one_in) == 0)
                n = random_odd_field(out, n);
            else
                n = random_number(out, n, kind == 7 ? below(7) : kind);
        }
        n = append(out, n, ends[style < 2 ? style : below(6)]);
    }
    return below(2) == 0 && n > 2 ? n - 1 : n;
}

static void test_csv_random_objects_equal_the_reference(void **state)
{
    static const uint32_t widths[] = {1, 2, 3, 5, 8, 9, 17, 40, 200};
    static char text[16384];
    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        struct drive_result reference;
        struct drive_result r;
        uint32_t columns = widths[below(9)];
        uint32_t odd = below(3) == 0 ? 20 : below(2) == 0 ? 300 : 1u << 30;
        size_t cap = below(8) == 0 ? sizeof(text) : 200 + below(2000);
        size_t len =
            random_object(text, cap < 48 * columns + 1 ? 48 * columns + 1 : cap, columns, odd);
        uint32_t label_size = columns > 1 ? below(columns < 4 ? columns : 4) : 0;
        csv_reference((const uint8_t *)text, len, label_size, &reference);
        text[len] = 0;
        run(text, len, label_size, 1 + below(50), i % 2 == 0 ? step_all : step_random, NULL, &r);
        expect_same("random", text, i, &r, &reference);
        drive_result_free(&reference);
        drive_result_free(&r);
    }
}

/* Every odd field where batch conversions meet it, among short, middling and long neighbours. */
static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void test_csv_odd_fields_in_regular_rows(void **state)
{
    static const char *const odd[] = {
        ".",
        "-",
        "-.",
        "..",
        "1.2.3",
        "--1",
        "1-2",
        "e5",
        "1e",
        "-.e+05",
        ".e-01",
        "1e+5x",
        "1e5",
        "1.2345678901234567.8",
        "1234567890.12345678.9",
        "12345678901234567.1.",
        "-12345678901234567-1",
        "1.5e-1",
        "7.0064923216240854e-46",
        "7.0064923216240853e-46",
        "1.0e-300",
        "1.0e+39",
        "-0",
        "-0.0",
        "0.00000000000000000000000000000e+00",
        "1234567890123456789012345",
        "3.40282357e+38",
        "123456789012345678901234567890123",
        "0.5000000298023223876953125",
        "16777217",
        "16777219",
        "16777217.000000001",
        "",
        " ",
        " 7",
        "7 ",
        "\t-7.5\t",
        "\"7\"",
        "\"\"",
        "\"7",
        "7\"",
        "+7",
        "nan",
        "-inf",
        "0x7",
        "7\r8",
        "\r",
        "99999",
        "9999",
        "1:23",
        "1/23",
        "12.3456789:",
        ",",
        "1,2",
        "\xff",
        "1E+05",
        "1e-99",
        "1.7976931348623157e+99",
    };
    static const char *const neighbours[] = {"7", "0.25", "0.12345678901234567", "1.5e-05"};
    static const char *const line_ends[] = {"\n", "\r\n"};
    enum { COLUMNS = 25 };
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]) * 8; i++) {
        const char *neighbour = neighbours[i / 2 % 4];
        char text[8 * COLUMNS * 48];
        struct drive_result reference;
        struct drive_result r;
        size_t len = 0;
        for (uint32_t field = 0; field < 6 * COLUMNS; field++) {
            bool is_odd = field == 2 * COLUMNS + 12;
            len = append(text, len, is_odd ? odd[i / 8] : neighbour);
            len = append(text, len, field % COLUMNS == COLUMNS - 1 ? line_ends[i % 2] : ",");
        }
        csv_reference((const uint8_t *)text, len, 1, &reference);
        run(text, len, 1, 1000, step_all, NULL, &r);
        expect_same("odd field", odd[i / 8], i, &r, &reference);
        drive_result_free(&reference);
        drive_result_free(&r);
    }
}

static uint32_t number_objects = 1000;

/* Fields of one shape side by side, so that every batch conversion gets its like. */
static void test_csv_numbers_equal_strtof(void **state)
{
    enum { COLUMNS = 25, ROWS = 40 };
    static char text[COLUMNS * ROWS * (TEXT_BYTES + 1)];
    static float expected[COLUMNS * ROWS];
    struct fmt_csv_options own = {.label_size = 3};
    struct drive drive = {.options = {.own = &own}, .rows_max = 1000, .step = step_all};
    (void)state;
    for (uint32_t object = 0; object < number_objects; object++) {
        struct drive_result r;
        size_t len = 0;
        for (size_t i = 0; i < COLUMNS * ROWS; i++) {
            char *field = text + len;
            text_of_shape(field, TEXT_BYTES, object % TEXT_SHAPES);
            expected[i] = strtof(field, NULL);
            len += strlen(field);
            text[len++] = i % COLUMNS == COLUMNS - 1 ? '\n' : ',';
        }
        drive.options.ops = any_ops();
        drive_run(&drive, (const uint8_t *)text, len, &r);
        if (r.failed || r.rows != ROWS)
            fail_msg("object %u: %zu rows, '%s'", object, r.rows, r.text);
        for (size_t i = 0; i < COLUMNS * ROWS; i++)
            if (bits_of(value_at(&r, i)) != bits_of(expected[i]))
                fail_msg("object %u of shape %u, value %zu: got %a, strtof says %a", object,
                         object % TEXT_SHAPES, i, (double)value_at(&r, i), (double)expected[i]);
        drive_result_free(&r);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        number_objects = (uint32_t)strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_find_and_skip_equal_a_plain_search),
        cmocka_unit_test(test_csv_random_objects_equal_the_reference),
        cmocka_unit_test(test_csv_odd_fields_in_regular_rows),
        cmocka_unit_test(test_csv_numbers_equal_strtof),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
