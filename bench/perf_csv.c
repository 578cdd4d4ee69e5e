/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_csv.c - CSV: cut and decode per core, against memchr, strtof and fast_float.
 *
 *     build/release/bench/perf_csv [ROUNDS [NAME]]
 *
 * Generated rows in memory, blocks of 256 rows as a decode thread gets them. Methods take turns,
 * thread CPU time, medians of ROUNDS (default 11); "x" is the ratio of medians to the strtof loop,
 * and to fast_float's from_chars where the library is installed (libfast-float-dev).
 */
#include "bench/perf_text.h"
#include "formats/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 256, ROUNDS_MAX = 101, TEXT_BYTES = 16 << 20 };

struct data_set {
    const char *name;
    uint32_t columns;
    const char *row_end;
    size_t (*field)(char *out, size_t size);
    /* What is required (0: nothing): cut, of memchr's rate; both, of the loops' */
    double memchr;
    double strtof;
    double fast_float;
};

struct text {
    char *bytes;
    size_t len;
    uint32_t rows;
    uint32_t columns;
};

static size_t pixel(char *out, size_t size)
{
    unsigned value = perf_random() % 100 < 81 ? 0 : (unsigned)(perf_random() % 256);
    return (size_t)snprintf(out, size, "%u", value);
}

static size_t fixed6(char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%.6f", perf_uniform() * 2 - 1);
}

static size_t general9(char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%.9g", (double)(float)(perf_uniform() * 2 - 1));
}

static size_t general17(char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%.17g", perf_uniform());
}

static size_t exponent8(char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%.8e", perf_uniform() * 2 - 1);
}

static struct text make_text(const struct data_set *set)
{
    struct text text = {.bytes = perf_need(malloc(TEXT_BYTES)), .columns = set->columns};
    size_t row_max = (size_t)set->columns * 32 + 4;
    while (text.len + row_max < TEXT_BYTES) {
        for (uint32_t i = 0; i < set->columns; i++) {
            text.len += set->field(text.bytes + text.len, 32);
            text.bytes[text.len++] = ',';
        }
        text.len--;
        memcpy(text.bytes + text.len, set->row_end, strlen(set->row_end));
        text.len += strlen(set->row_end);
        text.rows++;
    }
    return text;
}

static volatile float sink;

/* bench/perf_csv_fast_float.cc, where there is fast_float. */
extern float perf_fast_float(const char *p, const char *end, char delimiter) __attribute__((weak));

static void run_strtof(const struct text *text)
{
    const char *p = text->bytes;
    const char *end = text->bytes + text->len;
    float sum = 0;
    while (p < end) {
        char *q;
        sum += strtof(p, &q);
        p = q + 1;
        while (p < end && *p == '\n')
            p++;
    }
    sink = sum;
}

static bool decode(struct fmt_decoder *decoder, const uint8_t *in, const struct fmt_cut *cut,
                   struct fmt_rows *out, struct fmt_error *error)
{
    struct fmt_span span = {.in = in, .len = cut->len_bytes, .rows = cut->rows};
    return fmt_csv.decode(decoder, &span, out, error) == FMT_OK;
}

/* Cuts blocks of 256 rows; decodes them too if there is a decoder. */
static void run_csv(const struct text *text, struct fmt_decoder *decoder, float *features,
                    float *labels)
{
    struct fmt_csv_options own = {.label_size = 1};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_error error = {0};
    struct fmt_rows out = {.features = features, .labels = labels};
    const uint8_t *in = (const uint8_t *)text->bytes;
    size_t at = 0;
    size_t rows = 0;
    while (at < text->len) {
        struct fmt_cut cut = {0};
        if (fmt_csv.cut(&options, in + at, text->len - at, at == 0, true, BLOCK_ROWS, &cut,
                        &error) != FMT_OK ||
            (decoder != NULL && !decode(decoder, in + at, &cut, &out, &error))) {
            fprintf(stderr, "perf_csv: %s\n", error.text);
            exit(1);
        }
        rows += cut.rows;
        at += cut.len_bytes;
    }
    if (rows != text->rows)
        exit(1);
}

enum method { MEMCHR, CUT, DECODE, STRTOF, FAST_FLOAT, METHODS };

static void run_method(enum method method, const struct text *text, struct fmt_decoder *decoder,
                       float *features, float *labels)
{
    switch (method) {
    case MEMCHR:
        perf_find_lines(text->bytes, text->len, text->rows);
        break;
    case CUT:
        run_csv(text, NULL, NULL, NULL);
        break;
    case DECODE:
        run_csv(text, decoder, features, labels);
        break;
    case STRTOF:
        run_strtof(text);
        break;
    case FAST_FLOAT:
        if (perf_fast_float != NULL)
            sink = perf_fast_float(text->bytes, text->bytes + text->len, ',');
        break;
    case METHODS:
        break;
    }
}

static void measure(const struct data_set *set, size_t rounds)
{
    static double times[METHODS][ROUNDS_MAX];
    struct text text = make_text(set);
    struct fmt_csv_options own = {.label_size = 1};
    struct fmt_options options = {.ops = &fmt_csv, .own = &own};
    struct fmt_shape shape = {.feature_dim = text.columns - 1, .label_dim = 1};
    struct fmt_decoder *decoder = perf_need(fmt_csv.decoder_new(&options, &shape));
    float *features = perf_need(malloc((size_t)BLOCK_ROWS * text.columns * sizeof(float)));
    float *labels = perf_need(malloc(BLOCK_ROWS * sizeof(float)));
    for (size_t i = 0; i < rounds; i++) {
        for (enum method m = 0; m < METHODS; m++) {
            double start = perf_thread_seconds();
            run_method(m, &text, decoder, features, labels);
            times[m][i] = perf_thread_seconds() - start;
        }
    }
    double seconds[METHODS];
    for (size_t m = 0; m < METHODS; m++)
        seconds[m] = perf_median(times[m], rounds);
    double bytes = (double)text.len;
    double values = (double)text.rows * text.columns;
    printf("%-27s %4.1f B | memchr %5.2f GB/s cut %5.2f (%.2fx) | cut+decode %5.0f MB/s %5.1f "
           "Mvalue/s | strtof %4.0f MB/s %4.1fx",
           set->name, bytes / values, bytes / seconds[MEMCHR] / 1e9, bytes / seconds[CUT] / 1e9,
           seconds[MEMCHR] / seconds[CUT], bytes / seconds[DECODE] / 1e6,
           values / seconds[DECODE] / 1e6, bytes / seconds[STRTOF] / 1e6,
           seconds[STRTOF] / seconds[DECODE]);
    if (perf_fast_float != NULL)
        printf(" | fast_float %4.0f MB/s %.2fx", bytes / seconds[FAST_FLOAT] / 1e6,
               seconds[FAST_FLOAT] / seconds[DECODE]);
    printf("\n");
    if (set->memchr > 0)
        perf_require("cut / memchr", seconds[MEMCHR] / seconds[CUT], set->memchr);
    if (set->strtof > 0)
        perf_require("cut + decode / strtof", seconds[STRTOF] / seconds[DECODE], set->strtof);
    if (set->fast_float > 0 && perf_fast_float != NULL)
        perf_require("cut + decode / fast_float", seconds[FAST_FLOAT] / seconds[DECODE],
                     set->fast_float);
    fmt_csv.decoder_free(decoder);
    free(features);
    free(labels);
    free(text.bytes);
}

int perf_csv(int argc, char **argv)
{
    static const struct data_set sets[] = {
        {"0-255, 81% zero, x785", 785, "\n", pixel, 0.7, 8, 4.5},
        {"0-255, 81% zero, x785 CRLF", 785, "\r\n", pixel, 0.7, 0, 0},
        {"0-255, 81% zero, x5", 5, "\n", pixel, 0.7, 0, 1},
        {"%.6f x785", 785, "\n", fixed6, 0.7, 8, 1.45},
        {"%.6f x9", 9, "\n", fixed6, 0.7, 0, 1},
        {"%.9g x785", 785, "\n", general9, 0.7, 0, 1.45},
        {"%.17g x785", 785, "\n", general17, 0.7, 5.5, 1.1},
        {"%.8e x785", 785, "\n", exponent8, 0.7, 0, 0},
    };
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 11;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        rounds = 11;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (argc < 3 || strstr(sets[i].name, argv[2]) != NULL)
            measure(&sets[i], rounds);
    return 0;
}
