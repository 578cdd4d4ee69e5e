/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_inflater_records.c - compressed channels of records: the rows are those of the
 * objects before they were compressed, and errors name their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

#include "tests/unit/compress.h"

static void compress_data(struct data *d, enum fmt_codec codec)
{
    for (uint32_t o = 0; o < d->objects; o++) {
        struct bytes b = data_bytes(d, o);
        struct compressed object = compress_parts(codec, b.at, b.len, 1 + o % 3);

        scratch_file(&d->scratch, data_name(o).text, object.bytes, object.len_bytes);
        free(object.bytes);
        free(b.at);
    }
}

/* Records cross members, the ring's end, and what has been inflated so far. */
static void test_records_of_compressed_objects_are_the_same(void **state)
{
    static const struct {
        const char *name;
        enum fmt_codec codec;
    } codecs[] = {{"gzip", FMT_CODEC_GZIP},
                  {"lz4", FMT_CODEC_LZ4},
                  {"zstd", FMT_CODEC_ZSTD},
                  {"auto", FMT_CODEC_NONE}};

    (void)state;
    for (int recordio = 0; recordio < 2; recordio++) {
        struct data *d = data_open(recordio, 9, 400, 120);

        for (size_t c = 0; c < 4; c++) {
            struct how how = {.compression = codecs[c].name, .epochs = 2, .decode_threads = 2};

            compress_data(d, codecs[c].codec);
            assert_streams(d, how);
        }
        assert_streams(d, (struct how){.compression = "auto", .shuffle = true, .seed = 4});
        data_close(d);
    }
}

static void test_a_bad_record_is_told_by_its_place_in_the_contents(void **state)
{
    static const char csv[] = "1,2\n3,4\n5,x\n";
    struct scratch scratch = scratch_open();
    struct compressed object =
        compress_parts(FMT_CODEC_GZIP, (const uint8_t *)csv, sizeof csv - 1, 1);
    const struct penstock_batch *batch;

    (void)state;
    scratch_file(&scratch, "a.csv.gz", object.bytes, object.len_bytes);
    struct penstock *stream =
        open_path(scratch.path, false, (struct how){.batch_rows = 2, .compression = "gzip"});

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    penstock_release(stream, batch);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_FORMAT);
    assert_int_equal(penstock_last_error(stream, 0)->offset_bytes, 8);
    penstock_close(&stream);
    free(object.bytes);
    scratch_close(&scratch);
}

static void test_a_truncated_object_ends_a_stream_of_records(void **state)
{
    struct data *d = data_open(false, 4, 800, 20);
    struct reading r = reading_of(d, (struct how){.batch_rows = 100});
    const struct penstock_batch *batch;
    int rc;

    (void)state;
    compress_data(d, FMT_CODEC_GZIP);
    struct bytes b = data_bytes(d, 2);
    struct compressed object = compress_parts(FMT_CODEC_GZIP, b.at, b.len, 1);

    scratch_file(&d->scratch, data_name(2).text, object.bytes, object.len_bytes - 1);
    struct penstock *stream = open_data(d, (struct how){.compression = "gzip"});

    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK) {
        assert_true(reading_batch(&r, batch));
        penstock_release(stream, batch);
    }
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message,
                           "gzip member 1: truncated: the object ends inside its trailer"));
    assert_in_range(r.rows, d->rows[0] + d->rows[1], d->rows[0] + d->rows[1] + d->rows[2] - 1);
    penstock_close(&stream);
    free(object.bytes);
    free(b.at);
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_of_compressed_objects_are_the_same),
        cmocka_unit_test(test_a_bad_record_is_told_by_its_place_in_the_contents),
        cmocka_unit_test(test_a_truncated_object_ends_a_stream_of_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
