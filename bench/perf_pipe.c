/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_pipe.c - whether the pipe keeps up with its slowest stage, and what a second decode
 * thread brings.
 *
 *     build/release/bench/perf_pipe [ROUNDS]
 *
 * Objects are files in memory (/dev/shm). Stages alone, each on one thread: reading a file to
 * memory that is used again and again, as a ring is; and cutting and decoding what lies in memory.
 * Beside them whole streams of eight epochs, from penstock_open to the last batch, with one decode
 * thread and with two. All take turns; medians of ROUNDS (default 9).
 *
 * Times are of the clock: other work on the machine makes all of it worthless. "CPU had" is the
 * share of its time in which decoding alone had a processor; less than 0.97 says that there was
 * such work. CPU time is less touched by it: "alone" is that of both stages, "pipe" that of a
 * stream with one decode thread, which is to cost little more.
 *
 * Reading and cutting need processors, too. With n of them a stream takes no less than its CPU
 * time / n: beside the gain of a second decode thread is the most that this allows.
 */
#include "bench/perf_folder.h"
#include "bench/perf_picture.h"
#include "formats/fmt.h"
#include "formats/record_write.h"
#include "formats/recordio.h"
#include "pipe/penstock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define RING_BYTES (8 * MIB)
#define PIECE_BYTES (MIB)
#define RECORD_BYTES_MAX (64 * 1024)

enum { FILES = 4, EPOCHS = 8, COLUMNS = 785, ROUNDS_MAX = 51 };
enum kind { CSV_NUMBERS, CSV_FRACTIONS, CSV_DOUBLES, RECORDS, PICTURES, KIND_COUNT };
enum way { READ, DECODE, ONE_THREAD, TWO_THREADS, WAY_COUNT };

static const struct {
    const char *name;
    const char *content_type;
    size_t file_bytes;
    uint32_t batch_rows;
} kinds[] = {
    {"CSV, whole numbers", "text/csv;label_size=1", 24 * MIB, 1000},
    {"CSV, %.6f", "text/csv;label_size=1", 24 * MIB, 1000},
    {"CSV, %.17g", "text/csv;label_size=1", 24 * MIB, 1000},
    {"recordio-protobuf, float32", "application/x-recordio-protobuf", 24 * MIB, 1000},
    {"JPEG in RecordIO", "application/x-recordio;image_shape=3,224,224;resize=256", 2 * MIB, 32},
};

/* What a round of a way took. */
struct cost {
    double took, cpu;
};

/* A file's bytes; all files of a kind are alike. */
struct object {
    uint8_t *bytes;
    size_t len_bytes;
    size_t rows;
};

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
        else if (kind == CSV_FRACTIONS)
            len += (size_t)snprintf(at, 16, "%.6f,", (double)draw / (1 << 24));
        else
            len += (size_t)snprintf(at, 32, "%.17g,",
                                    ((double)draw + next_random(chance) * 1e-8) / (1 << 24));
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
        perf_die("fmt_record_write", "failed");
    return len_bytes;
}

/* As im2rec writes it: a photograph's size, to be made smaller. */
static size_t put_picture(uint8_t *out, uint32_t *chance)
{
    enum { WIDTH = 500, HEIGHT = 375, HEAD_BYTES = 24, DIFFERENT = 8 };
    static struct perf_file files[DIFFERENT];
    uint32_t draw = next_random(chance) % DIFFERENT;
    struct perf_file *file = &files[draw];

    if (!file->bytes) {
        uint8_t *pixels = perf_paint(WIDTH, HEIGHT, draw);

        *file = perf_make_jpeg(pixels, WIDTH, HEIGHT);
        free(pixels);
    }
    size_t body_bytes = HEAD_BYTES + file->len;

    if (body_bytes > RECORD_BYTES_MAX - 16)
        perf_die("a picture", "is too long");
    memset(out, 0, FMT_RECORDIO_HEAD_BYTES + body_bytes + 4);
    memcpy(out, (uint32_t[]){FMT_RECORDIO_MAGIC, (uint32_t)body_bytes}, FMT_RECORDIO_HEAD_BYTES);
    memcpy(out + FMT_RECORDIO_HEAD_BYTES + HEAD_BYTES, file->bytes, file->len);
    return FMT_RECORDIO_HEAD_BYTES + (body_bytes + 3) / 4 * 4;
}

static size_t put_row(uint8_t *out, enum kind kind, uint32_t *chance)
{
    switch (kind) {
    case CSV_NUMBERS:
    case CSV_FRACTIONS:
    case CSV_DOUBLES:
        return put_line(out, kind, chance);
    case RECORDS:
        return put_record(out, chance);
    case PICTURES:
        return put_picture(out, chance);
    case KIND_COUNT:
        break;
    }
    return 0;
}

static struct object make_object(enum kind kind)
{
    size_t most_bytes = kinds[kind].file_bytes;
    struct object object = {.bytes = perf_need(malloc(most_bytes + RECORD_BYTES_MAX))};
    uint32_t chance = 1;

    while (object.len_bytes < most_bytes) {
        object.len_bytes += put_row(object.bytes + object.len_bytes, kind, &chance);
        object.rows++;
    }
    return object;
}

static void write_files(const struct object *object)
{
    char path[220];

    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%d", perf_folder, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0 || write(fd, object->bytes, object->len_bytes) != (ssize_t)object->len_bytes)
            perf_die(path, strerror(errno));
        close(fd);
    }
}

/* ---- ways ---- */

static void read_files(void)
{
    static uint8_t ring[RING_BYTES];
    char path[220];

    for (int i = 0; i < FILES; i++) {
        size_t at = 0;
        ssize_t got = 1;

        snprintf(path, sizeof path, "%s/%d", perf_folder, i);
        int fd = open(path, O_RDONLY);

        while (fd >= 0 && got > 0) {
            got = read(fd, ring + at % RING_BYTES, PIECE_BYTES);
            at += PIECE_BYTES;
        }
        if (fd < 0 || got < 0)
            perf_die(path, strerror(errno));
        close(fd);
    }
}

/* Cuts and decodes an object, a batch at a time into the same memory. */
static void decode_object(const struct fmt_options *options, const struct object *object,
                          uint32_t batch_rows)
{
    static uint8_t features[8 * MIB];
    static float labels[1000];
    const struct fmt_ops *ops = options->ops;
    struct fmt_decoder *decoder = NULL;
    struct fmt_error error = {.text = ""};
    struct fmt_shape shape;

    for (size_t at = 0; at < object->len_bytes;) {
        struct fmt_cut cut = {.rows = 0};
        const uint8_t *in = object->bytes + at;
        size_t left = object->len_bytes - at;

        if (ops->cut(options, in, left, at == 0, true, batch_rows, &cut, &error) != FMT_OK)
            perf_die("cut", error.text);
        if (!decoder && (ops->learn(options, in, cut.len_bytes, &shape, &error) != FMT_OK ||
                         !(decoder = ops->decoder_new(options, &shape))))
            perf_die("learn", error.text);
        struct fmt_span span = {.in = in, .len = cut.len_bytes, .rows = cut.rows, .key = ""};
        struct fmt_rows rows = {.features = features, .labels = labels};

        if (ops->decode(decoder, &span, &rows, &error) != FMT_OK)
            perf_die("decode", error.text);
        at += cut.len_bytes;
    }
    ops->decoder_free(decoder);
}

static void decode_objects(enum kind kind, const struct object *object)
{
    struct fmt_options options;
    struct fmt_error error;

    if (fmt_options_parse(kinds[kind].content_type, &options, &error) != FMT_OK)
        perf_die(kinds[kind].content_type, error.text);
    for (int i = 0; i < FILES; i++)
        decode_object(&options, object, kinds[kind].batch_rows);
    fmt_options_free(&options);
}

static void stream(enum kind kind, const struct object *object, uint32_t decode_threads)
{
    const char *uri = perf_folder;
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
    channel.content_type = kinds[kind].content_type;
    channel.batch_rows = kinds[kind].batch_rows;
    channel.epochs = EPOCHS;
    config.channels = &channel;
    config.channel_count = 1;
    config.decode_threads = decode_threads;
    config.memory_limit_bytes = 64 * MIB;
    if (penstock_open(&config, &handle, &error) != PENSTOCK_OK)
        perf_die("penstock_open", error.message);
    while ((rc = penstock_next(handle, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        rows += batch ? batch->rows : 0;
        penstock_release(handle, batch);
    }
    if (rc != PENSTOCK_END || rows != EPOCHS * FILES * object->rows)
        perf_die("penstock_next", penstock_last_error(handle, 0)->message);
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

static double median_of(const struct cost *costs, size_t rounds, bool cpu)
{
    double values[ROUNDS_MAX];

    for (size_t i = 0; i < rounds; i++)
        values[i] = cpu ? costs[i].cpu : costs[i].took;
    return perf_median(values, rounds);
}

static void measure(enum kind kind, size_t rounds, struct cost middle[WAY_COUNT])
{
    static struct cost costs[WAY_COUNT][ROUNDS_MAX];
    struct object object = make_object(kind);

    write_files(&object);
    for (size_t round = 0; round < rounds + 1; round++) /* the first to warm up */
        for (int way = 0; way < WAY_COUNT; way++) {
            double from = perf_seconds(CLOCK_MONOTONIC), cpu_from = perf_process_seconds();

            go((enum way)way, kind, &object);
            double cpu = perf_process_seconds() - cpu_from;
            double took = perf_seconds(CLOCK_MONOTONIC) - from;
            int epochs = way < ONE_THREAD ? 1 : EPOCHS;

            costs[way][round > 0 ? round - 1 : 0] = (struct cost){took / epochs, cpu / epochs};
        }
    for (int way = 0; way < WAY_COUNT; way++)
        middle[way] = (struct cost){median_of(costs[way], rounds, false),
                                    median_of(costs[way], rounds, true)};
    double gb = FILES * (double)object.len_bytes * 1e-9;

    printf("%-28s %8.2f %8.2f %12.2f %12.2f %10.2f %10.2f %9.2f\n", kinds[kind].name,
           gb / middle[READ].took, gb / middle[DECODE].took, gb / middle[ONE_THREAD].took,
           gb / middle[TWO_THREADS].took, (middle[READ].cpu + middle[DECODE].cpu) / gb,
           middle[ONE_THREAD].cpu / gb, middle[DECODE].cpu / middle[DECODE].took);
    free(object.bytes);
}

static void require_gain(const char *name, const struct cost middle[WAY_COUNT])
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    double gain = middle[ONE_THREAD].took / middle[TWO_THREADS].took;
    double most = middle[ONE_THREAD].took * (double)processors / middle[ONE_THREAD].cpu;
    char what[160];

    if (most > 2)
        most = 2;
    snprintf(what, sizeof what, "%s: two decode threads / one (%ld processors allow %.2f)", name,
             processors, most);
    perf_require(what, gain, most >= 1.6 ? 1.6 : 0.85 * most);
}

int main(int argc, char **argv)
{
    struct cost middle[KIND_COUNT][WAY_COUNT];
    size_t rounds = argc > 1 ? (size_t)strtol(argv[1], NULL, 10) : 9;
    char what[120];

    if (rounds < 1 || rounds > ROUNDS_MAX)
        perf_die("ROUNDS", "is not 1 to 51");
    perf_folder_make("/dev/shm");
    printf("medians of %zu\n%-28s %39s %21s\n%-28s %8s %8s %12s %12s %10s %10s %9s\n", rounds, "",
           "GB/s", "CPU s/GB", "", "read", "decode", "pipe, 1 thr.", "pipe, 2 thr.", "alone",
           "pipe", "CPU had");
    for (int kind = 0; kind < KIND_COUNT; kind++)
        measure((enum kind)kind, rounds, middle[kind]);
    printf("\nrequired\n");
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct cost *m = middle[kind];
        double slowest = m[READ].took > m[DECODE].took ? m[READ].took : m[DECODE].took;

        snprintf(what, sizeof what, "%s: pipe / its slowest stage alone", kinds[kind].name);
        perf_require(what, slowest / m[ONE_THREAD].took, 0.85);
    }
    for (int kind = 0; kind < KIND_COUNT; kind++)
        if (kind != RECORDS) /* which are there as fast as they are read */
            require_gain(kinds[kind].name, middle[kind]);
    return 0;
}
