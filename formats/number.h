/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number.h - decimal text to float32, correctly rounded: the same bits as strtof.
 *
 * Grammar: [+-] digits [. digits] [e [+-] digits], a digit on at least one side of the point, or
 * nan, inf, infinity in any case. No blanks, no hex floats, no nan(...). The process locale plays
 * no part.
 *
 * How: eight digits at a time by SWAR into a 64-bit mantissa, then
 *   1. mantissa < 2^53 and |exponent| <= 22: one exact-operand double operation, whose only hazard
 *      is a double result that sits exactly on a float tie (W. D. Clinger, PLDI 1990);
 *   2. one 64x64 -> 128 multiply by a truncated power of ten, refused near a tie;
 *   3. strtof on a canonical copy: about 1 field in 20,000 of those that reach step 2.
 *
 * Threads: pure functions. Rounding mode: to nearest, as everywhere in penstock.
 */
#ifndef FORMATS_NUMBER_H
#define FORMATS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "SWAR digits assume little endian");

#define FMT_ASCII_ZEROS 0x3030303030303030u

extern const double fmt_double_pow10[23]; /* 10^0 .. 10^22, all exact */
extern const uint64_t fmt_u64_pow10[9];   /* 10^0 .. 10^8 */

/* 10^k = table[k - FMT_POW10_MIN] * 2^(floor(log2(10^k)) - 63), truncated. Powers outside make 0 or
 * infinity of any 64-bit mantissa but 0. */
#define FMT_POW10_MIN (-65)
#define FMT_POW10_MAX 38
extern const uint64_t fmt_pow10_top64[FMT_POW10_MAX - FMT_POW10_MIN + 1];

/* Everything that the inline path below leaves: names, signs of nothing, long mantissas, large
 * exponents, ties. Reads a number that starts at p; returns its end, or NULL if there is none. */
const uint8_t *fmt_number_scan_slow(const uint8_t *p, const uint8_t *end, float *value);

/* An exponent ("e-5") at p, added to *exponent10; returns its end, or p if there is none. */
const uint8_t *fmt_number_exponent(const uint8_t *p, const uint8_t *end, int64_t *exponent10);

/* mantissa * 10^exponent10, correctly rounded, by steps 2 and 3. Any arguments. */
float fmt_number_round_slow(uint64_t mantissa, int64_t exponent10, bool negative);

static inline uint64_t fmt_load8(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Bit 7 of each byte that is no ASCII digit. Bytes above the first such byte are not reliable. */
static inline uint64_t fmt_nondigits(uint64_t v)
{
    return ((v + 0x4646464646464646u) | (v - FMT_ASCII_ZEROS) | v) & 0x8080808080808080u;
}

/* Eight digit values (0..9, first digit in the lowest byte) as a number: D. Lemire's SWAR. */
static inline uint64_t fmt_join8(uint64_t v)
{
    v = v * 10 + (v >> 8);
    return ((v & 0x000000ff000000ffu) * 0x000f424000000064u +
            ((v >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u) >>
           32;
}

/* Appends the digits at p to *mantissa (wraps silently past 19 of them); returns their end. */
static inline const uint8_t *fmt_digits(const uint8_t *p, const uint8_t *end, uint64_t *mantissa)
{
    uint64_t m = *mantissa;
    while (end - p >= 8) {
        uint64_t v = fmt_load8(p);
        uint64_t bad = fmt_nondigits(v);
        uint64_t digits = v - FMT_ASCII_ZEROS;
        if (bad != 0) {
            unsigned n = (unsigned)__builtin_ctzll(bad) >> 3;
            *mantissa = m * fmt_u64_pow10[n] + fmt_join8((digits << 8) << (56 - 8 * n));
            return p + n;
        }
        m = m * 100000000u + fmt_join8(digits);
        p += 8;
    }
    for (; p < end && (uint8_t)(*p - '0') <= 9; p++)
        m = m * 10 + (uint64_t)(*p - '0');
    *mantissa = m;
    return p;
}

/* Step 2: one multiply, for a mantissa > 0 and an exponent in the table's range. False when the
 * truncated power cannot decide, or the result is no normal float. The product's error is below 4
 * units of 2^-40 of the float's last place; 8 are allowed. */
static inline bool fmt_number_multiply(uint64_t mantissa, int exponent10, uint32_t *bits)
{
    int lz = __builtin_clzll(mantissa);
    unsigned __int128 product =
        (unsigned __int128)(mantissa << lz) * fmt_pow10_top64[exponent10 - FMT_POW10_MIN];
    uint64_t high = (uint64_t)(product >> 64);
    int shift = (int)(high >> 63) ^ 1;
    int exponent2 = 1 - lz + ((exponent10 * 217706) >> 16) + 63 + 127 - shift;
    high = high << shift | (uint64_t)(product >> 63 & (unsigned)shift);
    uint64_t rest = high & (((uint64_t)1 << 40) - 1);
    uint64_t half = (uint64_t)1 << 39;
    if (rest - half + 8 <= 16 || exponent2 < 1 || exponent2 > 254)
        return false;
    /* A carry out of the 24 bits lands in the exponent, as it should. */
    *bits = ((uint32_t)(exponent2 - 1) << 23) + (uint32_t)(high >> 40) + (rest > half);
    return true;
}

static inline float fmt_float_of(uint32_t bits, bool negative)
{
    float value;
    bits |= (uint32_t)negative << 31;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* mantissa * 10^exponent10, correctly rounded. */
static inline float fmt_number_round(uint64_t mantissa, int64_t exponent10, bool negative)
{
    if (mantissa < ((uint64_t)1 << 53) && exponent10 >= -22 && exponent10 <= 22) {
        double value = (double)(int64_t)mantissa;
        uint64_t bits;
        if (exponent10 < 0)
            value /= fmt_double_pow10[-exponent10];
        else
            value *= fmt_double_pow10[exponent10];
        memcpy(&bits, &value, sizeof(bits));
        if ((bits & 0x1fffffff) != 0x10000000)
            return negative ? -(float)value : (float)value;
    } else if (mantissa != 0 && exponent10 >= FMT_POW10_MIN && exponent10 <= FMT_POW10_MAX) {
        uint32_t bits;
        if (fmt_number_multiply(mantissa, (int)exponent10, &bits))
            return fmt_float_of(bits, negative);
    }
    return fmt_number_round_slow(mantissa, exponent10, negative);
}

/* Reads the number that starts at p (p <= end). Returns its end, which may be followed by
 * anything, or NULL when no number starts at p. */
static inline const uint8_t *fmt_number_scan(const uint8_t *p, const uint8_t *end, float *value)
{
    const uint8_t *start = p;
    const uint8_t *first;
    uint64_t mantissa = 0;
    int64_t exponent10 = 0;
    bool negative = p < end && *p == '-';
    p += negative;
    first = p;
    p = fmt_digits(p, end, &mantissa);
    ptrdiff_t digits = p - first;
    if (p < end && *p == '.') {
        const uint8_t *point = p + 1;
        p = fmt_digits(point, end, &mantissa);
        exponent10 = point - p;
        digits += p - point;
        if (digits > 19) { /* "0.0123": zeros in front of the first digit do not count */
            first += *first == '0' && first[1] == '.' ? 2 : 0;
            for (; first < p && *first == '0'; first++)
                digits--;
        }
    }
    if (digits == 0 || digits > 19)
        return fmt_number_scan_slow(start, end, value);
    if (p < end && (*p | 0x20) == 'e')
        p = fmt_number_exponent(p, end, &exponent10);
    *value = fmt_number_round(mantissa, exponent10, negative);
    return p;
}

#endif
