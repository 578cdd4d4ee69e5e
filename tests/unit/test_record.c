/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record.c - recordio-protobuf: what writers write, what they might write, and what
 * damage makes of it. Every vector whole, in every split, truncated at every byte, and at the edge
 * of readable memory; damaged records against protobuf-c.
 *
 * Vectors are written in the notation of tests/record_notation.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tests/record_notation.h"
#include "tests/record_reference.h"

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

/* First *cookie bytes, then all. */
static size_t step_split(void *cookie)
{
    size_t *first = cookie;
    size_t n = *first;
    *first = SIZE_MAX / 2;
    return n;
}

/* Decodes a copy of in[len] that touches one end of the arena. */
static void run(const uint8_t *in, size_t len, uint32_t rows_max, size_t (*step)(void *),
                void *cookie, struct drive_result *result)
{
    struct drive drive = {.options = {.ops = &fmt_recordio_protobuf},
                          .rows_max = rows_max,
                          .step = step,
                          .cookie = cookie};
    assert_true(len <= ARENA_BYTES);
    uint8_t *at = below(4) == 0 ? arena : arena + ARENA_BYTES - len;
    memcpy(at, in, len);
    drive_run(&drive, at, len, result);
}

static void expect_same(const char *name, const char *what, size_t where,
                        const struct drive_result *got, const struct drive_result *expected)
{
    if (!drive_result_equal(got, expected))
        fail_msg("%s, %s %zu: %zu rows, error '%s' at %zu; expected %zu rows, %s at %zu", name,
                 what, where, got->rows, got->text, got->error_offset_bytes, expected->rows,
                 expected->failed ? "an error" : "no error", expected->error_offset_bytes);
}

/* Whole, byte by byte, in two pieces; by one row and by many. */
static void check_splits(const char *name, const uint8_t *in, size_t len,
                         const struct drive_result *expected)
{
    struct drive_result got;
    for (uint32_t rows_max = 1; rows_max <= 1000; rows_max *= 10) {
        run(in, len, rows_max, step_all, NULL, &got);
        expect_same(name, "whole, rows_max", rows_max, &got, expected);
        drive_result_free(&got);
        run(in, len, rows_max, step_one, NULL, &got);
        expect_same(name, "byte by byte, rows_max", rows_max, &got, expected);
        drive_result_free(&got);
    }
    for (size_t split = 1; split < len; split += 1 + len / 500) {
        size_t first = split;
        run(in, len, 1000, step_split, &first, &got);
        expect_same(name, "split at", split, &got, expected);
        drive_result_free(&got);
    }
}

/* An object cut short gives rows that the whole one gives, then an error, unless it ends between
 * records. */
static void check_truncations(const char *name, const uint8_t *in, size_t len,
                              const struct drive_result *whole)
{
    for (size_t end = 1; end < len; end += 1 + len / 2000) {
        struct drive_result got;
        struct drive_result expected;
        record_reference(in, end, &expected);
        run(in, end, 1000, step_all, NULL, &got);
        expect_same(name, "truncated at", end, &got, &expected);
        assert_true(got.rows <= whole->rows);
        if (got.rows > 0)
            assert_memory_equal(got.values, whole->values,
                                got.rows * drive_columns(&got) * sizeof(float));
        if (got.failed && strstr(got.text, "truncated") == NULL)
            fail_msg("%s, truncated at %zu: error '%s'", name, end, got.text);
        drive_result_free(&got);
        drive_result_free(&expected);
    }
}

/* --- golden bytes --------------------------------------------------------------------------------
 */

/* One case of tests/golden/sdk_records.bin: see make_golden.py. */
struct golden {
    char name[33];
    struct drive_result expected;
    uint8_t *frames;
    uint32_t frames_bytes;
};

static bool golden_next(FILE *file, struct golden *golden)
{
    uint32_t head[4];
    *golden = (struct golden){0};
    if (fread(golden->name, 32, 1, file) != 1)
        return false;
    assert_int_equal(fread(head, sizeof(head), 1, file), 1);
    golden->expected.rows = head[0];
    golden->expected.shape = (struct fmt_shape){head[1], head[2]};
    golden->frames_bytes = head[3];
    golden->frames = drive_allocate(head[3]);
    assert_int_equal(fread(golden->frames, 1, head[3], file), head[3]);
    size_t count = golden->expected.rows * drive_columns(&golden->expected);
    golden->expected.values = drive_allocate(count * sizeof(float));
    assert_int_equal(fread(golden->expected.values, sizeof(float), count, file), count);
    return true;
}

static void golden_free(struct golden *golden)
{
    free(golden->frames);
    drive_result_free(&golden->expected);
}

static FILE *golden_open(void)
{
    FILE *file = fopen("tests/golden/sdk_records.bin", "rb");
    if (file == NULL)
        fail_msg("tests/golden/sdk_records.bin: cannot be read (run from the top folder)");
    return file;
}

static void test_golden_dense_decodes_to_the_arrays(void **state)
{
    (void)state;
    FILE *file = golden_open();
    struct golden golden;
    int count = 0;
    for (; golden_next(file, &golden); golden_free(&golden)) {
        if (golden.expected.shape.feature_dim == 0)
            continue;
        check_splits(golden.name, golden.frames, golden.frames_bytes, &golden.expected);
        check_truncations(golden.name, golden.frames, golden.frames_bytes, &golden.expected);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 57);
}

static void test_golden_sparse_is_refused(void **state)
{
    (void)state;
    FILE *file = golden_open();
    struct golden golden;
    int count = 0;
    for (; golden_next(file, &golden); golden_free(&golden)) {
        if (golden.expected.shape.feature_dim != 0)
            continue;
        struct drive_result got;
        run(golden.frames, golden.frames_bytes, 10, step_all, NULL, &got);
        assert_true(got.failed);
        assert_non_null(strstr(got.text, "sparse records are not supported yet"));
        drive_result_free(&got);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 2);
}

/* --- vectors by hand -----------------------------------------------------------------------------
 */

/* Features 1.5, -2; label 1: what the others vary. */
#define FEATURES "0a(0a('values') 12(12(0a(F1.5 F-2))))"
#define LABEL "12(0a('values') 12(12(0a(F1))))"
#define NAMED(name, values) "0a(0a('" name "') 12(12(0a(" values "))))"

static const struct vector {
    const char *name;
    const char *body;
    struct fmt_shape shape;
    float values[6];
} VECTORS[] = {
    {"plain", FEATURES LABEL, {2, 1}, {1.5f, -2, 1}},
    {"no label", FEATURES, {2, 0}, {1.5f, -2}},
    {"label first", LABEL FEATURES, {2, 1}, {1.5f, -2, 1}},
    {"value before name", "0a(12(12(0a(F1.5 F-2))) 0a('values'))" LABEL, {2, 1}, {1.5f, -2, 1}},
    {"no name", "0a(12(12(0a(F1.5))))" LABEL, {1, 1}, {1.5f, 1}},
    {"another name alone", NAMED("x", "F1.5") LABEL, {1, 1}, {1.5f, 1}},
    {"another name before values", NAMED("x", "F7 F8") FEATURES, {2, 0}, {1.5f, -2}},
    {"another name after values", FEATURES NAMED("x", "F7 F8"), {2, 0}, {1.5f, -2}},
    {"values twice: the last", NAMED("values", "F7 F8 F9") FEATURES, {2, 0}, {1.5f, -2}},
    {"another name twice: the last", NAMED("x", "F7") NAMED("x", "F8"), {1, 0}, {8}},
    {"label's name", FEATURES "12(0a('y') 12(12(0a(F1))))", {2, 1}, {1.5f, -2, 1}},
    {"labels twice: the last",
     FEATURES LABEL "12(0a('values') 12(12(0a(F5))))",
     {2, 1},
     {1.5f, -2, 5}},
    {"empty label tensor", FEATURES "12(0a('values') 12(12()))", {2, 0}, {1.5f, -2}},
    {"not packed", "0a(0a('values') 12(12(0d F1.5 0d F-2)))" LABEL, {2, 1}, {1.5f, -2, 1}},
    {"not packed, float64", "0a(0a('values') 12(1a(09 D1.5 09 D-2)))", {2, 0}, {1.5f, -2}},
    {"not packed, int32", "0a(0a('values') 12(3a(08 V300 08 V-2)))", {2, 0}, {300, -2}},
    {"in pieces", "0a(0a('values') 12(12(0a(F1) 0a() 0d F2 0a(F3 F4))))", {4, 0}, {1, 2, 3, 4}},
    {"int32 in pieces",
     "0a(0a('values') 12(3a(0a(V1 V300) 08 V5 0a(V-1))))",
     {4, 0},
     {1, 300, 5, -1}},
    {"float64", "0a(0a('values') 12(1a(0a(D1.5 D1e300))))" LABEL, {2, 1}, {1.5f, INFINITY, 1}},
    {"int32", "0a(0a('values') 12(3a(0a(V0 V127 V128 V-7))))", {4, 0}, {0, 127, 128, -7}},
    {"int32, long way", "0a(0a('values') 12(3a(0a(8000 ff80808000))))", {2, 0}, {0, 127}},
    {"int32, cut to 32 bits", "0a(0a('values') 12(3a(0a(ffffffffffffffffff7f))))", {1, 0}, {-1}},
    {"labels of int32",
     FEATURES "12(0a('values') 12(3a(0a(V3 V200))))",
     {2, 2},
     {1.5f, -2, 3, 200}},
    {"labels of float64", FEATURES "12(0a('values') 12(1a(0a(D3))))", {2, 1}, {1.5f, -2, 3}},
    {"shape", "0a(0a('values') 12(12(0a(F1 F2) 1a(02))))", {2, 0}, {1, 2}},
    {"shape of a matrix first",
     "0a(0a('values') 12(12(1a(0202) 0a(F1 F2 F3 F4))))",
     {4, 0},
     {1, 2, 3, 4}},
    {"shape not packed", "0a(0a('values') 12(12(0a(F1 F2) 18 01 18 02)))", {2, 0}, {1, 2}},
    {"empty keys", "0a(0a('values') 12(12(0a(F1) 12())))", {1, 0}, {1}},
    {"uid and metadata",
     "1a('id 7')" FEATURES "22('meta')" LABEL "2a('conf')",
     {2, 1},
     {1.5f, -2, 1}},
    {"unknown fields", "30 01" FEATURES "3a('?') 45 F1 49 D1 a206('far')", {2, 0}, {1.5f, -2}},
    {"unknown fields inside",
     "0a(1a('?') 0a('values') 12(0a('?') 12(22('?') 0a(F1.5)) 50 80808080808080808001))",
     {1, 0},
     {1.5f}},
    {"long tags and lengths",
     "8a80808000 9f8000 8a00 868000'values' 9200 9000 9200 8c00 8a00 8800 F1.5 F-2",
     {2, 0},
     {1.5f, -2}},
    {"oneof: the last", "0a(12(3a(0a(V5)) 12(0a(F1.5))))", {1, 0}, {1.5f}},
    {"value twice: the last", "0a(12(12(0a(F1.5))) 12(12(0a(F-2))))", {1, 0}, {-2}},
};

static const struct bad_vector {
    const char *body;
    const char *error;
} BAD_VECTORS[] = {
    {"", "record has no feature"},
    {LABEL, "record has no feature"},
    {"0a()" LABEL, "a feature without a tensor"},
    {"0a(0a('values') 12())", "a feature without a tensor"},
    {"0a(0a('values') 12(12()))", "no feature values"},
    {NAMED("a", "F1") NAMED("b", "F2"), "several features, none of them named \"values\""},
    {"0a(0a('values') 12(4a(0a('jpeg'))))", "features of type bytes are not supported"},
    {"0a(0a('values') 12(12(0a(F1) 12(04) 1a(05))))", "sparse records are not supported yet"},
    {"0a(0a('values') 12(12(0a(F1) 10 04 18 05)))", "sparse records are not supported yet"},
    {"0a(0a('values') 12(12(1a(05))))", "sparse records are not supported yet"},
    {"0a(0a('values') 12(12(0a(F1 F2) 1a(03))))", "2 features, its shape says otherwise"},
    {"0a(0a('values') 12(12(0a(F1 F2) 1a(ffffffffffffffffff01 ffffffffffffffffff01))))",
     "its shape says otherwise"},
    {FEATURES "12(0a('values') 12(4a()))", "labels of type bytes are not supported"},
    {FEATURES "12(0a('values') 12(12(0a(F1) 12(01))))", "sparse"},
    {FEATURES "12(0a('a') 12(12(0a(F1)))) 12(0a('b') 12(12(0a(F1))))", "several labels"},
    {FEATURES "00 00", "not a protobuf message"},
    {FEATURES "0b 0c", "not a protobuf message"},
    {FEATURES "0a 05 0a", "not a protobuf message"},
    {FEATURES "0e", "not a protobuf message"},
    {FEATURES "08 01", "not a protobuf message"},
    {FEATURES "0a ffffffff7f", "not a protobuf message"},
    {FEATURES "30 8080808080808080808001", "not a protobuf message"},
    {"0a(0a('values') 12(12(0a(F1 00))))", "not a protobuf message"},
    {"0a(0a('values') 12(1a(0a(F1))))", "not a protobuf message"},
    {"0a(0a('values') 12(3a(0a(01 80))))", "not a protobuf message"},
    {"0a(0a('values') 12(3a(0a(8080808080808080808001))))", "not a protobuf message"},
    {"0a(0a('values') 12(12(09 D1)))", "not a protobuf message"},
    {FEATURES "1d F1", "not a protobuf message"},
    {NAMED("x", "F1 00") FEATURES, "not a protobuf message"},
};

static void check_vector(const struct vector *vector)
{
    struct bytes object = {0};
    for (int i = 0; i < 3; i++) /* the second and third meet the template that the first left */
        put_record(&object, vector->body);
    struct drive_result expected = {.shape = vector->shape};
    for (int i = 0; i < 3; i++)
        drive_add_row(&expected, vector->values, vector->values + vector->shape.feature_dim);
    check_splits(vector->name, object.at, object.count, &expected);
    check_truncations(vector->name, object.at, object.count, &expected);
    drive_result_free(&expected);
}

static void test_vectors_decode_in_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++)
        check_vector(&VECTORS[i]);
}

/* The same as records of several parts, cut at every place. */
static void test_vectors_in_parts_decode_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        const struct vector *vector = &VECTORS[i];
        struct bytes body = {0};
        put_notation(&body, vector->body);
        struct drive_result expected = {.shape = vector->shape};
        for (int row = 0; row < 3; row++)
            drive_add_row(&expected, vector->values, vector->values + vector->shape.feature_dim);
        for (size_t first = 0; first <= body.count; first++) {
            size_t second = below((uint32_t)(body.count - first) + 1);
            struct bytes object = {0};
            put_record(&object, vector->body);
            put_frame(&object, 1, body.at, first);
            put_frame(&object, 2, body.at + first, second);
            put_frame(&object, 3, body.at + first + second, body.count - first - second);
            put_record(&object, vector->body);
            struct drive_result got;
            run(object.at, object.count, 1000, step_all, NULL, &got);
            expect_same(vector->name, "cut at", first, &got, &expected);
            drive_result_free(&got);
        }
        drive_result_free(&expected);
    }
}

static void test_bad_records_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD_VECTORS) / sizeof(BAD_VECTORS[0]); i++) {
        const struct bad_vector *vector = &BAD_VECTORS[i];
        struct bytes object = {0};
        put_record(&object, vector->body);
        struct drive_result got;
        run(object.at, object.count, 10, step_all, NULL, &got); /* learn refuses */
        if (!got.failed || strstr(got.text, vector->error) == NULL)
            fail_msg("%s: error '%s'", vector->body, got.text);
        drive_result_free(&got);
        struct bytes after = {0};
        put_record(&after, FEATURES);
        size_t start = after.count;
        put_record(&after, vector->body);
        run(after.at, after.count, 10, step_all, NULL, &got); /* decode refuses */
        bool empty = strcmp(vector->error, "no feature values") == 0;
        if (!got.failed || strstr(got.text, empty ? "has 0 features" : vector->error) == NULL)
            fail_msg("%s after a good record: error '%s'", vector->body, got.text);
        assert_int_equal(got.rows, 1);
        assert_int_equal(got.error_offset_bytes, start);
        drive_result_free(&got);
    }
}

static void test_record_of_another_size_names_both_sizes(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {FEATURES LABEL, NAMED("values", "F1") LABEL, "record has 1 feature, the channel has 2"},
        {FEATURES, NAMED("values", "F1 F2 F3"), "record has 3 features, the channel has 2"},
        {FEATURES LABEL, FEATURES, "record has 0 labels, the channel has 1"},
        {FEATURES, FEATURES LABEL, "record has 1 label, the channel has 0"},
        {FEATURES LABEL, FEATURES "12(12(1a(0a(D1 D2))))",
         "record has 2 labels, the channel has 1"},
        {"0a(12(3a(0a(05))))", "0a(12(3a(0a(0102030405060708))))", "record has 8 features"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct bytes object = {0};
        put_record(&object, CASES[i][0]);
        size_t start = object.count;
        put_record(&object, CASES[i][1]);
        struct drive_result got;
        run(object.at, object.count, 10, step_all, NULL, &got);
        assert_true(got.failed);
        if (strstr(got.text, CASES[i][2]) == NULL)
            fail_msg("expected '%s', got '%s'", CASES[i][2], got.text);
        assert_int_equal(got.rows, 1);
        assert_int_equal(got.error_offset_bytes, start);
        drive_result_free(&got);
    }
}

/* --- against protobuf-c --------------------------------------------------------------------------
 */

static void damage(uint8_t *bytes, size_t *count, size_t count_max)
{
    uint8_t *at = bytes + below((uint32_t)*count);
    switch (below(6)) {
    case 0:
        *at = (uint8_t)(*at ^ 1u << below(8));
        break;
    case 1:
        *at = (uint8_t)below(256);
        break;
    case 2:
        *at = (uint8_t)(*at + below(5) - 2);
        break;
    case 3: /* drop a byte */
        memmove(at, at + 1, (size_t)(bytes + --*count - at));
        break;
    case 4: /* insert one */
        if (*count < count_max)
            memmove(at + 1, at, (size_t)(bytes + (*count)++ - at));
        break;
    default: /* 0x80 and 0xff make varints long */
        *at = below(2) == 0 ? 0x80 : 0xff;
        break;
    }
}

/* Whatever the walker accepts, protobuf-c accepts with the same result. */
static bool check_walk(const struct bytes *body)
{
    float walked[2][64] = {{0}};
    float unpacked[2][64] = {{0}};
    struct fmt_record a = {.features = {.out = walked[0], .out_max = below(65)},
                           .labels = {.out = walked[1], .out_max = below(4)}};
    struct fmt_record b = {.features = {.out = unpacked[0], .out_max = a.features.out_max},
                           .labels = {.out = unpacked[1], .out_max = a.labels.out_max}};
    const uint8_t *in = memcpy(arena + ARENA_BYTES - body->count, body->at, body->count);
    if (fmt_record_walk(in, body->count, &a) == FMT_RECORD_REFUSED)
        return false;
    assert_int_equal(fmt_record_unpack(in, body->count, &b), FMT_RECORD_PARSED);
    assert_int_equal(a.features.problem, b.features.problem);
    assert_int_equal(a.labels.problem, b.labels.problem);
    assert_int_equal(a.features.count, b.features.count);
    assert_int_equal(a.labels.count, b.labels.count);
    assert_memory_equal(walked, unpacked, sizeof(walked));
    return true;
}

static void test_walker_agrees_with_protobuf_c_on_damaged_records(void **state)
{
    (void)state;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 60000; i++) {
        struct bytes body = {0};
        put_notation(&body, VECTORS[i % (sizeof(VECTORS) / sizeof(VECTORS[0]))].body);
        for (uint32_t n = below(4); n > 0 && body.count > 0; n--)
            damage(body.at, &body.count, sizeof(body.at));
        accepted += check_walk(&body);
    }
    assert_in_range(accepted, 15000, 50000); /* neither side of the comparison is empty */
}

/* Four records, the third damaged: it meets the template. */
static void test_decoder_agrees_with_protobuf_c_on_damaged_objects(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (uint32_t i = 0; i < 60000; i++) {
        const char *body = VECTORS[i % (sizeof(VECTORS) / sizeof(VECTORS[0]))].body;
        struct bytes object = {0};
        put_record(&object, body);
        put_record(&object, body);
        size_t start = object.count;
        put_record(&object, body);
        size_t size = object.count - start;
        for (uint32_t n = 1 + below(2); n > 0; n--)
            damage(object.at + start, &size, 1024);
        object.count = start + size;
        put_record(&object, body);
        struct drive_result expected;
        struct drive_result got;
        record_reference(object.at, object.count, &expected);
        run(object.at, object.count, 1 + below(5), step_all, NULL, &got);
        expect_same(body, "damage no.", i, &got, &expected);
        failed += got.failed;
        drive_result_free(&got);
        drive_result_free(&expected);
    }
    assert_in_range(failed, 10000, 55000);
}

/* Every byte of every golden record, as the second of three, replaced. */
static void test_template_notices_every_changed_byte(void **state)
{
    (void)state;
    FILE *file = golden_open();
    struct golden golden;
    for (; golden_next(file, &golden); golden_free(&golden)) {
        if (golden.frames_bytes > 1200 || golden.expected.rows < 3)
            continue;
        for (size_t i = 0; i < golden.frames_bytes; i++) {
            uint8_t kept = golden.frames[i];
            golden.frames[i] = (uint8_t)(kept + 1 + below(255));
            struct drive_result expected;
            struct drive_result got;
            record_reference(golden.frames, golden.frames_bytes, &expected);
            run(golden.frames, golden.frames_bytes, 10, step_all, NULL, &got);
            expect_same(golden.name, "changed byte", i, &got, &expected);
            golden.frames[i] = kept;
            drive_result_free(&got);
            drive_result_free(&expected);
        }
    }
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_dense_decodes_to_the_arrays),
        cmocka_unit_test(test_golden_sparse_is_refused),
        cmocka_unit_test(test_vectors_decode_in_every_split),
        cmocka_unit_test(test_vectors_in_parts_decode_alike),
        cmocka_unit_test(test_bad_records_are_refused_with_a_reason),
        cmocka_unit_test(test_record_of_another_size_names_both_sizes),
        cmocka_unit_test(test_walker_agrees_with_protobuf_c_on_damaged_records),
        cmocka_unit_test(test_decoder_agrees_with_protobuf_c_on_damaged_objects),
        cmocka_unit_test(test_template_notices_every_changed_byte),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
