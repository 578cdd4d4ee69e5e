/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/stream_fixture.h - files whose values tell object and row, streams over them, and an
 * oracle that knows which row comes next.
 *
 * The first label is the object's number, the first feature the row's; the rest are a hash of
 * object, row and column. All are whole numbers below 2^24: exact in float32 and in text. The
 * oracle shares no code with the library but ps_permute, which test_permute pins down.
 *
 * Threads: reading_* functions use no assertion, so that they may run on any thread.
 */
#ifndef TESTS_UNIT_STREAM_FIXTURE_H
#define TESTS_UNIT_STREAM_FIXTURE_H

#include "pipe/penstock.h"
#include "pipe/permute.h"
#include "tests/unit/scratch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

enum { DATA_OBJECTS_MAX = 64 };

struct data {
    struct scratch scratch;
    bool recordio; /* else CSV */
    uint32_t features;
    uint32_t objects;
    uint32_t rows[DATA_OBJECTS_MAX];
    uint64_t *offsets[DATA_OBJECTS_MAX]; /* of each row in its object, and of the object's end */
};

static inline float data_value(uint32_t object, uint32_t row, uint32_t column)
{
    uint32_t hash = (object + 1) * 2654435761u ^ (row + 1) * 2246822519u ^ column * 3266489917u;

    hash ^= hash >> 15;
    return column == 0 ? (float)row : (float)((hash * 2654435761u) >> 8);
}

/* ---- writing ---- */

struct bytes {
    uint8_t *at;
    size_t len;
    size_t room;
};

/* Room for `len` more bytes; where they go. */
static inline uint8_t *bytes_room(struct bytes *b, size_t len)
{
    if (b->len + len > b->room) {
        b->room = (b->len + len) * 2;
        b->at = realloc(b->at, b->room);
        assert_non_null(b->at);
    }
    b->len += len;
    return b->at + b->len - len;
}

static inline void bytes_add(struct bytes *b, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(bytes_room(b, len), bytes, len);
}

static inline void bytes_add_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

/* A CSV row, with line ends of every kind and a blank line here and there. */
static inline void bytes_add_csv(struct bytes *b, uint32_t object, uint32_t row, uint32_t features)
{
    static const char *const ends[] = {"\n", "\r\n", "\n", "\n\n", "\n", "\n \t\r\n\n"};
    char text[32];

    snprintf(text, sizeof text, "%" PRIu32, object);
    bytes_add_text(b, text);
    for (uint32_t c = 0; c < features; c++) {
        snprintf(text, sizeof text, ",%.0f", (double)data_value(object, row, c));
        bytes_add_text(b, text);
    }
    bytes_add_text(b, ends[(object + row) % 6]);
}

static inline size_t varint_bytes(uint64_t value)
{
    size_t len = 1;

    while (value >= 128) {
        value >>= 7;
        len++;
    }
    return len;
}

static inline void bytes_add_varint(struct bytes *b, uint64_t value)
{
    for (; value >= 128; value >>= 7) {
        const uint8_t byte = (uint8_t)(value | 128);

        bytes_add(b, &byte, 1);
    }
    const uint8_t last = (uint8_t)value;

    bytes_add(b, &last, 1);
}

/* How long one entry of Record.features or .label is from its tag on, for `count` float32. */
static inline size_t map_bytes(uint32_t count)
{
    size_t packed = 1 + varint_bytes(4 * (uint64_t)count) + 4 * (size_t)count;
    size_t value = 1 + varint_bytes(packed) + packed;
    size_t entry = 8 + 1 + varint_bytes(value) + value;

    return 1 + varint_bytes(entry) + entry;
}

/* Entry {"values": Float32Tensor} of map field `field`: the head only, the floats follow. */
static inline void bytes_add_map_head(struct bytes *b, uint8_t field, uint32_t count)
{
    size_t packed = 1 + varint_bytes(4 * (uint64_t)count) + 4 * (size_t)count;
    size_t value = 1 + varint_bytes(packed) + packed;
    const uint8_t tag = (uint8_t)(field << 3 | 2);

    bytes_add(b, &tag, 1);
    bytes_add_varint(b, 8 + 1 + varint_bytes(value) + value);
    bytes_add(b, "\x0a\x06values\x12", 9);
    bytes_add_varint(b, value);
    bytes_add(b, "\x12", 1); /* Value.float32_tensor = 2 */
    bytes_add_varint(b, packed);
    bytes_add(b, "\x0a", 1); /* Float32Tensor.values = 1, packed */
    bytes_add_varint(b, 4 * (uint64_t)count);
}

static inline void bytes_add_recordio(struct bytes *b, uint32_t object, uint32_t row,
                                      uint32_t features)
{
    uint32_t body = (uint32_t)(map_bytes(features) + map_bytes(1));
    const uint8_t head[8] = {0x0a,
                             0x23,
                             0xd7,
                             0xce,
                             (uint8_t)body,
                             (uint8_t)(body >> 8),
                             (uint8_t)(body >> 16),
                             (uint8_t)(body >> 24)};
    float label = (float)object;

    bytes_add(b, head, sizeof head);
    bytes_add_map_head(b, 1, features);
    uint8_t *to = bytes_room(b, 4 * (size_t)features); /* at any address */

    for (uint32_t c = 0; c < features; c++) {
        float value = data_value(object, row, c);

        memcpy(to + 4 * (size_t)c, &value, sizeof value);
    }
    bytes_add_map_head(b, 2, 1);
    bytes_add(b, &label, sizeof label);
    bytes_add(b, "\0\0\0", (4 - body % 4) % 4);
}

static inline struct scratch_name data_name(uint32_t object)
{
    struct scratch_name name;

    snprintf(name.text, sizeof name.text, "part-%03" PRIu32, object);
    return name;
}

static inline struct scratch_name data_path(const struct data *d, uint32_t object)
{
    return scratch_path(&d->scratch, data_name(object).text);
}

/* The bytes of an object; notes where its rows begin. */
static inline struct bytes data_bytes(struct data *d, uint32_t object)
{
    struct bytes b = {.at = NULL};
    uint64_t *offsets = calloc(d->rows[object] + 1, sizeof *offsets);

    assert_non_null(offsets);
    for (uint32_t row = 0; row < d->rows[object]; row++) {
        offsets[row] = b.len;
        if (d->recordio)
            bytes_add_recordio(&b, object, row, d->features);
        else
            bytes_add_csv(&b, object, row, d->features);
    }
    if (!d->recordio && object % 2) /* the last line needs no end */
        while (b.len > 0 && strchr("\r\n \t", b.at[b.len - 1]))
            b.len--;
    offsets[d->rows[object]] = b.len;
    free(d->offsets[object]);
    d->offsets[object] = offsets;
    return b;
}

/* Writes `objects` files; object i has rows + i % 7 * rows / 3 rows. */
static inline struct data *data_open(bool recordio, uint32_t objects, uint32_t rows,
                                     uint32_t features)
{
    struct data *d = calloc(1, sizeof *d);

    assert_non_null(d);
    d->scratch = scratch_open();
    d->recordio = recordio;
    d->features = features;
    d->objects = objects;
    for (uint32_t o = 0; o < objects; o++) {
        d->rows[o] = rows + o % 7 * rows / 3;
        struct bytes b = data_bytes(d, o);

        scratch_file(&d->scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
    return d;
}

static inline void data_close(struct data *d)
{
    scratch_close(&d->scratch);
    for (uint32_t o = 0; o < d->objects; o++)
        free(d->offsets[o]);
    free(d);
}

/* ---- opening ---- */

/* How a stream is opened; zeros mean: the tests' defaults. */
struct how {
    uint32_t batch_rows; /* 100 */
    uint32_t epochs;     /* 1; ENDLESS for 0 */
    uint32_t decode_threads;
    uint32_t io_threads;
    uint32_t connections;
    size_t part_bytes;
    size_t memory_bytes; /* 16 MiB */
    const char *backend; /* "epoll" */
    bool shuffle;
    uint64_t seed;
    uint32_t shard_index;
    uint32_t shard_count; /* 1 */
    uint32_t row_share_index;
    uint32_t row_share_count; /* 1 */
    uint32_t feature_dim;
    const char *content_type;
    const char *compression;
    const char *split_objects;
    const char *key_suffix;
    const char *bad_records;
    uint64_t bad_records_max;
    double bad_fraction_max;
    const char *last_batch;
    float pad_label;
    uint64_t shuffle_rows;
    double sample_from;
    double sample_to; /* 1 */
    uint64_t sample_seed;
    bool lend_records;
};
#define ENDLESS UINT32_MAX

static inline struct penstock_channel_config how_channel(const struct how *how, bool recordio,
                                                         const char *const *uris, size_t uri_count)
{
    struct penstock_channel_config channel;

    penstock_channel_config_init(&channel);
    channel.uris = uris;
    channel.uri_count = uri_count;
    channel.content_type = how->content_type
                               ? how->content_type
                               : (recordio ? "application/x-recordio-protobuf" : "text/csv");
    channel.batch_rows = how->batch_rows ? how->batch_rows : 100;
    channel.epochs = how->epochs == ENDLESS ? 0 : how->epochs ? how->epochs : 1;
    channel.shuffle = how->shuffle;
    channel.seed = how->seed;
    channel.shard_index = how->shard_index;
    channel.shard_count = how->shard_count ? how->shard_count : 1;
    channel.row_share_index = how->row_share_index;
    channel.row_share_count = how->row_share_count ? how->row_share_count : 1;
    channel.feature_dim = how->feature_dim;
    channel.compression = how->compression;
    channel.split_objects = how->split_objects;
    channel.key_suffix = how->key_suffix;
    channel.bad_records = how->bad_records;
    channel.bad_records_max = how->bad_records_max;
    channel.bad_fraction_max = how->bad_fraction_max;
    channel.last_batch = how->last_batch;
    channel.pad_label = how->pad_label;
    channel.shuffle_rows = how->shuffle_rows;
    channel.sample_from = how->sample_from;
    channel.sample_to = how->sample_to > 0 ? how->sample_to : 1;
    channel.sample_seed = how->sample_seed;
    channel.lend_records = how->lend_records;
    return channel;
}

static inline struct penstock_config
how_config(const struct how *how, const struct penstock_channel_config *channels, size_t count)
{
    struct penstock_config config;

    penstock_config_init(&config);
    config.channels = channels;
    config.channel_count = count;
    config.memory_limit_bytes = how->memory_bytes ? how->memory_bytes : 16 * MIB * count;
    config.decode_threads = how->decode_threads;
    config.io_threads = how->io_threads;
    config.max_connections = how->connections;
    config.part_bytes = how->part_bytes;
    config.io_backend = how->backend ? how->backend : "epoll";
    return config;
}

static inline struct penstock *open_config(const struct penstock_config *config)
{
    struct penstock *stream;
    struct penstock_error error;

    if (penstock_open(config, &stream, &error) != PENSTOCK_OK)
        fail_msg("penstock_open: %s", error.message);
    return stream;
}

static inline struct penstock *open_path(const char *path, bool recordio, struct how how)
{
    struct penstock_channel_config channel = how_channel(&how, recordio, &path, 1);
    struct penstock_config config = how_config(&how, &channel, 1);

    return open_config(&config);
}

static inline struct penstock *open_data(const struct data *d, struct how how)
{
    return open_path(d->scratch.path, d->recordio, how);
}

/* ---- reading ---- */

/* What the oracle expects next. */
struct reading {
    const struct data *data;
    struct how how;
    uint32_t order[DATA_OBJECTS_MAX]; /* of the epoch */
    uint32_t order_count;
    uint32_t epoch;
    uint32_t at; /* index in order */
    uint32_t row;
    uint64_t position;
    uint64_t rows; /* seen, all epochs */
    uint64_t batches;
    uint32_t epoch_ends;
    char why[200]; /* "" as long as all is right */
};

static inline void reading_set_epoch(struct reading *r, uint32_t epoch)
{
    uint32_t shard_count = r->how.shard_count ? r->how.shard_count : 1;
    uint32_t objects = r->data->objects;

    r->epoch = epoch;
    r->order_count = r->at = r->row = 0;
    r->position = 0;
    for (uint32_t g = r->how.shard_index; g < objects; g += shard_count)
        r->order[r->order_count++] =
            r->how.shuffle ? (uint32_t)ps_permute(g, objects, ps_permute_key(r->how.seed, epoch))
                           : g;
}

static inline struct reading reading_of(const struct data *d, struct how how)
{
    struct reading r = {.data = d, .how = how};

    reading_set_epoch(&r, 0);
    return r;
}

/* Skips objects without rows. False when no row is left in the epoch. */
static inline bool reading_has_row(struct reading *r)
{
    while (r->at < r->order_count && r->row >= r->data->rows[r->order[r->at]]) {
        r->at++;
        r->row = 0;
    }
    return r->at < r->order_count;
}

static inline bool reading_row(struct reading *r, const float *features, const float *labels)
{
    if (!reading_has_row(r)) {
        snprintf(r->why, sizeof r->why, "more rows than there are, at position %" PRIu64,
                 r->position);
        return false;
    }
    uint32_t object = r->order[r->at];
    bool right = labels[0] == (float)object;

    for (uint32_t c = 0; right && c < r->data->features; c++)
        right = features[c] == data_value(object, r->row, c);
    if (!right) {
        snprintf(r->why, sizeof r->why,
                 "epoch %u, position %" PRIu64 ": object %u row %u expected, %.0f/%.0f came",
                 r->epoch, r->position, object, r->row, (double)labels[0], (double)features[0]);
        return false;
    }
    r->row++;
    r->position++;
    r->rows++;
    return true;
}

/* Checks a batch against the oracle, which moves on. */
static inline bool reading_batch(struct reading *r, const struct penstock_batch *b)
{
    uint32_t batch_rows = r->how.batch_rows ? r->how.batch_rows : 100;

    if (b->epoch != r->epoch || b->position != r->position || b->label_dim != 1 ||
        b->feature_dim != r->data->features || b->rows < 1 || b->rows > batch_rows ||
        (void *)b->features != b->base || (uintptr_t)b->labels % 64 != 0 ||
        (const char *)(b->labels + b->rows) != (char *)b->base + b->len_bytes) {
        snprintf(r->why, sizeof r->why,
                 "epoch %u, position %" PRIu64 " expected: epoch %u, position %" PRIu64
                 ", %u rows of %u and %u, %zu bytes came",
                 r->epoch, r->position, b->epoch, b->position, b->rows, b->feature_dim,
                 b->label_dim, b->len_bytes);
        return false;
    }
    for (uint32_t i = 0; i < b->rows; i++)
        if (!reading_row(r, b->features + (size_t)i * b->feature_dim, b->labels + i))
            return false;
    r->batches++;
    if (b->rows < batch_rows && reading_has_row(r)) {
        snprintf(r->why, sizeof r->why, "a batch of %u rows before the end of the epoch", b->rows);
        return false;
    }
    return true;
}

/* What penstock_next said besides batches. False when it said it too early. */
static inline bool reading_mark(struct reading *r, int rc)
{
    if (rc == PENSTOCK_EPOCH_END) {
        if (reading_has_row(r))
            snprintf(r->why, sizeof r->why,
                     "epoch %u ends with rows missing from position %" PRIu64, r->epoch,
                     r->position);
        r->epoch_ends++;
        reading_set_epoch(r, r->epoch + 1);
    } else if (rc == PENSTOCK_END) {
        if (r->position != 0 || r->epoch_ends != r->epoch)
            snprintf(r->why, sizeof r->why, "the stream ends within epoch %u", r->epoch);
    }
    return r->why[0] == '\0';
}

/* Reads on until something else than a batch or an epoch's end comes, or `batches_most` batches in
 * all were read. Returns what came last. */
static inline int reading_go_on(struct reading *r, struct penstock *stream, size_t channel_no,
                                uint64_t batches_most)
{
    int rc = PENSTOCK_OK;

    while (r->batches < batches_most) {
        const struct penstock_batch *batch;

        rc = penstock_next(stream, channel_no, -1, &batch);
        if (rc == PENSTOCK_OK) {
            bool right = reading_batch(r, batch);

            penstock_release(stream, batch);
            if (!right)
                break;
        } else if (!reading_mark(r, rc) || rc != PENSTOCK_EPOCH_END) {
            break;
        }
    }
    return rc;
}

/* Reads a whole stream: it must end well, and every row of every epoch must have come. */
static inline void assert_whole(const struct data *d, struct penstock *stream, struct how how)
{
    struct reading r = reading_of(d, how);
    int rc = reading_go_on(&r, stream, 0, UINT64_MAX);
    const struct penstock_batch *batch;

    if (r.why[0])
        fail_msg("%s", r.why);
    if (rc != PENSTOCK_END)
        fail_msg("%s: %s", penstock_rc_name(rc), penstock_last_error(stream, 0)->message);
    assert_int_equal(r.epoch_ends, how.epochs ? how.epochs : 1);
    /* From now on. */
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_END);
    assert_null(batch);
    assert_int_equal(penstock_next(stream, 0, 0, &batch), PENSTOCK_END);
}

/* Opens, reads to the end, closes. */
static inline void assert_streams(const struct data *d, struct how how)
{
    struct penstock *stream = open_data(d, how);

    assert_whole(d, stream, how);
    penstock_close(&stream);
    assert_null(stream);
}

#endif
