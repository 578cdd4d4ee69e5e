/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_cut.c - finds the lines of JSON Lines: a line feed is one, for JSON's strings hold
 * none.
 */
#include "formats/byte_order_mark.h"
#include "formats/jsonl.h"

#include <string.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

const uint8_t *fmt_jsonl_skip_blank_lines(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *line = p;

    for (; p < end && (is_blank(*p) || *p == '\n'); p++)
        if (*p == '\n')
            line = p + 1;
    return p == end ? end : line;
}

static bool line_is_blank(const uint8_t *line, const uint8_t *end)
{
    while (line < end && is_blank(*line))
        line++;
    return line == end;
}

enum fmt_rc fmt_jsonl_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                          bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                          struct fmt_error *error)
{
    (void)options;
    (void)error;
    cut->lead_bytes = 0;
    cut->len_bytes = 0;
    cut->rows = 0;
    if (at_start && fmt_find_mark(in, len, at_end, &cut->lead_bytes) == FMT_MORE)
        return FMT_MORE;
    size_t line = cut->lead_bytes;
    size_t from = cut->scanned_bytes > line ? cut->scanned_bytes : line;

    while (cut->rows < rows_max && line < len) {
        const uint8_t *newline = memchr(in + from, '\n', len - from);

        if (newline == NULL && !at_end)
            break;
        const uint8_t *line_end = newline != NULL ? newline : in + len;

        cut->rows += !line_is_blank(in + line, line_end);
        line = (size_t)(line_end - in) + (newline != NULL);
        from = line;
    }
    if (line == cut->lead_bytes && !at_end) {
        cut->scanned_bytes = len;
        return FMT_MORE;
    }
    cut->len_bytes = line;
    return FMT_OK;
}
