/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_row_share.c - shares of the rows of every batch: one behind the other they are
 * the batches of the stream without shares, of every format and whatever becomes of records; they
 * go on from each other's states; and what other shares have is not decoded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/shaping_fixture.h"

#include "tests/unit/row_share_fixture.h"

#include "tests/picture_fixture.h"
#include "tests/unit/compress.h"
#include "tests/unit/fifo_fixture.h"

#include <signal.h>

#define RECORDIO "application/x-recordio-protobuf"

static const char *const last_batches[] = {"keep", "drop", "pad", "wrap"};
enum { LAST_BATCHES = sizeof last_batches / sizeof *last_batches };

/* Every last batch, with rows in order and shuffled; numbers of shares in turn. */
static void check_policies(const char *path, struct how how, uint64_t window)
{
    static uint32_t turn;

    how.pad_label = -1;
    how.seed = 5;
    for (size_t l = 0; l < LAST_BATCHES; l++)
        for (uint32_t w = 0; w < 2; w++) {
            uint32_t count = 2u << turn++ % 3;

            how.last_batch = last_batches[l];
            how.shuffle_rows = w * window;
            check_counts(path, how, count, count);
        }
}

/* ---- formats ---- */

static void test_dense_rows(void **state)
{
    struct data *records = data_open(true, 4, 57, 5);
    struct data *rows = data_open(false, 4, 57, 5);

    (void)state;
    check_policies(records->scratch.path,
                   (struct how){.content_type = RECORDIO, .batch_rows = 64, .epochs = 2}, 128);
    check_policies(rows->scratch.path, (struct how){.batch_rows = 24, .shuffle = true}, 100);
    /* an epoch of less than a batch, and batches of one row for each share */
    check_policies(rows->scratch.path, (struct how){.batch_rows = 512, .epochs = 2}, 1000);
    check_policies(rows->scratch.path, (struct how){.batch_rows = 8}, 40);
    assert_true(shares_without_rows > 0);
    data_close(records);
    data_close(rows);
}

static void test_framed_records(void **state)
{
    struct data *d = data_open(true, 4, 57, 5);
    struct how how = {.content_type = RECORDIO ";framed=true", .batch_rows = 24, .epochs = 2};

    (void)state;
    check_shares(d->scratch.path, how);
    data_close(d);
    /* many laps of the ring, of which a batch is a fifth */
    d = data_open(true, 2, 2500, 1000);
    how.batch_rows = 320;
    how.epochs = 1;
    check_shares(d->scratch.path, how);
    data_close(d);
}

static void write_libsvm(const struct scratch *scratch, uint32_t rows)
{
    for (uint32_t o = 0; o < 3; o++) {
        struct bytes b = {.at = NULL};
        char text[64];

        for (uint32_t row = 0; row < rows + o * 20; row++) {
            snprintf(text, sizeof text, "%u:%u.25 qid:%u", row, row % 7, row / 5);
            bytes_add_text(&b, text);
            for (uint32_t i = 0; i < row % 9; i++) {
                snprintf(text, sizeof text, " %u:%u.5", i * 100 + row % 50, row + i + o);
                bytes_add_text(&b, text);
            }
            bytes_add_text(&b, "\n");
        }
        scratch_file(scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
}

static void test_sparse_rows(void **state)
{
    struct scratch scratch = scratch_open();

    (void)state;
    write_libsvm(&scratch, 150);
    check_policies(scratch.path,
                   (struct how){.content_type = "text/libsvm", .batch_rows = 64, .epochs = 2}, 200);
    check_policies(scratch.path, (struct how){.content_type = "text/libsvm", .batch_rows = 1024},
                   2000);
    scratch_close(&scratch);
}

static void test_texts(void **state)
{
    struct scratch scratch = scratch_open();
    struct bytes b = {.at = NULL};
    char text[128];

    (void)state;
    for (uint32_t row = 0; row < 300; row++) {
        snprintf(text, sizeof text, "{\"features\":[%u,%u],\"label\":%u,\"t\":\"%.*s\"}\n", row,
                 row * 3, row % 10, (int)(row % 23), "abcdefghijklmnopqrstuvwxyz");
        bytes_add_text(&b, text);
    }
    scratch_file(&scratch, "a", b.at, b.len);
    free(b.at);
    check_policies(
        scratch.path,
        (struct how){.content_type = "application/jsonlines;text=t", .batch_rows = 16, .epochs = 2},
        64);
    scratch_close(&scratch);
}

static void write_pictures(const struct scratch *scratch, uint32_t count)
{
    static const struct png_kind kind = {"RGB 8", PNG_COLOR_TYPE_RGB, 8, false, false};

    for (uint32_t i = 0; i < count; i++) {
        struct file file = make_png(&kind, 14, 12, i, PNG_ALL_FILTERS, 0);

        scratch_file(scratch, data_name(i).text, file.bytes, file.len);
        free(file.bytes);
    }
}

/* Crop and mirror are drawn by lot, of epoch and position. */
static void test_pictures(void **state)
{
    struct scratch scratch = scratch_open();
    struct how how = {.content_type = "image/png;image_shape=3,8,8;crop=random;mirror=random",
                      .batch_rows = 8,
                      .epochs = 2,
                      .shuffle = true,
                      .seed = 3};

    (void)state;
    write_pictures(&scratch, 43);
    check_shares(scratch.path, how);
    how.last_batch = "wrap";
    how.shuffle_rows = 16;
    check_shares(scratch.path, how);
    scratch_close(&scratch);
}

static void test_what_is_inflated(void **state)
{
    struct data *d = data_open(false, 1, 300, 2);
    struct bytes csv = data_bytes(d, 0);
    struct compressed packed = compress_parts(FMT_CODEC_GZIP, csv.at, csv.len, 3);

    (void)state;
    scratch_file(&d->scratch, data_name(0).text, packed.bytes, packed.len_bytes);
    check_shares(d->scratch.path,
                 (struct how){.compression = "gzip", .batch_rows = 40, .epochs = 2});
    check_policies("tests/golden/parquet/long.parquet",
                   (struct how){.content_type = "application/x-parquet;label_size=0",
                                .batch_rows = 256,
                                .epochs = 2},
                   1024);
    free(packed.bytes);
    free(csv.at);
    data_close(d);
}

/* Each share has FIFOs of its own, which bring the same. */
static void test_fifos(void **state)
{
    struct data *d = data_open(true, 1, 500, 17);
    struct how how = {.content_type = RECORDIO, .batch_rows = 64, .epochs = 2};
    struct bytes b = data_bytes(d, 0);
    struct writer writers[3];
    struct penstock *streams[3];

    (void)state;
    for (uint32_t s = 0; s < 3; s++) {
        char uri[128];

        writers[s] = writer_of(b.at, b.len, 2);
        writer_start(&writers[s]);
        snprintf(uri, sizeof uri, "pipe://%.64s/train", writers[s].scratch.path);
        streams[s] = open_share(uri, how, s % 2, s < 2 ? 2 : 1, NULL);
    }
    read_whole(streams[2]);
    check_streams(streams, how, 2, 0);
    forget_whole();
    for (uint32_t s = 0; s < 3; s++) {
        penstock_close(&streams[s]);
        writer_end(&writers[s]);
    }
    free(b.at);
    data_close(d);
}

/* ---- records that are left out ---- */

static void test_bad_records_and_samples(void **state)
{
    struct corpus *c = corpus_open(5, 60, 9, true);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct how how = {.batch_rows = 40, .bad_records = "skip"};

        if (i == 1) {
            how.sample_from = 0.2;
            how.sample_to = 0.9;
        }
        model(c, &how, 0, &expected);
        row_positions = expected.ids;
        check_shares(c->scratch.path, how);
        row_positions = NULL;
        how.epochs = 2;
        check_policies(c->scratch.path, how, 120);
    }
    corpus_close(c);
}

/* ---- going on ---- */

/* Behind event k of a stream without shares with 4, of one of 2 shares with 4 and without, of one
 * of 4 with 2. */
static void check_resume(const char *path, struct how how, size_t step)
{
    struct penstock *stream = open_share(path, how, 0, 1, NULL);

    read_whole(stream);
    penstock_close(&stream);
    for (size_t k = 0; k < whole.count; k += step) {
        static const uint32_t to_counts[] = {4, 4, 2};
        uint32_t from_count = 1u << k / step % 3;
        const struct penstock_batch *batch;

        stream = open_share(path, how, from_count - 1, from_count, NULL);
        for (size_t j = 0; j < k; j++) {
            assert_int_equal(penstock_next(stream, 0, -1, &batch), whole.events[j].rc);
            penstock_release(stream, batch);
        }
        assert_int_equal(penstock_next(stream, 0, -1, &batch), whole.events[k].rc);
        char *behind = state_behind(stream, batch);

        penstock_release(stream, batch);
        penstock_close(&stream);
        check_count(path, how, to_counts[k / step % 3], behind, k + 1);
        if (from_count == 2)
            check_count(path, how, 1, behind, k + 1);
        free(behind);
    }
    forget_whole();
}

static void test_shares_go_on_from_each_others_states(void **state)
{
    struct scratch svm = scratch_open();
    struct data *d = data_open(true, 4, 57, 5);
    struct corpus *bad = corpus_open(5, 60, 9, true);

    (void)state;
    write_libsvm(&svm, 60);
    for (size_t l = 0; l < LAST_BATCHES; l++) {
        struct how how = {.content_type = RECORDIO,
                          .batch_rows = 32,
                          .epochs = 2,
                          .shuffle = true,
                          .seed = 4,
                          .last_batch = last_batches[l]};

        check_resume(d->scratch.path, how, 5);
        how.content_type = "text/libsvm";
        check_resume(svm.path, how, 4);
        how.content_type = NULL;
        how.bad_records = "skip";
        check_resume(bad->scratch.path, how, 5);
        how.shuffle_rows = 96;
        check_resume(bad->scratch.path, how, 5);
    }
    check_resume(d->scratch.path,
                 (struct how){.content_type = RECORDIO ";framed=true", .batch_rows = 16}, 2);
    corpus_close(bad);
    data_close(d);
    scratch_close(&svm);
}

/* ---- what is not done ---- */

/* What all shares of 2, of 4 and of 8 decode, all told, of `rows` rows in each epoch. */
static void assert_decoded(const char *path, struct how how, uint64_t expected_rows)
{
    shares_decoded = 0;
    check_shares(path, how);
    assert_int_equal(shares_decoded, expected_rows);
}

static void test_rows_of_others_are_not_decoded(void **state)
{
    struct scratch svm = scratch_open();
    struct scratch pictures = scratch_open();
    struct how how = {.content_type = "text/libsvm", .batch_rows = 48};

    (void)state;
    write_libsvm(&svm, 100); /* and 120, and 140 */
    write_pictures(&pictures, 21);
    assert_decoded(svm.path, how, 3 * 360);
    how.last_batch = "wrap"; /* whose first batch everyone needs */
    assert_decoded(svm.path, how, 3 * 360 + (1 + 3 + 7) * 48);
    how.last_batch = NULL;
    how.bad_records = "skip";
    assert_decoded(svm.path, how, (2 + 4 + 8) * 360);
    how.bad_records = NULL;
    how.shuffle_rows = 96;
    assert_decoded(svm.path, how, (2 + 4 + 8) * 360);
    assert_decoded(pictures.path,
                   (struct how){.content_type = "image/png;image_shape=3,8,8", .batch_rows = 8},
                   3 * 21);
    scratch_close(&svm);
    scratch_close(&pictures);
}

/* Reads to the end, or the error; returns which, and *rows that came before. */
static int read_all(const char *path, struct how how, uint32_t share, uint64_t *rows,
                    uint64_t *batches)
{
    struct penstock *stream = open_share(path, how, share, 4, NULL);
    const struct penstock_batch *batch;
    int rc;

    *rows = *batches = 0;
    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        *rows += batch ? batch->rows : 0;
        *batches += batch != NULL;
        penstock_release(stream, batch);
    }
    penstock_close(&stream);
    return rc;
}

/* A record that is malformed inside is its own share's error: batch 3, share 2 of 4. */
static void check_malformed(const char *path, const char *content_type)
{
    struct how how = {.content_type = content_type, .batch_rows = 16};
    uint64_t rows;
    uint64_t batches;

    for (uint32_t share = 0; share < 4; share++) {
        assert_int_equal(read_all(path, how, share, &rows, &batches),
                         share == 2 ? PENSTOCK_E_FORMAT : PENSTOCK_END);
        assert_int_equal(batches, share == 2 ? 3 : 7);
        assert_int_equal(rows, share == 2 ? 3 * 4 : share == 0 ? 6 * 4 + 4 : 6 * 4);
    }
    how.shuffle_rows = 16; /* then everyone sees it */
    for (uint32_t share = 0; share < 4; share++)
        assert_int_equal(read_all(path, how, share, &rows, &batches), PENSTOCK_E_FORMAT);
}

static void test_malformed_record_is_its_shares_error(void **state)
{
    enum { ROWS = 100, BAD = 3 * 16 + 2 * 4 + 1 };
    struct scratch csv = scratch_open();
    struct scratch svm = scratch_open();
    struct bytes csv_bytes = {.at = NULL};
    struct bytes svm_bytes = {.at = NULL};

    (void)state;
    for (uint32_t row = 0; row < ROWS; row++) {
        bytes_add_text(&csv_bytes, row == BAD ? "1,no,3\n" : "1,2,3\n");
        bytes_add_text(&svm_bytes, row == BAD ? "1 no:1\n" : "1 2:3\n");
    }
    scratch_file(&csv, "a", csv_bytes.at, csv_bytes.len);
    scratch_file(&svm, "a", svm_bytes.at, svm_bytes.len);
    check_malformed(csv.path, "text/csv");
    check_malformed(svm.path, "text/libsvm");
    free(csv_bytes.at);
    free(svm_bytes.at);
    scratch_close(&csv);
    scratch_close(&svm);
}

/* Where no record can be cut all shares end, behind the same batch. */
static void test_what_cannot_be_cut_ends_all_shares(void **state)
{
    struct data *d = data_open(true, 1, 100, 5);
    struct bytes b = data_bytes(d, 0);

    (void)state;
    scratch_file(&d->scratch, data_name(0).text, b.at, b.len - 3);
    for (uint32_t share = 0; share < 4; share++) {
        uint64_t rows;
        uint64_t batches;

        assert_int_equal(read_all(d->scratch.path,
                                  (struct how){.content_type = RECORDIO, .batch_rows = 16}, share,
                                  &rows, &batches),
                         PENSTOCK_E_FORMAT);
        assert_int_equal(batches, 6);
        assert_int_equal(rows, 24);
    }
    free(b.at);
    data_close(d);
}

static void test_slots_have_room_for_the_share(void **state)
{
    struct data *d = data_open(true, 1, 300, 1000);
    struct how how = {.content_type = RECORDIO, .batch_rows = 256};
    size_t slot_bytes[2];

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct penstock *stream = open_share(d->scratch.path, how, i * 3, i == 0 ? 1 : 4, NULL);
        struct penstock_counters counters;
        const struct penstock_batch *batch;

        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
        penstock_get_counters(stream, 0, &counters);
        slot_bytes[i] = (size_t)(counters.slot_bytes / counters.slot_count);
        penstock_close(&stream);
    }
    assert_in_range(slot_bytes[1], slot_bytes[0] / 4, slot_bytes[0] / 4 + 8192);
    data_close(d);
}

static void test_plain_bytes_have_no_rows_to_share(void **state)
{
    const char *uri = "/tmp";
    struct how how = {.content_type = "application/octet-stream", .row_share_count = 2};
    struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock *stream;
    struct penstock_error error;

    (void)state;
    assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "shares of rows are for records"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense_rows),
        cmocka_unit_test(test_framed_records),
        cmocka_unit_test(test_sparse_rows),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_what_is_inflated),
        cmocka_unit_test(test_fifos),
        cmocka_unit_test(test_bad_records_and_samples),
        cmocka_unit_test(test_shares_go_on_from_each_others_states),
        cmocka_unit_test(test_rows_of_others_are_not_decoded),
        cmocka_unit_test(test_malformed_record_is_its_shares_error),
        cmocka_unit_test(test_what_cannot_be_cut_ends_all_shares),
        cmocka_unit_test(test_slots_have_room_for_the_share),
        cmocka_unit_test(test_plain_bytes_have_no_rows_to_share),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
