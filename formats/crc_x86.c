/* SPDX-License-Identifier: Apache-2.0 */
/* formats/crc_x86.c - the middle of a long input for formats/crc.h, by carry-less multiplication.
 *
 * Source: Gopal, Ozturk, Guilford and others, "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Intel, 2009). Several independent sums go side by side, as the
 * multiplication's result is late but the next one can begin at once; one way for every polynomial.
 */
#if defined(__x86_64__)

#include "formats/crc_x86.h"

#include "formats/bytes.h"

#include <immintrin.h>

#define CLMUL __attribute__((target("pclmul,sse4.1")))
#define AVX512 __attribute__((target("vpclmulqdq,avx512f,avx512vl,pclmul,sse4.1")))

/* The processor's own prefetcher stops at the end of a page. bench/perf_crc on a Xeon of the
 * Sapphire Rapids kind, 2026-11-21, bytes from memory: 12 GB/s without, 13 with 1 KiB, 16 with 4,
 * 15 with 8. Beyond the input's end it does no harm. */
enum { AHEAD_BYTES = 4096 };

CLMUL static __m128i load_16(const uint8_t *in)
{
    return _mm_loadu_si128((const __m128i *)in);
}

CLMUL static __m128i factors_16(const struct fmt_crc_fold *fold)
{
    return _mm_loadu_si128((const __m128i *)fold->factors);
}

CLMUL static __m128i fold_16(__m128i sum, __m128i factors, __m128i next)
{
    __m128i early = _mm_clmulepi64_si128(sum, factors, 0x00);
    __m128i late = _mm_clmulepi64_si128(sum, factors, 0x11);

    return _mm_xor_si128(_mm_xor_si128(early, late), next);
}

/* Folds the blocks of 16 bytes that are left, and writes the sum out. Returns where it stopped. */
CLMUL static size_t finish(const struct fmt_crc_folds *folds, __m128i sum, const uint8_t *in,
                           size_t at, size_t len_bytes, uint8_t out[16])
{
    const __m128i by_128 = factors_16(&folds->by_128);

    for (; len_bytes - at >= 16; at += 16)
        sum = fold_16(sum, by_128, load_16(in + at));
    _mm_storeu_si128((__m128i *)out, sum);
    return at;
}

CLMUL size_t fmt_crc_fold_clmul(const struct fmt_crc_folds *folds, uint64_t state,
                                const uint8_t *in, size_t len_bytes, uint8_t out[16])
{
    const __m128i by_1024 = factors_16(&folds->by_1024);
    const __m128i by_128 = factors_16(&folds->by_128);
    __m128i sums[8];
    size_t at = FMT_CRC_CLMUL_BYTES;

    for (int i = 0; i < 8; i++)
        sums[i] = load_16(in + 16 * i);
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi64_si128((long long)state));
    for (; len_bytes - at >= 128; at += 128)
        for (int i = 0; i < 8; i++) {
            if (i % 4 == 0)
                _mm_prefetch(in + at + 16 * i + AHEAD_BYTES, _MM_HINT_T0);
            sums[i] = fold_16(sums[i], by_1024, load_16(in + at + 16 * i));
        }
    for (int i = 1; i < 8; i++)
        sums[i] = fold_16(sums[i - 1], by_128, sums[i]);
    return finish(folds, sums[7], in, at, len_bytes, out);
}

AVX512 static __m512i load_64(const uint8_t *in)
{
    return _mm512_loadu_si512((const __m512i *)in);
}

AVX512 static __m512i factors_64(const struct fmt_crc_fold *fold)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)fold->factors));
}

AVX512 static __m512i fold_64(__m512i sum, __m512i factors, __m512i next)
{
    __m512i early = _mm512_clmulepi64_epi128(sum, factors, 0x00);
    __m512i late = _mm512_clmulepi64_epi128(sum, factors, 0x11);

    return _mm512_ternarylogic_epi64(early, late, next, 0x96); /* exclusive or of the three */
}

AVX512 size_t fmt_crc_fold_avx512(const struct fmt_crc_folds *folds, uint64_t state,
                                  const uint8_t *in, size_t len_bytes, uint8_t out[16])
{
    const __m512i by_2048 = factors_64(&folds->by_2048);
    const __m512i by_512 = factors_64(&folds->by_512);
    const __m128i by_128 = factors_16(&folds->by_128);
    __m512i sums[4];
    size_t at = FMT_CRC_AVX512_BYTES;

    for (int i = 0; i < 4; i++)
        sums[i] = load_64(in + 64 * i);
    sums[0] =
        _mm512_xor_si512(sums[0], _mm512_zextsi128_si512(_mm_cvtsi64_si128((long long)state)));
    for (; len_bytes - at >= 256; at += 256)
        for (int i = 0; i < 4; i++) {
            _mm_prefetch(in + at + 64 * i + AHEAD_BYTES, _MM_HINT_T0);
            sums[i] = fold_64(sums[i], by_2048, load_64(in + at + 64 * i));
        }
    for (int i = 1; i < 4; i++)
        sums[i] = fold_64(sums[i - 1], by_512, sums[i]);
    for (; len_bytes - at >= 64; at += 64)
        sums[3] = fold_64(sums[3], by_512, load_64(in + at));
    __m128i sum = _mm512_castsi512_si128(sums[3]);

    sum = fold_16(sum, by_128, _mm512_extracti32x4_epi32(sums[3], 1));
    sum = fold_16(sum, by_128, _mm512_extracti32x4_epi32(sums[3], 2));
    sum = fold_16(sum, by_128, _mm512_extracti32x4_epi32(sums[3], 3));
    return finish(folds, sum, in, at, len_bytes, out);
}

__attribute__((target("sse4.2"))) uint64_t fmt_crc32c_step(uint64_t state, const uint8_t *in,
                                                           size_t len_bytes)
{
    for (; len_bytes >= 8; in += 8, len_bytes -= 8)
        state = _mm_crc32_u64(state, fmt_load_le64(in));
    for (; len_bytes > 0; in++, len_bytes--)
        state = _mm_crc32_u8((uint32_t)state, *in);
    return state;
}

#else
typedef int fmt_crc_x86_is_empty; /* C wants a declaration */
#endif
