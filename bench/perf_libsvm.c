/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_libsvm.c - libsvm: cut and decode per core, against a loop of strtof and strtoul as
 * most readers have it.
 *
 *     build/release/bench/perf_libsvm [ROUNDS [NAME]]
 *
 * Generated rows in memory, blocks of 256 rows as a decode thread gets them. Methods take turns,
 * thread CPU time, medians of ROUNDS (default 11).
 */
#include "bench/perf_text.h"
#include "formats/libsvm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 256, ROUNDS_MAX = 101, TEXT_BYTES = 16 << 20, ROW_BYTES_MAX = 8192 };
enum method { MEMCHR, CUT, DECODE, STRTOF, METHODS };

struct data_set {
    const char *name;
    uint32_t entries;  /* of a row */
    uint32_t step_max; /* between its indices */
    const char *value; /* printf format; NULL: "1" */
    const char *head;
    const char *row_end;
    double strtof; /* how many times the loop's rate is required */
};

struct text {
    char *bytes;
    size_t len;
    uint32_t rows;
    uint64_t entries;
};

static uint32_t below(uint32_t n)
{
    return (uint32_t)((perf_random() >> 11) % n);
}

static struct text make_text(const struct data_set *set)
{
    struct text text = {.bytes = perf_need(malloc(TEXT_BYTES))};
    while (text.len + ROW_BYTES_MAX < TEXT_BYTES) {
        char *row = text.bytes + text.len;
        uint32_t index = 0;
        size_t n = (size_t)snprintf(row, 64, set->head, below(2), text.rows / 50);
        for (uint32_t i = 0; i < set->entries; i++) {
            index += 1 + below(set->step_max);
            n += (size_t)snprintf(row + n, 32, " %u:", index);
            if (set->value == NULL)
                row[n++] = '1';
            else
                n += (size_t)snprintf(row + n, 32, set->value, (double)below(1u << 30) / (1 << 30));
        }
        n += (size_t)snprintf(row + n, 8, "%s", set->row_end);
        text.len += n;
        text.entries += set->entries;
        text.rows++;
    }
    return text;
}

static volatile float sink;

/* One line after the other, an entry at a time. */
static void run_strtof(const struct text *text)
{
    char *p = text->bytes;
    const char *end = text->bytes + text->len;
    float sum = 0;
    while (p < end) {
        sum += strtof(p, &p);
        if (p + 5 < end && memcmp(p, " qid:", 5) == 0)
            sum += (float)strtoul(p + 5, &p, 10);
        while (p < end && *p == ' ' && p[1] != '\n') {
            sum += (float)strtoul(p + 1, &p, 10);
            sum += strtof(p + 1, &p);
        }
        while (p < end && (*p == '\n' || *p == ' '))
            p++;
    }
    sink = sum;
}

/* Cuts blocks of rows; decodes them too if there is a decoder. */
static void run_libsvm(const struct text *text, const struct fmt_options *options,
                       struct fmt_decoder *decoder, struct fmt_rows *out)
{
    struct fmt_error error = {.text = ""};
    const uint8_t *in = (const uint8_t *)text->bytes;
    uint64_t entries = 0;
    size_t rows = 0;
    for (size_t at = 0; at < text->len;) {
        struct fmt_cut cut = {0};
        enum fmt_rc rc = fmt_libsvm.cut(options, in + at, text->len - at, at == 0, true, BLOCK_ROWS,
                                        &cut, &error);
        struct fmt_span span = {.in = in + at, .len = cut.len_bytes, .rows = cut.rows};
        out->entries.count = 0;
        if (rc == FMT_OK && decoder != NULL)
            rc = fmt_libsvm.decode(decoder, &span, out, &error);
        if (rc != FMT_OK) {
            fprintf(stderr, "perf_libsvm: %s\n", error.text);
            exit(1);
        }
        entries += out->entries.count;
        rows += cut.rows;
        at += cut.len_bytes;
    }
    if (rows != text->rows || (decoder != NULL && entries != text->entries))
        exit(1);
}

static void run(enum method method, const struct text *text, const struct fmt_options *options,
                struct fmt_decoder *decoder, struct fmt_rows *out)
{
    switch (method) {
    case MEMCHR:
        perf_find_lines(text->bytes, text->len, text->rows);
        break;
    case CUT:
        run_libsvm(text, options, NULL, out);
        break;
    case DECODE:
        run_libsvm(text, options, decoder, out);
        break;
    case STRTOF:
        run_strtof(text);
        break;
    case METHODS:
        break;
    }
}

static void measure(const struct data_set *set, size_t rounds)
{
    static double times[METHODS][ROUNDS_MAX];
    static float labels[BLOCK_ROWS];
    static uint64_t groups[BLOCK_ROWS];
    static uint32_t ends[BLOCK_ROWS];
    struct text text = make_text(set);
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_error error = {.text = ""};
    if (fmt_options_parse("text/libsvm", &options, &error) != FMT_OK ||
        fmt_libsvm.learn(&options, (const uint8_t *)text.bytes, text.len, &shape, &error) !=
            FMT_OK) {
        fprintf(stderr, "perf_libsvm: %s\n", error.text);
        exit(1);
    }
    struct fmt_decoder *decoder = perf_need(fmt_libsvm.decoder_new(&options, &shape));
    struct fmt_rows out = {.labels = labels, .groups = groups, .entry_ends = ends};
    for (size_t i = 0; i < rounds; i++) {
        for (enum method m = 0; m < METHODS; m++) {
            double start = perf_thread_seconds();
            run(m, &text, &options, decoder, &out);
            times[m][i] = perf_thread_seconds() - start;
        }
    }
    double seconds[METHODS];
    for (size_t m = 0; m < METHODS; m++)
        seconds[m] = perf_median(times[m], rounds);
    double bytes = (double)text.len;
    double entries = (double)text.entries;
    printf("%-30s %4.1f B | memchr %5.2f GB/s cut %5.2f (%.2fx) | cut+decode %5.0f MB/s %5.1f "
           "Mentry/s | strtof %4.0f MB/s %4.1fx\n",
           set->name, bytes / entries, bytes / seconds[MEMCHR] / 1e9, bytes / seconds[CUT] / 1e9,
           seconds[MEMCHR] / seconds[CUT], bytes / seconds[DECODE] / 1e6,
           entries / seconds[DECODE] / 1e6, bytes / seconds[STRTOF] / 1e6,
           seconds[STRTOF] / seconds[DECODE]);
    perf_require("cut + decode / strtof", seconds[STRTOF] / seconds[DECODE], set->strtof);
    fmt_libsvm.decoder_free(decoder);
    fmt_options_free(&options);
    free(out.entries.columns);
    free(out.entries.values);
    free(text.bytes);
}

int perf_libsvm(int argc, char **argv)
{
    static const struct data_set sets[] = {
        {"one-hot 1, 14 of 123 (a9a)", 14, 17, NULL, "%u", " \n", 4},
        {"%.6f, 150 of 784", 150, 10, "%.6f", "%u", "\n", 4},
        {"%.9g, 75 of 47,236 (rcv1)", 75, 1200, "%.9g", "%u", "\n", 4},
        {"%g, 136 of 136, qid (mslr)", 136, 1, "%g", "%u qid:%u", "\n", 4},
        {"%.17g, 30 of 1,000,000", 30, 60000, "%.17g", "%u", "\n", 4},
    };
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 11;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        rounds = 11;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (argc < 3 || strstr(sets[i].name, argv[2]) != NULL)
            measure(&sets[i], rounds);
    return 0;
}
