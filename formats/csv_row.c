/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_row.c - see csv_row.h. */
#include "formats/csv_row.h"
#include "formats/number.h"

#include <stdlib.h>

struct row {
    struct fmt_decoder *decoder;
    const struct csv_plan *plan;
    const uint8_t *end;
    size_t offset;
    uint32_t row_no;
    struct fmt_rows *out;
    struct fmt_error *error;
};

static enum fmt_rc fail(const struct row *r, uint32_t column_no, const struct csv_field *f,
                        const char *wanted)
{
    return fmt_csv_fail_field(f, column_no, r->offset, r->row_no, wanted, r->error);
}

static enum fmt_rc put_blank(const struct row *r, uint32_t column_no, float *value)
{
    *value = r->plan->blank;
    if (r->plan->blank_is_good)
        return FMT_OK;
    return fmt_fail(r->error, r->offset, r->row_no, "field %u is blank, and blanks=error",
                    column_no + 1);
}

static enum fmt_rc put_number(const struct row *r, uint32_t column_no, const struct csv_field *f,
                              float *value)
{
    if (f->len == 0)
        return put_blank(r, column_no, value);
    if (!f->open && fmt_number_scan(f->text, f->text + f->len, value) == f->text + f->len)
        return FMT_OK;
    return fail(r, column_no, f,
                column_no == 0 ? "not a number: if that is a header, say header=present"
                               : "not a number");
}

/* The text of a field without quotes; NULL when memory is out. */
static const uint8_t *plain_text(const struct row *r, const struct csv_field *f, size_t *len)
{
    struct fmt_decoder *decoder = r->decoder;
    *len = f->inside_len;
    if (!f->doubled)
        return f->inside;
    if (decoder->scratch_room < f->inside_len) {
        uint8_t *more = realloc(decoder->scratch, f->inside_len);
        if (more == NULL)
            return NULL;
        decoder->scratch = more;
        decoder->scratch_room = f->inside_len;
    }
    *len = fmt_csv_field_copy(f, decoder->scratch);
    return decoder->scratch;
}

static enum fmt_rc put_word(const struct row *r, uint32_t column_no, const struct csv_field *f,
                            float *value)
{
    size_t len;
    if (f->open || f->torn)
        return fail(r, column_no, f, "which does not end with its quote");
    if (f->inside_len == 0)
        return put_blank(r, column_no, value);
    const uint8_t *text = plain_text(r, f, &len);
    if (text == NULL)
        return FMT_E_MEMORY;
    if (fmt_csv_word_value(r->plan, &r->plan->columns[column_no], text, len, value))
        return FMT_OK;
    return fail(r, column_no, f, "none of the column's categories");
}

static enum fmt_rc put_field(const struct row *r, uint32_t column_no, const struct csv_field *f,
                             float *value)
{
    const struct csv_column *column = &r->plan->columns[column_no];
    switch (column->kind) {
    case CSV_NUMBER:
        return put_number(r, column_no, f, value);
    case CSV_CATEGORY:
    case CSV_HASH:
        return put_word(r, column_no, f, value);
    case CSV_TEXT:
        if (f->open || f->torn)
            return fail(r, column_no, f, "which does not end with its quote");
        r->decoder->texts[column->place] = *f;
        break;
    case CSV_SKIP:
        break;
    }
    return FMT_OK;
}

/* Texts are appended once the row is known to be good. */
static enum fmt_rc put_texts(const struct row *r)
{
    struct fmt_texts *texts = &r->out->texts;
    uint32_t text_dim = r->plan->text_dim;
    for (uint32_t i = 0; i < text_dim; i++) {
        const struct csv_field *f = &r->decoder->texts[i];
        if (!fmt_texts_reserve(texts, f->inside_len))
            return FMT_E_MEMORY;
        if (f->inside_len > 0)
            texts->count += fmt_csv_field_copy(f, texts->bytes + texts->count);
        r->out->text_ends[(size_t)r->row_no * text_dim + i] = (uint32_t)texts->count;
    }
    return FMT_OK;
}

enum fmt_rc fmt_csv_row(struct fmt_decoder *decoder, const uint8_t *in, const uint8_t *end,
                        const uint8_t *row, const uint8_t **next, uint32_t row_no,
                        struct fmt_rows *out, struct fmt_error *error)
{
    const struct csv_plan *plan = decoder->plan;
    const struct row r = {.decoder = decoder,
                          .plan = plan,
                          .end = end,
                          .offset = (size_t)(row - in),
                          .row_no = row_no,
                          .out = out,
                          .error = error};
    const uint8_t *p = row;
    for (uint32_t column_no = 0; column_no < plan->column_count; column_no++) {
        const struct csv_column *column = &plan->columns[column_no];
        float *value = csv_cell(plan, column, out, row_no);
        const uint8_t *q = NULL;
        if (column->kind == CSV_NUMBER)
            q = fmt_number_scan(p, end, value);
        if (q == NULL || q == end || *q != plan->dialect.delimiter) {
            struct csv_field f = fmt_csv_field(&plan->dialect, p, end);
            enum fmt_rc rc = put_field(&r, column_no, &f, value);
            if (rc != FMT_OK)
                return rc;
            q = f.next;
        }
        if (q == end || csv_is_newline(*q)) {
            if (column_no + 1 < plan->column_count)
                break;
            *next = q == end ? end : csv_skip_newline(q, end);
            return put_texts(&r);
        }
        p = q + 1;
    }
    return fmt_fail(error, r.offset, row_no, "row has %zu fields, the channel has %u",
                    fmt_csv_count_fields(&plan->dialect, row, end), plan->column_count);
}
