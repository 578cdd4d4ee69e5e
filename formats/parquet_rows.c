/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_rows.c - see parquet_rows.h. */
#include "formats/parquet_rows.h"

#include "formats/row_frame.h"

#include <string.h>

/* A stripe fits in the second cache beside the columns it is made of. */
#define STRIPE_BYTES ((size_t)256 << 10)
/* Columns put into rows together: 16 values are a cache line. */
enum { BLOCK_COLUMNS = 16, STRIPE_ROWS_MIN = 16 };

static enum fmt_rc take_memory(struct fmt_pq_rows *rows)
{
    const struct fmt_shape *shape = &rows->selection.shape;
    struct fmt_pq_arena *arena = &rows->arena;
    size_t stripe_rows;

    rows->fixed_bytes = fmt_row_fixed_bytes(shape);
    stripe_rows = STRIPE_BYTES / rows->fixed_bytes;
    rows->stripe_rows_max = stripe_rows < STRIPE_ROWS_MIN   ? STRIPE_ROWS_MIN
                            : stripe_rows > FMT_PQ_READ_MAX ? FMT_PQ_READ_MAX
                                                            : (uint32_t)stripe_rows;
    rows->columns = fmt_pq_take(arena, rows->selection.count, sizeof *rows->columns);
    rows->stripe = fmt_pq_take(arena, rows->stripe_rows_max, rows->fixed_bytes);
    rows->numbers =
        fmt_pq_take(arena, (size_t)BLOCK_COLUMNS * FMT_PQ_READ_MAX, sizeof *rows->numbers);
    rows->texts =
        fmt_pq_take(arena, (size_t)shape->text_dim * FMT_PQ_READ_MAX, sizeof *rows->texts);
    rows->file_used_bytes = arena->used_bytes;
    return rows->columns && rows->stripe && rows->numbers && rows->texts ? FMT_OK : FMT_E_MEMORY;
}

enum fmt_rc fmt_pq_rows_start(struct fmt_pq_rows *rows, const uint8_t *in, size_t len_bytes,
                              uint8_t *arena, size_t arena_bytes,
                              const struct fmt_parquet_options *options,
                              const struct fmt_pq_crew *crew, struct fmt_error *error)
{
    *rows = (struct fmt_pq_rows){.file = {.bytes = in, .len_bytes = len_bytes},
                                 .arena = {.base = arena, .size_bytes = arena_bytes},
                                 .crew = crew};
    fmt_pq_arena_begin(&rows->arena);
    enum fmt_rc rc = fmt_pq_open(&rows->file, &rows->arena, error);

    if (rc == FMT_OK)
        rc = fmt_pq_select(&rows->file, options, &rows->selection, &rows->arena, error);
    return rc == FMT_OK ? take_memory(rows) : rc;
}

/* ---- row groups ---- */

static enum fmt_rc start_column(struct fmt_pq_rows *rows, uint32_t i, struct fmt_error *error)
{
    const struct fmt_pq_file *file = &rows->file;
    uint32_t leaf_no = rows->selection.leaves[i];
    const struct fmt_pq_leaf *leaf = &file->leaves[leaf_no];
    const struct fmt_pq_chunk *chunk = &file->chunks[leaf_no];
    const char *cause = chunk->refusal;

    if (!cause && chunk->type != (int64_t)leaf->type)
        cause = "the footer tells two types of it";
    else if (!cause && (chunk->values < 0 || (uint64_t)chunk->values != rows->group_left))
        cause = "it has not as many values as its row group has rows";
    if (cause)
        return fmt_pq_fail_column(error, leaf, file->footer_at, cause);
    return fmt_pq_column_start(&rows->columns[i], file->bytes, leaf, chunk, rows->crew->unpacker,
                               &rows->arena, error);
}

static enum fmt_rc load_column(void *arg, uint32_t job_no, struct fmt_pq_unpacker *unpacker,
                               struct fmt_pq_failure *failure)
{
    struct fmt_pq_column *column = (struct fmt_pq_column *)arg + job_no;

    column->unpacker = unpacker;
    return fmt_pq_column_load(column, &failure->error);
}

/* Reads dictionaries, of as many columns at once as there is memory for. */
static enum fmt_rc load_columns(struct fmt_pq_rows *rows, uint32_t count, struct fmt_error *error)
{
    size_t used_bytes = rows->arena.used_bytes;
    enum fmt_rc rc = FMT_OK;

    for (uint32_t first = 0, end = 0; first < count && rc == FMT_OK; first = end) {
        struct fmt_pq_failure failure;

        while (end < count && fmt_pq_column_lend(&rows->columns[end], &rows->arena))
            end++;
        if (end == first)
            return FMT_E_MEMORY;
        rc = fmt_pq_crew_run(rows->crew, end - first, load_column, &rows->columns[first], &failure);
        if (rc != FMT_OK)
            *error = failure.error;
        fmt_pq_take_back(&rows->arena, used_bytes);
    }
    return rc;
}

static enum fmt_rc start_group(struct fmt_pq_rows *rows, struct fmt_error *error)
{
    enum fmt_rc rc = fmt_pq_next_group(&rows->file, &rows->group_left, error);

    fmt_pq_take_back(&rows->arena, rows->file_used_bytes);
    if (rc != FMT_OK || rows->group_left == 0)
        return rc;
    struct fmt_error cause = {.text = ""};
    uint32_t started = 0;

    while (started < rows->selection.count && rc == FMT_OK) {
        rc = start_column(rows, started, &cause);
        started += rc == FMT_OK;
    }
    /* What is wrong with a dictionary before it is told first. */
    enum fmt_rc loaded = load_columns(rows, started, error);

    if (loaded != FMT_OK || rc == FMT_OK)
        return loaded;
    *error = cause;
    return rc;
}

/* ---- stripes ---- */

void fmt_pq_put_numbers(const struct fmt_pq_rows *rows, uint32_t first, uint32_t count,
                        const float *numbers, size_t apart, uint32_t row_count, uint8_t *stripe)
{
    uint8_t *out = stripe + FMT_ROW_HEAD_BYTES + (size_t)first * 4;

    for (uint32_t row = 0; row < row_count; row++, out += rows->fixed_bytes)
        for (uint32_t i = 0; i < count; i++)
            memcpy(out + (size_t)i * 4, &numbers[i * apart + row], 4);
}

static enum fmt_rc make_numbers(struct fmt_pq_rows *rows, uint32_t row_count, uint8_t *stripe,
                                struct fmt_error *error)
{
    uint32_t count = fmt_pq_number_count(&rows->selection.shape);

    for (uint32_t first = 0; first < count; first += BLOCK_COLUMNS) {
        uint32_t block = count - first < BLOCK_COLUMNS ? count - first : BLOCK_COLUMNS;

        for (uint32_t i = 0; i < block; i++) {
            enum fmt_rc rc =
                fmt_pq_read_numbers(&rows->columns[first + i], row_count,
                                    rows->numbers + (size_t)i * FMT_PQ_READ_MAX, error);

            if (rc != FMT_OK)
                return rc;
        }
        fmt_pq_put_numbers(rows, first, block, rows->numbers, FMT_PQ_READ_MAX, row_count, stripe);
    }
    return FMT_OK;
}

static enum fmt_rc read_texts(struct fmt_pq_rows *rows, uint32_t row_count, struct fmt_error *error)
{
    uint32_t first = fmt_pq_number_count(&rows->selection.shape);
    enum fmt_rc rc = FMT_OK;

    for (uint32_t i = 0; i < rows->selection.shape.text_dim && rc == FMT_OK; i++)
        rc = fmt_pq_read_texts(&rows->columns[first + i], row_count,
                               rows->texts + (size_t)i * FMT_PQ_READ_MAX, error);
    return rc;
}

/* Writes the heads of the stripe's frames, and where their texts end. */
static enum fmt_rc make_heads(struct fmt_pq_rows *rows, uint32_t row_count, uint8_t *stripe,
                              struct fmt_error *error)
{
    const struct fmt_shape *shape = &rows->selection.shape;
    size_t ends_at = rows->fixed_bytes - (size_t)shape->text_dim * 4;

    for (uint32_t row = 0; row < row_count; row++, stripe += rows->fixed_bytes) {
        uint64_t end = 0;

        for (uint32_t i = 0; i < shape->text_dim; i++) {
            end += rows->texts[(size_t)i * FMT_PQ_READ_MAX + row].len_bytes;
            uint32_t word = (uint32_t)end;

            memcpy(stripe + ends_at + (size_t)i * 4, &word, 4);
        }
        uint64_t frame_bytes = rows->fixed_bytes + ((end + 3) & ~(uint64_t)3);

        if (frame_bytes > UINT32_MAX)
            return fmt_fail(error, rows->file.footer_at, 0,
                            "a row's texts are longer than 4 GiB together");
        fmt_row_put_head(shape, (uint32_t)frame_bytes, stripe);
    }
    return FMT_OK;
}

/* As many rows as there are, up to a stripe, and without crossing pages of texts. */
static enum fmt_rc count_rows(struct fmt_pq_rows *rows, uint32_t *row_count,
                              struct fmt_error *error)
{
    uint32_t first = fmt_pq_number_count(&rows->selection.shape);

    *row_count = rows->group_left < rows->stripe_rows_max ? (uint32_t)rows->group_left
                                                          : rows->stripe_rows_max;
    for (uint32_t i = first; i < rows->selection.count; i++) {
        enum fmt_rc rc = fmt_pq_column_look(&rows->columns[i], error);

        if (rc != FMT_OK)
            return rc;
        if (rows->columns[i].page_left < *row_count)
            *row_count = rows->columns[i].page_left;
    }
    return FMT_OK;
}

static enum fmt_rc make_stripe(struct fmt_pq_rows *rows, uint32_t row_count, uint8_t *stripe,
                               struct fmt_error *error)
{
    enum fmt_rc rc = make_numbers(rows, row_count, stripe, error);

    if (rc == FMT_OK)
        rc = read_texts(rows, row_count, error);
    if (rc == FMT_OK)
        rc = make_heads(rows, row_count, stripe, error);
    rows->group_left -= row_count;
    return rc;
}

/* ---- out ---- */

struct out {
    uint8_t *at;
    size_t left_bytes;
};

/* Writes what of in[len_bytes] is wanted from row_offset on, where `at` is its place in the row. */
static void put(struct fmt_pq_rows *rows, size_t at, const uint8_t *in, size_t len_bytes,
                struct out *out)
{
    if (rows->row_offset >= at + len_bytes || rows->row_offset < at)
        return;
    size_t from = rows->row_offset - at;
    size_t some = len_bytes - from < out->left_bytes ? len_bytes - from : out->left_bytes;

    memcpy(out->at, in + from, some);
    out->at += some;
    out->left_bytes -= some;
    rows->row_offset += some;
}

/* Writes the rest of one row with texts, as far as there is room. */
static void put_row(struct fmt_pq_rows *rows, struct out *out)
{
    static const uint8_t zeros[4] = {0};
    size_t at = rows->fixed_bytes;

    put(rows, 0, rows->stripe + rows->next_row * rows->fixed_bytes, at, out);
    for (uint32_t i = 0; i < rows->selection.shape.text_dim; i++) {
        const struct fmt_pq_text *text = &rows->texts[(size_t)i * FMT_PQ_READ_MAX + rows->next_row];

        put(rows, at, text->bytes, text->len_bytes, out);
        at += text->len_bytes;
    }
    size_t pad_bytes = (4 - at % 4) % 4;

    put(rows, at, zeros, pad_bytes, out);
    if (rows->row_offset == at + pad_bytes) {
        rows->row_offset = 0;
        rows->next_row++;
    }
}

/* Writes rows without texts, which lie one behind the other. */
static void put_rows(struct fmt_pq_rows *rows, struct out *out)
{
    size_t at = rows->next_row * rows->fixed_bytes + rows->row_offset;
    size_t left_bytes = rows->stripe_rows * rows->fixed_bytes - at;
    size_t some = left_bytes < out->left_bytes ? left_bytes : out->left_bytes;

    memcpy(out->at, rows->stripe + at, some);
    out->at += some;
    out->left_bytes -= some;
    at += some;
    rows->next_row = (uint32_t)(at / rows->fixed_bytes);
    rows->row_offset = at % rows->fixed_bytes;
}

/* The next stripe, made in place if all of it fits. */
static enum fmt_rc next_stripe(struct fmt_pq_rows *rows, struct out *out, struct fmt_error *error)
{
    uint32_t row_count;
    enum fmt_rc rc = count_rows(rows, &row_count, error);

    if (rc != FMT_OK)
        return rc;
    size_t stripe_bytes = row_count * rows->fixed_bytes;
    bool in_place = rows->selection.shape.text_dim == 0 && stripe_bytes <= out->left_bytes;

    rc = make_stripe(rows, row_count, in_place ? out->at : rows->stripe, error);
    if (rc != FMT_OK)
        return rc;
    rows->stripe_rows = in_place ? 0 : row_count;
    rows->next_row = 0;
    if (in_place) {
        out->at += stripe_bytes;
        out->left_bytes -= stripe_bytes;
    }
    return FMT_OK;
}

/* By a team a band of stripes, where there is room; else a stripe. */
static enum fmt_rc make_some(struct fmt_pq_rows *rows, struct out *out, struct fmt_error *error)
{
    uint32_t row_count = 0;
    enum fmt_rc rc = FMT_OK;

    if (rows->crew->team)
        rc = fmt_pq_make_band(rows, out->at, out->left_bytes, &row_count, error);
    if (rc == FMT_OK && row_count == 0)
        return next_stripe(rows, out, error);
    out->at += row_count * rows->fixed_bytes;
    out->left_bytes -= row_count * rows->fixed_bytes;
    rows->group_left -= row_count;
    return rc;
}

enum fmt_rc fmt_pq_rows_make(struct fmt_pq_rows *rows, uint8_t *out_at, size_t out_bytes,
                             size_t *made_bytes, struct fmt_error *error)
{
    struct out out = {.at = out_at, .left_bytes = out_bytes};
    enum fmt_rc rc = FMT_OK;
    bool ended = false;

    while (rc == FMT_OK && out.left_bytes > 0 && !ended) {
        if (rows->next_row < rows->stripe_rows && rows->selection.shape.text_dim > 0)
            put_row(rows, &out);
        else if (rows->next_row < rows->stripe_rows)
            put_rows(rows, &out);
        else if (rows->group_left > 0)
            rc = make_some(rows, &out, error);
        else if (rows->file.groups_read < rows->file.group_count)
            rc = start_group(rows, error);
        else
            ended = true;
    }
    *made_bytes = out_bytes - out.left_bytes;
    return rc;
}
