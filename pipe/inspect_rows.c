/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_rows.c - what decoders make of records, one by one. See inspect.h. */
#include "pipe/inspect.h"

#include "formats/csv.h"
#include "formats/json_string.h"
#include "pipe/cat_rows.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 240 };

/* ---- memory ---- */

/* Room for one row of the shape, and for the first ones. */
static bool open_rows(struct ps_inspect *inspect)
{
    const struct fmt_shape *shape = &inspect->shape;
    struct fmt_rows *row = &inspect->decoded;
    size_t row_len = (size_t)shape->feature_dim + shape->label_dim;
    size_t kept = inspect->rows_wanted + (size_t)1;

    if (!shape->sparse)
        row->features = calloc(shape->feature_dim + (size_t)1, sizeof(double));
    row->labels = calloc(shape->label_dim + (size_t)1, sizeof *row->labels);
    row->weights = calloc(1, sizeof *row->weights);
    row->groups = calloc(1, sizeof *row->groups);
    row->entry_ends = calloc(2, sizeof *row->entry_ends);
    row->text_ends = calloc(shape->text_dim + (size_t)1, sizeof *row->text_ends);
    inspect->row_room = shape->sparse ? shape->label_dim : row_len;
    inspect->row = calloc(inspect->row_room + 1, sizeof *inspect->row);
    if (shape->sparse || shape->text_dim > 0)
        inspect->line_kept = calloc(kept, sizeof *inspect->line_kept);
    else
        inspect->row_kept = calloc(row_len * kept + 1, sizeof *inspect->row_kept);
    return (shape->sparse || row->features) && row->labels && row->weights && row->groups &&
           row->entry_ends && row->text_ends && inspect->row &&
           (inspect->line_kept || inspect->row_kept);
}

void ps_inspect_rows_close(struct ps_inspect *inspect)
{
    struct fmt_rows *row = &inspect->decoded;

    if (inspect->decoder)
        inspect->options.ops->decoder_free(inspect->decoder);
    for (uint32_t i = 0; inspect->line_kept && i < inspect->rows_kept; i++)
        free(inspect->line_kept[i]);
    free(inspect->line_kept);
    free(inspect->row_kept);
    free(inspect->row);
    free(row->features);
    free(row->labels);
    free(row->weights);
    free(row->groups);
    free(row->entry_ends);
    free(row->text_ends);
    free(row->entries.columns);
    free(row->entries.values);
    free(row->texts.bytes);
}

/* Learns the shape from a record. One that is malformed leaves it unknown. */
static int learn(struct ps_inspect *inspect, const uint8_t *in, size_t len, struct fmt_error *why)
{
    const struct fmt_options *options = &inspect->options;

    if (options->ops->learn(options, in, len, &inspect->shape, why) != FMT_OK) {
        inspect->shape = (struct fmt_shape){.feature_dim = 0};
        return PENSTOCK_E_FORMAT;
    }
    inspect->decoder = options->ops->decoder_new(options, &inspect->shape);
    return inspect->decoder && open_rows(inspect) ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
}

/* ---- rows ---- */

/* Makes bytes that are no text, or would move a terminal's cursor, points. */
static void make_printable(char *line, size_t len)
{
    uint8_t *bytes = (uint8_t *)line;

    for (size_t at = 0; at < len; at++) {
        at += fmt_json_plain(bytes + at, len - at);
        if (at < len && bytes[at] != '"' && bytes[at] != '\\')
            line[at] = '.';
    }
    for (char *del; (del = memchr(line, 0x7f, len)) != NULL;)
        *del = '.';
}

/* The row as penstock cat --decode writes it, cut short. */
static char *line_of(const struct ps_inspect *inspect)
{
    const struct fmt_shape *shape = &inspect->shape;
    const struct fmt_rows *row = &inspect->decoded;
    uint32_t entries[2] = {0, row->entry_ends[0]};
    uint32_t texts[2 * LINE_BYTES_MAX] = {0};
    struct penstock_batch batch = {.rows = 1,
                                   .feature_dim = shape->feature_dim,
                                   .label_dim = shape->label_dim,
                                   .labels = shape->label_dim > 0 ? row->labels : NULL,
                                   .type = (enum penstock_type)shape->type,
                                   .data = row->features,
                                   .weights = shape->weighted ? row->weights : NULL,
                                   .groups = shape->grouped ? row->groups : NULL,
                                   .row_offsets = shape->sparse ? entries : NULL,
                                   .columns = row->entries.columns,
                                   .values = row->entries.values,
                                   .text_dim = shape->text_dim < LINE_BYTES_MAX ? shape->text_dim
                                                                                : LINE_BYTES_MAX,
                                   .text_offsets = texts,
                                   .text = (const char *)row->texts.bytes};
    size_t len = 0;
    char *line = NULL;

    memcpy(texts + 1, row->text_ends, batch.text_dim * sizeof *texts);
    FILE *out = open_memstream(&line, &len);

    if (!out)
        return NULL;
    ps_cat_row(&batch, 0, out);
    if (fclose(out) != 0 || !line) {
        free(line);
        return NULL;
    }
    bool whole = len <= LINE_BYTES_MAX;

    len = whole ? len - 1 : LINE_BYTES_MAX; /* without the line's end */
    while (!whole && len > 0 && ((uint8_t)line[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    line[len] = '\0';
    make_printable(line, len);
    if (!whole)
        memcpy(line + (len < 3 ? 0 : len - 3), "...", 3);
    return line;
}

/* Labels, and features as float32, in inspect->row. */
static int gather_row(struct ps_inspect *inspect, size_t *feature_count)
{
    const struct fmt_shape *shape = &inspect->shape;
    const struct fmt_rows *row = &inspect->decoded;
    size_t count = shape->sparse ? row->entries.count : shape->feature_dim;

    if (shape->label_dim + count > inspect->row_room) {
        size_t room = 2 * (shape->label_dim + count);
        float *memory = realloc(inspect->row, room * sizeof *memory);

        if (!memory)
            return PENSTOCK_E_MEMORY;
        inspect->row = memory;
        inspect->row_room = room;
    }
    float *out = inspect->row + shape->label_dim;

    memcpy(inspect->row, row->labels, shape->label_dim * sizeof *inspect->row);
    for (size_t i = 0; i < count; i++)
        out[i] = shape->sparse            ? row->entries.values[i]
                 : shape->type == FMT_F64 ? (float)((const double *)row->features)[i]
                 : shape->type == FMT_I32 ? (float)((const int32_t *)row->features)[i]
                 : shape->type == FMT_U8  ? (float)((const uint8_t *)row->features)[i]
                                          : ((const float *)row->features)[i];
    *feature_count = count;
    return PENSTOCK_OK;
}

static int keep_row(struct ps_inspect *inspect, uint64_t offset_bytes)
{
    const struct fmt_shape *shape = &inspect->shape;
    size_t row_len = (size_t)shape->feature_dim + shape->label_dim;
    uint64_t odd = inspect->features.nan_count + inspect->features.inf_count;
    size_t count;

    if (gather_row(inspect, &count) != PENSTOCK_OK)
        return PENSTOCK_E_MEMORY;
    if (inspect->rows_kept < inspect->rows_wanted && inspect->line_kept) {
        char *line = line_of(inspect);

        if (!line)
            return PENSTOCK_E_MEMORY;
        inspect->line_kept[inspect->rows_kept++] = line;
    } else if (inspect->rows_kept < inspect->rows_wanted) {
        memcpy(inspect->row_kept + row_len * inspect->rows_kept++, inspect->row,
               row_len * sizeof *inspect->row);
    }
    ps_numbers_take(&inspect->features, inspect->row + shape->label_dim, count, 1, false);
    odd = inspect->features.nan_count + inspect->features.inf_count - odd;
    for (uint32_t i = 0; i < shape->label_dim && i < PS_LABELS_SHOWN; i++) {
        struct ps_numbers *label = &inspect->labels[i];
        uint64_t before = label->nan_count + label->inf_count;

        ps_numbers_take(label, inspect->row + i, 1, 1, true);
        odd += label->nan_count + label->inf_count - before;
    }
    inspect->entries += inspect->decoded.entries.count;
    inspect->text_bytes += inspect->decoded.texts.count;
    inspect->records++;
    if (odd > 0)
        ps_inspect_problem(inspect, PS_PROBLEM_NUMBERS, inspect->key, offset_bytes,
                           "%llu of the record's numbers are missing, NaN or infinite",
                           (unsigned long long)odd);
    return PENSTOCK_OK;
}

/* ---- records ---- */

static bool is_header(const struct ps_inspect *inspect, const uint8_t *in, size_t len,
                      uint64_t offset_bytes)
{
    if (inspect->options.ops != &fmt_csv || offset_bytes > 3)
        return false;
    char delimiter = (char)((const struct fmt_csv_options *)inspect->options.own)->delimiter;

    return ps_inspect_is_header(in, len, delimiter ? delimiter : ',');
}

/* A record that does not decode: of another shape, a header, or malformed. */
static void tell_bad_row(struct ps_inspect *inspect, const uint8_t *in, size_t len,
                         uint64_t offset_bytes, const char *why)
{
    struct fmt_options other = {.ops = NULL};
    struct fmt_shape shape;
    enum ps_problem problem = PS_PROBLEM_MALFORMED;

    if (is_header(inspect, in, len, offset_bytes))
        problem = PS_PROBLEM_HEADER;
    else if (inspect->decoder && fmt_options_parse(inspect->type, &other, NULL) == FMT_OK &&
             other.ops->learn(&other, in, len, &shape, NULL) == FMT_OK &&
             (shape.feature_dim != inspect->shape.feature_dim ||
              shape.label_dim != inspect->shape.label_dim || shape.sparse != inspect->shape.sparse))
        problem = PS_PROBLEM_SHAPE;
    fmt_options_free(&other);
    ps_inspect_problem(inspect, problem, inspect->key, offset_bytes, "%s",
                       problem == PS_PROBLEM_HEADER
                           ? "the first line is a header: SageMaker's CSV has none"
                           : why);
}

int ps_inspect_row(struct ps_inspect *inspect, const uint8_t *in, size_t len, uint64_t offset_bytes)
{
    struct fmt_error why = {.text = ""};
    int rc = PENSTOCK_OK;

    if (!inspect->decoder && !is_header(inspect, in, len, offset_bytes))
        rc = learn(inspect, in, len, &why);
    if (rc == PENSTOCK_E_MEMORY)
        return rc;
    struct fmt_span span = {.in = in,
                            .len = len,
                            .rows = 1,
                            .position = inspect->records,
                            .key = inspect->key,
                            .object_offset = offset_bytes};

    inspect->decoded.entries.count = 0;
    inspect->decoded.texts.count = 0;
    if (rc == PENSTOCK_OK && inspect->decoder &&
        inspect->options.ops->decode(inspect->decoder, &span, &inspect->decoded, &why) == FMT_OK)
        return keep_row(inspect, offset_bytes);
    tell_bad_row(inspect, in, len, offset_bytes, why.text);
    return PENSTOCK_OK;
}
