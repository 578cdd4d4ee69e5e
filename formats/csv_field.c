/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_field.c - see csv_field.h. */
#include "formats/csv_field.h"

#include <string.h>

/* From inside quotes at p to after the closing one; NULL if there is none. */
static const uint8_t *quoted_end(const uint8_t *p, const uint8_t *end, bool *doubled)
{
    while (p < end) {
        p = memchr(p, '"', (size_t)(end - p));
        if (p == NULL)
            return NULL;
        if (p + 1 == end || p[1] != '"')
            return p + 1;
        *doubled = true;
        p += 2;
    }
    return NULL;
}

static void set_text(const struct csv_dialect *d, struct csv_field *f, const uint8_t *from,
                     const uint8_t *to)
{
    from = csv_skip_blanks(d, from, to);
    while (to > from && csv_is_blank(d, to[-1]))
        to--;
    f->text = from;
    f->len = (size_t)(to - from);
}

struct csv_field fmt_csv_field(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end)
{
    struct csv_field f = {.text = csv_skip_blanks(d, p, end)};
    const uint8_t *first = f.text;
    const uint8_t *closed = NULL;
    const uint8_t *stop = first;
    if (d->quotes && first < end && *first == '"') {
        closed = quoted_end(first + 1, end, &f.doubled);
        if (closed == NULL) {
            f.next = end;
            f.len = (size_t)(end - first);
            f.open = true;
            return f;
        }
        stop = closed;
    }
    while (stop < end && *stop != d->delimiter && !csv_is_newline(*stop))
        stop++;
    f.next = stop;
    set_text(d, &f, first, stop);
    f.inside = f.text;
    f.inside_len = f.len;
    if (closed == NULL)
        return f;
    f.torn = f.text + f.len != closed;
    if (!f.torn) {
        f.inside = first + 1;
        f.inside_len = (size_t)(closed - 1 - f.inside);
        set_text(d, &f, f.inside, closed - 1);
    }
    return f;
}

size_t fmt_csv_count_fields(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end)
{
    size_t count = 0;
    for (;;) {
        struct csv_field f = fmt_csv_field(d, p, end);
        count++;
        if (f.next == end || csv_is_newline(*f.next))
            return count;
        p = f.next + 1;
    }
}

size_t fmt_csv_field_copy(const struct csv_field *f, uint8_t *out)
{
    size_t n = 0;
    if (!f->doubled) {
        if (f->inside_len > 0)
            memcpy(out, f->inside, f->inside_len);
        return f->inside_len;
    }
    for (size_t i = 0; i < f->inside_len; i++) {
        out[n++] = f->inside[i];
        i += f->inside[i] == '"';
    }
    return n;
}

void fmt_csv_clip(const uint8_t *text, size_t len, char out[4 * CSV_CLIP_BYTES + 4])
{
    static const char hex[] = "0123456789abcdef";
    size_t shown = len < CSV_CLIP_BYTES ? len : CSV_CLIP_BYTES;
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

enum fmt_rc fmt_csv_fail_field(const struct csv_field *f, uint32_t column_no, size_t row_offset,
                               uint32_t row_no, const char *wanted, struct fmt_error *error)
{
    char text[4 * CSV_CLIP_BYTES + 4];
    if (f->open)
        return fmt_fail(error, row_offset, row_no, "field %u: the quote is never closed",
                        column_no + 1);
    fmt_csv_clip(f->text, f->len, text);
    return fmt_fail(error, row_offset, row_no, "field %u is '%s', %s", column_no + 1, text, wanted);
}
