/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drive.h - decodes a whole object through struct fmt_ops the way the pipe does, in steps of
 * any size, and keeps the rows. For tests and fuzz targets only; aborts when memory runs out, or
 * when a format breaks the contract of formats/fmt.h.
 */
#ifndef TESTS_DRIVE_H
#define TESTS_DRIVE_H

#include "formats/fmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the bytes are handed over: step(cookie) more bytes (>= 1) whenever cut asks for more. */
struct drive {
    struct fmt_options options;
    uint32_t rows_max;
    bool exact; /* hand over copies in heap blocks without a byte to spare, for ASan to watch */
    size_t (*step)(void *cookie);
    void *cookie;
    const char *key; /* of the object; NULL: "" */
};

/* Of one decode: sparse rows of a few bytes can ask for 2^32 columns as dense ones. */
#define DRIVE_CELLS_MAX (UINT64_C(1) << 23)

/* The rows before the first bad record, and whether there was one. */
struct drive_result {
    float *values; /* rows x (features, labels), of dense float32 rows */
    size_t values_cap;
    /* Whatever else a row has, row for row: features of other types, weight, group, the number of
     * entries, their columns, their values, each text's length and bytes. */
    uint8_t *more;
    size_t more_len;
    size_t more_cap;
    size_t rows;
    struct fmt_shape shape; /* zero when no record was good enough to learn from */
    bool failed;
    size_t error_offset_bytes; /* of the bad record, in the object */
    char text[360];
    bool outsized; /* a row would not fit into any slot: the pipe refuses it, and so does this */
};

static inline bool drive_is_float(const struct fmt_shape *shape)
{
    return !shape->sparse && shape->type == FMT_F32;
}

static inline size_t drive_columns(const struct drive_result *r)
{
    return (drive_is_float(&r->shape) ? (size_t)r->shape.feature_dim : 0) + r->shape.label_dim;
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
    free(r->more);
    memset(r, 0, sizeof(*r));
}

static inline void drive_put(struct drive_result *r, const void *bytes, size_t len)
{
    if (r->more_len + len > r->more_cap) {
        r->more_cap = (r->more_len + len) * 2;
        r->more = realloc(r->more, r->more_cap);
        if (r->more == NULL)
            abort();
    }
    if (len > 0)
        memcpy(r->more + r->more_len, bytes, len);
    r->more_len += len;
}

static inline void drive_add_values(struct drive_result *r, const float *features,
                                    const float *labels)
{
    size_t columns = drive_columns(r);
    if (columns == 0)
        return;
    if ((r->rows + 1) * columns > r->values_cap) {
        r->values_cap = (r->rows + 1) * columns * 2;
        r->values = realloc(r->values, r->values_cap * sizeof(float));
        if (r->values == NULL)
            abort();
    }
    float *out = r->values + r->rows * columns;
    size_t feature_dim = columns - r->shape.label_dim;
    if (feature_dim > 0)
        memcpy(out, features, feature_dim * sizeof(float));
    if (r->shape.label_dim > 0)
        memcpy(out + feature_dim, labels, r->shape.label_dim * sizeof(float));
}

/* A dense float32 row that a test expects. */
static inline void drive_add_row(struct drive_result *r, const float *features, const float *labels)
{
    drive_add_values(r, features, labels);
    r->rows++;
}

/* Row i of what was decoded. */
static inline void drive_add_decoded(struct drive_result *r, const struct fmt_rows *rows, size_t i)
{
    const struct fmt_shape *shape = &r->shape;
    size_t feature_bytes = shape->feature_dim * fmt_feature_bytes(shape->type);
    drive_add_values(r,
                     rows->features == NULL || !drive_is_float(shape)
                         ? NULL
                         : (const float *)rows->features + i * shape->feature_dim,
                     shape->label_dim == 0 ? NULL : rows->labels + i * shape->label_dim);
    if (!shape->sparse && !drive_is_float(shape))
        drive_put(r, (const uint8_t *)rows->features + i * feature_bytes, feature_bytes);
    if (shape->weighted)
        drive_put(r, rows->weights + i, sizeof(float));
    if (shape->grouped)
        drive_put(r, rows->groups + i, sizeof(uint64_t));
    if (shape->sparse) {
        uint32_t from = i == 0 ? 0 : rows->entry_ends[i - 1];
        uint32_t count = rows->entry_ends[i] - from;
        if (rows->entry_ends[i] < from || rows->entry_ends[i] > rows->entries.count)
            abort();
        drive_put(r, &count, sizeof(count));
        if (count > 0) {
            drive_put(r, rows->entries.columns + from, count * sizeof(uint32_t));
            drive_put(r, rows->entries.values + from, count * sizeof(float));
        }
    }
    for (size_t j = i * shape->text_dim; j < (i + 1) * shape->text_dim; j++) {
        uint32_t from = j == 0 ? 0 : rows->text_ends[j - 1];
        uint32_t count = rows->text_ends[j] - from;
        if (rows->text_ends[j] < from || rows->text_ends[j] > rows->texts.count)
            abort();
        drive_put(r, &count, sizeof(count));
        if (count > 0)
            drive_put(r, rows->texts.bytes + from, count);
    }
    r->rows++;
}

static inline void drive_fail(struct drive_result *r, size_t at, const struct fmt_error *error)
{
    r->failed = true;
    r->error_offset_bytes = at + error->offset_bytes;
    memcpy(r->text, error->text, sizeof(r->text));
}

/* Arrays of exactly the size that `rows` rows take; NULL for what the shape lacks. */
static inline void drive_rows_open(struct fmt_rows *out, const struct fmt_shape *shape, size_t rows)
{
    *out = (struct fmt_rows){.features = NULL};
    if (!shape->sparse)
        out->features = drive_allocate(rows * shape->feature_dim * fmt_feature_bytes(shape->type));
    if (shape->label_dim > 0)
        out->labels = drive_allocate(rows * shape->label_dim * sizeof(float));
    if (shape->weighted)
        out->weights = drive_allocate(rows * sizeof(float));
    if (shape->grouped)
        out->groups = drive_allocate(rows * sizeof(uint64_t));
    if (shape->sparse)
        out->entry_ends = drive_allocate(rows * sizeof(uint32_t));
    if (shape->text_dim > 0)
        out->text_ends = drive_allocate(rows * shape->text_dim * sizeof(uint32_t));
}

static inline void drive_rows_close(struct fmt_rows *rows)
{
    free(rows->features);
    free(rows->labels);
    free(rows->weights);
    free(rows->groups);
    free(rows->entry_ends);
    free(rows->text_ends);
    free(rows->entries.columns);
    free(rows->entries.values);
    free(rows->texts.bytes);
}

/* Decodes the span that lies at `at` in the object. */
static inline void drive_decode(const struct drive *drive, struct fmt_decoder *decoder, size_t at,
                                const uint8_t *in, size_t len, uint32_t rows,
                                struct drive_result *r)
{
    struct fmt_error error = {0};
    struct fmt_span span = {.in = in,
                            .len = len,
                            .rows = rows,
                            .position = r->rows,
                            .key = drive->key ? drive->key : "",
                            .object_offset = at};
    struct fmt_rows out;
    uint32_t good = rows;
    drive_rows_open(&out, &r->shape, rows);
    if (drive->options.ops->decode(decoder, &span, &out, &error) != FMT_OK) {
        drive_fail(r, at, &error);
        good = error.row;
        if (good >= rows || error.offset_bytes > len)
            abort();
    }
    for (size_t i = 0; i < good; i++)
        drive_add_decoded(r, &out, i);
    drive_rows_close(&out);
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
                } else if ((uint64_t)r->shape.feature_dim * drive->rows_max > DRIVE_CELLS_MAX) {
                    r->outsized = true;
                    free(copy);
                    return;
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
           (drive_columns(a) == 0 ||
            memcmp(a->values, b->values, a->rows * drive_columns(a) * sizeof(float)) == 0) &&
           a->more_len == b->more_len &&
           (a->more_len == 0 || memcmp(a->more, b->more, a->more_len) == 0);
}

/* Both results, which are freed; aborts if they differ, or, unless text_too is false, their words.
 */
static inline void drive_compare(struct drive_result *got, struct drive_result *expected,
                                 bool text_too)
{
    if (!drive_result_equal(got, expected) ||
        (text_too && strcmp(got->text, expected->text) != 0)) {
        fprintf(stderr, "decoder: %zu rows, '%s' at %zu; reference: %zu rows, '%s' at %zu\n",
                got->rows, got->text, got->error_offset_bytes, expected->rows, expected->text,
                expected->error_offset_bytes);
        abort();
    }
    drive_result_free(got);
    drive_result_free(expected);
}

/* Drives an object, in steps by a seed, and once more whole with other functions: rows and error
 * have to be the same. */
static inline void drive_against(struct drive *drive, const struct fmt_ops *reference,
                                 const uint8_t *in, size_t len, uint32_t step_seed, bool text_too)
{
    const struct fmt_ops *ops = drive->options.ops;
    struct drive_result got;
    struct drive_result expected;

    drive->step = drive_step_by_seed;
    drive->cookie = &step_seed;
    drive_run(drive, in, len, &got);
    drive->options.ops = reference;
    step_seed = 0;
    drive_run(drive, in, len, &expected);
    drive->options.ops = ops;
    drive_compare(&got, &expected, text_too);
}

#endif
