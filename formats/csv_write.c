/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_write.c - see csv_write.h.
 *
 * Digits of a float32 come from double arithmetic: six significant ones first, one more while they
 * do not read back. Fewer than six need no try, except for subnormals: if k < 6 digits d read back
 * to a float32, rounding it to six digits gives d and zeros. Nine always suffice: the candidate is
 * then nearer to the value than the rounding interval is wide, even after the errors of the double
 * products.
 */
#include "formats/csv_write.h"

#include "formats/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MAX 1e6 /* whole numbers below are written without going through printf */

static size_t put_whole(uint64_t value, bool negative, char *out)
{
    char digits[24];
    size_t count = 0;
    size_t len = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    if (negative)
        out[len++] = '-';
    while (count)
        out[len++] = digits[--count];
    return len;
}

/* digits * 10^exponent10 */
struct decimal {
    uint64_t digits;
    int exponent10;
};

/* digits "123", exponent -1 -> "12.3"; far exponents as "1.23e-8". */
static size_t put_decimal(struct decimal d, bool negative, char *out)
{
    char text[24];
    size_t len = put_whole(d.digits, false, text);
    int point = (int)len + d.exponent10; /* digits before the point */
    size_t n = 0;
    if (negative)
        out[n++] = '-';
    if (point < -3 || point > 17) {
        int exponent = point - 1;
        out[n++] = text[0];
        if (len > 1) {
            out[n++] = '.';
            memcpy(out + n, text + 1, len - 1);
            n += len - 1;
        }
        out[n++] = 'e';
        if (exponent < 0)
            out[n++] = '-';
        return n + put_whole((uint64_t)abs(exponent), false, out + n);
    }
    if (point <= 0) {
        memcpy(out + n, "0.000", (size_t)(2 - point));
        n += (size_t)(2 - point);
        memcpy(out + n, text, len);
        return n + len;
    }
    size_t before = (size_t)point < len ? (size_t)point : len;
    memcpy(out + n, text, before);
    n += before;
    if (before < len) {
        out[n++] = '.';
        memcpy(out + n, text + before, len - before);
        return n + len - before;
    }
    memset(out + n, '0', (size_t)point - len);
    return n + (size_t)point - len;
}

static struct decimal trim_zeros(struct decimal d)
{
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent10++;
    }
    return d;
}

static double times_pow10(double value, int exponent10)
{
    for (; exponent10 > 22; exponent10 -= 22)
        value *= 1e22;
    for (; exponent10 < -22; exponent10 += 22)
        value /= 1e22;
    return exponent10 < 0 ? value / fmt_double_pow10[-exponent10]
                          : value * fmt_double_pow10[exponent10];
}

static struct decimal shortest_f32(float value)
{
    double wide = (double)value;
    int exponent2;
    frexp(wide, &exponent2);
    int power = (int)floor((exponent2 - 1) * 0.30102999566398120); /* floor(log10), or one less */
    if (times_pow10(wide, -power) >= 10)
        power++;
    for (int count = value < FLT_MIN ? 1 : 6;; count++) {
        struct decimal d = {.exponent10 = power - count + 1};
        d.digits = (uint64_t)llrint(times_pow10(wide, -d.exponent10));
        if (count == 9 || fmt_number_round(d.digits, d.exponent10, false) == value)
            return trim_zeros(d);
    }
}

/* value > 0 */
static struct decimal shortest_f64(double value)
{
    struct decimal d = {0, 0};
    char text[40];

    for (int precision = 14; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    /* What a locale puts between the digits is no digit. */
    char *p = text;

    for (; *p != 'e'; p++) {
        if (*p < '0' || *p > '9')
            continue;
        d.digits = d.digits * 10 + (uint64_t)(*p - '0');
        d.exponent10--;
    }
    d.exponent10 += (int)strtol(p + 1, NULL, 10) + 1;
    return trim_zeros(d);
}

static size_t put_text(const char *text, char *out)
{
    memcpy(out, text, strlen(text));
    return strlen(text);
}

static size_t put_number(enum fmt_type type, const void *values, uint32_t i, char *out)
{
    if (type == FMT_INT64) {
        int64_t value = ((const int64_t *)values)[i];

        return put_whole(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, out);
    }
    double value =
        type == FMT_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];

    if (isnan(value))
        return put_text("nan", out);
    if (isinf(value))
        return put_text(value < 0 ? "-inf" : "inf", out);
    if (fabs(value) < WHOLE_MAX && value == floor(value))
        return put_whole((uint64_t)fabs(value), signbit(value), out);
    struct decimal d =
        type == FMT_FLOAT32 ? shortest_f32(fabsf((float)value)) : shortest_f64(fabs(value));

    return put_decimal(d, value < 0, out);
}

size_t fmt_csv_write(enum fmt_type type, const void *values, uint32_t count, bool last, char *out)
{
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++) {
        len += put_number(type, values, i, out + len);
        out[len++] = last && i + 1 == count ? '\n' : ',';
    }
    return len;
}
