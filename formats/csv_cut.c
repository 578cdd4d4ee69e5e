/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_cut.c - finds the records of a byte stream that are lines: CSV, libsvm.
 *
 * Line ends come from bit masks; as long as no block holds a quote nothing else is looked at but
 * each line's first byte. Blocks with quotes are walked byte by byte. The state of the walk at a
 * block that follows quoteless ones is found by looking back over blanks, when it is needed.
 */
#include "formats/byte_order_mark.h"
#include "formats/csv.h"

#include <string.h>

enum walk_state {
    WALK_LINE = 0, /* at a line's start, or blanks since */
    WALK_FIELD,    /* after a delimiter, or blanks since */
    WALK_TEXT,     /* in the text of a field, where quotes mean nothing */
    WALK_QUOTED,   /* inside quotes */
    WALK_CLOSED,   /* after a quote inside quotes: the closing one, or the first of two */
};

struct walk {
    const struct csv_dialect *dialect;
    const uint8_t *in;
    size_t len;
    bool at_end;
    uint32_t rows_max;
    uint32_t rows;
    size_t line;           /* start of the current line */
    size_t whole;          /* end of the last whole line */
    size_t known_at;       /* `state` holds at this offset ... */
    bool waits;            /* the last byte is a CR, whose LF may still come */
    enum walk_state state; /* ... and unless WALK_QUOTED, is looked up when a quote comes */
};

static enum walk_state walk_step(const struct csv_dialect *d, enum walk_state state, uint8_t c)
{
    if (state == WALK_QUOTED)
        return c == '"' ? WALK_CLOSED : WALK_QUOTED;
    if (c == '"')
        return state == WALK_TEXT ? WALK_TEXT : WALK_QUOTED;
    if (c == d->delimiter)
        return WALK_FIELD;
    if (csv_is_newline(c))
        return WALK_LINE;
    if (csv_is_blank(d, c) && state != WALK_CLOSED)
        return state;
    return WALK_TEXT;
}

/* The state at offset `at`, before which no quote stands since known_at and the line's start. */
static enum walk_state walk_state_at(const struct walk *w, size_t at)
{
    size_t stop = w->line > w->known_at ? w->line : w->known_at;
    size_t i = at;
    while (i > stop && csv_is_blank(w->dialect, w->in[i - 1]))
        i--;
    if (i > stop)
        return w->in[i - 1] == w->dialect->delimiter ? WALK_FIELD : WALK_TEXT;
    if (stop != w->known_at)
        return WALK_LINE;
    return w->state == WALK_CLOSED && i < at ? WALK_TEXT : w->state;
}

/* Whether the line that starts at w->line, with a byte at `end` that ends it, is a record. */
static bool walk_is_row(const struct walk *w, size_t end)
{
    uint8_t first = w->in[w->line];
    if (first > '#')
        return true;
    const uint8_t *p = csv_skip_blanks(w->dialect, w->in + w->line, w->in + end);
    return p < w->in + end && (w->dialect->comment == 0 || *p != w->dialect->comment);
}

/* Ends the line at the line end at `at`. Returns false when the walk is over. */
static bool walk_line_end(struct walk *w, size_t at)
{
    const uint8_t *in = w->in;
    if (in[at] == '\r' && at + 1 == w->len && !w->at_end) {
        w->waits = true;
        return false;
    }
    bool is_row = walk_is_row(w, at);
    w->line = at + 1;
    w->whole = at + 1;
    if (!is_row)
        return true;
    w->rows++;
    if (w->rows < w->rows_max)
        return true;
    w->whole = (size_t)(csv_skip_newline(in + at, in + w->len) - in);
    w->line = w->whole;
    return false;
}

static bool walk_quoteless_block(struct walk *w, size_t at, uint64_t newlines)
{
    for (; newlines != 0; newlines &= newlines - 1)
        if (!walk_line_end(w, at + (size_t)__builtin_ctzll(newlines)))
            return false;
    return true;
}

static bool walk_block_with_quotes(struct walk *w, size_t at, size_t end)
{
    enum walk_state state = walk_state_at(w, at);
    for (; at < end; at++) {
        uint8_t c = w->in[at];
        if (state != WALK_QUOTED && csv_is_newline(c) && !walk_line_end(w, at)) {
            w->state = state;
            w->known_at = at;
            return false;
        }
        state = walk_step(w->dialect, state, c);
    }
    w->state = state;
    w->known_at = end;
    return true;
}

static bool walk_block(struct walk *w, size_t at, size_t end, uint64_t newlines, uint64_t quotes)
{
    if (quotes != 0 && w->dialect->quotes)
        return walk_block_with_quotes(w, at, end);
    if (w->state == WALK_QUOTED) {
        w->known_at = end;
        return true;
    }
    return walk_quoteless_block(w, at, newlines);
}

static void walk_all(struct walk *w)
{
    struct csv_masks masks;
    size_t at = w->known_at;
    while (w->len - at >= CSV_BLOCK_BYTES) {
        size_t blocks = (w->len - at) / CSV_BLOCK_BYTES;
        if (w->state != WALK_QUOTED) {
            size_t skipped = fmt_csv_skip(w->in + at, blocks);
            at += skipped * CSV_BLOCK_BYTES;
            blocks -= skipped;
        }
        if (blocks > CSV_CHUNK_BLOCKS)
            blocks = CSV_CHUNK_BLOCKS;
        fmt_csv_find(w->in + at, blocks, &masks);
        for (size_t i = 0; i < blocks; i++, at += CSV_BLOCK_BYTES) {
            if ((masks.newline[i] | masks.quote[i]) == 0 && w->state != WALK_QUOTED)
                continue;
            if (!walk_block(w, at, at + CSV_BLOCK_BYTES, masks.newline[i], masks.quote[i]))
                return;
        }
    }
    if (at < w->len) {
        uint8_t last[CSV_BLOCK_BYTES] = {0};
        memcpy(last, w->in + at, w->len - at);
        fmt_csv_find(last, 1, &masks);
        walk_block(w, at, w->len, masks.newline[0], masks.quote[0]);
    }
}

/* The line that the object's end ends. */
static enum fmt_rc walk_last_line(struct walk *w, struct fmt_error *error)
{
    if (w->dialect->quotes && walk_state_at(w, w->len) == WALK_QUOTED) {
        if (w->rows > 0)
            return FMT_OK;
        return fmt_fail(error, w->line, 0,
                        "truncated: a quoted field is still open at the end of the object");
    }
    if (walk_is_row(w, w->len))
        w->rows++;
    w->whole = w->len;
    return FMT_OK;
}

enum fmt_rc fmt_csv_cut_lines(const struct csv_dialect *dialect, const uint8_t *in, size_t len,
                              bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                              struct fmt_error *error)
{
    struct walk w = {
        .dialect = dialect, .in = in, .len = len, .at_end = at_end, .rows_max = rows_max};
    cut->lead_bytes = 0;
    cut->len_bytes = 0;
    cut->rows = 0;
    if (at_start && fmt_find_mark(in, len, at_end, &cut->lead_bytes) == FMT_MORE)
        return FMT_MORE;
    w.line = cut->lead_bytes;
    w.whole = cut->lead_bytes;
    w.state = (enum walk_state)cut->scan_state;
    w.known_at = cut->scanned_bytes > w.line ? cut->scanned_bytes : w.line;
    walk_all(&w);
    if (at_end && w.rows < rows_max && w.line < len) {
        enum fmt_rc rc = walk_last_line(&w, error);
        if (rc != FMT_OK)
            return rc;
    }
    if (w.rows == 0 && w.whole == cut->lead_bytes && !at_end) {
        cut->scanned_bytes = len - w.waits;
        cut->scan_state = dialect->quotes ? walk_state_at(&w, cut->scanned_bytes) : WALK_LINE;
        return FMT_MORE;
    }
    cut->len_bytes = w.whole;
    cut->rows = w.rows;
    return FMT_OK;
}
