/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_header.c - fmt_ops.cut of CSV: the header that an object may begin with is no record.
 *
 * Columns chosen by name have their names from the first header, and then every object has to have
 * the same one: two orders of columns in one channel would mix them up in silence.
 */
#include "formats/csv_field.h"
#include "formats/number.h"

#include <stdlib.h>
#include <string.h>

/* A record is a header if none of its fields is a number, and not all are blank. */
static bool looks_like_header(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end)
{
    bool text = false;
    for (;;) {
        struct csv_field f = fmt_csv_field(d, p, end);
        float value;
        if (f.len > 0 && fmt_number_scan(f.text, f.text + f.len, &value) == f.text + f.len)
            return false;
        text |= f.len > 0;
        if (f.next == end || csv_is_newline(*f.next))
            return text;
        p = f.next + 1;
    }
}

/* The names of the record [p, end), a NUL behind each, at *names, which is the caller's to free. */
static bool read_names(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end,
                       char **names, size_t *count)
{
    uint8_t *out = malloc(2 * (size_t)(end - p) + 2);
    size_t n = 0;
    *names = (char *)out;
    *count = 0;
    if (out == NULL)
        return false;
    for (;; (*count)++) {
        struct csv_field f = fmt_csv_field(d, p, end);
        size_t len = f.inside == NULL ? 0 : fmt_csv_field_copy(&f, out + n);
        for (size_t i = 0; i < len; i++)
            out[n + i] = out[n + i] == 0 ? '?' : out[n + i];
        n += len;
        out[n++] = 0;
        if (f.next == end || csv_is_newline(*f.next))
            break;
        p = f.next + 1;
    }
    ++*count;
    return true;
}

/* Compares the names of a header with those that the channel has: own->names, or the first
 * header's.
 */
static enum fmt_rc compare_names(const struct fmt_csv_options *own, const char *names, size_t count,
                                 size_t offset, struct fmt_error *error)
{
    const char *list = own->names;
    const char *first = own->header_names;
    size_t i = 0;
    for (; i < count; i++, names += strlen(names) + 1) {
        struct csv_item expected = {.text = NULL};
        if (own->names != NULL) {
            if (!fmt_csv_next_item(&list, ',', &expected))
                break;
        } else {
            if (i == own->header_count)
                break;
            expected = (struct csv_item){first, strlen(first)};
            first += expected.len + 1;
        }
        if (strlen(names) != expected.len || memcmp(names, expected.text, expected.len) != 0)
            return fmt_fail(error, offset, 0,
                            "the header's column %zu is '%.60s', not '%.*s' as %s", i, names,
                            (int)(expected.len < 60 ? expected.len : 60), expected.text,
                            own->names != NULL ? "names says" : "in the channel's first object");
    }
    if (i < count || (own->names != NULL ? list != NULL : i < own->header_count))
        return fmt_fail(error, offset, 0, "the header has %zu columns, %s", count,
                        own->names != NULL ? "names has another number"
                                           : "the channel's first object another number");
    return FMT_OK;
}

static enum fmt_rc take_header(struct fmt_csv_options *own, const struct csv_dialect *d,
                               const uint8_t *in, const uint8_t *row, const uint8_t *end,
                               struct fmt_error *error)
{
    char *names;
    size_t count;
    if (own->names == NULL && !fmt_csv_is_named(own))
        return FMT_OK;
    if (!read_names(d, row, end, &names, &count)) {
        free(names);
        return FMT_E_MEMORY;
    }
    if (own->names == NULL && own->header_names == NULL) {
        own->header_names = names;
        own->header_count = count;
        return FMT_OK;
    }
    enum fmt_rc rc = compare_names(own, names, count, (size_t)(row - in), error);
    free(names);
    return rc;
}

enum fmt_rc fmt_csv_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error)
{
    struct fmt_csv_options *own = options->own;
    struct csv_dialect d = fmt_csv_dialect(own);
    if (!at_start || own->header == CSV_HEADER_ABSENT)
        return fmt_csv_cut_lines(&d, in, len, at_start, at_end, rows_max, cut, error);
    enum fmt_rc rc = fmt_csv_cut_lines(&d, in, len, true, at_end, 1, cut, error);
    if (rc != FMT_OK)
        return rc;
    if (cut->rows == 0) /* blank lines: the header may come */
        return at_end ? FMT_OK : FMT_MORE;
    const uint8_t *end = in + cut->len_bytes;
    const uint8_t *row = csv_skip_blank_lines(&d, in + cut->lead_bytes, end);
    if (own->header == CSV_HEADER_AUTO && !looks_like_header(&d, row, end))
        return fmt_csv_cut_lines(&d, in, len, true, at_end, rows_max, cut, error);
    cut->lead_bytes = cut->len_bytes;
    cut->rows = 0;
    return take_header(own, &d, in, row, end, error);
}
