/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/group_line.c - see group_line.h. */
#include "pipe/group_line.h"

#include <stdlib.h>
#include <string.h>

struct part {
    const struct penstock_span *span; /* on loan; NULL: the item is a copy */
    size_t copy_at;
    size_t len_bytes;
};

struct ps_line {
    struct penstock *stream;
    uint32_t item_count;
    size_t len_bytes_max;
    size_t len_bytes; /* so far, all items */
    uint32_t whole;   /* items that are complete */
    uint8_t *copies;
    size_t copied_bytes;
    size_t room_bytes;
    struct part parts[];
};

struct ps_line *ps_line_new(struct penstock *stream, uint32_t item_count, size_t len_bytes_max)
{
    struct ps_line *line = calloc(1, sizeof *line + item_count * sizeof *line->parts);

    if (!line)
        return NULL;
    line->stream = stream;
    line->item_count = item_count;
    line->len_bytes_max = len_bytes_max;
    return line;
}

void ps_line_begin(struct ps_line *line)
{
    for (uint32_t i = 0; i < line->item_count; i++)
        penstock_release_span(line->stream, line->parts[i].span);
    memset(line->parts, 0, line->item_count * sizeof *line->parts);
    line->len_bytes = line->copied_bytes = 0;
    line->whole = 0;
}

void ps_line_free(struct ps_line *line)
{
    if (!line)
        return;
    ps_line_begin(line);
    free(line->copies);
    free(line);
}

/* Appends a piece of the item at hand. False when memory is out. */
static bool copy(struct ps_line *line, const struct penstock_span *span)
{
    struct part *part = &line->parts[line->whole];
    size_t need_bytes = line->copied_bytes + span->len_bytes;

    if (need_bytes > line->room_bytes) {
        size_t room_bytes = need_bytes > 2 * line->room_bytes ? need_bytes : 2 * line->room_bytes;
        uint8_t *moved = realloc(line->copies, room_bytes);

        if (!moved)
            return false;
        line->copies = moved;
        line->room_bytes = room_bytes;
    }
    if (span->object_offset == 0)
        part->copy_at = line->copied_bytes;
    memcpy(line->copies + line->copied_bytes, span->data, span->len_bytes);
    line->copied_bytes = need_bytes;
    part->len_bytes += span->len_bytes;
    return true;
}

int ps_line_take(struct ps_line *line, const struct penstock_span *span,
                 struct penstock_item *items)
{
    bool ends_item = span->ends_object;

    line->len_bytes += span->len_bytes;
    bool fits = line->len_bytes <= line->len_bytes_max;

    if (fits && span->object_offset == 0 && ends_item) {
        line->parts[line->whole] = (struct part){.span = span, .len_bytes = span->len_bytes};
    } else {
        fits = fits && copy(line, span);
        penstock_release_span(line->stream, span);
    }
    if (!fits)
        return PENSTOCK_E_MEMORY;
    line->whole += ends_item;
    if (line->whole < line->item_count)
        return PENSTOCK_AGAIN;
    for (uint32_t i = 0; i < line->item_count; i++) {
        const struct part *part = &line->parts[i];

        items[i].data = part->span ? part->span->data : line->copies + part->copy_at;
        items[i].len_bytes = part->len_bytes;
    }
    return PENSTOCK_OK;
}
