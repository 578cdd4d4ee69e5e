/* SPDX-License-Identifier: Apache-2.0 */
/* formats/libsvm_bulk.c - regular libsvm lines with AVX2: find where words begin and end, and where
 * their colons are; convert indices eight digits at a time, and all values by number_fields.h.
 */
#include "formats/bit_offsets.h"
#include "formats/libsvm.h"
#include "formats/number.h"
#include "formats/number_fields.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define BLOCK_BYTES CSV_BLOCK_BYTES
#define BATCH_BLOCKS 8
#define CHUNK_WORDS 4096u
#define LANES FMT_FIELDS_SLACK

/* Positions count from the row where the chunk starts, in 32 bits. */
#define CHUNK_BYTES_MAX ((size_t)1 << 30)

/* A batch's words more than CHUNK_WORDS, which are stored before they are counted. */
#define ROOM (CHUNK_WORDS + BATCH_BLOCKS * BLOCK_BYTES + LANES + FMT_OFFSETS_SLACK)

/* The words and colons up to a row's end, and the byte behind its line end. */
struct row_end {
    uint32_t words;
    uint32_t colons;
    uint32_t at;
};

struct libsvm_bulk {
    uint32_t word_starts[ROOM];
    uint32_t word_ends[ROOM];
    uint32_t colons[ROOM];
    struct row_end row_ends[CHUNK_WORDS];
    /* Of the entries' values. */
    uint32_t value_starts[ROOM];
    uint32_t value_ends[ROOM];
};

struct chunk {
    const uint8_t *in; /* first byte that may be read */
    const uint8_t *base;
    size_t len; /* from base */
    uint32_t rows_max;
    uint32_t rows;
};

struct libsvm_bulk *fmt_libsvm_bulk_new(bool *failed)
{
    *failed = false;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("popcnt"))
        return NULL;
    struct libsvm_bulk *bulk = calloc(1, sizeof(*bulk));
    *failed = bulk == NULL;
    return bulk;
}

void fmt_libsvm_bulk_free(struct libsvm_bulk *bulk)
{
    free(bulk);
}

AVX2 static inline uint64_t find(__m256i a, __m256i b, char c)
{
    __m256i wanted = _mm256_set1_epi8(c);
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, wanted));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, wanted));
    return (uint64_t)high << 32 | low;
}

/* What is found in a batch of blocks. */
struct batch {
    uint64_t colons[BATCH_BLOCKS];
    uint64_t starts[BATCH_BLOCKS]; /* of words */
    uint64_t ends[BATCH_BLOCKS];   /* bytes behind words */
};

/* Fills one block of the batch. Returns the line ends in front of the first comment. *carry tells
 * whether the byte before was a gap between words. */
AVX2 static inline uint64_t read_block(const uint8_t *p, uint64_t *carry, struct batch *batch,
                                       size_t block, bool *comment)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    uint64_t newlines = find(a, b, '\n') | find(a, b, '\r');
    uint64_t comments = find(a, b, '#');
    uint64_t gaps = newlines | find(a, b, ' ') | find(a, b, '\t');
    uint64_t behind_gap = gaps << 1 | *carry;
    batch->colons[block] = find(a, b, ':');
    batch->starts[block] = ~gaps & behind_gap;
    batch->ends[block] = gaps & ~behind_gap;
    *carry = gaps >> 63;
    *comment = comments != 0;
    return newlines & _blsmsk_u64(comments); /* all bits if there is none */
}

/* Notes the rows that end in a block, of which `before` tells what came earlier. Returns false when
 * the chunk is full. */
AVX2 static bool count_rows(struct libsvm_bulk *bulk, struct chunk *chunk, uint64_t newlines,
                            uint64_t word_ends, uint64_t colons, struct row_end before)
{
    uint32_t words = chunk->rows == 0 ? 0 : bulk->row_ends[chunk->rows - 1].words;
    for (; newlines != 0; newlines = _blsr_u64(newlines)) {
        uint64_t upto = _blsmsk_u64(newlines);
        struct row_end end = {
            .words = before.words + (uint32_t)__builtin_popcountll(word_ends & upto),
            .colons = before.colons + (uint32_t)__builtin_popcountll(colons & upto),
            .at = before.at + (uint32_t)_tzcnt_u64(newlines) + 1,
        };
        if (end.words == words)
            continue; /* a blank line */
        if (end.words > CHUNK_WORDS || end.colons > CHUNK_WORDS)
            return false;
        words = end.words;
        bulk->row_ends[chunk->rows++] = end;
        if (chunk->rows == chunk->rows_max)
            return false;
    }
    return true;
}

/* Reads a batch of blocks from `seen` on, which moves behind them; returns whether to go on. */
AVX2 static bool read_batch(struct libsvm_bulk *bulk, struct chunk *chunk, uint64_t *carry,
                            struct row_end *seen, struct batch *batch, size_t *blocks)
{
    bool more = true;
    for (*blocks = 0; more && *blocks < BATCH_BLOCKS && seen->at < chunk->len; ++*blocks) {
        uint8_t last[BLOCK_BYTES];
        const uint8_t *p = chunk->base + seen->at;
        size_t left = chunk->len - seen->at;
        bool comment;
        if (left < BLOCK_BYTES) {
            memset(last, ' ', sizeof(last));
            memcpy(last, p, left);
            p = last;
        }
        uint64_t newlines = read_block(p, carry, batch, *blocks, &comment);
        uint64_t ends = batch->ends[*blocks];
        uint64_t colons = batch->colons[*blocks];
        if (newlines != 0)
            more = count_rows(bulk, chunk, newlines, ends, colons, *seen);
        more &= !comment;
        seen->words += (uint32_t)__builtin_popcountll(ends);
        seen->colons += (uint32_t)__builtin_popcountll(colons);
        seen->at += BLOCK_BYTES;
    }
    return more;
}

/* Fills the positions and chunk->rows, up to the first comment. */
static void index_chunk(struct libsvm_bulk *bulk, struct chunk *chunk)
{
    size_t starts = 0;
    struct row_end seen = {.at = 0};
    uint64_t carry = 1; /* a line's start is like a gap */
    bool more = true;
    while (more && seen.at < chunk->len && starts <= CHUNK_WORDS && seen.colons <= CHUNK_WORDS) {
        struct row_end before = seen;
        struct batch batch;
        size_t blocks;
        more = read_batch(bulk, chunk, &carry, &seen, &batch, &blocks);
        starts += fmt_bit_offsets(batch.starts, blocks, before.at, bulk->word_starts + starts);
        (void)fmt_bit_offsets(batch.ends, blocks, before.at, bulk->word_ends + before.words);
        (void)fmt_bit_offsets(batch.colons, blocks, before.at, bulk->colons + before.colons);
    }
    /* LANES at a time are looked at below: what is behind the last colon must be a place, too. */
    for (uint32_t i = 0; i < LANES; i++)
        bulk->colons[seen.colons + i] = seen.colons > 0 ? bulk->colons[seen.colons - 1] : 0;
}

/* The whole number of 1 to 8 digits that ends at `end`, or UINT64_MAX. */
static inline uint64_t read_index(const struct chunk *chunk, const uint8_t *start,
                                  const uint8_t *end)
{
    size_t len = (size_t)(end - start);
    if (len - 1 >= 8 || end - chunk->in < 8)
        return UINT64_MAX;
    unsigned shift = 64 - 8 * (unsigned)len;
    uint64_t digits = (fmt_load8(end - 8) ^ FMT_ASCII_ZEROS) >> shift << shift;
    if (((digits + 0x7676767676767676u) | digits) & 0x8080808080808080u)
        return UINT64_MAX;
    return fmt_join8(digits);
}

static inline bool read_number(const uint8_t *p, const uint8_t *end, float *value)
{
    if (end - p == 2 && *p == '+') /* "+1" is what labels are */
        p++;
    if (end - p == 1 && *p >= '0' && *p <= '9') {
        *value = (float)(*p - '0');
        return true;
    }
    return p < end && fmt_number_scan(p, end, value) == end;
}

/* Where a row's words and colons are. */
struct row {
    uint32_t word;
    uint32_t word_end;
    uint32_t colon;
    uint32_t colon_end;
};

/* Label, weight and group; moves *row behind them. */
static bool read_head(const struct fmt_decoder *decoder, const struct chunk *chunk, struct row *row,
                      size_t row_no, const struct fmt_rows *out)
{
    const struct libsvm_bulk *bulk = decoder->bulk;
    const uint8_t *base = chunk->base;
    uint32_t start = bulk->word_starts[row->word];
    uint32_t end = bulk->word_ends[row->word];
    uint32_t label_end = end;
    row->word++;
    if (decoder->weights == LIBSVM_ON) {
        if (row->colon == row->colon_end || bulk->colons[row->colon] > end)
            return false;
        label_end = bulk->colons[row->colon++];
        if (!read_number(base + label_end + 1, base + end, &out->weights[row_no]))
            return false;
    }
    if (!read_number(base + start, base + label_end, &out->labels[row_no]))
        return false;
    if (decoder->groups != LIBSVM_ON)
        return true;
    if (row->word == row->word_end || row->colon == row->colon_end)
        return false;
    start = bulk->word_starts[row->word];
    end = bulk->word_ends[row->word++];
    uint32_t colon = bulk->colons[row->colon++];
    if (colon != start + 3 || memcmp(base + start, "qid", 3) != 0)
        return false;
    uint64_t group = read_index(chunk, base + colon + 1, base + end);
    out->groups[row_no] = group;
    return group != UINT64_MAX;
}

AVX2 static inline __m256i load_lanes(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static inline void store_lanes(uint32_t *p, __m256i lanes)
{
    _mm256_storeu_si256((__m256i *)(void *)p, lanes);
}

/* The eight bytes in front of four colons, of which `lens` are digits; 0 in front of these. */
AVX2 static inline __m256i load_digits(const uint8_t *base, const uint32_t *colons, __m128i lens)
{
    __m256i text = _mm256_setr_epi64x(
        (int64_t)fmt_load8(base + colons[0] - 8), (int64_t)fmt_load8(base + colons[1] - 8),
        (int64_t)fmt_load8(base + colons[2] - 8), (int64_t)fmt_load8(base + colons[3] - 8));
    __m256i shift =
        _mm256_sub_epi64(_mm256_set1_epi64x(64), _mm256_slli_epi64(_mm256_cvtepu32_epi64(lens), 3));
    text = _mm256_xor_si256(text, _mm256_set1_epi8('0'));
    return _mm256_sllv_epi64(_mm256_srlv_epi64(text, shift), shift);
}

AVX2 static inline __m256i join_fours(__m256i digits)
{
    __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));
}

AVX2 static inline __m256i all_digits(__m256i digits)
{
    const __m256i nine = _mm256_set1_epi8(9);
    return _mm256_cmpeq_epi64(_mm256_max_epu8(digits, nine), nine);
}

/* LANES entries, which begin with word `word` and colon `colon`: their columns, and the places of
 * their values. Returns the lanes that are not so regular: indices of more than eight digits, or
 * bad ones. */
AVX2 static unsigned read_lanes(const struct fmt_decoder *decoder, const uint8_t *base,
                                uint32_t word, uint32_t colon, uint32_t out, uint32_t *columns)
{
    struct libsvm_bulk *bulk = decoder->bulk;
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i limit = _mm256_set1_epi32((int)libsvm_limit(decoder));
    __m256i starts = load_lanes(bulk->word_starts + word);
    __m256i ends = load_lanes(bulk->word_ends + word);
    __m256i colons = load_lanes(bulk->colons + colon);
    __m256i value_starts = _mm256_add_epi32(colons, one);
    __m256i lens = _mm256_sub_epi32(colons, starts);
    __m256i fits =
        _mm256_and_si256(_mm256_cmpgt_epi32(ends, value_starts),
                         _mm256_and_si256(_mm256_cmpgt_epi32(lens, _mm256_setzero_si256()),
                                          _mm256_cmpgt_epi32(_mm256_set1_epi32(9), lens)));
    __m256i low = load_digits(base, bulk->colons + colon, _mm256_castsi256_si128(lens));
    __m256i high = load_digits(base, bulk->colons + colon + 4, _mm256_extracti128_si256(lens, 1));
    __m256i packed = _mm256_packus_epi32(join_fours(low), join_fours(high));
    __m256i joined = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
    /* joined: 0 1 4 5 | 2 3 6 7 */
    __m256i index = _mm256_permute4x64_epi64(joined, 0xd8);
    __m256i column = _mm256_sub_epi32(index, _mm256_set1_epi32((int)decoder->base));
    __m256i beyond = _mm256_cmpeq_epi32(_mm256_max_epu32(column, limit), column);
    store_lanes(columns + out, column);
    store_lanes(bulk->value_starts + out, value_starts);
    store_lanes(bulk->value_ends + out, ends);
    unsigned good = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(all_digits(low))) |
                    (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(all_digits(high))) << 4;
    good &= (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(beyond, fits)));
    return ~good & 0xff;
}

/* Indices to columns, and the places of values, of a row whose head is read. `count` entries came
 * before in the chunk. */
AVX2 static bool read_entries(const struct fmt_decoder *decoder, const struct chunk *chunk,
                              const struct row *row, uint32_t count, uint32_t *columns)
{
    const struct libsvm_bulk *bulk = decoder->bulk;
    uint32_t entries = row->word_end - row->word;
    if (entries != row->colon_end - row->colon)
        return false;
    if (entries > 0 && (size_t)(chunk->base - chunk->in) + bulk->colons[row->colon] < 8)
        return false;
    for (uint32_t i = 0; i < entries; i += LANES) {
        unsigned bad =
            read_lanes(decoder, chunk->base, row->word + i, row->colon + i, count + i, columns);
        if (entries - i < LANES)
            bad &= (1u << (entries - i)) - 1;
        if (bad != 0)
            return false;
    }
    return true;
}

/* Reads heads and indices of rows until one is irregular. Returns the number before it. */
static uint32_t read_rows(const struct fmt_decoder *decoder, const struct chunk *chunk,
                          uint32_t row_no, struct fmt_rows *out, uint32_t *entries)
{
    const struct libsvm_bulk *bulk = decoder->bulk;
    struct row row = {.word = 0};
    *entries = 0;
    for (uint32_t i = 0; i < chunk->rows; i++) {
        const struct row_end *end = &bulk->row_ends[i];
        row.word_end = end->words;
        row.colon_end = end->colons;
        if (!read_head(decoder, chunk, &row, row_no + i, out) ||
            !read_entries(decoder, chunk, &row, *entries,
                          out->entries.columns + out->entries.count))
            return i;
        *entries += row.word_end - row.word;
        out->entry_ends[row_no + i] = (uint32_t)out->entries.count + *entries;
        row.word = end->words;
        row.colon = end->colons;
    }
    return chunk->rows;
}

uint32_t fmt_libsvm_bulk_rows(const struct fmt_decoder *decoder, const struct fmt_span *span,
                              const uint8_t **p, uint32_t row_no, struct fmt_rows *out)
{
    struct libsvm_bulk *bulk = decoder->bulk;
    uint32_t left = span->rows - row_no;
    struct chunk chunk = {.in = span->in,
                          .base = *p,
                          .len = (size_t)(span->in + span->len - *p),
                          .rows_max = left < CHUNK_WORDS ? left : CHUNK_WORDS};
    uint32_t entries;
    if (chunk.len > CHUNK_BYTES_MAX)
        chunk.len = CHUNK_BYTES_MAX;
    index_chunk(bulk, &chunk);
    if (chunk.rows == 0 || !fmt_entries_reserve(&out->entries, CHUNK_WORDS + LANES))
        return 0;
    uint32_t rows = read_rows(decoder, &chunk, row_no, out, &entries);
    const struct fmt_number_fields values = {
        .in = chunk.in,
        .base = chunk.base,
        .starts = bulk->value_starts,
        .ends = bulk->value_ends,
        .count = entries,
        .values = out->entries.values + out->entries.count,
    };
    size_t good = fmt_number_fields(&values);
    while (rows > 0 && out->entry_ends[row_no + rows - 1] - out->entries.count > good)
        rows--;
    if (rows == 0)
        return 0;
    out->entries.count = out->entry_ends[row_no + rows - 1];
    *p = chunk.base + bulk->row_ends[rows - 1].at;
    return rows;
}

#else

struct libsvm_bulk *fmt_libsvm_bulk_new(bool *failed)
{
    *failed = false;
    return NULL;
}

void fmt_libsvm_bulk_free(struct libsvm_bulk *bulk)
{
    (void)bulk;
}

uint32_t fmt_libsvm_bulk_rows(const struct fmt_decoder *decoder, const struct fmt_span *span,
                              const uint8_t **p, uint32_t row_no, struct fmt_rows *out)
{
    (void)decoder;
    (void)span;
    (void)p;
    (void)row_no;
    (void)out;
    return 0;
}

#endif
