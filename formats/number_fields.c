/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number_fields.c - see number_fields.h. With AVX2, fields are converted eight at a time,
 * knowing where each ends.
 *
 * Three conversions, by the longest of the eight fields:
 *   up to 4 bytes     one load per field, whole digits only (pixels, categories, counts)
 *   up to 16 bytes    a 16-byte window per field, two of them per register
 *   up to 32 bytes, or with an exponent    a 32-byte window per field
 * A window's point is closed by a shuffle, its digits are joined by multiply-adds, and the value is
 * digits * 10^k in double arithmetic. Its error is at most 5 units in the last place of a double,
 * so rounding to float32 is right unless the double lies within 8 units of a tie between two
 * floats: then, or when the field is anything else (blank, nan ...), number.h reads it.
 */
#include "formats/number_fields.h"
#include "formats/number.h"
#include "formats/number_fields_x86.h"

bool fmt_number_field(const struct fmt_number_fields *f, size_t field_no)
{
    const uint8_t *p = f->base + f->starts[field_no];
    const uint8_t *end = f->base + f->ends[field_no];
    float *value = &f->values[field_no];
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (p == end) {
        *value = f->blank;
        return f->blank_is_good;
    }
    return fmt_number_scan(p, end, value) == end;
}

size_t fmt_number_fields_base(const struct fmt_number_fields *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (!fmt_number_field(f, i))
            return i;
    return f->count;
}

#if defined(__x86_64__)
AVX2 static inline __m256i equal(__m256i bytes, char c)
{
    return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c));
}

/* KEEP + n masks the last n of 32 bytes; KEEP + 16 + n the last n of 16. */
#define FF 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
static const uint8_t KEEP[64] = {[32] = FF, [40] = FF, [48] = FF, [56] = FF};
#undef FF

#define Z 0x80
/* Closes the gap that a point at byte k leaves: bytes in front of it move back by one. */
static const uint8_t CLOSE[17][16] = {
    {Z, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15},
    {Z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};
#undef Z

/* 10 to minus the number of digits behind a point at byte k (16: no point). */
static const double BEHIND[17] = {1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7,
                                  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,  1e0};

#define POWER_MIN (-64)
#define POWER_MAX 38
static const double POWER[POWER_MAX - POWER_MIN + 1] = {
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52,
    1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39,
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26,
    1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
    1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,
    1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,
    1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
    1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38,
};

/* Bits of lanes where a double lies within 8 units of a tie between two float32. */
AVX2 static inline __m256d near_tie(__m256d values)
{
    const __m256i low = _mm256_set1_epi64x(0x1fffffff);
    __m256i rest = _mm256_and_si256(_mm256_castpd_si256(values), low);
    __m256i distance = _mm256_sub_epi64(rest, _mm256_set1_epi64x(0x10000000 - 8));
    return _mm256_castsi256_pd(
        _mm256_and_si256(_mm256_cmpgt_epi64(distance, _mm256_set1_epi64x(-1)),
                         _mm256_cmpgt_epi64(_mm256_set1_epi64x(17), distance)));
}

/* In each half of 16 digits: the first eight and the last eight as numbers, twice. */
AVX2 static inline __m256i join_digits(__m256i digits)
{
    __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
    __m256i packed = _mm256_packus_epi32(fours, fours);
    return _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
}

/* A bit for each byte that is no digit. */
AVX2 static inline uint32_t find_bad(__m256i digits)
{
    const __m256i nine = _mm256_set1_epi8(9);
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(digits, nine), nine));
}

AVX2 static inline void store_floats(float *values, __m256d wide, const uint32_t *signs)
{
    __m128 sign = _mm_castsi128_ps(_mm_loadu_si128((const __m128i *)(const void *)signs));
    _mm_storeu_ps(values, _mm_xor_ps(_mm256_cvtpd_ps(wide), sign));
}

AVX2 static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A field of 1 to 16 bytes that ends at `end`. */
struct window {
    __m128i digits; /* values; 0 in front of them, more than 9 for what is no digit */
    double scale;
    uint32_t sign; /* float's sign bit */
    bool empty;    /* no digit at all */
};

AVX2 static inline struct window window_of(const uint8_t *start, const uint8_t *end)
{
    struct window w;
    unsigned negative = *start == '-';
    size_t len = (size_t)(end - start) - negative;
    __m128i text = load16(end - 16);
    __m128i keep = load16(KEEP + 16 + len);
    __m128i is_point = _mm_and_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('.')), keep);
    unsigned point_at = _tzcnt_u32((unsigned)_mm_movemask_epi8(is_point) | 0x10000);
    __m128i values = _mm_and_si128(_mm_sub_epi8(text, _mm_set1_epi8('0')), keep);
    w.digits = _mm_shuffle_epi8(values, load16(CLOSE[point_at]));
    w.scale = BEHIND[point_at];
    w.sign = (uint32_t)negative << 31;
    w.empty = len <= (point_at < 16);
    return w;
}

/* Four fields of 1 to 16 bytes; returns a mask of the lanes that did not fit. */
AVX2 static unsigned convert_four(const uint8_t *base, const uint32_t *starts, const uint32_t *ends,
                                  float *values)
{
    struct window w[4];
    for (unsigned i = 0; i < 4; i++)
        w[i] = window_of(base + starts[i], base + ends[i]);
    /* Lanes 0 and 2 in one register, 1 and 3 in the other: the halves then unpack into order. */
    __m256i even = _mm256_set_m128i(w[2].digits, w[0].digits);
    __m256i odd = _mm256_set_m128i(w[3].digits, w[1].digits);
    uint32_t even_bad = find_bad(even);
    uint32_t odd_bad = find_bad(odd);
    __m256i joined = _mm256_unpacklo_epi32(join_digits(even), join_digits(odd));
    /* joined: high0 high1 low0 low1 | high2 high3 low2 low3 */
    __m256i sorted = _mm256_permute4x64_epi64(joined, 0xd8);
    __m256d high = _mm256_cvtepi32_pd(_mm256_castsi256_si128(sorted));
    __m256d low = _mm256_cvtepi32_pd(_mm256_extracti128_si256(sorted, 1));
    __m256d digits = _mm256_add_pd(_mm256_mul_pd(high, _mm256_set1_pd(1e8)), low);
    __m256d wide =
        _mm256_mul_pd(digits, _mm256_set_pd(w[3].scale, w[2].scale, w[1].scale, w[0].scale));
    const uint32_t signs[4] = {w[0].sign, w[1].sign, w[2].sign, w[3].sign};
    store_floats(values, wide, signs);
    unsigned bad = (unsigned)_mm256_movemask_pd(near_tie(wide));
    bad |= (unsigned)((even_bad & 0xffff) != 0) | (unsigned)((odd_bad & 0xffff) != 0) << 1;
    bad |= (unsigned)((even_bad >> 16) != 0) << 2 | (unsigned)((odd_bad >> 16) != 0) << 3;
    return bad | (unsigned)w[0].empty | (unsigned)w[1].empty << 1 | (unsigned)w[2].empty << 2 |
           (unsigned)w[3].empty << 3;
}

/* A field of up to 32 bytes and an exponent of two digits. */
struct wide_window {
    __m256i joined; /* of join_digits */
    double head_scale;
    double scale;
    uint32_t sign;
    bool bad;
};

/* "e-05" at the end of a field: taken off it. Whatever is overlooked here is found to be no digit
 * later. */
AVX2 static inline int take_exponent(const uint8_t **end, size_t *len)
{
    const uint8_t *e = *end - 4;
    unsigned tens = (unsigned)e[2] - '0';
    unsigned ones = (unsigned)e[3] - '0';
    if (*len <= 4 || (e[0] | 0x20) != 'e' || tens > 9 || ones > 9 || (e[1] != '-' && e[1] != '+'))
        return 0;
    *end = e;
    *len -= 4;
    return (int)(10 * tens + ones) * (e[1] == '-' ? -1 : 1);
}

AVX2 static inline struct wide_window wide_window_of(const uint8_t *start, const uint8_t *end)
{
    struct wide_window w;
    size_t len = (size_t)(end - start);
    int power = len == 0 ? 0 : take_exponent(&end, &len);
    unsigned negative = len > 0 && *start == '-';
    len -= negative;
    w.bad = len - 1 >= 32;
    __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)(end - 32));
    __m256i keep = _mm256_loadu_si256((const __m256i *)(const void *)(KEEP + (w.bad ? 1 : len)));
    __m256i is_point = _mm256_and_si256(equal(text, '.'), keep);
    uint32_t points = (uint32_t)_mm256_movemask_epi8(is_point);
    unsigned head_point = _tzcnt_u32((points & 0xffff) | 0x10000);
    unsigned tail_point = _tzcnt_u32(points >> 16 | 0x10000);
    __m256i close = _mm256_set_m128i(load16(CLOSE[tail_point]), load16(CLOSE[head_point]));
    __m256i values = _mm256_and_si256(_mm256_sub_epi8(text, _mm256_set1_epi8('0')), keep);
    __m256i digits = _mm256_shuffle_epi8(values, close);
    power -= points == 0 ? 0 : 31 - (int)_tzcnt_u32(points);
    w.bad |= _blsr_u32(points) != 0 || len <= (points != 0) || find_bad(digits) != 0 ||
             power < POWER_MIN || power > POWER_MAX;
    w.scale = POWER[w.bad ? 0 : power - POWER_MIN];
    w.head_scale = tail_point == 16 ? 1e16 : 1e15;
    w.sign = (uint32_t)negative << 31;
    w.joined = join_digits(digits);
    return w;
}

/* Four fields of any length; returns a mask of the lanes that did not fit. */
AVX2 static unsigned convert_four_wide(const uint8_t *base, const uint32_t *starts,
                                       const uint32_t *ends, float *values)
{
    struct wide_window w[4];
    for (unsigned i = 0; i < 4; i++)
        w[i] = wide_window_of(base + starts[i], base + ends[i]);
    __m256i w01 = _mm256_unpacklo_epi32(w[0].joined, w[1].joined);
    __m256i w23 = _mm256_unpacklo_epi32(w[2].joined, w[3].joined);
    __m256i first = _mm256_unpacklo_epi64(w01, w23); /* head's first eight | tail's */
    __m256i last = _mm256_unpackhi_epi64(w01, w23);  /* head's last eight | tail's */
    __m256d head = _mm256_cvtepi32_pd(_mm256_castsi256_si128(last));
    __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(first, 1));
    __m256d low = _mm256_cvtepi32_pd(_mm256_extracti128_si256(last, 1));
    __m256d tail = _mm256_add_pd(_mm256_mul_pd(high, _mm256_set1_pd(1e8)), low);
    __m256d head_scale =
        _mm256_set_pd(w[3].head_scale, w[2].head_scale, w[1].head_scale, w[0].head_scale);
    __m256d digits = _mm256_add_pd(_mm256_mul_pd(head, head_scale), tail);
    __m256d scale = _mm256_set_pd(w[3].scale, w[2].scale, w[1].scale, w[0].scale);
    __m256d wide = _mm256_mul_pd(digits, scale);
    const uint32_t signs[4] = {w[0].sign, w[1].sign, w[2].sign, w[3].sign};
    store_floats(values, wide, signs);
    /* Subnormal floats have their ties elsewhere. */
    __m256d out = _mm256_and_pd(_mm256_cmp_pd(wide, _mm256_set1_pd(1.2e-38), _CMP_LT_OQ),
                                _mm256_cmp_pd(digits, _mm256_setzero_pd(), _CMP_NEQ_OQ));
    __m128i crowded = _mm_cmpgt_epi32(_mm256_castsi256_si128(first), _mm_setzero_si128());
    unsigned bad = (unsigned)_mm256_movemask_pd(_mm256_or_pd(near_tie(wide), out)) |
                   (unsigned)_mm_movemask_ps(_mm_castsi128_ps(crowded));
    return bad | (unsigned)w[0].bad | (unsigned)w[1].bad << 1 | (unsigned)w[2].bad << 2 |
           (unsigned)w[3].bad << 3;
}

/* LANES fields of 1 to 16 bytes. */
AVX2 static unsigned convert_windows(const struct fmt_number_fields *f, size_t i)
{
    const uint32_t *starts = f->starts + i;
    const uint32_t *ends = f->ends + i;
    unsigned low = convert_four(f->base, starts, ends, f->values + i);
    return low | convert_four(f->base, starts + 4, ends + 4, f->values + i + 4) << 4;
}

AVX2 unsigned fmt_number_fields_wide(const struct fmt_number_fields *f, size_t i)
{
    const uint32_t *starts = f->starts + i;
    const uint32_t *ends = f->ends + i;
    unsigned low = convert_four_wide(f->base, starts, ends, f->values + i);
    return low | convert_four_wide(f->base, starts + 4, ends + 4, f->values + i + 4) << 4;
}

AVX2 size_t fmt_number_fields_avx2(const struct fmt_number_fields *f)
{
    size_t before = (size_t)(f->base - f->in); /* bytes that may be read before base */
    size_t good = f->count;
    bool wide = false; /* short windows do not suit this data: exponents, for instance */
    for (size_t i = 0; i < f->count && good == f->count; i += LANES) {
        const __m256i *start_at = (const __m256i *)(const void *)(f->starts + i);
        __m256i ends = _mm256_loadu_si256((const __m256i *)(const void *)(f->ends + i));
        __m256i lens = _mm256_sub_epi32(ends, _mm256_loadu_si256(start_at));
        bool whole = i + LANES <= f->count && before + f->ends[i] >= REACH_BYTES;
        unsigned bad = 0xff;
        if (whole && all_up_to(lens, 4))
            bad = convert_short(load_tails(f->base, f->ends + i), lens, f->values + i);
        if (whole && bad != 0 && !wide && all_up_to(lens, 16)) {
            bad = convert_windows(f, i);
            wide = __builtin_popcount(bad) >= LANES / 2;
        } else if (whole && bad != 0) {
            bad = fmt_number_fields_wide(f, i);
        }
        if (bad != 0)
            good = convert_rest(f, i, bad);
    }
    return good;
}

size_t fmt_number_fields(const struct fmt_number_fields *f)
{
    if (fmt_number_has_avx512())
        return fmt_number_fields_avx512(f);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
        return fmt_number_fields_avx2(f);
    return fmt_number_fields_base(f);
}

#else

size_t fmt_number_fields(const struct fmt_number_fields *f)
{
    return fmt_number_fields_base(f);
}

#endif
