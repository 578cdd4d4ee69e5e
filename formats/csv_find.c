/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_find.c - finds line ends and quotes, 64 bytes at a time. */
#include "formats/csv.h"

#if defined(__x86_64__)
#include <immintrin.h>

void fmt_csv_find_base(const uint8_t *p, size_t blocks, struct csv_masks *masks)
{
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');
    const __m128i quote = _mm_set1_epi8('"');
    for (size_t i = 0; i < blocks; i++, p += CSV_BLOCK_BYTES) {
        uint64_t newlines = 0;
        uint64_t quotes = 0;
        for (unsigned k = 0; k < 4; k++) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k));
            __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr));
            __m128i marks = _mm_cmpeq_epi8(v, quote);
            newlines |= (uint64_t)(uint32_t)_mm_movemask_epi8(ends) << (16 * k);
            quotes |= (uint64_t)(uint32_t)_mm_movemask_epi8(marks) << (16 * k);
        }
        masks->newline[i] = newlines;
        masks->quote[i] = quotes;
    }
}

__attribute__((target("avx2"))) static void find_avx2(const uint8_t *p, size_t blocks,
                                                      struct csv_masks *masks)
{
    const __m256i lf = _mm256_set1_epi8('\n');
    const __m256i cr = _mm256_set1_epi8('\r');
    const __m256i quote = _mm256_set1_epi8('"');
    for (size_t i = 0; i < blocks; i++, p += CSV_BLOCK_BYTES) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
        __m256i end_a = _mm256_or_si256(_mm256_cmpeq_epi8(a, lf), _mm256_cmpeq_epi8(a, cr));
        __m256i end_b = _mm256_or_si256(_mm256_cmpeq_epi8(b, lf), _mm256_cmpeq_epi8(b, cr));
        __m256i quote_a = _mm256_cmpeq_epi8(a, quote);
        __m256i quote_b = _mm256_cmpeq_epi8(b, quote);
        masks->newline[i] = (uint64_t)(uint32_t)_mm256_movemask_epi8(end_a) |
                            (uint64_t)(uint32_t)_mm256_movemask_epi8(end_b) << 32;
        masks->quote[i] = (uint64_t)(uint32_t)_mm256_movemask_epi8(quote_a) |
                          (uint64_t)(uint32_t)_mm256_movemask_epi8(quote_b) << 32;
    }
}

/* Bytes that are what the table holds at their low nibble: LF, CR and '"' and no others. */
__attribute__((target("avx2"))) static inline __m256i special_bytes(const uint8_t *p)
{
    const __m256i table = _mm256_setr_epi8(1, 0, '"', 0, 0, 0, 0, 0, 0, 0, '\n', 0, 0, '\r', 0, 0,
                                           1, 0, '"', 0, 0, 0, 0, 0, 0, 0, '\n', 0, 0, '\r', 0, 0);
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, bytes), bytes);
}

__attribute__((target("avx2"))) size_t fmt_csv_skip_avx2(const uint8_t *p, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++, p += CSV_BLOCK_BYTES) {
        __m256i special = _mm256_or_si256(special_bytes(p), special_bytes(p + 32));
        if (!_mm256_testz_si256(special, special))
            return i;
    }
    return blocks;
}

__attribute__((target("avx512f,avx512bw"))) static inline __mmask64 special_512(const uint8_t *p)
{
    const __m512i table = _mm512_broadcast_i32x4(
        _mm_setr_epi8(1, 0, '"', 0, 0, 0, 0, 0, 0, 0, '\n', 0, 0, '\r', 0, 0));
    __m512i bytes = _mm512_loadu_si512(p);
    return _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table, bytes), bytes);
}

__attribute__((target("avx512f,avx512bw"))) static size_t skip_avx512(const uint8_t *p,
                                                                      size_t blocks)
{
    size_t i = 0;
    for (; i + 4 <= blocks; i += 4, p += 4 * CSV_BLOCK_BYTES)
        if ((special_512(p) | special_512(p + CSV_BLOCK_BYTES) |
             special_512(p + 2 * CSV_BLOCK_BYTES) | special_512(p + 3 * CSV_BLOCK_BYTES)) != 0)
            break;
    for (; i < blocks && special_512(p) == 0; i++)
        p += CSV_BLOCK_BYTES;
    return i;
}

size_t fmt_csv_skip(const uint8_t *p, size_t blocks)
{
    if (__builtin_cpu_supports("avx512bw"))
        return skip_avx512(p, blocks);
    return __builtin_cpu_supports("avx2") ? fmt_csv_skip_avx2(p, blocks) : 0;
}

void fmt_csv_find(const uint8_t *p, size_t blocks, struct csv_masks *masks)
{
    if (__builtin_cpu_supports("avx2"))
        find_avx2(p, blocks, masks);
    else
        fmt_csv_find_base(p, blocks, masks);
}

#else

size_t fmt_csv_skip(const uint8_t *p, size_t blocks)
{
    (void)p;
    (void)blocks;
    return 0;
}

void fmt_csv_find_base(const uint8_t *p, size_t blocks, struct csv_masks *masks)
{
    for (size_t i = 0; i < blocks; i++, p += CSV_BLOCK_BYTES) {
        uint64_t newlines = 0;
        uint64_t quotes = 0;
        for (unsigned k = 0; k < CSV_BLOCK_BYTES; k++) {
            newlines |= (uint64_t)csv_is_newline(p[k]) << k;
            quotes |= (uint64_t)(p[k] == '"') << k;
        }
        masks->newline[i] = newlines;
        masks->quote[i] = quotes;
    }
}

void fmt_csv_find(const uint8_t *p, size_t blocks, struct csv_masks *masks)
{
    fmt_csv_find_base(p, blocks, masks);
}

#endif
