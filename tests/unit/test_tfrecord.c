/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tfrecord.c - TFRecord: frames, checksums, resync, and tf.train.Example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "formats/tfrecord.h"
#include "formats/tfrecord_rows.h"
#include "tests/arena.h"
#include "tests/drive.h"
#include "tests/tfrecord_writer.h"

static void run(const char *content_type, const struct frames *object, size_t (*step)(void *),
                void *cookie, uint32_t rows_max, struct drive_result *result)
{
    struct fmt_error error = {.text = ""};
    struct drive drive = {.rows_max = rows_max, .exact = true, .step = step, .cookie = cookie};
    if (fmt_options_parse(content_type, &drive.options, &error) != FMT_OK)
        fail_msg("%s: %s", content_type, error.text);
    drive_run(&drive, object->bytes, object->len_bytes, result);
    fmt_options_free(&drive.options);
}

/* What drive.h notes of a text. */
static size_t check_text(const struct drive_result *result, size_t at, const void *text,
                         uint32_t len)
{
    assert_true(at + 4 + len <= result->more_len);
    assert_memory_equal(result->more + at, &len, 4);
    assert_memory_equal(result->more + at + 4, text, len);
    return at + 4 + len;
}

static struct frames read_golden(void)
{
    struct frames object = {0};
    uint8_t bytes[8192];
    FILE *file = fopen("tests/golden/examples.tfrecord", "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    assert_true(len > 2000 && len < sizeof(bytes));
    frames_put(&object, bytes, len);
    fclose(file);
    return object;
}

/* See tests/golden/make_tfrecord.py. */
static void test_examples_of_google_protobuf_are_rows(void **state)
{
    (void)state;
    struct frames object = read_golden();
    struct drive_result result;
    run("application/x-tfrecord;example=x,y;label=label;text=name", &object, step_one, NULL, 7,
        &result);
    assert_string_equal(result.text, "");
    assert_int_equal(result.rows, 20);
    assert_int_equal(result.shape.feature_dim, 6);
    assert_int_equal(result.shape.label_dim, 1);
    assert_int_equal(result.shape.text_dim, 1);
    size_t at = 0;
    for (int64_t i = 0; i < 20; i++) {
        uint8_t name[20];
        const float expected[] = {(float)i,  (float)((double)i / 3), (float)-i,     (float)i,
                                  (float)-i, (float)(i << 40),       (float)(i % 2)};
        assert_memory_equal(result.values + 7 * i, expected, sizeof(expected));
        memset(name, (int)i, sizeof(name));
        at = check_text(&result, at, name, (uint32_t)i);
    }
    assert_int_equal(at, result.more_len);
    drive_result_free(&result);

    /* the order is the channel's */
    run("tfrecord;example=\"y,label\"", &object, step_all, NULL, 1000, &result);
    assert_int_equal(result.rows, 20);
    assert_int_equal(result.shape.feature_dim, 4);
    assert_true(result.values[4 * 3] == 3 && result.values[4 * 3 + 3] == 1);
    drive_result_free(&result);
    frames_free(&object);
}

static void test_records_without_example_are_texts(void **state)
{
    (void)state;
    struct frames object = {0};
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)below(256);
    for (uint32_t len = 0; len < 600; len += 1 + len / 4)
        tfrecord_put(&object, data, len);
    for (int i = 0; i < 5; i++)
        tfrecord_put(&object, data, 100);
    uint32_t steps = 0;
    for (; steps < 20; steps++) {
        struct drive_result result;
        uint32_t seed_of_steps = steps;
        run("application/x-tfrecord", &object, drive_step_by_seed, &seed_of_steps, 1 + steps % 9,
            &result);
        assert_string_equal(result.text, "");
        assert_int_equal(result.shape.text_dim, 1);
        assert_int_equal(result.shape.feature_dim, 0);
        size_t at = 0;
        for (uint32_t len = 0; len < 600; len += 1 + len / 4)
            at = check_text(&result, at, data, len);
        for (int i = 0; i < 5; i++)
            at = check_text(&result, at, data, 100);
        assert_int_equal(at, result.more_len);
        drive_result_free(&result);
    }
    frames_free(&object);
}

static void test_truncated_at_every_byte_says_so(void **state)
{
    (void)state;
    struct frames object = {0};
    tfrecord_put(&object, "abcdefgh", 8);
    size_t first = object.len_bytes;
    tfrecord_put(&object, "ijkl", 4);
    for (size_t len = 1; len <= object.len_bytes; len++) {
        struct fmt_cut cut = {.rows = 0};
        struct fmt_error error = {.text = ""};
        uint8_t *in = arena + ARENA_BYTES - len;
        memcpy(in, object.bytes, len);
        for (int at_end = 0; at_end < 2; at_end++) {
            enum fmt_rc rc = fmt_tfrecord_cut(NULL, in, len, true, at_end, 9, &cut, &error);
            uint32_t rows = len == object.len_bytes ? 2 : len >= first;
            assert_int_equal(rc, rows > 0 ? FMT_OK : at_end ? FMT_E_FORMAT : FMT_MORE);
            assert_int_equal(cut.rows, rows);
            if (rc == FMT_E_FORMAT)
                assert_non_null(strstr(error.text, "truncated: "));
        }
    }
    frames_free(&object);
}

static void test_every_bit_flipped_is_an_error_at_its_record(void **state)
{
    (void)state;
    struct frames object = {0};
    size_t starts[4];
    for (int i = 0; i < 3; i++) {
        starts[i] = object.len_bytes;
        tfrecord_put(&object, "a record's data", 15);
    }
    starts[3] = object.len_bytes;
    for (size_t bit = 0; bit < 8 * object.len_bytes; bit++) {
        struct drive_result result;
        size_t bad = 0;
        while (starts[bad + 1] <= bit / 8)
            bad++;
        object.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        run("application/x-tfrecord", &object, step_all, NULL, 10, &result);
        assert_true(result.failed);
        assert_int_equal(result.rows, bad);
        assert_int_equal(result.error_offset_bytes, starts[bad]);
        assert_non_null(strstr(result.text, "bad checksum of a record's "));
        drive_result_free(&result);
        object.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    frames_free(&object);
}

/* A record with bad data can be stepped over; its texts are not kept. */
static void test_decode_bad_data_leave_texts_as_they_were(void **state)
{
    (void)state;
    struct frames object = {0};
    struct fmt_options options;
    struct fmt_error error;
    uint32_t ends[3] = {0};
    tfrecord_put(&object, "good", 4);
    size_t first = object.len_bytes;
    tfrecord_put(&object, "evil", 4);
    tfrecord_put(&object, "fine", 4);
    object.bytes[first + 13] ^= 1;
    assert_int_equal(fmt_options_parse("tfrecord", &options, NULL), FMT_OK);
    struct fmt_cut cut = {.rows = 0};
    assert_int_equal(
        fmt_tfrecord_cut(&options, object.bytes, object.len_bytes, true, true, 9, &cut, NULL),
        FMT_OK);
    assert_int_equal(cut.rows, 3);
    struct fmt_decoder *decoder =
        options.ops->decoder_new(&options, &(struct fmt_shape){.text_dim = 1});
    struct fmt_span span = {.in = object.bytes, .len = object.len_bytes, .rows = 3};
    struct fmt_rows rows = {.text_ends = ends};
    assert_int_equal(options.ops->decode(decoder, &span, &rows, &error), FMT_E_FORMAT);
    assert_int_equal(error.row, 1);
    assert_int_equal(error.offset_bytes, first);
    assert_int_equal(rows.texts.count, 4);
    assert_int_equal(ends[0], 4);
    free(rows.texts.bytes);
    options.ops->decoder_free(decoder);
    fmt_options_free(&options);
    frames_free(&object);
}

static void test_resync_in_any_steps_is_the_next_record(void **state)
{
    (void)state;
    struct frames object = {0};
    size_t starts[9];
    for (size_t i = 0; i < 8; i++) {
        uint8_t data[60];
        size_t len = below(sizeof(data));
        for (size_t k = 0; k < len; k++)
            data[k] = (uint8_t)below(256);
        starts[i] = object.len_bytes;
        tfrecord_put(&object, data, len);
    }
    starts[8] = object.len_bytes;
    for (size_t from = 0; from < object.len_bytes; from++)
        for (size_t step = 1; step < 50; step += 1 + step / 2) {
            size_t at = from;
            size_t given = from;
            enum fmt_rc rc = FMT_MORE;
            while (rc == FMT_MORE) {
                given = given + step < object.len_bytes ? given + step : object.len_bytes;
                uint8_t *in = arena + ARENA_BYTES - (given - at);
                size_t skip_bytes = SIZE_MAX;
                memcpy(in, object.bytes + at, given - at);
                rc = fmt_tfrecord_resync(NULL, in, given - at, at, given == object.len_bytes,
                                         &skip_bytes);
                assert_true(skip_bytes <= given - at);
                at += skip_bytes;
            }
            size_t next = 0;
            while (starts[next] <= from)
                next++;
            assert_int_equal(rc, FMT_OK);
            assert_int_equal(at, starts[next]);
        }
    frames_free(&object);
}

static void test_heads_are_found_at_every_place(void **state)
{
    (void)state;
    struct frames object = {0};
    for (size_t before = 0; before < 40; before++)
        for (size_t behind = 0; behind < 20; behind++) {
            frames_put(&object, "no head, though it is long enough for one or two", before);
            tfrecord_put(&object, "", 0);
            object.len_bytes -= FMT_TFRECORD_TAIL_BYTES;
            frames_put(&object, "nothing comes behind", behind);
            uint8_t *in = arena + ARENA_BYTES - object.len_bytes;
            memcpy(in, object.bytes, object.len_bytes);
            for (size_t from = 0; from <= object.len_bytes; from++) {
                size_t at = fmt_tfrecord_find_head(in, object.len_bytes, from);
                assert_int_equal(at, fmt_tfrecord_find_head_plainly(in, object.len_bytes, from));
                if (from <= before)
                    assert_int_equal(at, before);
                else
                    assert_true(at + FMT_TFRECORD_HEAD_BYTES > object.len_bytes);
            }
            frames_free(&object);
        }
}

/* Encodings of a Feature that writers may choose, and what they mean. */
static const struct encoding {
    const char *hex;
    enum fmt_example_kind kind;
    uint32_t count;
    float numbers[4];
} ENCODINGS[] = {
    {"", FMT_EXAMPLE_EMPTY, 0, {0}},
    {"1200", FMT_EXAMPLE_FLOATS, 0, {0}},
    {"1a00", FMT_EXAMPLE_INTEGERS, 0, {0}},
    {"12060a040000803f", FMT_EXAMPLE_FLOATS, 1, {1}},
    {"12050d0000803f", FMT_EXAMPLE_FLOATS, 1, {1}},                          /* not packed */
    {"120b0d0000803f0a0400000040", FMT_EXAMPLE_FLOATS, 2, {1, 2}},           /* both */
    {"12060a040000803f12050d00000040", FMT_EXAMPLE_FLOATS, 2, {1, 2}},       /* two lists */
    {"1a020805", FMT_EXAMPLE_INTEGERS, 1, {5}},                              /* not packed */
    {"1a0c0a03050603080410010a0107", FMT_EXAMPLE_INTEGERS, 5, {5, 6, 3, 4}}, /* and unknown 2 */
    {"1a0c0a0affffffffffffffffff01", FMT_EXAMPLE_INTEGERS, 1, {-1}},
    {"12060a040000803f1a030a0109", FMT_EXAMPLE_INTEGERS, 1, {9}}, /* the later kind counts */
    {"1a030a010912060a040000803f", FMT_EXAMPLE_FLOATS, 1, {1}},
    {"0a030a0178", FMT_EXAMPLE_BYTES, 1, {0}},
    {"0a060a01780a0179", FMT_EXAMPLE_BYTES, 2, {0}},
    {"22020801", FMT_EXAMPLE_EMPTY, 0, {0}},  /* an unknown field */
    {"12020805", FMT_EXAMPLE_FLOATS, 0, {0}}, /* an integer in a list of floats is unknown there */
};

static size_t parse_hex(const char *hex, uint8_t *out)
{
    size_t len = 0;
    for (; *hex != '\0'; hex += 2) {
        const char pair[] = {hex[0], hex[1], '\0'};
        out[len++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

static void test_features_of_every_encoding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ENCODINGS) / sizeof(ENCODINGS[0]); i++) {
        const struct encoding *encoding = &ENCODINGS[i];
        uint8_t bytes[64];
        float numbers[5] = {[4] = 77};
        struct fmt_example_values values;
        size_t len = parse_hex(encoding->hex, bytes);
        uint8_t *in = arena + ARENA_BYTES - len;
        memcpy(in, bytes, len);
        if (!fmt_example_read((struct fmt_wire){in, in + len}, numbers, 4, &values) ||
            values.kind != encoding->kind || values.count != encoding->count)
            fail_msg("%s: kind %d, %u values", encoding->hex, values.kind, (unsigned)values.count);
        for (uint32_t k = 0; k < encoding->count && k < 4; k++)
            if (values.kind != FMT_EXAMPLE_BYTES)
                assert_true(numbers[k] == encoding->numbers[k]);
        assert_true(numbers[4] == 77);
        /* cut short anywhere it is a feature without the end, or none */
        for (size_t cut = 0; cut < len; cut++) {
            memmove(arena + ARENA_BYTES - cut, bytes, cut);
            in = arena + ARENA_BYTES - cut;
            (void)fmt_example_read((struct fmt_wire){in, in + cut}, numbers, 4, &values);
        }
    }
}

static const char *const MALFORMED[] = {
    "0b",
    "0c",
    "00",
    "12",
    "1205",
    "12060a04000080",
    "12050a03000080",
    "1a030a01ff",
    "1a0108",
    "1a0d0a0bffffffffffffffffffff01",
    "12040a84ffff",
};

static void test_features_that_are_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(MALFORMED) / sizeof(MALFORMED[0]); i++) {
        uint8_t bytes[64];
        float numbers[4];
        struct fmt_example_values values;
        size_t len = parse_hex(MALFORMED[i], bytes);
        uint8_t *in = arena + ARENA_BYTES - len;
        memcpy(in, bytes, len);
        if (fmt_example_read((struct fmt_wire){in, in + len}, numbers, 4, &values))
            fail_msg("%s was accepted", MALFORMED[i]);
    }
}

#define FLOAT_1 "\x12\x06\x0a\x04\x00\x00\x80\x3f"
#define FLOATS_2 "\x12\x0a\x0a\x08\x00\x00\x80\x3f\x00\x00\x00\x40"
#define BYTES_1 "\x0a\x03\x0a\x01x"

/* A second record, behind one that has a = 1.0 and l = 1.0, and what is wrong with it. */
static const struct bad_row {
    const char *name;
    const char *feature;
    size_t len;
    const char *error;
} BAD_ROWS[] = {
    {"a", FLOATS_2, 12, "feature a has 2 numbers, the channel's have 1"},
    {"a", "", 0, "feature a has 0 numbers"},
    {"a", BYTES_1, 5, "feature a is a list of bytes"},
    {"a", "\x12\x03\x0a\x04\x00", 5, "feature a is malformed"},
    {"b", FLOAT_1, 8, "feature a is missing"},
    {"", FLOAT_1, 8, "feature a is missing"},
};

static void test_rows_that_do_not_fit_say_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD_ROWS) / sizeof(BAD_ROWS[0]); i++) {
        struct frames object = {0};
        struct frames example = {0};
        struct drive_result result;
        example_put(&example, "a", FLOATS_2, 12); /* the last of a name counts */
        example_put(&example, "l", FLOAT_1, 8);
        example_put(&example, "a", FLOAT_1, 8);
        tfrecord_put(&object, example.bytes, example.len_bytes);
        frames_free(&example);
        example_put(&example, "l", FLOAT_1, 8);
        example_put(&example, BAD_ROWS[i].name, BAD_ROWS[i].feature, BAD_ROWS[i].len);
        tfrecord_put(&object, example.bytes, example.len_bytes);
        run("tfrecord;example=a;label=l", &object, step_all, NULL, 10, &result);
        assert_true(result.failed);
        assert_int_equal(result.rows, 1);
        assert_true(result.values[0] == 1 && result.values[1] == 1);
        if (strstr(result.text, BAD_ROWS[i].error) == NULL)
            fail_msg("%s: %s", BAD_ROWS[i].error, result.text);
        drive_result_free(&result);
        frames_free(&example);
        frames_free(&object);
    }
}

static void test_data_that_are_no_example_say_so(void **state)
{
    (void)state;
    struct frames object = {0};
    struct drive_result result;
    tfrecord_put(&object, "plain text", 10);
    run("tfrecord;example=a", &object, step_all, NULL, 10, &result);
    assert_string_equal(result.text, "the record's 10 bytes are no tf.train.Example");
    drive_result_free(&result);
    frames_free(&object);
}

static void test_options_that_do_not_go_together(void **state)
{
    (void)state;
    static const char *const BAD[][2] = {
        {"tfrecord;example=", "example has an empty name"},
        {"tfrecord;example=a,,b", "example has an empty name"},
        {"tfrecord;example=a;label=a", "feature a is named twice"},
        {"tfrecord;example=a;label=\"b,c\"", "label is one feature, not 2"},
        {"tfrecord;label=a", "label needs example or text"},
        {"tfrecord;colour=a", "tfrecord has no parameter colour: it has example, label, text"},
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct fmt_options options;
        struct fmt_error error = {.text = ""};
        assert_int_equal(fmt_options_parse(BAD[i][0], &options, &error), FMT_E_ARGUMENT);
        if (strstr(error.text, BAD[i][1]) == NULL)
            fail_msg("%s: %s", BAD[i][0], error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_google_protobuf_are_rows),
        cmocka_unit_test(test_records_without_example_are_texts),
        cmocka_unit_test(test_truncated_at_every_byte_says_so),
        cmocka_unit_test(test_every_bit_flipped_is_an_error_at_its_record),
        cmocka_unit_test(test_decode_bad_data_leave_texts_as_they_were),
        cmocka_unit_test(test_resync_in_any_steps_is_the_next_record),
        cmocka_unit_test(test_heads_are_found_at_every_place),
        cmocka_unit_test(test_features_of_every_encoding),
        cmocka_unit_test(test_features_that_are_malformed),
        cmocka_unit_test(test_rows_that_do_not_fit_say_why),
        cmocka_unit_test(test_data_that_are_no_example_say_so),
        cmocka_unit_test(test_options_that_do_not_go_together),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
