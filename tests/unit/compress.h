/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/compress.h - compressed objects for the tests of streams, by the usual libraries.
 */
#ifndef TESTS_UNIT_COMPRESS_H
#define TESTS_UNIT_COMPRESS_H

#include "formats/inflate.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct compressed {
    uint8_t *bytes;
    size_t len_bytes;
};

static inline void compress_gzip(struct compressed *to, size_t room, const uint8_t *in, size_t len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len};

    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = to->bytes + to->len_bytes;
    z.avail_out = (uInt)(room - to->len_bytes);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->len_bytes += z.total_out;
    deflateEnd(&z);
}

/* One member or frame; nothing but the bytes for FMT_CODEC_NONE. */
static inline void compress_one(struct compressed *to, size_t room, enum fmt_codec codec,
                                const uint8_t *in, size_t len)
{
    /* Blocks that several threads inflate at once, or that depend on each other. */
    const LZ4F_preferences_t lz4 = {
        .frameInfo = {.blockMode = len % 2 ? LZ4F_blockIndependent : LZ4F_blockLinked,
                      .contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    size_t made = len;

    if (codec == FMT_CODEC_GZIP) {
        compress_gzip(to, room, in, len);
        return;
    }
    if (codec == FMT_CODEC_LZ4)
        made = LZ4F_compressFrame(to->bytes + to->len_bytes, room - to->len_bytes, in, len, &lz4);
    else if (codec == FMT_CODEC_ZSTD)
        made = ZSTD_compress(to->bytes + to->len_bytes, room - to->len_bytes, in, len, 1);
    else
        memcpy(to->bytes + to->len_bytes, in, len);
    assert_false(LZ4F_isError(made) || ZSTD_isError(made));
    to->len_bytes += made;
}

/* In `parts` members or frames; the caller frees. */
static inline struct compressed compress_parts(enum fmt_codec codec, const uint8_t *in, size_t len,
                                               size_t parts)
{
    size_t room = len + len / 8 + 4096 * parts;
    struct compressed to = {.bytes = malloc(room)};

    assert_non_null(to.bytes);
    for (size_t i = 0; i < parts; i++) {
        size_t from = len / parts * i;
        size_t end = i + 1 == parts ? len : len / parts * (i + 1);

        compress_one(&to, room, codec, in + from, end - from);
    }
    return to;
}

#endif
