/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_csv.c - the CSV decoder: every dialect question, every split, every truncation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/csv_fixture.h"

#define N NAN
#define I HUGE_VALF

/* Whole, byte by byte, split at every offset, for several rows_max: always the same rows. */
static void check_every_split(const char *text, size_t len, uint32_t label_size,
                              const struct drive_result *expected)
{
    static const uint32_t rows_max[] = {UINT32_MAX, 1, 2, 7};
    struct drive_result r;
    for (size_t i = 0; i < sizeof(rows_max) / sizeof(rows_max[0]); i++) {
        run(text, len, label_size, rows_max[i] < 8 ? rows_max[i] : 1000, step_all, NULL, &r);
        expect_same("whole", text, i, &r, expected);
        drive_result_free(&r);
        run(text, len, label_size, rows_max[i] < 8 ? rows_max[i] : 1000, step_one, NULL, &r);
        expect_same("bytewise", text, i, &r, expected);
        drive_result_free(&r);
    }
    for (size_t split = 1; split < len; split++) {
        size_t first = split;
        run(text, len, label_size, 1000, step_split, &first, &r);
        expect_same("split", text, split, &r, expected);
        drive_result_free(&r);
    }
}

struct good_case {
    const char *text;
    uint32_t label_size;
    uint32_t rows;
    uint32_t columns;
    float values[12];
};

static const struct good_case good_cases[] = {
    {"1,2,3\n4,5,6\n", 1, 2, 3, {1, 2, 3, 4, 5, 6}},
    {"1,2,3\n4,5,6", 1, 2, 3, {1, 2, 3, 4, 5, 6}},
    {"1,2,3\r\n4,5,6\r\n", 1, 2, 3, {1, 2, 3, 4, 5, 6}},
    {"1,2,3\r4,5,6\r", 1, 2, 3, {1, 2, 3, 4, 5, 6}},
    {"1,2,3\r4,5,6\n7,8,9\r\n", 0, 3, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
    {"1,2,3\r\r\n\n4,5,6\n\n\n", 1, 2, 3, {1, 2, 3, 4, 5, 6}},
    {"\n\n\r\n1,2\n", 0, 1, 2, {1, 2}},
    {"  \n\t\n1,2\n \t \r\n3,4\n  ", 0, 2, 2, {1, 2, 3, 4}},
    {"\xef\xbb\xbf"
     "1,2\n3,4\n",
     1,
     2,
     2,
     {1, 2, 3, 4}},
    {"\xef\xbb\xbf\r\n1,2", 1, 1, 2, {1, 2}},
    {"\xef\xbb\xbf", 0, 0, 0, {0}},
    {"\xef\xbb\xbf\n", 0, 0, 0, {0}},
    {"\n", 0, 0, 0, {0}},
    {"7", 0, 1, 1, {7}},
    {"7\n8\n9", 0, 3, 1, {7, 8, 9}},
    {"0,,,3\n", 0, 1, 4, {0, N, N, 3}},
    {",\n", 0, 1, 2, {N, N}},
    {",1\n2,\n", 1, 2, 2, {N, 1, 2, N}},
    {" , 1\n2,\t \n", 1, 2, 2, {N, 1, 2, N}},
    {" 1 ,\t2\t, 3\n", 0, 1, 3, {1, 2, 3}},
    {"nan,NaN,-inf,Infinity,+inf\n", 0, 1, 5, {N, N, -I, I, I}},
    {"1e3,-1.5E-2,.5,5.,+7\n", 0, 1, 5, {1000, -0.015f, 0.5f, 5, 7}},
    {"1e39,-1e400,1e-60\n", 0, 1, 3, {I, -I, 0}},
    {"\"1\",\"2\"\n3,\"4\"\r\n", 0, 2, 2, {1, 2, 3, 4}},
    {"\"\",\" \",\" 5 \"\n", 0, 1, 3, {N, N, 5}},
    {" \"1\" , \"2\"\t\n", 0, 1, 2, {1, 2}},
    {"\"\"\n1\n", 0, 2, 1, {N, 1}},
    {"\"1\"", 0, 1, 1, {1}},
    {"1,2,3,4,5,6,7,8,9,10,11,12\n", 3, 1, 12, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    {"1,0000000000000000000000000000000000000000000000000000000000000000000000000000000002\n3,4\n",
     1,
     2,
     2,
     {1, 2, 3, 4}},
    /* dmlc-core test/unittest_parser.cc, CSV: plain, no end of line, BOM, delimiter, excess digits
     */
    {"0,1,2,3\n4,5,6,7\n8,9,10,11\n", 0, 3, 4, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
    {"0,1,2,3\r\n\r\n4,5,6,7\r\n\r\n8,9,10,11\r\n",
     0,
     3,
     4,
     {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
    {"0,1,2,3\n4,5,6,7\n8,9,10,11", 0, 3, 4, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
    {"0,,,3\n4,5,6,7\n8,9,10,", 0, 3, 4, {0, N, N, 3, 4, 5, 6, 7, 8, 9, 10, N}},
    {"0.12345678901234567890,1.5\n0.00000000000000000000000000000000000001,2\n",
     0,
     2,
     2,
     {0.12345678901234567890f, 1.5f, 1e-38f, 2}},
};

static bool same_float(float a, float b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void test_csv_good_objects_give_their_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
        const struct good_case *c = &good_cases[i];
        struct drive_result reference;
        struct drive_result r;
        size_t len = strlen(c->text);
        csv_reference((const uint8_t *)c->text, len, c->label_size, &reference);
        run(c->text, len, c->label_size, 1000, step_all, NULL, &r);
        if (r.failed || r.rows != c->rows || (c->rows > 0 && drive_columns(&r) != c->columns))
            fail_msg("'%s': %zu rows of %zu%s%s", c->text, r.rows, drive_columns(&r),
                     r.failed ? ", error: " : "", r.text);
        for (size_t k = 0; k < r.rows * c->columns; k++)
            if (!same_float(value_at(&r, k), c->values[k]))
                fail_msg("'%s': value %zu is %g, not %g", c->text, k, (double)value_at(&r, k),
                         (double)c->values[k]);
        expect_same("reference", c->text, 0, &reference, &r);
        check_every_split(c->text, len, c->label_size, &r);
        drive_result_free(&reference);
        drive_result_free(&r);
    }
}

struct bad_case {
    const char *text;
    uint32_t label_size;
    uint32_t rows; /* before the error */
    const char *message;
};

static const struct bad_case bad_cases[] = {
    {"1,2,3\n1,2,3,4,5\n", 1, 1, "row has 5 fields, the channel has 3"},
    {"1,2,3\n4,5,6\n\n1,2\n", 1, 2, "row has 2 fields, the channel has 3"},
    {"1,2,3\n1,2,3,\n", 1, 1, "row has 4 fields, the channel has 3"},
    {"1\n2,3\n", 0, 1, "row has 2 fields, the channel has 1"},
    {"1,2,3\n1,\"2,3\"\n", 1, 1, "field 2 is '2,3', not a number"},
    {"1,2,3\n4,5,abc\n", 1, 1, "field 3 is 'abc', not a number"},
    {"1,2,3\n4,\" abc\t\",6\n", 1, 1, "field 2 is 'abc', not a number"},
    {"y,x1,x2\n1,2,3\n", 1, 0,
     "field 1 is 'y', not a number: if that is a header, say header=present"},
    {"\"y\",\"x1\"\n1,2\n", 1, 0,
     "field 1 is 'y', not a number: if that is a header, say header=present"},
    {"1,a\x01\xc3\xa4\n", 1, 0, "field 2 is 'a\\x01\\xc3\\xa4', not a number"},
    {"1,0x10\n", 1, 0, "field 2 is '0x10', not a number"},
    {"1,1 2\n", 1, 0, "field 2 is '1 2', not a number"},
    {"1,1e\n", 1, 0, "field 2 is '1e', not a number"},
    {"1,-\n", 1, 0, "field 2 is '-', not a number"},
    {"1,nan(7)\n", 1, 0, "field 2 is 'nan(7)', not a number"},
    {"1,12\" x\n", 1, 0, "field 2 is '12\" x', not a number"},
    {"1,\"2\"3\n", 1, 0, "field 2 is '\"2\"3', not a number"},
    {"1,\"2\"\"3\"\n", 1, 0, "field 2 is '2\"\"3', not a number"},
    {"1,\"2\n3\"\n4,5\n", 1, 0, "field 2 is '2\\x0a3', not a number"},
    {"1,\"\n\"\n4,5\n", 1, 0, "field 2 is '\\x0a', not a number"},
    {"1,2\n3,\"4\n5,6\n", 1, 1, "truncated: a quoted field is still open at the end of the object"},
    {"\"", 0, 0, "truncated: a quoted field is still open at the end of the object"},
    {"1,\"2\"\"", 0, 0, "truncated: a quoted field is still open at the end of the object"},
    {"1,2\n\xef\xbb\xbf"
     "3,4\n",
     1, 1, "field 1 is '\\xef\\xbb\\xbf3', not a number: if that is a header, say header=present"},
    {"\xef\xbb", 0, 0,
     "field 1 is '\\xef\\xbb', not a number: if that is a header, say header=present"},
    {"1,2,3\n", 3, 0, "label_size=3 leaves no feature: the row has 3 columns"},
    {"1\n", 1, 0, "label_size=1 leaves no feature: the row has 1 column"},
    {"1;2;3\n", 0, 0, "field 1 is '1;2;3', not a number: if that is a header, say header=present"},
    {"1,abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n", 1, 0,
     "field 2 is 'abcdefghijklmnopqrstuvwxyzabcdefghijklmn...', not a number"},
};

static void test_csv_bad_objects_say_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct drive_result r;
        size_t len = strlen(c->text);
        run(c->text, len, c->label_size, 1000, step_all, NULL, &r);
        if (!r.failed || r.rows != c->rows || strcmp(r.text, c->message) != 0)
            fail_msg("'%s': %zu rows, %s '%s'", c->text, r.rows, r.failed ? "error" : "no error",
                     r.text);
        check_every_split(c->text, len, c->label_size, &r);
        drive_result_free(&r);
    }
}

static void test_csv_error_offset_is_the_rows_first_byte(void **state)
{
    static const char text[] = "1,2\r\n\n3,4\n \n5,x\n7,8\n";
    struct fmt_csv_options own = {.label_size = 1};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_shape shape;
    struct fmt_error error = {0};
    const uint8_t *in = (const uint8_t *)text;
    float features[4];
    float labels[4];
    (void)state;
    assert_int_equal(fmt_csv.learn(&options, in, sizeof(text) - 1, &shape, &error), FMT_OK);
    struct fmt_decoder *decoder = fmt_csv.decoder_new(&options, &shape);
    assert_non_null(decoder);
    struct fmt_span span = {.in = in, .len = sizeof(text) - 1, .rows = 4};
    struct fmt_rows out = {.features = features, .labels = labels};
    assert_int_equal(fmt_csv.decode(decoder, &span, &out, &error), FMT_E_FORMAT);
    assert_int_equal(error.row, 2);
    assert_int_equal(error.offset_bytes, 12);
    assert_string_equal(error.text, "field 2 is 'x', not a number");
    assert_true(labels[0] == 1 && labels[1] == 3 && features[0] == 2 && features[1] == 4);
    fmt_csv.decoder_free(decoder);
}

/* The pipe may show a CR as the last byte that has arrived: its LF belongs to the same row. */
static void test_csv_cut_waits_for_the_byte_after_cr(void **state)
{
    struct fmt_csv_options own = {.label_size = 0};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_cut cut = {0};
    const uint8_t *in = (const uint8_t *)"1,2\r\n3";
    (void)state;
    assert_int_equal(fmt_csv.cut(&options, in, 4, true, false, 10, &cut, NULL), FMT_MORE);
    assert_int_equal(fmt_csv.cut(&options, in, 5, true, false, 10, &cut, NULL), FMT_OK);
    assert_int_equal(cut.len_bytes, 5);
    assert_int_equal(cut.rows, 1);
    memset(&cut, 0, sizeof(cut));
    assert_int_equal(fmt_csv.cut(&options, in, 4, true, true, 10, &cut, NULL), FMT_OK);
    assert_int_equal(cut.len_bytes, 4);
    assert_int_equal(cut.rows, 1);
}

static void test_csv_cut_stops_at_rows_max(void **state)
{
    struct fmt_csv_options own = {.label_size = 0};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_cut cut = {0};
    const uint8_t *in = (const uint8_t *)"1\r\n\r\n2\r\n3\r\n";
    (void)state;
    assert_int_equal(fmt_csv.cut(&options, in, 11, true, true, 2, &cut, NULL), FMT_OK);
    assert_int_equal(cut.len_bytes, 8);
    assert_int_equal(cut.rows, 2);
}

/* A record that trickles in is searched once: each call goes on where the last one stopped. */
static void test_csv_cut_resumes_where_it_stopped(void **state)
{
    static const char row[] = "1,\"2\n3\" , 4";
    struct fmt_csv_options own = {.label_size = 0};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_cut cut = {0};
    (void)state;
    for (size_t len = 1; len < sizeof(row); len++) {
        assert_int_equal(
            fmt_csv.cut(&options, (const uint8_t *)row, len, true, false, 10, &cut, NULL),
            FMT_MORE);
        assert_int_equal(cut.scanned_bytes, len);
    }
}

static void test_csv_truncated_anywhere_equals_the_reference(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "12,-3.25,\"4\",0.123456\r\n"
                               "\"1\n\", ,1e5,255\n \n"
                               "0.12345678901234567,7,8,9\r\r\n"
                               "\"1\"\"\",2,3,4\n";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct drive_result reference;
        struct drive_result r;
        csv_reference((const uint8_t *)text, len, 0, &reference);
        for (uint32_t k = 0; k < 4; k++) {
            run(text, len, 0, 1 + k, k % 2 == 0 ? step_all : step_one, NULL, &r);
            expect_same("truncated", text, len, &r, &reference);
            drive_result_free(&r);
        }
        drive_result_free(&reference);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_good_objects_give_their_rows),
        cmocka_unit_test(test_csv_bad_objects_say_what_and_where),
        cmocka_unit_test(test_csv_error_offset_is_the_rows_first_byte),
        cmocka_unit_test(test_csv_cut_waits_for_the_byte_after_cr),
        cmocka_unit_test(test_csv_cut_stops_at_rows_max),
        cmocka_unit_test(test_csv_cut_resumes_where_it_stopped),
        cmocka_unit_test(test_csv_truncated_anywhere_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
