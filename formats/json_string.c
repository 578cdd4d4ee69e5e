/* SPDX-License-Identifier: Apache-2.0 */
/* formats/json_string.c - see json_string.h. */
#include "formats/json_string.h"

#include <string.h>

#define ONES 0x0101010101010101u
#define TOPS 0x8080808080808080u

/* The length of the UTF-8 sequence of several bytes at `in`, 0 if it is none (RFC 3629, 4). */
static size_t sequence_bytes(const uint8_t *in, size_t len)
{
    if (in[0] < 0xe0) {
        return in[0] >= 0xc2 && len >= 2 && (in[1] & 0xc0) == 0x80 ? 2 : 0;
    } else if (in[0] < 0xf0) {
        /* After E0 and ED only half of the second bytes: the rest is overlong, or a surrogate. */
        uint8_t least = in[0] == 0xe0 ? 0xa0 : 0x80;
        uint8_t most = in[0] == 0xed ? 0x9f : 0xbf;

        return len >= 3 && in[1] >= least && in[1] <= most && (in[2] & 0xc0) == 0x80 ? 3 : 0;
    } else if (in[0] < 0xf5) {
        uint8_t least = in[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t most = in[0] == 0xf4 ? 0x8f : 0xbf;

        return len >= 4 && in[1] >= least && in[1] <= most && (in[2] & 0xc0) == 0x80 &&
                       (in[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

/* From `at`, where a byte above ASCII stands, over those that follow it; as far if it is no UTF-8.
 */
static size_t pass_sequences(const uint8_t *in, size_t len, size_t at)
{
    while (at < len && in[at] >= 0x80) {
        size_t bytes = sequence_bytes(in + at, len - at);

        if (bytes == 0)
            return at;
        at += bytes;
    }
    return at;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The length of what is plain ASCII at `in`, eight bytes at a time. */
static size_t ascii_base(const uint8_t *in, size_t len)
{
    size_t at = 0;

    for (; len - at >= 8; at += 8) {
        uint64_t v;
        memcpy(&v, in + at, 8);
        uint64_t quote = v ^ (ONES * '"');
        uint64_t escape = v ^ (ONES * '\\');

        /* Each subtraction sets a byte's top bit if it borrows; whether, not where, is exact. */
        if (((v - ONES * 0x20) | (quote - ONES) | (escape - ONES) | v) & TOPS)
            break;
    }
    while (at < len && is_plain(in[at]))
        at++;
    return at;
}

size_t fmt_json_plain_base(const uint8_t *in, size_t len)
{
    size_t at = 0;

    for (;;) {
        at += ascii_base(in + at, len - at);
        size_t passed = pass_sequences(in, len, at);

        if (passed == at)
            return at;
        at = passed;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* 16 bytes at a time, which every x86-64 has: names and short texts end here. */
#define SHORT_BYTES 64

/* Bit i: byte i is not plain ASCII. */
static inline unsigned odd_bytes_sse2(const uint8_t *in)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)in);
    __m128i odd =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

    /* As signed numbers bytes above ASCII are below the blank too. */
    odd = _mm_or_si128(odd, _mm_cmpgt_epi8(_mm_set1_epi8(' '), v));
    return (unsigned)_mm_movemask_epi8(odd);
}

__attribute__((target("avx2"))) static size_t ascii_avx2(const uint8_t *in, size_t len)
{
    const __m256i quote = _mm256_set1_epi8('"');
    const __m256i escape = _mm256_set1_epi8('\\');
    const __m256i blank = _mm256_set1_epi8(' ');
    size_t at = 0;

    for (; len - at >= 32; at += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(in + at));
        __m256i odd = _mm256_or_si256(_mm256_cmpeq_epi8(v, quote), _mm256_cmpeq_epi8(v, escape));
        unsigned mask =
            (unsigned)_mm256_movemask_epi8(_mm256_or_si256(odd, _mm256_cmpgt_epi8(blank, v)));

        if (mask != 0)
            return at + (size_t)__builtin_ctz(mask);
    }
    while (at < len && is_plain(in[at]))
        at++;
    return at;
}

static inline size_t ascii_short(const uint8_t *in, size_t len, bool *ended)
{
    size_t most = len < SHORT_BYTES ? len : SHORT_BYTES;
    size_t at = 0;

    *ended = true;
    for (; most - at >= 16; at += 16) {
        unsigned mask = odd_bytes_sse2(in + at);

        if (mask != 0)
            return at + (size_t)__builtin_ctz(mask);
    }
    if (at == SHORT_BYTES) {
        *ended = false;
        return at;
    }
    while (at < len && is_plain(in[at]))
        at++;
    return at;
}

size_t fmt_json_plain(const uint8_t *in, size_t len)
{
    bool avx2 = __builtin_cpu_supports("avx2");
    size_t at = 0;

    for (;;) {
        bool ended;

        at += ascii_short(in + at, len - at, &ended);
        if (!ended)
            at += avx2 ? ascii_avx2(in + at, len - at) : ascii_base(in + at, len - at);
        if (at == len || in[at] < 0x80)
            return at;
        size_t passed = pass_sequences(in, len, at);

        if (passed == at)
            return at;
        at = passed;
    }
}

#else

size_t fmt_json_plain(const uint8_t *in, size_t len)
{
    return fmt_json_plain_base(in, len);
}

#endif

/* ---- escapes ---- */

/* Four hexadecimal digits, or -1. */
static int32_t read_hex(const uint8_t *in, size_t len)
{
    int32_t code = 0;

    for (size_t i = 0; i < 4; i++) {
        uint8_t c = i < len ? in[i] : 0;

        if (c >= '0' && c <= '9')
            code = code * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            code = code * 16 + ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return code;
}

size_t fmt_json_escape(const uint8_t *in, size_t len, uint32_t *code)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name = len > 1 && in[1] ? strchr(names, in[1]) : NULL;

    if (name) {
        *code = (uint8_t)meant[name - names];
        return 2;
    }
    if (len < 6 || in[1] != 'u')
        return 0;
    int32_t high = read_hex(in + 2, len - 2);

    if (high < 0 || (high >= 0xdc00 && high < 0xe000))
        return 0;
    *code = (uint32_t)high;
    if (high < 0xd800 || high >= 0xe000)
        return 6;
    int32_t low = len >= 12 && in[6] == '\\' && in[7] == 'u' ? read_hex(in + 8, len - 8) : -1;

    if (low < 0xdc00 || low >= 0xe000)
        return 0;
    *code = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

size_t fmt_json_string(const uint8_t *in, size_t len, bool *escaped)
{
    size_t at = 0;
    size_t step;
    uint32_t code;

    *escaped = false;
    for (;; at += step) {
        at += fmt_json_plain(in + at, len - at);
        if (at == len || in[at] != '\\')
            return at;
        step = fmt_json_escape(in + at, len - at, &code);
        if (step == 0)
            return at;
        *escaped = true;
    }
}
