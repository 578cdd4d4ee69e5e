/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cat_rows.c - see cat_rows.h. */
#include "pipe/cat_rows.h"

#include "formats/csv_write.h"

#include <inttypes.h>
#include <string.h>

/* A line on its way: what is to be written in front of the next field. */
struct line {
    FILE *out;
    char separator;
    bool begun;
};

static void put_separator(struct line *line)
{
    if (line->begun)
        putc(line->separator, line->out);
    line->begun = true;
}

static void put_bare_number(struct line *line, enum fmt_type type, const void *value)
{
    char text[FMT_CSV_FIELD_BYTES_MAX];
    size_t len = fmt_csv_write(type, value, 1, false, text);

    fwrite(text, 1, len - 1, line->out); /* without the comma */
}

/* "qid:7": a whole number behind or in front of a mark. */
static void put_whole(struct line *line, const char *before, uint64_t value, const char *after)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s%" PRIu64 "%s", before, value, after);

    put_separator(line);
    fwrite(text, 1, (size_t)len, line->out);
}

static void put_floats(struct line *line, const float *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_separator(line);
        put_bare_number(line, FMT_FLOAT32, &values[i]);
    }
}

/* Feature `at` of a batch's dense ones. */
static void put_feature(struct line *line, const struct penstock_batch *batch, size_t at)
{
    int64_t whole = 0;

    put_separator(line);
    switch (batch->type) {
    case PENSTOCK_FLOAT32:
        put_bare_number(line, FMT_FLOAT32, (const float *)batch->data + at);
        return;
    case PENSTOCK_FLOAT64:
        put_bare_number(line, FMT_FLOAT64, (const double *)batch->data + at);
        return;
    case PENSTOCK_INT32:
        whole = ((const int32_t *)batch->data)[at];
        break;
    case PENSTOCK_UINT8:
        whole = ((const uint8_t *)batch->data)[at];
        break;
    }
    put_bare_number(line, FMT_INT64, &whole);
}

/* In quotes, those inside twice (RFC 4180). */
static void put_text(struct line *line, const char *text, size_t len)
{
    put_separator(line);
    putc('"', line->out);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            putc('"', line->out);
        putc(text[i], line->out);
    }
    putc('"', line->out);
}

static void put_texts(struct line *line, const struct penstock_batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < batch->text_dim; i++) {
        const uint32_t *offset = &batch->text_offsets[row * batch->text_dim + i];

        put_text(line, batch->text + offset[0], offset[1] - offset[0]);
    }
}

static void put_dense_row(struct line *line, const struct penstock_batch *batch, uint32_t row)
{
    line->separator = ',';
    if (batch->labels)
        put_floats(line, batch->labels + (size_t)row * batch->label_dim, batch->label_dim);
    if (batch->weights)
        put_floats(line, &batch->weights[row], 1);
    if (batch->groups)
        put_whole(line, "", batch->groups[row], "");
    if (batch->data)
        for (uint32_t i = 0; i < batch->feature_dim; i++)
            put_feature(line, batch, (size_t)row * batch->feature_dim + i);
}

/* Numbers of a record in place, at any address. */
static void put_numbers_at(struct line *line, const uint8_t *at, enum penstock_type type,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        float single;
        double wide;

        put_separator(line);
        if (type == PENSTOCK_FLOAT32) {
            memcpy(&single, at + i * sizeof single, sizeof single);
            put_bare_number(line, FMT_FLOAT32, &single);
        } else {
            memcpy(&wide, at + i * sizeof wide, sizeof wide);
            put_bare_number(line, FMT_FLOAT64, &wide);
        }
    }
}

static void put_framed_row(struct line *line, const struct penstock_batch *batch, uint32_t row)
{
    const struct penstock_run *run = batch->runs;

    while (row >= run->rows)
        row -= run++->rows;
    const uint8_t *record = (const uint8_t *)run->data + row * batch->stride_bytes;

    line->separator = ',';
    put_numbers_at(line, record + batch->labels_offset, batch->label_type, batch->label_dim);
    put_numbers_at(line, record + batch->features_offset, batch->type, batch->feature_dim);
}

static void put_sparse_row(struct line *line, const struct penstock_batch *batch, uint32_t row)
{
    line->separator = ',';
    if (batch->labels)
        put_floats(line, batch->labels + (size_t)row * batch->label_dim, batch->label_dim);
    if (batch->weights) {
        putc(':', line->out);
        put_bare_number(line, FMT_FLOAT32, &batch->weights[row]);
        line->begun = true;
    }
    line->separator = ' ';
    if (batch->groups)
        put_whole(line, "qid:", batch->groups[row], "");
    for (uint32_t i = batch->row_offsets[row]; i < batch->row_offsets[row + 1]; i++) {
        put_whole(line, "", batch->columns[i], ":");
        put_bare_number(line, FMT_FLOAT32, &batch->values[i]);
    }
}

void ps_cat_row(const struct penstock_batch *batch, uint32_t row, FILE *out)
{
    struct line line = {.out = out};

    if (batch->row_offsets)
        put_sparse_row(&line, batch, row);
    else if (batch->run_count > 0)
        put_framed_row(&line, batch, row);
    else
        put_dense_row(&line, batch, row);
    put_texts(&line, batch, row);
    putc('\n', out);
}

int ps_cat_rows(struct penstock *stream, uint64_t rows_left, FILE *out)
{
    while (rows_left > 0) {
        const struct penstock_batch *batch;
        int rc = penstock_next(stream, 0, -1, &batch);

        if (rc == PENSTOCK_EPOCH_END)
            continue;
        if (rc != PENSTOCK_OK)
            return fflush(out) == 0 ? rc : PENSTOCK_OK;
        for (uint32_t row = 0; row < batch->rows && rows_left > 0; row++, rows_left--)
            ps_cat_row(batch, row, out);
        penstock_release(stream, batch);
        if (ferror(out))
            return PENSTOCK_OK;
    }
    return fflush(out) == 0 ? PENSTOCK_END : PENSTOCK_OK;
}
