/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_values.c - see parquet_values.h. */
#include "formats/parquet_values.h"

#include "formats/bytes.h"
#include "formats/parquet_convert.h"

#include <string.h>

enum { INDEX_BITS_MAX = 32, NUMBER_BYTES_MAX = 16 };

/* ---- what there is ---- */

const char *fmt_pq_refused_encoding(const struct fmt_pq_leaf *leaf, uint32_t encoding)
{
    bool text = leaf->kind == FMT_PQ_TEXT;
    bool integer = leaf->type == FMT_PQ_INT32 || leaf->type == FMT_PQ_INT64;

    switch ((enum fmt_pq_encoding)encoding) {
    case FMT_PQ_PLAIN:
        return NULL;
    case FMT_PQ_PLAIN_DICTIONARY:
    case FMT_PQ_RLE_DICTIONARY:
        return leaf->kind == FMT_PQ_FLAG ? "true and false have no dictionary" : NULL;
    case FMT_PQ_RLE:
        return leaf->kind == FMT_PQ_FLAG ? NULL : "only true and false can be encoded as RLE";
    case FMT_PQ_DELTA_BINARY_PACKED:
        return integer ? NULL : "only integers can be encoded as DELTA_BINARY_PACKED";
    case FMT_PQ_DELTA_LENGTH_BYTE_ARRAY:
        return leaf->type == FMT_PQ_BYTE_ARRAY
                   ? NULL
                   : "only BYTE_ARRAY can be encoded as DELTA_LENGTH_BYTE_ARRAY";
    case FMT_PQ_BYTE_STREAM_SPLIT:
        return !text && leaf->value_bytes > 0
                   ? NULL
                   : "only numbers encoded as BYTE_STREAM_SPLIT are read here";
    case FMT_PQ_DELTA_BYTE_ARRAY:
        return "the encoding DELTA_BYTE_ARRAY is not read here: write it with a dictionary, PLAIN "
               "or DELTA_LENGTH_BYTE_ARRAY";
    case FMT_PQ_BIT_PACKED:
        return "the encoding BIT_PACKED, long deprecated, is not read here";
    }
    return "it has an encoding that is not known here";
}

static size_t left_bytes(const struct fmt_pq_column *column)
{
    return (size_t)(column->end - column->at);
}

/* Where the texts begin is known when all lengths have been read; then they are read again. */
static bool start_texts(struct fmt_pq_column *column)
{
    size_t len_bytes = left_bytes(column);
    uint64_t lengths[FMT_PQ_READ_MAX];

    if (!fmt_pq_delta_start(&column->delta, column->at, len_bytes))
        return false;
    while (column->delta.left > 0) {
        size_t count =
            column->delta.left < FMT_PQ_READ_MAX ? (size_t)column->delta.left : FMT_PQ_READ_MAX;

        if (!fmt_pq_delta_take(&column->delta, count, lengths))
            return false;
    }
    const uint8_t *texts = column->delta.at;

    fmt_pq_delta_start(&column->delta, column->at, len_bytes);
    column->at = texts;
    return true;
}

bool fmt_pq_start_values(struct fmt_pq_column *column)
{
    size_t len_bytes = left_bytes(column);
    const uint8_t *in = column->at;

    if (len_bytes == 0) { /* all null */
        column->delta = (struct fmt_pq_delta){.left = 0};
        fmt_pq_hybrid_start(&column->hybrid, in, 0, 0);
    }
    switch ((enum fmt_pq_encoding)column->encoding) {
    case FMT_PQ_PLAIN_DICTIONARY:
    case FMT_PQ_RLE_DICTIONARY:
        if (len_bytes == 0)
            return true;
        fmt_pq_hybrid_start(&column->hybrid, in + 1, len_bytes - 1, in[0]);
        return in[0] <= INDEX_BITS_MAX;
    case FMT_PQ_RLE:
        if (len_bytes < 4 || fmt_load_le32(in) > len_bytes - 4)
            return len_bytes == 0;
        fmt_pq_hybrid_start(&column->hybrid, in + 4, fmt_load_le32(in), 1);
        return true;
    case FMT_PQ_DELTA_BINARY_PACKED:
        return len_bytes == 0 || fmt_pq_delta_start(&column->delta, in, len_bytes);
    case FMT_PQ_DELTA_LENGTH_BYTE_ARRAY:
        return len_bytes == 0 || start_texts(column);
    case FMT_PQ_BYTE_STREAM_SPLIT:
        column->split_next = 0;
        column->split_count = len_bytes / column->leaf->value_bytes;
        return true;
    case FMT_PQ_PLAIN:
        column->hybrid.bits = (struct fmt_pq_bits){.at = in, .end = column->end};
        return true;
    case FMT_PQ_DELTA_BYTE_ARRAY:
    case FMT_PQ_BIT_PACKED:
        break;
    }
    return false;
}

/* ---- numbers ---- */

static bool take_plain(struct fmt_pq_column *column, uint32_t count, float *out)
{
    size_t len_bytes = (size_t)count * column->leaf->value_bytes;

    if (len_bytes > left_bytes(column))
        return false;
    fmt_pq_convert(column->leaf, column->at, count, out);
    column->at += len_bytes;
    return true;
}

static bool take_flags(struct fmt_pq_column *column, uint32_t count, float *out)
{
    struct fmt_pq_bits *bits = &column->hybrid.bits;
    uint32_t flags[FMT_PQ_READ_MAX];

    if (bits->shift + (uint64_t)count > (uint64_t)(bits->end - bits->at) * 8)
        return false;
    fmt_pq_take_bits(bits, 1, count, flags);
    for (uint32_t i = 0; i < count; i++)
        out[i] = (float)flags[i];
    return true;
}

/* Takes `count` of a hybrid's values, from as many runs as that is. */
static bool take_hybrid(struct fmt_pq_hybrid *hybrid, uint32_t count, uint32_t *out)
{
    while (count > 0) {
        uint32_t run = fmt_pq_hybrid_run(hybrid, count);

        if (run == 0)
            return false;
        fmt_pq_hybrid_take(hybrid, run, out);
        if (!hybrid->packed)
            for (uint32_t i = 0; i < run; i++)
                out[i] = hybrid->value;
        out += run;
        count -= run;
    }
    return true;
}

/* Indices into the dictionary, none outside it. */
static bool take_indices(struct fmt_pq_column *column, uint32_t count, uint32_t *out)
{
    uint32_t most = 0;

    if (!take_hybrid(&column->hybrid, count, out))
        return false;
    for (uint32_t i = 0; i < count; i++)
        most = out[i] > most ? out[i] : most;
    return count == 0 || most < column->dictionary_count;
}

static bool take_from_dictionary(struct fmt_pq_column *column, uint32_t count, float *out)
{
    uint32_t indices[FMT_PQ_READ_MAX];

    if (!take_indices(column, count, indices))
        return false;
    for (uint32_t i = 0; i < count; i++)
        out[i] = column->numbers[indices[i]];
    return true;
}

static bool take_rle_flags(struct fmt_pq_column *column, uint32_t count, float *out)
{
    uint32_t flags[FMT_PQ_READ_MAX];

    if (!take_hybrid(&column->hybrid, count, flags))
        return false;
    for (uint32_t i = 0; i < count; i++)
        out[i] = flags[i] ? 1.0f : 0.0f;
    return true;
}

/* The lowest 4 or 8 bytes of each. */
static void put_words(const uint64_t *values, uint32_t count, uint32_t value_bytes, uint8_t *out)
{
    if (value_bytes == 8) {
        memcpy(out, values, (size_t)count * 8);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = (uint32_t)values[i];

        memcpy(out + (size_t)i * 4, &word, 4);
    }
}

static bool take_deltas(struct fmt_pq_column *column, uint32_t count, float *out)
{
    uint64_t values[FMT_PQ_READ_MAX];
    uint8_t raw[FMT_PQ_READ_MAX * sizeof(uint64_t)];
    uint32_t value_bytes = column->leaf->value_bytes;

    if (!fmt_pq_delta_take(&column->delta, count, values))
        return false;
    put_words(values, count, value_bytes, raw);
    fmt_pq_convert(column->leaf, raw, count, out);
    return true;
}

/* Puts together the four bytes of each word, which are `apart` from one another. */
static void join_words(const uint8_t *in, size_t apart, uint32_t count, uint8_t *out)
{
    const uint8_t *a = in, *b = in + apart, *c = in + 2 * apart, *d = in + 3 * apart;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;

        memcpy(out + (size_t)i * 4, &word, 4);
    }
}

/* Byte k of all values, for each k. */
static bool take_split(struct fmt_pq_column *column, uint32_t count, float *out)
{
    uint8_t raw[FMT_PQ_READ_MAX * NUMBER_BYTES_MAX];
    uint32_t value_bytes = column->leaf->value_bytes;

    if (count > column->split_count - column->split_next)
        return false;
    const uint8_t *in = column->at + column->split_next;

    if (value_bytes == 4)
        join_words(in, column->split_count, count, raw);
    else
        for (uint32_t k = 0; k < value_bytes; k++, in += column->split_count)
            for (uint32_t i = 0; i < count; i++)
                raw[i * value_bytes + k] = in[i];
    column->split_next += count;
    fmt_pq_convert(column->leaf, raw, count, out);
    return true;
}

bool fmt_pq_take_numbers(struct fmt_pq_column *column, uint32_t count, float *out)
{
    switch ((enum fmt_pq_encoding)column->encoding) {
    case FMT_PQ_PLAIN:
        return column->leaf->kind == FMT_PQ_FLAG ? take_flags(column, count, out)
                                                 : take_plain(column, count, out);
    case FMT_PQ_PLAIN_DICTIONARY:
    case FMT_PQ_RLE_DICTIONARY:
        return take_from_dictionary(column, count, out);
    case FMT_PQ_RLE:
        return take_rle_flags(column, count, out);
    case FMT_PQ_DELTA_BINARY_PACKED:
        return take_deltas(column, count, out);
    case FMT_PQ_BYTE_STREAM_SPLIT:
        return take_split(column, count, out);
    case FMT_PQ_DELTA_LENGTH_BYTE_ARRAY:
    case FMT_PQ_DELTA_BYTE_ARRAY:
    case FMT_PQ_BIT_PACKED:
        break;
    }
    return false;
}

/* ---- texts ---- */

static bool take_text(struct fmt_pq_column *column, uint64_t len_bytes, struct fmt_pq_text *out)
{
    if (len_bytes > left_bytes(column))
        return false;
    *out = (struct fmt_pq_text){.bytes = column->at, .len_bytes = (uint32_t)len_bytes};
    column->at += len_bytes;
    return true;
}

static bool take_plain_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out)
{
    uint32_t fixed_bytes = column->leaf->value_bytes;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t len_bytes = fixed_bytes;

        if (!fixed_bytes) {
            if (left_bytes(column) < 4)
                return false;
            len_bytes = fmt_load_le32(column->at);
            column->at += 4;
        }
        if (!take_text(column, len_bytes, &out[i]))
            return false;
    }
    return true;
}

static bool take_delta_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out)
{
    uint64_t lengths[FMT_PQ_READ_MAX];

    if (!fmt_pq_delta_take(&column->delta, count, lengths))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!take_text(column, lengths[i], &out[i]))
            return false;
    return true;
}

bool fmt_pq_take_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out)
{
    uint32_t indices[FMT_PQ_READ_MAX];

    if (column->encoding == FMT_PQ_PLAIN)
        return take_plain_texts(column, count, out);
    if (column->encoding == FMT_PQ_DELTA_LENGTH_BYTE_ARRAY)
        return take_delta_texts(column, count, out);
    if (!take_indices(column, count, indices))
        return false;
    for (uint32_t i = 0; i < count; i++)
        out[i] = column->texts[indices[i]];
    return true;
}
