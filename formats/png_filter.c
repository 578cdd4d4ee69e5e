/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png_filter.c - undoes PNG's row filters: a pixel at a time where the row filter makes
 * each pixel wait for the one before, the whole of it in one vector register.
 */
#include "formats/png_filter.h"

#include <string.h>

enum { NONE, SUB, UP, AVERAGE, PAETH };

static uint8_t predict(int left, int above, int corner)
{
    int to_left = above > corner ? above - corner : corner - above;
    int to_above = left > corner ? left - corner : corner - left;
    int sum = left + above - 2 * corner;
    int to_corner = sum < 0 ? -sum : sum;
    if (to_left <= to_above && to_left <= to_corner)
        return (uint8_t)left;
    return (uint8_t)(to_above <= to_corner ? above : corner);
}

bool fmt_png_unfilter_plainly(uint8_t filter, uint8_t *row, const uint8_t *above, size_t len_bytes,
                              uint32_t pixel_bytes)
{
    size_t n = pixel_bytes;
    switch (filter) {
    case NONE:
        return true;
    case SUB:
        for (size_t i = n; i < len_bytes; i++)
            row[i] = (uint8_t)(row[i] + row[i - n]);
        return true;
    case UP:
        for (size_t i = 0; i < len_bytes; i++)
            row[i] = (uint8_t)(row[i] + above[i]);
        return true;
    case AVERAGE:
        for (size_t i = 0; i < len_bytes; i++)
            row[i] = (uint8_t)(row[i] + ((i < n ? 0 : row[i - n]) + above[i]) / 2);
        return true;
    case PAETH:
        for (size_t i = 0; i < len_bytes; i++)
            row[i] = (uint8_t)(row[i] +
                               (i < n ? above[i] : predict(row[i - n], above[i], above[i - n])));
        return true;
    default:
        return false;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SSE4 __attribute__((target("sse4.1")))

/* Three bytes are loaded and stored as four while there are four: the one too many is the first of
 * the next pixel, which must come to no harm. */
SSE4 static inline __m128i load(const uint8_t *from)
{
    int word;
    memcpy(&word, from, sizeof(word));
    return _mm_cvtsi32_si128(word);
}

SSE4 static inline void store(uint8_t *to, __m128i pixel, size_t n)
{
    int word = _mm_cvtsi128_si32(pixel);
    memcpy(to, &word, n);
}

SSE4 static inline size_t undo_sub(uint8_t *row, size_t len_bytes, size_t n)
{
    __m128i left = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 4 <= len_bytes; i += n) {
        left = _mm_add_epi8(left, load(row + i));
        store(row + i, left, n);
    }
    return i;
}

SSE4 static size_t undo_up(uint8_t *row, const uint8_t *above, size_t len_bytes)
{
    size_t i = 0;
    for (; i + 16 <= len_bytes; i += 16) {
        __m128i sum = _mm_add_epi8(_mm_loadu_si128((const __m128i *)(const void *)(row + i)),
                                   _mm_loadu_si128((const __m128i *)(const void *)(above + i)));
        _mm_storeu_si128((__m128i *)(void *)(row + i), sum);
    }
    return i;
}

SSE4 static inline size_t undo_average(uint8_t *row, const uint8_t *above, size_t len_bytes,
                                       size_t n)
{
    const __m128i ones = _mm_set1_epi8(1);
    __m128i left = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 4 <= len_bytes; i += n) {
        __m128i up = load(above + i);
        /* the instruction rounds up, the filter down */
        __m128i odd = _mm_and_si128(_mm_xor_si128(left, up), ones);
        __m128i average = _mm_sub_epi8(_mm_avg_epu8(left, up), odd);
        left = _mm_add_epi8(load(row + i), average);
        store(row + i, left, n);
    }
    return i;
}

SSE4 static inline size_t undo_paeth(uint8_t *row, const uint8_t *above, size_t len_bytes, size_t n)
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i low_bytes = _mm_set1_epi16(0xff);
    __m128i left = zero;
    __m128i corner = zero;
    size_t i = 0;
    for (; i + 4 <= len_bytes; i += n) {
        __m128i up = _mm_unpacklo_epi8(load(above + i), zero);
        __m128i rest = _mm_unpacklo_epi8(load(row + i), zero);
        __m128i from_up = _mm_sub_epi16(up, corner);
        __m128i from_left = _mm_sub_epi16(left, corner);
        __m128i to_left = _mm_abs_epi16(from_up);
        __m128i to_up = _mm_abs_epi16(from_left);
        __m128i to_corner = _mm_abs_epi16(_mm_add_epi16(from_up, from_left));
        __m128i least = _mm_min_epi16(to_corner, _mm_min_epi16(to_left, to_up));
        __m128i nearest = _mm_blendv_epi8(corner, up, _mm_cmpeq_epi16(least, to_up));
        nearest = _mm_blendv_epi8(nearest, left, _mm_cmpeq_epi16(least, to_left));
        left = _mm_and_si128(_mm_add_epi16(rest, nearest), low_bytes);
        corner = up;
        store(row + i, _mm_packus_epi16(left, left), n);
    }
    return i;
}

/* Undoes the filter from the front of the row; returns how many bytes it did. */
SSE4 static size_t unfilter_front(uint8_t filter, uint8_t *row, const uint8_t *above,
                                  size_t len_bytes, uint32_t pixel_bytes)
{
    /* the constants let the compiler make a loop of each width */
    switch (filter) {
    case SUB:
        return pixel_bytes == 3 ? undo_sub(row, len_bytes, 3) : undo_sub(row, len_bytes, 4);
    case AVERAGE:
        return pixel_bytes == 3 ? undo_average(row, above, len_bytes, 3)
                                : undo_average(row, above, len_bytes, 4);
    case PAETH:
        return pixel_bytes == 3 ? undo_paeth(row, above, len_bytes, 3)
                                : undo_paeth(row, above, len_bytes, 4);
    default:
        return 0;
    }
}

/* What unfilter_front left of the row: not the first pixel, unless it is the only one. */
static bool unfilter_rest(uint8_t filter, uint8_t *row, const uint8_t *above, size_t done,
                          size_t len_bytes, uint32_t pixel_bytes)
{
    size_t n = pixel_bytes;
    if (done == 0 || done == len_bytes)
        return done == len_bytes ||
               fmt_png_unfilter_plainly(filter, row, above, len_bytes, pixel_bytes);
    for (size_t i = done; i < len_bytes; i++) {
        int left = row[i - n];
        int add = filter == SUB       ? left
                  : filter == AVERAGE ? (left + above[i]) / 2
                                      : predict(left, above[i], above[i - n]);
        row[i] = (uint8_t)(row[i] + add);
    }
    return true;
}

bool fmt_png_unfilter(uint8_t filter, uint8_t *row, const uint8_t *above, size_t len_bytes,
                      uint32_t pixel_bytes)
{
    if (!__builtin_cpu_supports("sse4.1"))
        return fmt_png_unfilter_plainly(filter, row, above, len_bytes, pixel_bytes);
    if (filter == UP) {
        size_t done = undo_up(row, above, len_bytes);
        return fmt_png_unfilter_plainly(UP, row + done, above + done, len_bytes - done, 1);
    }
    if (pixel_bytes < 3)
        return fmt_png_unfilter_plainly(filter, row, above, len_bytes, pixel_bytes);
    size_t done = unfilter_front(filter, row, above, len_bytes, pixel_bytes);
    return unfilter_rest(filter, row, above, done, len_bytes, pixel_bytes);
}

#else

bool fmt_png_unfilter(uint8_t filter, uint8_t *row, const uint8_t *above, size_t len_bytes,
                      uint32_t pixel_bytes)
{
    return fmt_png_unfilter_plainly(filter, row, above, len_bytes, pixel_bytes);
}

#endif
