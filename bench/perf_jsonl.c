/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_jsonl.c - JSON Lines: cut and decode per core, against memchr, jansson and simdjson.
 *
 *     build/release/bench/perf_jsonl [ROUNDS]
 *
 * Generated lines in memory, blocks of 256 as a decode thread gets them. Methods take turns, thread
 * CPU time, medians of ROUNDS (default 11); "x" is the ratio of medians to jansson (a tree of every
 * line, then its values) and to simdjson's on-demand parser where it is installed
 * (libsimdjson-dev). "walk" is the decoder without templates.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/perf_text.h"
#include "formats/jsonl.h"

enum { BLOCK_ROWS = 256, ROUNDS_MAX = 101, TEXT_BYTES = 8 << 20, SPARE_BYTES = 64, NAMES_MAX = 40 };

enum method { MEMCHR, CUT, DECODE, WALK, JANSSON, SIMDJSON, METHODS };

struct text {
    char *bytes;
    size_t len;
    size_t rows;
};

struct out;

struct data_set {
    const char *name;
    const char *parameters;
    void (*line)(struct out *out);
    const char *names[NAMES_MAX]; /* what is read of a line; NULL behind the last */
};

struct perf_simdjson_sum {
    double numbers;
    size_t text_bytes;
};

struct perf_simdjson_sum perf_simdjson(const char *in, size_t len, size_t room,
                                       const char *const *names) __attribute__((weak));

/* Text on its way into a line. */
struct out {
    char *at;
    char *end;
};

static void put(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    out->at += vsnprintf(out->at, (size_t)(out->end - out->at), format, args);
    va_end(args);
}

enum number { PIXEL, FIXED6, REPR };

static void put_number(struct out *out, enum number kind)
{
    if (kind == PIXEL)
        put(out, "%u", perf_random() % 100 < 81 ? 0 : (unsigned)(perf_random() % 256));
    else if (kind == FIXED6)
        put(out, "%.6f", perf_uniform() * 2 - 1);
    else
        put(out, "%.17g", perf_uniform());
}

static void put_features(struct out *out, unsigned count, enum number kind, const char *comma)
{
    put(out, "{\"features\":%s[", comma + 1);
    for (unsigned i = 0; i < count; i++) {
        put(out, "%s", i == 0 ? "" : comma);
        put_number(out, kind);
    }
    put(out, "]%s\"label\":%s%u}", comma, comma + 1, (unsigned)(perf_random() % 10));
}

static void pixels(struct out *out)
{
    put_features(out, 784, PIXEL, ", ");
}

static void pixels_dense(struct out *out)
{
    put_features(out, 784, PIXEL, ",");
}

static void fixed_30(struct out *out)
{
    put_features(out, 30, FIXED6, ", ");
}

static void repr_30(struct out *out)
{
    put_features(out, 30, REPR, ", ");
}

/* 30 numbers by name, and some text that nobody asks for. */
static void put_named(struct out *out, unsigned first)
{
    put(out, "{\"id\": \"%016llx\", ", (unsigned long long)perf_random());
    for (unsigned i = 0; i < 30; i++) {
        put(out, "\"f%u\": ", (first + i) % 30);
        put_number(out, FIXED6);
        put(out, ", ");
    }
    put(out, "\"comment\": \"nothing to be seen here, and a bit more of it\"}");
}

static void named(struct out *out)
{
    put_named(out, 0);
}

static void named_any_order(struct out *out)
{
    put_named(out, (unsigned)(perf_random() % 30));
}

static void reviews(struct out *out)
{
    put(out, "{\"source\": \"");
    for (unsigned words = 20 + (unsigned)(perf_random() % 40); words > 0; words--)
        put(out, "%.*s ", (int)(2 + perf_random() % 9), "international");
    put(out, "\", \"label\": %u, \"stars\": %u}", (unsigned)(perf_random() % 2),
        (unsigned)(perf_random() % 6));
}

static void reviews_escaped(struct out *out)
{
    put(out, "{\"source\": \"");
    for (unsigned words = 20 + (unsigned)(perf_random() % 40); words > 0; words--)
        put(out, "%.*s%s ", (int)(2 + perf_random() % 9), "international",
            perf_random() % 8 == 0 ? "\\n" : "");
    put(out, "\", \"label\": %u, \"stars\": %u}", (unsigned)(perf_random() % 2),
        (unsigned)(perf_random() % 6));
}

static void sparse(struct out *out)
{
    put(out, "{\"features\": {\"keys\": [");
    for (unsigned i = 0; i < 40; i++)
        put(out, "%s%u", i == 0 ? "" : ", ", i * 250 + (unsigned)(perf_random() % 250));
    put(out, "], \"values\": [");
    for (unsigned i = 0; i < 40; i++)
        put(out, "%s%.6f", i == 0 ? "" : ", ", perf_uniform());
    put(out, "], \"shape\": [10000]}, \"label\": 1}");
}

static struct text make_text(const struct data_set *set)
{
    struct text text = {.bytes = perf_need(malloc(TEXT_BYTES + SPARE_BYTES))};
    struct out out = {text.bytes, text.bytes + TEXT_BYTES};

    for (size_t most = 0; (size_t)(out.end - out.at) > 2 * most + 16384; text.rows++) {
        char *line = out.at;
        set->line(&out);
        put(&out, "\n");
        most = (size_t)(out.at - line) > most ? (size_t)(out.at - line) : most;
    }
    text.len = (size_t)(out.at - text.bytes);
    memset(out.at, 0, SPARE_BYTES);
    return text;
}

static volatile double sink;

static void add(const json_t *value, double *sum, size_t *text_bytes)
{
    size_t i;
    const json_t *item;
    const char *name;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item) add(item, sum, text_bytes);
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, name, item) add(item, sum, text_bytes);
    } else if (json_is_string(value)) {
        *text_bytes += json_string_length(value);
    } else {
        *sum += (double)(float)json_number_value(value);
    }
}

static void run_jansson(const struct text *text, const char *const *names)
{
    const char *end = text->bytes + text->len;
    double sum = 0;
    size_t text_bytes = 0;
    for (const char *p = text->bytes; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        json_t *line = perf_need(json_loadb(p, (size_t)(newline - p), 0, NULL));
        for (const char *const *name = names; *name != NULL; name++)
            add(json_object_get(line, *name), &sum, &text_bytes);
        json_decref(line);
        p = newline + 1;
    }
    sink = sum + (double)text_bytes;
}

/* One data set with its decoder and a batch. */
struct job {
    struct text text;
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_decoder *decoder;
    struct fmt_rows rows;
};

static void fail(const struct fmt_error *error)
{
    fprintf(stderr, "perf_jsonl: %s\n", error->text);
    exit(1);
}

static void job_open(struct job *job, const struct data_set *set)
{
    struct fmt_error error = {.text = ""};
    char type[1024];
    snprintf(type, sizeof(type), "application/jsonlines%s%s", set->parameters[0] != '\0' ? ";" : "",
             set->parameters);
    *job = (struct job){.text = make_text(set)};
    if (fmt_options_parse(type, &job->options, &error) != FMT_OK ||
        fmt_jsonl.learn(&job->options, (const uint8_t *)job->text.bytes, job->text.len, &job->shape,
                        &error) != FMT_OK)
        fail(&error);
    job->decoder = perf_need(fmt_jsonl.decoder_new(&job->options, &job->shape));
    const struct fmt_shape *shape = &job->shape;
    if (!shape->sparse)
        job->rows.features = perf_need(calloc((size_t)BLOCK_ROWS * shape->feature_dim + 1, 4));
    job->rows.labels =
        shape->label_dim == 0 ? NULL : perf_need(calloc(BLOCK_ROWS * shape->label_dim, 4));
    job->rows.entry_ends = shape->sparse ? perf_need(calloc(BLOCK_ROWS, 4)) : NULL;
    job->rows.text_ends =
        shape->text_dim == 0 ? NULL : perf_need(calloc((size_t)BLOCK_ROWS * shape->text_dim, 4));
}

static void job_close(struct job *job)
{
    fmt_jsonl.decoder_free(job->decoder);
    fmt_options_free(&job->options);
    free(job->text.bytes);
    free(job->rows.features);
    free(job->rows.labels);
    free(job->rows.entry_ends);
    free(job->rows.text_ends);
    free(job->rows.entries.columns);
    free(job->rows.entries.values);
    free(job->rows.texts.bytes);
}

/* Cuts blocks of 256 lines, and decodes them. */
static void run_jsonl(struct job *job, bool decode)
{
    struct fmt_error error = {.text = ""};
    const uint8_t *in = (const uint8_t *)job->text.bytes;
    size_t len = job->text.len;
    size_t rows = 0;
    for (size_t at = 0; at < len;) {
        struct fmt_cut cut = {.rows = 0};
        if (fmt_jsonl.cut(&job->options, in + at, len - at, at == 0, true, BLOCK_ROWS, &cut,
                          &error) != FMT_OK)
            fail(&error);
        struct fmt_span span = {.in = in + at, .len = cut.len_bytes, .rows = cut.rows};
        job->rows.entries.count = 0;
        job->rows.texts.count = 0;
        if (decode && fmt_jsonl.decode(job->decoder, &span, &job->rows, &error) != FMT_OK)
            fail(&error);
        rows += cut.rows;
        at += cut.len_bytes;
    }
    if (rows != job->text.rows)
        exit(1);
}

static void run_method(enum method method, struct job *job, const struct data_set *set)
{
    switch (method) {
    case MEMCHR:
        perf_find_lines(job->text.bytes, job->text.len, job->text.rows);
        break;
    case CUT:
        run_jsonl(job, false);
        break;
    case DECODE:
        run_jsonl(job, true);
        break;
    case WALK: {
        struct fmt_decoder *learnt = job->decoder;
        job->decoder = perf_need(fmt_jsonl.decoder_new(&job->options, &job->shape));
        job->decoder->walk_only = true;
        run_jsonl(job, true);
        fmt_jsonl.decoder_free(job->decoder);
        job->decoder = learnt;
        break;
    }
    case JANSSON:
        run_jansson(&job->text, set->names);
        break;
    case SIMDJSON:
        if (perf_simdjson != NULL && !job->shape.sparse)
            sink = perf_simdjson(job->text.bytes, job->text.len, job->text.len + SPARE_BYTES,
                                 set->names)
                       .numbers;
        break;
    case METHODS:
        break;
    }
}

static void measure(const struct data_set *set, size_t rounds)
{
    static double times[METHODS][ROUNDS_MAX];
    double seconds[METHODS];
    struct job job;
    job_open(&job, set);
    for (size_t i = 0; i < rounds; i++) {
        for (enum method m = 0; m < METHODS; m++) {
            double start = perf_thread_seconds();
            run_method(m, &job, set);
            times[m][i] = perf_thread_seconds() - start;
        }
    }
    for (size_t m = 0; m < METHODS; m++)
        seconds[m] = perf_median(times[m], rounds);
    double bytes = (double)job.text.len;
    printf("%-24s %4.0f B/line | memchr %5.2f GB/s cut %5.2f | cut+decode %5.0f MB/s %5.2f "
           "Mline/s | walk %4.0f MB/s | jansson %3.0f MB/s %5.1fx",
           set->name, bytes / (double)job.text.rows, bytes / seconds[MEMCHR] / 1e9,
           bytes / seconds[CUT] / 1e9, bytes / seconds[DECODE] / 1e6,
           (double)job.text.rows / seconds[DECODE] / 1e6, bytes / seconds[WALK] / 1e6,
           bytes / seconds[JANSSON] / 1e6, seconds[JANSSON] / seconds[DECODE]);
    if (perf_simdjson != NULL && !job.shape.sparse)
        printf(" | simdjson %4.0f MB/s %.2fx", bytes / seconds[SIMDJSON] / 1e6,
               seconds[SIMDJSON] / seconds[DECODE]);
    printf("\n");
    job_close(&job);
}

#define NAMED                                                                                      \
    "f0,f1,f2,f3,f4,f5,f6,f7,f8,f9,f10,f11,f12,f13,f14,f15,f16,f17,f18,f19,f20,f21,f22,f23,f24,"   \
    "f25,f26,f27,f28,f29"
#define NAMES                                                                                      \
    {                                                                                              \
        "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13",    \
            "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21", "f22", "f23", "f24", "f25",    \
            "f26", "f27", "f28", "f29"                                                             \
    }

int perf_jsonl(int argc, char **argv)
{
    static const struct data_set sets[] = {
        {"0-255, 81% zero, x784", "", pixels, {"features", "label"}},
        {"the same, no blanks", "", pixels_dense, {"features", "label"}},
        {"%.6f x30", "", fixed_30, {"features", "label"}},
        {"%.17g x30", "", repr_30, {"features", "label"}},
        {"30 names", "features=" NAMED, named, NAMES},
        {"30 names in any order", "features=" NAMED, named_any_order, NAMES},
        {"text and label", "text=source", reviews, {"source", "label"}},
        {"text with escapes", "text=source", reviews_escaped, {"source", "label"}},
        {"sparse, 40 of 10000", "", sparse, {"features", "label"}},
    };
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 11;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        rounds = 11;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        measure(&sets[i], rounds);
    return 0;
}
