/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_convert.c - see parquet_convert.h. */
#include "formats/parquet_convert.h"

#include "formats/bytes.h"
#include "formats/convert.h"
#include "formats/number.h"

#include <math.h>

#define UNIX_EPOCH_JULIAN_DAY 2440588
#define NS_PER_DAY ((int64_t)86400 * 1000000000)

enum { DIGITS_MAX = 39 }; /* of 2^128 */

/* sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16). Every one is a float32. */
static float convert_f16(uint32_t half)
{
    uint32_t exponent = half >> 10 & 0x1f;
    uint32_t fraction = half & 0x3ff;
    float value = exponent == 0x1f ? (fraction ? NAN : INFINITY)
                  : exponent > 0   ? ldexpf((float)(fraction | 0x400), (int)exponent - 25)
                                   : ldexpf((float)fraction, -24);

    return half & 0x8000 ? -value : value;
}

/* Nanoseconds of the day, and a Julian day. */
static float convert_time96(const uint8_t *in)
{
    __int128 days = (int32_t)fmt_load_le32(in + 8) - (int64_t)UNIX_EPOCH_JULIAN_DAY;

    return (float)(days * NS_PER_DAY + (int64_t)fmt_load_le64(in));
}

static float convert_decimal64(int64_t value, uint32_t scale)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    return magnitude == 0 ? 0.0f : fmt_number_round_slow(magnitude, -(int64_t)scale, value < 0);
}

/* Of more than 64 bits: by way of its digits. */
static float convert_digits(unsigned __int128 magnitude, uint32_t scale, bool negative)
{
    uint8_t text[DIGITS_MAX + 4];
    uint8_t *end = text + sizeof text;
    uint8_t *at = end - 4;
    float value = 0;

    at[0] = 'e';
    at[1] = '-';
    at[2] = (uint8_t)('0' + scale / 10);
    at[3] = (uint8_t)('0' + scale % 10);
    for (; magnitude > 0; magnitude /= 10)
        *--at = (uint8_t)('0' + (int)(magnitude % 10));
    fmt_number_scan_slow(at, end, &value);
    return negative ? -value : value;
}

/* Big-endian, two's complement. */
static float convert_decimal_bytes(const uint8_t *in, uint32_t len_bytes, uint32_t scale)
{
    bool negative = in[0] & 0x80;
    unsigned __int128 value = negative ? ~(unsigned __int128)0 : 0;

    for (uint32_t i = 0; i < len_bytes; i++)
        value = value << 8 | in[i];
    __int128 number = (__int128)value;

    if (number >= INT64_MIN && number <= INT64_MAX)
        return convert_decimal64((int64_t)number, scale);
    return convert_digits(negative ? 0 - value : value, scale, negative);
}

void fmt_pq_convert(const struct fmt_pq_leaf *leaf, const uint8_t *in, size_t count, float *out)
{
    uint32_t scale = leaf->scale;

    switch (leaf->kind) {
    case FMT_PQ_F32:
        fmt_convert_f32(in, count, out);
        break;
    case FMT_PQ_F64:
        fmt_convert_f64(in, count, out);
        break;
    case FMT_PQ_I32:
        for (size_t i = 0; i < count; i++)
            out[i] = (float)(int32_t)fmt_load_le32(in + 4 * i);
        break;
    case FMT_PQ_U32:
        for (size_t i = 0; i < count; i++)
            out[i] = (float)fmt_load_le32(in + 4 * i);
        break;
    case FMT_PQ_I64:
        for (size_t i = 0; i < count; i++)
            out[i] = (float)(int64_t)fmt_load_le64(in + 8 * i);
        break;
    case FMT_PQ_U64:
        for (size_t i = 0; i < count; i++)
            out[i] = (float)fmt_load_le64(in + 8 * i);
        break;
    case FMT_PQ_F16:
        for (size_t i = 0; i < count; i++)
            out[i] = convert_f16(in[2 * i] | (uint32_t)in[2 * i + 1] << 8);
        break;
    case FMT_PQ_TIME96:
        for (size_t i = 0; i < count; i++)
            out[i] = convert_time96(in + 12 * i);
        break;
    case FMT_PQ_DECIMAL32:
        for (size_t i = 0; i < count; i++)
            out[i] = convert_decimal64((int32_t)fmt_load_le32(in + 4 * i), scale);
        break;
    case FMT_PQ_DECIMAL64:
        for (size_t i = 0; i < count; i++)
            out[i] = convert_decimal64((int64_t)fmt_load_le64(in + 8 * i), scale);
        break;
    case FMT_PQ_DECIMAL_BYTES:
        for (size_t i = 0; i < count; i++)
            out[i] = convert_decimal_bytes(in + leaf->value_bytes * i, leaf->value_bytes, scale);
        break;
    case FMT_PQ_FLAG:
    case FMT_PQ_TEXT:
        break;
    }
}
