/* SPDX-License-Identifier: Apache-2.0 */
/* tests/csv_reference.h - a plain CSV decoder that the real one is compared with, and a driver that
 * runs the real one the way the pipe does. Written apart from formats/csv*.c: one byte at a time,
 * strtof for numbers. For tests and fuzz targets only; aborts when memory runs out.
 */
#ifndef TESTS_CSV_REFERENCE_H
#define TESTS_CSV_REFERENCE_H

#include "formats/fmt.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What decoding a whole object gave: rows before the first bad record, and whether there was one.
 */
struct csv_result {
    float *values; /* rows x columns, labels first */
    size_t values_cap;
    size_t rows;
    size_t columns;
    bool failed;
    char message[240];
};

static inline void *csv_need(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static inline void csv_result_free(struct csv_result *r)
{
    free(r->values);
    memset(r, 0, sizeof(*r));
}

static inline float *csv_result_room(struct csv_result *r, size_t rows)
{
    size_t need = (r->rows + rows) * r->columns + 1;
    if (need > r->values_cap) {
        r->values_cap = need * 2;
        r->values = csv_need(realloc(r->values, r->values_cap * sizeof(float)));
    }
    return r->values + r->rows * r->columns;
}

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

static inline void csv_reference(const uint8_t *in, size_t len, struct csv_result *r)
{
    char *text = csv_need(malloc(len + 1));
    size_t row_cap = len + 1;
    float *row = csv_need(malloc(row_cap * sizeof(float)));
    size_t at = len >= 3 && memcmp(in, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    memset(r, 0, sizeof(*r));
    while (at < len && !r->failed) {
        size_t columns = 0;
        bool ended = false;
        if (csv_ref_line_is_blank(in, len, at)) {
            while (at < len && in[at] != '\n' && in[at] != '\r')
                at++;
            at += at < len;
            continue;
        }
        while (!ended)
            r->failed |= !csv_ref_field(in, len, &at, text, &ended, &row[columns++]);
        if (r->columns == 0)
            r->columns = columns;
        r->failed |= columns != r->columns;
        if (!r->failed) {
            memcpy(csv_result_room(r, 1), row, columns * sizeof(float));
            r->rows++;
        }
    }
    free(text);
    free(row);
}

/* How the driver hands bytes over: `step(cookie)` more bytes (>= 1) whenever cut asks for more. */
struct csv_drive {
    uint32_t label_size;
    uint32_t rows_max;
    size_t (*step)(void *cookie);
    void *cookie;
};

struct csv_drive_state {
    const struct csv_drive *drive;
    struct fmt_options options;
    struct fmt_shape shape;
    struct fmt_decoder *decoder;
    struct csv_result *result;
};

static inline void csv_drive_fail(struct csv_drive_state *s, const struct fmt_error *error)
{
    s->result->failed = true;
    memcpy(s->result->message, error->text, sizeof(s->result->message));
}

/* Decodes one span into buffers of exactly its size, and joins labels and features. */
static inline void csv_drive_decode(struct csv_drive_state *s, const uint8_t *in, size_t len,
                                    uint32_t rows)
{
    struct csv_result *r = s->result;
    struct fmt_error error = {0};
    if (s->decoder == NULL) {
        if (fmt_csv.learn(&s->options, in, len, &s->shape, &error) != FMT_OK) {
            csv_drive_fail(s, &error);
            return;
        }
        s->decoder = csv_need(fmt_csv.decoder_new(&s->options, &s->shape));
        r->columns = s->shape.label_dim + s->shape.feature_dim;
    }
    size_t label_dim = s->shape.label_dim;
    size_t feature_dim = s->shape.feature_dim;
    float *labels = label_dim == 0 ? NULL : csv_need(malloc(rows * label_dim * sizeof(float)));
    float *features = csv_need(malloc(rows * feature_dim * sizeof(float)));
    uint32_t good = rows;
    if (fmt_csv.decode(s->decoder, in, len, rows, features, labels, &error) != FMT_OK) {
        csv_drive_fail(s, &error);
        good = error.row;
        if (good >= rows || error.offset_bytes > len)
            abort();
    }
    float *out = csv_result_room(r, good);
    for (size_t i = 0; i < good; i++, out += r->columns) {
        if (label_dim > 0)
            memcpy(out, labels + i * label_dim, label_dim * sizeof(float));
        memcpy(out + label_dim, features + i * feature_dim, feature_dim * sizeof(float));
    }
    r->rows += good;
    free(labels);
    free(features);
}

/* Cuts and decodes the object [in, in + len) as the pipe does. */
static inline void csv_drive(const struct csv_drive *drive, const uint8_t *in, size_t len,
                             struct csv_result *r)
{
    struct csv_drive_state s = {.drive = drive, .result = r};
    size_t at = 0;
    size_t given = 0;
    struct fmt_cut cut = {0};
    struct fmt_error error = {0};
    memset(r, 0, sizeof(*r));
    s.options.ops = &fmt_csv;
    s.options.label_size = drive->label_size;
    while (at < len && !r->failed) {
        if (given == at)
            given += drive->step(drive->cookie);
        if (given > len)
            given = len;
        enum fmt_rc rc = fmt_csv.cut(&s.options, in + at, given - at, at == 0, given == len,
                                     drive->rows_max, &cut, &error);
        if (rc == FMT_MORE) {
            if (given == len)
                abort();
            given += drive->step(drive->cookie);
            continue;
        }
        if (rc != FMT_OK) {
            csv_drive_fail(&s, &error);
            break;
        }
        if (cut.len_bytes == 0 || cut.len_bytes > given - at || cut.rows > drive->rows_max ||
            cut.lead_bytes > cut.len_bytes)
            abort();
        if (cut.rows > 0)
            csv_drive_decode(&s, in + at + cut.lead_bytes, cut.len_bytes - cut.lead_bytes,
                             cut.rows);
        at += cut.len_bytes;
        memset(&cut, 0, sizeof(cut));
    }
    fmt_csv.decoder_free(s.decoder);
}

/* Bit for bit, NaN signs included. */
static inline bool csv_result_equal(const struct csv_result *a, const struct csv_result *b)
{
    if (a->failed != b->failed || a->rows != b->rows)
        return false;
    if (a->rows == 0)
        return true;
    return a->columns == b->columns &&
           memcmp(a->values, b->values, a->rows * a->columns * sizeof(float)) == 0;
}

#endif
