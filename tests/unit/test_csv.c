/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_csv.c - the CSV decoder: every dialect question, every split, every truncation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "formats/csv.h"
#include "tests/csv_reference.h"
#include "tests/number_texts.h"

#define N NAN
#define I HUGE_VALF

/* Objects up to ARENA_BYTES, between two pages that must not be touched. */
#define ARENA_BYTES ((size_t)1 << 16)
static uint8_t *arena;

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 11) % n);
}

static int arena_make(void **state)
{
    size_t page = 65536;
    uint8_t *base =
        mmap(NULL, ARENA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    if (base == MAP_FAILED || mprotect(base + page, ARENA_BYTES, PROT_READ | PROT_WRITE) != 0)
        return -1;
    arena = base + page;
    return 0;
}

static size_t step_all(void *cookie)
{
    (void)cookie;
    return SIZE_MAX / 2;
}

static size_t step_one(void *cookie)
{
    (void)cookie;
    return 1;
}

static size_t step_random(void *cookie)
{
    (void)cookie;
    return 1 + below(below(4) == 0 ? 300 : 9);
}

/* First *cookie bytes, then all. */
static size_t step_split(void *cookie)
{
    size_t *first = cookie;
    size_t n = *first;
    *first = SIZE_MAX / 2;
    return n;
}

/* Like fmt_csv on a processor without AVX2. */
static struct fmt_decoder *plain_decoder_new(const struct fmt_options *options,
                                             const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_csv.decoder_new(options, shape);
    if (decoder != NULL) {
        fmt_csv_bulk_free(decoder->bulk);
        decoder->bulk = NULL;
    }
    return decoder;
}

static const struct fmt_ops *any_ops(void)
{
    static struct fmt_ops plain;
    plain = fmt_csv;
    plain.decoder_new = plain_decoder_new;
    return below(4) == 0 ? &plain : &fmt_csv;
}

static void run(const void *text, size_t len, uint32_t label_size, uint32_t rows_max,
                size_t (*step)(void *), void *cookie, struct drive_result *r)
{
    struct drive drive = {.options = {.ops = any_ops(), .label_size = label_size},
                          .rows_max = rows_max,
                          .step = step,
                          .cookie = cookie};
    uint8_t *at = below(2) == 0 ? arena : arena + ARENA_BYTES - len;
    assert_true(len <= ARENA_BYTES);
    memcpy(at, text, len);
    drive_run(&drive, at, len, r);
}

/* Rows hold features, then labels; columns count as in the text. */
static float value_at(const struct drive_result *r, size_t value_no)
{
    size_t columns = drive_columns(r);
    size_t column = value_no % columns;
    size_t place =
        column < r->shape.label_dim ? r->shape.feature_dim + column : column - r->shape.label_dim;
    return r->values[value_no - column + place];
}

static void expect_same(const char *what, const char *text, size_t at,
                        const struct drive_result *got, const struct drive_result *expected)
{
    if (!drive_result_equal(got, expected))
        fail_msg("%s at %zu of '%s': %zu rows%s, expected %zu rows%s", what, at, text, got->rows,
                 got->failed ? " and an error" : "", expected->rows,
                 expected->failed ? " and an error" : "");
}

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
    {"y,x1,x2\n1,2,3\n", 1, 0, "field 1 is 'y', not a number; SageMaker CSV has no header row"},
    {"\"y\",\"x1\"\n1,2\n", 1, 0, "field 1 is 'y', not a number; SageMaker CSV has no header row"},
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
     1, 1, "field 1 is '\\xef\\xbb\\xbf3', not a number; SageMaker CSV has no header row"},
    {"\xef\xbb", 0, 0, "field 1 is '\\xef\\xbb', not a number; SageMaker CSV has no header row"},
    {"1,2,3\n", 3, 0, "label_size=3 leaves no feature: the row has 3 columns"},
    {"1\n", 1, 0, "label_size=1 leaves no feature: the row has 1 column"},
    {"1;2;3\n", 0, 0, "field 1 is '1;2;3', not a number; SageMaker CSV has no header row"},
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
    struct fmt_options options = {.ops = &fmt_csv, .label_size = 1};
    struct fmt_shape shape;
    struct fmt_error error = {0};
    const uint8_t *in = (const uint8_t *)text;
    float features[4];
    float labels[4];
    (void)state;
    assert_int_equal(fmt_csv.learn(&options, in, sizeof(text) - 1, &shape, &error), FMT_OK);
    struct fmt_decoder *decoder = fmt_csv.decoder_new(&options, &shape);
    assert_non_null(decoder);
    assert_int_equal(fmt_csv.decode(decoder, in, sizeof(text) - 1, 4, features, labels, &error),
                     FMT_E_FORMAT);
    assert_int_equal(error.row, 2);
    assert_int_equal(error.offset_bytes, 12);
    assert_string_equal(error.text, "field 2 is 'x', not a number");
    assert_true(labels[0] == 1 && labels[1] == 3 && features[0] == 2 && features[1] == 4);
    fmt_csv.decoder_free(decoder);
}

/* The pipe may show a CR as the last byte that has arrived: its LF belongs to the same row. */
static void test_csv_cut_waits_for_the_byte_after_cr(void **state)
{
    struct fmt_options options = {.ops = &fmt_csv};
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
    struct fmt_options options = {.ops = &fmt_csv};
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
    struct fmt_options options = {.ops = &fmt_csv};
    struct fmt_cut cut = {0};
    (void)state;
    for (size_t len = 1; len < sizeof(row); len++) {
        assert_int_equal(
            fmt_csv.cut(&options, (const uint8_t *)row, len, true, false, 10, &cut, NULL),
            FMT_MORE);
        assert_int_equal(cut.scanned_bytes, len);
    }
}

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

/* Fields of one shape side by side, so that every batch conversion gets its like. */
static void test_csv_numbers_equal_strtof(void **state)
{
    enum { COLUMNS = 25, ROWS = 40, OBJECTS = 1000 };
    static char text[COLUMNS * ROWS * (TEXT_BYTES + 1)];
    static float expected[COLUMNS * ROWS];
    struct drive drive = {.options = {.label_size = 3}, .rows_max = 1000, .step = step_all};
    (void)state;
    for (uint32_t object = 0; object < OBJECTS; object++) {
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
        cmocka_unit_test(test_csv_find_and_skip_equal_a_plain_search),
        cmocka_unit_test(test_csv_random_objects_equal_the_reference),
        cmocka_unit_test(test_csv_odd_fields_in_regular_rows),
        cmocka_unit_test(test_csv_numbers_equal_strtof),
        cmocka_unit_test(test_csv_truncated_anywhere_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
