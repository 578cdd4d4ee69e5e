/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_uri.c - percent-encoding, queries, Range, entity tags. */
#include "bench/serve_uri.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool serve_uri_decode(const char *in, size_t len_bytes, bool plus_is_space, char *out,
                      size_t *out_len_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < len_bytes; i++) {
        char c = in[i];

        if (c == '%') {
            int high, low;

            if (len_bytes - i < 3)
                return false;
            high = hex_value(in[i + 1]);
            low = hex_value(in[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    *out_len_bytes = n;
    return true;
}

bool serve_uri_next(const char **query, struct serve_uri_parameter *parameter)
{
    const char *start = *query + strspn(*query, "&");
    size_t len_bytes = strcspn(start, "&");
    const char *equals = memchr(start, '=', len_bytes);

    if (len_bytes == 0)
        return false;
    *query = start + len_bytes;
    parameter->name = start;
    if (equals) {
        parameter->name_len_bytes = (size_t)(equals - start);
        parameter->value = equals + 1;
        parameter->value_len_bytes = len_bytes - parameter->name_len_bytes - 1;
    } else {
        parameter->name_len_bytes = len_bytes;
        parameter->value = start + len_bytes;
        parameter->value_len_bytes = 0;
    }
    return true;
}

/* Reads decimal digits; a number too large for 64 bits stays at the maximum, which is past the end
 * of any object. Returns the number of digits. */
static size_t read_number(const char *text, uint64_t *number)
{
    size_t digits = 0;

    *number = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        uint64_t digit = (uint64_t)(text[digits] - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            *number = UINT64_MAX;
        else
            *number = *number * 10 + digit;
    }
    return digits;
}

enum serve_range_rc serve_range_parse(const char *header, uint64_t size_bytes,
                                      struct serve_range *range)
{
    static const char unit[] = "bytes=";
    uint64_t first, last;
    size_t first_digits, last_digits;

    range->first_bytes = 0;
    range->len_bytes = size_bytes;
    if (!header || strncmp(header, unit, sizeof unit - 1) != 0)
        return SERVE_RANGE_NONE;
    header += sizeof unit - 1;
    first_digits = read_number(header, &first);
    header += first_digits;
    if (*header != '-')
        return SERVE_RANGE_NONE;
    last_digits = read_number(header + 1, &last);
    if (header[1 + last_digits] != '\0' || (first_digits == 0 && last_digits == 0))
        return SERVE_RANGE_NONE;

    if (first_digits == 0) {
        if (last == 0 || size_bytes == 0)
            return SERVE_RANGE_UNSATISFIABLE;
        range->len_bytes = last < size_bytes ? last : size_bytes;
        range->first_bytes = size_bytes - range->len_bytes;
        return SERVE_RANGE_OK;
    }
    if (last_digits > 0 && last < first)
        return SERVE_RANGE_NONE;
    if (first >= size_bytes)
        return SERVE_RANGE_UNSATISFIABLE;
    range->first_bytes = first;
    range->len_bytes = size_bytes - first;
    if (last_digits > 0 && last - first < range->len_bytes)
        range->len_bytes = last - first + 1;
    return SERVE_RANGE_OK;
}

bool serve_etag_listed(const char *header, const char *etag)
{
    size_t etag_len_bytes = strlen(etag);

    for (;;) {
        size_t len_bytes;

        header += strspn(header, " \t,");
        len_bytes = strcspn(header, ",");
        while (len_bytes > 0 && (header[len_bytes - 1] == ' ' || header[len_bytes - 1] == '\t'))
            len_bytes--;
        if (len_bytes == 0)
            return false;
        if (len_bytes == 1 && *header == '*')
            return true;
        if (len_bytes == etag_len_bytes && memcmp(header, etag, len_bytes) == 0)
            return true;
        if (len_bytes + 2 == etag_len_bytes && memcmp(header, etag + 1, len_bytes) == 0)
            return true;
        header += len_bytes;
    }
}
