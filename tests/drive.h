/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drive.h - decodes a whole object through struct fmt_ops the way the pipe does, in steps of
 * any size, and keeps the rows. For tests and fuzz targets only; aborts when memory runs out, or
 * when a format breaks the contract of formats/fmt.h.
 */
#ifndef TESTS_DRIVE_H
#define TESTS_DRIVE_H

#include "formats/fmt.h"

#include <stdlib.h>
#include <string.h>

/* How the bytes are handed over: step(cookie) more bytes (>= 1) whenever cut asks for more. */
struct drive {
    struct fmt_options options;
    uint32_t rows_max;
    bool exact; /* hand over copies in heap blocks without a byte to spare, for ASan to watch */
    size_t (*step)(void *cookie);
    void *cookie;
};

/* The rows before the first bad record, and whether there was one. */
struct drive_result {
    float *values; /* rows x (features, labels) */
    size_t values_cap;
    size_t rows;
    struct fmt_shape shape; /* zero when no record was good enough to learn from */
    bool failed;
    size_t error_offset_bytes; /* of the bad record, in the object */
    char text[240];
};

static inline size_t drive_columns(const struct drive_result *r)
{
    return (size_t)r->shape.feature_dim + r->shape.label_dim;
}

static inline void *drive_allocate(size_t size)
{
    void *p = malloc(size);
    if (p == NULL && size > 0)
        abort();
    return p;
}

static inline void drive_result_free(struct drive_result *r)
{
    free(r->values);
    memset(r, 0, sizeof(*r));
}

static inline void drive_add_row(struct drive_result *r, const float *features, const float *labels)
{
    size_t columns = drive_columns(r);
    if ((r->rows + 1) * columns > r->values_cap) {
        r->values_cap = (r->rows + 1) * columns * 2;
        r->values = realloc(r->values, r->values_cap * sizeof(float));
        if (r->values == NULL)
            abort();
    }
    float *out = r->values + r->rows++ * columns;
    memcpy(out, features, r->shape.feature_dim * sizeof(float));
    if (r->shape.label_dim > 0)
        memcpy(out + r->shape.feature_dim, labels, r->shape.label_dim * sizeof(float));
}

static inline void drive_fail(struct drive_result *r, size_t at, const struct fmt_error *error)
{
    r->failed = true;
    r->error_offset_bytes = at + error->offset_bytes;
    memcpy(r->text, error->text, sizeof(r->text));
}

/* Decodes the span that lies at `at` in the object into rows of exactly their size. */
static inline void drive_decode(const struct drive *drive, struct fmt_decoder *decoder, size_t at,
                                const uint8_t *in, size_t len, uint32_t rows,
                                struct drive_result *r)
{
    struct fmt_error error = {0};
    size_t feature_dim = r->shape.feature_dim;
    size_t label_dim = r->shape.label_dim;
    float *features = drive_allocate(rows * feature_dim * sizeof(float));
    float *labels = label_dim == 0 ? NULL : drive_allocate(rows * label_dim * sizeof(float));
    uint32_t good = rows;
    if (drive->options.ops->decode(decoder, in, len, rows, features, labels, &error) != FMT_OK) {
        drive_fail(r, at, &error);
        good = error.row;
        if (good >= rows || error.offset_bytes > len)
            abort();
    }
    for (size_t i = 0; i < good; i++)
        drive_add_row(r, features + i * feature_dim,
                      label_dim == 0 ? NULL : labels + i * label_dim);
    free(features);
    free(labels);
}

/* Cuts and decodes the object [in, in + len). */
static inline void drive_run(const struct drive *drive, const uint8_t *in, size_t len,
                             struct drive_result *r)
{
    const struct fmt_ops *ops = drive->options.ops;
    struct fmt_decoder *decoder = NULL;
    struct fmt_cut cut = {0};
    size_t given = 0;
    memset(r, 0, sizeof(*r));
    for (size_t at = 0; at < len && !r->failed;) {
        struct fmt_error error = {0};
        if (given <= at)
            given = at + drive->step(drive->cookie);
        if (given > len)
            given = len;
        uint8_t *copy = drive->exact ? drive_allocate(given - at) : NULL;
        if (copy != NULL)
            memcpy(copy, in + at, given - at);
        const uint8_t *bytes = copy != NULL ? copy : in + at;
        enum fmt_rc rc = ops->cut(&drive->options, bytes, given - at, at == 0, given == len,
                                  drive->rows_max, &cut, &error);
        if (rc == FMT_MORE) {
            if (given == len)
                abort(); /* fmt.h: never at the end */
            given += drive->step(drive->cookie);
        } else if (rc != FMT_OK) {
            drive_fail(r, at, &error);
        } else {
            if (cut.len_bytes == 0 || cut.len_bytes > given - at || cut.rows > drive->rows_max ||
                cut.lead_bytes > cut.len_bytes)
                abort();
            const uint8_t *span = bytes + cut.lead_bytes;
            size_t span_bytes = cut.len_bytes - cut.lead_bytes;
            if (cut.rows > 0 && decoder == NULL) {
                if (ops->learn(&drive->options, span, span_bytes, &r->shape, &error) != FMT_OK) {
                    drive_fail(r, at + cut.lead_bytes, &error);
                } else {
                    decoder = ops->decoder_new(&drive->options, &r->shape);
                    if (decoder == NULL)
                        abort();
                }
            }
            if (cut.rows > 0 && decoder != NULL)
                drive_decode(drive, decoder, at + cut.lead_bytes, span, span_bytes, cut.rows, r);
            at += cut.len_bytes;
            memset(&cut, 0, sizeof(cut));
        }
        free(copy);
    }
    ops->decoder_free(decoder);
}

/* Pieces of pseudo-random lengths from *cookie, a uint32_t; 0: all at once. */
static inline size_t drive_step_by_seed(void *cookie)
{
    uint32_t *state = cookie;
    if (*state == 0)
        return SIZE_MAX / 2;
    *state = *state * 1664525u + 1013904223u;
    return 1 + (*state >> 24) % (*state >> 16 & 1 ? 4 : 200);
}

/* The same rows, bit for bit, and the same end. */
static inline bool drive_result_equal(const struct drive_result *a, const struct drive_result *b)
{
    if (a->failed != b->failed || a->rows != b->rows ||
        (a->failed && a->error_offset_bytes != b->error_offset_bytes))
        return false;
    if (a->rows == 0)
        return true;
    return a->shape.feature_dim == b->shape.feature_dim &&
           a->shape.label_dim == b->shape.label_dim &&
           memcmp(a->values, b->values, a->rows * drive_columns(a) * sizeof(float)) == 0;
}

#endif
