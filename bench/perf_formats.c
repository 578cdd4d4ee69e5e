/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_formats.c - recordio-protobuf decoding against its floors and against protobuf-c.
 *
 * Per kind of record: a bare memcpy of the numbers (as many as come out) from where they lie to the
 * rows of a batch, a memcpy of the records, the decoder, the decoder without its template, the
 * check of records that stay as they are (framed=true), which touches no value, and protobuf-c with
 * a copy to the same rows. All methods take turns on the same input; medians of thread CPU time.
 * Then what the ratios must be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/perf.h"
#include "formats/fmt.h"
#include "formats/record_row.h"
#include "formats/record_write.h"
#include "formats/recordio.h"
#include "record.pb-c.h"

enum { ROUNDS = 21, BATCH_ROWS = 256, DIM_MAX = 784, FLOORS_MAX = 3 };

/* Input of a method, by default more than a core's own cache holds; all methods take as much. */
static size_t input_bytes = (size_t)24 << 20;

enum method {
    METHOD_MEMCPY,
    METHOD_MEMCPY_RECORDS,
    METHOD_DECODE,
    METHOD_WALK,
    METHOD_FRAMED,
    METHOD_UNPACK,
    METHOD_CUT,
    METHOD_COUNT
};

static const char *const METHOD_NAMES[] = {"memcpy", "memcpy of records", "decode", "walk",
                                           "framed", "protobuf-c",        "cut"};

enum layout { DENSE, SPARSE, THREE_NAMES };

/* A kind of record, and how many times faster than what a method has to be. */
struct kind {
    const char *name;
    enum fmt_type type;
    uint32_t dim;
    enum layout layout;
    struct floor {
        enum method method;
        enum method versus;
        double least; /* 0: none */
    } floors[FLOORS_MAX];
};

/* Framed records, all of a kind, cut into batches, and the memory of one batch. */
struct input {
    uint8_t *bytes;
    size_t len_bytes;
    uint32_t rows;
    struct fmt_cut *batches;
    uint32_t batch_count;
    struct fmt_rows out;
    uint8_t *records; /* where METHOD_MEMCPY_RECORDS copies to */
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_decoder *decoder;
    struct fmt_options framed_options;
    struct fmt_decoder *framed; /* NULL: these records cannot be */
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

static size_t write_entries(const struct fmt_record_entry *entries, size_t count, uint8_t *out)
{
    size_t len_bytes;
    if (fmt_record_write(entries, count, out, &len_bytes, NULL) != FMT_OK)
        fail("fmt_record_write");
    return len_bytes;
}

/* One record of the kind to out; returns its length. */
static size_t write_record(const struct kind *kind, uint64_t *seed, uint8_t *out)
{
    static float f32[DIM_MAX];
    static double f64[DIM_MAX];
    static int64_t i64[DIM_MAX];
    static uint64_t keys[DIM_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < kind->dim; i++) {
        int64_t pixel = random_pixel(seed);
        if (kind->layout == SPARSE && pixel == 0)
            continue;
        keys[count] = i;
        i64[count] = pixel;
        f64[count] = (double)pixel / 255;
        f32[count] = (float)f64[count];
        count++;
    }
    float label = (float)(random_next(seed) % 10);
    struct fmt_record_entry features = {.type = kind->type, .values = f32, .count = count};
    struct fmt_record_entry labels = {
        .is_label = true, .type = FMT_FLOAT32, .values = &label, .count = 1};
    if (kind->type == FMT_FLOAT64)
        features.values = f64;
    else if (kind->type == FMT_INT64)
        features.values = i64;
    if (kind->layout == SPARSE) {
        features.keys = keys;
        features.columns = kind->dim;
    }
    if (kind->layout != THREE_NAMES)
        return write_entries((struct fmt_record_entry[]){features, labels}, 2, out);
    struct fmt_record_entry entries[4] = {labels, features, features, features};
    static const char *const NAMES[] = {"", "c", "a", "b"};
    for (int i = 1; i <= 3; i++) {
        entries[i].name = NAMES[i];
        entries[i].count = kind->dim / 3;
    }
    return write_entries(entries, 4, out);
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

/* The same records for a channel that leaves them as they are, if it can. */
static void open_framed(struct input *input)
{
    struct fmt_shape shape;
    if (fmt_options_parse("application/x-recordio-protobuf;framed=true", &input->framed_options,
                          NULL) != FMT_OK)
        fail("fmt_options_parse");
    if (input->options.ops->learn(&input->framed_options, input->bytes, input->len_bytes, &shape,
                                  NULL) != FMT_OK)
        return;
    input->framed = input->options.ops->decoder_new(&input->framed_options, &shape);
    if (input->framed == NULL)
        fail("decoder_new");
}

static struct input make_input(const struct kind *kind)
{
    struct input input = {.bytes = allocate(input_bytes)};
    uint64_t seed = 1;
    while (input.len_bytes + 16 * kind->dim + 256 < input_bytes) {
        input.len_bytes += write_record(kind, &seed, input.bytes + input.len_bytes);
        input.rows++;
    }
    input.out.features = allocate(BATCH_ROWS * kind->dim * sizeof(float));
    input.out.labels = allocate(BATCH_ROWS * sizeof(float));
    input.out.entry_ends = allocate(BATCH_ROWS * sizeof(uint32_t));
    input.records = allocate(BATCH_ROWS * (size_t)(16 * kind->dim + 256));
    input.batches = allocate((input.rows / BATCH_ROWS + 1) * sizeof(*input.batches));
    if (fmt_options_parse(kind->layout == THREE_NAMES
                              ? "application/x-recordio-protobuf;features=\"a,b,c\""
                              : "application/x-recordio-protobuf",
                          &input.options, NULL) != FMT_OK)
        fail("fmt_options_parse");
    run_cut(&input);
    if (input.options.ops->learn(&input.options, input.bytes, input.len_bytes, &input.shape,
                                 NULL) != FMT_OK)
        fail("learn");
    input.decoder = input.options.ops->decoder_new(&input.options, &input.shape);
    if (input.decoder == NULL ||
        !fmt_entries_reserve(&input.out.entries, (size_t)BATCH_ROWS * kind->dim))
        fail("decoder_new");
    open_framed(&input);
    return input;
}

static void free_input(struct input *input)
{
    input->options.ops->decoder_free(input->decoder);
    input->options.ops->decoder_free(input->framed);
    fmt_options_free(&input->options);
    fmt_options_free(&input->framed_options);
    free(input->bytes);
    free(input->out.features);
    free(input->out.labels);
    free(input->out.entry_ends);
    free(input->out.entries.columns);
    free(input->out.entries.values);
    free(input->records);
    free(input->batches);
}

static void run_decode(struct input *input, struct fmt_decoder *decoder)
{
    const uint8_t *in = input->bytes;
    for (uint32_t i = 0; i < input->batch_count; i++) {
        const struct fmt_cut *batch = &input->batches[i];
        struct fmt_span span = {.in = in, .len = batch->len_bytes, .rows = batch->rows};
        input->out.entries.count = 0;
        if (input->options.ops->decode(decoder, &span, &input->out, NULL) != FMT_OK)
            fail("decode");
        in += batch->len_bytes;
    }
}

/* The decoder without its template: one record after the other through the walker. */
static void run_walk(struct input *input)
{
    const struct fmt_record_options *options = fmt_record_options(&input->options);
    struct fmt_record_scratch scratch = {.keys = NULL};
    struct fmt_record_value values[FMT_RECORD_WANTED_MAX];
    size_t at = 0;
    for (uint32_t row = 0; row < input->rows; row++) {
        struct fmt_recordio_record place;
        if (row % BATCH_ROWS == 0)
            input->out.entries.count = 0;
        if (fmt_recordio_read(input->bytes + at, input->len_bytes - at, &place, NULL) != FMT_OK ||
            fmt_record_walk(input->bytes + at + FMT_RECORDIO_HEAD_BYTES, place.body_bytes,
                            &options->query, values) != FMT_RECORD_PARSED ||
            fmt_record_put_row(options, &input->shape, options->dims, values, &input->out,
                               row % BATCH_ROWS, &scratch, NULL) != FMT_OK)
            fail("walk");
        at += place.len_bytes;
    }
}

/* What a straight user of protobuf-c writes: a tensor to float32, and its keys to columns. */
static size_t copy_tensor(const Aialgs__Data__Value *value, float *out, uint32_t *columns)
{
    const uint64_t *keys;
    size_t count;
    if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT32_TENSOR) {
        const Aialgs__Data__Float32Tensor *t = value->float32_tensor;
        count = t->n_values;
        keys = t->n_keys > 0 ? t->keys : NULL;
        memcpy(out, t->values, count * sizeof(float));
    } else if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT64_TENSOR) {
        const Aialgs__Data__Float64Tensor *t = value->float64_tensor;
        count = t->n_values;
        keys = t->n_keys > 0 ? t->keys : NULL;
        for (size_t i = 0; i < count; i++)
            out[i] = (float)t->values[i];
    } else {
        const Aialgs__Data__Int32Tensor *t = value->int32_tensor;
        count = t->n_values;
        keys = t->n_keys > 0 ? t->keys : NULL;
        for (size_t i = 0; i < count; i++)
            out[i] = (float)t->values[i];
    }
    for (size_t i = 0; keys != NULL && i < count; i++)
        columns[i] = (uint32_t)keys[i];
    return count;
}

static void run_unpack(struct input *input)
{
    struct fmt_entries *entries = &input->out.entries;
    size_t at = 0;
    for (uint32_t row = 0; row < input->rows; row++) {
        size_t to_row = row % BATCH_ROWS;
        struct fmt_recordio_record place;
        if (fmt_recordio_read(input->bytes + at, input->len_bytes - at, &place, NULL) != FMT_OK)
            fail("fmt_recordio_read");
        Aialgs__Data__Record *record =
            aialgs__data__record__unpack(NULL, place.body_bytes, input->bytes + at + 8);
        if (record == NULL)
            fail("protobuf-c");
        if (to_row == 0)
            entries->count = 0;
        float *out = input->shape.sparse
                         ? entries->values + entries->count
                         : (float *)input->out.features + to_row * input->shape.feature_dim;
        for (size_t i = 0; i < record->n_features; i++)
            out += copy_tensor(record->features[i]->value, out, entries->columns + entries->count);
        if (input->shape.sparse) {
            entries->count = (size_t)(out - entries->values);
            input->out.entry_ends[to_row] = (uint32_t)entries->count;
        }
        (void)copy_tensor(record->label[0]->value, input->out.labels + to_row, NULL);
        aialgs__data__record__free_unpacked(record, NULL);
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
        memcpy((float *)input->out.features + row % BATCH_ROWS * input->shape.feature_dim, in + 24,
               copied);
        memcpy(&input->out.labels[row % BATCH_ROWS], in + stride - 4, 4);
    }
}

static void run_memcpy_records(struct input *input)
{
    const uint8_t *in = input->bytes;
    for (uint32_t i = 0; i < input->batch_count; i++) {
        memcpy(input->records, in, input->batches[i].len_bytes);
        in += input->batches[i].len_bytes;
    }
}

static void run(struct input *input, enum method method)
{
    switch (method) {
    case METHOD_MEMCPY:
        run_memcpy(input);
        break;
    case METHOD_MEMCPY_RECORDS:
        run_memcpy_records(input);
        break;
    case METHOD_DECODE:
        run_decode(input, input->decoder);
        break;
    case METHOD_WALK:
        run_walk(input);
        break;
    case METHOD_FRAMED:
        if (input->framed != NULL)
            run_decode(input, input->framed);
        break;
    case METHOD_UNPACK:
        run_unpack(input);
        break;
    case METHOD_CUT:
        run_cut(input);
        break;
    case METHOD_COUNT:
        break;
    }
}

static void measure(const struct kind *kind, double median[METHOD_COUNT])
{
    struct input input = make_input(kind);
    double seconds[METHOD_COUNT][ROUNDS];
    for (int round = -1; round < ROUNDS; round++) { /* the first is to warm up */
        for (enum method method = 0; method < METHOD_COUNT; method++) {
            double start = perf_thread_seconds();
            run(&input, method);
            if (round >= 0)
                seconds[method][round] = perf_thread_seconds() - start;
        }
    }
    for (int method = 0; method < METHOD_COUNT; method++) {
        qsort(seconds[method], ROUNDS, sizeof(double), perf_ascending);
        median[method] = seconds[method][ROUNDS / 2];
    }
    double rows = (double)input.rows * 1e-6;
    double gb = (double)input.len_bytes * 1e-9;
    printf("%-13s %6.0f |", kind->name, (double)input.len_bytes / input.rows);
    for (int method = 0; method < METHOD_CUT; method++)
        if (method == METHOD_FRAMED && input.framed == NULL)
            printf(" %8s", "-");
        else
            printf(" %8.2f", rows / median[method]);
    printf(" | %6.2f %6.1f | %6.2f %6.2f\n", gb / median[METHOD_DECODE], gb / median[METHOD_CUT],
           median[METHOD_UNPACK] / median[METHOD_DECODE],
           median[METHOD_UNPACK] / median[METHOD_WALK]);
    free_input(&input);
}

static void judge(const struct kind *kind, const double median[METHOD_COUNT])
{
    for (int i = 0; i < FLOORS_MAX && kind->floors[i].least > 0; i++) {
        const struct floor *floor = &kind->floors[i];
        char what[80];
        snprintf(what, sizeof(what), "%s: %s / %s", kind->name, METHOD_NAMES[floor->method],
                 METHOD_NAMES[floor->versus]);
        perf_require(what, median[floor->versus] / median[floor->method], floor->least);
    }
}

/* perf_formats [MIB]: so much input for each method. With 1 all of it is in the core's own cache,
 * and the other users of the machine's memory do not matter. */
int perf_formats(int argc, char **argv)
{
    if (argc > 1)
        input_bytes = strtoul(argv[1], NULL, 10) << 20;
    if (argc > 2 || input_bytes == 0) {
        fprintf(stderr, "usage: perf_formats [MIB]\n");
        return 2;
    }
    static const struct kind KINDS[] = {
        {"f32 x784",
         FMT_FLOAT32,
         784,
         DENSE,
         {{METHOD_DECODE, METHOD_MEMCPY, 0.93},
          {METHOD_DECODE, METHOD_UNPACK, 2.6},
          {METHOD_FRAMED, METHOD_UNPACK, 20}}},
        {"f32 x30",
         FMT_FLOAT32,
         30,
         DENSE,
         {{METHOD_DECODE, METHOD_UNPACK, 25}, {METHOD_DECODE, METHOD_MEMCPY, 0.85}}},
        {"f32 x8",
         FMT_FLOAT32,
         8,
         DENSE,
         {{METHOD_DECODE, METHOD_UNPACK, 40}, {METHOD_DECODE, METHOD_MEMCPY, 0.85}}},
        {"f64 x784",
         FMT_FLOAT64,
         784,
         DENSE,
         {{METHOD_WALK, METHOD_UNPACK, 2.3}, {METHOD_WALK, METHOD_MEMCPY_RECORDS, 0.85}}},
        {"f64 x30", FMT_FLOAT64, 30, DENSE, {{METHOD_WALK, METHOD_UNPACK, 2.3}}},
        {"3 names x783",
         FMT_FLOAT32,
         783,
         THREE_NAMES,
         {{METHOD_WALK, METHOD_UNPACK, 2.3}, {METHOD_DECODE, METHOD_MEMCPY_RECORDS, 0.85}}},
        {"int x784", FMT_INT64, 784, DENSE, {{METHOD_DECODE, METHOD_UNPACK, 5}}},
        {"int x30", FMT_INT64, 30, DENSE, {{0}}},
        {"sparse x784", FMT_FLOAT32, 784, SPARSE, {{METHOD_DECODE, METHOD_UNPACK, 2.8}}},
        {"sparse x100", FMT_FLOAT32, 100, SPARSE, {{0}}},
    };
    enum { KIND_COUNT = sizeof(KINDS) / sizeof(KINDS[0]) };
    double medians[KIND_COUNT][METHOD_COUNT];
    printf("recordio-protobuf, one thread, medians of %d rounds over %zu MiB\n", ROUNDS,
           input_bytes >> 20);
    printf("%-13s %6s | %53s | %13s | %s\n", "", "bytes", "million records/s", "GB/s framed",
           "times protobuf-c");
    printf("%-13s %6s | %8s %8s %8s %8s %8s %8s | %6s %6s | %6s %6s\n", "record", "each", "memcpy",
           "records", "decode", "walk", "framed", "pb-c", "decode", "cut", "decode", "walk");
    for (size_t i = 0; i < KIND_COUNT; i++)
        measure(&KINDS[i], medians[i]);
    for (size_t i = 0; i < KIND_COUNT; i++)
        judge(&KINDS[i], medians[i]);
    return 0;
}
