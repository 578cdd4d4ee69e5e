/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number.c - the uncommon shapes of decimal text, and the last steps of rounding. */
#include "formats/number.h"

#include <math.h>
#include <stdlib.h>

/* More digits than these cannot move a float32 but as "more than zero": the longest exact decimal
 * expansion of a tie between two float32 has 113 significant digits. */
#define DIGITS_KEPT 130

const double fmt_double_pow10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

const uint64_t fmt_u64_pow10[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

const uint64_t fmt_pow10_top64[FMT_POW10_MAX - FMT_POW10_MIN + 1] = {
    0x86ccbb52ea94baea, 0xa87fea27a539e9a5, 0xd29fe4b18e88640e, 0x83a3eeeef9153e89,
    0xa48ceaaab75a8e2b, 0xcdb02555653131b6, 0x808e17555f3ebf11, 0xa0b19d2ab70e6ed6,
    0xc8de047564d20a8b, 0xfb158592be068d2e, 0x9ced737bb6c4183d, 0xc428d05aa4751e4c,
    0xf53304714d9265df, 0x993fe2c6d07b7fab, 0xbf8fdb78849a5f96, 0xef73d256a5c0f77c,
    0x95a8637627989aad, 0xbb127c53b17ec159, 0xe9d71b689dde71af, 0x9226712162ab070d,
    0xb6b00d69bb55c8d1, 0xe45c10c42a2b3b05, 0x8eb98a7a9a5b04e3, 0xb267ed1940f1c61c,
    0xdf01e85f912e37a3, 0x8b61313bbabce2c6, 0xae397d8aa96c1b77, 0xd9c7dced53c72255,
    0x881cea14545c7575, 0xaa242499697392d2, 0xd4ad2dbfc3d07787, 0x84ec3c97da624ab4,
    0xa6274bbdd0fadd61, 0xcfb11ead453994ba, 0x81ceb32c4b43fcf4, 0xa2425ff75e14fc31,
    0xcad2f7f5359a3b3e, 0xfd87b5f28300ca0d, 0x9e74d1b791e07e48, 0xc612062576589dda,
    0xf79687aed3eec551, 0x9abe14cd44753b52, 0xc16d9a0095928a27, 0xf1c90080baf72cb1,
    0x971da05074da7bee, 0xbce5086492111aea, 0xec1e4a7db69561a5, 0x9392ee8e921d5d07,
    0xb877aa3236a4b449, 0xe69594bec44de15b, 0x901d7cf73ab0acd9, 0xb424dc35095cd80f,
    0xe12e13424bb40e13, 0x8cbccc096f5088cb, 0xafebff0bcb24aafe, 0xdbe6fecebdedd5be,
    0x89705f4136b4a597, 0xabcc77118461cefc, 0xd6bf94d5e57a42bc, 0x8637bd05af6c69b5,
    0xa7c5ac471b478423, 0xd1b71758e219652b, 0x83126e978d4fdf3b, 0xa3d70a3d70a3d70a,
    0xcccccccccccccccc, 0x8000000000000000, 0xa000000000000000, 0xc800000000000000,
    0xfa00000000000000, 0x9c40000000000000, 0xc350000000000000, 0xf424000000000000,
    0x9896800000000000, 0xbebc200000000000, 0xee6b280000000000, 0x9502f90000000000,
    0xba43b74000000000, 0xe8d4a51000000000, 0x9184e72a00000000, 0xb5e620f480000000,
    0xe35fa931a0000000, 0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000,
    0x8ac7230489e80000, 0xad78ebc5ac620000, 0xd8d726b7177a8000, 0x878678326eac9000,
    0xa968163f0a57b400, 0xd3c21bcecceda100, 0x84595161401484a0, 0xa56fa5b99019a5c8,
    0xcecb8f27f4200f3a, 0x813f3978f8940984, 0xa18f07d736b90be5, 0xc9f2c9cd04674ede,
    0xfc6f7c4045812296, 0x9dc5ada82b70b59d, 0xc5371912364ce305, 0xf684df56c3e01bc6,
    0x9a130b963a6c115c, 0xc097ce7bc90715b3, 0xf0bdc21abb48db20, 0x96769950b50d88f4,
};

/* Step 3: text "<digits>e<exponent>" has no decimal point, so strtof's locale does not matter. */
static float round_by_strtof(const char *digits, size_t digit_count, int64_t exponent10,
                             bool negative)
{
    char text[DIGITS_KEPT + 32];
    char *p = text;
    uint64_t magnitude = exponent10 < 0 ? (uint64_t)-exponent10 : (uint64_t)exponent10;
    char reversed[24];
    size_t n = 0;
    memcpy(p, digits, digit_count);
    p += digit_count;
    *p++ = 'e';
    *p++ = exponent10 < 0 ? '-' : '+';
    do
        reversed[n++] = (char)('0' + magnitude % 10);
    while ((magnitude /= 10) != 0);
    while (n > 0)
        *p++ = reversed[--n];
    *p = 0;
    float value = strtof(text, NULL);
    return negative ? -value : value;
}

float fmt_number_round_slow(uint64_t mantissa, int64_t exponent10, bool negative)
{
    uint32_t bits;
    if (mantissa == 0 || exponent10 < FMT_POW10_MIN)
        return negative ? -0.0f : 0.0f;
    if (exponent10 > FMT_POW10_MAX)
        return negative ? -HUGE_VALF : HUGE_VALF;
    if (fmt_number_multiply(mantissa, (int)exponent10, &bits))
        return fmt_float_of(bits, negative);
    char digits[20];
    size_t n = sizeof(digits);
    for (; mantissa != 0; mantissa /= 10)
        digits[--n] = (char)('0' + mantissa % 10);
    return round_by_strtof(digits + n, sizeof(digits) - n, exponent10, negative);
}

/* The significant digits of a mantissa text, leading zeros dropped. */
struct mantissa_text {
    char digits[DIGITS_KEPT + 1];
    size_t count;    /* of kept digits */
    int64_t dropped; /* digits after those kept */
    bool inexact;    /* one of them was not 0 */
    size_t seen;     /* digits in all, leading zeros included */
};

static const uint8_t *collect_digits(const uint8_t *p, const uint8_t *end, struct mantissa_text *m)
{
    for (; p < end && (uint8_t)(*p - '0') <= 9; p++) {
        m->seen++;
        if (m->count < DIGITS_KEPT) {
            if (m->count > 0 || *p != '0')
                m->digits[m->count++] = (char)*p;
        } else {
            m->dropped++;
            m->inexact |= *p != '0';
        }
    }
    return p;
}

/* An exponent mark without digits after it is not part of the number, as for strtof. */
const uint8_t *fmt_number_exponent(const uint8_t *p, const uint8_t *end, int64_t *exponent10)
{
    const uint8_t *q = p;
    bool negative = false;
    int64_t value = 0;
    if (q == end || (*q | 0x20) != 'e')
        return p;
    q++;
    if (q < end && (*q == '-' || *q == '+'))
        negative = *q++ == '-';
    if (q == end || (uint8_t)(*q - '0') > 9)
        return p;
    for (; q < end && (uint8_t)(*q - '0') <= 9; q++)
        if (value < INT64_MAX / 100) /* far past any length of digits that memory can hold */
            value = value * 10 + (*q - '0');
    *exponent10 += negative ? -value : value;
    return q;
}

static float round_text(struct mantissa_text *m, int64_t exponent10, bool negative)
{
    uint64_t mantissa = 0;
    size_t used = m->count < 19 ? m->count : 19;
    uint32_t low = 0;
    uint32_t high = 1;
    for (size_t i = 0; i < used; i++)
        mantissa = mantissa * 10 + (uint64_t)(m->digits[i] - '0');
    exponent10 += m->dropped;
    if (used == m->count)
        return fmt_number_round(mantissa, exponent10, negative);
    /* 19 digits and what follows lie between mantissa and mantissa + 1: often enough. */
    int64_t exponent19 = exponent10 + (int64_t)(m->count - used);
    if (exponent19 >= FMT_POW10_MIN && exponent19 <= FMT_POW10_MAX &&
        fmt_number_multiply(mantissa, (int)exponent19, &low) &&
        fmt_number_multiply(mantissa + 1, (int)exponent19, &high) && low == high)
        return fmt_float_of(low, negative);
    if (m->inexact) {
        m->digits[m->count++] = '1';
        exponent10--;
    }
    return round_by_strtof(m->digits, m->count, exponent10, negative);
}

static bool word_at(const uint8_t *p, const uint8_t *end, const char *word, size_t len)
{
    if ((size_t)(end - p) < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((p[i] | 0x20) != (uint8_t)word[i])
            return false;
    return true;
}

static const uint8_t *scan_name(const uint8_t *p, const uint8_t *end, bool negative, float *value)
{
    if (word_at(p, end, "nan", 3)) {
        *value = fmt_float_of(0x7fc00000, negative);
        return p + 3;
    }
    if (word_at(p, end, "inf", 3)) {
        *value = negative ? -HUGE_VALF : HUGE_VALF;
        return p + (word_at(p + 3, end, "inity", 5) ? 8 : 3);
    }
    return NULL;
}

const uint8_t *fmt_number_scan_slow(const uint8_t *p, const uint8_t *end, float *value)
{
    struct mantissa_text m;
    int64_t exponent10 = 0;
    bool negative = false;
    m.count = 0;
    m.dropped = 0;
    m.inexact = false;
    m.seen = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    const uint8_t *first = p;
    p = collect_digits(p, end, &m);
    if (p < end && *p == '.') {
        const uint8_t *point = p + 1;
        p = collect_digits(point, end, &m);
        exponent10 = point - p;
    }
    if (m.seen == 0)
        return scan_name(first, end, negative, value);
    p = fmt_number_exponent(p, end, &exponent10);
    if (m.count == 0)
        *value = negative ? -0.0f : 0.0f;
    else
        *value = round_text(&m, exponent10, negative);
    return p;
}
