/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/content_range.c - see content_range.h. */
#include "pipe/content_range.h"

#include <string.h>
#include <strings.h>

/* Reads digits at *at; false when there are none or they overflow. */
static bool take_number(const char **at, const char *end, uint64_t *number)
{
    const char *start = *at;

    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        unsigned digit = (unsigned)(**at - '0');

        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, digit, number))
            return false;
    }
    return *at > start;
}

static bool take_char(const char **at, const char *end, char c)
{
    return *at < end && *(*at)++ == c;
}

bool ps_content_range_parse(const char *value, size_t len, struct ps_content_range *out)
{
    static const char unit[] = "bytes ";
    const char *at = value;
    const char *end = value + len;

    if (len < sizeof unit - 1 || strncasecmp(value, unit, sizeof unit - 1) != 0)
        return false;
    at += sizeof unit - 1;
    return take_number(&at, end, &out->first) && take_char(&at, end, '-') &&
           take_number(&at, end, &out->last) && take_char(&at, end, '/') &&
           take_number(&at, end, &out->total_bytes) && at == end && out->first <= out->last &&
           out->last < out->total_bytes;
}
