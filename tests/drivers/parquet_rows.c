/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/parquet_rows.c - Parquet files to rows, for integration tests.
 *
 *     parquet_rows <JOBS
 *
 * Each line of JOBS is a content type, a file and a file to write, with tabs between. Prints a line
 * for each: "ok ROWS FEATURES LABELS TEXTS WEIGHTED", or "error OFFSET TEXT". What is written is
 * struct drive_result's values, and then its `more` (tests/drive.h).
 */
#include "tests/parquet_drive.h"

#include <stdio.h>

enum { LINE_BYTES_MAX = 8192 };

#define MEMORY_BYTES ((size_t)32 << 20)
#define FRAMES_BYTES_MAX ((size_t)1 << 30)

static uint8_t *read_file(const char *path, size_t *len_bytes)
{
    FILE *file = fopen(path, "rb");
    long end;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) < 0)
        abort();
    uint8_t *bytes = malloc((size_t)end + 1);

    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)end, file) != (size_t)end)
        abort();
    fclose(file);
    *len_bytes = (size_t)end;
    return bytes;
}

/* There may be no address of nothing. */
static bool put(FILE *file, const void *bytes, size_t len_bytes)
{
    return len_bytes == 0 || fwrite(bytes, 1, len_bytes, file) == len_bytes;
}

static void write_rows(const char *path, const struct drive_result *rows)
{
    FILE *file = fopen(path, "wb");
    size_t values = rows->rows * drive_columns(rows);

    if (!file || !put(file, rows->values, values * sizeof *rows->values) ||
        !put(file, rows->more, rows->more_len) || fclose(file) != 0)
        abort();
}

static void run_job(const char *type, const char *in_path, const char *out_path)
{
    struct parquet_reader reader;
    struct parquet_frames frames;
    struct drive_result rows;
    size_t len_bytes;
    uint8_t *in = read_file(in_path, &len_bytes);

    parquet_open(&reader, type, MEMORY_BYTES);
    parquet_frames(&reader, in, len_bytes, len_bytes / 3 + 1, 100003, FRAMES_BYTES_MAX, &frames);
    parquet_rows(&reader, &frames, &rows);
    if (frames.rc != FMT_INFLATE_END)
        printf("error %zu %s\n", frames.error.offset_bytes, frames.error.text);
    else if (rows.failed)
        printf("error 0 %s\n", rows.text);
    else
        printf("ok %zu %u %u %u %d\n", rows.rows, rows.shape.feature_dim, rows.shape.label_dim,
               rows.shape.text_dim, rows.shape.weighted);
    write_rows(out_path, &rows);
    drive_result_free(&rows);
    free(frames.bytes);
    parquet_close(&reader);
    free(in);
}

int main(void)
{
    char line[LINE_BYTES_MAX];

    while (fgets(line, sizeof line, stdin)) {
        char *rest = line;
        const char *type = strsep(&rest, "\t");
        const char *in_path = strsep(&rest, "\t");
        const char *out_path = strsep(&rest, "\n");

        if (!type || !in_path || !out_path)
            return 2;
        run_job(type, in_path, out_path);
    }
    return 0;
}
