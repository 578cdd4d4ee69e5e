/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_formats.c - recordio-protobuf decoding against its floor and against protobuf-c.
 *
 * Per kind of record: a bare memcpy of the values (of as many float32 as come out) from where they
 * lie to the rows of a batch, the decoder, the decoder without its template, and protobuf-c with
 * a copy. All methods take turns on the same input; medians of thread CPU time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/fmt.h"
#include "formats/record.h"
#include "formats/record_write.h"
#include "formats/recordio.h"

enum { ROUNDS = 21, BATCH_ROWS = 256, DIM_MAX = 784, INPUT_BYTES = 24 << 20 };

enum method { METHOD_MEMCPY, METHOD_DECODE, METHOD_WALK, METHOD_UNPACK, METHOD_CUT, METHOD_COUNT };

/* A kind of record. */
struct kind {
    const char *name;
    enum fmt_type type;
    uint32_t dim;
};

/* Framed records, all of a kind, cut into batches, and the memory of one batch. */
struct input {
    uint8_t *bytes;
    size_t len_bytes;
    uint32_t rows;
    struct fmt_cut *batches;
    uint32_t batch_count;
    float *features;
    float *labels;
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_decoder *decoder;
};

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL) {
        fprintf(stderr, "perf_formats: out of memory\n");
        exit(1);
    }
    memset(memory, 0, size); /* touch the pages */
    return memory;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Pixels: 81 % are zero, the rest anything up to 255. */
static int64_t random_pixel(uint64_t *state)
{
    return random_next(state) % 100 < 81 ? 0 : random_next(state) % 256;
}

static void fail(const char *what)
{
    fprintf(stderr, "perf_formats: %s failed\n", what);
    exit(1);
}

/* One record of the kind to out; returns its length. */
static size_t write_record(const struct kind *kind, uint64_t *seed, uint8_t *out)
{
    static float f32[DIM_MAX];
    static double f64[DIM_MAX];
    static int64_t i64[DIM_MAX];
    for (uint32_t i = 0; i < kind->dim; i++) {
        i64[i] = random_pixel(seed);
        f64[i] = (double)i64[i] / 255;
        f32[i] = (float)f64[i];
    }
    const void *values = kind->type == FMT_FLOAT32   ? (const void *)f32
                         : kind->type == FMT_FLOAT64 ? (const void *)f64
                                                     : (const void *)i64;
    float label = (float)(random_next(seed) % 10);
    struct fmt_tensor features = {kind->type, values, kind->dim};
    struct fmt_tensor labels = {FMT_FLOAT32, &label, 1};
    size_t len_bytes;
    if (fmt_record_write(&features, &labels, out, &len_bytes, NULL) != FMT_OK)
        fail("fmt_record_write");
    return len_bytes;
}

static void run_decode(struct input *input)
{
    const uint8_t *in = input->bytes;
    for (uint32_t i = 0; i < input->batch_count; i++) {
        const struct fmt_cut *batch = &input->batches[i];
        struct fmt_span span = {.in = in, .len = batch->len_bytes, .rows = batch->rows};
        struct fmt_rows out = {.features = input->features, .labels = input->labels};
        if (input->options.ops->decode(input->decoder, &span, &out, NULL) != FMT_OK)
            fail("decode");
        in += batch->len_bytes;
    }
}

static void run_cut(struct input *input)
{
    size_t at = 0;
    for (uint32_t i = 0; at < input->len_bytes; i++) {
        input->batches[i] = (struct fmt_cut){0};
        if (input->options.ops->cut(&input->options, input->bytes + at, input->len_bytes - at,
                                    at == 0, true, BATCH_ROWS, &input->batches[i], NULL) != FMT_OK)
            fail("cut");
        at += input->batches[i].len_bytes;
        input->batch_count = i + 1;
    }
}

static struct input make_input(const struct kind *kind)
{
    struct input input = {.bytes = allocate(INPUT_BYTES)};
    uint64_t seed = 1;
    while (input.len_bytes + 16 * kind->dim + 128 < INPUT_BYTES) {
        input.len_bytes += write_record(kind, &seed, input.bytes + input.len_bytes);
        input.rows++;
    }
    input.features = allocate(BATCH_ROWS * kind->dim * sizeof(float));
    input.labels = allocate(BATCH_ROWS * sizeof(float));
    input.batches = allocate((input.rows / BATCH_ROWS + 1) * sizeof(*input.batches));
    if (fmt_options_parse("application/x-recordio-protobuf", &input.options, NULL) != FMT_OK)
        fail("fmt_options_parse");
    run_cut(&input);
    if (input.options.ops->learn(&input.options, input.bytes, input.len_bytes, &input.shape,
                                 NULL) != FMT_OK)
        fail("learn");
    input.decoder = input.options.ops->decoder_new(&input.options, &input.shape);
    if (input.decoder == NULL)
        fail("decoder_new");
    return input;
}

/* One record after the other through `parse`. */
static void run_parser(struct input *input,
                       enum fmt_record_verdict (*parse)(const uint8_t *, size_t,
                                                        struct fmt_record *))
{
    uint32_t dim = input->shape.feature_dim;
    size_t at = 0;
    for (uint32_t row = 0; row < input->rows; row++) {
        struct fmt_recordio_record place;
        struct fmt_record record = {
            .features = {.out = input->features + row % BATCH_ROWS * dim, .out_max = dim},
            .labels = {.out = input->labels + row % BATCH_ROWS, .out_max = 1}};
        if (fmt_recordio_read(input->bytes + at, input->len_bytes - at, &place, NULL) != FMT_OK ||
            parse(input->bytes + at + 8, place.body_bytes, &record) != FMT_RECORD_PARSED)
            fail("parse");
        at += place.len_bytes;
    }
}

/* The floor: moves as many bytes as the rows have, from records that lie where they lie. */
static void run_memcpy(struct input *input)
{
    size_t stride = input->len_bytes / input->rows;
    size_t row_bytes = input->shape.feature_dim * sizeof(float);
    size_t copied = row_bytes < stride - 28 ? row_bytes : stride - 28;
    for (uint32_t row = 0; row < input->rows; row++) {
        const uint8_t *in = input->bytes + row * stride;
        memcpy(input->features + row % BATCH_ROWS * input->shape.feature_dim, in + 24, copied);
        memcpy(&input->labels[row % BATCH_ROWS], in + stride - 4, 4);
    }
}

static void run(struct input *input, enum method method)
{
    switch (method) {
    case METHOD_MEMCPY:
        run_memcpy(input);
        break;
    case METHOD_DECODE:
        run_decode(input);
        break;
    case METHOD_WALK:
        run_parser(input, fmt_record_walk);
        break;
    case METHOD_UNPACK:
        run_parser(input, fmt_record_unpack);
        break;
    case METHOD_CUT:
        run_cut(input);
        break;
    case METHOD_COUNT:
        break;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct kind *kind)
{
    struct input input = make_input(kind);
    double seconds[METHOD_COUNT][ROUNDS];
    double median[METHOD_COUNT];
    for (int round = -1; round < ROUNDS; round++) { /* the first is to warm up */
        for (enum method method = 0; method < METHOD_COUNT; method++) {
            double start = cpu_seconds();
            run(&input, method);
            if (round >= 0)
                seconds[method][round] = cpu_seconds() - start;
        }
    }
    for (int method = 0; method < METHOD_COUNT; method++) {
        qsort(seconds[method], ROUNDS, sizeof(double), compare);
        median[method] = seconds[method][ROUNDS / 2];
    }
    double rows = (double)input.rows * 1e-6;
    double gb = (double)input.len_bytes * 1e-9;
    printf("%-12s %6.0f | %8.2f %8.2f %8.2f %8.3f | %6.2f %6.1f | %6.2f %6.2f %6.2f\n", kind->name,
           (double)input.len_bytes / input.rows, rows / median[METHOD_MEMCPY],
           rows / median[METHOD_DECODE], rows / median[METHOD_WALK], rows / median[METHOD_UNPACK],
           gb / median[METHOD_DECODE], gb / median[METHOD_CUT],
           median[METHOD_MEMCPY] / median[METHOD_DECODE],
           median[METHOD_UNPACK] / median[METHOD_DECODE],
           median[METHOD_UNPACK] / median[METHOD_WALK]);
    input.options.ops->decoder_free(input.decoder);
    free(input.bytes);
    free(input.features);
    free(input.labels);
    free(input.batches);
}

int main(void)
{
    static const struct kind KINDS[] = {
        {"f32 x784", FMT_FLOAT32, 784}, {"f32 x30", FMT_FLOAT32, 30}, {"f32 x8", FMT_FLOAT32, 8},
        {"f64 x784", FMT_FLOAT64, 784}, {"f64 x30", FMT_FLOAT64, 30}, {"int x784", FMT_INT64, 784},
        {"int x30", FMT_INT64, 30},
    };
    printf("recordio-protobuf, one thread, medians of %d rounds\n", ROUNDS);
    printf("%-12s %6s | %35s | %13s | %s\n", "", "bytes", "million records/s", "GB/s framed",
           "times faster: decode than");
    printf("%-12s %6s | %8s %8s %8s %8s | %6s %6s | %6s %6s %s\n", "record", "each", "memcpy",
           "decode", "walk", "pb-c", "decode", "cut", "memcpy", "pb-c", " walk than pb-c");
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        measure(&KINDS[i]);
    return 0;
}
