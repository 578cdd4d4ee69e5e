/* SPDX-License-Identifier: Apache-2.0 */
/* formats/libsvm_row.c - one libsvm line to one sparse row, word by word. */
#include "formats/csv_field.h"
#include "formats/libsvm.h"
#include "formats/number.h"

#include <string.h>

/* A line being read, up to its comment. */
struct line {
    const struct fmt_decoder *decoder;
    const uint8_t *p;
    const uint8_t *end;
    size_t offset;
    uint32_t row_no;
    struct fmt_error *error;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The next word, [*p, returned end); NULL behind the last. */
static const uint8_t *next_word(struct line *line, const uint8_t **word)
{
    const uint8_t *p = line->p;
    while (p < line->end && is_blank(*p))
        p++;
    *word = p;
    if (p == line->end)
        return NULL;
    while (p < line->end && !is_blank(*p))
        p++;
    line->p = p;
    return p;
}

static enum fmt_rc fail(const struct line *line, const char *what, const uint8_t *word,
                        const uint8_t *end, const char *cause)
{
    char text[4 * CSV_CLIP_BYTES + 4];
    fmt_csv_clip(word, (size_t)(end - word), text);
    return fmt_fail(line->error, line->offset, line->row_no, "%s is '%s', %s", what, text, cause);
}

static enum fmt_rc fail_entry(const struct line *line, uint32_t entry_no, const uint8_t *word,
                              const uint8_t *end, const char *cause)
{
    char text[4 * CSV_CLIP_BYTES + 4];
    fmt_csv_clip(word, (size_t)(end - word), text);
    return fmt_fail(line->error, line->offset, line->row_no, "entry %u is '%s', %s", entry_no, text,
                    cause);
}

static bool read_number(const uint8_t *p, const uint8_t *end, float *value)
{
    return p < end && fmt_number_scan(p, end, value) == end;
}

/* All digits, at most `most`. */
static bool read_whole(const uint8_t *p, const uint8_t *end, uint64_t most, uint64_t *number)
{
    uint64_t sum = 0;
    if (p == end)
        return false;
    for (; p < end; p++) {
        uint64_t digit = (uint64_t)*p - '0';
        if (digit > 9 || sum > (most - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *number = sum;
    return true;
}

static enum fmt_rc read_label(struct line *line, struct libsvm_head *head)
{
    const uint8_t *word;
    const uint8_t *end = next_word(line, &word);
    if (end == NULL)
        end = word;
    const uint8_t *colon = memchr(word, ':', (size_t)(end - word));
    const uint8_t *label_end = colon != NULL ? colon : end;
    head->weight = 1;
    head->weighted = colon != NULL;
    if (!read_number(word, label_end, &head->label))
        return fail(line, "the label", word, label_end,
                    memchr(word, ',', (size_t)(label_end - word)) != NULL
                        ? "not a number: several labels in a row are not supported"
                        : "not a number");
    if (colon == NULL)
        return FMT_OK;
    if (!read_number(colon + 1, end, &head->weight))
        return fail(line, "the weight", colon + 1, end, "not a number");
    if (line->decoder->weights == LIBSVM_NONE)
        return fail(line, "the label", word, end,
                    "which has a weight, unlike the channel's first row: say weights=on or off");
    return FMT_OK;
}

/* "qid:N" is the second word, if it is there. */
static enum fmt_rc read_group(struct line *line, struct libsvm_head *head)
{
    const uint8_t *before = line->p;
    const uint8_t *word;
    const uint8_t *end = next_word(line, &word);
    head->group = 0;
    head->grouped = end != NULL && end - word >= 4 && memcmp(word, "qid:", 4) == 0;
    if (!head->grouped) {
        line->p = before;
        if (line->decoder->groups != LIBSVM_ON)
            return FMT_OK;
        return fmt_fail(line->error, line->offset, line->row_no, "the row has no qid");
    }
    if (!read_whole(word + 4, end, UINT64_MAX, &head->group))
        return fail(line, "the group", word, end, "not qid: and a whole number");
    if (line->decoder->groups == LIBSVM_NONE)
        return fail(line, "the group", word, end,
                    "but the channel's first row has none: say qid=on or off");
    return FMT_OK;
}

static enum fmt_rc read_entry(struct line *line, const uint8_t *word, const uint8_t *end,
                              struct fmt_entries *entries, uint32_t entry_no)
{
    const struct fmt_decoder *decoder = line->decoder;
    const uint8_t *colon = memchr(word, ':', (size_t)(end - word));
    const uint8_t *index_end = colon != NULL ? colon : end;
    float value = 1;
    uint64_t index;
    if (!read_whole(word, index_end, UINT64_MAX, &index) ||
        (colon != NULL && !read_number(colon + 1, end, &value)))
        return fail_entry(line, entry_no, word, end, "not index:value");
    if (index < decoder->base)
        return fail_entry(line, entry_no, word, end,
                          "but indices start at 1: say index_base=0 if they start at 0");
    if (index - decoder->base >= libsvm_limit(decoder))
        return fail_entry(line, entry_no, word, end,
                          decoder->feature_dim != 0 ? "an index beyond the channel's features"
                                                    : "an index of more than 32 bits");
    entries->columns[entries->count] = (uint32_t)(index - decoder->base);
    entries->values[entries->count++] = value;
    return FMT_OK;
}

/* Up to the line end or the comment. */
static const uint8_t *find_end(const uint8_t *p, const uint8_t *end, const uint8_t **newline)
{
    const uint8_t *comment = NULL;
    for (; p < end && !csv_is_newline(*p); p++)
        if (*p == '#' && comment == NULL)
            comment = p;
    *newline = p;
    return comment != NULL ? comment : p;
}

enum fmt_rc fmt_libsvm_row(const struct fmt_decoder *decoder, const uint8_t *in, const uint8_t *end,
                           const uint8_t *row, const uint8_t **next, uint32_t row_no,
                           struct libsvm_head *head, struct fmt_entries *entries,
                           struct fmt_error *error)
{
    const uint8_t *newline;
    struct line line = {.decoder = decoder,
                        .p = row,
                        .end = find_end(row, end, &newline),
                        .offset = (size_t)(row - in),
                        .row_no = row_no,
                        .error = error};
    size_t count = entries->count;
    const uint8_t *word;
    enum fmt_rc rc = read_label(&line, head);
    if (rc == FMT_OK)
        rc = read_group(&line, head);
    if (rc != FMT_OK)
        return rc;
    if (!fmt_entries_reserve(entries, (size_t)(line.end - line.p) / 2 + 1))
        return FMT_E_MEMORY;
    for (uint32_t entry_no = 1; rc == FMT_OK; entry_no++) {
        const uint8_t *word_end = next_word(&line, &word);
        if (word_end == NULL)
            break;
        rc = read_entry(&line, word, word_end, entries, entry_no);
    }
    if (rc != FMT_OK) {
        entries->count = count;
        return rc;
    }
    *next = newline == end ? end : csv_skip_newline(newline, end);
    return FMT_OK;
}

const uint8_t *fmt_libsvm_skip_lines(const uint8_t *p, const uint8_t *end)
{
    for (;;) {
        p = csv_skip_blank_lines(&fmt_libsvm_lines, p, end);
        const uint8_t *q = csv_skip_blanks(&fmt_libsvm_lines, p, end);
        if (q == end || *q != '#')
            return p;
        while (q < end && !csv_is_newline(*q))
            q++;
        p = q;
    }
}
