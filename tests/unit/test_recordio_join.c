/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_recordio_join.c - records of several parts: dmlc's rule, AWS's, and which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/crc.h"
#include "formats/recordio_join.h"
#include "tests/arena.h"
#include "tests/drive.h"
#include "tests/frames.h"

#define MAGIC "\x0a\x23\xd7\xce"

/* The record at `in`, up to the end of readable memory. */
static enum fmt_rc join(struct fmt_joiner *joiner, const struct frames *frames,
                        struct fmt_recordio_record *record, struct fmt_error *error,
                        const uint8_t **in)
{
    uint8_t *at = arena + ARENA_BYTES - frames->len_bytes;
    memcpy(at, frames->bytes, frames->len_bytes);
    *in = at;
    assert_int_equal(fmt_recordio_read(at, frames->len_bytes, record, NULL), FMT_OK);
    return fmt_joiner_join(joiner, at, record, error);
}

static void assert_body(const struct fmt_joiner *joiner, const void *body, size_t len)
{
    assert_int_equal(joiner->len_bytes, len);
    assert_memory_equal(joiner->body, body, len);
}

/* Payloads, and the frames that dmlc-core's writer made of them (formats.md, and run by hand). */
static const struct vector {
    const char *body;
    size_t body_bytes;
    const char *hex;
} VECTORS[] = {
    {"", 0, "0a23d7ce00000000"},
    {"x", 1, "0a23d7ce0100000078000000"},
    {MAGIC, 4, "0a23d7ce000000200a23d7ce00000060"},
    {MAGIC "ab", 6, "0a23d7ce000000200a23d7ce0200006061620000"},
    {"abcd" MAGIC, 8, "0a23d7ce04000020616263640a23d7ce00000060"},
    {MAGIC MAGIC, 8, "0a23d7ce000000200a23d7ce000000400a23d7ce00000060"},
    {"a" MAGIC "bcd", 8, "0a23d7ce08000000610a23d7ce626364"},
};

static void test_dmlc_vectors_give_their_payloads(void **state)
{
    (void)state;
    struct fmt_joiner joiner = {.multipart = FMT_MULTIPART_DMLC};
    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++) {
        const struct vector *vector = &VECTORS[i];
        struct frames frames = {0};
        struct frames written = {0};
        for (const char *hex = vector->hex; *hex != '\0'; hex += 2) {
            const char pair[] = {hex[0], hex[1], '\0'};
            uint8_t byte = (uint8_t)strtoul(pair, NULL, 16);
            frames_put(&frames, &byte, 1);
        }
        struct fmt_recordio_record record;
        const uint8_t *in;
        assert_int_equal(join(&joiner, &frames, &record, NULL, &in), FMT_OK);
        assert_body(&joiner, vector->body, vector->body_bytes);
        frames_put_dmlc(&written, (const uint8_t *)vector->body, vector->body_bytes);
        assert_int_equal(written.len_bytes, frames.len_bytes);
        assert_memory_equal(written.bytes, frames.bytes, frames.len_bytes);
        frames_free(&frames);
        frames_free(&written);
    }
    fmt_joiner_clear(&joiner);
}

static void test_dmlc_payloads_full_of_magic_come_back(void **state)
{
    (void)state;
    struct fmt_joiner joiner = {.multipart = FMT_MULTIPART_DMLC};
    for (int round = 0; round < 500; round++) {
        uint8_t body[200];
        size_t len = below(sizeof(body));
        struct frames frames = {0};
        struct fmt_recordio_record record;
        const uint8_t *in;
        for (size_t i = 0; i < len; i++)
            body[i] = (uint8_t)below(256);
        for (uint32_t i = below(20); len >= 4 && i > 0; i--)
            memcpy(body + below((uint32_t)len - 3), MAGIC, 4);
        frames_put_dmlc(&frames, body, len);
        assert_int_equal(join(&joiner, &frames, &record, NULL, &in), FMT_OK);
        assert_body(&joiner, body, len);
        frames_free(&frames);
    }
    fmt_joiner_clear(&joiner);
}

/* ml-io's tests/resources/recordio/split_records.pr, byte for byte (awslabs/ml-io, Apache-2.0):
 * five records of three features and a label, each in parts of 8, 10, 1 and 29 bytes. In
 * corrupted_split_records.pr the fourth begins with a last part. */
static const float ML_IO_ROWS[5][4] = {
    {1, 0, 0, 1}, {1, 0, 0, 2}, {0, 1, 0, 3}, {0, 2, 0, 4}, {0, 0, 0, 5}};

static void put_ml_io(struct frames *frames, uint8_t bodies[5][48], bool corrupted)
{
    static const size_t PARTS[] = {8, 10, 1, 29};
    for (size_t i = 0; i < 5; i++) {
        uint8_t *body = bodies[i];
        memcpy(body, "\x0a\x1a\x0a\x06values\x12\x10\x12\x0e\x0a\x0c", 16);
        memcpy(body + 16, ML_IO_ROWS[i], 12);
        memcpy(body + 28, "\x12\x12\x0a\x06values\x12\x08\x12\x06\x0a\x04", 16);
        memcpy(body + 44, &ML_IO_ROWS[i][3], 4);
        for (size_t part = 0, from = 0; part < 4; from += PARTS[part++])
            frames_put_part(frames,
                            part == 3 || (corrupted && i == 3 && part == 0) ? 3
                            : part > 0                                      ? 2
                                                                            : 1,
                            body + from, PARTS[part]);
    }
}

static void test_ml_io_split_records_are_five_by_concat_and_auto(void **state)
{
    (void)state;
    struct frames frames = {0};
    uint8_t bodies[5][48];
    put_ml_io(&frames, bodies, false);
    assert_int_equal(frames.len_bytes, 440);
    assert_int_equal(fmt_crc(FMT_CRC32, 0, frames.bytes, 440), 0xd507c80b); /* of ml-io's file */
    for (int multipart = FMT_MULTIPART_CONCAT; multipart <= FMT_MULTIPART_AUTO; multipart++) {
        struct fmt_joiner joiner = {.multipart = (enum fmt_multipart)multipart};
        const uint8_t *in = frames.bytes;
        for (size_t i = 0; i < 5; i++) {
            struct fmt_recordio_record record;
            struct fmt_error error = {.text = ""};
            assert_int_equal(
                fmt_recordio_read(in, 440 - (size_t)(in - frames.bytes), &record, NULL), FMT_OK);
            enum fmt_rc rc = fmt_joiner_join(&joiner, in, &record, &error);
            in += record.len_bytes;
            if (multipart == FMT_MULTIPART_DMLC) {
                assert_int_equal(rc, FMT_E_FORMAT);
                assert_non_null(strstr(error.text, "part 2 of the record has 10 bytes"));
                continue;
            }
            assert_int_equal(rc, FMT_OK);
            assert_false(joiner.is_guess);
            assert_body(&joiner, bodies[i], 48);
        }
        fmt_joiner_clear(&joiner);
    }
    frames_free(&frames);
}

static void test_ml_io_corrupted_split_records_end_at_the_fourth(void **state)
{
    (void)state;
    struct frames frames = {0};
    uint8_t bodies[5][48];
    put_ml_io(&frames, bodies, true);
    assert_int_equal(fmt_crc(FMT_CRC32, 0, frames.bytes, 440), 0x7a14c272); /* of ml-io's file */
    struct fmt_cut cut = {.rows = 0};
    struct fmt_error error = {.text = ""};
    assert_int_equal(fmt_recordio_cut(NULL, frames.bytes, 440, true, true, 10, &cut, &error),
                     FMT_OK);
    assert_int_equal(cut.rows, 3);
    size_t at = cut.len_bytes;
    assert_int_equal(at, 264);
    cut = (struct fmt_cut){.rows = 0};
    assert_int_equal(
        fmt_recordio_cut(NULL, frames.bytes + at, 440 - at, false, true, 10, &cut, &error),
        FMT_E_FORMAT);
    assert_non_null(strstr(error.text, "begins with a last part"));
    frames_free(&frames);
}

static void test_auto_parts_that_tell_nothing_are_a_guess(void **state)
{
    (void)state;
    struct frames frames = {0};
    struct fmt_joiner joiner = {.multipart = FMT_MULTIPART_AUTO};
    struct fmt_recordio_record record;
    const uint8_t *in;
    frames_put_part(&frames, 1, "abcdefgh", 8);
    frames_put_part(&frames, 2, "", 0);
    frames_put_part(&frames, 3, "xyz", 3);
    assert_int_equal(join(&joiner, &frames, &record, NULL, &in), FMT_OK);
    assert_true(joiner.is_guess);
    assert_body(&joiner, "abcdefgh" MAGIC MAGIC "xyz", 19);
    fmt_joiner_retry(&joiner, in, &record);
    assert_false(joiner.is_guess);
    assert_body(&joiner, "abcdefghxyz", 11);

    frames_free(&frames);
    frames_put_part(&frames, 0, "whole", 5);
    assert_int_equal(join(&joiner, &frames, &record, NULL, &in), FMT_OK);
    assert_false(joiner.is_guess);
    assert_ptr_equal(joiner.body, in + 8); /* in place */
    assert_body(&joiner, "whole", 5);

    /* the last part may have any length, by either rule */
    frames_free(&frames);
    joiner.multipart = FMT_MULTIPART_DMLC;
    frames_put_part(&frames, 1, "", 0);
    frames_put_part(&frames, 3, "", 0);
    assert_int_equal(join(&joiner, &frames, &record, NULL, &in), FMT_OK);
    assert_body(&joiner, MAGIC, 4);
    frames_free(&frames);
    fmt_joiner_clear(&joiner);
}

/* What rows a channel of recordio-protobuf gets of three features and a label. */
static void assert_rows(const char *content_type, const struct frames *object, size_t rows,
                        const float expected[][4], const char *error)
{
    struct drive drive = {.rows_max = 100, .exact = true, .step = step_all};
    struct drive_result result;
    assert_int_equal(fmt_options_parse(content_type, &drive.options, NULL), FMT_OK);
    drive_run(&drive, object->bytes, object->len_bytes, &result);
    if (strstr(result.text, error) == NULL || (*error == '\0' && result.failed))
        fail_msg("%s: '%s'", content_type, result.text);
    assert_int_equal(result.rows, rows);
    if (rows > 0)
        assert_memory_equal(result.values, expected, rows * sizeof(expected[0]));
    drive_result_free(&result);
    fmt_options_free(&drive.options);
}

#define PROTOBUF "application/x-recordio-protobuf"

static void test_protobuf_records_in_parts_by_each_rule(void **state)
{
    (void)state;
    static const float MAGICS[2][4] = {{-1804698880.0f, 2, -1804698880.0f, -1804698880.0f},
                                       {1, 2, 3, 4}};
    struct frames object = {0};
    uint8_t bodies[5][48];
    put_ml_io(&object, bodies, false);
    assert_rows(PROTOBUF, &object, 5, ML_IO_ROWS, "");
    assert_rows(PROTOBUF ";multipart=concat", &object, 5, ML_IO_ROWS, "");
    assert_rows(PROTOBUF ";multipart=auto", &object, 5, ML_IO_ROWS, "");
    assert_rows(PROTOBUF ";multipart=dmlc", &object, 0, NULL, "was not cut by dmlc's rule");

    frames_free(&object);
    put_ml_io(&object, bodies, true);
    assert_rows(PROTOBUF, &object, 3, ML_IO_ROWS, "begins with a last part");

    /* cut by dmlc around values that are the magic number */
    frames_free(&object);
    for (size_t i = 0; i < 2; i++) {
        memcpy(bodies[i] + 16, MAGICS[i], 12);
        memcpy(bodies[i] + 44, &MAGICS[i][3], 4);
        frames_put_dmlc(&object, bodies[i], 48);
    }
    assert_true(object.len_bytes > 2 * 56);
    assert_rows(PROTOBUF ";multipart=dmlc", &object, 2, MAGICS, "");
    assert_rows(PROTOBUF ";multipart=auto", &object, 2, MAGICS, "");
    assert_rows(PROTOBUF, &object, 0, NULL, "record's 36 bytes are not a protobuf message");

    /* parts of AWS's kind that dmlc's could be, too: not once they are put together */
    frames_free(&object);
    for (size_t i = 0; i < 2; i++) {
        frames_put_part(&object, 1, bodies[i], 20);
        frames_put_part(&object, 3, bodies[i] + 20, 28);
    }
    assert_rows(PROTOBUF, &object, 2, MAGICS, "");
    assert_rows(PROTOBUF ";multipart=auto", &object, 2, MAGICS, "");
    assert_rows(PROTOBUF ";multipart=dmlc", &object, 0, NULL, "not a protobuf message");
    frames_free(&object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dmlc_vectors_give_their_payloads),
        cmocka_unit_test(test_dmlc_payloads_full_of_magic_come_back),
        cmocka_unit_test(test_ml_io_split_records_are_five_by_concat_and_auto),
        cmocka_unit_test(test_ml_io_corrupted_split_records_end_at_the_fourth),
        cmocka_unit_test(test_auto_parts_that_tell_nothing_are_a_guess),
        cmocka_unit_test(test_protobuf_records_in_parts_by_each_rule),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
