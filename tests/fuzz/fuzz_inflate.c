/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_inflate.c - compressed objects: however the bytes are handed over, the contents
 * and (but for malformed zstd) the verdict are the same; of gzip they are zlib's, of lz4 liblz4's.
 *
 * The input: a byte that chooses the codec, one to choose the steps by, and the object.
 */
#include <stdio.h>

#include "tests/inflate_drive.h"

enum { OBJECT_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Both take the object, and it holds the same; or both refuse it, and what both have of it is the
 * same. `lenient`: one of them may refuse what the other takes. */
static void compare(const char *what, const struct inflated *got, const struct inflated *expected,
                    bool lenient)
{
    size_t common = least_size(got->len_bytes, expected->len_bytes);
    bool got_ended = got->rc == FMT_INFLATE_END;
    bool ended = expected->rc == FMT_INFLATE_END;

    if (got->cut_off || expected->cut_off)
        return;
    if ((got_ended == ended || lenient) && memcmp(got->bytes, expected->bytes, common) == 0 &&
        (!got_ended || !ended || got->len_bytes == expected->len_bytes))
        return;
    fprintf(stderr, "%s: %zu bytes, %d, '%s'; expected: %zu bytes, %d\n", what, got->len_bytes,
            (int)got->rc, got->rc == FMT_INFLATE_E_FORMAT ? got->error.text : "",
            expected->len_bytes, (int)expected->rc);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fmt_inflate *inflater;
    struct inflated whole;
    struct inflated got;

    if (!inflater)
        inflater = fmt_inflate_new(FMT_CODEC_AUTO, NULL, (size_t)9 << 20);
    if (!inflater || size < 3 || size > OBJECT_BYTES_MAX)
        return 0;
    enum fmt_codec codec = (enum fmt_codec)(FMT_CODEC_GZIP + data[0] % 3);
    uint32_t seed = data[1];

    drive_inflate(inflater, codec, data + 2, size - 2, piece_all, piece_all, 0, &whole);
    drive_inflate(inflater, codec, data + 2, size - 2, piece_random,
                  seed % 2 ? piece_random : piece_all, seed, &got);
    compare("in pieces", &got, &whole, codec == FMT_CODEC_ZSTD);
    free(got.bytes);
    if (codec == FMT_CODEC_GZIP) {
        zlib_inflate(data + 2, size - 2, &got);
        compare("zlib", &got, &whole, got.bad_codes);
        free(got.bytes);
    }
    if (codec == FMT_CODEC_LZ4) {
        lz4_inflate(data + 2, size - 2, &got);
        compare("liblz4", &got, &whole, false);
        free(got.bytes);
        fmt_inflate_share(inflater, &backward_team);
        drive_inflate(inflater, codec, data + 2, size - 2, piece_all, piece_all, 0, &got);
        fmt_inflate_share(inflater, NULL);
        compare("by a team", &got, &whole, false);
        free(got.bytes);
    }
    free(whole.bytes);
    return 0;
}
