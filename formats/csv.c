/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv.c - the CSV decoder: records to rows of float32. Regular records are decoded in bulk,
 * others field by field.
 */
#include "formats/csv_bulk.h"
#include "formats/csv_row.h"

#include <stdlib.h>

/* After a row that is not for bulk decoding so many go the plain way, doubled each time. */
#define BULK_PAUSE_MIN_ROWS 8u
#define BULK_PAUSE_MAX_ROWS 1024u
/* Of a row, whose plan takes memory for each: a text that is no row, or a damaged state, is to be
 * an error and not gigabytes. */
#define COLUMNS_MAX (1u << 24)

static enum fmt_rc csv_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                              struct fmt_rows *out, struct fmt_error *error)
{
    const uint8_t *end = span->in + span->len;
    const uint8_t *p = span->in;
    uint32_t row_no = 0;
    uint32_t pause_rows = BULK_PAUSE_MIN_ROWS;
    uint64_t bulk_row_no = decoder->bulk != NULL ? 0 : span->rows; /* next row to try in bulk */
    while (row_no < span->rows) {
        if (row_no >= bulk_row_no) {
            uint32_t n = fmt_csv_bulk_rows(decoder->bulk, span, &p, row_no, out);
            row_no += n;
            if (n > 0) {
                pause_rows = BULK_PAUSE_MIN_ROWS;
                continue;
            }
            bulk_row_no = row_no + pause_rows;
            if (pause_rows < BULK_PAUSE_MAX_ROWS)
                pause_rows *= 2;
        }
        p = csv_skip_blank_lines(&decoder->plan->dialect, p, end);
        if (p == end)
            return fmt_fail(error, span->len, row_no,
                            "the bytes hold %u records, %u were announced", row_no, span->rows);
        size_t texts = out->texts.count;
        enum fmt_rc rc = fmt_csv_row(decoder, span->in, end, p, &p, row_no, out, error);
        if (rc != FMT_OK) {
            out->texts.count = texts;
            return rc;
        }
        row_no++;
    }
    return FMT_OK;
}

/* Rows have so many columns. */
static enum fmt_rc learn_columns(struct fmt_csv_options *own, uint32_t columns, size_t offset,
                                 struct fmt_shape *shape, struct fmt_error *error)
{
    struct csv_plan *plan;
    enum fmt_rc rc = fmt_csv_plan_new(own, columns, offset, &plan, error);
    if (rc != FMT_OK)
        return rc;
    own->column_count = columns;
    *shape = (struct fmt_shape){.label_dim = plan->label_dim,
                                .feature_dim = plan->feature_dim,
                                .text_dim = plan->text_dim,
                                .weighted = plan->weighted};
    fmt_csv_plan_free(plan);
    return FMT_OK;
}

static enum fmt_rc csv_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                             struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_csv_options *own = options->own;
    struct csv_dialect d = fmt_csv_dialect(own);
    const uint8_t *end = in + len;
    const uint8_t *row = csv_skip_blank_lines(&d, in, end);
    size_t columns = row == end ? 0 : fmt_csv_count_fields(&d, row, end);
    size_t offset = (size_t)(row - in);
    if (columns > COLUMNS_MAX)
        return fmt_fail(error, offset, 0, "the row has %zu columns: too many", columns);
    return learn_columns(own, (uint32_t)columns, offset, shape, error);
}

static size_t csv_learnt(const struct fmt_options *options, const struct fmt_shape *shape,
                         uint32_t *words)
{
    (void)shape;
    words[0] = ((const struct fmt_csv_options *)options->own)->column_count;
    return 1;
}

static enum fmt_rc csv_learn_again(const struct fmt_options *options, const uint32_t *words,
                                   size_t count, struct fmt_shape *shape, struct fmt_error *error)
{
    if (count != 1 || words[0] > COLUMNS_MAX)
        return fmt_fail(error, 0, 0, "not what a first row of CSV tells");
    return learn_columns(options->own, words[0], 0, shape, error);
}

/* A header stands at the beginning. */
static bool csv_begins_anywhere(const struct fmt_options *options)
{
    return ((const struct fmt_csv_options *)options->own)->header == CSV_HEADER_ABSENT;
}

static void csv_decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fmt_csv_bulk_free(decoder->bulk);
    fmt_csv_plan_free(decoder->plan);
    free(decoder->texts);
    free(decoder->scratch);
    free(decoder);
}

static struct fmt_decoder *csv_decoder_new(const struct fmt_options *options,
                                           const struct fmt_shape *shape)
{
    const struct fmt_csv_options *own = options->own;
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));
    uint32_t columns =
        own->column_count != 0 ? own->column_count : shape->label_dim + shape->feature_dim;
    bool failed = true;
    if (decoder == NULL)
        return NULL;
    if (fmt_csv_plan_new(own, columns, 0, &decoder->plan, NULL) == FMT_OK)
        decoder->bulk = fmt_csv_bulk_new(decoder->plan, &failed);
    decoder->texts = calloc((size_t)shape->text_dim + 1, sizeof(decoder->texts[0]));
    if (failed || decoder->texts == NULL) {
        csv_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

const struct fmt_ops fmt_csv = {
    .content_type = "text/csv",
    .parameters = FMT_CSV_PARAMETERS,
    .options_bytes = sizeof(struct fmt_csv_options),
    .options_init = fmt_csv_options_init,
    .set_option = fmt_csv_set_option,
    .check_options = fmt_csv_check_options,
    .options_clear = fmt_csv_options_clear,
    .cut = fmt_csv_cut,
    .learn = csv_learn,
    .learnt = csv_learnt,
    .learn_again = csv_learn_again,
    .begins_anywhere = csv_begins_anywhere,
    .decoder_new = csv_decoder_new,
    .decoder_free = csv_decoder_free,
    .decode = csv_decode,
};
