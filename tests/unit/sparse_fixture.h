/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/sparse_fixture.h - batches of sparse rows and of texts: a format made for this, random
 * records of it, decode threads over them, and what has to come.
 *
 * A record is: count of entries (255: the record is bad), that many columns of a byte each, a
 * label, and two texts, each behind a byte that says how long it is.
 */
#ifndef TESTS_UNIT_SPARSE_FIXTURE_H
#define TESTS_UNIT_SPARSE_FIXTURE_H

#include <pthread.h>

#include "pipe/chunks.h"
#include "pipe/permute.h"
#include "pipe/slots.h"
#include "pipe/stage.h"
#include "tests/unit/channel_fixture.h"

enum { TEXTS = 2, ROWS_MAX = 4000, BYTES_MAX = 1 << 20, DECODERS_MAX = 4 };

/* ---- the format ---- */

static inline size_t record_bytes(const uint8_t *in)
{
    size_t at = 1u + (in[0] == 255 ? 0 : in[0]) + 1u;

    for (int t = 0; t < TEXTS; t++)
        at += 1u + in[at];
    return at;
}

static inline enum fmt_rc fake_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                                   bool at_start, bool at_end, uint32_t rows_max,
                                   struct fmt_cut *cut, struct fmt_error *error)
{
    (void)options;
    (void)at_start;
    (void)at_end;
    (void)error;
    *cut = (struct fmt_cut){.rows = 0};
    while (cut->rows < rows_max && cut->len_bytes < len) {
        cut->len_bytes += record_bytes(in + cut->len_bytes);
        cut->rows++;
    }
    return FMT_OK;
}

struct fmt_decoder {
    struct fmt_shape shape;
};

static inline struct fmt_decoder *fake_new(const struct fmt_options *options,
                                           const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = malloc(sizeof *decoder);

    (void)options;
    assert_non_null(decoder);
    decoder->shape = *shape;
    return decoder;
}

static inline void fake_free(struct fmt_decoder *decoder)
{
    free(decoder);
}

static inline float value_of(uint8_t column, uint8_t label)
{
    return (float)column * 256 + label;
}

static inline void decode_row(const struct fmt_shape *shape, const uint8_t *in, uint32_t row,
                              struct fmt_rows *rows)
{
    uint8_t label = in[1 + in[0]];
    size_t at = 2u + in[0];

    rows->labels[row] = label;
    if (shape->weighted)
        rows->weights[row] = (float)label / 2;
    if (shape->grouped)
        rows->groups[row] = UINT64_MAX - label;
    if (shape->sparse) {
        struct fmt_entries *e = &rows->entries;

        assert_true(fmt_entries_reserve(e, in[0]));
        for (uint8_t i = 0; i < in[0]; i++) {
            e->columns[e->count] = in[1 + i];
            e->values[e->count++] = value_of(in[1 + i], label);
        }
        rows->entry_ends[row] = (uint32_t)e->count;
    }
    for (uint32_t t = 0; t < shape->text_dim; t++) {
        assert_true(fmt_texts_reserve(&rows->texts, in[at]));
        if (in[at] > 0)
            memcpy(rows->texts.bytes + rows->texts.count, in + at + 1, in[at]);
        rows->texts.count += in[at];
        rows->text_ends[row * shape->text_dim + t] = (uint32_t)rows->texts.count;
        at += 1u + in[at];
    }
}

static inline enum fmt_rc fake_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                                      struct fmt_rows *rows, struct fmt_error *error)
{
    size_t at = 0;

    for (uint32_t row = 0; row < span->rows; row++) {
        if (span->in[at] == 255 && decoder->shape.sparse) { /* as much as was read of it */
            assert_true(fmt_entries_reserve(&rows->entries, 3));
            memset(rows->entries.columns + rows->entries.count, 0xff, 12);
            rows->entries.count += 3;
        }
        if (span->in[at] == 255)
            return fmt_fail(error, at, row, "row %u is bad", row);
        decode_row(&decoder->shape, span->in + at, row, rows);
        at += record_bytes(span->in + at);
    }
    return FMT_OK;
}

static const struct fmt_ops fake_ops = {
    .cut = fake_cut, .decoder_new = fake_new, .decoder_free = fake_free, .decode = fake_decode};

/* ---- data ---- */

struct data {
    uint8_t bytes[BYTES_MAX];
    size_t len;
    size_t offsets[ROWS_MAX + 1]; /* of all records; */
    uint32_t count;
    uint32_t good[ROWS_MAX]; /* those that are not bad */
    uint32_t good_count;
};

static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Rows have up to `entries` entries, more and more of them towards the middle, and `bad` of 100 are
 * bad. */
static inline struct data *make_data(uint32_t count, uint32_t entries, uint32_t bad)
{
    struct data *d = calloc(1, sizeof *d);
    uint32_t random = count + bad;

    assert_non_null(d);
    d->count = count;
    for (uint32_t row = 0; row < count; row++) {
        uint32_t most = entries * (row < count / 2 ? row : count - row) / (count / 2 + 1);
        uint8_t n = (uint8_t)(next_random(&random) % (most + 1));
        bool is_bad = next_random(&random) % 100 < bad;

        d->offsets[row] = d->len;
        d->bytes[d->len++] = is_bad ? 255 : n;
        for (uint8_t i = 0; i < n && !is_bad; i++)
            d->bytes[d->len++] = (uint8_t)next_random(&random);
        d->bytes[d->len++] = (uint8_t)next_random(&random);
        for (int t = 0; t < TEXTS; t++) {
            uint8_t len = (uint8_t)(next_random(&random) % (row % 7 == 0 ? 100 : 5));

            d->bytes[d->len++] = len;
            for (uint8_t i = 0; i < len; i++)
                d->bytes[d->len++] = (uint8_t)next_random(&random);
        }
        if (!is_bad)
            d->good[d->good_count++] = row;
        assert_true(d->len < BYTES_MAX - 1024);
    }
    d->offsets[count] = d->len;
    return d;
}

/* ---- the channel ---- */

struct bench {
    struct fixture *f;
    struct ps_channel *ch;
    struct ps_object object;
    const struct data *data;
    uint32_t epochs;
    pthread_t framer;
    pthread_t decoders[DECODERS_MAX];
    uint32_t decoder_count;
};

/* Which share of each batch's rows a bench has. */
static struct {
    uint32_t index;
    uint32_t count;
} row_share = {0, 1};

static inline struct bench *open_bench(const struct data *d, struct fmt_shape shape,
                                       uint32_t batch_rows, struct ps_shaping shaping)
{
    struct bench *b = calloc(1, sizeof *b);
    struct penstock_error error;

    assert_non_null(b);
    b->data = d;
    b->f = fixture_open(1 << 20, 1);
    b->ch = b->f->ch;
    b->f->stream.channels = &b->f->ch;
    b->f->stream.channel_count = 1;
    b->ch->options.ops = &fake_ops;
    b->ch->config.batch_rows = batch_rows;
    b->ch->config.seed = 7;
    b->ch->shaping = shaping;
    ps_shaping_share(&b->ch->shaping, batch_rows, row_share.index, row_share.count);
    b->ch->shape = shape;
    b->ch->staged = true;
    b->object = (struct ps_object){.key = "/nowhere/object", .etag = "", .size_bytes = 1};
    ps_stage_plan(b->ch);
    assert_int_equal(ps_slots_open(b->ch, &error), PENSTOCK_OK);
    return b;
}

/* As the framer would, with chunks of all sizes. */
static inline void *push_all(void *cookie)
{
    struct bench *b = cookie;
    uint32_t random = b->data->count;
    uint64_t pos = 0;

    for (uint32_t epoch = 0; epoch < b->epochs; epoch++) {
        for (uint32_t row = 0; row < b->data->count;) {
            uint32_t rows = 1 + next_random(&random) % 60;

            if (rows > b->data->count - row)
                rows = b->data->count - row;
            struct ps_chunk chunk = {.in = b->data->bytes + b->data->offsets[row],
                                     .len_bytes =
                                         b->data->offsets[row + rows] - b->data->offsets[row],
                                     .end_pos = pos += rows,
                                     .object_offset = b->data->offsets[row],
                                     .object = &b->object,
                                     .epoch = epoch,
                                     .position = row,
                                     .object_row = row,
                                     .rows = rows,
                                     .staged = true};
            if (!ps_chunks_push(b->ch, &chunk))
                return NULL;
            row += rows;
        }
        struct ps_chunk mark = {.end_pos = pos,
                                .epoch = epoch,
                                .position = b->data->count,
                                .staged = true,
                                .kind = PS_CHUNK_EPOCH_END};

        if (!ps_chunks_push(b->ch, &mark))
            return NULL;
    }
    struct ps_chunk end = {.end_pos = pos, .staged = true, .kind = PS_CHUNK_END};

    ps_chunks_push(b->ch, &end);
    return NULL;
}

static inline void start(struct bench *b, uint32_t decoders, uint32_t epochs)
{
    b->epochs = epochs;
    b->decoder_count = decoders;
    assert_int_equal(pthread_create(&b->framer, NULL, push_all, b), 0);
    for (uint32_t i = 0; i < decoders; i++)
        assert_int_equal(pthread_create(&b->decoders[i], NULL, ps_decoder_main, b->ch), 0);
}

static inline void close_bench(struct bench *b)
{
    fixture_stop(b->f);
    pthread_join(b->framer, NULL);
    for (uint32_t i = 0; i < b->decoder_count; i++)
        pthread_join(b->decoders[i], NULL);
    fixture_close(b->f);
    free(b);
}

/* ---- what has to come ---- */

/* Where the arrays of a batch end: each begins behind the one before it, aligned. */
static inline void check_array(const struct penstock_batch *b, const void *array, size_t len_bytes,
                               const char **end)
{
    if (!array)
        return;
    assert_int_equal((uintptr_t)array % 64, 0);
    assert_true((const char *)array >= *end);
    *end = (const char *)array + len_bytes;
    assert_true(*end <= (const char *)b->base + b->len_bytes);
}

static inline void check_arrays(const struct penstock_batch *b)
{
    size_t rows = (size_t)b->rows + b->rows_padded;
    const char *end = b->base;

    assert_null(b->features);
    assert_null(b->data);
    check_array(b, b->labels, rows * sizeof(float), &end);
    check_array(b, b->weights, b->weights ? rows * sizeof(float) : 0, &end);
    check_array(b, b->groups, b->groups ? rows * sizeof(uint64_t) : 0, &end);
    check_array(b, b->row_offsets, (rows + 1) * sizeof(uint32_t), &end);
    check_array(b, b->text_offsets, (rows * TEXTS + 1) * sizeof(uint32_t), &end);
    if (b->row_offsets) {
        check_array(b, b->columns, b->row_offsets[rows] * sizeof(uint32_t), &end);
        check_array(b, b->values, b->row_offsets[rows] * sizeof(float), &end);
        assert_int_equal(b->row_offsets[0], 0);
    }
    if (b->text_offsets) {
        check_array(b, b->text, b->text_offsets[rows * TEXTS], &end);
        assert_int_equal(b->text_offsets[0], 0);
    }
    assert_ptr_equal(end, (const char *)b->base + b->len_bytes);
}

static const uint8_t padding[] = {0, 9, 0, 0}; /* no entries, label 9, no texts */

static inline void check_row(const struct penstock_batch *b, uint32_t row, const uint8_t *in)
{
    uint8_t label = in[1 + in[0]];
    size_t at = 2u + in[0];
    bool padded = in == padding;

    assert_true(b->labels[row] == label);
    if (b->weights)
        assert_true(b->weights[row] == (padded ? 0 : (float)label / 2));
    if (b->groups)
        assert_true(b->groups[row] == (padded ? 0 : UINT64_MAX - label));
    if (b->row_offsets) {
        uint32_t begin = b->row_offsets[row];

        assert_int_equal(b->row_offsets[row + 1] - begin, in[0]);
        for (uint8_t i = 0; i < in[0]; i++) {
            assert_int_equal(b->columns[begin + i], in[1 + i]);
            assert_true(b->values[begin + i] == value_of(in[1 + i], label));
        }
    }
    for (uint32_t t = 0; t < b->text_dim; t++) {
        const uint32_t *offsets = b->text_offsets + (size_t)row * TEXTS + t;

        assert_int_equal(offsets[1] - offsets[0], in[at]);
        assert_memory_equal(b->text + offsets[0], in + at + 1, in[at]);
        at += 1u + in[at];
    }
}

/* The good rows of an epoch in the order of delivery: in windows, each row at the place that its
 * number in the window is permuted to; a short window keeps the order of these places. */
static inline void order_rows(const struct bench *b, uint32_t epoch, uint32_t *order)
{
    static uint32_t places[ROWS_MAX + 5000];
    const struct data *d = b->data;
    uint32_t window = (uint32_t)b->ch->shaping.window_rows;

    memcpy(order, d->good, d->good_count * sizeof *order);
    for (uint32_t first = 0; window > 0 && first < d->good_count; first += window) {
        uint64_t key = ps_permute_key(ps_permute_key(b->ch->config.seed, epoch), first / window);
        uint32_t rows = d->good_count - first < window ? d->good_count - first : window;
        uint32_t to = first;

        assert_true(window <= sizeof places / sizeof *places);
        memset(places, 0xff, window * sizeof *places);
        for (uint32_t i = 0; i < rows; i++)
            places[ps_permute(i, window, key)] = d->good[first + i];
        for (uint32_t p = 0; p < window; p++)
            if (places[p] != UINT32_MAX)
                order[to++] = places[p];
        assert_int_equal(to, first + rows);
    }
}

/* That of a batch whose first row is the `row`-th that is delivered, and of its share, which begins
 * so many rows behind that. */
static inline uint64_t position_of(const struct bench *b, uint32_t row, uint32_t from)
{
    uint32_t window = (uint32_t)b->ch->shaping.window_rows;

    row += from;
    return window == 0 ? b->data->good[row] : b->data->good[row - row % window] + row % window;
}

static inline int next(struct bench *b, const struct penstock_batch **batch)
{
    return penstock_next(&b->f->stream, 0, -1, batch);
}

static inline void check_epoch(struct bench *b, uint32_t epoch)
{
    static uint32_t order[ROWS_MAX];
    const struct data *d = b->data;
    const struct ps_shaping *shaping = &b->ch->shaping;
    const struct ps_row_share *share = &shaping->share;
    uint32_t n = b->ch->config.batch_rows;
    bool fills = shaping->last == PS_LAST_PAD || shaping->last == PS_LAST_WRAP;
    uint32_t whole = d->good_count / n * n;
    uint32_t delivered = shaping->last == PS_LAST_DROP ? whole : d->good_count;
    const struct penstock_batch *batch;

    order_rows(b, epoch, order);
    for (uint32_t row = 0; row < delivered; row += n) {
        uint32_t whole_rows = delivered - row < n ? delivered - row : n;
        uint32_t from = share->from < whole_rows ? share->from : whole_rows;
        uint32_t rows = whole_rows - from < share->rows ? whole_rows - from : share->rows;

        assert_int_equal(next(b, &batch), PENSTOCK_OK);
        assert_int_equal(batch->rows, rows);
        assert_int_equal(batch->rows_padded, fills ? share->rows - rows : 0);
        assert_int_equal(batch->first_row, share->from);
        assert_int_equal(batch->rows_elsewhere, whole_rows - rows);
        assert_int_equal(batch->position, position_of(b, row, rows > 0 ? from : 0));
        check_arrays(batch);
        if (shaping->window_rows > 0 && batch->values &&
            (row / shaping->window_rows + 1) * shaping->window_rows <=
                d->good_count) /* the one behind the other */
            assert_in_range((const char *)batch->values - (const char *)batch->columns,
                            batch->row_offsets[rows] * sizeof(float),
                            batch->row_offsets[rows] * sizeof(float) + 63);
        for (uint32_t i = 0; i < rows + batch->rows_padded; i++)
            if (i >= rows && shaping->last == PS_LAST_PAD)
                check_row(batch, i, padding);
            else
                check_row(batch, i,
                          d->bytes + d->offsets[order[(row + share->from + i) % d->good_count]]);
        penstock_release(&b->f->stream, batch);
    }
    assert_int_equal(next(b, &batch), PENSTOCK_EPOCH_END);
}

static const struct fmt_shape shapes[] = {
    {.label_dim = 1, .sparse = true},
    {.label_dim = 1, .text_dim = TEXTS},
    {.label_dim = 1, .sparse = true, .text_dim = TEXTS},
    {.label_dim = 1, .sparse = true, .weighted = true, .grouped = true},
};

/* Three epochs by so many threads. */
static inline void check_epochs(const struct data *d, struct fmt_shape shape, uint32_t batch_rows,
                                struct ps_shaping shaping, uint32_t threads)
{
    struct bench *b = open_bench(d, shape, batch_rows, shaping);
    const struct penstock_batch *batch;

    start(b, threads, 3);
    for (uint32_t epoch = 0; epoch < 3; epoch++)
        check_epoch(b, epoch);
    assert_int_equal(next(b, &batch), PENSTOCK_END);
    close_bench(b);
}

static inline void check_all(const struct data *d, struct ps_shaping shaping)
{
    static const uint32_t batch_rows[] = {1, 7, 100, 1000, 5000};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t r = 0; r < sizeof batch_rows / sizeof *batch_rows; r++)
            check_epochs(d, shapes[s], batch_rows[r], shaping, 1u << (s + r) % 3);
}

#endif
