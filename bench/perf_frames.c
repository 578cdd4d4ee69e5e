/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_frames.c - RecordIO and TFRecord frames, against memcpy of the same bytes.
 *
 * Objects of 64 MiB, more than any cache: frames of one length, 3184 bytes as of 784 float32 and a
 * label, and of lengths from 2 to 4 KiB; and bytes in which no record is found. All methods take
 * turns; medians of thread CPU time. Higher is better; 1 GB is 10^9 bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/perf.h"
#include "formats/bytes.h"
#include "formats/crc.h"
#include "formats/recordio.h"
#include "formats/recordio_find.h"
#include "formats/tfrecord.h"

enum { ROUNDS = 15, OBJECT_BYTES = 64 << 20, BODY_BYTES = 3176, ROWS_MAX = 1000 };

enum method {
    MEMCPY,
    WALK_EQUAL,
    WALK_MIXED,
    FIND_MAGIC,
    FIND_MAGIC_PLAINLY,
    TFRECORD_WALK,
    TFRECORD_VERIFY,
    TFRECORD_RESYNC,
    CRC32C,
    METHOD_COUNT
};

static const char *const names[METHOD_COUNT] = {
    "memcpy",
    "recordio, walk 3 KB",
    "recordio, walk 2-4 KB",
    "recordio, find",
    "recordio, find plainly",
    "tfrecord, walk 3 KB",
    "tfrecord, verify 3 KB",
    "tfrecord, find",
    "crc32c alone",
};

struct object {
    uint8_t *bytes;
    size_t len_bytes;
};

static volatile uint64_t sink;

static void fail(const char *what)
{
    fprintf(stderr, "perf_frames: %s\n", what);
    exit(1);
}

static uint8_t *allocate(void)
{
    uint8_t *bytes = malloc(OBJECT_BYTES);
    if (bytes == NULL)
        fail("out of memory");
    for (size_t i = 0; i < OBJECT_BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    return bytes;
}

static void put_u32(uint8_t *out, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(word >> 8 * i);
}

static struct object make_recordio(size_t spread_bytes)
{
    struct object object = {.bytes = allocate()};
    uint32_t lot = 1;
    for (;;) {
        lot = lot * 1664525u + 1013904223u;
        size_t body_bytes = spread_bytes == 0 ? BODY_BYTES : 2048 + (lot >> 8) % spread_bytes;
        size_t len = FMT_RECORDIO_HEAD_BYTES + ((body_bytes + 3) & ~(size_t)3);
        if (len > OBJECT_BYTES - object.len_bytes)
            return object;
        put_u32(object.bytes + object.len_bytes, FMT_RECORDIO_MAGIC);
        put_u32(object.bytes + object.len_bytes + 4, (uint32_t)body_bytes);
        object.len_bytes += len;
    }
}

static struct object make_tfrecord(void)
{
    struct object object = {.bytes = allocate()};
    size_t len = FMT_TFRECORD_HEAD_BYTES + BODY_BYTES + FMT_TFRECORD_TAIL_BYTES;
    for (; len <= OBJECT_BYTES - object.len_bytes; object.len_bytes += len) {
        uint8_t *record = object.bytes + object.len_bytes;
        uint8_t *data = record + FMT_TFRECORD_HEAD_BYTES;
        put_u32(record, BODY_BYTES);
        put_u32(record + 4, 0);
        put_u32(record + 8, fmt_tfrecord_sum(record, 8));
        put_u32(data + BODY_BYTES, fmt_tfrecord_sum(data, BODY_BYTES));
    }
    return object;
}

/* Cuts the whole object as the framer does: at most 512 KiB at a time. */
static void walk(const struct object *object, const struct fmt_ops *ops)
{
    for (size_t at = 0; at < object->len_bytes;) {
        struct fmt_cut cut = {.rows = 0};
        size_t left = object->len_bytes - at;
        size_t len = left < 512 << 10 ? left : 512 << 10;
        if (ops->cut(NULL, object->bytes + at, len, at == 0, len == left, ROWS_MAX, &cut, NULL) !=
            FMT_OK)
            fail("a record was not cut");
        at += cut.len_bytes;
        sink += cut.rows;
    }
}

static void verify(const struct object *object)
{
    struct fmt_tfrecord record;
    for (size_t at = 0; at < object->len_bytes; at += record.len_bytes)
        if (fmt_tfrecord_read(object->bytes + at, object->len_bytes - at, &record, NULL) != FMT_OK)
            fail("a record was not good");
}

/* All that the methods work on. */
struct input {
    struct object equal, mixed, tfrecord, noise;
    uint8_t *copy;
};

static void run(enum method method, const struct input *input)
{
    size_t skip_bytes = 0;
    switch (method) {
    case MEMCPY:
        memcpy(input->copy, input->equal.bytes, input->equal.len_bytes);
        sink += input->copy[input->equal.len_bytes / 2];
        break;
    case WALK_EQUAL:
        walk(&input->equal, &fmt_recordio_protobuf);
        break;
    case WALK_MIXED:
        walk(&input->mixed, &fmt_recordio_protobuf);
        break;
    case FIND_MAGIC:
        sink += fmt_recordio_find_magic(input->noise.bytes, OBJECT_BYTES, 0);
        break;
    case FIND_MAGIC_PLAINLY:
        sink += fmt_recordio_find_magic_plainly(input->noise.bytes, OBJECT_BYTES, 0);
        break;
    case TFRECORD_WALK:
        walk(&input->tfrecord, &fmt_tfrecord);
        break;
    case TFRECORD_VERIFY:
        verify(&input->tfrecord);
        break;
    case TFRECORD_RESYNC:
        (void)fmt_tfrecord_resync(NULL, input->noise.bytes, OBJECT_BYTES, 0, true, &skip_bytes);
        sink += skip_bytes;
        break;
    case CRC32C:
        sink += fmt_crc(FMT_CRC32C, 0, input->noise.bytes, OBJECT_BYTES);
        break;
    case METHOD_COUNT:
        break;
    }
}

int perf_frames(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static double seconds[METHOD_COUNT][ROUNDS];
    double rates[METHOD_COUNT];
    struct input input = {.equal = make_recordio(0),
                          .mixed = make_recordio(2048),
                          .tfrecord = make_tfrecord(),
                          .noise = {allocate(), OBJECT_BYTES},
                          .copy = allocate()};
    for (int round = 0; round < ROUNDS; round++)
        for (enum method method = 0; method < METHOD_COUNT; method++) {
            double start = perf_thread_seconds();
            run(method, &input);
            seconds[method][round] = perf_thread_seconds() - start;
        }
    printf("%-24s %8s %8s   (one thread, medians of %d rounds)\n", "", "GB/s", "x memcpy", ROUNDS);
    for (int method = 0; method < METHOD_COUNT; method++) {
        qsort(seconds[method], ROUNDS, sizeof(double), perf_ascending);
        rates[method] = OBJECT_BYTES * 1e-9 / seconds[method][ROUNDS / 2];
        printf("%-24s %8.1f %8.2f\n", names[method], rates[method], rates[method] / rates[MEMCPY]);
    }
    double ratio = rates[WALK_EQUAL] / rates[MEMCPY];
    perf_require("walking equal frames of 3 KB / memcpy", ratio, 4);
    free(input.equal.bytes);
    free(input.mixed.bytes);
    free(input.tfrecord.bytes);
    free(input.noise.bytes);
    free(input.copy);
    return 0;
}
