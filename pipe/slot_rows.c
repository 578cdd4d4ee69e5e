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

/* Where what grows of a row of a window begins. */
struct begin {
    uint32_t entries;
    uint32_t texts;
};

static struct begin *begins_of(const struct ps_slot *slot)
{
    return (struct begin *)(void *)((char *)slot->batch.base + slot->channel->layout.begins);
}

void ps_slot_lay_out_variable(const struct fmt_shape *shape, size_t slot_bytes,
                              uint32_t window_rows, struct ps_layout *layout)
{
    size_t begin = align(layout->end, ALIGN_BYTES);
    size_t begins_bytes = align(window_rows * sizeof(struct begin), ALIGN_BYTES);
    size_t end =
        slot_bytes > begins_bytes ? (slot_bytes - begins_bytes) / ALIGN_BYTES * ALIGN_BYTES : 0;
    size_t room_bytes = end > begin ? end - begin : 0;

    if (shape->sparse) {
        size_t part_bytes = (shape->text_dim > 0 ? room_bytes / 2 : room_bytes) / AREA_PARTS;
        size_t most = part_bytes / ALIGN_BYTES * ALIGN_WORDS;

        layout->entries = begin;
        layout->entries_max =
            (uint32_t)(most < INT32_MAX - ALIGN_WORDS ? most : INT32_MAX - ALIGN_WORDS);
        begin += AREA_PARTS * sizeof(uint32_t) * (size_t)layout->entries_max;
    }
    if (shape->text_dim > 0) {
        size_t most = end > begin ? end - begin : 0;

        if (window_rows > 0)
            most /= 2;
        layout->texts = begin;
        layout->texts_max = (uint32_t)(most < INT32_MAX ? most : INT32_MAX);
    }
    layout->begins = window_rows > 0 ? end : 0;
    layout->end = slot_bytes;
}

/* A row of a window that never comes has neither entries nor texts. */
static void begin_empty(struct ps_slot *slot)
{
    const struct ps_channel *ch = slot->channel;
    size_t rows = ch->config.batch_rows;

    memset(begins_of(slot), 0, rows * sizeof(struct begin));
    if (slot->batch.row_offsets)
        memset(words_at(slot, ch->layout.row_offsets), 0, (rows + 1) * sizeof(uint32_t));
    if (slot->batch.text_offsets)
        memset(words_at(slot, ch->layout.text_offsets), 0,
               (rows * ch->shape.text_dim + 1) * sizeof(uint32_t));
}

void ps_slot_begin(struct ps_slot *slot, uint32_t entries_guess)
{
    const struct ps_layout *layout = &slot->channel->layout;
    size_t values_at = align((size_t)entries_guess + entries_guess / 8, ALIGN_WORDS);

    slot->entries = slot->texts = 0;
    if (layout->begins > 0)
        begin_empty(slot);
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

bool ps_slot_reserve_row(struct ps_slot *slot, uint32_t row, const struct fmt_rows *from,
                         uint32_t no, struct ps_place *place)
{
    if (!ps_slot_reserve(slot, row, from, no, 1, place))
        return false;
    begins_of(slot)[row] = (struct begin){.entries = place->entries, .texts = place->texts};
    slot->rows_framed++;
    return true;
}

struct ps_place ps_slot_place(struct ps_slot *slot, uint32_t row)
{
    struct ps_place place = {.slot = slot, .row = row};

    if (slot->channel->layout.begins > 0) {
        place.entries = begins_of(slot)[row].entries;
        place.texts = begins_of(slot)[row].texts;
    }
    return place;
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

/* `count` entries from the `at`-th on; they may lie in the slot itself, behind that. */
static void put_columns_and_values(const struct ps_slot *slot, size_t at, const uint32_t *columns,
                                   const void *values, size_t count)
{
    const struct ps_layout *layout = &slot->channel->layout;
    uint32_t *area = words_at(slot, layout->entries);
    size_t near = at < slot->values_at ? slot->values_at - at : 0;

    if (near > count)
        near = count;
    if (near > 0)
        memmove(area + at, columns, near * sizeof *area);
    if (near < count)
        memmove(area + 2 * (size_t)layout->entries_max + at + near, columns + near,
                (count - near) * sizeof *area);
    if (count > 0)
        memmove(area + slot->values_at + at, values, count * sizeof *area);
}

static void put_entries(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                        uint32_t count)
{
    const struct ps_slot *slot = place->slot;
    const struct ps_layout *layout = &slot->channel->layout;
    size_t begin = begin_of(from->entry_ends, first);

    put_columns_and_values(slot, place->entries, from->entries.columns + begin,
                           from->entries.values + begin,
                           from->entry_ends[first + count - 1] - begin);
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

/* What does not grow of `count` rows. */
static void put_arrays(const struct ps_slot *slot, uint32_t row, const struct fmt_rows *from,
                       uint32_t first, uint32_t count)
{
    const struct fmt_shape *shape = &slot->channel->shape;
    struct fmt_rows to = ps_slot_rows(slot, 0);

    put_array(to.features, row, from->features, first, count, ps_row_bytes(shape));
    put_array(to.labels, row, from->labels, first, count, shape->label_dim * sizeof *to.labels);
    put_array(to.weights, row, from->weights, first, count, sizeof *to.weights);
    put_array(to.groups, row, from->groups, first, count, sizeof *to.groups);
}

void ps_slot_put(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                 uint32_t count)
{
    const struct fmt_shape *shape = &place->slot->channel->shape;

    put_arrays(place->slot, place->row, from, first, count);
    if (shape->sparse)
        put_entries(place, from, first, count);
    if (shape->text_dim > 0)
        put_texts(place, from, first, count);
}

/* ---- windows ---- */

/* Puts runs of words, which lie at `words`, into the order of rows: each at its begin, up to its
 * end; by way of `spare`. */
static void gather_entries(const struct ps_slot *slot, uint32_t *words, uint32_t *spare,
                           uint32_t *to)
{
    const uint32_t *ends = words_at(slot, slot->channel->layout.row_offsets) + 1;
    const struct begin *begins = begins_of(slot);
    size_t rows = slot->channel->config.batch_rows;
    size_t at = 0;

    for (size_t row = 0; row < rows; row++) {
        size_t count = ends[row] - begins[row].entries;

        memcpy(spare + at, words + begins[row].entries, count * sizeof *spare);
        at += count;
    }
    memcpy(to, spare, at * sizeof *spare);
}

static void gather_texts(const struct ps_slot *slot)
{
    const struct ps_layout *layout = &slot->channel->layout;
    size_t dim = slot->channel->shape.text_dim;
    size_t rows = slot->channel->config.batch_rows;
    char *area = (char *)slot->batch.base + layout->texts;
    char *spare = area + layout->texts_max;
    uint32_t *ends = words_at(slot, layout->text_offsets) + 1;
    struct begin *begins = begins_of(slot);
    uint32_t at = 0;

    for (size_t row = 0; row < rows; row++) {
        uint32_t begin = begins[row].texts;
        uint32_t len_bytes = ends[(row + 1) * dim - 1] - begin;

        memcpy(spare + at, area + begin, len_bytes);
        put_ends(ends + row * dim, ends + row * dim, dim, begin, at);
        begins[row].texts = at;
        at += len_bytes;
    }
    memcpy(area, spare, at);
}

void ps_slot_gather(struct ps_slot *slot)
{
    const struct ps_layout *layout = &slot->channel->layout;

    if (layout->begins == 0)
        return;
    if (layout->entries_max > 0) {
        uint32_t *area = words_at(slot, layout->entries);
        uint32_t *spare = area + 2 * (size_t)layout->entries_max;
        uint32_t *values = area + slot->values_at;
        uint32_t *ends = words_at(slot, layout->row_offsets) + 1;
        struct begin *begins = begins_of(slot);
        uint32_t at = 0;

        slot->values_at = (uint32_t)align(slot->entries, ALIGN_WORDS);
        gather_entries(slot, area, spare, area);
        gather_entries(slot, values, spare, area + slot->values_at);
        for (uint32_t row = 0; row < slot->channel->config.batch_rows; row++) {
            uint32_t count = ends[row] - begins[row].entries;

            begins[row].entries = at;
            ends[row] = at += count;
        }
    }
    if (layout->texts_max > 0)
        gather_texts(slot);
}

/* What grows of a row. */
static bool move_variable(const struct ps_slot *from_slot, uint32_t from, struct ps_slot *slot,
                          uint32_t to, struct ps_place *place)
{
    const struct ps_channel *ch = slot->channel;
    const struct ps_layout *layout = &ch->layout;
    struct begin begin = begins_of(from_slot)[from];
    uint32_t dim = ch->shape.text_dim;
    uint32_t entries = 0;
    uint32_t texts = 0;

    if (to == 0)
        slot->entries = slot->texts = 0;
    if (ch->shape.sparse)
        entries = words_at(from_slot, layout->row_offsets)[from + 1] - begin.entries;
    if (dim > 0)
        texts = words_at(from_slot, layout->text_offsets)[(from + 1) * dim] - begin.texts;
    *place = (struct ps_place){
        .slot = slot, .row = to, .entries = slot->entries + entries, .texts = slot->texts + texts};
    if (entries > layout->entries_max - slot->entries || texts > layout->texts_max - slot->texts)
        return false;
    if (ch->shape.sparse) {
        const uint32_t *area = words_at(from_slot, layout->entries);

        put_columns_and_values(slot, slot->entries, area + begin.entries,
                               area + from_slot->values_at + begin.entries, entries);
        words_at(slot, layout->row_offsets)[to + 1] = place->entries;
    }
    if (dim > 0) {
        const char *text = (const char *)from_slot->batch.base + layout->texts + begin.texts;

        memmove((char *)slot->batch.base + layout->texts + slot->texts, text, texts);
        put_ends(words_at(slot, layout->text_offsets) + to * dim + 1,
                 words_at(from_slot, layout->text_offsets) + from * dim + 1, dim, begin.texts,
                 slot->texts);
    }
    slot->entries = place->entries;
    slot->texts = place->texts;
    return true;
}

bool ps_slot_move_row(const struct ps_slot *from_slot, uint32_t from, struct ps_slot *slot,
                      uint32_t to, struct ps_place *place)
{
    if (slot->channel->layout.begins > 0 && !move_variable(from_slot, from, slot, to, place))
        return false;
    if (from_slot != slot || from != to) {
        struct fmt_rows rows = ps_slot_rows(from_slot, 0);

        put_arrays(slot, to, &rows, from, 1);
    }
    return true;
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

static void move_array(void *array, size_t from, size_t count, size_t row_bytes)
{
    if (array)
        memmove(array, (const char *)array + from * row_bytes, count * row_bytes);
}

/* Of parts that grow: those of rows from `from` on, up to `from + count`, become the first ones. */
static struct moved {
    size_t begin;
    size_t len;
} move_offsets(uint32_t *offsets, size_t from, size_t count)
{
    uint32_t begin = offsets[from];

    for (size_t i = 0; i <= count; i++)
        offsets[i] = offsets[from + i] - begin;
    return (struct moved){begin, offsets[count]};
}

void ps_slot_narrow(struct ps_slot *slot, uint32_t rows)
{
    const struct ps_channel *ch = slot->channel;
    const struct ps_row_share *share = &ch->shaping.share;
    const struct fmt_shape *shape = &ch->shape;
    struct penstock_batch *batch = &slot->batch;
    struct fmt_rows to = ps_slot_rows(slot, 0);
    uint32_t from = share->from < rows ? share->from : rows;
    uint32_t count = ps_row_share_of(share, rows);
    size_t dim = shape->text_dim;
    char *end = (char *)batch->base + ch->layout.texts;

    if (share->rows == share->batch_rows)
        return;
    move_array(to.features, from, count, ps_row_bytes(shape));
    move_array(to.labels, from, count, shape->label_dim * sizeof *to.labels);
    move_array(to.weights, from, count, sizeof *to.weights);
    move_array(to.groups, from, count, sizeof *to.groups);
    if (batch->columns) {
        struct moved moved = move_offsets(words_at(slot, ch->layout.row_offsets), from, count);
        uint32_t *area = words_at(slot, ch->layout.entries);
        const uint32_t *values = area + slot->values_at;

        slot->entries = (uint32_t)moved.len;
        slot->values_at = (uint32_t)align(moved.len, ALIGN_WORDS);
        memmove(area, area + moved.begin, moved.len * sizeof *area);
        memmove(area + slot->values_at, values + moved.begin, moved.len * sizeof *area);
        batch->values = (const float *)(const void *)(area + slot->values_at);
        end = (char *)(area + slot->values_at + moved.len);
    }
    if (batch->text) {
        struct moved moved =
            move_offsets(words_at(slot, ch->layout.text_offsets), from * dim, count * dim);
        char *text = (char *)batch->base + align((size_t)(end - (char *)batch->base), ALIGN_BYTES);

        memmove(text, batch->text + moved.begin, moved.len);
        slot->texts = (uint32_t)moved.len;
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

    if (slot->lends)
        return 0;
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
