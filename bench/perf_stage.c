/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_stage.c - what it costs that rows get their places after they are decoded, and what
 * bad records, windows of shuffled rows and samples add to it; and what is left of it where records
 * are lent as they were received, and only their labels are looked at.
 *
 *     build/release/bench/perf_stage [ROUNDS]
 *
 * Reads generated files from /dev/shm through the whole pipe, variants interleaved, medians of
 * ROUNDS (default 9). The ratio is of the CPU time of the whole process for as many bytes, against
 * the variant named; what the clock shows depends on the other jobs of the machine.
 */
#include "bench/perf_folder.h"
#include "pipe/penstock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS_MAX = 51, EPOCHS = 2 };

/* ---- data ---- */

static FILE *create(const char *name)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", perf_folder, name);
    FILE *out = fopen(path, "wb");

    if (!out)
        perf_die(path, strerror(errno));
    return out;
}

static void finish(FILE *out)
{
    if (fclose(out) != 0)
        perf_die(perf_folder, strerror(errno));
}

/* A record of `dim` float32 and a label: `bad` ones end in the middle of the features. */
static void put_record(FILE *out, unsigned dim, unsigned number, bool bad)
{
    static unsigned char bytes[8192];
    float *floats = (float *)(void *)(bytes + 28);
    unsigned packed = 4 * dim;
    unsigned lens[4] = {packed + 17, packed + 6, packed + 3, packed};
    static const char tags[4][9] = {"\x0a", "\x0a\x06values\x12", "\x12", "\x0a"};
    static const unsigned char label[16] = {0x12, 0x12, 0x0a, 6,    'v',  'a',  'l',  'u',
                                            'e',  's',  0x12, 0x08, 0x12, 0x06, 0x0a, 0x04};
    unsigned at = 8;

    memcpy(bytes, "\x0a\x23\xd7\xce", 4);
    for (int i = 0; i < 4; i++) { /* lengths of two bytes: dim is 32 .. 4091 */
        size_t len = i == 1 ? 9 : 1;

        memcpy(bytes + at, tags[i], len);
        at += (unsigned)len;
        bytes[at++] = (unsigned char)(lens[i] | 128);
        bytes[at++] = (unsigned char)(lens[i] >> 7);
    }
    for (unsigned i = 0; i < dim; i++)
        floats[i] = (float)((number * 31 + i) % 256);
    if (bad)
        bytes[9] ^= 0x20; /* the outermost length */
    memcpy(bytes + at + packed, label, sizeof label);
    at += packed + (unsigned)sizeof label;
    memcpy(bytes + at, &(float){(float)(number % 10)}, 4);
    at += 4;
    memcpy(bytes + 4, &(unsigned){at - 8}, 4);
    if (fwrite(bytes, at, 1, out) != 1)
        perf_die(perf_folder, strerror(errno));
}

static void put_csv(FILE *out, unsigned dim, unsigned number, bool bad)
{
    fprintf(out, "%u", number % 10);
    for (unsigned i = 0; i < dim; i++)
        fprintf(out, ",%u.%04u", (number * 31 + i) % 256, (number * 7919 + i * 104729) % 10000);
    fputs(bad ? ",x\n" : "\n", out);
}

static void put_libsvm(FILE *out, unsigned dim, unsigned number, bool bad)
{
    fprintf(out, "%u", number % 10);
    for (unsigned i = 0; i < dim; i++)
        fprintf(out, " %u:%u.%04u", i * 1000 + (number * 31 + i) % 1000, number % 7,
                (number * 7919 + i * 104729) % 10000);
    fputs(bad ? " x:1\n" : "\n", out);
}

typedef void (*put_fn)(FILE *out, unsigned dim, unsigned number, bool bad);

/* `name`, and `name`.bad, of whose records one in a thousand is bad. */
static void make(const char *name, put_fn put, unsigned dim, unsigned records)
{
    char bad_name[64];

    snprintf(bad_name, sizeof bad_name, "%s.bad", name);
    FILE *out = create(name);
    FILE *bad_out = create(bad_name);

    for (unsigned i = 0; i < records; i++) {
        put(out, dim, i, false);
        put(bad_out, dim, i, i % 1000 == 500);
    }
    finish(out);
    finish(bad_out);
}

/* ---- one run ---- */

struct variant {
    const char *name, *file, *content_type, *bad_records;
    uint64_t shuffle_rows;
    double sample_to;
    int against; /* which of the variants the ratio is against */
    bool lend;
};

static const char PB[] = "application/x-recordio-protobuf";
static const char CSV[] = "text/csv;label_size=1";
static const char LIBSVM[] = "text/libsvm";

static const struct variant variants[] = {
    {"recordio-protobuf 784 f32, direct", "wide", PB, "error", 0, 1, 0, false},
    {"  staged (skip, none bad)", "wide", PB, "skip", 0, 1, 0, false},
    {"  0.1 % bad", "wide.bad", PB, "skip", 0, 1, 1, false},
    {"  rows shuffled in windows of 8000", "wide", PB, "skip", 8000, 1, 1, false},
    {"  a sample of 0.9", "wide", PB, "skip", 0, 0.9, 1, false},
    {"recordio-protobuf 32 f32, direct", "narrow", PB, "error", 0, 1, 5, false},
    {"  staged (skip, none bad)", "narrow", PB, "skip", 0, 1, 5, false},
    {"  0.1 % bad", "narrow.bad", PB, "skip", 0, 1, 6, false},
    {"  rows shuffled in windows of 8000", "narrow", PB, "skip", 8000, 1, 6, false},
    {"  a sample of 0.9", "narrow", PB, "skip", 0, 0.9, 6, false},
    {"CSV of 33 columns, direct", "csv", CSV, "error", 0, 1, 10, false},
    {"  staged (skip, none bad)", "csv", CSV, "skip", 0, 1, 10, false},
    {"  0.1 % bad", "csv.bad", CSV, "skip", 0, 1, 11, false},
    {"  rows shuffled in windows of 8000", "csv", CSV, "skip", 8000, 1, 11, false},
    {"libsvm of 20 entries a row (staged)", "libsvm", LIBSVM, "error", 0, 1, 14, false},
    {"  rows shuffled in windows of 8000", "libsvm", LIBSVM, "error", 8000, 1, 14, false},
    {"recordio-protobuf 784 f32, lent", "wide", PB, "error", 0, 1, 0, true},
    {"recordio-protobuf 32 f32, lent", "narrow", PB, "error", 0, 1, 5, true},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

struct result {
    double cpu_ns_per_byte;
    double gb_per_s;
};

/* What a trainer does on the host with a batch that it copies to a device. */
static float look_at_labels(const struct penstock_batch *batch)
{
    float sum = 0.0F;

    for (uint32_t i = 0; i < batch->run_count; i++) {
        const char *at = (const char *)batch->runs[i].data + batch->labels_offset;

        for (uint32_t row = 0; row < batch->runs[i].rows; row++, at += batch->stride_bytes) {
            float label;

            memcpy(&label, at, sizeof label);
            sum += label;
        }
    }
    return sum;
}

static struct result run(const struct variant *variant)
{
    static struct penstock_error error;
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock *stream;
    const struct penstock_batch *batch;
    struct penstock_counters counters;
    char path[300];
    const char *uri = path;
    int rc;

    snprintf(path, sizeof path, "%s/%s", perf_folder, variant->file);
    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = (size_t)256 << 20;
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.content_type = variant->content_type;
    channel.bad_records = variant->bad_records;
    channel.shuffle_rows = variant->shuffle_rows;
    channel.sample_to = variant->sample_to;
    channel.epochs = EPOCHS;
    channel.lend_records = variant->lend;
    double start = perf_seconds(CLOCK_MONOTONIC);
    double cpu_start = perf_seconds(CLOCK_PROCESS_CPUTIME_ID);

    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        perf_die(path, error.message);
    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        if (rc == PENSTOCK_OK && (batch->run_count > 0) != variant->lend)
            perf_die(path, "a batch is lent that should not be, or is not");
        if (rc == PENSTOCK_OK && variant->lend && look_at_labels(batch) < 0.0F)
            perf_die(path, "the labels are wrong");
        penstock_release(stream, batch);
    }
    if (rc < 0)
        perf_die(path, penstock_last_error(stream, 0)->message);
    double took = perf_seconds(CLOCK_MONOTONIC) - start;
    double cpu = perf_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;

    penstock_get_counters(stream, 0, &counters);
    penstock_close(&stream);
    if ((counters.records_bad > 0) != (strstr(variant->file, ".bad") != NULL))
        perf_die(path, "other records are bad than should be");
    return (struct result){.cpu_ns_per_byte = cpu * 1e9 / (double)counters.bytes_received,
                           .gb_per_s = (double)counters.bytes_received / took / 1e9};
}

/* The values stay in the order of rounds. */
static double median(const double *values, size_t count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, count * sizeof *sorted);
    return perf_median(sorted, count);
}

int main(int argc, char **argv)
{
    static double cost[VARIANTS][ROUNDS_MAX], rate[VARIANTS][ROUNDS_MAX];
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 9;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        perf_die("rounds", "must be 1 to 51");
    perf_folder_make("/dev/shm");
    make("wide", put_record, 784, 60000);
    make("narrow", put_record, 32, 600000);
    make("csv", put_csv, 32, 150000);
    make("libsvm", put_libsvm, 20, 150000);
    for (int i = 0; i < rounds; i++)
        for (int v = 0; v < VARIANTS; v++) {
            struct result result = run(&variants[v]);

            cost[v][i] = result.cpu_ns_per_byte;
            rate[v][i] = result.gb_per_s;
        }
    printf("%-44s %10s %8s %10s\n", "", "CPU ns/B", "GB/s", "CPU ratio");
    for (int v = 0; v < VARIANTS; v++) {
        double ratios[ROUNDS_MAX];

        for (int i = 0; i < rounds; i++)
            ratios[i] = cost[variants[v].against][i] / cost[v][i];
        printf("%-44s %10.3f %8.2f %10.2f\n", variants[v].name, median(cost[v], (size_t)rounds),
               median(rate[v], (size_t)rounds), median(ratios, (size_t)rounds));
    }
    return 0;
}
