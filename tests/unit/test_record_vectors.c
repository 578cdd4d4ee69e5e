/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record_vectors.c - recordio-protobuf as others might write it, and what damage
 * makes of it: vectors in the notation of tests/record_notation.h; damaged ones against protobuf-c.
 */
#include <math.h>

#include "tests/record_check.h"
#include "tests/record_notation.h"
#include "tests/record_walk_check.h"

/* Features 1.5, -2; label 1: what the others vary. */
#define FEATURES "0a(0a('values') 12(12(0a(F1.5 F-2))))"
#define LABEL "12(0a('values') 12(12(0a(F1))))"
#define NAMED(name, values) "0a(0a('" name "') 12(12(0a(" values "))))"

static const struct vector {
    const char *name;
    const char *body;
    uint32_t dims[2]; /* of features and labels */
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
    {"a uid too long for the template",
     "1a('"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "')" FEATURES,
     {2, 0},
     {1.5f, -2}},
    {"NUL ends a name", FEATURES "0a(0a(76616c75657300) 12(12(0a(F7))))", {1, 0}, {7}},
    {"label in pieces, the second by a long tag",
     FEATURES "12(0a('values') 12(12(0a(F1) 8a80808000(F2))))",
     {2, 2},
     {1.5f, -2, 1, 2}},
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
    {"0a(0a('values') 12(4a(0a('jpeg'))))", "feature is of type bytes"},
    {"0a(0a('values') 12(12(0a(F1) 12(04))))", "keys, but no shape"},
    {"0a(0a('values') 12(12(0a(F1) 12(0304) 1a(05))))", "2 keys for 1 values"},
    {"0a(0a('values') 12(12(12(01) 1a(02))))", "1 keys for 0 values"},
    {"0a(0a('values') 12(12(0a(F1 F2) 1a(03))))", "2 values, its shape says otherwise"},
    {"0a(0a('values') 12(12(0a(F1 F2) 1a(ffffffffffffffffff01 ffffffffffffffffff01))))",
     "its shape says otherwise"},
    {"0a(0a('values') 12(12(0a(F1 F2) 1a(81808080808080808001 02))))", "its shape says otherwise"},
    {"0a(0a('values') 12(4a(08 01)))", "not a protobuf message"},
    {"0a(0a('values') 12(12(0a(F1) 12(80))))", "not a protobuf message"},
    {FEATURES "12(0a('values') 12(4a()))", "label is of type bytes"},
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
    {"0a(0a('values') 12(3a(0a(8080808080808080808001 05))))", "not a protobuf message"},
    {"0a(0a('values') 12(12(09 D1)))", "not a protobuf message"},
    {FEATURES "1d F1", "not a protobuf message"},
    {NAMED("x", "F1 00") FEATURES, "not a protobuf message"},
};

static void check_vector(const struct vector *vector)
{
    struct bytes object = {0};
    for (int i = 0; i < 3; i++) /* the second and third meet the template that the first left */
        put_record(&object, vector->body);
    struct drive_result expected = {
        .shape = {.feature_dim = vector->dims[0], .label_dim = vector->dims[1]}};
    for (int i = 0; i < 3; i++)
        drive_add_row(&expected, vector->values, vector->values + vector->dims[0]);
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
        struct drive_result expected = {
            .shape = {.feature_dim = vector->dims[0], .label_dim = vector->dims[1]}};
        for (int row = 0; row < 4; row++)
            drive_add_row(&expected, vector->values, vector->values + vector->dims[0]);
        for (size_t first = 0; first <= body.count; first++) {
            size_t second = below((uint32_t)(body.count - first) + 1);
            struct bytes object = {0};
            put_frame(&object, 1, body.at, second);
            put_frame(&object, 3, body.at + second, body.count - second);
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

/* Joining needs more memory for the second record than for the first. */
static void test_records_in_parts_may_grow(void **state)
{
    (void)state;
    static const char *const BODIES[] = {FEATURES, "1a('a uid that the first lacks')" FEATURES};
    struct bytes object = {0};
    for (int i = 0; i < 2; i++) {
        struct bytes body = {0};
        put_notation(&body, BODIES[i]);
        put_frame(&object, 1, body.at, 9);
        put_frame(&object, 3, body.at + 9, body.count - 9);
    }
    struct drive_result expected = {.shape = {.feature_dim = 2}};
    for (int row = 0; row < 2; row++)
        drive_add_row(&expected, (const float[]){1.5f, -2}, (const float[]){0});
    check_splits("growing", object.at, object.count, &expected);
    drive_result_free(&expected);
}

/* decode on less than it was promised: an error, and nothing read beyond. */
static void test_decode_of_too_few_bytes_is_an_error(void **state)
{
    (void)state;
    struct bytes object = {0};
    for (int i = 0; i < 3; i++)
        put_record(&object, FEATURES LABEL);
    struct fmt_options options = {.ops = &fmt_recordio_protobuf};
    struct fmt_shape shape = {.feature_dim = 2, .label_dim = 1};
    for (size_t len = 0; len < object.count; len++) {
        float features[6];
        float labels[3];
        struct fmt_error error = {0};
        const uint8_t *in = memcpy(arena + ARENA_BYTES - len, object.at, len);
        struct fmt_decoder *decoder = options.ops->decoder_new(&options, &shape);
        assert_non_null(decoder);
        struct fmt_span span = {.in = in, .len = len, .rows = 3};
        struct fmt_rows out = {.features = features, .labels = labels};
        assert_int_equal(options.ops->decode(decoder, &span, &out, &error), FMT_E_FORMAT);
        assert_int_equal(error.row, len / (object.count / 3));
        assert_int_equal(error.offset_bytes, error.row * (object.count / 3));
        assert_non_null(strstr(error.text, "truncated"));
        options.ops->decoder_free(decoder);
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

static void test_walker_agrees_with_protobuf_c_on_damaged_records(void **state)
{
    (void)state;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 60000; i++) {
        struct bytes body = {0};
        put_notation(&body, VECTORS[i % (sizeof(VECTORS) / sizeof(VECTORS[0]))].body);
        for (uint32_t n = below(4); n > 0 && body.count > 0; n--)
            damage(body.at, &body.count, sizeof(body.at));
        const uint8_t *in = memcpy(arena + ARENA_BYTES - body.count, body.at, body.count);
        enum walk_check found = walk_check(in, body.count, &fmt_record_options(NULL)->query);
        assert_int_not_equal(found, WALK_DIFFERS);
        accepted += found == WALK_AGREES;
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
        record_reference(&channel, object.at, object.count, &expected);
        run(object.at, object.count, 1 + below(5), step_all, NULL, &got);
        expect_same(body, "damage no.", i, &got, &expected);
        failed += got.failed;
        drive_result_free(&got);
        drive_result_free(&expected);
    }
    assert_in_range(failed, 10000, 55000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_decode_in_every_split),
        cmocka_unit_test(test_vectors_in_parts_decode_alike),
        cmocka_unit_test(test_records_in_parts_may_grow),
        cmocka_unit_test(test_decode_of_too_few_bytes_is_an_error),
        cmocka_unit_test(test_bad_records_are_refused_with_a_reason),
        cmocka_unit_test(test_record_of_another_size_names_both_sizes),
        cmocka_unit_test(test_walker_agrees_with_protobuf_c_on_damaged_records),
        cmocka_unit_test(test_decoder_agrees_with_protobuf_c_on_damaged_objects),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
