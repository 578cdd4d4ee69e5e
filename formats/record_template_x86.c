/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template_x86.c - the loops of formats/record_template.c in wide instructions.
 *
 * Most records need two blocks: what lies before the features, and what lies between them and the
 * label. These are kept in registers from record to record.
 */
#if defined(__x86_64__)

#include "formats/record_template_x86.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define ALWAYS __attribute__((always_inline))

/* Longer runs are copied by memcpy. */
enum { BLOCK = FMT_TEMPLATE_BLOCK_BYTES, SHORT_RUN_MAX = 16 * BLOCK };

/* The input is asked for so far ahead: pages end the processor's own looking ahead. */
enum { AHEAD_BYTES = 1024, AHEAD_RECORDS = 8 };

struct block {
    __m256i bytes;
    __m256i mask;
    size_t at;
};

AVX2 ALWAYS static inline struct block load(const struct fmt_template_block *from)
{
    return (struct block){.bytes = _mm256_loadu_si256((const __m256i *)(const void *)from->bytes),
                          .mask = _mm256_loadu_si256((const __m256i *)(const void *)from->mask),
                          .at = from->at};
}

AVX2 ALWAYS static inline __m256i difference(const struct block *block, const uint8_t *in)
{
    __m256i found = _mm256_loadu_si256((const __m256i *)(const void *)(in + block->at));
    return _mm256_xor_si256(_mm256_and_si256(found, block->mask), block->bytes);
}

/* The first two blocks, and others where the template has them. */
AVX2 ALWAYS static inline bool is_alike(const struct fmt_template *template,
                                        const struct block *first, const uint8_t *in)
{
    __m256i all = _mm256_or_si256(difference(&first[0], in), difference(&first[1], in));
    for (uint32_t i = 2; i < template->block_count; i++) {
        struct block block = load(&template->blocks[i]);
        all = _mm256_or_si256(all, difference(&block, in));
    }
    return _mm256_testz_si256(all, all) != 0;
}

/* Two blocks: there is always one. */
AVX2 ALWAYS static inline void load_first(const struct fmt_template *template, struct block *first)
{
    first[0] = load(&template->blocks[0]);
    first[1] = load(&template->blocks[template->block_count > 1 ? 1 : 0]);
}

AVX2 ALWAYS static inline void copy_block(const uint8_t *in, uint8_t *out)
{
    _mm256_storeu_si256((__m256i *)(void *)out,
                        _mm256_loadu_si256((const __m256i *)(const void *)in));
}

/* A block or more: the last overlaps those before. */
AVX2 ALWAYS static inline void copy_blocks(const uint8_t *in, size_t len_bytes, uint8_t *out)
{
    size_t last = len_bytes - BLOCK;
    for (size_t i = 0; i < last; i += BLOCK)
        copy_block(in + i, out + i);
    copy_block(in + last, out + last);
}

/* Of less than a block likewise two smaller ones. */
AVX2 ALWAYS static inline void copy(const uint8_t *in, size_t len_bytes, uint8_t *out)
{
    if (len_bytes > SHORT_RUN_MAX) {
        memcpy(out, in, len_bytes);
    } else if (len_bytes >= BLOCK) {
        copy_blocks(in, len_bytes, out);
    } else if (len_bytes >= 16) {
        memcpy(out, in, 16);
        memcpy(out + len_bytes - 16, in + len_bytes - 16, 16);
    } else if (len_bytes >= 8) {
        memcpy(out, in, 8);
        memcpy(out + len_bytes - 8, in + len_bytes - 8, 8);
    } else {
        memcpy(out, in, 4);
    }
}

/* Features of a block and more, one label, and nothing else: all of it in registers. */
AVX2 static uint32_t copy_short(const struct fmt_template *template, const uint8_t *in, size_t len,
                                uint32_t row_count, const struct fmt_template_move *moves)
{
    struct block first[2];
    size_t len_bytes = template->len_bytes;
    size_t row_bytes = moves[0].len_bytes;
    const uint8_t *features = in + moves[0].at;
    uint8_t *to = moves[0].to;
    size_t label_at = moves[1].at;
    uint8_t *label_to = moves[1].to;
    if (row_count > len / len_bytes)
        row_count = (uint32_t)(len / len_bytes);
    load_first(template, first);
    uint32_t row = 0;
    for (; row < row_count; row++) {
        __m256i all = _mm256_or_si256(difference(&first[0], in), difference(&first[1], in));
        if (!_mm256_testz_si256(all, all))
            break;
        _mm_prefetch(in + AHEAD_BYTES, _MM_HINT_T0);
        memcpy(label_to + row * sizeof(float), in + label_at, sizeof(float));
        copy_blocks(features, row_bytes, to);
        to += row_bytes;
        features += len_bytes;
        in += len_bytes;
    }
    return row;
}

static bool is_short(const struct fmt_template *template, const struct fmt_template_move *moves)
{
    return template->run_count == 2 && template->block_count <= 2 && moves[0].len_bytes >= BLOCK &&
           moves[0].len_bytes <= SHORT_RUN_MAX && moves[0].stride_bytes == moves[0].len_bytes &&
           moves[1].len_bytes == sizeof(float) && moves[1].stride_bytes == sizeof(float);
}

AVX2 uint32_t fmt_template_copy_avx2(const struct fmt_template *template, const uint8_t *in,
                                     size_t len, uint32_t row_count,
                                     const struct fmt_template_move *moves)
{
    if (is_short(template, moves))
        return copy_short(template, in, len, row_count, moves);
    struct block first[2];
    uint32_t row = 0;
    load_first(template, first);
    for (; row < row_count && len >= template->look_bytes && is_alike(template, first, in); row++) {
        _mm_prefetch(in + AHEAD_BYTES, _MM_HINT_T0);
        for (uint32_t i = 0; i < template->run_count; i++)
            copy(in + moves[i].at, moves[i].len_bytes, moves[i].to + row * moves[i].stride_bytes);
        in += template->len_bytes;
        len -= template->len_bytes;
    }
    return row;
}

AVX2 uint32_t fmt_template_match_avx2(const struct fmt_template *template, const uint8_t *in,
                                      size_t len, uint32_t row_count)
{
    struct block first[2];
    size_t ahead_bytes = AHEAD_RECORDS * template->len_bytes;
    uint32_t row = 0;
    load_first(template, first);
    for (; row < row_count && len >= template->look_bytes && is_alike(template, first, in); row++) {
        _mm_prefetch(in + ahead_bytes, _MM_HINT_T0);
        in += template->len_bytes;
        len -= template->len_bytes;
    }
    return row;
}

#endif
