/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_parquet.c - Parquet files that pyarrow wrote (tests/golden/make_parquet.py):
 * whole, in steps of any size, truncated at every offset, with every byte changed; parameters,
 * limits of memory, files of one channel that differ. What pyarrow can write besides is compared in
 * tests/integration/test_parquet.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipe/team.h"
#include "tests/inflate_drive.h"
#include "tests/parquet_drive.h"

#define FRAMES_BYTES_MAX ((size_t)1 << 22)
#define MEMORY_BYTES ((size_t)1 << 20)
#define TYPE "application/x-parquet;label_size=0"

static const char *const names[] = {"plain", "snappy", "gzip",         "zstd",  "lz4", "delta",
                                    "split", "texts",  "text_lengths", "empty", "long"};
enum { NAMES = sizeof names / sizeof *names, LONG = NAMES - 1 };

struct bytes {
    uint8_t *at;
    size_t len_bytes;
};

static struct bytes files[NAMES];
static struct bytes expected[NAMES];

static struct bytes load(const char *name, const char *extension)
{
    char path[200];
    struct bytes bytes = {.at = malloc(1 << 16)};

    snprintf(path, sizeof path, "tests/golden/parquet/%s.%s", name, extension);
    FILE *file = fopen(path, "rb");

    if (!file || !bytes.at)
        fail_msg("%s: cannot be read", path);
    bytes.len_bytes = fread(bytes.at, 1, 1 << 16, file);
    fclose(file);
    /* without a byte to spare */
    bytes.at = realloc(bytes.at, bytes.len_bytes);
    return bytes;
}

static int load_all(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        files[i] = load(names[i], "parquet");
        expected[i] = load(names[i], "rows");
    }
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        free(files[i].at);
        free(expected[i].at);
    }
    return 0;
}

static void check_rows(int i, const struct parquet_reader *reader,
                       const struct parquet_frames *frames)
{
    struct drive_result rows;
    uint32_t counts[2];
    const uint8_t *at = expected[i].at;

    if (frames->rc != FMT_INFLATE_END)
        fail_msg("%s: %s", names[i], frames->error.text);
    parquet_rows(reader, frames, &rows);
    memcpy(counts, at, sizeof counts);
    at += sizeof counts;
    assert_int_equal(rows.rows, counts[0]);
    if (rows.rows > 0) {
        size_t count = (size_t)counts[0] * counts[1];

        assert_int_equal(rows.shape.feature_dim, counts[1]);
        for (size_t k = 0; k < count; k++, at += 4) {
            float value;

            memcpy(&value, at, 4);
            if (memcmp(&value, &rows.values[k], 4) != 0 &&
                (value == value || rows.values[k] == rows.values[k]))
                fail_msg("%s: row %zu, column %zu: %.9g, not %.9g", names[i], k / counts[1],
                         k % counts[1], (double)rows.values[k], (double)value);
        }
    }
    size_t text_bytes = expected[i].len_bytes - (size_t)(at - expected[i].at);

    assert_int_equal(rows.more_len, text_bytes);
    if (text_bytes > 0)
        assert_memory_equal(rows.more, at, text_bytes);
    drive_result_free(&rows);
}

static void test_files_in_steps_of_any_size_give_pyarrows_rows(void **state)
{
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1 << 20, 1}, {1, 1000}, {100, 37}};
    struct parquet_frames frames;

    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
        for (int i = 0; i < NAMES; i++) {
            struct parquet_reader reader;

            parquet_open(&reader, TYPE, MEMORY_BYTES);
            parquet_frames(&reader, files[i].at, files[i].len_bytes, steps[s][0], steps[s][1],
                           FRAMES_BYTES_MAX, &frames);
            check_rows(i, &reader, &frames);
            free(frames.bytes);
            parquet_close(&reader);
        }
}

/* Files with the same columns, one of them without rows, one behind the other. */
static struct bytes join_files(void)
{
    static const int order[] = {0, 9, 1, 3, 9, 9, 2, 4};
    struct bytes joined = {.at = malloc(1 << 18)};

    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const struct bytes *file = &files[order[i]];

        memcpy(joined.at + joined.len_bytes, file->at, file->len_bytes);
        joined.len_bytes += file->len_bytes;
    }
    return joined;
}

static void test_a_stream_of_files_is_their_rows_one_after_the_other(void **state)
{
    static const int order[] = {0, 1, 3, 2, 4};
    static const size_t steps[][2] = {{1 << 20, 1 << 20}, {1, 1000}, {100, 37}, {1999, 1}};
    struct bytes joined = join_files();
    struct parquet_frames all = {.bytes = malloc(1 << 18)};
    struct parquet_frames frames;
    struct parquet_reader reader;

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        parquet_frames(&reader, files[order[i]].at, files[order[i]].len_bytes, 1 << 20, 1 << 16,
                       FRAMES_BYTES_MAX, &frames);
        memcpy(all.bytes + all.len_bytes, frames.bytes, frames.len_bytes);
        all.len_bytes += frames.len_bytes;
        free(frames.bytes);
    }
    reader.in_stream = true;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        parquet_frames(&reader, joined.at, joined.len_bytes, steps[s][0], steps[s][1],
                       FRAMES_BYTES_MAX, &frames);
        if (frames.rc != FMT_INFLATE_END)
            fail_msg("at %zu: %s", frames.error.offset_bytes, frames.error.text);
        assert_int_equal(frames.len_bytes, all.len_bytes);
        assert_memory_equal(frames.bytes, all.bytes, all.len_bytes);
        free(frames.bytes);
    }
    parquet_frames(&reader, joined.at, 0, 1, 100, FRAMES_BYTES_MAX, &frames);
    assert_int_equal(frames.rc, FMT_INFLATE_END);
    free(frames.bytes);
    free(all.bytes);
    free(joined.at);
    parquet_close(&reader);
}

/* A stream that ends anywhere but between two files is truncated, and the error is in that file. */
static void test_a_truncated_stream_is_an_error(void **state)
{
    struct bytes joined = join_files();
    size_t ends[] = {0, files[0].len_bytes, files[0].len_bytes + files[9].len_bytes};
    struct parquet_frames frames;
    struct parquet_reader reader;

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    reader.in_stream = true;
    for (size_t len = 1; len < ends[2] + 100; len++) {
        size_t file = len > ends[2] ? 2 : len > ends[1] ? 1 : 0;

        parquet_frames(&reader, joined.at, len, 1 << 20, 10000, FRAMES_BYTES_MAX, &frames);
        if (len == ends[1] || len == ends[2]) {
            assert_int_equal(frames.rc, FMT_INFLATE_END);
        } else {
            assert_int_equal(frames.rc, FMT_INFLATE_E_FORMAT);
            assert_true(frames.error.offset_bytes >= ends[file]);
            assert_true(frames.error.offset_bytes <= len);
        }
        free(frames.bytes);
    }
    memcpy(joined.at + ends[2], "junk", 4);
    parquet_frames(&reader, joined.at, joined.len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX, &frames);
    assert_int_equal(frames.rc, FMT_INFLATE_E_FORMAT);
    assert_int_equal(frames.error.offset_bytes, ends[2]);
    assert_non_null(strstr(frames.error.text, "no Parquet file begins here"));
    free(frames.bytes);
    free(joined.at);
    parquet_close(&reader);
}

/* One file after the other by one codec, as a channel does, some left in their midst. */
static void test_a_codec_serves_many_files(void **state)
{
    struct parquet_reader reader;
    struct parquet_frames frames;

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < 5; i++) {
            parquet_frames(&reader, files[i].at, files[i].len_bytes, 1 << 20, 100,
                           round % 2 ? 500 : FRAMES_BYTES_MAX, &frames);
            if (frames.cut_off)
                assert_true(round % 2);
            else
                check_rows(i, &reader, &frames);
            free(frames.bytes);
        }
    parquet_close(&reader);
}

static void test_a_truncated_file_is_an_error_without_rows(void **state)
{
    struct parquet_reader reader;

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    for (int i = 0; i < NAMES; i++)
        for (size_t len = 0; len < files[i].len_bytes; len++) {
            struct parquet_frames frames;

            parquet_frames(&reader, files[i].at, len, 1 << 20, 10000, FRAMES_BYTES_MAX, &frames);
            assert_int_equal(frames.rc, FMT_INFLATE_E_FORMAT);
            assert_int_equal(frames.len_bytes, 0);
            assert_true(strlen(frames.error.text) > 0);
            free(frames.bytes);
        }
    parquet_close(&reader);
}

/* Any verdict will do, but what comes is rows. */
static void test_a_damaged_file_does_no_harm(void **state)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    struct parquet_reader reader;
    uint32_t refused = 0;

    (void)state;
    for (int i = 0; i < NAMES; i++) {
        parquet_open(&reader, TYPE, MEMORY_BYTES);
        for (size_t at = 0; at < files[i].len_bytes; at += i < LONG ? 1 : 7)
            for (size_t m = 0; m < sizeof masks; m++) {
                struct parquet_frames frames;
                struct drive_result rows;

                files[i].at[at] ^= masks[m];
                parquet_frames(&reader, files[i].at, files[i].len_bytes, 1 << 20, 50000,
                               FRAMES_BYTES_MAX, &frames);
                files[i].at[at] ^= masks[m];
                refused += frames.rc == FMT_INFLATE_E_FORMAT;
                parquet_rows(&reader, &frames, &rows);
                if (frames.rc == FMT_INFLATE_END && rows.failed)
                    fail_msg("%s, byte %zu: %s", names[i], at, rows.text);
                drive_result_free(&rows);
                free(frames.bytes);
            }
        parquet_close(&reader);
    }
    assert_true(refused > 1000);
}

/* Every byte of the pages of a file with checksums. */
static void test_checksums_find_every_changed_byte(void **state)
{
    const struct bytes *file = &files[3]; /* zstd */
    uint32_t footer_bytes;
    struct parquet_reader reader;

    (void)state;
    memcpy(&footer_bytes, file->at + file->len_bytes - 8, 4);
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    for (size_t at = 0; at < file->len_bytes - 8 - footer_bytes; at++) {
        struct parquet_frames frames;

        file->at[at] ^= 0x10;
        parquet_frames(&reader, file->at, file->len_bytes, 1 << 20, 50000, FRAMES_BYTES_MAX,
                       &frames);
        file->at[at] ^= 0x10;
        if (frames.rc == FMT_INFLATE_END) { /* a head's field of no consequence */
            struct parquet_reader fresh;

            parquet_open(&fresh, TYPE, MEMORY_BYTES);
            check_rows(3, &fresh, &frames);
            parquet_close(&fresh);
        }
        free(frames.bytes);
    }
    parquet_close(&reader);
}

static void expect_error(struct parquet_reader *reader, const struct bytes *file, const char *text)
{
    struct parquet_frames frames;

    parquet_frames(reader, file->at, file->len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX, &frames);
    assert_int_equal(frames.rc, FMT_INFLATE_E_FORMAT);
    if (!strstr(frames.error.text, text))
        fail_msg("'%s', not '%s'", frames.error.text, text);
    free(frames.bytes);
}

/* Frames, and how that ended, are what one thread makes. */
static void check_team(struct parquet_reader *alone, struct parquet_reader *team,
                       const struct bytes *file, size_t out_step, const char *name, size_t at)
{
    struct parquet_frames expected_frames;
    struct parquet_frames frames;

    parquet_frames(alone, file->at, file->len_bytes, 1 << 20, out_step, FRAMES_BYTES_MAX,
                   &expected_frames);
    parquet_frames(team, file->at, file->len_bytes, 1 << 20, out_step, FRAMES_BYTES_MAX, &frames);
    if (frames.rc != expected_frames.rc || frames.len_bytes != expected_frames.len_bytes)
        fail_msg("%s, byte %zu: %zu bytes, %d, not %zu bytes, %d", name, at, frames.len_bytes,
                 frames.rc, expected_frames.len_bytes, expected_frames.rc);
    if (frames.len_bytes > 0)
        assert_memory_equal(frames.bytes, expected_frames.bytes, frames.len_bytes);
    if (frames.rc == FMT_INFLATE_E_FORMAT) {
        assert_string_equal(frames.error.text, expected_frames.error.text);
        assert_int_equal(frames.error.offset_bytes, expected_frames.error.offset_bytes);
    }
    free(frames.bytes);
    free(expected_frames.bytes);
}

/* Files as they are, and with two bytes changed: mostly in different columns. */
static void compare_team(const struct fmt_team *helpers, size_t memory_bytes, size_t stride)
{
    static const size_t out_steps[] = {50000, 17000};

    for (int i = 0; i < NAMES; i++)
        for (size_t s = 0; s < sizeof out_steps / sizeof *out_steps; s++) {
            struct parquet_reader alone, team;

            parquet_open(&alone, TYPE, memory_bytes);
            parquet_open(&team, TYPE, memory_bytes);
            fmt_inflate_share(team.inflate, helpers);
            for (size_t at = 0; at < files[i].len_bytes; at += stride) {
                uint8_t mask = (uint8_t)(at == 0 ? 0 : 1 << at % 8);
                size_t other = (at * 5 + 1) % files[i].len_bytes;

                files[i].at[at] ^= mask;
                files[i].at[other] ^= mask;
                check_team(&alone, &team, &files[i], out_steps[s], names[i], at);
                files[i].at[at] ^= mask;
                files[i].at[other] ^= mask;
            }
            parquet_close(&team);
            parquet_close(&alone);
        }
}

static void test_a_team_makes_the_same_rows_and_errors(void **state)
{
    (void)state;
    compare_team(&backward_team, MEMORY_BYTES, 7);
    compare_team(&backward_team, files[LONG].len_bytes + 3000, 97);
    for (unsigned size = 2; size <= 4; size += 2) {
        struct ps_team *team;
        struct penstock_error error;

        assert_int_equal(ps_team_open(size, "team", &team, &error), PENSTOCK_OK);
        compare_team(ps_team_of(team), MEMORY_BYTES, 61);
        ps_team_close(team);
    }
}

static void test_memory_is_bounded_and_too_little_is_told(void **state)
{
    struct parquet_reader reader;
    struct parquet_frames frames;

    (void)state;
    parquet_open(&reader, TYPE, files[0].len_bytes - 1);
    expect_error(&reader, &files[0], "the file is longer than");
    parquet_close(&reader);
    for (size_t more = 0; more < 20000; more += 500) {
        parquet_open(&reader, TYPE, files[1].len_bytes + more);
        expect_error(&reader, &files[1], "its pages need more memory than");
        parquet_close(&reader);
    }
    parquet_open(&reader, TYPE, files[1].len_bytes + 100000);
    parquet_frames(&reader, files[1].at, files[1].len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX,
                   &frames);
    check_rows(1, &reader, &frames);
    free(frames.bytes);
    parquet_close(&reader);
}

static void test_later_files_have_to_have_the_same_columns(void **state)
{
    struct parquet_reader reader;
    struct parquet_frames frames;

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    parquet_frames(&reader, files[0].at, files[0].len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX,
                   &frames);
    check_rows(0, &reader, &frames);
    free(frames.bytes);
    expect_error(&reader, &files[5], "its rows have 2 features and 0 texts");
    parquet_close(&reader);
    parquet_open(&reader, "application/x-parquet;columns=\"i32,few\";label=i32", MEMORY_BYTES);
    expect_error(&reader, &files[0], "column 'i32': it is chosen twice");
    parquet_close(&reader);
    parquet_open(&reader, "application/x-parquet;columns=few;label=i32", MEMORY_BYTES);
    for (int i = 0; i < 6; i++) { /* chosen by name: "delta" has these, and no others */
        parquet_frames(&reader, files[i].at, files[i].len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX,
                       &frames);
        assert_int_equal(frames.rc, FMT_INFLATE_END);
        free(frames.bytes);
    }
    parquet_close(&reader);
}

static void test_other_columns_in_the_same_place_are_refused(void **state)
{
    struct parquet_reader reader;
    struct parquet_frames frames;
    struct bytes *file = &files[5];

    (void)state;
    parquet_open(&reader, TYPE, MEMORY_BYTES);
    parquet_frames(&reader, file->at, file->len_bytes, 1 << 20, 10000, FRAMES_BYTES_MAX, &frames);
    check_rows(5, &reader, &frames);
    free(frames.bytes);
    for (size_t at = 0; at + 3 <= file->len_bytes; at++)
        if (memcmp(file->at + at, "few", 3) == 0)
            file->at[at + 2] = 'r';
    expect_error(&reader, file,
                 "it has column 'fer' where the channel's first file has 'few': name the columns");
    parquet_close(&reader);
    parquet_open(&reader, "application/x-parquet", MEMORY_BYTES);
    expect_error(&reader, &files[7], "no column left for the features"); /* one number, the label */
    parquet_close(&reader);
    free(file->at);
    *file = load(names[5], "parquet");
}

static void test_parameters(void **state)
{
    static const struct {
        const char *type;
        const char *error;
    } cases[] = {
        {"application/x-parquet;columns=", "columns must be names of columns"},
        {"application/x-parquet;columns=a,,b", "columns must be names of columns"},
        {"application/x-parquet;text=,a", "text must be names of columns"},
        {"application/x-parquet;label_size=x", "label_size must be a number"},
        {"application/x-parquet;label=a;label_size=1", "say the same thing twice"},
        {"application/x-parquet;weight=\"a,b\"", "weight must be one column"},
        {"application/x-parquet;delimiter=x",
         "has no parameter delimiter: it has columns, label, label_size, text, weight"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fmt_options options;
        struct fmt_error error;

        assert_int_equal(fmt_options_parse(cases[i].type, &options, &error), FMT_E_ARGUMENT);
        if (!strstr(error.text, cases[i].error))
            fail_msg("%s: '%s'", cases[i].type, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_in_steps_of_any_size_give_pyarrows_rows),
        cmocka_unit_test(test_a_stream_of_files_is_their_rows_one_after_the_other),
        cmocka_unit_test(test_a_truncated_stream_is_an_error),
        cmocka_unit_test(test_a_codec_serves_many_files),
        cmocka_unit_test(test_a_truncated_file_is_an_error_without_rows),
        cmocka_unit_test(test_a_damaged_file_does_no_harm),
        cmocka_unit_test(test_checksums_find_every_changed_byte),
        cmocka_unit_test(test_memory_is_bounded_and_too_little_is_told),
        cmocka_unit_test(test_later_files_have_to_have_the_same_columns),
        cmocka_unit_test(test_other_columns_in_the_same_place_are_refused),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_a_team_makes_the_same_rows_and_errors),
    };

    return cmocka_run_group_tests_name("parquet", tests, load_all, free_all);
}
