/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_state.c - any text as the state that a stream is to go on from: an error that
 * says why, or a stream that ends.
 *
 * The first byte chooses a stream (low 3 bits), changed data (8), how many batches the state is
 * behind (96), and with RAW, that the rest is the text. Else the text is a state that this stream
 * has written, with edits of 10 bytes: a field, what becomes of it, and eight bytes to make it of.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pipe/penstock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CHANGED = 8,
    RAW = 16,
    FILES = 3,
    FIRST_FD = 200, /* whose numbers are the files' names */
    ROWS = 40,
    BATCH_ROWS = 8,
    EPOCHS = 2,
    BATCHES_MAX = 1000, /* more than any of the streams has */
    EDIT_BYTES = 10,
    FIELDS = 18
};

enum edit { SET, ADD, REMOVE, TRUTH, HASH, LIST, EDITS };

enum kind { CSV, HEADER, JSON, LIBSVM, KINDS };

static const struct stream {
    enum kind kind;
    const char *content_type;
    const char *last_batch;
    bool shuffle;
    uint64_t shuffle_rows;
    double sample_to;
    uint32_t shares;
} streams[8] = {
    {CSV, "text/csv;label_size=1", "keep", false, 0, 1, 1},
    {CSV, "text/csv;label_size=1", "wrap", true, 16, 1, 1},
    {CSV, "text/csv;label_size=1", "drop", false, 24, 0.7, 1},
    {CSV, "text/csv;label_size=1", "keep", false, 0, 1, 4},
    {JSON, "application/jsonlines;label=y;features=x", "keep", false, 0, 1, 1},
    {JSON, "application/jsonlines;label=y;features=x", "pad", true, 0, 1, 2},
    {LIBSVM, "text/libsvm;index_base=0", "keep", false, 16, 1, 1},
    {HEADER, "text/csv;header=present", "keep", true, 0, 0.5, 1},
};

static const char *const field_names[FIELDS] = {
    "epoch",  "position",      "object",      "record",   "drop_batches",   "window",
    "offset", "offset_record", "bad_records", "shape",    "learnt",         "object_hash",
    "data",   "objects",       "all_listed",  "settings", "penstock_state", "other"};

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* ---- data ---- */

static int write_row(char *to, size_t room, enum kind kind, int file, int row)
{
    if (kind == HEADER && row == 0)
        return snprintf(to, room, "y,a,b\n");
    if (kind == CSV || kind == HEADER)
        return snprintf(to, room, "%d,%d,%d.5\n", row % 2, row, file);
    if (kind == JSON)
        return snprintf(to, room, "{\"y\": %d, \"x\": [%d, %d]}\n", row % 2, row, file);
    return snprintf(to, room, "%d %d:%d 9:1\n", row % 2, row % 5, file + 1);
}

/* The files of a kind, in memory, as descriptors of their own numbers. */
static void make_files(enum kind kind)
{
    char text[64 * 2 * ROWS];
    for (int file = 0; file < FILES; file++) {
        size_t len = 0;
        for (int row = 0; row < ROWS + file * 3; row++) {
            require(len + 64 <= sizeof text);
            len += (size_t)write_row(text + len, 64, kind, file, row);
        }
        int fd = memfd_create("fuzz_state", 0);
        require(fd >= 0 && write(fd, text, len) == (ssize_t)len);
        require(dup2(fd, FIRST_FD + (int)kind * FILES + file) >= 0 && close(fd) == 0);
    }
}

/* ---- streams ---- */

static struct penstock *open_stream(const struct stream *s, const char *state, bool changed,
                                    struct penstock_error *error)
{
    static char names[FILES][40];
    const char *uris[FILES];
    struct penstock_channel_config channel;
    struct penstock_config config;
    struct penstock *stream;

    for (int i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "/proc/self/fd/%d",
                 FIRST_FD + (int)s->kind * FILES + i);
        uris[i] = names[i];
    }
    penstock_channel_config_init(&channel);
    channel.uris = uris;
    channel.uri_count = FILES;
    channel.content_type = s->content_type;
    channel.batch_rows = BATCH_ROWS;
    channel.epochs = EPOCHS;
    channel.shuffle = s->shuffle;
    channel.shuffle_rows = s->shuffle_rows;
    channel.sample_to = s->sample_to;
    channel.last_batch = s->last_batch;
    channel.row_share_count = s->shares;
    channel.row_share_index = s->shares - 1;
    channel.bad_records = "skip";
    channel.resume = state;
    channel.resume_changed_data = changed;
    penstock_config_init(&config);
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = (size_t)16 << 20;
    config.decode_threads = 1;
    config.io_backend = "epoll";
    if (penstock_open(&config, &stream, error) == PENSTOCK_OK)
        return stream;
    require(!stream && error->rc < 0 && *error->message);
    return NULL;
}

/* To the end, or so many batches; returns what penstock_next said last. */
static int read_batches(struct penstock *stream, int most)
{
    const struct penstock_batch *batch;
    int count = 0;
    int rc = PENSTOCK_OK;

    while (count < most) {
        rc = penstock_next(stream, 0, -1, &batch);
        if (rc == PENSTOCK_OK) {
            require(batch->rows + batch->rows_padded <= BATCH_ROWS && batch->epoch < EPOCHS);
            penstock_release(stream, batch);
            count++;
        } else if (rc != PENSTOCK_EPOCH_END) {
            break;
        }
    }
    return rc;
}

/* The state behind `batches` batches, as an object of its own. */
static json_t *state_of(unsigned stream_no, unsigned batches)
{
    static char states[8][4][PENSTOCK_STATE_BYTES];
    char *text = states[stream_no][batches];
    struct penstock_error error;

    if (!*text) {
        struct penstock *stream = open_stream(&streams[stream_no], NULL, false, &error);

        require(stream && read_batches(stream, 1 + (int)batches * 3) == PENSTOCK_OK);
        require(penstock_get_state(stream, 0, NULL, text, PENSTOCK_STATE_BYTES, &error) == 0);
        penstock_close(&stream);
    }
    return json_loads(text, 0, NULL);
}

/* ---- edits ---- */

static json_t *make_value(const json_t *was, enum edit how, uint64_t bits)
{
    char text[24];
    json_t *list;

    switch (how) {
    case SET:
        return json_integer((json_int_t)bits);
    case ADD:
        return json_integer(
            (json_int_t)((uint64_t)json_integer_value(was) + (uint64_t)(int64_t)(int8_t)bits));
    case TRUTH:
        return json_boolean(bits & 1);
    case HASH:
        snprintf(text, sizeof text, "%016" PRIx64, bits);
        return json_string(text);
    case LIST:
        list = json_array();
        for (unsigned i = 0; i < (bits & 63); i++)
            json_array_append_new(list, json_integer((json_int_t)(bits >> 8)));
        return list;
    case REMOVE:
    case EDITS:
        break;
    }
    return NULL;
}

static void edit_state(json_t *state, const uint8_t *data, size_t size)
{
    for (; size >= EDIT_BYTES; data += EDIT_BYTES, size -= EDIT_BYTES) {
        const char *name = field_names[data[0] % FIELDS];
        enum edit how = (enum edit)(data[1] % EDITS);
        uint64_t bits;

        memcpy(&bits, data + 2, sizeof bits);
        json_t *value = make_value(json_object_get(state, name), how, bits);

        if (value)
            json_object_set_new(state, name, value);
        else
            json_object_del(state, name);
    }
}

static char *make_text(const uint8_t *data, size_t size)
{
    char *text;

    if (data[0] & RAW) {
        text = malloc(size);
        require(text != NULL);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        return text;
    }
    json_t *state = state_of(data[0] & 7, data[0] >> 5 & 3);

    edit_state(state, data + 1, size - 1);
    text = json_dumps(state, JSON_COMPACT);
    json_decref(state);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    struct penstock_error error = {.rc = PENSTOCK_OK};

    for (int kind = 0; kind < KINDS && !made; kind++)
        make_files((enum kind)kind);
    made = true;
    if (size == 0)
        return 0;
    char *text = make_text(data, size);

    require(text != NULL);
    struct penstock *stream = open_stream(&streams[data[0] & 7], text, data[0] & CHANGED, &error);

    if (stream) {
        int rc = read_batches(stream, BATCHES_MAX);

        require(rc == PENSTOCK_END || rc < 0);
        if (rc < 0)
            require(*penstock_last_error(stream, 0)->message);
        penstock_close(&stream);
    }
    free(text);
    return 0;
}
