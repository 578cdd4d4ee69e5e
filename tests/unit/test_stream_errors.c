/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_stream_errors.c - malformed records: told in stream order, by exact place,
 * whoever decodes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

/* Ways to spoil a row; the first is found by decoders, the second by the framer. */
enum damage { BAD_CONTENT, BAD_FRAME };

struct place {
    uint32_t object;
    uint32_t row;
    enum damage damage;
};

/* Writes an object anew with the rows of `places` spoilt. */
static void spoil(struct data *d, uint32_t object, const struct place *places, size_t count)
{
    struct bytes b = data_bytes(d, object);

    for (size_t i = 0; i < count; i++) {
        if (places[i].object != object)
            continue;
        uint64_t at = d->offsets[object][places[i].row];

        if (!d->recordio)
            b.at[at] = 'x';
        else if (places[i].damage == BAD_FRAME)
            b.at[at] ^= 0x80; /* the magic */
        else
            b.at[at + 8] = 0x0f; /* a field of a wire type that there is not */
    }
    scratch_file(&d->scratch, data_name(object).text, b.at, b.len);
    free(b.at);
}

static void mend(struct data *d, uint32_t object)
{
    spoil(d, object, NULL, 0);
}

/* How many rows of the stream come before (object, row). */
static uint64_t rows_before(const struct data *d, struct how how, uint32_t object, uint32_t row)
{
    struct reading r = reading_of(d, how);
    uint64_t rows = 0;

    for (uint32_t i = 0; i < r.order_count && r.order[i] != object; i++)
        rows += d->rows[r.order[i]];
    return rows + row;
}

/* Streams until the error that must be at the given place: all whole batches before it come, what
 * it cut short does not, and the error stays. */
static void assert_error_at(const struct data *d, struct how how, struct place place,
                            const char *text)
{
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    int rc = reading_go_on(&r, stream, 0, UINT64_MAX);
    const struct penstock_error *error = penstock_last_error(stream, 0);
    const struct penstock_batch *batch;
    uint32_t batch_rows = how.batch_rows ? how.batch_rows : 100;
    uint64_t before = rows_before(d, how, place.object, place.row);
    char offset[64];

    assert_string_equal(r.why, "");
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_int_equal(r.rows, before / batch_rows * batch_rows);
    assert_int_equal(error->rc, PENSTOCK_E_FORMAT);
    assert_string_equal(error->key, data_path(d, place.object).text);
    assert_string_equal(error->bucket, "");
    assert_int_equal(error->offset_bytes, d->offsets[place.object][place.row]);
    snprintf(offset, sizeof offset, "record at byte %" PRIu64 ":",
             d->offsets[place.object][place.row]);
    assert_non_null(strstr(error->message, offset));
    assert_non_null(strstr(error->message, error->key));
    assert_non_null(strstr(error->message, text));
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_FORMAT);
    assert_null(batch);
    assert_int_equal(penstock_next(stream, 0, 0, &batch), PENSTOCK_E_FORMAT);
    assert_ptr_equal(penstock_last_error(stream, 0), error);
    penstock_close(&stream);
}

static void check_every_place(bool recordio, enum damage damage, const char *text)
{
    struct data *d = data_open(recordio, 4, 90, 40);

    for (uint32_t object = 0; object < d->objects; object++)
        for (uint32_t i = 0; i < 7; i++) {
            /* First, second, last, around a batch's border, and in between. */
            const uint32_t rows[7] = {0, 1, 15, 16, 17, d->rows[object] / 2, d->rows[object] - 1};
            const struct place place = {object, rows[i], damage};
            struct how how = {.batch_rows = 16,
                              .decode_threads = 1 + (i + object) % 4,
                              .part_bytes = 64 << 10,
                              .backend = i % 2 ? "auto" : "epoll",
                              .shuffle = i == 5,
                              .seed = object};

            spoil(d, object, &place, 1);
            assert_error_at(d, how, place, text);
            how.batch_rows = 1000; /* the first batch is cut short, or all is one */
            assert_error_at(d, how, place, text);
            mend(d, object);
        }
    data_close(d);
}

static void test_text_in_a_number_is_told_by_place(void **state)
{
    (void)state;
    check_every_place(false, BAD_CONTENT, "not a number");
}

static void test_bad_protobuf_is_told_by_place(void **state)
{
    (void)state;
    check_every_place(true, BAD_CONTENT, "protobuf");
}

static void test_bad_magic_is_told_by_place(void **state)
{
    (void)state;
    check_every_place(true, BAD_FRAME, "magic");
}

/* ---- several bad records ---- */

static bool is_earlier(const struct data *d, struct how how, struct place a, struct place b)
{
    return rows_before(d, how, a.object, a.row) < rows_before(d, how, b.object, b.row);
}

/* Whichever decoder is first to find one: the earliest in the stream is told. */
static void test_earliest_of_many_bad_records_is_told(void **state)
{
    static const struct place sets[][4] = {
        {{0, 10, BAD_CONTENT}, {0, 11, BAD_CONTENT}, {0, 12, BAD_CONTENT}, {3, 0, BAD_CONTENT}},
        {{0, 15, BAD_CONTENT}, {0, 16, BAD_FRAME}, {1, 0, BAD_FRAME}, {2, 7, BAD_CONTENT}},
        {{1, 5, BAD_FRAME}, {1, 6, BAD_CONTENT}, {2, 0, BAD_CONTENT}, {2, 1, BAD_FRAME}},
        {{2, 80, BAD_CONTENT}, {3, 3, BAD_CONTENT}, {3, 40, BAD_FRAME}, {3, 41, BAD_CONTENT}},
        {{3, 100, BAD_CONTENT}, {3, 99, BAD_CONTENT}, {3, 98, BAD_CONTENT}, {3, 130, BAD_FRAME}},
    };

    (void)state;
    for (int recordio = 0; recordio < 2; recordio++)
        for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
            struct data *d = data_open(recordio != 0, 4, 90, 40);

            for (uint32_t o = 0; o < d->objects; o++)
                spoil(d, o, sets[s], 4);
            for (uint32_t i = 0; i < 16; i++) {
                struct how how = {.batch_rows = i % 4 == 3 ? 64 : 8,
                                  .decode_threads = 4,
                                  .part_bytes = 64 << 10,
                                  .shuffle = i % 2 != 0,
                                  .seed = i};
                struct place first = sets[s][0];

                for (size_t p = 1; p < 4; p++)
                    if (is_earlier(d, how, sets[s][p], first))
                        first = sets[s][p];
                assert_error_at(d, how, first, "");
            }
            data_close(d);
        }
}

/* A consumer that never releases sees the same. */
static void test_error_comes_after_batches_that_stay_on_loan(void **state)
{
    struct data *d = data_open(true, 2, 100, 10);
    const struct place place = {1, 33, BAD_CONTENT};
    struct how how = {.batch_rows = 10, .decode_threads = 2};
    const struct penstock_batch *held[20];
    uint32_t count = 0;
    int rc;

    (void)state;
    spoil(d, 1, &place, 1);
    struct penstock *stream = open_data(d, how);

    while ((rc = penstock_next(stream, 0, -1, &held[count])) == PENSTOCK_OK)
        count++;
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_int_equal(count, 13);
    struct reading r = reading_of(d, how);

    for (uint32_t i = 0; i < count; i++) {
        assert_true(reading_batch(&r, held[i]));
        penstock_release(stream, held[i]);
    }
    penstock_close(&stream);
    data_close(d);
}

/* One channel's error leaves the other channels alone. */
static void test_error_of_one_channel_leaves_the_others_alone(void **state)
{
    struct data *good = data_open(false, 3, 300, 5);
    struct data *bad = data_open(false, 3, 300, 5);
    const struct place place = {1, 20, BAD_CONTENT};
    const struct how how = {.epochs = 2};
    const char *paths[2] = {bad->scratch.path, good->scratch.path};
    struct penstock_channel_config channels[2] = {how_channel(&how, false, &paths[0], 1),
                                                  how_channel(&how, false, &paths[1], 1)};
    struct penstock_config config = how_config(&how, channels, 2);
    struct reading r = reading_of(bad, how);

    (void)state;
    spoil(bad, 1, &place, 1);
    channels[0].name = "broken";
    struct penstock *stream = open_config(&config);

    assert_int_equal(reading_go_on(&r, stream, 0, UINT64_MAX), PENSTOCK_E_FORMAT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "channel broken"));
    r = reading_of(good, how);
    assert_int_equal(reading_go_on(&r, stream, 1, UINT64_MAX), PENSTOCK_END);
    assert_string_equal(r.why, "");
    assert_int_equal(penstock_last_error(stream, 1)->rc, PENSTOCK_OK);
    penstock_close(&stream);
    data_close(good);
    data_close(bad);
}

/* ---- records that are cut, or of another shape ---- */

static void test_truncated_record_is_told_by_its_beginning(void **state)
{
    struct data *d = data_open(true, 2, 20, 10);
    const uint64_t begin = d->offsets[0][19];
    const uint64_t end = d->offsets[0][20];
    struct bytes b = data_bytes(d, 0);

    (void)state;
    for (uint64_t len = begin + 1; len < end; len += len < begin + 12 ? 1 : 5) {
        struct how how = {.batch_rows = 4, .decode_threads = 1 + (uint32_t)(len % 3)};
        const struct place place = {0, 19, BAD_FRAME};

        scratch_file(&d->scratch, data_name(0).text, b.at, len);
        assert_error_at(d, how, place, "truncated");
    }
    free(b.at);
    data_close(d);
}

static void test_quote_that_is_never_closed_is_told_by_its_row(void **state)
{
    struct data *d = data_open(false, 3, 60, 4);
    const struct place place = {1, 30, BAD_CONTENT};
    struct bytes b = data_bytes(d, 1);

    (void)state;
    b.at[d->offsets[1][30]] = '"'; /* it swallows the rest of the object, and no more */
    scratch_file(&d->scratch, data_name(1).text, b.at, b.len);
    assert_error_at(d, (struct how){.batch_rows = 7}, place, "quote");
    free(b.at);
    data_close(d);
}

/* The byte order mark belongs to no record, but to the object. */
static void test_offset_counts_the_byte_order_mark(void **state)
{
    static const uint32_t rows[] = {0, 1, 30};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct data *d = data_open(false, 2, 60, 4);
        const struct place place = {1, rows[i], BAD_CONTENT};
        struct bytes text = data_bytes(d, 1);
        struct bytes marked = {.at = NULL};

        text.at[d->offsets[1][rows[i]]] = 'x';
        bytes_add_text(&marked, "\xef\xbb\xbf");
        bytes_add(&marked, text.at, text.len);
        for (uint32_t row = 0; row <= d->rows[1]; row++)
            d->offsets[1][row] += 3;
        scratch_file(&d->scratch, data_name(1).text, marked.at, marked.len);
        assert_error_at(d, (struct how){.batch_rows = 7}, place, "not a number");
        free(text.at);
        free(marked.at);
        data_close(d);
    }
}

/* Rows of other widths than the first one's. */
static void test_other_number_of_features_is_told(void **state)
{
    (void)state;
    for (int recordio = 0; recordio < 2; recordio++)
        for (uint32_t features = 3; features <= 5; features += 2) {
            struct data *d = data_open(recordio != 0, 2, 40, 4);
            const struct place place = {1, d->rows[1] / 2, BAD_CONTENT};
            struct bytes b = {.at = NULL};

            for (uint32_t row = 0; row < d->rows[1]; row++) {
                uint32_t width = row == place.row ? features : 4;

                if (recordio)
                    bytes_add_recordio(&b, 1, row, width);
                else
                    bytes_add_csv(&b, 1, row, width);
            }
            scratch_file(&d->scratch, data_name(1).text, b.at, b.len);
            assert_error_at(d, (struct how){.batch_rows = 9, .decode_threads = 2}, place,
                            "the channel has");
            free(b.at);
            data_close(d);
        }
}

static void test_feature_dim_is_checked_against_the_first_record(void **state)
{
    (void)state;
    for (int recordio = 0; recordio < 2; recordio++) {
        struct data *d = data_open(recordio != 0, 2, 40, 4);
        const struct place place = {0, 0, BAD_CONTENT};

        assert_streams(d, (struct how){.feature_dim = 4});
        assert_error_at(d, (struct how){.feature_dim = 5}, place, "4 features");
        assert_error_at(d, (struct how){.feature_dim = 3}, place, "says 3");
        data_close(d);
    }
}

static void test_label_size_must_leave_a_feature(void **state)
{
    struct data *d = data_open(false, 1, 40, 4);
    const struct place place = {0, 0, BAD_CONTENT};

    (void)state;
    assert_error_at(d, (struct how){.content_type = "text/csv;label_size=5"}, place, "label_size");
    assert_error_at(d, (struct how){.content_type = "text/csv;label_size=99"}, place, "label_size");
    data_close(d);
}

static void test_no_labels_and_many_labels(void **state)
{
    struct data *d = data_open(false, 1, 40, 4);
    struct penstock *stream =
        open_data(d, (struct how){.content_type = "text/csv;label_size=0", .batch_rows = 7});
    const struct penstock_batch *b;

    (void)state;
    assert_int_equal(penstock_next(stream, 0, -1, &b), PENSTOCK_OK);
    assert_null(b->labels);
    assert_int_equal(b->label_dim, 0);
    assert_int_equal(b->feature_dim, 5);
    assert_int_equal(b->len_bytes, 7 * 5 * sizeof(float));
    assert_true(b->features[6 * 5 + 1] == 6.0f);
    penstock_close(&stream);
    stream = open_data(d, (struct how){.content_type = "text/csv;label_size=4", .batch_rows = 7});
    assert_int_equal(penstock_next(stream, 0, -1, &b), PENSTOCK_OK);
    assert_int_equal(b->label_dim, 4);
    assert_int_equal(b->feature_dim, 1);
    assert_true(b->features[6] == data_value(0, 6, 3));
    assert_true(b->labels[6 * 4 + 1] == 6.0f);
    penstock_close(&stream);
    data_close(d);
}

static void test_batch_too_large_for_memory_says_what_to_do(void **state)
{
    struct data *d = data_open(true, 1, 40, 100);
    struct penstock *stream = open_data(d, (struct how){.batch_rows = 1u << 24});
    const struct penstock_batch *batch;
    const struct penstock_error *error = penstock_last_error(stream, 0);

    (void)state;
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_MEMORY);
    assert_int_equal(error->rc, PENSTOCK_E_MEMORY);
    assert_non_null(strstr(error->message, "16777216 rows of 100 features and 1 labels"));
    assert_non_null(strstr(error->message, "raise the memory limit or lower the batch size"));
    penstock_close(&stream);
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_in_a_number_is_told_by_place),
        cmocka_unit_test(test_bad_protobuf_is_told_by_place),
        cmocka_unit_test(test_bad_magic_is_told_by_place),
        cmocka_unit_test(test_earliest_of_many_bad_records_is_told),
        cmocka_unit_test(test_error_comes_after_batches_that_stay_on_loan),
        cmocka_unit_test(test_error_of_one_channel_leaves_the_others_alone),
        cmocka_unit_test(test_truncated_record_is_told_by_its_beginning),
        cmocka_unit_test(test_quote_that_is_never_closed_is_told_by_its_row),
        cmocka_unit_test(test_offset_counts_the_byte_order_mark),
        cmocka_unit_test(test_other_number_of_features_is_told),
        cmocka_unit_test(test_feature_dim_is_checked_against_the_first_record),
        cmocka_unit_test(test_label_size_must_leave_a_feature),
        cmocka_unit_test(test_no_labels_and_many_labels),
        cmocka_unit_test(test_batch_too_large_for_memory_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
