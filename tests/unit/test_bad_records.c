/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bad_records.c - bad records in whole streams of CSV: what is left out, told, and
 * too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/shaping_fixture.h"

static void test_bad_records_are_left_out_and_batches_stay_full(void **state)
{
    static const uint32_t every[] = {0, 200, 7, 2};

    (void)state;
    for (size_t i = 0; i < sizeof every / sizeof *every; i++)
        for (int torn = 0; torn < 2; torn++) {
            struct corpus *c = corpus_open(7, 300, every[i], torn != 0);

            check_all(c, (struct how){.bad_records = "skip", .epochs = 2});
            check_all(c, (struct how){.bad_records = "warn", .batch_rows = 1000});
            check(c, (struct how){.bad_records = "skip", .batch_rows = 1, .decode_threads = 2});
            corpus_close(c);
        }
}

static void test_what_was_bad_is_counted_and_told(void **state)
{
    struct corpus *c = corpus_open(9, 200, 40, true);
    struct how how = {.bad_records = "skip", .epochs = 2, .decode_threads = 2};
    struct penstock *stream = open_path(c->scratch.path, false, how);
    struct penstock_bad_record told[BAD_RECORDS_MAX + 10];
    struct penstock_counters counters;
    size_t at = 0;

    (void)state;
    check_stream(c, stream, &how);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(counters.records_bad, 2 * c->bad);
    assert_int_equal(counters.bytes_bad, 2 * c->bad_bytes);
    assert_int_equal(counters.objects_bad, 2 * c->bad_objects);
    assert_int_equal(counters.records, 2 * (c->count - c->bad));
    assert_in_range(c->bad, 20, BAD_RECORDS_MAX - 1); /* all of the first epoch's are told */
    assert_int_equal(penstock_bad_records(stream, 0, NULL, 0),
                     2 * c->bad < BAD_RECORDS_MAX ? 2 * c->bad : BAD_RECORDS_MAX);
    assert_true(penstock_bad_records(stream, 0, told, BAD_RECORDS_MAX + 10) >= c->bad);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct record *r = &c->records[i];
        struct scratch_name path = scratch_path(&c->scratch, data_name(r->object).text);

        if (!r->bad)
            continue;
        assert_string_equal(told[at].key, path.text);
        assert_int_equal(told[at].offset_bytes, r->offset);
        assert_int_equal(told[at].len_bytes, r->len);
        assert_int_equal(told[at].position, i);
        assert_int_equal(told[at].epoch, 0);
        assert_true(strlen(told[at].cause) > 10);
        at++;
    }
    assert_int_equal(at, c->bad);
    penstock_close(&stream);
    corpus_close(c);
}

/* The record that is bad for the n-th time, from 1. */
static uint32_t nth_bad(const struct corpus *c, uint64_t n)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->records[i].bad && --n == 0)
            return i;
    fail();
    return 0;
}

static void assert_ends_at(const struct corpus *c, struct how how, uint64_t nth, const char *text)
{
    static const uint32_t threads[] = {1, 4};
    uint32_t last = nth_bad(c, nth);
    uint64_t good = last + 1 - nth;

    for (size_t i = 0; i < 2; i++) {
        uint64_t rows;

        how.decode_threads = threads[i];
        struct penstock_error error = read_to_error(c, how, &rows);

        assert_int_equal(rows, good / batch_rows_of(&how) * batch_rows_of(&how));
        assert_int_equal(error.offset_bytes, c->records[last].offset);
        assert_non_null(strstr(error.key, data_name(c->records[last].object).text));
        if (!strstr(error.message, text))
            fail_msg("\"%s\" lacks \"%s\"", error.message, text);
    }
}

static void test_limits_end_the_stream_at_the_same_record(void **state)
{
    struct corpus *c = corpus_open(9, 400, 10, true);

    (void)state;
    for (uint64_t max = 1; max < 200; max = max * 5 + 1)
        assert_ends_at(c, (struct how){.bad_records = "skip", .bad_records_max = max}, max + 1,
                       "bad_records_max is");
    /* From the 1000th record on: which of them is one too many the model can tell. */
    uint64_t bad = 0;
    uint32_t at = 0;

    for (; at < c->count; at++) {
        bad += c->records[at].bad;
        if (c->records[at].bad && at >= 999 && (double)bad > 0.05 * (at + 1))
            break;
    }
    assert_true(at < c->count);
    assert_ends_at(c, (struct how){.bad_records = "warn", .bad_fraction_max = 0.05}, bad,
                   "bad_fraction_max is 0.05");
    check(c, (struct how){.bad_records = "skip", .bad_records_max = c->bad, .epochs = 3});
    check(c, (struct how){.bad_records = "skip", .bad_fraction_max = 0.3, .epochs = 2});
    corpus_close(c);
}

/* Few records say nothing until the epoch ends. */
static void test_fraction_of_a_short_epoch_is_checked_at_its_end(void **state)
{
    struct corpus *c = corpus_open(1, 200, 5, false);
    uint64_t rows;
    struct penstock_error error =
        read_to_error(c, (struct how){.bad_records = "skip", .bad_fraction_max = 0.01}, &rows);

    (void)state;
    assert_int_equal(rows, c->count - c->bad);
    assert_non_null(strstr(error.message, "bad_fraction_max"));
    corpus_close(c);
}

static void test_first_bad_record_is_an_error_by_default(void **state)
{
    struct corpus *c = corpus_open(5, 300, 400, true);

    (void)state;
    assert_ends_at(c, (struct how){.batch_rows = 50}, 1, "record at byte");
    /* Staged for another reason: it has to be the same. */
    assert_ends_at(c, (struct how){.batch_rows = 50, .last_batch = "wrap"}, 1, "record at byte");
    corpus_close(c);
}

static void test_epoch_of_bad_records_is_an_error(void **state)
{
    struct corpus *c = corpus_open(0, 0, 0, false);
    struct how how = {.bad_records = "skip", .feature_dim = FEATURES};
    uint64_t rows;

    (void)state;
    scratch_file(&c->scratch, "f", "x\ny,z\n1,2\n", 10);
    struct penstock_error error = read_to_error(c, how, &rows);

    assert_non_null(strstr(error.message, "no other record"));
    assert_non_null(strstr(error.message, "/f, byte 6"));
    corpus_close(c);
}

/* Until the first good record there is no shape: feature_dim says what is good. */
static void test_bad_records_before_the_first_good_one(void **state)
{
    struct corpus *c = corpus_open(1, 100, 0, false);
    struct how how = {.bad_records = "skip", .feature_dim = FEATURES};
    struct penstock *stream;
    struct penstock_counters counters;
    const struct penstock_batch *batch;

    (void)state;
    scratch_file(&c->scratch, "a", "no,number\n\n1,2\nx,y,z,w\n", 23);
    stream = open_path(c->scratch.path, false, how);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    assert_int_equal(batch->position, 3);
    assert_int_equal(batch->rows, 100);
    assert_true(batch->features[0] == 0 && batch->features[FEATURES] == 1);
    penstock_release(stream, batch);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(counters.records_bad, 3);
    assert_int_equal(counters.bytes_bad, 23);
    penstock_close(&stream);
    corpus_close(c);
}

/* ---- broken framing ---- */

/* RecordIO in which row 100 has no magic number, noise lies before row 200, as much as a chunk and
 * more, and the last row is cut off. */
static void write_broken(const struct scratch *scratch, uint32_t object)
{
    struct bytes b = {.at = NULL};
    uint32_t random = object;

    for (uint32_t row = 0; row < 300; row++) {
        size_t from = b.len;

        if (row == 200)
            for (int i = 0; i < 200000; i++) {
                random = random * 1664525u + 1013904223u;
                bytes_add(&b, &random, sizeof random);
            }
        bytes_add_recordio(&b, object, row, FEATURES);
        if (row == 100)
            b.at[from] ^= 0xff;
    }
    b.len -= 8;
    scratch_file(scratch, data_name(object).text, b.at, b.len);
    free(b.at);
}

static void test_framing_is_found_again(void **state)
{
    enum { OBJECTS = 4 };
    struct scratch scratch = scratch_open();
    const struct penstock_batch *batch;

    (void)state;
    for (uint32_t object = 0; object < OBJECTS; object++)
        write_broken(&scratch, object);
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        struct how how = {.bad_records = "skip",
                          .decode_threads = threads,
                          .part_bytes = threads == 1 ? 0 : 64 << 10};
        struct penstock *stream = open_path(scratch.path, true, how);
        struct penstock_counters counters;
        uint32_t at = 0;

        while (penstock_next(stream, 0, -1, &batch) == PENSTOCK_OK) {
            assert_int_equal(batch->rows, at + 100 <= OBJECTS * 298 ? 100 : OBJECTS * 298 % 100);
            for (uint32_t i = 0; i < batch->rows; i++, at++) {
                uint32_t row = at % 298 + (at % 298 >= 100);

                assert_true(batch->labels[i] == (float)(at / 298));
                for (uint32_t c = 0; c < FEATURES; c++)
                    assert_true(batch->features[i * FEATURES + c] == data_value(at / 298, row, c));
            }
            penstock_release(stream, batch);
        }
        assert_int_equal(penstock_last_error(stream, 0)->rc, PENSTOCK_OK);
        assert_int_equal(at, OBJECTS * 298);
        penstock_get_counters(stream, 0, &counters);
        assert_int_equal(counters.records_bad, 3 * OBJECTS);
        assert_int_equal(counters.objects_bad, OBJECTS);
        assert_in_range(counters.bytes_bad, OBJECTS * 800000, OBJECTS * 801000);
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

struct lines {
    uint32_t count;
    uint32_t sums;
    char last[400];
};

static void count_lines(void *cookie, int level, const char *line)
{
    struct lines *lines = cookie;

    if (level != 1)
        return;
    lines->count += strstr(line, "is left out") != NULL;
    lines->sums += strstr(line, "records of epoch") != NULL;
    snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void test_warnings_are_few(void **state)
{
    struct corpus *c = corpus_open(9, 400, 10, false);
    const char *path = c->scratch.path;

    (void)state;
    for (int warn = 0; warn < 2; warn++) {
        struct how how = {.bad_records = warn ? "warn" : "skip"};
        struct penstock_channel_config channel = how_channel(&how, false, &path, 1);
        struct penstock_config config = how_config(&how, &channel, 1);
        struct lines lines = {.count = 0};
        uint32_t expected_lines = 16;

        config.log = count_lines;
        config.log_cookie = &lines;
        struct penstock *stream = open_config(&config);

        check_stream(c, stream, &how);
        penstock_close(&stream);
        for (uint32_t n = 32; n <= c->bad; n *= 2)
            expected_lines++;
        assert_int_equal(lines.count, warn ? expected_lines : 0);
        assert_int_equal(lines.sums, warn);
    }
    corpus_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_records_are_left_out_and_batches_stay_full),
        cmocka_unit_test(test_what_was_bad_is_counted_and_told),
        cmocka_unit_test(test_limits_end_the_stream_at_the_same_record),
        cmocka_unit_test(test_fraction_of_a_short_epoch_is_checked_at_its_end),
        cmocka_unit_test(test_first_bad_record_is_an_error_by_default),
        cmocka_unit_test(test_epoch_of_bad_records_is_an_error),
        cmocka_unit_test(test_bad_records_before_the_first_good_one),
        cmocka_unit_test(test_framing_is_found_again),
        cmocka_unit_test(test_warnings_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
