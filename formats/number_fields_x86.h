/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number_fields_x86.h - what the AVX2 and the AVX-512 conversions of fields share.
 *
 * Owner: the caller. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_NUMBER_FIELDS_X86_H
#define FORMATS_NUMBER_FIELDS_X86_H

#include <string.h>

#include "formats/number_fields.h"

/* Field field_no, blanks around it or not, the plain way. False if it is none. */
bool fmt_number_field(const struct fmt_number_fields *f, size_t field_no);

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define LANES 8

/* How far in front of a field's end the conversions read: a window and an exponent. */
#define REACH_BYTES 36

/* LANES fields of any length from field i on, with AVX2; returns a mask of those that did not fit.
 * Reads REACH_BYTES in front of the first one's end. */
unsigned fmt_number_fields_wide(const struct fmt_number_fields *f, size_t i);

/* fmt_number_fields, where the processor has what they need. */
size_t fmt_number_fields_avx2(const struct fmt_number_fields *f);
size_t fmt_number_fields_avx512(const struct fmt_number_fields *f);
bool fmt_number_has_avx512(void);

AVX2 static inline int load4(const uint8_t *p)
{
    int v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The last four bytes of LANES fields. Not a gather: those are slow on many processors. */
AVX2 static inline __m256i load_tails(const uint8_t *base, const uint32_t *ends)
{
    return _mm256_setr_epi32(load4(base + ends[0] - 4), load4(base + ends[1] - 4),
                             load4(base + ends[2] - 4), load4(base + ends[3] - 4),
                             load4(base + ends[4] - 4), load4(base + ends[5] - 4),
                             load4(base + ends[6] - 4), load4(base + ends[7] - 4));
}

/* Lanes that hold one to four digits and nothing else are converted; returns the others. */
AVX2 static inline unsigned convert_short(__m256i text, __m256i lens, float *values)
{
    const __m256i zeros = _mm256_set1_epi8('0');
    const __m256i nine = _mm256_set1_epi8(9);
    /* What is not of the field is shifted out at the bottom. */
    __m256i shift = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_set1_epi32(4), lens), 3);
    __m256i digits = _mm256_srlv_epi32(_mm256_sub_epi8(text, zeros), shift);
    digits = _mm256_sllv_epi32(digits, shift);
    __m256i good = _mm256_cmpeq_epi8(_mm256_max_epu8(digits, nine), nine);
    __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    __m256i whole = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
    _mm256_storeu_ps(values, _mm256_cvtepi32_ps(whole));
    good = _mm256_cmpeq_epi32(good, _mm256_set1_epi32(-1));
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(good)) & 0xff;
}

/* Whether all lanes of lens are 1 .. max, max a power of two. */
AVX2 static inline bool all_up_to(__m256i lens, int max)
{
    __m256i less_one = _mm256_sub_epi32(lens, _mm256_set1_epi32(1)); /* 0 becomes huge */
    return _mm256_testz_si256(less_one, _mm256_set1_epi32(~(max - 1))) != 0;
}

/* The lanes (bits of `bad`) of fields i .. that no batch conversion took. Returns the number of
 * whole fields before the first that is no number. */
static inline size_t convert_rest(const struct fmt_number_fields *f, size_t i, unsigned bad)
{
    for (; bad != 0; bad &= bad - 1) {
        size_t field_no = i + (size_t)__builtin_ctz(bad);
        if (field_no >= f->count)
            break;
        if (!fmt_number_field(f, field_no))
            return field_no;
    }
    return f->count;
}

#endif

#endif
