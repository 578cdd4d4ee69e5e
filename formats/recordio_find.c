/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_find.c - see recordio_find.h. */
#include "formats/recordio_find.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "formats/bytes.h"
#include "formats/recordio.h"

size_t fmt_recordio_find_magic_plainly(const uint8_t *in, size_t len, size_t from)
{
    while (from + 4 <= len && fmt_load_le32(in + from) != FMT_RECORDIO_MAGIC)
        from += 4;
    return from;
}

#ifdef __SSE2__
/* 64 bytes a turn, up to the 64 that hold one: with any processor this is faster than memory. */
static size_t pass_blocks(const uint8_t *in, size_t len, size_t from)
{
    const __m128i magic = _mm_set1_epi32((int)FMT_RECORDIO_MAGIC);
    for (; from + 64 <= len; from += 64) {
        const __m128i *block = (const __m128i *)(const void *)(in + from);
        __m128i a = _mm_cmpeq_epi32(_mm_loadu_si128(block), magic);
        __m128i b = _mm_cmpeq_epi32(_mm_loadu_si128(block + 1), magic);
        __m128i c = _mm_cmpeq_epi32(_mm_loadu_si128(block + 2), magic);
        __m128i d = _mm_cmpeq_epi32(_mm_loadu_si128(block + 3), magic);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) != 0)
            break;
    }
    return from;
}
#else
static size_t pass_blocks(const uint8_t *in, size_t len, size_t from)
{
    (void)in;
    (void)len;
    return from;
}
#endif

size_t fmt_recordio_find_magic(const uint8_t *in, size_t len, size_t from)
{
    return fmt_recordio_find_magic_plainly(in, len, pass_blocks(in, len, from));
}

enum verdict { IS_RECORD, IS_NONE, NEEDS_MORE };

/* Follows the heads of the record that may begin at in + at. */
static enum verdict follow(const uint8_t *in, size_t len, size_t at, bool at_end,
                           uint32_t body_bytes_max)
{
    bool inside = false;
    for (unsigned heads = 0; heads < FMT_RECORDIO_CHAIN_HEADS; heads++) {
        struct fmt_recordio_part part = {.len_bytes = 0};
        if (at == len && at_end)
            return heads > 0 && !inside ? IS_RECORD : IS_NONE;
        if (at > len || len - at < FMT_RECORDIO_HEAD_BYTES)
            return at_end ? IS_NONE : NEEDS_MORE;
        if (fmt_recordio_read_part(in + at, len - at, inside, &part, NULL) == FMT_E_FORMAT ||
            part.body_bytes > body_bytes_max)
            return IS_NONE;
        inside = part.flag == FMT_RECORDIO_FIRST || part.flag == FMT_RECORDIO_MIDDLE;
        at += part.len_bytes;
    }
    return IS_RECORD;
}

enum fmt_rc fmt_recordio_find(const uint8_t *in, size_t len, size_t from, uint64_t offset,
                              bool at_end, uint32_t body_bytes_max, size_t *at)
{
    from += (size_t)(-(offset + from) & 3);
    for (;; from += 4) {
        from = fmt_recordio_find_magic(in, len, from);
        enum verdict verdict =
            from + 4 > len ? NEEDS_MORE : follow(in, len, from, at_end, body_bytes_max);
        if (verdict == IS_NONE)
            continue;
        *at = from < len ? from : len;
        if (verdict == IS_RECORD)
            return FMT_OK;
        if (!at_end)
            return FMT_MORE;
        *at = len;
        return FMT_OK;
    }
}

enum fmt_rc fmt_recordio_resync(const struct fmt_options *options, const uint8_t *in, size_t len,
                                uint64_t offset, bool at_end, size_t *skip_bytes)
{
    (void)options;
    enum fmt_rc rc =
        fmt_recordio_find(in, len, 1, offset, at_end, FMT_RECORDIO_FIND_BODY_BYTES_MAX, skip_bytes);
    if (rc == FMT_MORE)
        --*skip_bytes; /* the next call looks behind its first byte, as this one did */
    return rc;
}
