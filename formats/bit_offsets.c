/* SPDX-License-Identifier: Apache-2.0 */
/* formats/bit_offsets.c - see bit_offsets.h. A branch for each bit would be mispredicted: bits go
 * in groups, and what is written for bits that are not there is written over.
 */
#include "formats/bit_offsets.h"

size_t fmt_bit_offsets_base(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out)
{
    const uint32_t *first = out;
    for (size_t i = 0; i < count; i++, at += 64)
        for (uint64_t bits = masks[i]; bits != 0; bits &= bits - 1)
            *out++ = at + (uint32_t)__builtin_ctzll(bits);
    return (size_t)(out - first);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define BMI __attribute__((target("bmi,popcnt")))
#define AVX512 __attribute__((target("avx512f,popcnt")))

BMI static inline uint64_t put_four(uint32_t *out, uint32_t at, uint64_t bits)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = at + (uint32_t)_tzcnt_u64(bits);
        bits = _blsr_u64(bits);
    }
    return bits;
}

BMI size_t fmt_bit_offsets_bmi(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out)
{
    const uint32_t *first = out;
    for (size_t i = 0; i < count; i++, at += 64) {
        unsigned set = (unsigned)__builtin_popcountll(masks[i]);
        uint64_t bits = put_four(out, at, masks[i]);
        if (set > 4)
            bits = put_four(out + 4, at, bits);
        for (unsigned done = 8; done < set; done += 8) {
            bits = put_four(out + done, at, bits);
            bits = put_four(out + done + 4, at, bits);
        }
        out += set;
    }
    return (size_t)(out - first);
}

AVX512 size_t fmt_bit_offsets_avx512(const uint64_t *masks, size_t count, uint32_t at,
                                     uint32_t *out)
{
    const uint32_t *first = out;
    __m512i lanes =
        _mm512_add_epi32(_mm512_set1_epi32((int)at),
                         _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = masks[i];
        for (unsigned k = 0; k < 4; k++, bits >>= 16) {
            _mm512_storeu_si512(out, _mm512_maskz_compress_epi32((__mmask16)bits, lanes));
            out += __builtin_popcountll(bits & 0xffff);
            lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(16));
        }
    }
    return (size_t)(out - first);
}

size_t fmt_bit_offsets(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out)
{
    if (__builtin_cpu_supports("avx512f"))
        return fmt_bit_offsets_avx512(masks, count, at, out);
    if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        return fmt_bit_offsets_bmi(masks, count, at, out);
    return fmt_bit_offsets_base(masks, count, at, out);
}

#else

size_t fmt_bit_offsets(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out)
{
    return fmt_bit_offsets_base(masks, count, at, out);
}

#endif
