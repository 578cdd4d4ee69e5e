/* SPDX-License-Identifier: Apache-2.0 */
/* formats/convert_x86.c - the loops of formats/convert.h in wide instructions.
 *
 * Varints, 16 bytes at a time and without a branch on what they are: at every byte, pretend that a
 * varint starts there and compute its value from this byte and the three after it; then keep the
 * values of those bytes where one does start (the byte before has its top bit clear).
 */
#if defined(__x86_64__)

#include "formats/convert_x86.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi,popcnt")))
#define ALWAYS __attribute__((always_inline))

/* Bytes that a step of 16 looks at, and as many values it may write. */
enum { STEP_BYTES = 16, LOOK_BYTES = 32, STEP_VALUES = 16 };

AVX2 void fmt_f64_avx2(const uint8_t *in, size_t count, float *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        _mm_storeu_ps(out + i, _mm256_cvtpd_ps(_mm256_loadu_pd((const double *)(in + 8 * i))));
    for (; i < count; i++) {
        double value;
        memcpy(&value, in + 8 * i, sizeof(value));
        out[i] = (float)value;
    }
}

AVX512 void fmt_f64_avx512(const uint8_t *in, size_t count, float *out)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm512_cvtpd_ps(_mm512_loadu_pd(in + 8 * i)));
    __mmask8 rest = (__mmask8)((1u << (count - i)) - 1);
    _mm256_mask_storeu_ps(out + i, rest, _mm512_cvtpd_ps(_mm512_maskz_loadu_pd(rest, in + 8 * i)));
}

/* A step may end inside a varint whose value it has given: the bytes that are left of it. */
static size_t skip_tail(const uint8_t *in, size_t at)
{
    while (at > 0 && in[at - 1] >= 0x80)
        at++;
    return at;
}

/* Four consecutive lanes: the places of those that are kept, then of others, which are overwritten
 * by the next four. */
static const uint8_t KEPT[16][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0},
                                    {2, 0, 0, 0}, {0, 2, 0, 0}, {1, 2, 0, 0}, {0, 1, 2, 0},
                                    {3, 0, 0, 0}, {0, 3, 0, 0}, {1, 3, 0, 0}, {0, 1, 3, 0},
                                    {2, 3, 0, 0}, {0, 2, 3, 0}, {1, 2, 3, 0}, {0, 1, 2, 3}};

AVX2 static size_t keep_4(__m128 values, unsigned kept, uint32_t *out)
{
    uint32_t places;
    memcpy(&places, KEPT[kept], sizeof(places));
    __m128i order = _mm_cvtepu8_epi32(_mm_cvtsi32_si128((int)places));
    _mm_storeu_ps((float *)out, _mm_permutevar_ps(values, order));
    return (size_t)__builtin_popcount(kept);
}

/* Seven bits each of the 8 bytes at `in`, moved to where the byte `place` of a varint goes. */
AVX2 static __m256i bits_8(const uint8_t *in, int place)
{
    __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)in));
    return _mm256_slli_epi32(_mm256_and_si256(bytes, _mm256_set1_epi32(0x7f)), 7 * place);
}

/* All ones in the lanes where the byte at `in` has its top bit set. */
AVX2 static __m256i tops_8(const uint8_t *in)
{
    return _mm256_srai_epi32(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)in)), 31);
}

/* The values of varints that start in the 8 bytes at `in`: int32, or float32 in the same lanes. */
AVX2 static inline __m256 values_8(const uint8_t *in, bool has_long, bool as_float)
{
    __m256i more = tops_8(in);
    __m256i sum = _mm256_or_si256(bits_8(in, 0), _mm256_and_si256(more, bits_8(in + 1, 1)));
    if (has_long) {
        more = _mm256_and_si256(more, tops_8(in + 1));
        sum = _mm256_or_si256(sum, _mm256_and_si256(more, bits_8(in + 2, 2)));
        more = _mm256_and_si256(more, tops_8(in + 2));
        sum = _mm256_or_si256(sum, _mm256_and_si256(more, bits_8(in + 3, 3)));
    }
    return as_float ? _mm256_cvtepi32_ps(sum) : _mm256_castsi256_ps(sum);
}

AVX2 static inline ALWAYS size_t varints_avx2(const uint8_t *in, size_t len_bytes, uint32_t *out,
                                              size_t out_max, bool as_float, size_t *count)
{
    size_t at = 0;
    size_t n = 0;
    uint32_t carry = 0;
    while (len_bytes - at >= LOOK_BYTES && out_max - n >= STEP_VALUES) {
        uint32_t tops =
            (uint32_t)_mm256_movemask_epi8(_mm256_loadu_si256((const __m256i *)(in + at)));
        uint32_t twos = tops & tops >> 1;
        if ((twos & twos >> 2 & 0xffff) != 0)
            break;
        uint32_t starts = ~(tops << 1 | carry);
        __m256 low = values_8(in + at, (twos & 0xffff) != 0, as_float);
        __m256 high = values_8(in + at + 8, (twos & 0xffff) != 0, as_float);
        n += keep_4(_mm256_castps256_ps128(low), starts & 15, out + n);
        n += keep_4(_mm256_extractf128_ps(low, 1), starts >> 4 & 15, out + n);
        n += keep_4(_mm256_castps256_ps128(high), starts >> 8 & 15, out + n);
        n += keep_4(_mm256_extractf128_ps(high, 1), starts >> 12 & 15, out + n);
        carry = tops >> 15 & 1;
        at += STEP_BYTES;
    }
    *count = n;
    return skip_tail(in, at);
}

AVX2 size_t fmt_varints_avx2(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                             size_t *count)
{
    return varints_avx2(in, len_bytes, (uint32_t *)(void *)out, out_max, true, count);
}

AVX2 size_t fmt_varints_u32_avx2(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                                 size_t *count)
{
    return varints_avx2(in, len_bytes, out, out_max, false, count);
}

AVX2 size_t fmt_count_varints_avx2(const uint8_t *in, size_t len_bytes)
{
    size_t continued = 0;
    size_t at = 0;
    for (; at + 32 <= len_bytes; at += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(in + at));
        continued += (size_t)__builtin_popcount((uint32_t)_mm256_movemask_epi8(bytes));
    }
    if (at < len_bytes && at > 0) { /* the last 32 once more, but for those counted */
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(in + len_bytes - 32));
        continued += (size_t)__builtin_popcount((uint32_t)_mm256_movemask_epi8(bytes) >>
                                                (32 - (len_bytes - at)));
        return len_bytes - continued;
    }
    for (; at + 8 <= len_bytes; at += 8) {
        uint64_t bytes;
        memcpy(&bytes, in + at, sizeof(bytes));
        continued += (size_t)__builtin_popcountll(bytes & 0x8080808080808080u);
    }
    for (; at < len_bytes; at++)
        continued += in[at] >> 7;
    return len_bytes - continued;
}

AVX2 uint32_t fmt_most_u32_avx2(const uint32_t *in, size_t count)
{
    __m256i most = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        most = _mm256_max_epu32(most, _mm256_loadu_si256((const __m256i *)(in + i)));
    if (i < count && i > 0) { /* the last 8, some of them once more */
        most = _mm256_max_epu32(most, _mm256_loadu_si256((const __m256i *)(in + count - 8)));
        i = count;
    }
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, most);
    uint32_t found = 0;
    for (int lane = 0; lane < 8; lane++)
        found = lanes[lane] > found ? lanes[lane] : found;
    for (; i < count; i++)
        found = in[i] > found ? in[i] : found;
    return found;
}

AVX512 static __m512i bits_16(const uint8_t *in, int place)
{
    __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)in));
    return _mm512_slli_epi32(_mm512_and_si512(bytes, _mm512_set1_epi32(0x7f)),
                             (unsigned)(7 * place));
}

AVX512 static inline ALWAYS size_t varints_avx512(const uint8_t *in, size_t len_bytes,
                                                  uint32_t *out, size_t out_max, bool as_float,
                                                  size_t *count)
{
    size_t at = 0;
    size_t n = 0;
    uint32_t carry = 0;
    while (len_bytes - at >= LOOK_BYTES && out_max - n >= STEP_VALUES) {
        const uint8_t *p = in + at;
        uint32_t tops = _mm256_movepi8_mask(_mm256_loadu_si256((const __m256i *)p));
        uint32_t twos = tops & tops >> 1;
        if ((twos & twos >> 2 & 0xffff) != 0)
            break;
        __m512i sum = bits_16(p, 0);
        sum = _mm512_mask_or_epi32(sum, (__mmask16)tops, sum, bits_16(p + 1, 1));
        if ((twos & 0xffff) != 0) {
            uint32_t threes = twos & tops >> 2;
            sum = _mm512_mask_or_epi32(sum, (__mmask16)twos, sum, bits_16(p + 2, 2));
            sum = _mm512_mask_or_epi32(sum, (__mmask16)threes, sum, bits_16(p + 3, 3));
        }
        uint32_t starts = ~(tops << 1 | carry) & 0xffff;
        if (as_float)
            sum = _mm512_castps_si512(_mm512_cvtepi32_ps(sum));
        _mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32((__mmask16)starts, sum));
        n += (size_t)__builtin_popcount(starts);
        carry = tops >> 15 & 1;
        at += STEP_BYTES;
    }
    *count = n;
    return skip_tail(in, at);
}

AVX512 size_t fmt_varints_avx512(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                                 size_t *count)
{
    return varints_avx512(in, len_bytes, (uint32_t *)(void *)out, out_max, true, count);
}

AVX512 size_t fmt_varints_u32_avx512(const uint8_t *in, size_t len_bytes, uint32_t *out,
                                     size_t out_max, size_t *count)
{
    return varints_avx512(in, len_bytes, out, out_max, false, count);
}

#else
typedef int fmt_convert_x86_is_empty; /* C wants a declaration */
#endif
