/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_json.c - formats/json.c: extents of values, escapes, and what is refused where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/json.h"

/* Reads all of `text` as one object; counts its members, and keeps the last value. */
static enum fmt_rc read_object(const char *text, size_t len, size_t *count,
                               struct fmt_json_value *last, struct fmt_error *error)
{
    /* Exactly as much memory as there is text: a sanitizer sees a step too far. */
    uint8_t *copy = malloc(len ? len : 1);
    struct fmt_json_value name, value;
    struct fmt_json json;

    memcpy(copy, text, len);
    *count = 0;
    fmt_json_begin(&json, copy, len);
    enum fmt_rc rc = fmt_json_enter(&json, '{', error);

    while (rc == FMT_OK) {
        rc = fmt_json_next(&json, &name, &value, error);
        if (rc != FMT_OK || value.kind == FMT_JSON_NONE)
            break;
        ++*count;
        *last = value;
        last->bytes = (const uint8_t *)text + (value.bytes - copy);
    }
    if (rc == FMT_OK)
        rc = fmt_json_end(&json, error);
    free(copy);
    return rc;
}

static void test_values_are_where_they_are(void **state)
{
    static const struct {
        const char *text;
        enum fmt_json_kind kind;
        const char *bytes;
    } cases[] = {
        {"{\"a\":1}", FMT_JSON_NUMBER, "1"},
        {" { \"a\" : -0.50e+3 } ", FMT_JSON_NUMBER, "-0.50e+3"},
        {"{\"a\":0}", FMT_JSON_NUMBER, "0"},
        {"{\"a\":1E5,\"b\":10}", FMT_JSON_NUMBER, "10"},
        {"{\"a\":null}", FMT_JSON_NULL, "null"},
        {"{\"a\":true}", FMT_JSON_TRUE, "true"},
        {"{\"a\":false\r\n}", FMT_JSON_FALSE, "false"},
        {"{\"a\":\"\"}", FMT_JSON_STRING, ""},
        {"{\"a\":\"b}\\\"c\"}", FMT_JSON_STRING, "b}\\\"c"},
        {"{\"a\": [ ] }", FMT_JSON_ARRAY, "[ ]"},
        {"{\"a\":{}}", FMT_JSON_OBJECT, "{}"},
        {"{\"a\": [ {\"b\":[1,\"]\"]} , null ] }", FMT_JSON_ARRAY, "[ {\"b\":[1,\"]\"]} , null ]"},
        {"{\"a\": {\"b\" : {\"c\":[[],[[]]]}} }", FMT_JSON_OBJECT, "{\"b\" : {\"c\":[[],[[]]]}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fmt_json_value value;
        struct fmt_error error;
        size_t count;

        assert_int_equal(read_object(cases[i].text, strlen(cases[i].text), &count, &value, &error),
                         FMT_OK);
        assert_int_equal(value.kind, cases[i].kind);
        assert_int_equal(value.len_bytes, strlen(cases[i].bytes));
        assert_memory_equal(value.bytes, cases[i].bytes, value.len_bytes);
        assert_int_equal(count, strchr(cases[i].text, 'E') ? 2 : 1);
    }
}

static void test_text_of_strings(void **state)
{
    static const struct {
        const char *raw, *text;
        size_t len;
    } cases[] = {
        {"abc", "abc", 3},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
        {"\\u0041\\u00e9\\u2026", "A\xc3\xa9\xe2\x80\xa6", 6},
        {"\\uD83D\\ude00x", "\xf0\x9f\x98\x80x", 5},
        {"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf", 4},
        {"a\\u0000b", "a\0b", 3},
        {"\xc3\xa9\\n", "\xc3\xa9\n", 3},
        {"\x7f", "\x7f", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fmt_json_value value;
        struct fmt_error error;
        char json[80] = "{\"k\":\"", other[8];
        uint8_t *out;
        size_t count;

        strncat(json, cases[i].raw, 60);
        strncat(json, "\"}", 3);
        assert_int_equal(read_object(json, strlen(json), &count, &value, &error), FMT_OK);
        out = malloc(value.len_bytes);
        assert_int_equal(fmt_json_unescape(&value, out), cases[i].len);
        assert_memory_equal(out, cases[i].text, cases[i].len);
        free(out);
        assert_true(fmt_json_is(&value, cases[i].text, cases[i].len));
        assert_false(fmt_json_is(&value, cases[i].text, cases[i].len - 1));
        memcpy(other, cases[i].text, cases[i].len);
        other[cases[i].len - 1] ^= 1;
        assert_false(fmt_json_is(&value, other, cases[i].len));
    }
}

static void test_what_is_refused_and_where(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *words;
    } cases[] = {
        {"", 0, "it ends where '{' should be"},
        {"[]", 0, "'[' stands where '{' should be"},
        {"{", 1, "a member's name"},
        {"{a:1}", 1, "'a' stands where a member's name"},
        {"{\"a\"}", 4, "':'"},
        {"{\"a\":}", 5, "a value"},
        {"{\"a\":1,}", 7, "a member's name"},
        {"{\"a\":1 \"b\":2}", 7, "',' or '}'"},
        {"{\"a\":1}x", 7, "the end"},
        {"{\"a\":[1,]}", 8, "a value"},
        {"{\"a\":[1}]", 7, "',' or ']'"},
        {"{\"a\":{\"b\":1]}", 11, "',' or '}'"},
        {"{\"a\":{\"b\":1,}}", 12, "a member's name"},
        {"{\"a\":01}", 6, "',' or '}'"},
        {"{\"a\":-}", 6, "a digit"},
        {"{\"a\":1.}", 7, "a digit"},
        {"{\"a\":.5}", 5, "a value"},
        {"{\"a\":1e}", 7, "a digit"},
        {"{\"a\":+1}", 5, "a value"},
        {"{\"a\":nul}", 5, "a value"},
        {"{\"a\":NaN}", 5, "a value"},
        {"{\"a\":\"b", 5, "has no end"},
        {"{\"a\":\"b\n\"}", 7, "control character 0x0a"},
        {"{\"a\":\"\\x\"}", 6, "escape"},
        {"{\"a\":\"\\u12g4\"}", 6, "escape"},
        {"{\"a\":\"\\ud800\"}", 6, "half of a pair"},
        {"{\"a\":\"\\ud800\\u0041\"}", 6, "half of a pair"},
        {"{\"a\":\"\\udc00\\ud800\"}", 6, "half of a pair"},
        {"{\"a\":\"\xc3\"}", 6, "no UTF-8"},
        {"{\"a\":\"\xc0\x80\"}", 6, "no UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", 6, "no UTF-8"},
        {"{\"a\":\"\xf4\x90\x80\x80\"}", 6, "no UTF-8"},
        {"{\"a\":\"\x80\"}", 6, "no UTF-8"},
        {"{\"a\":\xff}", 5, "byte 0xff stands where a value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fmt_json_value value;
        struct fmt_error error = {.text = ""};
        size_t count;

        assert_int_equal(read_object(cases[i].text, strlen(cases[i].text), &count, &value, &error),
                         FMT_E_FORMAT);
        if (error.offset_bytes != cases[i].offset || !strstr(error.text, cases[i].words))
            fail_msg("%s: \"%s\" at %zu", cases[i].text, error.text, error.offset_bytes);
    }
}

static void test_cut_short_anywhere_it_is_refused(void **state)
{
    static const char text[] =
        "{\"a\":[1.5e-3,\"\\ud83d\\ude00\xe2\x80\xa6\",{\"b\":{}}],\"c\":null,\"d\":[[]]}";

    (void)state;
    for (size_t len = 0; len <= sizeof text - 1; len++) {
        struct fmt_json_value value;
        size_t count;

        assert_int_equal(read_object(text, len, &count, &value, NULL),
                         len == sizeof text - 1 ? FMT_OK : FMT_E_FORMAT);
    }
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    for (size_t depth = FMT_JSON_DEPTH_MAX; depth <= FMT_JSON_DEPTH_MAX + 1; depth++) {
        size_t len = 5 + 2 * depth + 1, count;
        char *text = malloc(len);
        struct fmt_json_value value;
        struct fmt_error error = {.text = ""};

        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', depth);
        memset(text + 5 + depth, ']', depth);
        text[len - 1] = '}';
        assert_int_equal(read_object(text, len, &count, &value, &error),
                         depth > FMT_JSON_DEPTH_MAX ? FMT_E_FORMAT : FMT_OK);
        if (depth > FMT_JSON_DEPTH_MAX)
            assert_non_null(strstr(error.text, "nested more than 1000 deep"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_where_they_are),
        cmocka_unit_test(test_text_of_strings),
        cmocka_unit_test(test_what_is_refused_and_where),
        cmocka_unit_test(test_cut_short_anywhere_it_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
