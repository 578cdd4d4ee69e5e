/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_index.c - see recordio_index.h. */
#include "formats/recordio_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where the offset of a line, of which the ends are trimmed, may begin; `end` if there is none. */
static const char *find_offset(const char *line, const char *end)
{
    const char *at = memchr(line, '\t', (size_t)(end - line));
    if (at == NULL)
        for (at = line; at < end && !is_blank(*at);)
            at++;
    while (at < end && is_blank(*at))
        at++;
    return at;
}

static enum fmt_rc read_line(const char *line, const char *end, uint32_t row, uint64_t *offset,
                             struct fmt_error *error)
{
    const char *from = find_offset(line, end);
    const char *at = from;
    uint64_t sum = 0;
    bool fits = true;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        fits = fits && !__builtin_mul_overflow(sum, 10, &sum) &&
               !__builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum);
    bool ends = at == end || *at == '\t'; /* further fields count for nothing */
    int shown = end - line < 60 ? (int)(end - line) : 60;
    if (at == from || !ends || !fits)
        return fmt_fail(error, 0, row,
                        "line %" PRIu32 " of the index is not KEY, tab, OFFSET: "
                        "'%.*s'",
                        row + 1, shown, line);
    if (sum % 4 != 0)
        return fmt_fail(error, 0, row,
                        "line %" PRIu32 " of the index has offset %" PRIu64
                        ", no multiple of 4: no record begins there",
                        row + 1, sum);
    *offset = sum;
    return FMT_OK;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum fmt_rc read_lines(const char *text, size_t len, struct fmt_recordio_index *index,
                              struct fmt_error *error)
{
    const char *end = text + len;
    for (uint32_t row = 0; text < end; row++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;
        const char *next = newline != NULL ? newline + 1 : end;
        while (text < line_end && is_blank(*text))
            text++;
        while (line_end > text && is_blank(line_end[-1]))
            line_end--;
        if (text < line_end) {
            enum fmt_rc rc = read_line(text, line_end, row, &index->offsets[index->count], error);
            if (rc != FMT_OK)
                return rc;
            index->count++;
        }
        text = next;
    }
    qsort(index->offsets, index->count, sizeof(index->offsets[0]), compare);
    for (size_t i = 1; i < index->count; i++)
        if (index->offsets[i] == index->offsets[i - 1])
            return fmt_fail(error, 0, 0, "the index has offset %" PRIu64 " twice",
                            index->offsets[i]);
    return FMT_OK;
}

enum fmt_rc fmt_recordio_index_read(const char *text, size_t len, struct fmt_recordio_index *index,
                                    struct fmt_error *error)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    *index = (struct fmt_recordio_index){.offsets = malloc(lines * sizeof(uint64_t))};
    if (index->offsets == NULL) {
        (void)fmt_fail(error, 0, 0, "out of memory");
        return FMT_E_MEMORY;
    }
    enum fmt_rc rc = read_lines(text, len, index, error);
    if (rc != FMT_OK)
        fmt_recordio_index_free(index);
    return rc;
}

void fmt_recordio_index_free(struct fmt_recordio_index *index)
{
    free(index->offsets);
    *index = (struct fmt_recordio_index){.offsets = NULL};
}

struct fmt_range fmt_recordio_index_share(const struct fmt_recordio_index *index,
                                          uint64_t size_bytes, uint32_t share, uint32_t share_count)
{
    uint64_t each = index->count / share_count + (index->count % share_count != 0);
    uint64_t first = each * share < index->count ? each * share : index->count;
    uint64_t behind = index->count - first > each ? first + each : index->count;
    return (struct fmt_range){first < index->count ? index->offsets[first] : size_bytes,
                              behind < index->count ? index->offsets[behind] : size_bytes};
}

size_t fmt_recordio_index_line(uint64_t key, uint64_t offset,
                               char out[FMT_RECORDIO_INDEX_LINE_BYTES])
{
    return (size_t)snprintf(out, FMT_RECORDIO_INDEX_LINE_BYTES, "%" PRIu64 "\t%" PRIu64 "\n", key,
                            offset);
}
