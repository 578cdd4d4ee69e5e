/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_resize_x86.c - the loops of image_resize.c and image_store.c in wide instructions.
 */
#if defined(__x86_64__)

#include "formats/image_resize_x86.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

enum { ROW_STEP = 16 };

AVX2 static inline __m128i load_16(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

/* Two weights in each of eight places. */
AVX2 static inline __m256i pair_of(int16_t first, int16_t second)
{
    return _mm256_set1_epi32((int)((uint32_t)(uint16_t)second << 16 | (uint16_t)first));
}

/* Sixteen elements of the line from the rows at `top`. */
AVX2 static inline void blend_16(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                                 uint32_t taps, int16_t *line)
{
    __m256i low = _mm256_set1_epi32(1 << (FMT_ROW_SHIFT - 1));
    __m256i high = low;
    for (uint32_t t = 0; t < taps; t += 2) {
        bool is_pair = t + 1 < taps;
        __m128i a = load_16(top + t * stride_bytes);
        __m128i b = is_pair ? load_16(top + (t + 1) * stride_bytes) : a;
        __m256i pair = pair_of(weights[t], is_pair ? weights[t + 1] : 0);
        __m256i left = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
        __m256i right = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(left, pair));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(right, pair));
    }
    __m256i packed = _mm256_packs_epi32(_mm256_srai_epi32(low, FMT_ROW_SHIFT),
                                        _mm256_srai_epi32(high, FMT_ROW_SHIFT));
    _mm256_storeu_si256((__m256i *)(void *)line,
                        _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0)));
}

AVX2 void fmt_blend_rows_avx2(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                              uint32_t taps, size_t count, int16_t *line)
{
    if (count < ROW_STEP) {
        fmt_blend_rows_plainly(top, stride_bytes, weights, taps, count, line);
        return;
    }
    for (size_t i = 0; i + ROW_STEP <= count; i += ROW_STEP)
        blend_16(top + i, stride_bytes, weights, taps, line + i);
    if (count % ROW_STEP != 0) /* the last ones, some of them again */
        blend_16(top + count - ROW_STEP, stride_bytes, weights, taps, line + count - ROW_STEP);
}

/* One output: red, green and blue of the pixels at `from`, weighted and summed, in 32 bits each. */
AVX2 static inline __m128i blend_pixel(const int16_t *from, const int16_t *weights, uint32_t taps)
{
    /* of two pixels, which are the first six elements of eight: reds, greens, blues */
    const __m256i order = _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1, 0,
                                           1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
    const __m256i spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m256i sum = _mm256_setzero_si256();
    for (uint32_t t = 0; t < taps; t += 4, from += 12) {
        __m256i pixels =
            _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(from)), load_16(from + 6), 1);
        __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)(weights + t));
        __m256i pairs = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), spread);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, order), pairs));
    }
    __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(1 << (FMT_COLUMN_SHIFT - 1))),
                          FMT_COLUMN_SHIFT);
}

AVX2 void fmt_blend_columns_avx2(const struct fmt_axis *axis, const int16_t *line, uint8_t *out)
{
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const uint32_t *starts = fmt_axis_starts(axis);
    const int16_t *weights = fmt_axis_weights(axis);
    uint32_t taps = axis->taps;
    for (uint32_t x = 0; x < axis->count; x += 4) {
        __m128i sums[4];
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t i = x + k < axis->count ? x + k : axis->count - 1;
            sums[k] = blend_pixel(line + (size_t)(starts[i] - axis->first) * 3,
                                  weights + (size_t)i * taps, taps);
        }
        __m128i bytes =
            _mm_packus_epi16(_mm_packs_epi32(sums[0], sums[1]), _mm_packs_epi32(sums[2], sums[3]));
        _mm_storeu_si128((__m128i *)(void *)(out + (size_t)x * 3),
                         _mm_shuffle_epi8(bytes, squeeze));
    }
}

AVX2 static inline __m256 to_floats(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

AVX2 void fmt_split_floats_avx2(const uint8_t *row, uint32_t width, const float *scale,
                                const float *offset, float *out, size_t plane)
{
    uint32_t x = 0;
    for (; x + 8 <= width; x += 8) {
        __m128i low = load_16(row + (size_t)x * 3); /* bytes 0 to 15 of 24, then 8 to 23 */
        __m128i high = load_16(row + (size_t)x * 3 + 8);
        for (int c = 0; c < 3; c++) {
            const __m128i step =
                _mm_setr_epi8(0, 3, 6, 9, 12, 15, 18, 21, -1, -1, -1, -1, -1, -1, -1, -1);
            __m128i places = _mm_add_epi8(step, _mm_set1_epi8((char)c));
            __m128i is_low = _mm_cmplt_epi8(places, _mm_set1_epi8(16));
            __m128i from_low = _mm_shuffle_epi8(low, places);
            __m128i from_high = _mm_shuffle_epi8(high, _mm_sub_epi8(places, _mm_set1_epi8(8)));
            __m256 values = to_floats(_mm_blendv_epi8(from_high, from_low, is_low));
            values = _mm256_add_ps(_mm256_mul_ps(values, _mm256_set1_ps(scale[c])),
                                   _mm256_set1_ps(offset[c]));
            _mm256_storeu_ps(out + (size_t)c * plane + x, values);
        }
    }
    fmt_split_floats_plainly(row + (size_t)x * 3, width - x, scale, offset, out + x, plane);
}

AVX2 void fmt_scale_floats_avx2(const uint8_t *row, uint32_t width, const float *scale,
                                const float *offset, float *out)
{
    __m256 scales[3];
    __m256 offsets[3];
    for (int k = 0; k < 3; k++) {
        int c = (8 * k) % 3;
        int d = (c + 1) % 3;
        int e = (c + 2) % 3;
        scales[k] = _mm256_setr_ps(scale[c], scale[d], scale[e], scale[c], scale[d], scale[e],
                                   scale[c], scale[d]);
        offsets[k] = _mm256_setr_ps(offset[c], offset[d], offset[e], offset[c], offset[d],
                                    offset[e], offset[c], offset[d]);
    }
    uint32_t x = 0;
    for (; x + 8 <= width; x += 8) {
        for (int k = 0; k < 3; k++) {
            size_t at = (size_t)x * 3 + 8 * (size_t)k;
            __m256 values = to_floats(_mm_loadl_epi64((const __m128i *)(const void *)(row + at)));
            _mm256_storeu_ps(out + at, _mm256_add_ps(_mm256_mul_ps(values, scales[k]), offsets[k]));
        }
    }
    fmt_scale_floats_plainly(row + (size_t)x * 3, width - x, scale, offset, out + (size_t)x * 3);
}

#else
typedef int fmt_image_resize_x86_is_empty; /* C wants a declaration */
#endif
