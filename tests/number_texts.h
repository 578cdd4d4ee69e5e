/* SPDX-License-Identifier: Apache-2.0 */
/* tests/number_texts.h - random decimal numbers of many shapes, from a fixed seed. */
#ifndef TESTS_NUMBER_TEXTS_H
#define TESTS_NUMBER_TEXTS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "formats/mix.h"

#define TEXT_BYTES 400

static uint64_t text_seed = 0x9e3779b97f4a7c15u;

static inline uint64_t text_next_random(void)
{
    return fmt_mix_next(&text_seed);
}

static inline uint32_t text_below(uint32_t n)
{
    return (uint32_t)((text_next_random() >> 11) % n);
}

static inline size_t text_put_digits(char *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (char)('0' + text_below(10));
    return count;
}

static inline size_t text_put_exponent(char *out, int range)
{
    static const char *const forms[] = {"e%d", "E%d", "e%+d", "e%+03d"};
    return (size_t)snprintf(out, 16, forms[text_below(4)],
                            (int)text_below((uint32_t)(2 * range)) - range);
}

/* Random digits, 1 to 40 of them, with or without a point, leading zeros and an exponent. */
static inline void text_digits(char *text)
{
    size_t n = 0;
    uint32_t digits = 1 + text_below(40);
    uint32_t before = text_below(digits + 1);
    if (text_below(3) == 0)
        text[n++] = '-';
    for (uint32_t zeros = text_below(8) == 0 ? text_below(30) : 0; zeros > 0; zeros--)
        text[n++] = '0';
    n += text_put_digits(text + n, before);
    if (before < digits) {
        text[n++] = '.';
        for (uint32_t zeros = text_below(8) == 0 ? text_below(50) : 0; zeros > 0; zeros--)
            text[n++] = '0';
        n += text_put_digits(text + n, digits - before);
    }
    if (text_below(2) == 0)
        n += text_put_exponent(text + n, text_below(8) == 0 ? 400 : 60);
    text[n] = 0;
}

/* nan, inf or infinity, in any case; or the ends of the range, with as many zeros. */
static inline void text_named(char *text)
{
    static const char *const names[] = {"nan",   "inf",          "infinity",       "1e38",
                                        "1e-45", "3.4028235e38", "1.17549435e-38", "7.006492e-46"};
    uint32_t name_no = text_below(8);
    uint32_t n = 0;
    if (text_below(2) == 0)
        text[n++] = text_below(2) == 0 ? '-' : '+';
    if (name_no > 2)
        for (uint32_t zeros = text_below(20); zeros > 0; zeros--)
            text[n++] = '0';
    for (const char *c = names[name_no]; *c != 0; c++)
        text[n++] = (char)(*c >= 'a' && text_below(2) == 0 ? *c - 32 : *c);
    text[n] = 0;
}

static inline float text_random_float(void)
{
    uint32_t bits;
    float value;
    do {
        bits = (uint32_t)(text_next_random() >> 20);
        if (text_below(16) == 0)
            bits &= 0x80ffffff; /* subnormal, or nearly */
        if (text_below(16) == 0)
            bits |= 0x7e000000;
        memcpy(&value, &bits, sizeof(value));
    } while (!isfinite(value));
    return value;
}

static inline void text_printed(char *text, size_t size)
{
    static const char *const forms[] = {"%.9g", "%.6f", "%.17g", "%.8e", "%.3f", "%g", "%.12f"};
    double value = (double)text_random_float();
    if (text_below(2) == 0)
        value = (double)((int64_t)text_next_random() >> text_below(60)) / pow(10, text_below(12));
    snprintf(text, size, forms[text_below(7)], value);
}

/* Half way between two floats, exactly or off by one in a far digit. */
static inline void text_tie(char *text, size_t size)
{
    float value = fabsf(text_random_float());
    double middle = ((double)value + (double)nextafterf(value, 0)) / 2;
    if (text_below(2) == 0)
        middle = ldexp((double)((1 << 23) | text_below(1 << 23)) + 0.5, (int)text_below(40) - 20);
    int n = snprintf(text, size, "%.*f", value < 1e-20f ? 200 : 60, middle);
    if (n < 4 || (size_t)n + 2 > size)
        return;
    if (text_below(3) == 0)
        text[n - 1] = (char)('0' + text_below(10));
    else if (text_below(2) == 0)
        memcpy(text + n, "1", 2);
}

/* Near a tie, or on it, in at most 24 characters: what batch conversions must tell apart. */
static inline void text_short_tie(char *text, size_t size)
{
    static const char *const forms[] = {"%.15g", "%.16g", "%.17g", "%.18g",
                                        "%.12e", "%.16e", "%.18e"};
    double middle =
        ldexp((double)((1 << 23) | text_below(1 << 23)) + 0.5, (int)text_below(60) - 40);
    for (uint32_t ulps = text_below(24); ulps > 0; ulps--)
        middle = nextafter(middle, text_below(2) == 0 ? 0 : 1e30);
    snprintf(text, size, forms[text_below(7)], middle);
}

/* One of the shapes that columns of real tables have. Shapes 0 .. TEXT_SHAPES - 1. */
#define TEXT_SHAPES 17
static inline void text_of_shape(char *text, size_t size, uint32_t shape)
{
    static const char *const forms[] = {"%.6f",  "%.9g", "%.17g", "%.8e",
                                        "%.18e", "%.3f", "%.1f",  "%.12g"};
    double value = (double)(int64_t)text_next_random() / 9223372036854775808.0;
    if (text_below(4) == 0)
        value *= pow(10, (double)text_below(16) - 8);
    if (shape < 8)
        snprintf(text, size, forms[shape], value);
    else if (shape == 8)
        snprintf(text, size, "%u", text_below(256));
    else if (shape == 9)
        snprintf(text, size, "%d", (int)text_below(20000) - 10000);
    else if (shape == 10)
        snprintf(text, size, "%llu", (unsigned long long)(text_next_random() >> text_below(64)));
    else if (shape == 11)
        text_digits(text);
    else if (shape == 12)
        text_printed(text, size);
    else if (shape == 13)
        text_tie(text, size);
    else if (shape == 14)
        text_short_tie(text, size);
    else if (shape == 15)
        text_named(text);
    else
        text_of_shape(text, size, text_below(TEXT_SHAPES - 1));
}

#endif
