/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_bulk.c - see csv_bulk.h: AVX2 finds where the fields of a chunk of rows end, and
 * number_fields.h converts those that are wanted.
 *
 * Quotes need no look where every column is a number: a row with one will not convert. Columns that
 * are skipped or are text could hide them, and lone CRs: then a chunk ends in front of the first.
 */
#include "formats/csv_bulk.h"
#include "formats/bit_offsets.h"
#include "formats/csv_row.h"
#include "formats/number_fields.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

#define CHUNK_FIELDS 2048
#define BATCH_BLOCKS 8
#define LANES FMT_FIELDS_SLACK

/* Chunk positions count from the row where it starts, in 32 bits. */
#define CHUNK_BYTES_MAX ((size_t)1 << 30)

struct csv_bulk {
    const struct csv_plan *plan;
    uint32_t columns;
    uint32_t rows_max; /* in a chunk */
    /* Of each field in the chunk, as offsets from the chunk's base, LANES more than needed. */
    uint32_t *starts;
    uint32_t *ends;
    /* The same of the columns that are numbers; those above, if all are. */
    uint32_t *number_starts;
    uint32_t *number_ends;
    float *values;
};

struct chunk {
    const uint8_t *in; /* first byte that may be read */
    const uint8_t *base;
    size_t len; /* from base */
    uint32_t rows_max;
    uint32_t rows;
};

void fmt_csv_bulk_free(struct csv_bulk *bulk)
{
    if (bulk == NULL)
        return;
    if (bulk->number_starts != bulk->starts) {
        free(bulk->number_starts);
        free(bulk->number_ends);
    }
    free(bulk->starts);
    free(bulk->ends);
    free(bulk->values);
    free(bulk);
}

struct csv_bulk *fmt_csv_bulk_new(const struct csv_plan *plan, bool *failed)
{
    uint32_t columns = plan->column_count;
    *failed = false;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("popcnt"))
        return NULL;
    struct csv_bulk *bulk = calloc(1, sizeof(*bulk));
    if (bulk != NULL) {
        bulk->plan = plan;
        bulk->columns = columns;
        bulk->rows_max = columns < CHUNK_FIELDS ? CHUNK_FIELDS / columns : 1;
        /* Delimiters of a batch of blocks are stored before their number is looked at. */
        size_t fields = (size_t)bulk->rows_max * columns + (size_t)BATCH_BLOCKS * CSV_BLOCK_BYTES +
                        LANES + FMT_OFFSETS_SLACK;
        bool all = plan->number_count == columns;
        bulk->starts = calloc(fields, sizeof(uint32_t));
        bulk->ends = calloc(fields, sizeof(uint32_t));
        bulk->number_starts = all ? bulk->starts : calloc(fields, sizeof(uint32_t));
        bulk->number_ends = all ? bulk->ends : calloc(fields, sizeof(uint32_t));
        bulk->values = calloc(fields, sizeof(float));
    }
    if (bulk == NULL || bulk->starts == NULL || bulk->ends == NULL || bulk->values == NULL ||
        bulk->number_starts == NULL || bulk->number_ends == NULL) {
        fmt_csv_bulk_free(bulk);
        *failed = true;
        return NULL;
    }
    return bulk;
}

AVX2 static inline uint64_t mask64(__m256i a, __m256i b)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32 | (uint32_t)_mm256_movemask_epi8(a);
}

AVX2 static inline __m256i equal(__m256i bytes, char c)
{
    return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c));
}

/* Counts the rows that end in a block. Returns false when the chunk ends with the last one counted:
 * it is full, or a line with another number of fields comes next. */
AVX2 static bool count_rows(struct chunk *chunk, uint64_t columns, uint64_t fields, uint64_t ends,
                            uint64_t lf)
{
    for (; lf != 0; lf = _blsr_u64(lf)) {
        uint64_t here = fields + (uint64_t)__builtin_popcountll(ends & _blsmsk_u64(lf));
        if (here != (chunk->rows + 1) * columns || ++chunk->rows == chunk->rows_max)
            return false;
    }
    return true;
}

/* Quotes, and CRs that no LF follows. */
AVX2 static inline uint64_t find_special(const struct csv_dialect *d, const uint8_t *p, size_t left,
                                         __m256i a, __m256i b, uint64_t lf)
{
    uint64_t cr = mask64(equal(a, '\r'), equal(b, '\r'));
    uint64_t next_lf = left > CSV_BLOCK_BYTES ? (uint64_t)(p[CSV_BLOCK_BYTES] == '\n') : 0;
    uint64_t special = cr & ~(lf >> 1 | next_lf << 63);
    if (d->quotes)
        special |= mask64(equal(a, '"'), equal(b, '"'));
    return special;
}

/* Fills ends[] and chunk->rows. */
AVX2 static inline void index_chunk(struct csv_bulk *bulk, struct chunk *chunk,
                                    bool look_for_special)
{
    const struct csv_dialect *d = &bulk->plan->dialect;
    size_t fields_max = (size_t)bulk->rows_max * bulk->columns;
    size_t fields = 0; /* those stored */
    size_t at = 0;
    bool more = true;
    while (more && at < chunk->len && fields <= fields_max) {
        uint64_t ends[BATCH_BLOCKS];
        size_t blocks = 0;
        size_t found = fields;
        for (; more && blocks < BATCH_BLOCKS && at + blocks * CSV_BLOCK_BYTES < chunk->len;
             blocks++) {
            uint8_t last[CSV_BLOCK_BYTES];
            const uint8_t *p = chunk->base + at + blocks * CSV_BLOCK_BYTES;
            size_t left = chunk->len - at - blocks * CSV_BLOCK_BYTES;
            if (left < CSV_BLOCK_BYTES) {
                memset(last, 0, sizeof(last));
                memcpy(last, p, left);
                p = last;
            }
            __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
            __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
            uint64_t lf = mask64(equal(a, '\n'), equal(b, '\n'));
            uint64_t special = look_for_special ? find_special(d, p, left, a, b, lf) : 0;
            ends[blocks] = lf | mask64(equal(a, (char)d->delimiter), equal(b, (char)d->delimiter));
            lf &= _blsmsk_u64(special); /* all bits if there is none */
            if (lf != 0)
                more = count_rows(chunk, bulk->columns, found, ends[blocks], lf);
            more &= special == 0;
            found += (unsigned)__builtin_popcountll(ends[blocks]);
        }
        fields += fmt_bit_offsets(ends, blocks, (uint32_t)at, bulk->ends + fields);
        at += blocks * CSV_BLOCK_BYTES;
    }
}

/* Fields start behind the one before; the CR of a CRLF belongs to no field. */
AVX2 static void find_starts(struct csv_bulk *bulk, const struct chunk *chunk, size_t fields)
{
    const __m256i one = _mm256_set1_epi32(1);
    bulk->starts[0] = 0;
    for (size_t i = 0; i + 1 < fields; i += LANES) {
        __m256i ends = _mm256_loadu_si256((const __m256i *)(const void *)(bulk->ends + i));
        _mm256_storeu_si256((__m256i *)(void *)(bulk->starts + i + 1), _mm256_add_epi32(ends, one));
    }
    for (size_t i = bulk->columns - 1; i < fields; i += bulk->columns)
        if (bulk->ends[i] > bulk->starts[i] && chunk->base[bulk->ends[i] - 1] == '\r')
            bulk->ends[i]--;
}

/* Brings the fields of the columns that are numbers together. */
static void pick_numbers(struct csv_bulk *bulk, uint32_t rows)
{
    const struct csv_plan *plan = bulk->plan;
    uint32_t count = plan->number_count;
    if (bulk->number_starts == bulk->starts)
        return;
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t *starts = bulk->starts + (size_t)row * bulk->columns;
        const uint32_t *ends = bulk->ends + (size_t)row * bulk->columns;
        uint32_t *starts_out = bulk->number_starts + (size_t)row * count;
        uint32_t *ends_out = bulk->number_ends + (size_t)row * count;
        for (uint32_t i = 0; i < count; i++) {
            starts_out[i] = starts[plan->numbers[i]];
            ends_out[i] = ends[plan->numbers[i]];
        }
    }
}

/* Rows of labels, then features. */
static void store_plain(const struct csv_bulk *bulk, uint32_t rows, uint32_t row_no,
                        const struct fmt_rows *out)
{
    const struct csv_plan *plan = bulk->plan;
    float *features = (float *)out->features + (size_t)row_no * plan->feature_dim;
    for (uint32_t i = 0; i < rows; i++) {
        const float *row = bulk->values + (size_t)i * bulk->columns;
        if (plan->label_dim > 0)
            memcpy(out->labels + (size_t)(row_no + i) * plan->label_dim, row,
                   plan->label_dim * sizeof(float));
        memcpy(features + (size_t)i * plan->feature_dim, row + plan->label_dim,
               plan->feature_dim * sizeof(float));
    }
}

static void store_numbers(const struct csv_bulk *bulk, uint32_t row, uint32_t row_no,
                          const struct fmt_rows *out)
{
    const struct csv_plan *plan = bulk->plan;
    const float *values = bulk->values + (size_t)row * plan->number_count;
    for (uint32_t i = 0; i < plan->number_count; i++)
        *csv_cell(plan, &plan->columns[plan->numbers[i]], out, row_no) = values[i];
}

/* Field column_no of a row without the blanks around it. */
static const uint8_t *trimmed(const struct csv_bulk *bulk, const struct chunk *chunk, uint32_t row,
                              uint32_t column_no, size_t *len)
{
    const struct csv_dialect *d = &bulk->plan->dialect;
    size_t field_no = (size_t)row * bulk->columns + column_no;
    const uint8_t *end = chunk->base + bulk->ends[field_no];
    const uint8_t *p = csv_skip_blanks(d, chunk->base + bulk->starts[field_no], end);
    while (end > p && csv_is_blank(d, end[-1]))
        end--;
    *len = (size_t)(end - p);
    return p;
}

/* Categories and hashes. False if a value is unknown, or the row is a blank line. */
static bool store_words(const struct csv_bulk *bulk, const struct chunk *chunk, uint32_t row,
                        uint32_t row_no, const struct fmt_rows *out)
{
    const struct csv_plan *plan = bulk->plan;
    for (uint32_t i = 0; i < plan->word_count; i++) {
        const struct csv_column *column = &plan->columns[plan->words[i]];
        float *value = csv_cell(plan, column, out, row_no);
        size_t len;
        const uint8_t *text = trimmed(bulk, chunk, row, plan->words[i], &len);
        if (len == 0) {
            *value = plan->blank;
            if (!plan->blank_is_good || bulk->columns == 1)
                return false;
        } else if (!fmt_csv_word_value(plan, column, text, len, value)) {
            return false;
        }
    }
    return true;
}

static bool store_texts(const struct csv_bulk *bulk, const struct chunk *chunk, uint32_t row,
                        uint32_t row_no, struct fmt_rows *out)
{
    const struct csv_plan *plan = bulk->plan;
    size_t before = out->texts.count;
    for (uint32_t i = 0; i < plan->text_dim; i++) {
        size_t len;
        const uint8_t *text = trimmed(bulk, chunk, row, plan->texts[i], &len);
        if (!fmt_texts_reserve(&out->texts, len) || (len == 0 && bulk->columns == 1)) {
            out->texts.count = before;
            return false;
        }
        if (len > 0)
            memcpy(out->texts.bytes + out->texts.count, text, len);
        out->texts.count += len;
        out->text_ends[(size_t)row_no * plan->text_dim + i] = (uint32_t)out->texts.count;
    }
    return true;
}

/* Stores the rows whose numbers were converted; returns how many of them were good. */
static uint32_t store_rows(const struct csv_bulk *bulk, const struct chunk *chunk, uint32_t rows,
                           uint32_t row_no, struct fmt_rows *out)
{
    if (bulk->plan->plain) {
        store_plain(bulk, rows, row_no, out);
        return rows;
    }
    for (uint32_t row = 0; row < rows; row++) {
        if (!store_words(bulk, chunk, row, row_no + row, out) ||
            !store_texts(bulk, chunk, row, row_no + row, out))
            return row;
        store_numbers(bulk, row, row_no + row, out);
    }
    return rows;
}

uint32_t fmt_csv_bulk_rows(struct csv_bulk *bulk, const struct fmt_span *span, const uint8_t **p,
                           uint32_t row_no, struct fmt_rows *out)
{
    const struct csv_plan *plan = bulk->plan;
    uint32_t left = span->rows - row_no;
    struct chunk chunk = {.in = span->in,
                          .base = *p,
                          .len = (size_t)(span->in + span->len - *p),
                          .rows_max = left < bulk->rows_max ? left : bulk->rows_max};
    if (chunk.len > CHUNK_BYTES_MAX)
        chunk.len = CHUNK_BYTES_MAX;
    if (plan->number_count == bulk->columns)
        index_chunk(bulk, &chunk, false);
    else
        index_chunk(bulk, &chunk, true);
    if (chunk.rows == 0)
        return 0;
    size_t fields = (size_t)chunk.rows * bulk->columns;
    uint32_t chunk_end = bulk->ends[fields - 1] + 1;
    find_starts(bulk, &chunk, fields);
    pick_numbers(bulk, chunk.rows);
    const struct fmt_number_fields numbers = {
        .in = chunk.in,
        .base = chunk.base,
        .starts = bulk->number_starts,
        .ends = bulk->number_ends,
        .count = (size_t)chunk.rows * plan->number_count,
        .values = bulk->values,
        .blank = plan->blank,
        .blank_is_good = plan->blank_is_good && bulk->columns > 1, /* else it is a blank line */
    };
    uint32_t rows = chunk.rows;
    size_t good = fmt_number_fields(&numbers);
    if (good < numbers.count)
        rows = (uint32_t)(good / plan->number_count);
    rows = store_rows(bulk, &chunk, rows, row_no, out);
    *p = chunk.base + (rows < chunk.rows ? bulk->starts[(size_t)rows * bulk->columns] : chunk_end);
    return rows;
}

#else

struct csv_bulk *fmt_csv_bulk_new(const struct csv_plan *plan, bool *failed)
{
    (void)plan;
    *failed = false;
    return NULL;
}

void fmt_csv_bulk_free(struct csv_bulk *bulk)
{
    (void)bulk;
}

uint32_t fmt_csv_bulk_rows(struct csv_bulk *bulk, const struct fmt_span *span, const uint8_t **p,
                           uint32_t row_no, struct fmt_rows *out)
{
    (void)bulk;
    (void)span;
    (void)p;
    (void)row_no;
    (void)out;
    return 0;
}

#endif
