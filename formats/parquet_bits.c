/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_bits.c - see parquet_bits.h. */
#include "formats/parquet_bits.h"

#include "formats/bytes.h"
#include "formats/thrift.h"

/* ---- packed bits ---- */

static uint64_t mask_of(uint32_t width)
{
    return width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
}

/* `width` bits, 0 to 64, from bit `bit_at` of in[0 .. end); what is behind the end is 0. */
static uint64_t load_bits(const uint8_t *in, const uint8_t *end, uint64_t bit_at, uint32_t width)
{
    uint64_t value = 0;
    uint32_t got = 0;

    in += bit_at / 8;
    for (uint32_t skip = (uint32_t)(bit_at % 8); got < width && in < end; in++) {
        value |= (uint64_t)(*in >> skip) << got;
        got += 8 - skip;
        skip = 0;
    }
    return value & mask_of(width);
}

static void pass_bits(struct fmt_pq_bits *bits, uint64_t count)
{
    count += bits->shift;
    bits->at += count / 8;
    bits->shift = (uint32_t)(count % 8);
}

void fmt_pq_take_bits_plainly(struct fmt_pq_bits *bits, uint32_t width, size_t count, uint32_t *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)load_bits(bits->at, bits->end, bits->shift + (uint64_t)i * width, width);
    pass_bits(bits, (uint64_t)count * width);
}

void fmt_pq_take_bits(struct fmt_pq_bits *bits, uint32_t width, size_t count, uint32_t *out)
{
    size_t left_bytes = (size_t)(bits->end - bits->at);
    uint64_t mask = mask_of(width);
    /* Values that begin where 8 bytes can be loaded. */
    size_t wide =
        width == 0 || left_bytes < 8 ? 0 : ((left_bytes - 8) * 8 + 7 - bits->shift) / width + 1;

    if (wide > count)
        wide = count;
    uint64_t bit_at = bits->shift;

    for (size_t i = 0; i < wide; i++, bit_at += width)
        out[i] = (uint32_t)(fmt_load_le64(bits->at + bit_at / 8) >> bit_at % 8 & mask);
    pass_bits(bits, (uint64_t)wide * width);
    fmt_pq_take_bits_plainly(bits, width, count - wide, out + wide);
}

/* ---- runs ---- */

void fmt_pq_hybrid_start(struct fmt_pq_hybrid *hybrid, const uint8_t *in, size_t len_bytes,
                         uint32_t width)
{
    *hybrid = (struct fmt_pq_hybrid){.at = in, .end = in + len_bytes, .width = width};
}

/* Begins a run; of one whose values are not all there, those that are. */
static void begin_run(struct fmt_pq_hybrid *hybrid)
{
    struct fmt_thrift reader = {.at = hybrid->at, .end = hybrid->end};
    uint64_t head = fmt_thrift_varint(&reader);
    size_t left_bytes = (size_t)(hybrid->end - reader.at);
    uint64_t count = head >> 1;
    uint32_t value_bytes = (hybrid->width + 7) / 8;

    hybrid->at = hybrid->end;
    if (reader.cause || count == 0 || count > UINT32_MAX / 8)
        return;
    hybrid->packed = head & 1;
    if (!hybrid->packed) {
        if (value_bytes > left_bytes)
            return;
        hybrid->value = (uint32_t)load_bits(reader.at, hybrid->end, 0, value_bytes * 8);
        hybrid->run_left = (uint32_t)count;
        hybrid->at = reader.at + value_bytes;
        return;
    }
    uint64_t run_bytes = count * hybrid->width; /* 8 values each */

    hybrid->run_left = (uint32_t)count * 8;
    if (run_bytes > left_bytes) {
        hybrid->run_left = (uint32_t)(left_bytes * 8 / hybrid->width);
        run_bytes = left_bytes;
    }
    hybrid->at = reader.at + run_bytes;
    hybrid->bits = (struct fmt_pq_bits){.at = reader.at, .end = hybrid->end};
}

uint32_t fmt_pq_hybrid_run(struct fmt_pq_hybrid *hybrid, uint32_t most)
{
    if (hybrid->run_left == 0)
        begin_run(hybrid);
    return hybrid->run_left < most ? hybrid->run_left : most;
}

void fmt_pq_hybrid_take(struct fmt_pq_hybrid *hybrid, uint32_t count, uint32_t *out)
{
    if (hybrid->packed)
        fmt_pq_take_bits(&hybrid->bits, hybrid->width, count, out);
    hybrid->run_left -= count;
}

/* ---- differences ---- */

enum { BLOCK_VALUES_UNIT = 128, MINI_VALUES_UNIT = 32 };
#define BLOCK_VALUES_MAX ((uint64_t)1 << 24)

bool fmt_pq_delta_start(struct fmt_pq_delta *delta, const uint8_t *in, size_t len_bytes)
{
    struct fmt_thrift reader = {.at = in, .end = in + len_bytes};
    uint64_t block_values = fmt_thrift_varint(&reader);
    uint64_t block_minis = fmt_thrift_varint(&reader);
    uint64_t count = fmt_thrift_varint(&reader);
    int64_t first = fmt_thrift_zigzag(fmt_thrift_varint(&reader));

    if (reader.cause || block_values == 0 || block_values > BLOCK_VALUES_MAX ||
        block_values % BLOCK_VALUES_UNIT != 0 || block_minis == 0 ||
        block_values % block_minis != 0 || block_values / block_minis % MINI_VALUES_UNIT != 0 ||
        count > INT32_MAX)
        return false;
    *delta = (struct fmt_pq_delta){.at = reader.at,
                                   .end = reader.end,
                                   .block_minis = (uint32_t)block_minis,
                                   .mini_values = (uint32_t)(block_values / block_minis),
                                   .left = count,
                                   .first = true,
                                   .last = (uint64_t)first,
                                   .mini_no = (uint32_t)block_minis};
    return true;
}

static bool begin_block(struct fmt_pq_delta *delta)
{
    struct fmt_thrift reader = {.at = delta->at, .end = delta->end};

    delta->delta_least = (uint64_t)fmt_thrift_zigzag(fmt_thrift_varint(&reader));
    if (reader.cause || (size_t)(reader.end - reader.at) < delta->block_minis)
        return false;
    delta->widths = reader.at;
    delta->at = reader.at + delta->block_minis;
    delta->mini_no = 0;
    return true;
}

/* The last one may end behind its last value. */
static bool begin_mini(struct fmt_pq_delta *delta)
{
    if (delta->mini_no == delta->block_minis && !begin_block(delta))
        return false;
    uint64_t values = delta->left < delta->mini_values ? delta->left : delta->mini_values;
    size_t left_bytes = (size_t)(delta->end - delta->at);

    delta->width = delta->widths[delta->mini_no++];
    if (delta->width > 64 || (values * delta->width + 7) / 8 > left_bytes)
        return false;
    size_t mini_bytes = (size_t)delta->mini_values / 8 * delta->width;

    delta->mini = delta->at;
    delta->at += mini_bytes < left_bytes ? mini_bytes : left_bytes;
    delta->mini_left = (uint32_t)values;
    delta->bit_at = 0;
    return true;
}

/* Takes `count` values of the miniblock under way. */
static void take_deltas(struct fmt_pq_delta *delta, uint32_t count, uint64_t *out)
{
    uint32_t width = delta->width;
    uint64_t mask = mask_of(width);
    uint64_t bit_at = delta->bit_at;
    uint64_t last = delta->last;
    size_t left_bytes = (size_t)(delta->end - delta->mini);
    uint32_t i = 0;

    /* A load of 8 bytes holds all of a value of up to 57 bits. */
    if (width <= 57)
        for (; i < count && bit_at / 8 + 8 <= left_bytes; i++, bit_at += width)
            out[i] = last +=
                delta->delta_least + (fmt_load_le64(delta->mini + bit_at / 8) >> bit_at % 8 & mask);
    for (; i < count; i++, bit_at += width)
        out[i] = last += delta->delta_least + load_bits(delta->mini, delta->end, bit_at, width);
    delta->bit_at = bit_at;
    delta->last = last;
}

bool fmt_pq_delta_take(struct fmt_pq_delta *delta, size_t count, uint64_t *out)
{
    if (count > delta->left)
        return false;
    if (delta->first && count > 0) {
        *out++ = delta->last;
        delta->first = false;
        delta->left--;
        count--;
    }
    while (count > 0) {
        if (delta->mini_left == 0 && !begin_mini(delta))
            return false;
        uint32_t some = count < delta->mini_left ? (uint32_t)count : delta->mini_left;

        take_deltas(delta, some, out);
        delta->mini_left -= some;
        delta->left -= some;
        out += some;
        count -= some;
    }
    return true;
}
