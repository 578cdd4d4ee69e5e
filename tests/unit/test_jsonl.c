/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_jsonl.c - JSON Lines: names, shapes, tensors, texts, what is missing, what is
 * bad; every split and every truncation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/jsonl_fixture.h"

#define N NAN
#define I HUGE_VALF

struct good_case {
    const char *parameters;
    const char *text;
    uint32_t rows;
    uint32_t feature_dim;
    uint32_t label_dim;
    float values[12]; /* by row: features, labels */
};

static const struct good_case good_cases[] = {
    /* SageMaker's own shapes */
    {"", "{\"features\": [1.5, 16.0, 14.0, 23.0]}\n", 1, 4, 0, {1.5f, 16, 14, 23}},
    {"",
     "{\"features\":[1,2],\"label\":0}\n{\"features\":[3,4],\"label\":1}",
     2,
     2,
     1,
     {1, 2, 0, 3, 4, 1}},
    {"", "{\"data\": {\"features\": {\"values\": [1.5, 16.0]}}}\n", 1, 2, 0, {1.5f, 16}},
    {"",
     "{\"features\": [1.5, 16.0]}\n{\"data\": {\"features\": {\"values\": [3, 4]}}}\n",
     2,
     2,
     0,
     {1.5f, 16, 3, 4}},
    {"",
     "{\"features\":[1],\"data\":{\"features\":[2]}}\n{\"features\":[3],\"data\":{\"features\":[4]}"
     "}",
     2,
     1,
     0,
     {1, 3}},
    {"", "{\"features\": {\"values\": [7, 8], \"keys\": [], \"shape\": [2]}}\n", 1, 2, 0, {7, 8}},
    {"", "{\"features\": 7, \"label\": [1, 2]}\n", 1, 1, 2, {7, 1, 2}},
    {"", "[1, 2, 3]\n[4, 5, 6]\r\n", 2, 3, 0, {1, 2, 3, 4, 5, 6}},
    {"", "[[1, 2], [3, 4]]\n", 1, 4, 0, {1, 2, 3, 4}},
    /* names */
    {"features=a,b;label=y",
     "{\"a\":1,\"b\":2,\"y\":3}\n{\"y\":6,\"b\":5,\"a\":4}\n",
     2,
     2,
     1,
     {1, 2, 3, 4, 5, 6}},
    {"features=b,a", "{\"a\":1,\"b\":[2,3]}\n", 1, 3, 0, {2, 3, 1}},
    {"features=a;features=b", "{\"b\":2,\"a\":1}\n", 1, 2, 0, {1, 2}},
    {"features=a.b,a.c;label=d",
     "{\"a\":{\"b\":1,\"x\":{\"b\":9},\"c\":2},\"d\":3,\"b\":8}\n",
     1,
     2,
     1,
     {1, 2, 3}},
    {"features=/a.b,/c~1d/e~0",
     "{\"a.b\":1,\"c/d\":{\"e~\":2},\"a\":{\"b\":3}}\n",
     1,
     2,
     0,
     {1, 2}},
    {"features=x.0,x.2", "{\"x\":[5,6,7]}\n", 1, 2, 0, {5, 7}},
    {"features=1,2;label=0", "[9,1,2]\n[8,3,4]\n", 2, 2, 1, {1, 2, 9, 3, 4, 8}},
    {"features=a", "{\"\\u0061\":1}\n{\"a\":2}\n", 2, 1, 0, {1, 2}},
    {"features=\"\xc3\xa4\"", "{\"\xc3\xa4\":1}\n{\"\\u00e4\":2}\n", 2, 1, 0, {1, 2}},
    {"label=;features=a", "{\"a\":1,\"label\":2}\n", 1, 1, 0, {1}},
    {"features=label", "{\"label\":2}\n", 1, 1, 0, {2}},
    {"label=features.y;features=features.x", "{\"features\":{\"x\":1,\"y\":2}}\n", 1, 1, 1, {1, 2}},
    /* the first record has no label: the channel has none */
    {"", "{\"features\":[1]}\n{\"features\":[2],\"label\":7}\n", 2, 1, 0, {1, 2}},
    /* the same name again: the last counts */
    {"features=a", "{\"a\":1,\"a\":2}\n{\"a\":3,\"a\":4}\n", 2, 1, 0, {2, 4}},
    {"features=a.b;missing=nan",
     "{\"a\":{\"b\":1},\"a\":{}}\n{\"a\":{},\"a\":{\"b\":2}}\n",
     2,
     1,
     0,
     {N, 2}},
    {"features=a.b;missing=nan",
     "{\"a\":{\"b\":1},\"a\":5}\n{\"a\":{\"b\":1},\"a\":{\"b\":7}}\n",
     2,
     1,
     0,
     {N, 7}},
    /* what is passed over, of any kind, and in the next line of another */
    {"features=a",
     "{\"x\":1,\"a\":1}\n{\"x\":\"s\",\"a\":2}\n{\"x\":{\"a\":[1]},\"a\":3}\n"
     "{\"x\":[1,[2,{}]],\"a\":4}\n{\"x\":null,\"a\":5}\n",
     5,
     1,
     0,
     {1, 2, 3, 4, 5}},
    {"features=a.b,c;missing=nan",
     "{\"a\":5,\"c\":1}\n{\"a\":{\"b\":2},\"c\":3}\n"
     "{\"a\":\"x\",\"c\":4}\n",
     3,
     2,
     0,
     {N, 1, 2, 3, N, 4}},
    /* numbers */
    {"",
     "[0, -0, 0.5, -1.25e2, 1E+3, 12345678, 0.1, 16777217, 1e39, -1e400, 1e-60]\n",
     1,
     11,
     0,
     {0, -0.0f, 0.5f, -125, 1000, 12345678, 0.1f, 16777216, I, -I, 0}},
    {"", "[true, false, NaN, Infinity, -Infinity, \"NaN\"]\n", 1, 6, 0, {1, 0, N, I, -I, N}},
    {"features=a,b", "{\"a\":true,\"b\":1}\n{\"a\":2,\"b\":false}\n", 2, 2, 0, {1, 1, 2, 0}},
    {"",
     "[123456789012345678901234567890, 0.00000000000000000000000000000000000001]\n",
     1,
     2,
     0,
     {123456789012345678901234567890.0f, 1e-38f}},
    /* missing */
    {"missing=nan", "[1, null]\n[null, 2]\n", 2, 2, 0, {1, N, N, 2}},
    {"features=a,b;missing=nan",
     "{\"a\":1,\"b\":2}\n{\"b\":3}\n{}\n{\"a\":null,\"b\":4}\n",
     4,
     2,
     0,
     {1, 2, N, 3, N, N, N, 4}},
    {"features=a,b;missing=nan", "{}\n{\"a\":1}\n", 2, 2, 0, {N, N, 1, N}},
    {"missing=nan",
     "{\"features\":[1,2]}\n{\"features\":null}\n{\"x\":1}\n{\"x\":2}\n",
     4,
     2,
     0,
     {1, 2, N, N, N, N, N, N}},
    /* lines */
    {"", "\xef\xbb\xbf[1]\n\r\n \t \n[2]\r\n\n[3]", 3, 1, 0, {1, 2, 3}},
    {"", "\n\n", 0, 0, 0, {0}},
    {"", "\xef\xbb\xbf", 0, 0, 0, {0}},
    {"", " \t[1 , 2]\t \r\n  [ 3,4 ]  \n[5,  6]\n[7,8]\n", 4, 2, 0, {1, 2, 3, 4, 5, 6, 7, 8}},
    {"features=a", "{ \"a\" : 1 }\n{ \"a\" : 2 }\n{\"a\":3}\n{\"a\":4}\n", 4, 1, 0, {1, 2, 3, 4}},
};

static bool same_float(float a, float b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void test_jsonl_good_objects_give_their_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
        const struct good_case *c = &good_cases[i];
        struct drive_result r;
        size_t len = strlen(c->text);
        run(c->text, len, c->parameters, true, 1000, step_all, NULL, &r);
        if (r.failed || r.rows != c->rows || r.shape.feature_dim != c->feature_dim ||
            r.shape.label_dim != c->label_dim)
            fail_msg("%s '%s': %zu rows of %u and %u%s%s", c->parameters, c->text, r.rows,
                     r.shape.feature_dim, r.shape.label_dim, r.failed ? ", error: " : "", r.text);
        for (size_t k = 0; k < r.rows * drive_columns(&r); k++)
            if (!same_float(r.values[k], c->values[k]))
                fail_msg("'%s': value %zu is %g, not %g", c->text, k, (double)r.values[k],
                         (double)c->values[k]);
        check_every_split(c->text, len, c->parameters, &r);
        drive_result_free(&r);
    }
}

struct bad_case {
    const char *parameters;
    const char *text;
    uint32_t rows; /* before the error */
    const char *message;
};

static const struct bad_case bad_cases[] = {
    {"", "[1]\n[1,2]\n", 1, "features: 2 numbers, the channel has 1"},
    {"", "[1,2]\n[1]\n", 1, "features: 1 numbers, the channel has 2"},
    {"", "[1,2]\n[[1],[2,3]]\n", 1, "features: arrays of 1 and of 2 stand side by side"},
    {"", "[1,2]\n[1,[2]]\n", 1, "features: numbers and arrays stand side by side"},
    {"", "[1,2]\n[[1],2]\n", 1, "features: numbers and arrays stand side by side"},
    {"", "[1]\n[\"1\"]\n", 1, "features: a string stands where a number should be"},
    {"", "[1]\n[{}]\n", 1, "features: an object stands where a number should be"},
    {"", "[1]\n[null]\n", 1, "features: a number is null; missing=nan reads it as NaN"},
    {"", "[1]\n{\"features\":null}\n", 1,
     "features: a number is null; missing=nan reads it as NaN"},
    {"", "[1]\n{}\n", 1, "the line has no features; missing=nan lets it"},
    {"", "[]\n", 0, "features: the array is empty"},
    {"", "[[[[[[[[[1]]]]]]]]]\n", 0, "features: arrays are more than 8 deep"},
    {"", "{\"x\":1}\n", 0,
     "the line has no \"features\": name the members that are, as in "
     "\"application/jsonlines;features=NAME,NAME;label=NAME\""},
    {"features=a", "{\"b\":1}\n", 0, "the line has no a"},
    {"features=a;weight=w", "{\"a\":1,\"w\":[1,2]}\n", 0, "w: a weight is one number, not 2"},
    {"features=a", "{\"a\":{\"b\":1}}\n", 0, "a: an object without \"values\" is no numbers"},
    {"", "7\n", 0, "byte 0 of the line: a line is an object or an array"},
    {"", "[1]\n \"x\"\n", 1, "byte 1 of the line: a line is an object or an array"},
    {"", "[1]\n[1\n]\n", 1, "byte 2 of the line: it ends where ',' or ']' should be"},
    {"", "[1]\n[1] 2\n", 1, "byte 4 of the line: '2' stands where the end should be"},
    {"", "[1]\n[1][2]\n", 1, "byte 3 of the line: '[' stands where the end should be"},
    {"", "[1]\n[01]\n", 1, "byte 2 of the line: '1' stands where ',' or ']' should be"},
    {"", "[1]\n[+1]\n", 1, "byte 1 of the line: '+' stands where a value should be"},
    {"", "[1]\n[1,]\n", 1, "byte 3 of the line: ']' stands where a value should be"},
    {"", "[1]\n[1.]\n", 1, "byte 3 of the line: ']' stands where a digit should be"},
    {"", "[1]\n[nan]\n", 1, "byte 1 of the line: 'n' stands where a value should be"},
    {"", "[1]\n[1e]\n", 1, "byte 3 of the line: ']' stands where a digit should be"},
    {"", "{\"x\":\"a\",\"features\":1}\n{\"x\":\"\t\",\"features\":1}\n", 1,
     "byte 6 of the line: a string holds the control character 0x09, which JSON writes as an "
     "escape"},
    {"", "{\"x\":\"a\",\"features\":1}\n{\"x\":\"\xff\",\"features\":1}\n", 1,
     "byte 6 of the line: a string holds bytes that are no UTF-8"},
    {"", "{\"x\":\"a\",\"features\":1}\n{\"x\":\"\\ud800\",\"features\":1}\n", 1,
     "byte 6 of the line: a string holds an escape that is none of JSON's, or half of a pair"},
    {"", "{\"features\":1}\n{\"features\":1\n", 1,
     "byte 13 of the line: it ends where ',' or '}' should be"},
    {"", "[1]\n\xef\xbb\xbf[1]\n", 1, "byte 0 of the line: a line is an object or an array"},
    {"", "\xef\xbb", 0, "byte 0 of the line: a line is an object or an array"},
    /* a value that goes on in the next line is no line */
    {"", "{\"x\":[1],\"features\":1}\n{\"x\":[1,\n1],\"features\":1}\n", 1,
     "byte 8 of the line: it ends where a value should be"},
    {"", "[1,2]\n[1,\n2]\n", 1, "byte 3 of the line: it ends where a value should be"},
    {"", "{\"features\": {\"values\": [7], \"shape\": [2]}}\n", 0,
     "features: 1 values for a shape of 2"},
    {"", "[1]\n{\"features\": {\"values\": [7], \"keys\": [0]}}\n", 1,
     "features: a sparse row among dense ones"},
    /* sparse */
    {"", "{\"features\": {\"values\": [7], \"keys\": [2], \"shape\": [2]}}\n", 0,
     "features: key 0 is not from 0 to 1"},
    {"", "{\"features\": {\"values\": [7], \"keys\": [1.0], \"shape\": [2]}}\n", 0,
     "features: key 0 is not from 0 to 1"},
    {"", "{\"features\": {\"values\": [7], \"keys\": [0,1], \"shape\": [2]}}\n", 0,
     "features: 2 keys for 1 values"},
    {"", "{\"features\": {\"values\": [7], \"keys\": [0], \"shape\": [2]}}\n[7]\n", 1,
     "features: a dense row among sparse ones"},
    {"",
     "{\"features\": {\"values\": [7], \"keys\": [0], \"shape\": [2]}}\n"
     "{\"features\": {\"values\": [7], \"keys\": [0], \"shape\": [3]}}\n",
     1, "features: the shape is 3, the channel's 2"},
    {"", "{\"features\": {\"values\": [7], \"keys\": [0], \"shape\": [0]}}\n", 0,
     "features: the shape is none"},
    {"features=a,b", "{\"a\": {\"values\": [7], \"keys\": [0], \"shape\": [2]}, \"b\": 1}\n", 0,
     "sparse features go by one name, not by 2"},
    /* texts */
    {"text=t", "{\"t\":\"a\"}\n{}\n", 1, "the line has no t; missing=nan lets it"},
    {"text=t", "{\"t\":\"a\"}\n{\"t\":null}\n", 1, "the line has no t; missing=nan lets it"},
};

static void test_jsonl_bad_objects_say_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct drive_result r;
        size_t len = strlen(c->text);
        run(c->text, len, c->parameters, false, 1000, step_all, NULL, &r);
        if (!r.failed || r.rows != c->rows || strcmp(r.text, c->message) != 0)
            fail_msg("%s '%s': %zu rows, %s '%s'", c->parameters, c->text, r.rows,
                     r.failed ? "error" : "no error", r.text);
        check_every_split(c->text, len, c->parameters, &r);
        drive_result_free(&r);
    }
}

static void test_jsonl_depth_is_limited(void **state)
{
    char text[2100] = "{\"features\":1,\"x\":";
    size_t at = strlen(text);
    (void)state;
    for (unsigned depth = 999; depth <= 1000; depth++) {
        struct drive_result r;
        memset(text + at, '[', depth);
        memset(text + at + depth, ']', depth);
        text[at + 2 * depth] = '}';
        run(text, at + 2 * depth + 1, "", true, 10, step_all, NULL, &r);
        assert_int_equal(r.failed, depth + 1 > FMT_JSON_DEPTH_MAX + 1);
        drive_result_free(&r);
    }
}

static void expect_refused(const char *type, const char *message)
{
    struct fmt_options options;
    struct fmt_error error = {.text = ""};
    assert_int_equal(fmt_options_parse(type, &options, &error), FMT_E_ARGUMENT);
    assert_string_equal(error.text, message);
}

static void test_jsonl_parameters_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    expect_refused("application/jsonlines;features=a,,b",
                   "content type: features has an empty name");
    expect_refused("application/x-ndjson;features=a,a",
                   "content type: 'a' is named twice, or lies in another that is named");
    expect_refused("jsonlines;features=a;label=a.b",
                   "content type: 'a.b' is named twice, or lies in another that is named");
    expect_refused("jsonlines;features=a.b;label=a",
                   "content type: 'a' is named twice, or lies in another that is named");
    expect_refused("jsonlines;weight=a,b", "content type: weight is one name, not 'a,b'");
    expect_refused("jsonlines;missing=0", "content type: missing must be error or nan, not '0'");
    expect_refused("jsonlines;label_size=1",
                   "content type: jsonlines has no parameter label_size: it has features, label, "
                   "weight, text, missing");
}

/* What a row has beside its numbers, as tests/drive.h keeps it. */
static void expect_more(const char *parameters, const char *text, const void *more, size_t len)
{
    struct drive_result r;
    run(text, strlen(text), parameters, true, 1000, step_all, NULL, &r);
    if (r.failed || r.more_len != len || memcmp(r.more, more, len) != 0)
        fail_msg("'%s': %zu bytes, not %zu%s%s", text, r.more_len, len, r.failed ? ", error: " : "",
                 r.text);
    check_every_split(text, strlen(text), parameters, &r);
    drive_result_free(&r);
}

static void test_jsonl_texts_are_passed_through_unescaped(void **state)
{
    static const char more[] = "\x04\0\0\0a\"\n\0"
                               "\x02\0\0\0\xc3\xa4"
                               "\x06\0\0\0[1, 2]"
                               "\x04\0\0\0\xf0\x9d\x84\x9e"
                               "\0\0\0\0"
                               "\x04\0\0\0true";
    (void)state;
    expect_more(
        "text=source;text=x.y,label",
        "{\"source\": \"a\\\"\\n\\u0000\", \"x\": {\"y\": \"\xc3\xa4\"}, \"label\": [1, 2]}\n"
        "{\"label\": true, \"source\": \"\\ud834\\udd1e\", \"x\": {\"y\": \"\"}}\n",
        more, sizeof(more) - 1);
    expect_more("text=a,b;missing=nan", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n{\"b\":null,\"a\":\"z\"}\n",
                "\1\0\0\0x\0\0\0\0\1\0\0\0y\0\0\0\0\1\0\0\0z\0\0\0\0", 27);
}

static void test_jsonl_weights_are_one_where_they_are_missing(void **state)
{
    static const float weights[] = {0.5f, 1, 2, 3, 1};
    (void)state;
    expect_more("features=a;weight=w;missing=nan",
                "{\"a\":1,\"w\":0.5}\n{\"a\":1}\n{\"a\":1,\"w\":[2]}\n"
                "{\"a\":1,\"w\":3}\n{\"a\":1,\"w\":null}\n",
                weights, sizeof(weights));
}

static void test_jsonl_sparse_rows_become_entries(void **state)
{
    static const uint32_t more[] = {2, 0, 4, 0x3fc00000, 0x40200000, 0,         1, 3, 0x3f800000,
                                    0, 2, 3, 0,          0x3f800000, 0x40000000};
    static const char text[] =
        "{\"data\": {\"features\": {\"keys\": [0, 4], \"values\": [1.5, 2.5], \"shape\": [5]}}}\n"
        "{\"data\": {\"features\": {\"keys\": [], \"values\": [], \"shape\": [5]}}}\n"
        "{\"data\": {\"features\": {\"keys\": [3], \"values\": [1], \"shape\": [5]}}}\n"
        "{\"data\": {\"features\": {\"shape\": [1, 5]}}}\n"
        "{\"features\": {\"values\": [1, 2], \"shape\": [5], \"keys\": [3, 0]}}\n";
    struct drive_result r;
    (void)state;
    expect_more("", text, more, sizeof(more));
    run(text, sizeof(text) - 1, "", false, 1000, step_all, NULL, &r);
    assert_true(r.shape.sparse);
    assert_int_equal(r.shape.feature_dim, 5);
    assert_int_equal(r.rows, 5);
    drive_result_free(&r);
}

/* What a bad row had already given is taken back. */
static void test_jsonl_bad_rows_leave_no_entries_and_no_texts(void **state)
{
    static const char *const bad[] = {
        "{\"features\": {\"values\": [1, 2], \"keys\": [1], \"shape\": [5]}, \"t\": \"abc\"}\n",
        "{\"features\": {\"values\": [1, 2], \"keys\": [1, 2], \"shape\": [5]}, \"t\": null}\n",
        "{\"features\": {\"values\": [1, 2], \"keys\": [1, 2], \"shape\": [5]}, \"t\": \"abc\"\n",
    };
    static const char good[] =
        "{\"features\": {\"values\": [1, 2], \"keys\": [1, 4], \"shape\": [5]}, \"t\": \"abc\"}\n";
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fmt_options options = jsonl_options("text=t");
        char text[1024];
        int len = snprintf(text, sizeof(text), "%s%s%s", good, good, bad[i]);
        struct fmt_span span = {.in = (const uint8_t *)text, .len = (size_t)len, .rows = 3};
        struct fmt_error error = {.text = ""};
        struct fmt_shape shape;
        struct fmt_rows rows;
        assert_int_equal(fmt_jsonl.learn(&options, span.in, span.len, &shape, &error), FMT_OK);
        struct fmt_decoder *decoder = fmt_jsonl.decoder_new(&options, &shape);
        drive_rows_open(&rows, &shape, 3);
        assert_int_equal(fmt_jsonl.decode(decoder, &span, &rows, &error), FMT_E_FORMAT);
        assert_int_equal(error.row, 2);
        assert_int_equal(error.offset_bytes, 2 * strlen(good));
        assert_int_equal(rows.entries.count, 4);
        assert_int_equal(rows.texts.count, 6);
        drive_rows_close(&rows);
        fmt_jsonl.decoder_free(decoder);
        fmt_options_free(&options);
    }
}

static void test_jsonl_truncated_anywhere_equals_the_reference(void **state)
{
    static const char text[] =
        "\xef\xbb\xbf{\"a\": [1, 2.5], \"t\": \"x\\u00e4\xc3\xa4\", \"u\": {\"y\": -1e3}}\r\n"
        "{\"a\": [0.125, 23456789], \"t\": \"\", \"u\": {\"y\": 0}}\n \n"
        "{\"t\": \"\\\"\", \"a\": [1, 2], \"u\": {\"x\": [null], \"y\": 1}}\n"
        "{\"t\": \"z\", \"a\": [NaN, 2], \"u\": {\"x\": [null], \"y\": 1}}";
    struct jsonl_ref ref = {.features = {"a", "u.y"}, .texts = {"t"}};
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct drive_result expected;
        struct drive_result r;
        jsonl_reference((const uint8_t *)text, len, &ref, &expected);
        for (uint32_t k = 0; k < 4; k++) {
            run(text, len, "features=a,u.y;text=t", k < 2, 1 + k, k % 2 == 0 ? step_all : step_one,
                NULL, &r);
            expect_same("truncated", text, len, &r, &expected);
            drive_result_free(&r);
        }
        drive_result_free(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_good_objects_give_their_rows),
        cmocka_unit_test(test_jsonl_bad_objects_say_what_and_where),
        cmocka_unit_test(test_jsonl_depth_is_limited),
        cmocka_unit_test(test_jsonl_parameters_that_make_no_sense_are_refused),
        cmocka_unit_test(test_jsonl_texts_are_passed_through_unescaped),
        cmocka_unit_test(test_jsonl_weights_are_one_where_they_are_missing),
        cmocka_unit_test(test_jsonl_sparse_rows_become_entries),
        cmocka_unit_test(test_jsonl_bad_rows_leave_no_entries_and_no_texts),
        cmocka_unit_test(test_jsonl_truncated_anywhere_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
