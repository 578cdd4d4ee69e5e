/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record_framed.c - rows that stay in their records: what is read in place is what
 * the decoder makes of the same records, and what has not its values there is refused.
 */
#include "tests/record_check.h"
#include "tests/record_notation.h"

#define FEATURES "0a(0a('values') 12(12(0a(F1.5 F-2))))"
#define LABEL(value) "12(0a('values') 12(12(0a(" value "))))"

static struct fmt_options framed;

static int open_channels(void **state)
{
    channel_set("");
    return arena_make(state) != 0 ||
           fmt_options_parse("application/x-recordio-protobuf;framed=true", &framed, NULL) !=
               FMT_OK;
}

static int close_channels(void **state)
{
    (void)state;
    fmt_options_free(&framed);
    fmt_options_free(&channel);
    return 0;
}

/* Reads `count` numbers of a type in place. */
static void read_numbers(const uint8_t *at, enum fmt_feature_type type, uint32_t count, float *out)
{
    for (uint32_t i = 0; i < count; i++) {
        double wide;
        if (type == FMT_F32) {
            memcpy(&out[i], at + 4 * i, sizeof(*out));
            continue;
        }
        memcpy(&wide, at + 8 * i, sizeof(wide));
        out[i] = (float)wide;
    }
}

/* Checks the object framed; whatever records are accepted hold the decoder's rows. Returns how many
 * they are; *error tells of the next. */
static size_t check_framed(const uint8_t *object, size_t len, struct fmt_error *error)
{
    struct fmt_shape shape;
    struct drive_result decoded;
    size_t rows = 0;
    *error = (struct fmt_error){.text = ""};
    const uint8_t *in = memcpy(arena + ARENA_BYTES - len, object, len);
    struct fmt_cut cut = {.rows = 0};
    if (framed.ops->cut(&framed, in, len, true, true, 1000, &cut, error) != FMT_OK ||
        framed.ops->learn(&framed, in, cut.len_bytes, &shape, error) != FMT_OK)
        return 0;
    struct fmt_decoder *decoder = framed.ops->decoder_new(&framed, &shape);
    struct fmt_span span = {.in = in, .len = cut.len_bytes, .rows = cut.rows};
    struct fmt_rows none = {.features = NULL};
    assert_non_null(decoder);
    rows = cut.rows;
    if (framed.ops->decode(decoder, &span, &none, error) != FMT_OK) {
        rows = error->row;
        assert_int_equal(error->offset_bytes, rows * shape.framing.stride_bytes);
    }
    framed.ops->decoder_free(decoder);
    run(object, len, 1000, step_all, NULL, &decoded);
    assert_true(decoded.rows >= rows);
    for (size_t row = 0; row < rows; row++) {
        float numbers[800];
        const uint8_t *record = in + row * shape.framing.stride_bytes;
        uint32_t label_dim = shape.label_dim;
        assert_true(shape.feature_dim + label_dim <= 800);
        assert_int_equal(shape.feature_dim, decoded.shape.feature_dim);
        assert_int_equal(label_dim, decoded.shape.label_dim);
        read_numbers(record + shape.framing.features_offset, shape.type, shape.feature_dim,
                     numbers);
        if (label_dim > 0)
            read_numbers(record + shape.framing.labels_offset, shape.framing.label_type, label_dim,
                         numbers + shape.feature_dim);
        assert_memory_equal(numbers, decoded.values + row * drive_columns(&decoded),
                            drive_columns(&decoded) * sizeof(float));
    }
    drive_result_free(&decoded);
    return rows;
}

static const struct vector {
    const char *bodies[3];
    size_t rows;
    const char *error;
} VECTORS[] = {
    {{FEATURES LABEL("F1"), FEATURES LABEL("F2"), FEATURES LABEL("F3")}, 3, ""},
    {{FEATURES, FEATURES, FEATURES}, 3, ""},
    {{LABEL("F1") FEATURES, LABEL("F1") FEATURES, LABEL("F2") FEATURES}, 3, ""},
    {{"0a(0a('x') 12(1a(0a(D1 D2))))", "0a(0a('x') 12(1a(0a(D3 D4))))",
      "0a(0a('x') 12(1a(0a(D5 D6))))"},
     3,
     ""},
    /* bytes around the values may differ, as long as these do not move */
    {{FEATURES "1a('a')", FEATURES "1a('b')", FEATURES "1a('c')"}, 3, ""},
    {{FEATURES LABEL("F1"), FEATURES "1a('padded to one size')", FEATURES LABEL("F3")},
     1,
     "2 features and 0 labels, the channel has 2 and 1"},
    {{FEATURES LABEL("F1"), LABEL("F1") FEATURES, FEATURES LABEL("F3")}, 1, "the same place"},
    {{FEATURES, FEATURES "1a('a')", FEATURES}, 1, "needs records of one size"},
    {{FEATURES, FEATURES FEATURES, FEATURES}, 1, "needs records of one size"},
    {{"0a(12(3a(0a(V1 V2))))", FEATURES, FEATURES}, 0, "features of type int32"},
    {{FEATURES "12(12(3a(0a(V1))))", FEATURES, FEATURES}, 0, "labels of type int32"},
    {{"0a(12(12(0a(F1) 12(V1) 1a(V2))))", FEATURES, FEATURES}, 0, "dense records"},
    {{"0a(12(12(0a(F1) 0a(F2))))", FEATURES, FEATURES}, 0, "features in one piece"},
    {{FEATURES LABEL("F1 F2"), FEATURES LABEL("F1 00"), FEATURES}, 1, "not a protobuf message"},
};

static void test_vectors_are_read_in_place_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        struct bytes object = {.count = 0};
        struct fmt_error error;
        for (int k = 0; k < 3; k++)
            put_record(&object, VECTORS[i].bodies[k]);
        size_t rows = check_framed(object.at, object.count, &error);
        if (rows != VECTORS[i].rows || strstr(error.text, VECTORS[i].error) == NULL)
            fail_msg("%s: %zu rows, '%s'", VECTORS[i].bodies[0], rows, error.text);
    }
}

static void test_a_record_in_parts_is_refused(void **state)
{
    (void)state;
    struct bytes body = {.count = 0};
    struct bytes object = {.count = 0};
    struct fmt_error error;
    put_notation(&body, FEATURES);
    put_frame(&object, 1, body.at, 8);
    put_frame(&object, 3, body.at + 8, body.count - 8);
    assert_int_equal(check_framed(object.at, object.count, &error), 0);
    assert_non_null(strstr(error.text, "records in one part"));
}

static void test_damaged_records_are_refused_or_hold_the_decoders_rows(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        const struct vector *vector = &VECTORS[i % 5];
        struct bytes object = {.count = 0};
        struct fmt_error error;
        for (int k = 0; k < 3; k++)
            put_record(&object, vector->bodies[k]);
        size_t stride = object.count / 3;
        object.at[(i / 5 % 2 + 1) * stride + below((uint32_t)stride)] = (uint8_t)below(256);
        accepted += check_framed(object.at, object.count, &error);
    }
    assert_in_range(accepted, 25000, 55000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_are_read_in_place_or_refused),
        cmocka_unit_test(test_a_record_in_parts_is_refused),
        cmocka_unit_test(test_damaged_records_are_refused_or_hold_the_decoders_rows),
    };
    return cmocka_run_group_tests(tests, open_channels, close_channels);
}
