/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv.c - the CSV decoder: records to rows of float32.
 *
 * A blank field is a missing value: NaN. Quoted and odd fields take the slow path field by field.
 */
#include "formats/csv.h"
#include "formats/number.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define CLIP_BYTES 40

/* After a row that is not for bulk decoding so many go the plain way, doubled each time. */
#define BULK_PAUSE_MIN_ROWS 8u
#define BULK_PAUSE_MAX_ROWS 1024u

/* One field, found by field_read. */
struct field {
    const uint8_t *text; /* surrounding blanks and quotes removed */
    size_t len;
    const uint8_t *next; /* the delimiter, line end or end of input after it */
    bool open;           /* a quote was never closed */
};

/* From inside quotes at p to after the closing one; NULL if there is none. */
static const uint8_t *quoted_end(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        p = memchr(p, '"', (size_t)(end - p));
        if (p == NULL)
            return NULL;
        if (p + 1 < end && p[1] == '"')
            p += 2;
        else
            return p + 1;
    }
    return NULL;
}

static struct field field_read(const uint8_t *p, const uint8_t *end)
{
    struct field f = {.text = csv_skip_blanks(p, end)};
    const uint8_t *stop = f.text;
    if (stop < end && *stop == '"') {
        stop = quoted_end(stop + 1, end);
        if (stop == NULL) {
            f.next = end;
            f.len = (size_t)(end - f.text);
            f.open = true;
            return f;
        }
    }
    while (stop < end && *stop != ',' && !csv_is_newline(*stop))
        stop++;
    f.next = stop;
    while (stop > f.text && csv_is_blank(stop[-1]))
        stop--;
    /* Strip the quotes if nothing follows the closing one; other text is an error anyway. */
    if (stop - f.text >= 2 && *f.text == '"' && quoted_end(f.text + 1, stop) == stop) {
        f.text = csv_skip_blanks(f.text + 1, --stop);
        while (stop > f.text && csv_is_blank(stop[-1]))
            stop--;
    }
    f.len = (size_t)(stop - f.text);
    return f;
}

/* False if the field holds text. */
static bool field_value(const struct field *f, float *value)
{
    if (f->len == 0) {
        *value = NAN;
        return true;
    }
    return !f->open && fmt_number_scan(f->text, f->text + f->len, value) == f->text + f->len;
}

/* `text` for a message: printable, at most CLIP_BYTES of it. */
static void clip_text(const uint8_t *text, size_t len, char out[4 * CLIP_BYTES + 4])
{
    static const char hex[] = "0123456789abcdef";
    size_t shown = len < CLIP_BYTES ? len : CLIP_BYTES;
    size_t n = 0;
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = text[i];
        if (c >= ' ' && c <= '~') {
            out[n++] = (char)c;
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    if (shown < len) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = 0;
}

/* Counts the fields of the record that starts at p. */
static size_t count_fields(const uint8_t *p, const uint8_t *end)
{
    size_t count = 0;
    for (;;) {
        struct field f = field_read(p, end);
        count++;
        if (f.next == end || csv_is_newline(*f.next))
            return count;
        p = f.next + 1;
    }
}

struct row_reader {
    const uint8_t *in;
    const uint8_t *end;
    uint32_t columns;
    uint32_t label_dim;
    float *features; /* of this row */
    float *labels;
    uint32_t row_no;
    struct fmt_error *error;
};

static enum fmt_rc fail_text(const struct row_reader *r, const uint8_t *row, uint32_t column_no,
                             const struct field *f)
{
    char text[4 * CLIP_BYTES + 4];
    size_t offset = (size_t)(row - r->in);
    if (f->open)
        return fmt_fail(r->error, offset, r->row_no, "field %u: the quote is never closed",
                        column_no + 1);
    clip_text(f->text, f->len, text);
    return fmt_fail(r->error, offset, r->row_no, "field %u is '%s', not a number%s", column_no + 1,
                    text, column_no == 0 ? "; SageMaker CSV has no header row" : "");
}

/* Decodes the record at p. Sets *next after its line end. */
static enum fmt_rc row_decode(const struct row_reader *r, const uint8_t *row, const uint8_t **next)
{
    const uint8_t *p = row;
    const uint8_t *end = r->end;
    float *out = r->label_dim > 0 ? r->labels : r->features;
    for (uint32_t column_no = 0;; column_no++) {
        if (column_no == r->label_dim)
            out = r->features;
        if (column_no == r->columns)
            break;
        const uint8_t *q = fmt_number_scan(p, end, out);
        if (q == NULL || q == end || *q != ',') {
            struct field f = field_read(p, end);
            if (!field_value(&f, out))
                return fail_text(r, row, column_no, &f);
            q = f.next;
        }
        out++;
        if (q == end || csv_is_newline(*q)) {
            if (column_no + 1 < r->columns)
                break;
            *next = q == end ? end : csv_skip_newline(q, end);
            return FMT_OK;
        }
        p = q + 1;
    }
    return fmt_fail(r->error, (size_t)(row - r->in), r->row_no,
                    "row has %zu fields, the channel has %u", count_fields(row, end), r->columns);
}

static void row_reader_advance(struct row_reader *r, const struct fmt_decoder *decoder,
                               uint32_t rows)
{
    r->row_no += rows;
    r->features += (size_t)rows * decoder->feature_dim;
    if (r->labels != NULL)
        r->labels += (size_t)rows * decoder->label_dim;
}

static enum fmt_rc csv_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                              struct fmt_rows *out, struct fmt_error *error)
{
    const uint8_t *in = span->in;
    size_t len = span->len;
    uint32_t rows = span->rows;
    struct row_reader r = {
        .in = in,
        .end = in + len,
        .columns = decoder->label_dim + decoder->feature_dim,
        .label_dim = decoder->label_dim,
        .features = out->features,
        .labels = out->labels,
        .error = error,
    };
    const uint8_t *p = in;
    uint32_t pause_rows = BULK_PAUSE_MIN_ROWS;
    uint64_t bulk_row_no = decoder->bulk != NULL ? 0 : rows; /* next row to try in bulk */
    while (r.row_no < rows) {
        if (r.row_no >= bulk_row_no) {
            size_t at = (size_t)(p - in);
            uint32_t n = fmt_csv_bulk_rows(decoder->bulk, in, len, &at, rows - r.row_no, r.features,
                                           r.labels);
            row_reader_advance(&r, decoder, n);
            p = in + at;
            if (n > 0) {
                pause_rows = BULK_PAUSE_MIN_ROWS;
                continue;
            }
            bulk_row_no = r.row_no + pause_rows;
            if (pause_rows < BULK_PAUSE_MAX_ROWS)
                pause_rows *= 2;
        }
        p = csv_skip_blank_lines(p, r.end);
        if (p == r.end)
            return fmt_fail(error, len, r.row_no, "the bytes hold %u records, %u were announced",
                            r.row_no, rows);
        enum fmt_rc rc = row_decode(&r, p, &p);
        if (rc != FMT_OK)
            return rc;
        row_reader_advance(&r, decoder, 1);
    }
    return FMT_OK;
}

static void csv_options_init(void *own)
{
    struct fmt_csv_options *csv = own;
    csv->label_size = 1;
}

static enum fmt_rc csv_set_option(void *own, const char *name, const char *value,
                                  struct fmt_error *error)
{
    struct fmt_csv_options *csv = own;
    if (strcasecmp(name, "label_size") == 0)
        return fmt_option_u32(name, value, 0, UINT32_MAX, &csv->label_size, error);
    return FMT_E_ARGUMENT;
}

static enum fmt_rc csv_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                             struct fmt_shape *shape, struct fmt_error *error)
{
    uint32_t label_size = ((const struct fmt_csv_options *)options->own)->label_size;
    const uint8_t *end = in + len;
    const uint8_t *row = csv_skip_blank_lines(in, end);
    size_t columns = row == end ? 0 : count_fields(row, end);
    size_t offset = (size_t)(row - in);
    if (columns <= label_size)
        return fmt_fail(error, offset, 0, "label_size=%u leaves no feature: the row has %zu %s",
                        label_size, columns, columns == 1 ? "column" : "columns");
    if (columns > INT32_MAX)
        return fmt_fail(error, offset, 0, "the row has %zu columns: too many", columns);
    *shape =
        (struct fmt_shape){.label_dim = label_size, .feature_dim = (uint32_t)columns - label_size};
    return FMT_OK;
}

static struct fmt_decoder *csv_decoder_new(const struct fmt_options *options,
                                           const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = malloc(sizeof(*decoder));
    bool failed;
    (void)options;
    if (decoder == NULL)
        return NULL;
    decoder->feature_dim = shape->feature_dim;
    decoder->label_dim = shape->label_dim;
    decoder->bulk = fmt_csv_bulk_new(shape->label_dim, shape->feature_dim, &failed);
    if (failed) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

static void csv_decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fmt_csv_bulk_free(decoder->bulk);
    free(decoder);
}

const struct fmt_ops fmt_csv = {
    .content_type = "text/csv",
    .parameters = "label_size",
    .options_bytes = sizeof(struct fmt_csv_options),
    .options_init = csv_options_init,
    .set_option = csv_set_option,
    .cut = fmt_csv_cut,
    .learn = csv_learn,
    .decoder_new = csv_decoder_new,
    .decoder_free = csv_decoder_free,
    .decode = csv_decode,
};
