/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_stream_sources.c - what is missing, empty, forbidden, or changes under the
 * stream. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

/* The first thing the stream says must be this error, and it must stay. */
static void assert_first_is_error(struct penstock *stream, int rc, const char *key,
                                  const char *text)
{
    const struct penstock_batch *batch;
    const struct penstock_error *error = penstock_last_error(stream, 0);

    assert_int_equal(penstock_next(stream, 0, -1, &batch), rc);
    assert_null(batch);
    assert_int_equal(error->rc, rc);
    assert_string_equal(error->key, key);
    assert_non_null(strstr(error->message, text));
    assert_non_null(strstr(error->message, key));
    assert_int_equal(penstock_next(stream, 0, 0, &batch), rc);
}

/* ---- missing and forbidden ---- */

static void test_missing_path_is_named(void **state)
{
    struct scratch scratch = scratch_open();
    struct scratch_name path = scratch_path(&scratch, "absent");

    (void)state;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        struct penstock *stream = open_path(path.text, false, (struct how){.shuffle = shuffle});

        assert_first_is_error(stream, PENSTOCK_E_NOT_FOUND, path.text, "No such file");
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

/* The first URI's batches come before the second one's error. */
static void test_missing_second_uri_is_told_in_order(void **state)
{
    struct data *d = data_open(false, 3, 100, 4);
    struct scratch_name absent = scratch_path(&d->scratch, "absent");
    const char *uris[2] = {d->scratch.path, absent.text};
    struct how how = {.batch_rows = 30};
    struct penstock_channel_config channel = how_channel(&how, false, uris, 2);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock *stream = open_config(&config);
    struct reading r = reading_of(d, how);

    (void)state;
    assert_int_equal(reading_go_on(&r, stream, 0, UINT64_MAX), PENSTOCK_E_NOT_FOUND);
    assert_string_equal(r.why, "");
    assert_int_equal(r.rows, (100 + 133 + 166) / 30 * 30);
    assert_string_equal(penstock_last_error(stream, 0)->key, absent.text);
    penstock_close(&stream);
    data_close(d);
}

/* Root may read everything: become nobody for the while. */
static void test_forbidden_file_is_named(void **state)
{
    struct data *d = data_open(false, 3, 100, 4);
    struct scratch_name path = data_path(d, 1);
    struct how how = {.batch_rows = 30};
    bool was_root = geteuid() == 0;

    (void)state;
    assert_int_equal(chmod(d->scratch.path, 0755), 0);
    assert_int_equal(chmod(path.text, 0), 0);
    if (was_root)
        assert_int_equal(seteuid(65534), 0);
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    int rc = reading_go_on(&r, stream, 0, UINT64_MAX);

    if (was_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, PENSTOCK_E_DENIED);
    assert_string_equal(r.why, "");
    assert_int_equal(r.rows, 90);
    const struct penstock_error *error = penstock_last_error(stream, 0);

    assert_int_equal(error->sys_errno, EACCES);
    assert_string_equal(error->key, path.text);
    assert_int_equal(error->offset_bytes, 0);
    assert_non_null(strstr(error->message, path.text));
    penstock_close(&stream);
    data_close(d);
}

/* ---- empty ---- */

static void assert_empty(const struct scratch *scratch, const char *text)
{
    for (int shuffle = 0; shuffle < 2; shuffle++)
        for (uint32_t epochs = 1; epochs < 3; epochs++) {
            struct how how = {.shuffle = shuffle != 0, .epochs = epochs == 2 ? ENDLESS : 1};
            struct penstock *stream = open_path(scratch->path, false, how);

            assert_first_is_error(stream, PENSTOCK_E_EMPTY, "", text);
            assert_non_null(strstr(penstock_last_error(stream, 0)->message, scratch->path));
            assert_non_null(strstr(penstock_last_error(stream, 0)->message, "channel train"));
            penstock_close(&stream);
        }
}

static void test_channel_without_data_is_an_error(void **state)
{
    struct scratch scratch = scratch_open();

    (void)state;
    assert_empty(&scratch, "no object with data");
    scratch_directory(&scratch, "sub");
    scratch_file(&scratch, "sub/empty", "", 0);
    scratch_file(&scratch, "empty", "", 0);
    assert_empty(&scratch, "no object with data");
    scratch_file(&scratch, "blank", "\n \t\r\n\n", 6);
    scratch_file(&scratch, "mark", "\xef\xbb\xbf", 3);
    scratch_file(&scratch, "sub/blank", "\r\r\r", 3);
    assert_empty(&scratch, "3 objects");
    scratch_close(&scratch);
}

/* Blank objects among others are no error, wherever they are. */
static void test_blank_objects_among_others_are_passed_over(void **state)
{
    struct data *d = data_open(false, 4, 50, 3);

    (void)state;
    for (uint32_t o = 0; o < d->objects; o++) {
        scratch_file(&d->scratch, data_name(o).text, "\n\n  \n", 5);
        uint32_t rows = d->rows[o];

        d->rows[o] = 0;
        assert_streams(d, (struct how){.batch_rows = 20, .epochs = 2});
        d->rows[o] = rows;
        struct bytes b = data_bytes(d, o);

        scratch_file(&d->scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
    data_close(d);
}

/* More blank lines than the ring holds: they give their space back without any decoder. */
static void test_blank_lines_longer_than_the_ring_are_passed_over(void **state)
{
    struct data *d = data_open(false, 2, 10, 2);
    struct bytes row = data_bytes(d, 0);
    struct bytes b = {.at = NULL};

    (void)state;
    memset(bytes_room(&b, 9 * MIB), '\n', 9 * MIB);
    bytes_add(&b, row.at, row.len);
    scratch_file(&d->scratch, data_name(0).text, b.at, b.len);
    assert_streams(d, (struct how){.decode_threads = 1, .batch_rows = 3});
    free(b.at);
    free(row.at);
    data_close(d);
}

static void test_empty_shard_ends_its_epochs_at_once(void **state)
{
    struct data *d = data_open(false, 3, 50, 3);
    struct how how = {.shard_index = 3, .shard_count = 4, .epochs = 2};
    const struct penstock_batch *batch;

    (void)state;
    assert_streams(d, how);
    how.epochs = ENDLESS;
    struct penstock *stream = open_data(d, how);

    for (int i = 0; i < 1000; i++)
        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    penstock_close(&stream);
    data_close(d);
}

/* ---- changes under the stream ---- */

/* More than may be read ahead (less than 9 MiB), so that the last files are not open yet when
 * the first batch is out; and one file as large. */
enum { BATCH_ROWS = 10, FEATURES = 1000 };

static const struct how bulk = {.batch_rows = BATCH_ROWS};

/* Opens the stream and reads one batch; then the test does its deed, and calls go_on. */
static struct penstock *open_and_read_one(const struct data *d, struct reading *r, struct how how)
{
    struct penstock *stream = open_data(d, how);

    *r = reading_of(d, how);
    assert_int_equal(reading_go_on(r, stream, 0, 1), PENSTOCK_OK);
    return stream;
}

/* Reads on to the error, which must name object `object` and an offset from..to. */
static void assert_ends_with(struct penstock *stream, struct reading *r, int rc, uint32_t object,
                             uint64_t from, uint64_t to, const char *text)
{
    int got = reading_go_on(r, stream, 0, UINT64_MAX);
    const struct penstock_error *error = penstock_last_error(stream, 0);
    uint64_t whole = 0;

    if (r->why[0])
        fail_msg("%s", r->why);
    assert_int_equal(got, rc);
    assert_int_equal(error->rc, rc);
    assert_string_equal(error->key, data_path(r->data, object).text);
    assert_in_range(error->offset_bytes, from, to);
    assert_non_null(strstr(error->message, error->key));
    assert_non_null(strstr(error->message, text));
    /* Every whole batch of rows that lie before that offset has come. */
    for (uint32_t o = 0; o < object; o++)
        whole += r->data->rows[o];
    for (uint32_t row = 0; r->data->offsets[object][row + 1] <= error->offset_bytes; row++)
        whole++;
    assert_int_equal(r->rows, whole / BATCH_ROWS * BATCH_ROWS);
    penstock_close(&stream);
}

static struct data *many_files(void)
{
    return data_open(true, 6, 400, FEATURES);
}

static void test_replaced_file_is_a_change(void **state)
{
    struct data *d = many_files();
    struct reading r;
    struct penstock *stream = open_and_read_one(d, &r, bulk);
    struct bytes b = data_bytes(d, 5);

    (void)state;
    scratch_file(&d->scratch, "new", b.at, b.len); /* the very same bytes */
    assert_int_equal(rename(scratch_path(&d->scratch, "new").text, data_path(d, 5).text), 0);
    assert_ends_with(stream, &r, PENSTOCK_E_CHANGED, 5, 0, 0, "changed while it was streamed");
    free(b.at);
    data_close(d);
}

static void test_rewritten_file_is_a_change(void **state)
{
    struct data *d = many_files();
    struct reading r;
    struct penstock *stream = open_and_read_one(d, &r, bulk);
    const struct timespec times[2] = {{1700000000, 0}, {1700000000, 1}};

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, data_path(d, 5).text, times, 0), 0);
    assert_ends_with(stream, &r, PENSTOCK_E_CHANGED, 5, 0, 0, "changed while it was streamed");
    data_close(d);
}

static void test_removed_file_is_named(void **state)
{
    struct data *d = many_files();
    struct reading r;
    struct penstock *stream = open_and_read_one(d, &r, bulk);

    (void)state;
    assert_int_equal(unlink(data_path(d, 5).text), 0);
    assert_ends_with(stream, &r, PENSTOCK_E_NOT_FOUND, 5, 0, 0, "No such file");
    data_close(d);
}

/* A bad record before the missing file, and one behind it. */
static void test_removed_file_and_bad_records_are_told_in_order(void **state)
{
    for (uint32_t bad = 4; bad <= 5; bad++) {
        struct data *d = many_files();
        struct bytes b = data_bytes(d, bad);
        struct reading r;

        (void)state;
        b.at[d->offsets[bad][10] + 8] = 0x0f;
        scratch_file(&d->scratch, data_name(bad).text, b.at, b.len);
        struct penstock *stream = open_and_read_one(d, &r, bulk);

        if (bad == 4) {
            assert_int_equal(unlink(data_path(d, 5).text), 0);
            assert_ends_with(stream, &r, PENSTOCK_E_FORMAT, 4, d->offsets[4][10], d->offsets[4][10],
                             "protobuf");
        } else {
            assert_int_equal(unlink(data_path(d, 4).text), 0);
            assert_ends_with(stream, &r, PENSTOCK_E_NOT_FOUND, 4, 0, 0, "No such file");
        }
        free(b.at);
        data_close(d);
    }
}

static void check_one_large_file(const char *backend, off_t new_size, size_t part_bytes)
{
    struct data *d = data_open(true, 1, 3000, FEATURES); /* 12 MiB */
    const uint64_t size = d->offsets[0][3000];
    struct how how = bulk;
    struct reading r;

    how.backend = backend;
    how.part_bytes = part_bytes;
    struct penstock *stream = open_and_read_one(d, &r, how);

    assert_int_equal(truncate(data_path(d, 0).text, new_size), 0);
    assert_ends_with(stream, &r, PENSTOCK_E_CHANGED, 0, 1, size - 1,
                     "changed while it was streamed");
    data_close(d);
}

static void test_truncated_file_is_a_change(void **state)
{
    (void)state;
    check_one_large_file("epoll", 11 << 20, 0);
    check_one_large_file("auto", 4096, 1 << 20);
}

static void test_grown_file_is_a_change(void **state)
{
    (void)state;
    check_one_large_file("epoll", 13 << 20, 0);
    check_one_large_file("auto", 13 << 20, 64 << 10);
}

/* What changes between two epochs is noticed in the second. */
static void test_change_between_epochs_is_noticed(void **state)
{
    struct data *d = many_files();
    struct how how = bulk;
    struct reading r;
    const struct timespec times[2] = {{1700000000, 0}, {1700000000, 1}};

    (void)state;
    how.epochs = 2;
    struct penstock *stream = open_and_read_one(d, &r, how);

    /* The whole of the first file has been received when a row of the second is there. */
    assert_int_equal(reading_go_on(&r, stream, 0, d->rows[0] / BATCH_ROWS + 1), PENSTOCK_OK);
    assert_int_equal(utimensat(AT_FDCWD, data_path(d, 0).text, times, 0), 0);
    int rc = reading_go_on(&r, stream, 0, UINT64_MAX);

    assert_string_equal(r.why, "");
    assert_int_equal(rc, PENSTOCK_E_CHANGED);
    assert_int_equal(r.epoch_ends, 1);
    assert_int_equal(r.position, 0);
    assert_string_equal(penstock_last_error(stream, 0)->key, data_path(d, 0).text);
    penstock_close(&stream);
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_path_is_named),
        cmocka_unit_test(test_missing_second_uri_is_told_in_order),
        cmocka_unit_test(test_forbidden_file_is_named),
        cmocka_unit_test(test_channel_without_data_is_an_error),
        cmocka_unit_test(test_blank_objects_among_others_are_passed_over),
        cmocka_unit_test(test_blank_lines_longer_than_the_ring_are_passed_over),
        cmocka_unit_test(test_empty_shard_ends_its_epochs_at_once),
        cmocka_unit_test(test_replaced_file_is_a_change),
        cmocka_unit_test(test_rewritten_file_is_a_change),
        cmocka_unit_test(test_removed_file_is_named),
        cmocka_unit_test(test_removed_file_and_bad_records_are_told_in_order),
        cmocka_unit_test(test_truncated_file_is_a_change),
        cmocka_unit_test(test_grown_file_is_a_change),
        cmocka_unit_test(test_change_between_epochs_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
