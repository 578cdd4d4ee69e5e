/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_tfrecord.c - TFRecord and tf.train.Example: however the bytes are handed over,
 * the rows, the error and its place are the same.
 *
 * The input: a byte to choose the content type by, one to choose the steps by, and the object; or,
 * with FLAG_DATA, the data of records, each behind a byte of its length, which are put into frames
 * with good checksums.
 */
#include <stdio.h>

#include "formats/tfrecord.h"
#include "tests/drive.h"
#include "tests/tfrecord_writer.h"

enum { FLAG_DATA = 8, FLAG_ONE_ROW = 16, OBJECT_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const CONTENT_TYPES[] = {
    "tfrecord",
    "tfrecord;example=a",
    "tfrecord;example=\"a,b\";label=l",
    "tfrecord;example=a;label=l;text=t",
    "tfrecord;text=\"t,u\"",
};

static void check_object(const struct frames *object, const char *content_type, uint32_t rows_max,
                         uint32_t seed)
{
    uint32_t whole = 0;
    struct drive drive = {
        .rows_max = rows_max, .exact = true, .step = drive_step_by_seed, .cookie = &whole};
    struct drive_result expected;
    struct drive_result got;
    if (fmt_options_parse(content_type, &drive.options, NULL) != FMT_OK)
        abort();
    drive_run(&drive, object->bytes, object->len_bytes, &expected);
    fmt_options_free(&drive.options);
    if (fmt_options_parse(content_type, &drive.options, NULL) != FMT_OK)
        abort();
    drive.cookie = &seed;
    drive_run(&drive, object->bytes, object->len_bytes, &got);
    fmt_options_free(&drive.options);
    if (!drive_result_equal(&got, &expected)) {
        fprintf(stderr, "%s: %zu rows, error '%s'; in steps: %zu rows, error '%s'\n", content_type,
                expected.rows, expected.text, got.rows, got.text);
        abort();
    }
    drive_result_free(&got);
    drive_result_free(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frames object = {0};
    if (size < 2 || size > OBJECT_BYTES_MAX)
        return 0;
    if (!(data[0] & FLAG_DATA))
        frames_put(&object, data + 2, size - 2);
    for (size_t at = 2; data[0] & FLAG_DATA && at < size;) {
        size_t len = data[at] < size - at - 1 ? data[at] : size - at - 1;
        tfrecord_put(&object, data + at + 1, len);
        at += 1 + len;
    }
    check_object(&object, CONTENT_TYPES[(data[0] & 7) % 5], data[0] & FLAG_ONE_ROW ? 1 : 1000,
                 data[1] + 1u);
    size_t skip_bytes = 0;
    if (object.len_bytes > 0 && (fmt_tfrecord_resync(NULL, object.bytes, object.len_bytes, 0, true,
                                                     &skip_bytes) != FMT_OK ||
                                 skip_bytes == 0 || skip_bytes > object.len_bytes))
        abort();
    frames_free(&object);
    return 0;
}
