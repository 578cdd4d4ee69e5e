/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_jsonl_random.c - JSON Lines at random, good and damaged, against the reference of
 * tests/jsonl_reference.h; strings against the portable path; JSON that parsers disagree about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/json_string.h"
#include "tests/jsonl_fixture.h"

enum { ROUNDS = 400, LINES_MAX = 12, LINE_BYTES_MAX = 2000 };

struct out {
    char text[LINES_MAX * LINE_BYTES_MAX + 64];
    size_t len;
};

static void put(struct out *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

static const char *one_of(const char *const *list, uint32_t count)
{
    return list[below(count)];
}

#define ONE_OF(...)                                                                                \
    one_of((const char *const[]){__VA_ARGS__},                                                     \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void put_number(struct out *out)
{
    char text[64];
    double value = (double)below(1u << 30) / (double)(1u << below(31)) * (below(2) ? 1 : -1);
    if (below(3) == 0)
        snprintf(text, sizeof(text), "%u", below(300));
    else
        snprintf(text, sizeof(text), ONE_OF("%.6f", "%.17g", "%.3e", "%.0f", "%.9g"), value);
    put(out, below(60) == 0 ? ONE_OF("null", "true", "false", "NaN", "-Infinity", "\"NaN\"", "01",
                                     "1.", "-", "\"7\"", "123456789012345678901234567890e-12")
                            : text);
}

/* Blanks as this object writes them, and now and then others. */
static const char *blank(const char *usual)
{
    return below(200) == 0 ? ONE_OF("", " ", "  ", "\t", " \r") : usual;
}

static void put_array(struct out *out, uint32_t count, const char *usual)
{
    if (below(80) == 0)
        count++;
    put(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            put(out, blank(""));
            put(out, ",");
            put(out, blank(usual));
        }
        put_number(out);
    }
    put(out, "]");
}

static void put_string(struct out *out)
{
    put(out, "\"");
    for (uint32_t words = below(6); words > 0; words--)
        put(out,
            ONE_OF("plain", "text that is a little longer than a block of bytes", "\\n", "\\\"",
                   "\xc3\xa4", "\\u00e4", "\\ud834\\udd1e", "\xf0\x9d\x84\x9e", " ", "\\\\"));
    if (below(100) == 0)
        put(out, ONE_OF("\\x", "\xff", "\x01", "\\ud834", "\xed\xa0\x80"));
    put(out, "\"");
}

static void put_any(struct out *out)
{
    switch (below(6)) {
    case 0:
        put_array(out, below(5), " ");
        break;
    case 1:
        put(out, ONE_OF("{}", "[]", "null", "{\"a\":[{}]}", "[[1],[2]]", "{\"y\":1,\"y\":2}"));
        break;
    case 2:
    case 3:
        put_string(out);
        break;
    default:
        put_number(out);
    }
}

/* a: three numbers; b: one in an object; y, w: one; t: text; x: anything. */
static void put_member(struct out *out, uint32_t which, const char *usual)
{
    static const char *const names[] = {"\"a\"", "\"b\"", "\"y\"", "\"w\"", "\"t\"", "\"x\""};
    put(out, below(100) == 0 ? "\"\\u0061\"" : names[which]);
    put(out, blank(""));
    put(out, ":");
    put(out, blank(usual));
    if (which == 0) {
        put_array(out, 3, usual);
    } else if (which == 1) {
        put(out, "{\"z\":1,\"c\":");
        put_number(out);
        put(out, "}");
    } else if (which == 4) {
        put_string(out);
    } else if (which == 5) {
        put_any(out);
    } else {
        put_number(out);
    }
}

/* Lines of mostly one layout, or of any. */
static void put_lines(struct out *out)
{
    const char *usual = ONE_OF("", " ");
    bool any_order = below(2) == 0;
    uint32_t first = below(6);
    for (uint32_t lines = 1 + below(LINES_MAX - 1); lines > 0; lines--) {
        uint32_t start = any_order ? below(6) : first;
        bool begun = false;
        put(out, "{");
        for (uint32_t i = 0; i < 6; i++) {
            if (below(any_order ? 20 : 100) == 0)
                continue;
            if (begun) {
                put(out, ",");
                put(out, blank(usual));
            }
            begun = true;
            put_member(out, below(100) == 0 ? below(6) : (start + i) % 6, usual);
        }
        put(out, "}");
        put(out, below(10) == 0 ? ONE_OF("\r\n", "\n\n", " \n", "\n \t\n") : "\n");
    }
}

static void test_jsonl_random_objects_equal_the_reference(void **state)
{
    static const struct {
        const char *parameters;
        struct jsonl_ref ref;
    } settings[] = {
        {"features=a,b.c;label=y;missing=nan;weight=w;text=t",
         {.features = {"a", "b.c"}, .labels = {"y"}, .weight = "w", .texts = {"t"}, .nan = true}},
        {"features=a,b.c;label=y", {.features = {"a", "b.c"}, .labels = {"y"}}},
        {"features=b.c,a;label=w,y;text=x,t;missing=nan",
         {.features = {"b.c", "a"}, .labels = {"w", "y"}, .texts = {"x", "t"}, .nan = true}},
    };
    static struct out out;
    size_t good = 0;
    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        size_t n = round % 3;
        out.len = 0;
        put_lines(&out);
        if (below(8) == 0)
            out.text[below((uint32_t)out.len)] = (char)below(256);
        out.text[out.len] = '\0';
        struct drive_result expected;
        jsonl_reference((const uint8_t *)out.text, out.len, &settings[n].ref, &expected);
        good += expected.rows;
        for (uint32_t i = 0; i < 6; i++) {
            struct drive_result r;
            run(out.text, out.len, settings[n].parameters, i == 0, 1 + below(3) * 500,
                i % 2 ? step_random : step_all, NULL, &r);
            expect_same("random", out.text, round, &r, &expected);
            drive_result_free(&r);
        }
        drive_result_free(&expected);
    }
    assert_true(good > 2 * ROUNDS); /* the test is about rows, not about errors alone */
}

/* Strings end at the same place by AVX2, by SSE2 and by no vectors at all. */
static void test_jsonl_strings_end_alike_on_any_processor(void **state)
{
    static const char *const pieces[] = {"a",
                                         "bcdefghijklmnopqrstuvwxyz0123456789",
                                         "\"",
                                         "\\",
                                         "\x1f",
                                         "\x7f",
                                         "\x80",
                                         "\xc3\xa4",
                                         "\xc1\xbf",
                                         "\xe0\x9f\xbf",
                                         "\xe0\xa0\x80",
                                         "\xed\x9f\xbf",
                                         "\xed\xa0\x80",
                                         "\xef\xbf\xbf",
                                         "\xf0\x8f\xbf\xbf",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xf4\x90\x80\x80",
                                         "\xe2\x82",
                                         "\xf5\x80\x80\x80"};
    (void)state;
    for (uint32_t round = 0; round < 20000; round++) {
        struct out out = {.len = 0};
        for (uint32_t i = below(12); i > 0; i--)
            put(&out, pieces[below(4) ? below(2) : below(sizeof(pieces) / sizeof(pieces[0]))]);
        uint8_t *at = arena + ARENA_BYTES - out.len;
        memcpy(at, out.text, out.len);
        size_t expected = 0;
        while (expected < out.len && at[expected] != '"' && at[expected] != '\\') {
            const uint8_t *next =
                jsonl_ref_character(at + expected, arena + ARENA_BYTES, NULL, NULL);
            if (next == NULL)
                break;
            expected = (size_t)(next - at);
        }
        assert_int_equal(fmt_json_plain_base(at, out.len), expected);
        assert_int_equal(fmt_json_plain(at, out.len), expected);
    }
}

/* After cases of github.com/nst/JSONTestSuite (N. Seriot, "Parsing JSON is a Minefield"), written
 * anew. Each stands for a value that is passed over, and for one that is read as text. */
static const char *const good_json[] = {
    "[[]   ]",
    "[\"\"]",
    "[]",
    "[false]",
    "[null, 1, \"1\", {}]",
    "[1 ]",
    " [1]",
    "[1,null,null,null,2]",
    "[123e65]",
    "[0e+1]",
    "[0e1]",
    "[ 4]",
    "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]",
    "[20e1]",
    "[-0]",
    "[-123]",
    "[1E22]",
    "[1E-2]",
    "[1E+2]",
    "[123.456e78]",
    "[1e-2]",
    "[123.456789]",
    "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}",
    "{\"a\":\"b\",\"a\":\"c\"}",
    "{\"\":0}",
    "{\"foo\\u0000bar\": 42}",
    "[\"\\u0060\\u012a\\u12AB\"]",
    "[\"\\uD801\\udc37\"]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "[\"\\\\u0000\"]",
    "[\"a/*b*/c/*d//e\"]",
    "[\"\\u0012\"]",
    "[\"\\uFFFF\"]",
    "[\"\xf4\x8f\xbf\xbf\"]",
    "[\"\xef\xbf\xbf\"]",
    "[\"\xe2\x80\xa8\"]",
    "[\"\x7f\"]",
    "\"\"",
    "-0.1",
    /* parsers differ: numbers of any size are numbers, of which float32 makes 0 or infinity */
    "[123.456e-789]",
    "[1.5e+9999]",
    "[100000000000000000000]",
    /* beyond RFC 8259, as Python's json */
    "[NaN]",
    "[-Infinity]",
};

static const char *const bad_json[] = {
    "[1 true]",
    "[a\xe5]",
    "[\"\": 1]",
    "[\"\"],",
    "[,1]",
    "[1,,2]",
    "[\"x\",,]",
    "[\"x\"]]",
    "[\"\",]",
    "[\"x\"",
    "[x",
    "[3[4]]",
    "[\xff]",
    "[1:2]",
    "[,]",
    "[-]",
    "[   , \"\"]",
    "[1,]",
    "[\"\va\"\\f]",
    "[*]",
    "[\"\"",
    "[1,",
    "[fals]",
    "[nul]",
    "[tru]",
    "[++1234]",
    "[+1]",
    "[+Inf]",
    "[-01]",
    "[-1.0.]",
    "[-2.]",
    "[-NaN]",
    "[.-1]",
    "[.2e-3]",
    "[0.1.2]",
    "[0.3e+]",
    "[0.3e]",
    "[0.e1]",
    "[0E+]",
    "[0e]",
    "[1.0e-]",
    "[1 000.0]",
    "[1eE2]",
    "[2.e3]",
    "[Inf]",
    "[\xef\xbc\x91]",
    "[1+2]",
    "[0x1]",
    "[0x42]",
    "[0e+-1]",
    "[-123.123foo]",
    "[123\xe5]",
    "[1e1\xe5]",
    "[-foo]",
    "[- 1]",
    "[-012]",
    "[-.123]",
    "[-1x]",
    "[1ea]",
    "[1.]",
    "[1.2a-3]",
    "[012]",
    "{[: \"x\"}",
    "{\"x\", null}",
    "{\"x\"::\"b\"}",
    "{'a':0}",
    "{\"a\" b}",
    "{:\"b\"}",
    "{\"a\" \"b\"}",
    "{\"a\":",
    "{\"a\"",
    "{1:1}",
    "{null:null}",
    "{\"id\":0,,,,,}",
    "{\"id\":0,}",
    "{\"a\":\"b\"}/**/",
    "{\"a\":\"b\"}#",
    "{\"a\":\"b\",,\"c\":\"d\"}",
    "{a: \"b\"}",
    "{ \"foo\" : \"bar\", \"a\" }",
    "{\"a\":\"b\"}#{}",
    " ",
    "[\"\\uD800\\\"]",
    "[\"\\uD800\\u\"]",
    "[\"\\uD800\\u1x\"]",
    "[\xc3\xa9]",
    "[\"\\x00\"]",
    "[\"\\\\\\\"]",
    "[\"\\\t\"]",
    "[\"\\\xf0\x9f\x8c\x80\"]",
    "[\"\\\"]",
    "[\"\\u00A\"]",
    "[\"\\a\"]",
    "[\"\\uqqqq\"]",
    "['single quote']",
    "[\"a\tb\"]",
    "\"\\UA66D\"",
    "\"\"x",
    "[\xe2\x81\xa0]",
    "<.>",
    "[1]x",
    "[\"asd]",
    "True",
    "1]",
    "{\"x\": true,",
    "[][]",
    "]",
    "{\"\":",
    "[{",
    "[\"a",
    "{]",
    "{,",
    "{[",
    "{\"a",
    "*",
    "\f[]",
    /* parsers differ: what has no UTF-8 is no text */
    "{\"\\uDFAA\":0}",
    "[\"\\uDADA\"]",
    "[\"\\uD888\\u1234\"]",
    "[\"\xe6\x97\xa5\xd1\x88\xfa\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\\uDd1e\\uD834\"]",
    "[\"\xe9\"]",
    "[\"\x81\"]",
    "[\"\xf4\xbf\xbf\xbf\"]",
    "[\"\xc0\xaf\"]",
    "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
    "[\"\xe0\xff\"]",
    "\xef\xbb\xbf{}",
};

/* Whether a line whose member x is that text is taken, by every way of reading it. */
static void expect_json(const char *json, bool good)
{
    static const char *const parameters[] = {"features=f", "features=f;text=x"};
    char text[512];
    /* The second line by a template, the third member by member, a number before and after. */
    int len = snprintf(text, sizeof(text),
                       "{\"f\":1,\"x\":[0]}\n{\"f\":2,\"x\":%s}\n{\"x\":%s,\"f\":3}\n", json, json);
    assert_true(len > 0 && (size_t)len < sizeof(text));
    for (size_t i = 0; i < 4; i++) {
        struct drive_result r;
        run(text, (size_t)len, parameters[i / 2], i % 2 == 0, 1000, step_all, NULL, &r);
        if (r.rows != (good ? 3 : 1) || r.failed == good)
            fail_msg("%s: %zu rows%s%s", json, r.rows, r.failed ? ", " : "", r.text);
        drive_result_free(&r);
    }
}

static void test_jsonl_takes_json_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_json) / sizeof(good_json[0]); i++)
        expect_json(good_json[i], true);
    for (size_t i = 0; i < sizeof(bad_json) / sizeof(bad_json[0]); i++)
        expect_json(bad_json[i], false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_random_objects_equal_the_reference),
        cmocka_unit_test(test_jsonl_strings_end_alike_on_any_processor),
        cmocka_unit_test(test_jsonl_takes_json_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
