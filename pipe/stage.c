/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stage.c - see stage.h. */
#include "pipe/stage.h"

#include "pipe/engine.h"
#include "pipe/slots.h"

#include <stdlib.h>
#include <string.h>

/* Half of a core's own cache, of which a stage is read once it has been written. */
#define STAGE_BYTES ((size_t)512 << 10)
#define STAGE_BYTES_LEAST ((size_t)16 << 10)
/* Of a channel's slots, all stages together take no more than an eighth. */
#define STAGE_SHARE 8
#define STAGE_ROWS_MAX 8192
/* Entries and texts take no more than twice the bytes they were written in. */
#define INPUT_SHARE 2
#define ALIGN_BYTES 64

/* Bytes of a row that are known beforehand. */
static size_t fixed_bytes(const struct fmt_shape *shape)
{
    return ps_row_bytes(shape) + shape->label_dim * sizeof(float) + sizeof(float) +
           sizeof(uint64_t) + sizeof(uint32_t) * (2 + (size_t)shape->text_dim);
}

static size_t thread_count(const struct ps_channel *ch)
{
    return ch->stream->config.decode_threads > 0 ? ch->stream->config.decode_threads : 1;
}

/* For one thread. */
static size_t stage_bytes(const struct ps_channel *ch)
{
    size_t bytes = ch->slot_budget_bytes / STAGE_SHARE / thread_count(ch);

    if (bytes < STAGE_BYTES_LEAST)
        return STAGE_BYTES_LEAST;
    return bytes < STAGE_BYTES ? bytes : STAGE_BYTES;
}

void ps_stage_plan(struct ps_channel *ch)
{
    size_t bytes = stage_bytes(ch);
    bool variable = ch->shape.sparse || ch->shape.text_dim > 0;
    size_t rows = (variable ? bytes / 2 : bytes) / fixed_bytes(&ch->shape);

    ch->stage_rows = rows < 1 ? 1 : rows < STAGE_ROWS_MAX ? (uint32_t)rows : STAGE_ROWS_MAX;
    if (variable && bytes / 2 / INPUT_SHARE < ch->chunk_bytes)
        ch->chunk_bytes = bytes / 2 / INPUT_SHARE;
}

size_t ps_stage_bytes(const struct ps_channel *ch)
{
    size_t least = ch->stage_rows * fixed_bytes(&ch->shape);
    size_t bytes = stage_bytes(ch);

    return thread_count(ch) * (least > bytes ? least : bytes);
}

struct ps_stage *ps_stage_new(struct ps_channel *ch)
{
    struct ps_stage *stage = calloc(1, sizeof *stage);

    if (!stage)
        return NULL;
    stage->channel = ch;
    stage->decoder = ch->options.ops->decoder_new(&ch->options, &ch->shape);
    if (stage->decoder)
        return stage;
    free(stage);
    return NULL;
}

static void free_rows(struct ps_stage *stage)
{
    free(stage->rows.features);
    free(stage->rows.labels);
    free(stage->rows.weights);
    free(stage->rows.groups);
    free(stage->rows.entry_ends);
    free(stage->rows.text_ends);
    free(stage->row_nos);
}

void ps_stage_free(struct ps_stage *stage)
{
    if (!stage)
        return;
    stage->channel->options.ops->decoder_free(stage->decoder);
    free_rows(stage);
    free(stage->rows.entries.columns);
    free(stage->rows.entries.values);
    free(stage->rows.texts.bytes);
    free(stage->bad);
    free(stage);
}

/* Memory for an array of the shape; NULL, which is no failure, if the shape lacks it. */
static void *new_array(size_t rows, size_t row_bytes, bool *failed)
{
    if (row_bytes == 0)
        return NULL;
    void *memory = aligned_alloc(ALIGN_BYTES,
                                 (rows * row_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES);

    *failed |= !memory;
    return memory;
}

static bool make_room(struct ps_stage *stage, uint32_t rows)
{
    const struct fmt_shape *shape = &stage->channel->shape;
    struct fmt_rows *to = &stage->rows;
    bool failed = false;

    if (rows <= stage->room)
        return true;
    if (rows < stage->channel->stage_rows)
        rows = stage->channel->stage_rows;
    free_rows(stage);
    to->features = new_array(rows, ps_row_bytes(shape), &failed);
    to->labels = new_array(rows, shape->label_dim * sizeof *to->labels, &failed);
    to->weights = new_array(rows, shape->weighted ? sizeof *to->weights : 0, &failed);
    to->groups = new_array(rows, shape->grouped ? sizeof *to->groups : 0, &failed);
    to->entry_ends = new_array(rows, shape->sparse ? sizeof *to->entry_ends : 0, &failed);
    to->text_ends = new_array(rows, shape->text_dim * sizeof *to->text_ends, &failed);
    stage->row_nos = new_array(rows, sizeof *stage->row_nos, &failed);
    stage->room = failed ? 0 : rows;
    return !failed;
}

/* The stage's rows from `row` on; entries and texts are those of all of them. */
static struct fmt_rows rows_from(const struct ps_stage *stage, uint32_t row)
{
    const struct fmt_shape *shape = &stage->channel->shape;
    struct fmt_rows rows = stage->rows;

    if (rows.features)
        rows.features = (char *)rows.features + row * ps_row_bytes(shape);
    if (rows.labels)
        rows.labels += (size_t)row * shape->label_dim;
    if (rows.weights)
        rows.weights += row;
    if (rows.groups)
        rows.groups += row;
    if (rows.entry_ends)
        rows.entry_ends += row;
    if (rows.text_ends)
        rows.text_ends += (size_t)row * shape->text_dim;
    return rows;
}

static void move_rows(void *array, size_t to, size_t from, size_t count, size_t row_bytes)
{
    if (array)
        memmove((char *)array + to * row_bytes, (const char *)array + from * row_bytes,
                count * row_bytes);
}

/* Moves parts that grow down, of which `at` bytes or entries are in use, and their ends. Returns
 * where they begin, and how many there are. */
struct moved {
    size_t from;
    size_t count;
};

static struct moved move_ends(uint32_t *ends, size_t to, size_t from, size_t count)
{
    uint32_t begin = from > 0 ? ends[from - 1] : 0;
    uint32_t at = to > 0 ? ends[to - 1] : 0;
    struct moved moved = {begin, ends[from + count - 1] - begin};

    for (size_t i = 0; i < count; i++)
        ends[to + i] = ends[from + i] - begin + at;
    return moved;
}

/* Moves `count` rows from `from` down to `to`. */
static void move_down(struct ps_stage *stage, uint32_t to, uint32_t from, uint32_t count)
{
    const struct fmt_shape *shape = &stage->channel->shape;
    struct fmt_rows *rows = &stage->rows;

    move_rows(rows->features, to, from, count, ps_row_bytes(shape));
    move_rows(rows->labels, to, from, count, shape->label_dim * sizeof *rows->labels);
    move_rows(rows->weights, to, from, count, sizeof *rows->weights);
    move_rows(rows->groups, to, from, count, sizeof *rows->groups);
    if (rows->entry_ends) {
        uint32_t at = to > 0 ? rows->entry_ends[to - 1] : 0;
        struct moved moved = move_ends(rows->entry_ends, to, from, count);

        move_rows(rows->entries.columns, at, moved.from, moved.count,
                  sizeof *rows->entries.columns);
        move_rows(rows->entries.values, at, moved.from, moved.count, sizeof *rows->entries.values);
    }
    if (rows->text_ends) {
        size_t dim = shape->text_dim;
        uint32_t at = to > 0 ? rows->text_ends[to * dim - 1] : 0;
        struct moved moved = move_ends(rows->text_ends, to * dim, from * dim, count * dim);

        move_rows(rows->texts.bytes, at, moved.from, moved.count, 1);
    }
}

/* What grows ends with the last of `count` rows. */
static void end_variable(struct ps_stage *stage, uint32_t count)
{
    struct fmt_rows *rows = &stage->rows;
    size_t texts = (size_t)count * stage->channel->shape.text_dim;

    rows->entries.count = rows->entry_ends && count > 0 ? rows->entry_ends[count - 1] : 0;
    rows->texts.count = rows->text_ends && texts > 0 ? rows->text_ends[texts - 1] : 0;
}

/* There are `count` more rows, the chunk's from `row` on. */
static void number_rows(struct ps_stage *stage, uint32_t row, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        stage->row_nos[stage->count + i] = row + i;
    stage->count += count;
}

/* Takes `count` rows just decoded, the chunk's from `row` on; what the sample lacks gives way. */
static void take_rows(struct ps_stage *stage, const struct ps_chunk *chunk, uint64_t object,
                      uint32_t row, uint32_t count)
{
    const struct ps_shaping *shaping = &stage->channel->shaping;
    uint32_t first = stage->count;

    if (!shaping->samples) {
        number_rows(stage, row, count);
        end_variable(stage, stage->count);
        return;
    }
    for (uint32_t i = 0; i < count;) {
        uint32_t run = 0;

        while (i + run < count &&
               ps_sample_has(shaping, object, chunk->object_row + row + i + run)) {
            stage->row_nos[stage->count + run] = row + i + run;
            run++;
        }
        if (run > 0 && stage->count != first + i)
            move_down(stage, stage->count, first + i, run);
        stage->count += run;
        i += run;
        stage->unsampled += i < count;
        i += i < count;
    }
    end_variable(stage, stage->count);
}

static bool note_bad(struct ps_stage *stage, uint32_t row, size_t offset_bytes, size_t len_bytes)
{
    if (stage->bad_count == stage->bad_room) {
        size_t room = stage->bad_room * 2 + 16;
        struct ps_bad_row *bad = realloc(stage->bad, room * sizeof *bad);

        if (!bad)
            return false;
        stage->bad = bad;
        stage->bad_room = room;
    }
    stage->bad[stage->bad_count++] = (struct ps_bad_row){row, offset_bytes, len_bytes};
    return true;
}

static struct fmt_span span_of(const struct ps_chunk *chunk, uint32_t row, size_t offset_bytes)
{
    return (struct fmt_span){.in = chunk->in + offset_bytes,
                             .len = chunk->len_bytes - offset_bytes,
                             .rows = chunk->rows - row,
                             .epoch = chunk->epoch,
                             .position = chunk->position + row,
                             .key = chunk->object->key,
                             .object_offset = chunk->object_offset + offset_bytes,
                             .value = chunk->value ? chunk->value->value : NULL,
                             .value_len = chunk->value ? (size_t)chunk->value->size_bytes : 0};
}

/* How long the record at `in` is, which is bad. */
static size_t record_bytes(const struct fmt_options *options, const struct fmt_span *span)
{
    struct fmt_cut cut = {.rows = 0};
    struct fmt_error cause;

    if (options->ops->cut(options, span->in, span->len, false, true, 1, &cut, &cause) != FMT_OK ||
        cut.rows == 0)
        return span->len;
    return cut.len_bytes;
}

/* Steps over the bad record that *row and *offset_bytes have come to. False: this is the end. */
static bool pass_bad(struct ps_stage *stage, const struct ps_chunk *chunk, uint64_t object,
                     uint32_t *row, size_t *offset_bytes)
{
    struct ps_channel *ch = stage->channel;
    struct fmt_span span = span_of(chunk, *row, *offset_bytes);
    size_t len_bytes = record_bytes(&ch->options, &span);

    if (ch->shaping.samples && !ps_sample_has(&ch->shaping, object, chunk->object_row + *row)) {
        stage->unsampled++;
    } else if (!note_bad(stage, *row, *offset_bytes, len_bytes)) {
        stage->rc = FMT_E_MEMORY;
        return false;
    } else if (ch->shaping.bad == PS_BAD_ERROR) {
        stage->rc = FMT_E_FORMAT;
        return false;
    }
    ++*row;
    *offset_bytes += len_bytes;
    return *offset_bytes < chunk->len_bytes;
}

void ps_stage_decode(struct ps_stage *stage, const struct ps_chunk *chunk)
{
    struct ps_channel *ch = stage->channel;
    uint64_t object =
        ch->shaping.samples
            ? ps_sample_object(&ch->shaping, ch->pipe ? ch->sources[0].text : chunk->object->key)
            : 0;
    uint32_t row = 0;
    size_t offset_bytes = 0;

    stage->count = stage->unsampled = 0;
    stage->bad_count = 0;
    stage->rc = FMT_OK;
    end_variable(stage, 0);
    if (!make_room(stage, chunk->rows)) {
        stage->rc = FMT_E_MEMORY;
        return;
    }
    if (chunk->elsewhere) { /* their places are told, and that is all */
        number_rows(stage, 0, chunk->rows);
        return;
    }
    while (row < chunk->rows) {
        struct fmt_span span = span_of(chunk, row, offset_bytes);
        struct fmt_rows to = rows_from(stage, stage->count);
        enum fmt_rc rc = ch->options.ops->decode(stage->decoder, &span, &to, &stage->cause);
        uint32_t good = rc == FMT_OK ? span.rows : stage->cause.row;

        stage->rows.entries = to.entries;
        stage->rows.texts = to.texts;
        if (rc != FMT_OK && rc != FMT_E_FORMAT) {
            stage->rc = rc;
            return;
        }
        take_rows(stage, chunk, object, row, good);
        if (rc == FMT_OK)
            return;
        row += good;
        offset_bytes += stage->cause.offset_bytes;
        if (!pass_bad(stage, chunk, object, &row, &offset_bytes))
            return;
    }
}

void ps_stage_explain(struct ps_stage *stage, const struct ps_chunk *chunk,
                      const struct ps_bad_row *bad, struct fmt_error *cause)
{
    struct fmt_span span = span_of(chunk, bad->row, bad->offset_bytes);
    struct fmt_rows to = rows_from(stage, stage->count); /* a bad row left one free */

    span.rows = 1;
    span.len = bad->len_bytes;
    *cause = (struct fmt_error){.text = "malformed"};
    (void)stage->channel->options.ops->decode(stage->decoder, &span, &to, cause);
    stage->rows.entries = to.entries;
    stage->rows.texts = to.texts;
    end_variable(stage, stage->count);
}
