/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_recordio.c - RecordIO frames: cut, read, join. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "formats/recordio.h"
#include "tests/guard.h"

/* Bytes of a stream under construction. */
struct stream {
    uint8_t bytes[1024];
    size_t len_bytes;
};

static void put_u32(struct stream *stream, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        stream->bytes[stream->len_bytes++] = (uint8_t)(word >> (8 * i));
}

/* A frame whose payload counts up from `first`, and whose pad is not zero. */
static void put_frame(struct stream *stream, uint32_t flag, uint32_t body_bytes, uint8_t first)
{
    put_u32(stream, FMT_RECORDIO_MAGIC);
    put_u32(stream, flag << 29 | body_bytes);
    for (uint32_t i = 0; i < body_bytes; i++)
        stream->bytes[stream->len_bytes++] = (uint8_t)(first + i);
    while (stream->len_bytes % 4 != 0)
        stream->bytes[stream->len_bytes++] = ' ';
}

/* cut on a copy of the first len bytes that ends at the guard page. */
static enum fmt_rc cut_guarded(const struct stream *stream, size_t len, bool at_end,
                               uint32_t rows_max, struct fmt_cut *cut, struct fmt_error *error)
{
    memcpy(guard_end - len, stream->bytes, len);
    return fmt_recordio_cut(NULL, guard_end - len, len, true, at_end, rows_max, cut, error);
}

static void test_cut_whole_frames_finds_all_up_to_rows_max(void **state)
{
    (void)state;
    struct stream stream = {0};
    size_t ends[11] = {0};
    for (uint32_t i = 0; i < 10; i++) {
        put_frame(&stream, 0, i, 1);
        ends[i + 1] = stream.len_bytes;
    }
    for (uint32_t rows_max = 1; rows_max <= 12; rows_max++) {
        struct fmt_cut cut = {0};
        assert_int_equal(cut_guarded(&stream, stream.len_bytes, true, rows_max, &cut, NULL),
                         FMT_OK);
        uint32_t expected = rows_max < 10 ? rows_max : 10;
        assert_int_equal(cut.rows, expected);
        assert_int_equal(cut.len_bytes, ends[expected]);
        assert_int_equal(cut.lead_bytes, 0);
    }
}

static void test_cut_at_every_length_gives_the_whole_records_or_more(void **state)
{
    (void)state;
    struct stream stream = {0};
    put_frame(&stream, 0, 5, 1);
    put_frame(&stream, 0, 0, 1);
    put_frame(&stream, 1, 3, 1);
    put_frame(&stream, 2, 0, 1);
    put_frame(&stream, 3, 6, 1);
    put_frame(&stream, 0, 8, 1);
    static const size_t ENDS[] = {16, 24, 60, 76};
    assert_int_equal(stream.len_bytes, ENDS[3]);
    for (size_t len = 1; len <= stream.len_bytes; len++) {
        uint32_t whole = 0;
        while (whole < 4 && ENDS[whole] <= len)
            whole++;
        struct fmt_cut cut = {0};
        enum fmt_rc rc = cut_guarded(&stream, len, false, 100, &cut, NULL);
        assert_int_equal(rc, whole > 0 ? FMT_OK : FMT_MORE);
        assert_int_equal(cut.rows, whole);
        assert_int_equal(cut.len_bytes, whole > 0 ? ENDS[whole - 1] : 0);
    }
}

static void test_cut_truncated_at_the_end_says_so(void **state)
{
    (void)state;
    struct stream stream = {0};
    put_frame(&stream, 0, 50, 1);
    for (size_t len = 1; len < stream.len_bytes; len++) {
        struct fmt_cut cut = {0};
        struct fmt_error error = {0};
        assert_int_equal(cut_guarded(&stream, len, true, 100, &cut, &error), FMT_E_FORMAT);
        assert_non_null(strstr(error.text, "truncated"));
        assert_int_equal(error.offset_bytes, 0);
    }
    struct fmt_cut cut = {0};
    struct fmt_error error = {0};
    assert_int_equal(cut_guarded(&stream, 30, true, 100, &cut, &error), FMT_E_FORMAT);
    assert_string_equal(error.text, "truncated: the frame announces 50 bytes and padding, the "
                                    "object ends after 22");
    /* after a whole record, the error is the next call's */
    put_frame(&stream, 0, 4, 1);
    assert_int_equal(cut_guarded(&stream, 70, true, 100, &cut, &error), FMT_OK);
    assert_int_equal(cut.rows, 1);
    assert_int_equal(cut.len_bytes, 60);
}

static void test_cut_bad_magic_is_found_at_its_fourth_byte(void **state)
{
    (void)state;
    struct stream stream = {0};
    put_frame(&stream, 0, 4, 1);
    stream.bytes[0] = 0x1f;
    struct fmt_cut cut = {0};
    struct fmt_error error = {0};
    assert_int_equal(cut_guarded(&stream, 3, false, 100, &cut, &error), FMT_MORE);
    assert_int_equal(cut_guarded(&stream, 4, false, 100, &cut, &error), FMT_E_FORMAT);
    assert_non_null(strstr(error.text, "bad magic 0xced7231f at frame head; expected 0xced7230a"));
    assert_int_equal(cut.len_bytes, 0);
}

static void test_cut_zeros_are_no_records(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct fmt_cut cut = {.rows = 0};
    struct fmt_error error;
    assert_int_equal(fmt_recordio_cut(NULL, zeros, sizeof(zeros), true, true, 100, &cut, &error),
                     FMT_E_FORMAT);
    assert_int_equal(cut.rows, 0);
    assert_non_null(strstr(error.text, "bad magic 0x00000000"));
}

static void test_cut_undefined_flags_are_refused(void **state)
{
    (void)state;
    for (uint32_t flag = 4; flag <= 7; flag++) {
        struct stream stream = {0};
        put_frame(&stream, flag, 4, 1);
        struct fmt_cut cut = {0};
        struct fmt_error error = {0};
        assert_int_equal(cut_guarded(&stream, 8, false, 100, &cut, &error), FMT_E_FORMAT);
        assert_non_null(strstr(error.text, "is not defined"));
    }
}

/* Frames by their flags, and how many records can be cut before the error, if there is one. */
static const struct sequence {
    const char *flags;
    uint32_t rows;
    const char *error;
} SEQUENCES[] = {
    {"0", 1, NULL},
    {"000", 3, NULL},
    {"13", 1, NULL},
    {"123", 1, NULL},
    {"12223", 1, NULL},
    {"0130130", 5, NULL},
    {"2", 0, "begins with a middle part"},
    {"3", 0, "begins with a last part"},
    {"03", 1, "begins with a last part"},
    {"133", 1, "begins with a last part"},
    {"10", 0, "before the last part"},
    {"11", 0, "before the last part"},
    {"120", 0, "before the last part"},
    {"121", 0, "before the last part"},
    {"0131", 2, "ends between two parts"},
    {"12", 0, "ends between two parts"},
    {"15", 0, "is not defined"},
};

/* Cuts the stream as the pipe does, `step` bytes at a time; returns the records before the error.
 */
static uint32_t cut_in_steps(const struct stream *stream, size_t step, struct fmt_error *error)
{
    uint32_t rows = 0;
    size_t at = 0;
    size_t given = 0;
    struct fmt_cut cut = {0};
    while (at < stream->len_bytes) {
        given = given + step < stream->len_bytes ? given + step : stream->len_bytes;
        bool at_end = given == stream->len_bytes;
        size_t len = given - at;
        memcpy(guard_end - len, stream->bytes + at, len);
        enum fmt_rc rc =
            fmt_recordio_cut(NULL, guard_end - len, len, at == 0, at_end, 1, &cut, error);
        if (rc == FMT_MORE) {
            assert_false(at_end);
            continue;
        }
        if (rc != FMT_OK)
            return rows;
        assert_int_equal(cut.rows, 1);
        at += cut.len_bytes;
        rows += cut.rows;
        given = at;
        cut = (struct fmt_cut){0};
    }
    error->text[0] = '\0';
    return rows;
}

static void test_cut_sequences_of_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(SEQUENCES) / sizeof(SEQUENCES[0]); i++) {
        const struct sequence *sequence = &SEQUENCES[i];
        struct stream stream = {0};
        for (size_t k = 0; sequence->flags[k] != '\0'; k++)
            put_frame(&stream, (uint32_t)(sequence->flags[k] - '0'), (uint32_t)(7 * k % 10), 1);
        for (size_t step = 1; step <= stream.len_bytes; step++) {
            struct fmt_error error = {0};
            uint32_t rows = cut_in_steps(&stream, step, &error);
            if (rows != sequence->rows)
                fail_msg("%s, step %zu: %u records", sequence->flags, step, rows);
            if (sequence->error == NULL ? error.text[0] != '\0'
                                        : strstr(error.text, sequence->error) == NULL)
                fail_msg("%s, step %zu: error '%s'", sequence->flags, step, error.text);
        }
    }
}

static void test_join_parts_of_any_length_are_concatenated(void **state)
{
    (void)state;
    static const uint32_t PARTS[] = {8, 10, 0, 1, 29}; /* 8, 10, 1, 29: as in ml-io's test data */
    struct stream stream = {0};
    uint8_t value = 1;
    for (uint32_t i = 0; i < 5; i++) {
        put_frame(&stream, i == 0 ? 1 : i == 4 ? 3 : 2, PARTS[i], value);
        value = (uint8_t)(value + PARTS[i]);
    }
    struct fmt_recordio_record record;
    const uint8_t *in = memcpy(guard_end - stream.len_bytes, stream.bytes, stream.len_bytes);
    assert_int_equal(fmt_recordio_read(in, stream.len_bytes, &record, NULL), FMT_OK);
    assert_int_equal(record.part_count, 5);
    assert_int_equal(record.body_bytes, 48);
    assert_int_equal(record.len_bytes, stream.len_bytes);
    uint8_t body[49] = {[48] = 0xaa};
    assert_int_equal(fmt_recordio_join(in, &record, false, body), record.body_bytes);
    for (uint8_t i = 0; i < 48; i++)
        assert_int_equal(body[i], i + 1);
    assert_int_equal(body[48], 0xaa);
    for (size_t len = 0; len < stream.len_bytes; len++) {
        struct fmt_error error = {0};
        assert_int_equal(fmt_recordio_read(guard_end - len, len, &record, &error), FMT_E_FORMAT);
    }
}

/* Bytes that dmlc-core wrote. Its parts are cut where the payload held the magic, which plain
 * concatenation leaves out: read here for the framing, not as the payload that dmlc meant. */
static const struct dmlc_vector {
    const char *hex;
    uint32_t part_count;
    size_t body_bytes;
} DMLC_VECTORS[] = {
    {"0a23d7ce00000000", 1, 0},
    {"0a23d7ce0100000078000000", 1, 1},
    {"0a23d7ce000000200a23d7ce00000060", 2, 0},
    {"0a23d7ce000000200a23d7ce0200006061620000", 2, 2},
    {"0a23d7ce04000020616263640a23d7ce00000060", 2, 4},
    {"0a23d7ce000000200a23d7ce000000400a23d7ce00000060", 3, 0},
    {"0a23d7ce08000000610a23d7ce626364", 1, 8},
};

static void test_dmlc_vectors_are_one_record_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(DMLC_VECTORS) / sizeof(DMLC_VECTORS[0]); i++) {
        const struct dmlc_vector *vector = &DMLC_VECTORS[i];
        struct stream stream = {0};
        for (const char *hex = vector->hex; *hex != '\0'; hex += 2) {
            char pair[] = {hex[0], hex[1], '\0'};
            stream.bytes[stream.len_bytes++] = (uint8_t)strtoul(pair, NULL, 16);
        }
        struct fmt_cut cut = {0};
        assert_int_equal(cut_guarded(&stream, stream.len_bytes, true, 10, &cut, NULL), FMT_OK);
        assert_int_equal(cut.rows, 1);
        assert_int_equal(cut.len_bytes, stream.len_bytes);
        struct fmt_recordio_record record;
        assert_int_equal(fmt_recordio_read(stream.bytes, stream.len_bytes, &record, NULL), FMT_OK);
        assert_int_equal(record.part_count, vector->part_count);
        assert_int_equal(record.body_bytes, vector->body_bytes);
    }
}

static void test_cut_length_that_ends_beyond_memory_asks_for_more(void **state)
{
    (void)state;
    struct stream stream = {0};
    put_u32(&stream, FMT_RECORDIO_MAGIC);
    put_u32(&stream, 0x1fffffff);
    struct fmt_cut cut = {0};
    struct fmt_error error = {0};
    assert_int_equal(cut_guarded(&stream, 8, false, 10, &cut, &error), FMT_MORE);
    assert_int_equal(cut_guarded(&stream, 8, true, 10, &cut, &error), FMT_E_FORMAT);
    assert_non_null(strstr(error.text, "announces 536870911 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_whole_frames_finds_all_up_to_rows_max),
        cmocka_unit_test(test_cut_at_every_length_gives_the_whole_records_or_more),
        cmocka_unit_test(test_cut_truncated_at_the_end_says_so),
        cmocka_unit_test(test_cut_bad_magic_is_found_at_its_fourth_byte),
        cmocka_unit_test(test_cut_zeros_are_no_records),
        cmocka_unit_test(test_cut_undefined_flags_are_refused),
        cmocka_unit_test(test_cut_sequences_of_parts),
        cmocka_unit_test(test_join_parts_of_any_length_are_concatenated),
        cmocka_unit_test(test_dmlc_vectors_are_one_record_each),
        cmocka_unit_test(test_cut_length_that_ends_beyond_memory_asks_for_more),
    };
    return cmocka_run_group_tests(tests, guard_make, NULL);
}
