/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_unpack.c - see parquet_page.h: pages decompressed, each in one call. gzip is
 * formats/inflate.h's.
 *
 * LZ4 is what Hadoop wrote under that name: blocks with the lengths of what they hold and of
 * themselves in front, big-endian. Some writers left them out; LZ4_RAW then came to mean that.
 */
#include "formats/inflate_codecs.h"
#include "formats/parquet_page.h"

#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <snappy-c.h>
#include <zstd.h>

enum codec { UNCOMPRESSED, SNAPPY, GZIP, LZO, BROTLI, LZ4, ZSTD, LZ4_RAW, CODECS };

enum { HADOOP_HEAD_BYTES = 8 };

struct fmt_pq_unpacker {
    ZSTD_DCtx *zstd;
    void *gzip;
};

struct fmt_pq_unpacker *fmt_pq_unpacker_new(void)
{
    struct fmt_pq_unpacker *unpacker = calloc(1, sizeof *unpacker);

    if (!unpacker)
        return NULL;
    unpacker->zstd = ZSTD_createDCtx();
    unpacker->gzip = fmt_codec_gzip.open(NULL, 0);
    if (unpacker->zstd && unpacker->gzip)
        return unpacker;
    fmt_pq_unpacker_free(unpacker);
    return NULL;
}

void fmt_pq_unpacker_free(struct fmt_pq_unpacker *unpacker)
{
    if (!unpacker)
        return;
    ZSTD_freeDCtx(unpacker->zstd);
    fmt_codec_gzip.close(unpacker->gzip);
    free(unpacker);
}

bool fmt_pq_is_packed(uint32_t codec)
{
    return codec != UNCOMPRESSED;
}

const char *fmt_pq_refused_codec(uint32_t codec)
{
    if (codec == LZO)
        return "LZO";
    if (codec == BROTLI)
        return "Brotli";
    return codec < CODECS ? NULL : "a codec that is not known here";
}

static const char *unpack_snappy(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    size_t told_bytes = 0;

    if (snappy_uncompressed_length((const char *)in, in_bytes, &told_bytes) != SNAPPY_OK ||
        told_bytes != out_bytes ||
        snappy_uncompress((const char *)in, in_bytes, (char *)out, &told_bytes) != SNAPPY_OK)
        return "its Snappy data are corrupt";
    return NULL;
}

static const char *unpack_gzip(struct fmt_pq_unpacker *unpacker, const uint8_t *in, size_t in_bytes,
                               uint8_t *out, size_t out_bytes)
{
    uint8_t beyond;
    struct fmt_error ignored;
    struct fmt_inflate_step step = {.in = in,
                                    .in_bytes = in_bytes,
                                    .at_end = true,
                                    .out = out_bytes > 0 ? out : &beyond,
                                    .out_bytes = out_bytes > 0 ? out_bytes : 1};

    fmt_codec_gzip.start(unpacker->gzip);
    enum fmt_inflate_rc rc = fmt_codec_gzip.run(unpacker->gzip, &step, 0, &ignored);
    size_t produced_bytes = step.produced_bytes;

    if (rc == FMT_INFLATE_OUT && produced_bytes == out_bytes) { /* its end may be still to come */
        step.in += step.consumed_bytes;
        step.in_bytes -= step.consumed_bytes;
        step.consumed_bytes = step.produced_bytes = 0;
        step.out = &beyond;
        step.out_bytes = 1;
        rc = fmt_codec_gzip.run(unpacker->gzip, &step, 0, &ignored);
        produced_bytes += step.produced_bytes;
    }
    return rc == FMT_INFLATE_END && produced_bytes == out_bytes ? NULL
                                                                : "its gzip data are corrupt";
}

static const char *unpack_zstd(struct fmt_pq_unpacker *unpacker, const uint8_t *in, size_t in_bytes,
                               uint8_t *out, size_t out_bytes)
{
    size_t got_bytes = ZSTD_decompressDCtx(unpacker->zstd, out, out_bytes, in, in_bytes);

    return !ZSTD_isError(got_bytes) && got_bytes == out_bytes ? NULL : "its zstd data are corrupt";
}

static bool unpack_lz4_raw(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    if (in_bytes > INT32_MAX || out_bytes > INT32_MAX)
        return false;
    int got_bytes =
        LZ4_decompress_safe((const char *)in, (char *)out, (int)in_bytes, (int)out_bytes);

    return got_bytes >= 0 && (size_t)got_bytes == out_bytes;
}

static size_t load_be32(const uint8_t *in)
{
    return (size_t)in[0] << 24 | (size_t)in[1] << 16 | (size_t)in[2] << 8 | in[3];
}

static bool unpack_lz4_hadoop(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    while (in_bytes >= HADOOP_HEAD_BYTES) {
        size_t block_bytes = load_be32(in);
        size_t packed_bytes = load_be32(in + 4);

        in += HADOOP_HEAD_BYTES;
        in_bytes -= HADOOP_HEAD_BYTES;
        if (block_bytes > out_bytes || packed_bytes > in_bytes ||
            !unpack_lz4_raw(in, packed_bytes, out, block_bytes))
            return false;
        in += packed_bytes;
        in_bytes -= packed_bytes;
        out += block_bytes;
        out_bytes -= block_bytes;
    }
    return in_bytes == 0 && out_bytes == 0;
}

const char *fmt_pq_unpack(struct fmt_pq_unpacker *unpacker, uint32_t codec, const uint8_t *in,
                          size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    switch ((enum codec)codec) {
    case UNCOMPRESSED:
        if (in_bytes != out_bytes)
            return "it is not compressed, but has two lengths";
        memcpy(out, in, in_bytes);
        return NULL;
    case SNAPPY:
        return unpack_snappy(in, in_bytes, out, out_bytes);
    case GZIP:
        return unpack_gzip(unpacker, in, in_bytes, out, out_bytes);
    case ZSTD:
        return unpack_zstd(unpacker, in, in_bytes, out, out_bytes);
    case LZ4:
        if (unpack_lz4_hadoop(in, in_bytes, out, out_bytes))
            return NULL;
        return unpack_lz4_raw(in, in_bytes, out, out_bytes) ? NULL : "its LZ4 data are corrupt";
    case LZ4_RAW:
        return unpack_lz4_raw(in, in_bytes, out, out_bytes) ? NULL : "its LZ4 data are corrupt";
    case LZO:
    case BROTLI:
    case CODECS:
        break;
    }
    return "its codec cannot be read here";
}
