/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_image_record.c - application/x-recordio: records as im2rec writes them, of one
 * part and of several, with one label and with many, and damaged ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/image_fixture.h"

struct stream {
    uint8_t *bytes;
    size_t len;
};

static void put(struct stream *stream, const void *bytes, size_t len)
{
    stream->bytes = realloc(stream->bytes, stream->len + len + 4);
    assert_non_null(stream->bytes);
    memcpy(stream->bytes + stream->len, bytes, len);
    stream->len += len;
}

static void put_word(struct stream *stream, uint32_t word)
{
    put(stream, &word, sizeof(word));
}

static void put_part(struct stream *stream, uint32_t flag, const uint8_t *in, size_t len)
{
    static const uint8_t zeros[4];
    put_word(stream, 0xced7230a);
    put_word(stream, flag << 29 | (uint32_t)len);
    put(stream, in, len);
    put(stream, zeros, -len & 3);
}

/* dmlc-core's WriteRecord: a payload is split at each aligned magic number, which is left out. */
static void put_record(struct stream *stream, const uint8_t *in, size_t len)
{
    size_t from = 0;
    for (size_t i = 0; i + 4 <= len; i += 4) {
        uint32_t word;
        memcpy(&word, in + i, sizeof(word));
        if (word == 0xced7230a) {
            put_part(stream, from == 0 ? 1 : 2, in + from, i - from);
            from = i + 4;
        }
    }
    put_part(stream, from == 0 ? 0 : 3, in + from, len - from);
}

/* mxnet's pack: flag 0 has its label in the head. */
static void put_image(struct stream *stream, uint32_t flag, const float *labels, struct file file)
{
    struct stream payload = {NULL, 0};
    uint64_t ids[2] = {17, 0};
    put_word(&payload, flag);
    put(&payload, labels, 4);
    put(&payload, ids, sizeof(ids));
    if (flag > 0)
        put(&payload, labels, flag * sizeof(*labels));
    put(&payload, file.bytes, file.len);
    put_record(stream, payload.bytes, payload.len);
    free(payload.bytes);
}

static void test_image_records(void **state)
{
    (void)state;
    struct stream stream = {NULL, 0};
    struct file files[5];
    for (uint32_t i = 0; i < 5; i++) {
        float label = (float)i + 0.5f;
        files[i] = make_png(&rgb_png, 9 + i, 8, i, PNG_ALL_FILTERS, 0);
        put_image(&stream, i % 2, &label, files[i]);
    }
    struct file object = {stream.bytes, stream.len};
    struct drive_result result = run(
        "application/x-recordio;image_shape=3,8,9;dtype=float32;layout=nhwc", "a", object, NULL);
    check_good(&result, 5);
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t channels;
        uint8_t *all = pixels_of(files[i], &channels);
        const float *row = result.values + i * (8 * 9 * 3 + 1);
        assert_true(row[8 * 9 * 3] == (float)i + 0.5f);
        assert_true(row[0] == (float)all[(i / 2) * 3]);
        free(all);
        free(files[i].bytes);
    }
    drive_result_free(&result);
    free(stream.bytes);
}

/* A picture with RecordIO's magic number in it: in a PNG text chunk, at a multiple of four. */
static void test_records_of_several_parts(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 9, 8, 3, PNG_ALL_FILTERS, 0);
    for (size_t lead = 0; lead < 4; lead++) {
        struct stream picture = {NULL, 0};
        struct stream stream = {NULL, 0};
        uint8_t text[24] = {0, 0, 0, 12, 't', 'E', 'X', 't'};
        memcpy(text + 8 + lead, "\x0a\x23\xd7\xce", 4);
        memcpy(text + 8 + lead + 4, "\x0a\x23\xd7\xce", 4);
        uint32_t crc = __builtin_bswap32((uint32_t)crc32(0, text + 4, 16));
        memcpy(text + 20, &crc, 4);
        float label = 2;
        put(&picture, file.bytes, 33);
        put(&picture, text, sizeof(text));
        put(&picture, file.bytes + 33, file.len - 33);
        for (int i = 0; i < 2; i++)
            put_image(&stream, 0, &label, (struct file){picture.bytes, picture.len});
        struct file object = {stream.bytes, stream.len};
        struct drive_result result =
            run("application/x-recordio;image_shape=3,8,9", "a", object, NULL);
        check_good(&result, 2);
        drive_result_free(&result);
        /* 24 + 33 + 8 + lead is a multiple of four where lead is 3 */
        bool is_split = stream.len > 2 * (8 + 24 + picture.len + 3);
        assert_int_equal(is_split, lead == 3);
        result =
            run("application/x-recordio;image_shape=3,8,9;multipart=concat", "a", object, NULL);
        assert_int_equal(result.failed, is_split);
        drive_result_free(&result);
        result = run("application/x-recordio;image_shape=3,8,9;multipart=auto", "a", object, NULL);
        check_good(&result, 2);
        drive_result_free(&result);
        free(picture.bytes);
        free(stream.bytes);
    }
    free(file.bytes);
}

/* Parts as AWS's readers take them, of any length: what the frames leave open the picture tells. */
static void test_parts_of_any_length(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 9, 8, 3, PNG_ALL_FILTERS, 0);
    float label = 2;
    struct stream whole = {NULL, 0};
    put_image(&whole, 0, &label, file);
    uint32_t len = 24 + (uint32_t)file.len;
    for (uint32_t first = 0; first <= len; first++) {
        struct stream stream = {NULL, 0};
        put_part(&stream, 1, whole.bytes + 8, first);
        put_part(&stream, 3, whole.bytes + 8 + first, len - first);
        struct file object = {stream.bytes, stream.len};
        struct drive_result result =
            run("application/x-recordio;image_shape=3,8,9;multipart=auto", "a", object, NULL);
        check_good(&result, 1);
        drive_result_free(&result);
        result = run("application/x-recordio;image_shape=3,8,9", "a", object, NULL);
        assert_true(result.failed);
        assert_true(first % 4 == 0 || strstr(result.text, "multipart=concat") != NULL);
        drive_result_free(&result);
        free(stream.bytes);
    }
    free(whole.bytes);
    free(file.bytes);
}

static void test_labels_of_records(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 2, 2, 3, PNG_ALL_FILTERS, 0);
    struct stream stream = {NULL, 0};
    static const float labels[] = {2, 5, 1, 0.1f, 0.2f, 0.3f, 0.4f};
    put_image(&stream, 7, labels, file);
    put_image(&stream, 2, labels, file);
    struct file object = {stream.bytes, stream.len};
    struct drive_result result =
        run("application/x-recordio;image_shape=3,2,2;dtype=float32;label_pad_width=8;"
            "label_pad_value=-7",
            "a", object, NULL);
    check_good(&result, 2);
    static const float padded[2][8] = {{2, 5, 1, 0.1f, 0.2f, 0.3f, 0.4f, -7},
                                       {2, 5, -7, -7, -7, -7, -7, -7}};
    for (int i = 0; i < 2; i++)
        assert_memory_equal(result.values + i * 20 + 12, padded[i], sizeof(padded[i]));
    drive_result_free(&result);
    result = run("application/x-recordio;image_shape=3,2,2;label_width=7", "a", object, NULL);
    assert_true(result.failed);
    assert_int_equal(result.rows, 1);
    assert_int_equal(result.error_offset_bytes, 8 + ((24 + 28 + file.len + 3) & ~(size_t)3));
    assert_non_null(strstr(result.text, "2 labels, not 7"));
    drive_result_free(&result);
    result = run("application/x-recordio;image_shape=3,2,2", "a", object, NULL);
    assert_true(result.failed);
    assert_non_null(strstr(result.text, "7 labels, not 1"));
    drive_result_free(&result);
    free(stream.bytes);
    free(file.bytes);
}

static void test_damaged_records_are_refused(void **state)
{
    (void)state;
    static const char type[] = "application/x-recordio;image_shape=3,2,2";
    struct file file = make_png(&rgb_png, 2, 2, 3, PNG_ALL_FILTERS, 0);
    struct stream stream = {NULL, 0};
    float label = 1;
    put_image(&stream, 0, &label, file);
    for (size_t len = 1; len < stream.len; len++) {
        struct drive_result result = run(type, "a", (struct file){stream.bytes, len}, NULL);
        assert_true(result.failed);
        drive_result_free(&result);
    }
    for (uint32_t payload = 0; payload < 40; payload++) { /* whole frames of too little */
        struct stream little = {NULL, 0};
        uint8_t zeros[40] = {0xff, 0xff, 0xff, 0x7f};
        put_record(&little, zeros, payload);
        struct drive_result result = run(type, "a", (struct file){little.bytes, little.len}, NULL);
        assert_true(result.failed);
        drive_result_free(&result);
        free(little.bytes);
    }
    free(stream.bytes);
    free(file.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image_records),
        cmocka_unit_test(test_records_of_several_parts),
        cmocka_unit_test(test_parts_of_any_length),
        cmocka_unit_test(test_labels_of_records),
        cmocka_unit_test(test_damaged_records_are_refused),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
