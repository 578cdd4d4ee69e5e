/* SPDX-License-Identifier: Apache-2.0 */
/* tests/csv_reference.h - a plain CSV decoder that the real one is compared with. Written apart
 * from formats/csv*.c: one byte at a time, strtof for numbers. For tests and fuzz targets only.
 */
#ifndef TESTS_CSV_REFERENCE_H
#define TESTS_CSV_REFERENCE_H

#include "tests/drive.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The grammar of formats/number.h; `s` is NUL-terminated and holds no other NUL. */
static inline bool csv_ref_is_number(const char *s)
{
    size_t digits = 0;
    s += *s == '+' || *s == '-';
    if (strcasecmp(s, "nan") == 0 || strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0)
        return true;
    for (; isdigit((unsigned char)*s); s++)
        digits++;
    if (*s == '.')
        for (s++; isdigit((unsigned char)*s); s++)
            digits++;
    if (digits == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        if (!isdigit((unsigned char)*s))
            return false;
        while (isdigit((unsigned char)*s))
            s++;
    }
    return *s == 0;
}

static inline bool csv_ref_value(char *text, size_t len, float *value)
{
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    text[len] = 0;
    while (*text == ' ' || *text == '\t') {
        text++;
        len--;
    }
    if (len == 0) {
        *value = NAN;
        return true;
    }
    if (memchr(text, 0, len) != NULL || !csv_ref_is_number(text))
        return false;
    *value = strtof(text, NULL);
    return true;
}

/* Reads one field at *at. Returns false if it is text. *ended tells that the line ended too. */
static inline bool csv_ref_field(const uint8_t *in, size_t len, size_t *at, char *text, bool *ended,
                                 float *value)
{
    size_t i = *at;
    size_t n = 0;
    bool good = true;
    while (i < len && (in[i] == ' ' || in[i] == '\t'))
        i++;
    if (i < len && in[i] == '"') {
        bool closed = false;
        for (i++; i < len && !closed; i++) {
            if (in[i] != '"')
                text[n++] = (char)in[i];
            else if (i + 1 < len && in[i + 1] == '"')
                text[n++] = (char)in[i++];
            else
                closed = true;
        }
        good = closed;
        for (; i < len && in[i] != ',' && in[i] != '\n' && in[i] != '\r'; i++)
            good &= in[i] == ' ' || in[i] == '\t';
    } else {
        for (; i < len && in[i] != ',' && in[i] != '\n' && in[i] != '\r'; i++)
            text[n++] = (char)in[i];
    }
    *ended = i == len || in[i] != ',';
    *at = i + (i < len);
    return csv_ref_value(text, n, value) && good;
}

static inline bool csv_ref_line_is_blank(const uint8_t *in, size_t len, size_t at)
{
    while (at < len && (in[at] == ' ' || in[at] == '\t'))
        at++;
    return at == len || in[at] == '\n' || in[at] == '\r';
}

static inline void csv_reference(const uint8_t *in, size_t len, uint32_t label_size,
                                 struct drive_result *r)
{
    char *text = drive_allocate(len + 1);
    float *row = drive_allocate((len + 1) * sizeof(float));
    size_t at = len >= 3 && memcmp(in, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    memset(r, 0, sizeof(*r));
    while (at < len && !r->failed) {
        size_t columns = 0;
        bool ended = false;
        r->error_offset_bytes = at;
        if (csv_ref_line_is_blank(in, len, at)) {
            while (at < len && in[at] != '\n' && in[at] != '\r')
                at++;
            at += at < len;
            continue;
        }
        while (!ended)
            r->failed |= !csv_ref_field(in, len, &at, text, &ended, &row[columns++]);
        if (r->shape.feature_dim == 0 && columns > label_size) {
            r->shape.label_dim = label_size;
            r->shape.feature_dim = (uint32_t)columns - label_size;
        }
        r->failed |= columns != drive_columns(r);
        if (!r->failed)
            drive_add_row(r, row + label_size, row);
    }
    free(text);
    free(row);
}

#endif
