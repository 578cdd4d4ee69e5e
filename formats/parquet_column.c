/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_column.c - see parquet_column.h: pages, dictionaries, levels. What values are
 * made of is parquet_values.c's. */
#include "formats/parquet_column.h"

#include "formats/bytes.h"
#include "formats/parquet_convert.h"
#include "formats/parquet_values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_SHOWN = 60 };

/* What the pages of a chunk come to. */
struct survey {
    int64_t values;
    size_t room_bytes;
    bool has_dictionary;
    struct fmt_pq_page dictionary;
};

enum fmt_rc fmt_pq_fail_column(struct fmt_error *error, const struct fmt_pq_leaf *leaf, size_t at,
                               const char *cause)
{
    int shown =
        leaf->name.len_bytes < NAME_BYTES_SHOWN ? (int)leaf->name.len_bytes : NAME_BYTES_SHOWN;

    return fmt_fail(error, at, 0, "column '%.*s': %s", shown, (const char *)leaf->name.bytes,
                    cause);
}

static enum fmt_rc fail(const struct fmt_pq_column *column, const char *cause,
                        struct fmt_error *error)
{
    return fmt_pq_fail_column(error, column->leaf, column->page_at, cause);
}

static bool has_data(const struct fmt_pq_page *page)
{
    return page->type == FMT_PQ_PAGE_DATA || page->type == FMT_PQ_PAGE_DATA_2;
}

static size_t behind(const struct fmt_pq_column *column, const struct fmt_pq_page *page)
{
    return (size_t)(page->data - column->file) + page->packed_bytes;
}

/* ---- start ---- */

static enum fmt_rc survey_page(struct fmt_pq_column *column, const struct fmt_pq_page *page,
                               struct survey *survey, struct fmt_error *error)
{
    if (page->type == FMT_PQ_PAGE_DICTIONARY) {
        if (survey->has_dictionary || survey->values > 0)
            return fail(column, "its dictionary is not its first page", error);
        survey->has_dictionary = true;
        survey->dictionary = *page;
    }
    if (!has_data(page))
        return FMT_OK;
    const char *cause = fmt_pq_refused_encoding(column->leaf, page->encoding);

    if (cause)
        return fail(column, cause, error);
    if (fmt_pq_uses_dictionary(page->encoding) && !survey->has_dictionary)
        return fail(column, "it has no dictionary, but a page that needs one", error);
    if (page->type == FMT_PQ_PAGE_DATA && column->leaf->optional &&
        page->level_encoding != FMT_PQ_RLE)
        return fail(column, "its levels are not encoded as RLE, the only way that is read here",
                    error);
    survey->values += page->values;
    if (fmt_pq_is_packed(column->codec) && page->bytes > survey->room_bytes)
        survey->room_bytes = page->bytes;
    return FMT_OK;
}

static enum fmt_rc survey_pages(struct fmt_pq_column *column, struct survey *survey,
                                struct fmt_error *error)
{
    enum fmt_rc rc = FMT_OK;

    *survey = (struct survey){.values = 0};
    for (size_t at = column->next_at; at < column->end_at && rc == FMT_OK;) {
        struct fmt_pq_page page;

        rc = fmt_pq_read_page(column->file, at, column->end_at, &page, error);
        if (rc != FMT_OK)
            return rc;
        column->page_at = at;
        rc = survey_page(column, &page, survey, error);
        at = behind(column, &page);
    }
    return rc;
}

/* Decompresses what of a page is compressed. Its bytes are then at *out; of those of DATA_2 without
 * levels. */
static enum fmt_rc unpack_page(struct fmt_pq_column *column, const struct fmt_pq_page *page,
                               uint8_t *room, const uint8_t **out, struct fmt_error *error)
{
    const uint8_t *in = page->data + page->level_bytes;
    size_t in_bytes = page->packed_bytes - page->level_bytes;
    size_t out_bytes = page->bytes - page->level_bytes;
    enum fmt_rc rc = fmt_pq_check_page(page, error);

    if (rc != FMT_OK)
        return fail(column, "a page is corrupt: its CRC-32 differs", error);
    *out = in;
    if (!fmt_pq_is_packed(column->codec) || !page->packed || out_bytes == 0)
        return in_bytes >= out_bytes
                   ? FMT_OK
                   : fail(column, "a page is corrupt: it is shorter than it says", error);
    const char *cause =
        fmt_pq_unpack(column->unpacker, column->codec, in, in_bytes, room, out_bytes);

    *out = room;
    return cause ? fail(column, cause, error) : FMT_OK;
}

static bool has_texts(const struct fmt_pq_column *column)
{
    return column->leaf->kind == FMT_PQ_TEXT;
}

/* Takes memory for the dictionary; texts stay where they are decompressed. */
static enum fmt_rc start_dictionary(struct fmt_pq_column *column, struct fmt_pq_arena *arena,
                                    struct fmt_error *error)
{
    const struct fmt_pq_leaf *leaf = column->leaf;
    const struct fmt_pq_page *page = &column->dictionary;

    column->page_at = page->at;
    if (page->encoding != FMT_PQ_PLAIN && page->encoding != FMT_PQ_PLAIN_DICTIONARY)
        return fail(column, "its dictionary has an encoding that is not read here", error);
    if (leaf->kind == FMT_PQ_FLAG)
        return fail(column, "it has a dictionary, but true and false have none", error);
    if ((uint64_t)page->values * (leaf->value_bytes ? leaf->value_bytes : 4) > page->bytes)
        return fail(column, "its dictionary is shorter than it says", error);
    if (!has_texts(column)) {
        column->numbers = fmt_pq_take(arena, page->values, sizeof *column->numbers);
        return column->numbers ? FMT_OK : FMT_E_MEMORY;
    }
    column->texts = fmt_pq_take(arena, page->values, sizeof *column->texts);
    if (fmt_pq_is_packed(column->codec))
        column->dictionary_room = fmt_pq_take(arena, page->bytes, 1);
    return column->texts && (column->dictionary_room || !fmt_pq_is_packed(column->codec))
               ? FMT_OK
               : FMT_E_MEMORY;
}

bool fmt_pq_column_lend(struct fmt_pq_column *column, struct fmt_pq_arena *arena)
{
    if (!column->has_dictionary || has_texts(column) || !fmt_pq_is_packed(column->codec))
        return true;
    column->dictionary_room = fmt_pq_take(arena, column->dictionary.bytes, 1);
    return column->dictionary_room != NULL;
}

enum fmt_rc fmt_pq_column_load(struct fmt_pq_column *column, struct fmt_error *error)
{
    const struct fmt_pq_page *page = &column->dictionary;
    const uint8_t *in;

    if (!column->has_dictionary)
        return FMT_OK;
    enum fmt_rc rc = unpack_page(column, page, column->dictionary_room, &in, error);

    if (rc != FMT_OK)
        return rc;
    column->dictionary_count = page->values;
    column->at = in;
    column->end = in + page->bytes;
    column->encoding = FMT_PQ_PLAIN;
    if (!has_texts(column)) {
        fmt_pq_convert(column->leaf, in, page->values, column->numbers);
        return FMT_OK;
    }
    return fmt_pq_take_texts(column, page->values, column->texts)
               ? FMT_OK
               : fail(column, "its dictionary is corrupt", error);
}

enum fmt_rc fmt_pq_column_start(struct fmt_pq_column *column, const uint8_t *file,
                                const struct fmt_pq_leaf *leaf, const struct fmt_pq_chunk *chunk,
                                struct fmt_pq_unpacker *unpacker, struct fmt_pq_arena *arena,
                                struct fmt_error *error)
{
    struct survey survey;

    *column = (struct fmt_pq_column){.file = file,
                                     .leaf = leaf,
                                     .unpacker = unpacker,
                                     .codec = chunk->codec,
                                     .next_at = chunk->at,
                                     .end_at = chunk->at + chunk->len_bytes,
                                     .page_at = chunk->at};
    const char *codec = fmt_pq_refused_codec(chunk->codec);

    if (codec) {
        char cause[120];

        snprintf(cause, sizeof cause,
                 "it is compressed with %s: Snappy, gzip, zstd and LZ4 can be read here", codec);
        return fail(column, cause, error);
    }
    enum fmt_rc rc = survey_pages(column, &survey, error);

    if (rc != FMT_OK)
        return rc;
    if (survey.values != chunk->values)
        return fail(column, "its pages have not as many values as the footer says", error);
    if (survey.room_bytes > 0) {
        column->room = fmt_pq_take(arena, survey.room_bytes, 1);
        if (!column->room)
            return FMT_E_MEMORY;
    }
    column->has_dictionary = survey.has_dictionary;
    column->dictionary = survey.dictionary;
    return survey.has_dictionary ? start_dictionary(column, arena, error) : FMT_OK;
}

/* ---- pages ---- */

/* Finds the levels of an optional column in a page, at *in, or of DATA_2 in front of it. */
static enum fmt_rc start_levels(struct fmt_pq_column *column, const struct fmt_pq_page *page,
                                const uint8_t **in, const uint8_t *end, struct fmt_error *error)
{
    if (page->type == FMT_PQ_PAGE_DATA_2) {
        fmt_pq_hybrid_start(&column->levels, page->data, page->level_bytes, 1);
        return FMT_OK;
    }
    size_t left_bytes = (size_t)(end - *in);
    uint32_t level_bytes = left_bytes >= 4 ? fmt_load_le32(*in) : UINT32_MAX;

    if (left_bytes < 4 || level_bytes > left_bytes - 4)
        return fail(column, "a page's levels are longer than the page", error);
    fmt_pq_hybrid_start(&column->levels, *in + 4, level_bytes, 1);
    *in += 4 + level_bytes;
    return FMT_OK;
}

static enum fmt_rc start_page(struct fmt_pq_column *column, const struct fmt_pq_page *page,
                              struct fmt_error *error)
{
    const uint8_t *in;
    enum fmt_rc rc = unpack_page(column, page, column->room, &in, error);

    if (rc != FMT_OK)
        return rc;
    const uint8_t *end = in + (page->bytes - page->level_bytes);

    if (column->leaf->optional)
        rc = start_levels(column, page, &in, end, error);
    if (rc != FMT_OK)
        return rc;
    column->encoding = page->encoding;
    column->page_left = page->values;
    column->at = in;
    column->end = end;
    return fmt_pq_start_values(column) ? FMT_OK : fail(column, "a page is corrupt", error);
}

enum fmt_rc fmt_pq_column_look(struct fmt_pq_column *column, struct fmt_error *error)
{
    while (column->page_left == 0) {
        struct fmt_pq_page page;
        enum fmt_rc rc =
            fmt_pq_read_page(column->file, column->next_at, column->end_at, &page, error);

        if (rc != FMT_OK)
            return rc;
        column->page_at = column->next_at;
        column->next_at = behind(column, &page);
        if (!has_data(&page) || page.values == 0)
            continue;
        rc = start_page(column, &page, error);
        if (rc != FMT_OK)
            return rc;
    }
    return FMT_OK;
}

/* ---- values and nulls ---- */

/* Of the next values how many come in one go, and how many of these are not null. */
struct stretch {
    uint32_t count;
    uint32_t present;
    uint32_t levels[FMT_PQ_READ_MAX]; /* if these differ: which */
};

static enum fmt_rc find_stretch(struct fmt_pq_column *column, uint32_t most,
                                struct stretch *stretch, struct fmt_error *error)
{
    enum fmt_rc rc = fmt_pq_column_look(column, error);

    if (rc != FMT_OK)
        return rc;
    if (most > column->page_left)
        most = column->page_left;
    stretch->count = stretch->present = most;
    if (column->leaf->optional) {
        stretch->count = fmt_pq_hybrid_run(&column->levels, most);
        if (stretch->count == 0)
            return fail(column, "a page has less levels than values", error);
        fmt_pq_hybrid_take(&column->levels, stretch->count, stretch->levels);
        if (!column->levels.packed) {
            stretch->present = column->levels.value ? stretch->count : 0;
        } else {
            stretch->present = 0;
            for (uint32_t i = 0; i < stretch->count; i++)
                stretch->present += stretch->levels[i];
        }
        if (column->levels.value > 1)
            return fail(column, "a page has a level above 1", error);
    }
    column->page_left -= stretch->count;
    return FMT_OK;
}

static void fill_nan(float *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = NAN;
}

/* From the back each number goes to its place, without a branch for each. */
static void spread(float *out, const struct stretch *stretch)
{
    uint32_t next = stretch->present;
    float nan = NAN;
    uint32_t nan_bits;

    memcpy(&nan_bits, &nan, 4);
    for (uint32_t i = stretch->count; i-- > 0;) {
        uint32_t level = stretch->levels[i]; /* 0 or 1 */
        uint32_t bits;

        next -= level;
        memcpy(&bits, &out[next], 4);
        bits = (bits & (0 - level)) | (nan_bits & (level - 1));
        memcpy(&out[i], &bits, 4);
    }
}

enum fmt_rc fmt_pq_read_numbers(struct fmt_pq_column *column, uint32_t count, float *out,
                                struct fmt_error *error)
{
    struct stretch stretch;

    for (; count > 0; count -= stretch.count, out += stretch.count) {
        enum fmt_rc rc = find_stretch(column, count, &stretch, error);

        if (rc != FMT_OK)
            return rc;
        uint32_t next = stretch.present;

        if (!fmt_pq_take_numbers(column, stretch.present, out))
            return fail(column, "a page is corrupt: its values cannot be decoded", error);
        if (next == stretch.count)
            continue;
        if (next == 0)
            fill_nan(out, stretch.count);
        else
            spread(out, &stretch);
    }
    return FMT_OK;
}

enum fmt_rc fmt_pq_read_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out,
                              struct fmt_error *error)
{
    struct stretch stretch;

    for (; count > 0; count -= stretch.count, out += stretch.count) {
        enum fmt_rc rc = find_stretch(column, count, &stretch, error);
        uint32_t next = stretch.present;

        if (rc != FMT_OK)
            return rc;
        if (!fmt_pq_take_texts(column, stretch.present, out))
            return fail(column, "a page is corrupt: its values cannot be decoded", error);
        if (next == stretch.count)
            continue;
        for (uint32_t i = stretch.count; i-- > 0;)
            out[i] =
                next > 0 && stretch.levels[i] ? out[--next] : (struct fmt_pq_text){.len_bytes = 0};
    }
    return FMT_OK;
}
