/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number_fields_512.c - fields to float32 eight at a time with AVX-512: the windows of
 * number_fields.c, four in a register, whose bytes are told apart by bit masks of 16 bits a field.
 *
 * A point is closed by moving the bytes in front of it back by one, from the head window into the
 * tail window, too. Digits are joined to whole numbers of 16 digits, so the double that comes of
 * head * 1e16 + tail, times a power of ten, is wrong by at most 3 units in its last place; 8 are
 * allowed for, as there. Exponents are left to the AVX2 way.
 */
#include "formats/number_fields_x86.h"

#if defined(__x86_64__)

#define AVX512                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx2,bmi,bmi2,popcnt")))

/* The last 16 bytes of eight fields, or the 16 before: four in each register. */
struct windows {
    __m512i low;
    __m512i high;
};

AVX512 static inline __m512i load_four(const uint8_t *base, const uint32_t *ends, size_t before)
{
    const uint8_t *p = base - before;
    __m512i four = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(p + ends[0])));
    four = _mm512_inserti64x2(four, _mm_loadu_si128((const void *)(p + ends[1])), 1);
    four = _mm512_inserti64x2(four, _mm_loadu_si128((const void *)(p + ends[2])), 2);
    return _mm512_inserti64x2(four, _mm_loadu_si128((const void *)(p + ends[3])), 3);
}

AVX512 static inline struct windows load_windows(const struct fmt_number_fields *f, size_t i,
                                                 size_t before)
{
    return (struct windows){load_four(f->base, f->ends + i, before),
                            load_four(f->base, f->ends + i + 4, before)};
}

/* Masks of 16 bits a field, as bits of registers and as lanes. */
AVX512 static inline __mmask64 mask_low(__m128i lanes)
{
    return (__mmask64)_mm_cvtsi128_si64(lanes);
}

AVX512 static inline __mmask64 mask_high(__m128i lanes)
{
    return (__mmask64)_mm_extract_epi64(lanes, 1);
}

AVX512 static inline __m128i lanes_of(__mmask64 low, __mmask64 high)
{
    return _mm_set_epi64x((int64_t)high, (int64_t)low);
}

/* Where c is, of the bytes that are kept. */
AVX512 static inline __m128i find_char(struct windows w, __m128i keep, char c)
{
    __m512i wanted = _mm512_set1_epi8(c);
    return lanes_of(_mm512_mask_cmpeq_epi8_mask(mask_low(keep), w.low, wanted),
                    _mm512_mask_cmpeq_epi8_mask(mask_high(keep), w.high, wanted));
}

/* Digit values of the bytes that are kept; others are 0. */
AVX512 static inline struct windows take_digits(struct windows w, __m128i keep)
{
    __m512i zero = _mm512_set1_epi8('0');
    return (struct windows){_mm512_maskz_sub_epi8(mask_low(keep), w.low, zero),
                            _mm512_maskz_sub_epi8(mask_high(keep), w.high, zero)};
}

/* The last `len` of 16 bits in each lane, for 0 to 16. */
AVX512 static inline __m128i last_bits(__m128i lens)
{
    return _mm_sllv_epi16(_mm_set1_epi16(-1), _mm_sub_epi16(_mm_set1_epi16(16), lens));
}

/* Bits up to a lane's single one; none if it has none. */
AVX512 static inline __m128i bits_upto(__m128i lanes)
{
    __m128i upto = _mm_xor_si128(lanes, _mm_add_epi16(lanes, _mm_set1_epi16(-1)));
    return _mm_andnot_si128(_mm_cmpeq_epi16(lanes, _mm_setzero_si128()), upto);
}

/* Lanes that hold a byte of more than 9. */
AVX512 static inline unsigned bad_digits(struct windows w)
{
    const __m512i nine = _mm512_set1_epi8(9);
    __m128i lanes =
        lanes_of(_mm512_cmpgt_epu8_mask(w.low, nine), _mm512_cmpgt_epu8_mask(w.high, nine));
    return _mm_test_epi16_mask(lanes, lanes);
}

/* 16 digits a field to a whole number. */
AVX512 static inline __m512i join_windows(struct windows w)
{
    const __m512i tens = _mm512_set1_epi16(0x010a);
    const __m512i hundreds = _mm512_set1_epi32(0x00010064);
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    __m512i low = _mm512_madd_epi16(_mm512_maddubs_epi16(w.low, tens), hundreds);
    __m512i high = _mm512_madd_epi16(_mm512_maddubs_epi16(w.high, tens), hundreds);
    __m512i eights =
        _mm512_madd_epi16(_mm512_packus_epi32(low, high), _mm512_set1_epi32(0x00012710));
    /* first eight, last eight: of fields 0, 4, 1, 5 ... */
    eights = _mm512_permutexvar_epi64(order, eights);
    return _mm512_add_epi64(_mm512_mul_epu32(eights, _mm512_set1_epi64(100000000)),
                            _mm512_srli_epi64(eights, 32));
}

/* Stores digits * 10^-behind with its signs; returns the lanes that lie near a tie. */
AVX512 static inline unsigned store_values(float *values, __m512d digits, __m512d scale,
                                           __mmask8 negative)
{
    __m512d wide = _mm512_mul_pd(digits, scale);
    __m512i rest = _mm512_and_si512(_mm512_castpd_si512(wide), _mm512_set1_epi64(0x1fffffff));
    __m512i distance = _mm512_sub_epi64(rest, _mm512_set1_epi64(0x10000000 - 8));
    __m256 narrow = _mm512_cvtpd_ps(wide);
    narrow = _mm256_mask_xor_ps(narrow, negative, narrow, _mm256_set1_ps(-0.0f));
    _mm256_storeu_ps(values, narrow);
    return _mm512_cmple_epu64_mask(distance, _mm512_set1_epi64(16));
}

/* The number of bits behind a lane's single one; 16 if it has none. */
AVX512 static inline __m256i bits_behind(__m128i lanes)
{
    return _mm256_sub_epi32(_mm256_lzcnt_epi32(_mm256_cvtepu16_epi32(lanes)),
                            _mm256_set1_epi32(16));
}

/* 10^-n, n < 16; 1 for 16 */
AVX512 static inline __m512d small_scale(__m256i n)
{
    const __m512d first = _mm512_setr_pd(1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7);
    const __m512d second = _mm512_setr_pd(1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15);
    return _mm512_permutex2var_pd(first, _mm512_cvtepu32_epi64(n), second);
}

/* LANES fields of 1 to 16 bytes; returns a mask of those that did not fit. */
AVX512 static unsigned convert_narrow(const struct fmt_number_fields *f, size_t i, __m256i lens)
{
    struct windows text = load_windows(f, i, 16);
    __m128i keep = last_bits(_mm256_cvtepi32_epi16(lens));
    __m128i first = _mm_andnot_si128(_mm_slli_epi16(keep, 1), keep);
    __m128i minus = _mm_and_si128(find_char(text, keep, '-'), first);
    keep = _mm_andnot_si128(minus, keep);
    __m128i point = find_char(text, keep, '.');
    struct windows digits = take_digits(text, keep);
    __m128i move = bits_upto(point);
    digits.low =
        _mm512_mask_blend_epi8(mask_low(move), digits.low, _mm512_bslli_epi128(digits.low, 1));
    digits.high =
        _mm512_mask_blend_epi8(mask_high(move), digits.high, _mm512_bslli_epi128(digits.high, 1));
    __m512d whole = _mm512_cvtepu64_pd(join_windows(digits));
    unsigned bad = store_values(f->values + i, whole, small_scale(bits_behind(point)),
                                _mm_test_epi16_mask(minus, minus));
    __m128i some = _mm_andnot_si128(point, keep);
    return bad | bad_digits(digits) | _mm_testn_epi16_mask(some, some);
}

/* 10^-n, n < 32; 1 for 32 */
static const double BEHIND[33] = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,  1e-8,
                                  1e-9,  1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17,
                                  1e-18, 1e-19, 1e-20, 1e-21, 1e-22, 1e-23, 1e-24, 1e-25, 1e-26,
                                  1e-27, 1e-28, 1e-29, 1e-30, 1e-31, 1e0};

/* LANES fields of 1 to 32 bytes; returns a mask of those that did not fit. */
AVX512 static unsigned convert_broad(const struct fmt_number_fields *f, size_t i, __m256i lens)
{
    const __m128i sixteen = _mm_set1_epi16(16);
    const __m128i none = _mm_setzero_si128();
    struct windows text = load_windows(f, i, 16);
    struct windows head_text = load_windows(f, i, 32);
    __m128i all = _mm256_cvtepi32_epi16(lens);
    __m128i keep = last_bits(_mm_min_epu16(all, sixteen));
    __m128i head_keep = last_bits(_mm_subs_epu16(all, sixteen));
    /* The first byte is in the head if that has any. */
    __m128i no_head = _mm_cmpeq_epi16(head_keep, none);
    __m128i first = _mm_and_si128(_mm_andnot_si128(_mm_slli_epi16(keep, 1), keep), no_head);
    __m128i head_first = _mm_andnot_si128(_mm_slli_epi16(head_keep, 1), head_keep);
    __m128i minus = _mm_and_si128(find_char(text, keep, '-'), first);
    __m128i head_minus = _mm_and_si128(find_char(head_text, head_keep, '-'), head_first);
    keep = _mm_andnot_si128(minus, keep);
    head_keep = _mm_andnot_si128(head_minus, head_keep);
    __m128i point = find_char(text, keep, '.');
    __m128i head_point = find_char(head_text, head_keep, '.');
    __m128i no_point = _mm_cmpeq_epi16(point, none);
    struct windows tail = take_digits(text, keep);
    struct windows head = take_digits(head_text, head_keep);
    __m128i move = bits_upto(point);
    /* A point in the tail moves all of the head. */
    __m128i head_move =
        _mm_or_si128(bits_upto(head_point), _mm_andnot_si128(no_point, _mm_set1_epi16(-1)));
    __m512i moved_low = _mm512_alignr_epi8(tail.low, head.low, 15);
    __m512i moved_high = _mm512_alignr_epi8(tail.high, head.high, 15);
    tail.low = _mm512_mask_blend_epi8(mask_low(move), tail.low, moved_low);
    tail.high = _mm512_mask_blend_epi8(mask_high(move), tail.high, moved_high);
    head.low =
        _mm512_mask_blend_epi8(mask_low(head_move), head.low, _mm512_bslli_epi128(head.low, 1));
    head.high =
        _mm512_mask_blend_epi8(mask_high(head_move), head.high, _mm512_bslli_epi128(head.high, 1));
    __m512d high = _mm512_cvtepu64_pd(join_windows(head));
    __m512d low = _mm512_cvtepu64_pd(join_windows(tail));
    __m512d whole = _mm512_fmadd_pd(high, _mm512_set1_pd(1e16), low);
    /* 16 behind in the tail: none there, so the head's count. */
    __m256i behind = bits_behind(point);
    behind = _mm256_add_epi32(
        behind, _mm256_maskz_mov_epi32(_mm256_cmpeq_epi32_mask(behind, _mm256_set1_epi32(16)),
                                       bits_behind(head_point)));
    __m512d scale = _mm512_i32gather_pd(behind, BEHIND, 8);
    __m128i sign = _mm_or_si128(minus, head_minus);
    unsigned bad = store_values(f->values + i, whole, scale, _mm_test_epi16_mask(sign, sign));
    __m128i some =
        _mm_or_si128(_mm_andnot_si128(point, keep), _mm_andnot_si128(head_point, head_keep));
    return bad | bad_digits(tail) | bad_digits(head) | _mm_testn_epi16_mask(some, some);
}

AVX512 size_t fmt_number_fields_avx512(const struct fmt_number_fields *f)
{
    size_t before = (size_t)(f->base - f->in); /* bytes that may be read before base */
    size_t good = f->count;
    bool wide = false; /* windows do not suit this data: exponents, for instance */
    for (size_t i = 0; i < f->count && good == f->count; i += LANES) {
        const __m256i *start_at = (const __m256i *)(const void *)(f->starts + i);
        __m256i ends = _mm256_loadu_si256((const __m256i *)(const void *)(f->ends + i));
        __m256i lens = _mm256_sub_epi32(ends, _mm256_loadu_si256(start_at));
        bool whole = i + LANES <= f->count && before + f->ends[i] >= REACH_BYTES;
        unsigned bad = 0xff;
        if (whole && all_up_to(lens, 4))
            bad = convert_short(load_tails(f->base, f->ends + i), lens, f->values + i);
        if (whole && bad != 0 && !wide && all_up_to(lens, 32)) {
            bad = all_up_to(lens, 16) ? convert_narrow(f, i, lens) : convert_broad(f, i, lens);
            wide = __builtin_popcount(bad) >= LANES / 2;
        } else if (whole && bad != 0) {
            bad = fmt_number_fields_wide(f, i);
        }
        if (bad != 0)
            good = convert_rest(f, i, bad);
    }
    return good;
}

bool fmt_number_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2");
}

#endif
