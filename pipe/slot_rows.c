/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slot_rows.c - see slot_rows.h. */
#include "pipe/slot_rows.h"

#include "pipe/slots.h"

#include <string.h>

#define ALIGN_BYTES ((size_t)64)
#define ALIGN_WORDS (ALIGN_BYTES / sizeof(uint32_t))
#define AREA_PARTS 3 /* see the picture */

static size_t align(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static uint32_t *words_at(const struct ps_slot *slot, size_t offset_bytes)
{
    return (uint32_t *)(void *)((char *)slot->batch.base + offset_bytes);
}

void ps_slot_lay_out_variable(const struct fmt_shape *shape, size_t slot_bytes,
                              struct ps_layout *layout)
{
    size_t begin = align(layout->end, ALIGN_BYTES);
    size_t room_bytes = slot_bytes > begin ? slot_bytes - begin : 0;

    if (shape->sparse) {
        size_t part_bytes = (shape->text_dim > 0 ? room_bytes / 2 : room_bytes) / AREA_PARTS;
        size_t most = part_bytes / ALIGN_BYTES * ALIGN_WORDS;

        layout->entries = begin;
        layout->entries_max =
            (uint32_t)(most < INT32_MAX - ALIGN_WORDS ? most : INT32_MAX - ALIGN_WORDS);
        begin += AREA_PARTS * sizeof(uint32_t) * (size_t)layout->entries_max;
    }
    if (shape->text_dim > 0) {
        size_t most = slot_bytes > begin ? slot_bytes - begin : 0;

        layout->texts = begin;
        layout->texts_max = (uint32_t)(most < INT32_MAX ? most : INT32_MAX);
    }
    if (shape->sparse || shape->text_dim > 0)
        layout->end = slot_bytes;
}

void ps_slot_begin(struct ps_slot *slot, uint32_t entries_guess)
{
    const struct ps_layout *layout = &slot->channel->layout;
    size_t values_at = align((size_t)entries_guess + entries_guess / 8, ALIGN_WORDS);

    slot->entries = slot->texts = 0;
    slot->values_at = values_at < layout->entries_max ? (uint32_t)values_at : layout->entries_max;
    if (slot->batch.row_offsets)
        *words_at(slot, layout->row_offsets) = 0;
    if (slot->batch.text_offsets)
        *words_at(slot, layout->text_offsets) = 0;
}

/* What comes before row `first`. */
static uint32_t begin_of(const uint32_t *ends, size_t first)
{
    return first > 0 ? ends[first - 1] : 0;
}

bool ps_slot_reserve(struct ps_slot *slot, uint32_t row, const struct fmt_rows *from,
                     uint32_t first, uint32_t count, struct ps_place *place)
{
    const struct ps_channel *ch = slot->channel;
    size_t text_dim = ch->shape.text_dim;
    uint32_t entries = 0;
    uint32_t texts = 0;

    if (ch->shape.sparse)
        entries = from->entry_ends[first + count - 1] - begin_of(from->entry_ends, first);
    if (text_dim > 0)
        texts = from->text_ends[(first + count) * text_dim - 1] -
                begin_of(from->text_ends, first * text_dim);
    *place =
        (struct ps_place){.slot = slot, .row = row, .entries = slot->entries, .texts = slot->texts};
    if (entries > ch->layout.entries_max - slot->entries ||
        texts > ch->layout.texts_max - slot->texts) {
        place->entries += entries;
        place->texts += texts;
        return false;
    }
    slot->entries += entries;
    slot->texts += texts;
    return true;
}

static void put_array(void *to, size_t row, const void *from, size_t first, size_t count,
                      size_t row_bytes)
{
    if (to && row_bytes > 0)
        memcpy((char *)to + row * row_bytes, (const char *)from + first * row_bytes,
               count * row_bytes);
}

/* Ends of `count` parts, moved by as much as the parts are. */
static void put_ends(uint32_t *to, const uint32_t *from, size_t count, uint32_t begin, uint32_t at)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] - begin + at;
}

static void put_entries(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                        uint32_t count)
{
    const struct ps_slot *slot = place->slot;
    const struct ps_layout *layout = &slot->channel->layout;
    uint32_t *area = words_at(slot, layout->entries);
    size_t begin = begin_of(from->entry_ends, first);
    size_t entries = from->entry_ends[first + count - 1] - begin;
    size_t at = place->entries;
    size_t near = at < slot->values_at ? slot->values_at - at : 0;

    if (near > entries)
        near = entries;
    if (near > 0)
        memcpy(area + at, from->entries.columns + begin, near * sizeof *area);
    if (near < entries)
        memcpy(area + 2 * (size_t)layout->entries_max + at + near,
               from->entries.columns + begin + near, (entries - near) * sizeof *area);
    if (entries > 0)
        memcpy(area + slot->values_at + at, from->entries.values + begin, entries * sizeof *area);
    put_ends(words_at(slot, layout->row_offsets) + place->row + 1, from->entry_ends + first, count,
             (uint32_t)begin, place->entries);
}

static void put_texts(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                      uint32_t count)
{
    const struct ps_slot *slot = place->slot;
    const struct ps_layout *layout = &slot->channel->layout;
    size_t dim = slot->channel->shape.text_dim;
    size_t begin = begin_of(from->text_ends, first * dim);
    size_t len_bytes = from->text_ends[(first + count) * dim - 1] - begin;

    if (len_bytes > 0)
        memcpy((char *)slot->batch.base + layout->texts + place->texts, from->texts.bytes + begin,
               len_bytes);
    put_ends(words_at(slot, layout->text_offsets) + place->row * dim + 1,
             from->text_ends + first * dim, count * dim, (uint32_t)begin, place->texts);
}

void ps_slot_put(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                 uint32_t count)
{
    const struct fmt_shape *shape = &place->slot->channel->shape;
    struct fmt_rows to = ps_slot_rows(place->slot, 0);

    put_array(to.features, place->row, from->features, first, count, ps_row_bytes(shape));
    put_array(to.labels, place->row, from->labels, first, count,
              shape->label_dim * sizeof *to.labels);
    put_array(to.weights, place->row, from->weights, first, count, sizeof *to.weights);
    put_array(to.groups, place->row, from->groups, first, count, sizeof *to.groups);
    if (shape->sparse)
        put_entries(place, from, first, count);
    if (shape->text_dim > 0)
        put_texts(place, from, first, count);
}

void ps_slot_pad(struct ps_slot *slot, uint32_t rows, uint32_t count, float label)
{
    const struct ps_channel *ch = slot->channel;
    const struct fmt_shape *shape = &ch->shape;
    struct fmt_rows to = ps_slot_rows(slot, rows);
    size_t labels = (size_t)count * shape->label_dim;

    if (to.features)
        memset(to.features, 0, count * ps_row_bytes(shape));
    for (size_t i = 0; i < labels; i++)
        to.labels[i] = label;
    if (to.weights)
        memset(to.weights, 0, count * sizeof *to.weights);
    if (to.groups)
        memset(to.groups, 0, count * sizeof *to.groups);
    if (shape->sparse)
        for (size_t i = rows; i < (size_t)rows + count; i++)
            words_at(slot, ch->layout.row_offsets)[i + 1] = slot->entries;
    for (size_t i = rows * (size_t)shape->text_dim; i < ((size_t)rows + count) * shape->text_dim;
         i++)
        words_at(slot, ch->layout.text_offsets)[i + 1] = slot->texts;
}

void ps_slot_finish(struct ps_slot *slot)
{
    const struct ps_layout *layout = &slot->channel->layout;
    struct penstock_batch *batch = &slot->batch;

    if (layout->entries_max > 0) {
        uint32_t *area = words_at(slot, layout->entries);
        size_t entries = slot->entries;
        size_t near = slot->values_at;

        if (entries > near) {
            size_t values_at = align(entries, ALIGN_WORDS);

            memmove(area + values_at, area + near, entries * sizeof *area);
            memcpy(area + near, area + 2 * (size_t)layout->entries_max + near,
                   (entries - near) * sizeof *area);
            slot->values_at = (uint32_t)values_at;
        }
        batch->columns = area;
        batch->values = (const float *)(const void *)(area + slot->values_at);
    }
    if (layout->texts_max > 0) {
        char *text = (char *)batch->base + layout->texts;

        if (layout->entries_max > 0) { /* behind the values, and not where there might be more */
            size_t end =
                (size_t)((const char *)(batch->values + slot->entries) - (const char *)batch->base);
            char *to = (char *)batch->base + align(end, ALIGN_BYTES);

            memmove(to, text, slot->texts);
            text = to;
        }
        batch->text = text;
    }
}

struct fmt_rows ps_slot_view(const struct ps_slot *slot)
{
    const struct ps_layout *layout = &slot->channel->layout;
    const struct penstock_batch *batch = &slot->batch;
    struct fmt_rows rows = ps_slot_rows(slot, 0);

    if (batch->columns) {
        rows.entry_ends = words_at(slot, layout->row_offsets) + 1;
        rows.entries.columns = words_at(slot, layout->entries);
        rows.entries.values = (float *)(void *)(rows.entries.columns + slot->values_at);
    }
    if (batch->text) {
        rows.text_ends = words_at(slot, layout->text_offsets) + 1;
        rows.texts.bytes =
            (uint8_t *)batch->base + (size_t)(batch->text - (const char *)batch->base);
    }
    return rows;
}

size_t ps_slot_used_bytes(const struct ps_slot *slot)
{
    const struct penstock_batch *batch = &slot->batch;
    const struct ps_layout *layout = &slot->channel->layout;
    size_t rows = (size_t)batch->rows + batch->rows_padded;

    if (batch->text)
        return (size_t)(batch->text - (const char *)batch->base) + slot->texts;
    if (batch->values)
        return (size_t)((const char *)(batch->values + slot->entries) - (const char *)batch->base);
    if (batch->groups)
        return layout->groups + rows * sizeof *batch->groups;
    if (batch->weights)
        return layout->weights + rows * sizeof *batch->weights;
    if (batch->labels)
        return layout->labels + rows * batch->label_dim * sizeof *batch->labels;
    return rows * ps_row_bytes(&slot->channel->shape);
}
