/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_libsvm.c - libsvm lines to sparse rows: dmlc-core's parser cases, every split and
 * truncation, and bulk decoding against the plain path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/libsvm.h"
#include "tests/arena.h"
#include "tests/drive_text.h"

static size_t step_random(void *cookie)
{
    (void)cookie;
    return 1 + below(below(4) == 0 ? 300 : 9);
}

/* Like fmt_libsvm on a processor without AVX2. */
static struct fmt_decoder *plain_decoder_new(const struct fmt_options *options,
                                             const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_libsvm.decoder_new(options, shape);
    if (decoder != NULL) {
        fmt_libsvm_bulk_free(decoder->bulk);
        decoder->bulk = NULL;
    }
    return decoder;
}

struct way {
    bool plain;
    uint32_t rows_max;
    uint32_t feature_dim;
    size_t (*step)(void *cookie);
    void *cookie;
};

static void run(const char *parameters, const char *text, size_t len, const struct way *way,
                struct drive_result *r)
{
    char content_type[256];
    struct drive drive = {.rows_max = way->rows_max, .step = way->step, .cookie = way->cookie};
    struct fmt_ops ops = fmt_libsvm;
    struct fmt_error error = {.text = ""};
    uint8_t *at = arena + ARENA_BYTES - len;
    assert_true(len <= ARENA_BYTES);
    memcpy(at, text, len);
    snprintf(content_type, sizeof content_type, "text/libsvm;%s", parameters);
    if (fmt_options_parse(content_type, &drive.options, &error) != FMT_OK)
        fail_msg("%s: %s", content_type, error.text);
    drive.options.feature_dim = way->feature_dim;
    if (way->plain)
        ops.decoder_new = plain_decoder_new;
    drive.options.ops = &ops;
    drive_run(&drive, at, len, r);
    drive.options.ops = &fmt_libsvm;
    fmt_options_free(&drive.options);
}

/* dmlc-core test_parser.cc, test_qid: its rows. */
#define DMLC_QID                                                                                   \
    "y 3 g 1 e 1:1 2:1 3:0 4:0.200000003 5:0\ny 2 g 1 e 1:0 2:0 3:1 4:0.100000001 5:1\n"           \
    "y 1 g 1 e 1:0 2:1 3:0 4:0.400000006 5:0\ny 1 g 2 e 1:0 2:0 3:1 4:0.200000003 5:0\n"

static const struct good_case {
    const char *parameters;
    const char *text;
    const char *rows; /* as drive_text says them */
    uint32_t feature_dim;
} GOOD[] = {
    /* dmlc-core, test/unittest_parser.cc */
    {"",
     "3 qid:1 1:1 2:1 3:0 4:0.2 5:0\n          2 qid:1 1:0 2:0 3:1 4:0.1 5:1\n"
     "          1 qid:1 1:0 2:1 3:0 4:0.4 5:0\n          1 qid:2 1:0 2:0 3:1 4:0.2 5:0",
     DMLC_QID, 0},
    {"",
     "# what does foo bar mean anyway\n   3 qid:1 1:1 2:1 3:0 4:0.2 5:0 # foo\n"
     "   2 qid:1 1:0 2:0 3:1 4:0.1 5:1\n   1 qid:1 1:0 2:1 3:0 4:0.4 5:0\n"
     "   1 qid:2 1:0 2:0 3:1 4:0.2 5:0 # bar\n",
     DMLC_QID, 0},
    {"",
     "0 1:17.065995780200002000000 4:17.0659957802 6:0.00017065995780200002 8:0.000170659957802\n",
     "y 0 e 1:17.0659962 4:17.0659962 6:0.000170659958 8:0.000170659958\n", 0},
    {"index_base=0", "1 1:1 2:-1\n0 1:-1 2:1\n1 1:-1 2:-1\n0 1:1 2:1\n",
     "y 1 e 1:1 2:-1\ny 0 e 1:-1 2:1\ny 1 e 1:-1 2:-1\ny 0 e 1:1 2:1\n", 0},
    {"index_base=1", "1 1:1 2:-1\n0 1:-1 2:1\n1 1:-1 2:-1\n0 1:1 2:1\n",
     "y 1 e 0:1 1:-1\ny 0 e 0:-1 1:1\ny 1 e 0:-1 1:-1\ny 0 e 0:1 1:1\n", 0},
    {"index_base=auto", "1 1:1 2:-1\n0 1:-1 2:1\n1 1:-1 2:-1\n0 1:1 2:1\n",
     "y 1 e 0:1 1:-1\ny 0 e 0:-1 1:1\ny 1 e 0:-1 1:-1\ny 0 e 0:1 1:1\n", 0},
    /* dmlc detects base 0 here by the block's second row: here that is an error, and not silent */
    {"index_base=auto", "1 1:1 2:-1\n0 0:-2 1:-1 2:1\n",
     "y 1 e 0:1 1:-1\n!entry 1 is '0:-2', but indices start at 1: say index_base=0 if they start "
     "at "
     "0",
     0},
    {"index_base=auto", "0 0:-2 1:-1 2:1\n1 1:1 2:-1\n", "y 0 e 0:-2 1:-1 2:1\ny 1 e 1:1 2:-1\n",
     0},
    {"index_base=auto", "1\n0 5:1\n", "y 1 e\ny 0 e 4:1\n", 0},
    /* blanks, line ends, comments, missing values */
    {"", "+1 3:1 11:1 \n-1 4:1  6:0.5\t\n", "y 1 e 3:1 11:1\ny -1 e 4:1 6:0.5\n", 0},
    {"", "\xef\xbb\xbf#c\r\n \r\n1 2:3\r\n\r\n\t4 5:6\r7 8:9", "y 1 e 2:3\ny 4 e 5:6\ny 7 e 8:9\n",
     0},
    {"", "1 2:3#x 4:5\n6 #7:8\n9#\n#\n  # 1 2:3\n", "y 1 e 2:3\ny 6 e\ny 9 e\n", 0},
    {"", "1 2 3:4 5\n", "y 1 e 2:1 3:4 5:1\n", 0},
    {"", "1\n-0.5\n", "y 1 e\ny -0.5 e\n", 0},
    {"", "1 9:1 2:2 9:3\n", "y 1 e 9:1 2:2 9:3\n", 0},
    {"", "nan 1:nan 2:inf 3:-1e3\n", "y nan e 1:nan 2:inf 3:-1000\n", 0},
    {"", "1e0 007:+1.5e-1\n", "y 1 e 7:0.150000006\n", 0},
    {"", "#\n\n", "", 0},
    /* weights and groups */
    {"", "1:0.5 1:2\n2 1:3\n3:0.25\n", "y 1 w 0.5 e 1:2\ny 2 w 1 e 1:3\ny 3 w 0.25 e\n", 0},
    {"weights=on", "1 1:2\n2:0.5 1:3\n", "y 1 w 1 e 1:2\ny 2 w 0.5 e 1:3\n", 0},
    {"weights=off", "1:0.5 1:2\n2 1:3\n", "y 1 e 1:2\ny 2 e 1:3\n", 0},
    {"", "1 1:2\n2:0.5 1:3\n",
     "y 1 e 1:2\n!the label is '2:0.5', which has a weight, unlike the channel's first row: say "
     "weights=on or off",
     0},
    {"", "1:2 qid:18446744073709551615 1:2\n", "y 1 w 2 g 18446744073709551615 e 1:2\n", 0},
    {"qid=off", "1 qid:7 1:2\n2 1:3\n", "y 1 e 1:2\ny 2 e 1:3\n", 0},
    {"qid=on", "1 1:2\n", "!the row has no qid", 0},
    {"", "1 qid:7 1:2\n2 1:3\n", "y 1 g 7 e 1:2\n!the row has no qid", 0},
    {"", "2 1:3\n1 qid:7 1:2\n",
     "y 2 e 1:3\n!the group is 'qid:7', but the channel's first row has none: say qid=on or off",
     0},
    /* bad ones */
    {"", "1,3 2:1\n",
     "!the label is '1,3', not a number: several labels in a row are not supported", 0},
    {"", "a 2:1\n", "!the label is 'a', not a number", 0},
    {"", ":1 2:1\n", "!the label is '', not a number", 0},
    {"", "1: 2:1\n", "!the weight is '', not a number", 0},
    {"", "1:x 2:1\n", "!the weight is 'x', not a number", 0},
    {"", "1 qid: 2:1\n", "!the group is 'qid:', not qid: and a whole number", 0},
    {"", "1 qid:-1 2:1\n", "!the group is 'qid:-1', not qid: and a whole number", 0},
    {"", "1 qid:18446744073709551616\n",
     "!the group is 'qid:18446744073709551616', not qid: and a whole number", 0},
    {"", "1 2:1 qid:3\n", "!entry 2 is 'qid:3', not index:value", 0},
    {"", "1 2:\n", "!entry 1 is '2:', not index:value", 0},
    {"", "1 :2\n", "!entry 1 is ':2', not index:value", 0},
    {"", "1 2:3:4\n", "!entry 1 is '2:3:4', not index:value", 0},
    {"", "1 2: 3\n", "!entry 1 is '2:', not index:value", 0},
    {"", "1 -2:3\n", "!entry 1 is '-2:3', not index:value", 0},
    {"", "1 1:1 2:x 3:1\n", "!entry 2 is '2:x', not index:value", 0},
    {"", "1 1.5:1\n", "!entry 1 is '1.5:1', not index:value", 0},
    {"index_base=1", "1 0:3\n",
     "!entry 1 is '0:3', but indices start at 1: say index_base=0 if they start at 0", 0},
    {"", "1 4294967294:1\n", "y 1 e 4294967294:1\n", 0},
    {"index_base=1", "1 4294967295:1\n", "y 1 e 4294967294:1\n", 0},
    {"", "1 4294967295:1\n", "!entry 1 is '4294967295:1', an index of more than 32 bits", 0},
    {"", "1 99999999999999999999:1\n", "!entry 1 is '99999999999999999999:1', not index:value", 0},
    {"", "1 9:1\n2 10:1\n", "y 1 e 9:1\n!entry 1 is '10:1', an index beyond the channel's features",
     10},
    {"index_base=1", "1 10:1\n2 11:1\n",
     "y 1 e 9:1\n!entry 1 is '11:1', an index beyond the channel's features", 10},
};

static void check(const struct good_case *c, const struct way *way)
{
    struct drive_result r;
    char said[2048];
    run(c->parameters, c->text, strlen(c->text), way, &r);
    drive_text(&r, said, sizeof said);
    if (strcmp(said, c->rows) != 0)
        fail_msg("'%s' of '%s', %s: got\n%s\nexpected\n%s", c->parameters, c->text,
                 way->plain ? "plain" : "bulk", said, c->rows);
    if (r.rows > 0)
        assert_int_equal(r.shape.feature_dim, c->feature_dim);
    drive_result_free(&r);
}

static void test_libsvm_lines_give_their_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct way way = {.rows_max = 1000, .feature_dim = GOOD[i].feature_dim, .step = step_all};
        check(&GOOD[i], &way);
        way.plain = true;
        check(&GOOD[i], &way);
        way.rows_max = 1;
        way.step = step_one;
        check(&GOOD[i], &way);
        way.step = step_split;
        for (size_t split = 1; split < strlen(GOOD[i].text); split++) {
            size_t first = split;
            way.plain = split % 2 == 0;
            way.cookie = &first;
            check(&GOOD[i], &way);
        }
    }
}

static size_t put(char *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out, text, len);
    return len;
}

static size_t put_entry(char *out, bool odd)
{
    static const char *const odds[] = {
        "3",  "0:1", "x:1",           "1:x",           ":",     "1::2",
        "1:", "#c",  "1:nan",         "qid:5",         "1:-.5", "4294967296:1",
        "",   "\t",  "12345678:1e-3", "123456789:0.5", "1 2:3", "7:\r"};
    static const char *const values[] = {"%u:1", "%u:0.5", "%u:0.708333", "%u:-1.25e-05",
                                         "%u:0.12345678901234567"};
    if (odd)
        return put(out, odds[below(18)]);
    return (size_t)snprintf(out, 48, values[below(5)], 1 + below(below(2) == 0 ? 100 : 3000000));
}

static size_t put_row(char *out, uint32_t kind, uint32_t odd_one_in)
{
    static const char *const ends[] = {"\n", " \n", "\r\n", "\n\n", "\r", "\n#\n"};
    size_t n = (size_t)snprintf(out, 16, kind % 2 == 0 ? "%d" : "%+d", (int)below(7) - 3);
    if (kind & 2 && below(odd_one_in) > 0)
        n += put(out + n, ":0.5");
    if (kind & 4 && below(odd_one_in) > 0)
        n += (size_t)snprintf(out + n, 16, " qid:%u", below(1000));
    for (uint32_t i = below(20); i > 0; i--) {
        n += put(out + n, below(10) == 0 ? "  " : " ");
        n += put_entry(out + n, below(odd_one_in) == 0);
    }
    return n + put(out + n, ends[below(odd_one_in) == 0 ? below(6) : kind % 3]);
}

/* In bulk, plain, in one piece, in many: the same rows and the same error. */
static void test_libsvm_bulk_equals_plain_on_random_objects(void **state)
{
    static const char *const parameters[] = {"", "index_base=1", "index_base=auto",
                                             "weights=off;qid=off", "weights=on"};
    static char text[ARENA_BYTES];
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        struct way way = {.plain = true, .rows_max = 1 + below(60), .step = step_all};
        struct drive_result plain;
        struct drive_result bulk;
        uint32_t odd_one_in = below(3) == 0 ? 1u << 30 : below(2) == 0 ? 400 : 30;
        uint32_t kind = below(8);
        size_t len = 0;
        for (uint32_t rows = 1 + below(80); rows > 0; rows--)
            len += put_row(text + len, kind, odd_one_in);
        run(parameters[round % 5], text, len, &way, &plain);
        way.plain = false;
        way.step = below(2) == 0 ? step_all : step_random;
        run(parameters[round % 5], text, len, &way, &bulk);
        text[len] = 0;
        if (!drive_result_equal(&plain, &bulk) || strcmp(plain.text, bulk.text) != 0)
            fail_msg("round %u, %s, of '%s': plain %zu rows, '%s'; bulk %zu rows, '%s'", round,
                     parameters[round % 5], text, plain.rows, plain.text, bulk.rows, bulk.text);
        drive_result_free(&plain);
        drive_result_free(&bulk);
    }
}

/* Rows longer than a chunk of the bulk path, and chunks that many rows fill. */
static void test_libsvm_long_and_many_rows(void **state)
{
    enum { LONG_ENTRIES = 9000 };
    static char text[ARENA_BYTES];
    (void)state;
    for (uint32_t kind = 0; kind < 2; kind++) {
        struct way way = {.plain = true, .rows_max = 100000, .step = step_all};
        struct drive_result plain;
        struct drive_result bulk;
        size_t len = 0;
        while (len + 64 < ARENA_BYTES && kind == 0)
            len += put(text + len, "1 5:1\n");
        for (uint32_t i = 0; i < LONG_ENTRIES && kind == 1; i++)
            len += put(text + len, i % 4500 == 0 ? "1 7:5 \n2" : " 8:9");
        len += put(text + len, "\n");
        run("", text, len, &way, &plain);
        way.plain = false;
        run("", text, len, &way, &bulk);
        assert_false(plain.failed);
        assert_true(plain.rows >= 3);
        assert_true(drive_result_equal(&plain, &bulk));
        drive_result_free(&plain);
        drive_result_free(&bulk);
    }
}

static void test_libsvm_truncated_anywhere_is_no_crash(void **state)
{
    static const char text[] = "\xef\xbb\xbf#c\n1:0.5 qid:3 1:2 17:0.25 # x\r\n"
                               "-1:2 qid:4 123456:1e-5 7\n0:1 qid:5\n";
    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct way way = {.plain = true, .rows_max = 1000, .step = step_all};
        struct drive_result whole;
        struct drive_result pieces;
        run("", text, len, &way, &whole);
        way = (struct way){.rows_max = 1 + below(3), .step = step_one};
        run("", text, len, &way, &pieces);
        if (!drive_result_equal(&whole, &pieces))
            fail_msg("%zu bytes: %zu rows, %s; in pieces %zu rows, %s", len, whole.rows, whole.text,
                     pieces.rows, pieces.text);
        drive_result_free(&whole);
        drive_result_free(&pieces);
    }
}

/* What was appended for a bad row, and behind it, is gone. */
static void test_libsvm_a_bad_row_leaves_no_entries(void **state)
{
    static const char text[] = "1 1:1 2:2\n2 3:3\n3 4:4 5:x\n4 6:6\n";
    (void)state;
    for (uint32_t plain = 0; plain < 2; plain++) {
        struct fmt_libsvm_options own = {.index_base = LIBSVM_BASE_0};
        struct fmt_options options = {.ops = &fmt_libsvm, .own = &own};
        struct fmt_shape shape = {.label_dim = 1, .sparse = true};
        struct fmt_error error = {.text = ""};
        float labels[4];
        uint32_t ends[4];
        struct fmt_rows out = {.labels = labels, .entry_ends = ends};
        struct fmt_span span = {.in = (const uint8_t *)text, .len = sizeof text - 1, .rows = 4};
        struct fmt_decoder *decoder =
            plain ? plain_decoder_new(&options, &shape) : fmt_libsvm.decoder_new(&options, &shape);
        assert_int_equal(fmt_libsvm.decode(decoder, &span, &out, &error), FMT_E_FORMAT);
        assert_int_equal(error.row, 2);
        assert_int_equal(error.offset_bytes, 16);
        assert_int_equal(out.entries.count, 3);
        assert_int_equal(ends[0], 2);
        assert_int_equal(ends[1], 3);
        fmt_libsvm.decoder_free(decoder);
        free(out.entries.columns);
        free(out.entries.values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libsvm_lines_give_their_rows),
        cmocka_unit_test(test_libsvm_bulk_equals_plain_on_random_objects),
        cmocka_unit_test(test_libsvm_long_and_many_rows),
        cmocka_unit_test(test_libsvm_truncated_anywhere_is_no_crash),
        cmocka_unit_test(test_libsvm_a_bad_row_leaves_no_entries),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
