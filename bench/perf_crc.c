/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_crc.c - checksums against memcpy and zlib's crc32, in GB/s of one core.
 *
 * Two sizes: 256 KiB, which is in a core's own cache, as bytes are that have just been received;
 * and 256 MiB, which comes from memory. All methods take turns on the same input; medians of
 * thread CPU time. Higher is better; 1 GB is 10^9 bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bench/perf.h"
#include "formats/crc.h"

enum { ROUNDS = 15, SMALL_BYTES = 256 << 10, LARGE_BYTES = 256 << 20 };

enum method { MEMCPY, ZLIB_CRC32, TABLES_CRC64NVME, CRC32, CRC32C, CRC64NVME, METHOD_COUNT };

static const char *const names[METHOD_COUNT] = {"memcpy", "zlib crc32", "crc64nvme, tables",
                                                "crc32",  "crc32c",     "crc64nvme"};

static volatile uint64_t sink;

static void run(enum method method, const uint8_t *in, uint8_t *out, size_t len_bytes)
{
    switch (method) {
    case MEMCPY:
        memcpy(out, in, len_bytes);
        sink += out[len_bytes / 2];
        break;
    case ZLIB_CRC32:
        sink += crc32(0, in, (uInt)len_bytes);
        break;
    case TABLES_CRC64NVME:
        sink += fmt_crc_plainly(FMT_CRC64NVME, 0, in, len_bytes);
        break;
    case CRC32:
        sink += fmt_crc(FMT_CRC32, 0, in, len_bytes);
        break;
    case CRC32C:
        sink += fmt_crc(FMT_CRC32C, 0, in, len_bytes);
        break;
    case CRC64NVME:
        sink += fmt_crc(FMT_CRC64NVME, 0, in, len_bytes);
        break;
    case METHOD_COUNT:
        break;
    }
}

/* GB/s of every method, over inputs of len_bytes. The slow ones get a sixteenth of the work. */
static void measure(const uint8_t *in, uint8_t *out, size_t len_bytes, double rates[METHOD_COUNT])
{
    static double seconds[METHOD_COUNT][ROUNDS];
    size_t turns = LARGE_BYTES / len_bytes;

    for (int round = 0; round < ROUNDS; round++)
        for (int method = 0; method < METHOD_COUNT; method++) {
            int slow = method == ZLIB_CRC32 || method == TABLES_CRC64NVME;
            size_t bytes = slow && turns == 1 ? len_bytes / 16 : len_bytes;
            size_t count = slow && turns > 1 ? turns / 16 : turns;
            double start = perf_thread_seconds();

            for (size_t i = 0; i < count; i++)
                run((enum method)method, in, out, bytes);
            seconds[method][round] = (perf_thread_seconds() - start) / (double)(bytes * count);
        }
    for (int method = 0; method < METHOD_COUNT; method++) {
        qsort(seconds[method], ROUNDS, sizeof(double), perf_ascending);
        rates[method] = 1e-9 / seconds[method][ROUNDS / 2];
    }
}

int perf_crc(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    uint8_t *in = malloc(LARGE_BYTES);
    uint8_t *out = malloc(LARGE_BYTES);
    double small[METHOD_COUNT], large[METHOD_COUNT];

    if (!in || !out) {
        fprintf(stderr, "perf_crc: out of memory\n");
        return 1;
    }
    for (size_t i = 0; i < LARGE_BYTES; i++)
        in[i] = (uint8_t)(i * 2654435761u >> 13);
    memset(out, 1, LARGE_BYTES);
    measure(in, out, SMALL_BYTES, small);
    measure(in, out, LARGE_BYTES, large);
    printf("%-20s %12s %12s   (GB/s of one core)\n", "", "256 KiB", "256 MiB");
    for (int method = 0; method < METHOD_COUNT; method++)
        printf("%-20s %12.1f %12.1f\n", names[method], small[method], large[method]);
    free(in);
    free(out);
    return 0;
}
