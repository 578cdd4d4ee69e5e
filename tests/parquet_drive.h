/* SPDX-License-Identifier: Apache-2.0 */
/* tests/parquet_drive.h - a Parquet file through its codec, in steps of any size, and through cut
 * and decode, to rows. For tests and fuzz targets only; aborts when memory runs out, or when the
 * codec breaks the contract of formats/inflate.h.
 */
#ifndef TESTS_PARQUET_DRIVE_H
#define TESTS_PARQUET_DRIVE_H

#include "formats/inflate.h"
#include "formats/parquet.h"
#include "tests/drive.h"

#include <stdlib.h>
#include <string.h>

struct parquet_reader {
    struct fmt_options options;
    struct fmt_inflate *inflate;
    bool in_stream; /* files come back to back */
};

/* Frames made, and how that ended. */
struct parquet_frames {
    uint8_t *bytes;
    size_t len_bytes;
    size_t room_bytes;
    enum fmt_inflate_rc rc;
    struct fmt_error error;
    bool cut_off; /* there were more than frames_max */
};

static inline void parquet_open(struct parquet_reader *reader, const char *type,
                                size_t memory_bytes)
{
    struct fmt_error error = {.text = ""};

    reader->in_stream = false;
    if (fmt_options_parse(type, &reader->options, &error) != FMT_OK)
        abort();
    reader->inflate = fmt_inflate_new(FMT_CODEC_OWN, &reader->options, memory_bytes);
    if (!reader->inflate)
        abort();
}

static inline void parquet_close(struct parquet_reader *reader)
{
    fmt_inflate_free(reader->inflate);
    fmt_options_free(&reader->options);
}

/* Makes frames of in[len], which comes in pieces of in_step, into room of out_step bytes. */
static inline void parquet_frames(struct parquet_reader *reader, const uint8_t *in, size_t len,
                                  size_t in_step, size_t out_step, size_t frames_max,
                                  struct parquet_frames *got)
{
    size_t at = 0;
    size_t shown = 0;

    *got = (struct parquet_frames){.rc = FMT_INFLATE_IN};
    fmt_inflate_start(reader->inflate, FMT_CODEC_OWN);
    while (got->rc == FMT_INFLATE_IN || got->rc == FMT_INFLATE_OUT) {
        if (got->len_bytes + out_step > got->room_bytes) {
            got->room_bytes = 2 * (got->len_bytes + out_step);
            got->bytes = realloc(got->bytes, got->room_bytes);
            if (!got->bytes)
                abort();
        }
        if (got->rc == FMT_INFLATE_IN)
            shown = in_step < len - shown ? shown + in_step : len;
        struct fmt_inflate_step step = {.in = in + at,
                                        .in_bytes = shown - at,
                                        .at_end = shown == len,
                                        .in_stream = reader->in_stream,
                                        .out = got->bytes + got->len_bytes,
                                        .out_bytes = out_step};

        got->rc = fmt_inflate_run(reader->inflate, &step, &got->error);
        if (step.consumed_bytes > step.in_bytes || step.produced_bytes > step.out_bytes ||
            (got->rc == FMT_INFLATE_IN && (step.consumed_bytes < step.in_bytes || step.at_end)) ||
            (got->rc == FMT_INFLATE_OUT && step.produced_bytes < step.out_bytes) ||
            (got->rc == FMT_INFLATE_END && (step.consumed_bytes < step.in_bytes || !step.at_end)))
            abort();
        at += step.consumed_bytes;
        got->len_bytes += step.produced_bytes;
        if (got->len_bytes > frames_max) {
            got->cut_off = true;
            return;
        }
    }
}

static inline size_t parquet_step(void *cookie)
{
    (void)cookie;
    return 100000;
}

/* Decodes frames to rows; those of a file that failed up to the last whole one. */
static inline void parquet_rows(const struct parquet_reader *reader,
                                const struct parquet_frames *frames, struct drive_result *rows)
{
    struct drive drive = {.options = reader->options, .rows_max = 1000, .step = parquet_step};

    memset(rows, 0, sizeof *rows);
    if (frames->len_bytes > 0)
        drive_run(&drive, frames->bytes, frames->len_bytes, rows);
}

#endif
