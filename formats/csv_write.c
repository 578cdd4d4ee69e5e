/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_write.c - see csv_write.h. */
#include "formats/csv_write.h"

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

/* Tries more and more digits until the text reads back as the same number. */
static size_t put_double(double value, bool single, char *out)
{
    int most = single ? 9 : 17;
    int len = 0;

    for (int digits = single ? 6 : 15; digits <= most; digits++) {
        len = snprintf(out, FMT_CSV_FIELD_BYTES_MAX, "%.*g", digits, value);
        double back = single ? (double)strtof(out, NULL) : strtod(out, NULL);

        if (back == value)
            break;
    }
    /* The program's locale may write a decimal comma. */
    char *comma = strchr(out, ',');

    if (comma)
        *comma = '.';
    return (size_t)len;
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
        return 0;
    if (fabs(value) < WHOLE_MAX && value == floor(value))
        return put_whole((uint64_t)fabs(value), signbit(value), out);
    return put_double(value, type == FMT_FLOAT32, out);
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
