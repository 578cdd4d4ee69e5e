/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_parquet.c - Parquet files: however the bytes are handed over, and whoever works
 * on them, the frames and the verdict are the same, and frames are rows.
 *
 * The input: a byte that chooses the content type, with 4 a stream of files, with 8 a team; one to
 * choose the steps by, and the file.
 */
#include <stdio.h>

#include "tests/inflate_drive.h"
#include "tests/parquet_drive.h"

enum { FILE_BYTES_MAX = 1 << 16 };

#define MEMORY_BYTES ((size_t)1 << 18)
#define FRAMES_BYTES_MAX ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const struct parquet_frames *frames)
{
    fprintf(stderr, "%s: %zu bytes, %d, '%s'\n", what, frames->len_bytes, (int)frames->rc,
            frames->rc == FMT_INFLATE_E_FORMAT ? frames->error.text : "");
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {
        "application/x-parquet;label_size=0", "application/x-parquet",
        "application/x-parquet;label=f64;columns=\"i32,few\"",
        "application/x-parquet;text=t;weight=n;label_size=0;columns=f32"};
    struct parquet_reader reader;
    struct parquet_frames whole, pieces;
    struct drive_result rows;

    if (size < 2 || size > FILE_BYTES_MAX)
        return 0;
    size_t in_step = data[1] % 8 == 0 ? size : (size_t)data[1] * 3;
    size_t out_step = data[1] % 4 == 1 ? 70000 : 1 + (size_t)data[1] * 5;

    parquet_open(&reader, types[data[0] % 4], MEMORY_BYTES);
    reader.in_stream = data[0] & 4;
    parquet_frames(&reader, data + 2, size - 2, size, FRAMES_BYTES_MAX, FRAMES_BYTES_MAX, &whole);
    parquet_rows(&reader, &whole, &rows);
    if (whole.rc == FMT_INFLATE_END && rows.failed)
        fail("frames that are no rows", &whole);
    parquet_close(&reader);
    drive_result_free(&rows);

    parquet_open(&reader, types[data[0] % 4], MEMORY_BYTES);
    reader.in_stream = data[0] & 4;
    if (data[0] & 8)
        fmt_inflate_share(reader.inflate, &backward_team);
    parquet_frames(&reader, data + 2, size - 2, in_step, out_step, FRAMES_BYTES_MAX, &pieces);
    size_t common = whole.len_bytes < pieces.len_bytes ? whole.len_bytes : pieces.len_bytes;

    if (common > 0 && memcmp(whole.bytes, pieces.bytes, common) != 0)
        fail("other bytes in pieces", &pieces);
    if (!whole.cut_off && !pieces.cut_off &&
        (whole.rc != pieces.rc || whole.len_bytes != pieces.len_bytes ||
         (whole.rc == FMT_INFLATE_E_FORMAT && strcmp(whole.error.text, pieces.error.text) != 0)))
        fail("another verdict in pieces", &pieces);
    parquet_close(&reader);
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}
