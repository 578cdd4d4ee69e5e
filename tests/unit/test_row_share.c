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

#include "tests/unit/row_share_fixture.h"

#include "tests/picture_fixture.h"
#include "tests/unit/compress.h"
#include "tests/unit/fifo_fixture.h"

#include <signal.h>

#define RECORDIO "application/x-recordio-protobuf"

static const char *const last_batches[] = {"keep", "drop", "pad", "wrap"};
enum { LAST_BATCHES = sizeof last_batches / sizeof *last_batches };

/* Every last batch, with rows in order and shuffled. */
static void check_policies(const char *path, struct how how, uint64_t window)
{
    how.pad_label = -1;
    how.seed = 5;
    for (size_t l = 0; l < LAST_BATCHES; l++) {
        how.last_batch = last_batches[l];
        how.shuffle_rows = 0;
        check_shares(path, how);
        how.shuffle_rows = window;
        check_shares(path, how);
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
    struct scratch scratch = scratch_open();
    struct bytes csv = {.at = NULL};

    (void)state;
    bytes_add_text(&csv, "label,a,b\n");
    for (uint32_t row = 0; row < 300; row++)
        bytes_add_csv(&csv, 1, row, 2);
    struct compressed packed = compress_parts(FMT_CODEC_GZIP, csv.at, csv.len, 2);

    scratch_file(&scratch, "a.gz", packed.bytes, packed.len_bytes);
    scratch_file(&scratch, "b.gz", packed.bytes, packed.len_bytes);
    check_shares(scratch.path, (struct how){.content_type = "text/csv;header=auto",
                                            .compression = "gzip",
                                            .batch_rows = 40,
                                            .epochs = 2});
    check_policies("tests/golden/parquet/long.parquet",
                   (struct how){.content_type = "application/x-parquet;label_size=0",
                                .batch_rows = 256,
                                .epochs = 2},
                   1024);
    free(packed.bytes);
    free(csv.at);
    scratch_close(&scratch);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense_rows),  cmocka_unit_test(test_framed_records),
        cmocka_unit_test(test_sparse_rows), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_pictures),    cmocka_unit_test(test_what_is_inflated),
        cmocka_unit_test(test_fifos),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
