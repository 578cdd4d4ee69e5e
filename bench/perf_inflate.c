/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_inflate.c - what inflating costs, beside the libraries themselves, in GB/s of
 * contents.
 *
 *     build/release/bench/perf_inflate [ROUNDS]
 *
 * First formats/inflate.h on one core, fed 64 KiB at a time, with the room that the inflater gives
 * it (512 KiB a call, a ring of 8 MiB), beside zlib's inflate, LZ4F_decompress and ZSTD_decompress
 * of the whole object and memcpy; thread CPU time. Then a stream of plain bytes from a file in
 * memory, compressed and not: time of the clock, and CPU time of the process for each GiB of
 * contents. All take turns; medians of ROUNDS (default 5). 1 GB is 10^9 bytes.
 */
#include "bench/perf.h"
#include "formats/inflate.h"
#include "pipe/penstock.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define MIB ((size_t)1 << 20)
#define CONTENTS_BYTES (32 * MIB)
#define ROOM_BYTES (40 * MIB)
#define RING_BYTES (8 * MIB)
#define PIECE_BYTES (MIB / 2)
#define FEED_BYTES ((size_t)64 << 10)

enum { ROUNDS_MAX = 51 };
enum kind { INT_CSV, FLOAT_CSV, FLOATS, KIND_COUNT };
enum method { MEMCPY, ZLIB, OUR_GZIP, LZ4_SAFE, LZ4F, OUR_LZ4, ZSTD, OUR_ZSTD, METHOD_COUNT };
enum stream_kind { PLAIN_FILE, GZIP_FILE, LZ4_FILE, ZSTD_FILE, BLOCKS_FILE, STREAM_KIND_COUNT };

static const char *const kind_names[] = {"whole numbers, CSV", "%.6f, CSV", "float32, 80 % zero"};
static const char *const method_names[] = {"memcpy",         "zlib",        "gzip, ISA-L",
                                           "LZ4, one block", "LZ4F, whole", "lz4",
                                           "ZSTD, one call", "zstd"};
static const char *const codec_names[] = {"none", "gzip", "lz4", "zstd", "lz4"};
static const char *const stream_names[] = {"none", "gzip", "lz4", "zstd",
                                           "lz4, independent blocks"};

/* Of its forms, the last two are lz4 as well: frames of blocks that do not depend on each other,
 * and one block without a frame. */
enum form { INDEPENDENT = FMT_CODEC_AUTO, BARE, FORM_COUNT };

struct object {
    uint8_t *bytes[FORM_COUNT]; /* by codec; NONE: the contents */
    size_t len_bytes[FORM_COUNT];
};

static uint8_t *out;
static struct fmt_inflate *inflater;
static int rounds = 5;

static void die(const char *what)
{
    fprintf(stderr, "perf_inflate: %s\n", what);
    exit(1);
}

static double median(double *numbers)
{
    return perf_median(numbers, (size_t)rounds);
}

/* ---- objects ---- */

static void make_contents(enum kind kind, uint8_t *to)
{
    uint32_t chance = 1;
    size_t len = 0;

    while (len < CONTENTS_BYTES) {
        char text[32];
        uint32_t draw = (chance = chance * 1664525u + 1013904223u) >> 8;
        float number = draw % 5 == 0 ? (float)draw / 65536 : 0;
        int n = 4;

        if (kind == INT_CSV)
            n = snprintf(text, sizeof text, "%u%c", draw % 5 == 0 ? draw % 256 : 0,
                         len % 997 < 4 ? '\n' : ',');
        else if (kind == FLOAT_CSV)
            n = snprintf(text, sizeof text, "%.6f,", (double)draw / (1 << 20));
        else
            memcpy(text, &number, sizeof number);
        memcpy(to + len, text, (size_t)n < CONTENTS_BYTES - len ? (size_t)n : CONTENTS_BYTES - len);
        len += (size_t)n;
    }
}

static size_t compress_gzip(const uint8_t *in, uint8_t *to)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)CONTENTS_BYTES};

    if (deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("deflateInit2");
    z.next_out = to;
    z.avail_out = (uInt)ROOM_BYTES;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("deflate");
    deflateEnd(&z);
    return z.total_out;
}

static struct object make_object(enum kind kind)
{
    static const LZ4F_preferences_t independent = {
        .frameInfo = {.blockSizeID = LZ4F_max256KB, .blockMode = LZ4F_blockIndependent}};
    struct object object;

    for (int codec = 0; codec < FORM_COUNT; codec++)
        if (!(object.bytes[codec] = malloc(ROOM_BYTES)))
            die("out of memory");
    const uint8_t *in = object.bytes[FMT_CODEC_NONE];

    make_contents(kind, object.bytes[FMT_CODEC_NONE]);
    object.len_bytes[FMT_CODEC_NONE] = CONTENTS_BYTES;
    object.len_bytes[FMT_CODEC_GZIP] = compress_gzip(in, object.bytes[FMT_CODEC_GZIP]);
    object.len_bytes[FMT_CODEC_LZ4] =
        LZ4F_compressFrame(object.bytes[FMT_CODEC_LZ4], ROOM_BYTES, in, CONTENTS_BYTES, NULL);
    object.len_bytes[INDEPENDENT] =
        LZ4F_compressFrame(object.bytes[INDEPENDENT], ROOM_BYTES, in, CONTENTS_BYTES, &independent);
    object.len_bytes[BARE] = (size_t)LZ4_compress_default(
        (const char *)in, (char *)object.bytes[BARE], (int)CONTENTS_BYTES, (int)ROOM_BYTES);
    object.len_bytes[FMT_CODEC_ZSTD] =
        ZSTD_compress(object.bytes[FMT_CODEC_ZSTD], ROOM_BYTES, in, CONTENTS_BYTES, 1);
    return object;
}

static void free_object(struct object *object)
{
    for (int codec = 0; codec < FORM_COUNT; codec++)
        free(object->bytes[codec]);
}

/* ---- codecs ---- */

static void run_ours(const struct object *object, enum fmt_codec codec)
{
    enum fmt_inflate_rc rc = FMT_INFLATE_OUT;
    size_t consumed = 0, made = 0, shown = 0;

    fmt_inflate_start(inflater, codec);
    while (rc == FMT_INFLATE_OUT || rc == FMT_INFLATE_IN) {
        if (rc == FMT_INFLATE_IN || shown == 0)
            shown = shown + FEED_BYTES < object->len_bytes[codec] ? shown + FEED_BYTES
                                                                  : object->len_bytes[codec];

        struct fmt_error error;
        struct fmt_inflate_step step = {.in = object->bytes[codec] + consumed,
                                        .in_bytes = shown - consumed,
                                        .at_end = shown == object->len_bytes[codec],
                                        .out = out + made % RING_BYTES,
                                        .out_bytes = PIECE_BYTES - made % PIECE_BYTES};

        rc = fmt_inflate_run(inflater, &step, &error);
        consumed += step.consumed_bytes;
        made += step.produced_bytes;
    }
    if (rc != FMT_INFLATE_END || made != CONTENTS_BYTES)
        die("our own inflate failed");
}

static void run_zlib(const struct object *object)
{
    z_stream z = {.next_in = object->bytes[FMT_CODEC_GZIP],
                  .avail_in = (uInt)object->len_bytes[FMT_CODEC_GZIP]};
    int rc = Z_OK;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        die("inflateInit2");
    while (rc == Z_OK) {
        z.next_out = out + z.total_out % RING_BYTES;
        z.avail_out = (uInt)PIECE_BYTES;
        rc = inflate(&z, Z_NO_FLUSH);
    }
    if (z.total_out != CONTENTS_BYTES)
        die("inflate");
    inflateEnd(&z);
}

static void run_lz4f(const struct object *object)
{
    LZ4F_dctx *context;
    size_t in_bytes = object->len_bytes[FMT_CODEC_LZ4], out_bytes = CONTENTS_BYTES;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) ||
        LZ4F_decompress(context, out, &out_bytes, object->bytes[FMT_CODEC_LZ4], &in_bytes, NULL) !=
            0)
        die("LZ4F_decompress");
    LZ4F_freeDecompressionContext(context);
}

static void run(enum method method, const struct object *object)
{
    switch (method) {
    case MEMCPY:
        memcpy(out, object->bytes[FMT_CODEC_NONE], CONTENTS_BYTES);
        break;
    case ZLIB:
        run_zlib(object);
        break;
    case LZ4_SAFE:
        if (LZ4_decompress_safe((const char *)object->bytes[BARE], (char *)out,
                                (int)object->len_bytes[BARE],
                                (int)CONTENTS_BYTES) != (int)CONTENTS_BYTES)
            die("LZ4_decompress_safe");
        break;
    case LZ4F:
        run_lz4f(object);
        break;
    case ZSTD:
        if (ZSTD_decompress(out, CONTENTS_BYTES, object->bytes[FMT_CODEC_ZSTD],
                            object->len_bytes[FMT_CODEC_ZSTD]) != CONTENTS_BYTES)
            die("ZSTD_decompress");
        break;
    case OUR_GZIP:
        run_ours(object, FMT_CODEC_GZIP);
        break;
    case OUR_LZ4:
        run_ours(object, FMT_CODEC_LZ4);
        break;
    case OUR_ZSTD:
        run_ours(object, FMT_CODEC_ZSTD);
        break;
    case METHOD_COUNT:
        break;
    }
}

static void measure_codecs(double rates[KIND_COUNT][METHOD_COUNT])
{
    static double seconds[METHOD_COUNT][ROUNDS_MAX];

    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct object object = make_object((enum kind)kind);

        for (int round = 0; round < rounds; round++)
            for (int method = 0; method < METHOD_COUNT; method++) {
                double start = perf_seconds(CLOCK_THREAD_CPUTIME_ID);

                run((enum method)method, &object);
                seconds[method][round] = perf_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
            }
        for (int method = 0; method < METHOD_COUNT; method++)
            rates[kind][method] = (double)CONTENTS_BYTES * 1e-9 / median(seconds[method]);
        free_object(&object);
    }
}

/* ---- streams ---- */

enum { EPOCHS = 8 };

static void read_stream(const char *path, const char *compression)
{
    struct penstock_channel_config channel;
    struct penstock_config config;
    struct penstock_error error;
    struct penstock *stream;
    const struct penstock_span *span;
    uint64_t bytes = 0;
    int rc;

    penstock_channel_config_init(&channel);
    channel.uris = &path;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.compression = compression;
    channel.epochs = EPOCHS;
    penstock_config_init(&config);
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = 64 * MIB;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        die(error.message);
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END) {
        bytes += span ? span->len_bytes : 0;
        penstock_release_span(stream, span);
    }
    if (rc != PENSTOCK_END || bytes != EPOCHS * CONTENTS_BYTES)
        die(penstock_last_error(stream, 0)->message);
    penstock_close(&stream);
}

static void measure_streams(void)
{
    static double wall[STREAM_KIND_COUNT][ROUNDS_MAX], cpu[STREAM_KIND_COUNT][ROUNDS_MAX];
    struct object object = make_object(INT_CSV);
    char path[] = "/dev/shm/penstock-perf-inflate-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0)
        die("cannot make a file in /dev/shm");
    for (int round = 0; round < rounds; round++)
        for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
            int form = kind == BLOCKS_FILE ? INDEPENDENT : kind;
            size_t len_bytes = object.len_bytes[form];

            if (ftruncate(fd, 0) != 0 ||
                pwrite(fd, object.bytes[form], len_bytes, 0) != (ssize_t)len_bytes)
                die("cannot write to /dev/shm");
            double wall_from = perf_seconds(CLOCK_MONOTONIC);
            double cpu_from = perf_seconds(CLOCK_PROCESS_CPUTIME_ID);

            read_stream(path, codec_names[kind]);
            wall[kind][round] = perf_seconds(CLOCK_MONOTONIC) - wall_from;
            cpu[kind][round] = perf_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
        }
    close(fd);
    unlink(path);
    printf("\nstream of plain bytes, %s       GB/s   CPU-s/GiB\n", kind_names[INT_CSV]);
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++)
        printf("  %-40s %10.2f %11.2f\n", stream_names[kind],
               EPOCHS * (double)CONTENTS_BYTES * 1e-9 / median(wall[kind]),
               median(cpu[kind]) / (EPOCHS * (double)CONTENTS_BYTES / (1 << 30)));
    free_object(&object);
}

int perf_inflate(int argc, char **argv)
{
    double rates[KIND_COUNT][METHOD_COUNT];

    if (argc > 1)
        rounds = (int)strtol(argv[1], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("ROUNDS is not 1 to 51");
    out = malloc(CONTENTS_BYTES);
    inflater = fmt_inflate_new(FMT_CODEC_AUTO, NULL, 64 * MIB);
    if (!out || !inflater)
        die("out of memory");
    measure_codecs(rates);
    printf("%-22s", "GB/s of one core");
    for (int method = 0; method < METHOD_COUNT; method++)
        printf(" %14s", method_names[method]);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        printf("\n%-22s", kind_names[kind]);
        for (int method = 0; method < METHOD_COUNT; method++)
            printf(" %14.2f", rates[kind][method]);
    }
    printf("\n\nrequired, of numbers as text\n");
    perf_require("gzip fed in 64 KiB / zlib", rates[INT_CSV][OUR_GZIP] / rates[INT_CSV][ZLIB], 2.2);
    perf_require("lz4 frame fed in 64 KiB / LZ4_decompress_safe",
                 rates[INT_CSV][OUR_LZ4] / rates[INT_CSV][LZ4_SAFE], 0.8);
    measure_streams();
    fmt_inflate_free(inflater);
    free(out);
    return 0;
}
