/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_pipe.c - whether the pipe keeps up with its slowest stage, and what a second decode
 * thread brings.
 *
 *     build/release/bench/perf_pipe [ROUNDS]
 *
 * Objects are files in memory (/dev/shm), of CSV and of recordio-protobuf. Stages alone, each on
 * one thread: reading a file to memory that is used again and again, as a ring is; and cutting and
 * decoding what lies in memory. Beside them whole streams of eight epochs, from penstock_open to
 * the last batch, with one decode thread and with two. All take turns; medians of ROUNDS (default
 * 9) of times of the clock: other work on the machine makes all of it worthless.
 */
#include "bench/perf.h"
#include "formats/fmt.h"
#include "formats/record_write.h"
#include "pipe/penstock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define FILE_BYTES (24 * MIB)
#define RING_BYTES (8 * MIB)
#define PIECE_BYTES (MIB)

enum { FILES = 4, EPOCHS = 8, COLUMNS = 785, BATCH_ROWS = 1000, ROUNDS_MAX = 51 };
enum kind { CSV_NUMBERS, CSV_FRACTIONS, RECORDS, KIND_COUNT };
enum way { READ, DECODE, ONE_THREAD, TWO_THREADS, WAY_COUNT };

static const char *const kind_names[] = {"CSV, whole numbers", "CSV, %.6f",
                                         "recordio-protobuf, float32"};
static const char *const content_types[] = {"text/csv;label_size=1", "text/csv;label_size=1",
                                            "application/x-recordio-protobuf"};
static char root[] = "/dev/shm/penstock-perf-pipe-XXXXXX";

/* A file's bytes; all files of a kind are alike. */
struct object {
    uint8_t *bytes;
    size_t len_bytes;
    size_t rows;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "perf_pipe: %s: %s\n", what, why);
    exit(1);
}

static void clean_up(void)
{
    char command[80];

    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command) != 0)
        perror(command);
}

/* ---- data ---- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t put_line(uint8_t *out, enum kind kind, uint32_t *chance)
{
    size_t len = 0;

    for (int i = 0; i < COLUMNS; i++) {
        uint32_t draw = next_random(chance);
        char *at = (char *)out + len;

        if (kind == CSV_NUMBERS)
            len += (size_t)snprintf(at, 16, "%u,", draw % 5 ? 0 : draw % 256);
        else
            len += (size_t)snprintf(at, 16, "%.6f,", (double)draw / (1 << 24));
    }
    out[len - 1] = '\n';
    return len;
}

static size_t put_record(uint8_t *out, uint32_t *chance)
{
    static float values[COLUMNS];
    float label = (float)(next_random(chance) % 10);
    struct fmt_record_entry entries[2] = {
        {.type = FMT_FLOAT32, .values = values, .count = COLUMNS - 1},
        {.is_label = true, .type = FMT_FLOAT32, .values = &label, .count = 1}};
    size_t len_bytes;

    for (int i = 0; i < COLUMNS - 1; i++)
        values[i] = (float)(next_random(chance) % 256);
    if (fmt_record_write(entries, 2, out, &len_bytes, NULL) != FMT_OK)
        die("fmt_record_write", "failed");
    return len_bytes;
}

static struct object make_object(enum kind kind)
{
    struct object object = {.bytes = malloc(FILE_BYTES + 64 * 1024)};
    uint32_t chance = 1;

    if (!object.bytes)
        die("memory", strerror(errno));
    while (object.len_bytes < FILE_BYTES) {
        uint8_t *out = object.bytes + object.len_bytes;

        object.len_bytes +=
            kind == RECORDS ? put_record(out, &chance) : put_line(out, kind, &chance);
        object.rows++;
    }
    return object;
}

static void write_files(const struct object *object)
{
    char path[120];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%d", root, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || write(fd, object->bytes, object->len_bytes) != (ssize_t)object->len_bytes)
            die(path, strerror(errno));
        close(fd);
    }
}

/* ---- ways ---- */

static void read_files(void)
{
    static uint8_t ring[RING_BYTES];
    char path[120];

    for (int i = 0; i < FILES; i++) {
        size_t at = 0;
        ssize_t got = 1;

        snprintf(path, sizeof path, "%s/%d", root, i);
        int fd = open(path, O_RDONLY);

        while (fd >= 0 && got > 0) {
            got = read(fd, ring + at % RING_BYTES, PIECE_BYTES);
            at += PIECE_BYTES;
        }
        if (fd < 0 || got < 0)
            die(path, strerror(errno));
        close(fd);
    }
}

/* Cuts and decodes an object, a batch at a time into the same memory. */
static void decode_object(const struct fmt_options *options, const struct object *object)
{
    static float features[BATCH_ROWS * COLUMNS], labels[BATCH_ROWS];
    const struct fmt_ops *ops = options->ops;
    struct fmt_decoder *decoder = NULL;
    struct fmt_error error = {.text = ""};
    struct fmt_shape shape;

    for (size_t at = 0; at < object->len_bytes;) {
        struct fmt_cut cut = {.rows = 0};
        const uint8_t *in = object->bytes + at;
        size_t left = object->len_bytes - at;

        if (ops->cut(options, in, left, at == 0, true, BATCH_ROWS, &cut, &error) != FMT_OK)
            die("cut", error.text);
        if (!decoder && (ops->learn(options, in, cut.len_bytes, &shape, &error) != FMT_OK ||
                         !(decoder = ops->decoder_new(options, &shape))))
            die("learn", error.text);
        struct fmt_span span = {.in = in, .len = cut.len_bytes, .rows = cut.rows, .key = ""};
        struct fmt_rows rows = {.features = features, .labels = labels};

        if (ops->decode(decoder, &span, &rows, &error) != FMT_OK)
            die("decode", error.text);
        at += cut.len_bytes;
    }
    ops->decoder_free(decoder);
}

static void decode_objects(enum kind kind, const struct object *object)
{
    struct fmt_options options;
    struct fmt_error error;

    if (fmt_options_parse(content_types[kind], &options, &error) != FMT_OK)
        die(content_types[kind], error.text);
    for (int i = 0; i < FILES; i++)
        decode_object(&options, object);
    fmt_options_free(&options);
}

static void stream(enum kind kind, const struct object *object, uint32_t decode_threads)
{
    const char *uri = root;
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock_error error;
    struct penstock *handle;
    const struct penstock_batch *batch;
    size_t rows = 0;
    int rc;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.content_type = content_types[kind];
    channel.batch_rows = BATCH_ROWS;
    channel.epochs = EPOCHS;
    config.channels = &channel;
    config.channel_count = 1;
    config.decode_threads = decode_threads;
    config.memory_limit_bytes = 64 * MIB;
    if (penstock_open(&config, &handle, &error) != PENSTOCK_OK)
        die("penstock_open", error.message);
    while ((rc = penstock_next(handle, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        rows += batch ? batch->rows : 0;
        penstock_release(handle, batch);
    }
    if (rc != PENSTOCK_END || rows != EPOCHS * FILES * object->rows)
        die("penstock_next", penstock_last_error(handle, 0)->message);
    penstock_close(&handle);
}

static void go(enum way way, enum kind kind, const struct object *object)
{
    switch (way) {
    case READ:
        read_files();
        break;
    case DECODE:
        decode_objects(kind, object);
        break;
    case ONE_THREAD:
        stream(kind, object, 1);
        break;
    case TWO_THREADS:
        stream(kind, object, 2);
        break;
    case WAY_COUNT:
        break;
    }
}

static void measure(enum kind kind, size_t rounds, double middle[WAY_COUNT])
{
    static double seconds[WAY_COUNT][ROUNDS_MAX];
    struct object object = make_object(kind);

    write_files(&object);
    for (size_t round = 0; round < rounds + 1; round++) /* the first to warm up */
        for (int way = 0; way < WAY_COUNT; way++) {
            double from = perf_seconds(CLOCK_MONOTONIC);

            go((enum way)way, kind, &object);
            double took = perf_seconds(CLOCK_MONOTONIC) - from;

            seconds[way][round > 0 ? round - 1 : 0] = way < ONE_THREAD ? took : took / EPOCHS;
        }
    for (int way = 0; way < WAY_COUNT; way++)
        middle[way] = perf_median(seconds[way], rounds);
    double gb = FILES * (double)object.len_bytes * 1e-9;

    printf("%-28s %8.2f %8.2f %12.2f %12.2f\n", kind_names[kind], gb / middle[READ],
           gb / middle[DECODE], gb / middle[ONE_THREAD], gb / middle[TWO_THREADS]);
    free(object.bytes);
}

int main(int argc, char **argv)
{
    double middle[KIND_COUNT][WAY_COUNT];
    size_t rounds = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 9;
    char what[120];

    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("ROUNDS", "is not 1 to 51");
    if (!mkdtemp(root))
        die(root, strerror(errno));
    atexit(clean_up);
    printf("GB/s, medians of %zu\n%-28s %8s %8s %12s %12s\n", rounds, "", "read", "decode",
           "pipe, 1 thr.", "pipe, 2 thr.");
    for (int kind = 0; kind < KIND_COUNT; kind++)
        measure((enum kind)kind, rounds, middle[kind]);
    printf("\nrequired\n");
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const double *m = middle[kind];

        snprintf(what, sizeof what, "%s: pipe / its slowest stage alone", kind_names[kind]);
        perf_require(what, (m[READ] > m[DECODE] ? m[READ] : m[DECODE]) / m[ONE_THREAD], 0.85);
    }
    for (int kind = 0; kind < RECORDS; kind++) {
        snprintf(what, sizeof what, "%s: two decode threads / one", kind_names[kind]);
        perf_require(what, middle[kind][ONE_THREAD] / middle[kind][TWO_THREADS], 1.6);
    }
    return 0;
}
