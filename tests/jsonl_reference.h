/* SPDX-License-Identifier: Apache-2.0 */
/* tests/jsonl_reference.h - a plain JSON Lines decoder that the real one is compared with. Written
 * apart from formats/json*.c: one byte at a time, strtof for numbers, every name looked up from the
 * line's start. For tests and fuzz targets only. Aborts when memory runs out.
 *
 * It knows dense rows of members anywhere in a line, texts, and what to do about what is missing;
 * of sparse rows, tensors and defaults the tests have tables.
 */
#ifndef TESTS_JSONL_REFERENCE_H
#define TESTS_JSONL_REFERENCE_H

#include "tests/drive.h"

#include <math.h>

enum { JSONL_REF_NAMES = 4, JSONL_REF_DEPTH = 1000 };

/* Names as in the content type, dotted; NULL behind the last. */
struct jsonl_ref {
    const char *features[JSONL_REF_NAMES + 1];
    const char *labels[JSONL_REF_NAMES + 1];
    const char *weight;
    const char *texts[JSONL_REF_NAMES + 1];
    bool nan;
};

struct jsonl_ref_text {
    const uint8_t *p, *end;
};

static inline const uint8_t *jsonl_ref_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

/* Four hexadecimal digits, or -1. */
static inline int jsonl_ref_hex(const uint8_t *p, const uint8_t *end)
{
    int code = 0;
    for (int i = 0; i < 4; i++, p++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = p < end && *p != 0 ? strchr(digits, *p) : NULL;
        if (digit == NULL)
            return -1;
        code = code * 16 + (int)(digit - digits) % 16;
    }
    return code;
}

/* The character at p, plain or escaped. NULL if there is none; out may be NULL. */
static inline const uint8_t *jsonl_ref_character(const uint8_t *p, const uint8_t *end, uint8_t *out,
                                                 size_t *out_len)
{
    uint32_t code;
    int more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : *p >> 3 == 30 ? 3 : -1;
    if (*p == '\\' && p + 1 < end && p[1] == 'u') {
        int high = jsonl_ref_hex(p + 2, end);
        int low = high >> 10 == 54 && p + 6 < end && p[6] == '\\' && p + 7 < end && p[7] == 'u'
                      ? jsonl_ref_hex(p + 8, end)
                      : -1;
        if (high < 0 || high >> 10 == 55 || (high >> 10 == 54 && low >> 10 != 55))
            return NULL;
        code = high >> 10 != 54
                   ? (uint32_t)high
                   : 0x10000 + (((uint32_t)high & 1023) << 10) + ((uint32_t)low & 1023);
        p += high >> 10 != 54 ? 6 : 12;
    } else if (*p == '\\') {
        static const char names[] = "\"\\/bfnrt";
        const char *name = p + 1 < end && p[1] != 0 ? strchr(names, p[1]) : NULL;
        if (name == NULL)
            return NULL;
        code = (uint8_t) "\"\\/\b\f\n\r\t"[name - names];
        p += 2;
    } else {
        static const uint32_t least[] = {0x20, 0x80, 0x800, 0x10000};
        if (more < 0 || end - p <= more)
            return NULL;
        code = more == 0 ? *p : *p & (0x3fu >> more);
        for (int i = 1; i <= more; i++) {
            if (p[i] >> 6 != 2)
                return NULL;
            code = code << 6 | (p[i] & 63);
        }
        if (code < least[more] || code > 0x10ffff || code >> 11 == 27)
            return NULL;
        p += more + 1;
    }
    if (out == NULL)
        return p;
    if (code < 0x80) {
        out[(*out_len)++] = (uint8_t)code;
        return p;
    }
    int bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = bytes - 1; i >= 0; i--)
        out[(*out_len)++] = (uint8_t)(i == bytes - 1 ? (0xf00u >> bytes & 0xff) | code >> (6 * i)
                                                     : 0x80 | (code >> (6 * i) & 63));
    return p;
}

/* What is behind the string at p, or NULL. */
static inline const uint8_t *jsonl_ref_string(const uint8_t *p, const uint8_t *end, uint8_t *out,
                                              size_t *out_len)
{
    if (p == end || *p != '"')
        return NULL;
    for (p++; p != NULL && p < end;) {
        if (*p == '"')
            return p + 1;
        p = jsonl_ref_character(p, end, out, out_len);
    }
    return NULL;
}

static inline const uint8_t *jsonl_ref_digits(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *first = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p == first ? NULL : p;
}

static inline const uint8_t *jsonl_ref_number(const uint8_t *p, const uint8_t *end)
{
    p += p < end && *p == '-';
    p = p < end && *p == '0' ? p + 1 : jsonl_ref_digits(p, end);
    if (p != NULL && p < end && *p == '.')
        p = jsonl_ref_digits(p + 1, end);
    if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        p = jsonl_ref_digits(p, end);
    }
    return p;
}

/* What is behind the value at p, or NULL. */
static inline const uint8_t *jsonl_ref_value(const uint8_t *p, const uint8_t *end, unsigned depth)
{
    static const char *const words[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if ((size_t)(end - p) >= strlen(words[i]) && memcmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    if (p == end)
        return NULL;
    if (*p == '"')
        return jsonl_ref_string(p, end, NULL, NULL);
    if (*p != '{' && *p != '[')
        return jsonl_ref_number(p, end);
    uint8_t close = *p == '{' ? '}' : ']';
    if (depth == JSONL_REF_DEPTH)
        return NULL;
    p = jsonl_ref_blanks(p + 1, end);
    if (p < end && *p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            p = jsonl_ref_string(p, end, NULL, NULL);
            p = p == NULL ? end : jsonl_ref_blanks(p, end);
            if (p == end || *p != ':')
                return NULL;
            p = jsonl_ref_blanks(p + 1, end);
        }
        p = jsonl_ref_value(p, end, depth + 1);
        if (p == NULL)
            return NULL;
        p = jsonl_ref_blanks(p, end);
        if (p == end || (*p != ',' && *p != close))
            return NULL;
        if (*p == close)
            return p + 1;
        p = jsonl_ref_blanks(p + 1, end);
    }
}

/* The next member or element of a good array or object; *p begins at its bracket. */
static inline bool jsonl_ref_next(const uint8_t **p, const uint8_t *end, uint8_t *name,
                                  size_t *name_len, struct jsonl_ref_text *value)
{
    const uint8_t *q = jsonl_ref_blanks(*p + 1, end);
    if (*q == '}' || *q == ']')
        return false;
    if (name != NULL) {
        *name_len = 0;
        q = jsonl_ref_blanks(jsonl_ref_string(q, end, name, name_len), end);
        q = jsonl_ref_blanks(q + 1, end);
    }
    value->p = q;
    value->end = jsonl_ref_value(q, end, 0);
    *p = jsonl_ref_blanks(value->end, end);
    if (**p == '}' || **p == ']')
        (*p)--;
    return true;
}

/* The last member of that dotted name within a good value; p NULL: there is none. */
static inline struct jsonl_ref_text jsonl_ref_find(struct jsonl_ref_text in, const char *path)
{
    const char *dot = strchr(path, '.');
    size_t len = dot == NULL ? strlen(path) : (size_t)(dot - path);
    struct jsonl_ref_text found = {NULL, NULL};
    struct jsonl_ref_text value;
    uint8_t *name = drive_allocate((size_t)(in.end - in.p) + 1);
    size_t name_len = 0;
    const uint8_t *p = in.p;
    size_t index = 0;
    if (*in.p == '{') {
        while (jsonl_ref_next(&p, in.end, name, &name_len, &value))
            if (name_len == len && memcmp(name, path, len) == 0)
                found = value;
    } else if (*in.p == '[') {
        for (; jsonl_ref_next(&p, in.end, NULL, NULL, &value); index++) {
            char text[24];
            if ((size_t)snprintf(text, sizeof(text), "%zu", index) == len &&
                memcmp(text, path, len) == 0)
                found = value;
        }
    }
    free(name);
    return dot == NULL || found.p == NULL ? found : jsonl_ref_find(found, dot + 1);
}

static inline bool jsonl_ref_is(struct jsonl_ref_text value, const char *word)
{
    return (size_t)(value.end - value.p) == strlen(word) &&
           memcmp(value.p, word, strlen(word)) == 0;
}

/* Text of a good string. */
static inline bool jsonl_ref_string_is(struct jsonl_ref_text value, const char *word)
{
    uint8_t *text = drive_allocate((size_t)(value.end - value.p) + 1);
    size_t len = 0;
    bool same = jsonl_ref_string(value.p, value.end, text, &len) != NULL && len == strlen(word) &&
                memcmp(text, word, len) == 0;
    free(text);
    return same;
}

static inline bool jsonl_ref_scalar(const struct jsonl_ref *ref, struct jsonl_ref_text value,
                                    float *out)
{
    char *text = drive_allocate((size_t)(value.end - value.p) + 1);
    memcpy(text, value.p, (size_t)(value.end - value.p));
    text[value.end - value.p] = 0;
    *out = jsonl_ref_is(value, "true")          ? 1
           : jsonl_ref_is(value, "false")       ? 0
           : *value.p == '"' || *value.p == 'n' ? NAN
                                                : strtof(text, NULL);
    free(text);
    return *value.p != '{' && *value.p != '[' && (ref->nan || *value.p != 'n') &&
           (*value.p != '"' || jsonl_ref_string_is(value, "NaN"));
}

/* An array's numbers; *leaves: the depth of the numbers, sizes[depth]: of the arrays, if >= 0. */
static inline bool jsonl_ref_array(const struct jsonl_ref *ref, struct jsonl_ref_text array,
                                   float *out, size_t *count, int depth, int *leaves, long *sizes)
{
    struct jsonl_ref_text value;
    const uint8_t *p = array.p;
    long size = 0;
    if (depth > 8)
        return false;
    for (; jsonl_ref_next(&p, array.end, NULL, NULL, &value); size++) {
        bool inner = *value.p == '[';
        if (!inner && *leaves < 0)
            *leaves = depth;
        if (inner ? *leaves >= 0 && *leaves <= depth : *leaves != depth)
            return false;
        if (inner ? !jsonl_ref_array(ref, value, out, count, depth + 1, leaves, sizes)
                  : !jsonl_ref_scalar(ref, value, &out[(*count)++]))
            return false;
    }
    if (sizes[depth] >= 0 && sizes[depth] != size)
        return false;
    sizes[depth] = size;
    return true;
}

/* One member's numbers; dim 0: not known yet. */
static inline bool jsonl_ref_numbers(const struct jsonl_ref *ref, struct jsonl_ref_text line,
                                     const char *path, float *out, size_t *dim, float missing)
{
    struct jsonl_ref_text value = jsonl_ref_find(line, path);
    size_t count = 0;
    int leaves = -1;
    long sizes[9] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    if (value.p == NULL || (ref->nan && *value.p == 'n')) {
        *dim = *dim == 0 ? 1 : *dim;
        for (size_t i = 0; i < *dim; i++)
            out[i] = missing;
        return ref->nan;
    }
    if (*value.p == '[') {
        if (!jsonl_ref_array(ref, value, out, &count, 1, &leaves, sizes))
            return false;
    } else {
        count = 1;
        if (!jsonl_ref_scalar(ref, value, out))
            return false;
    }
    *dim = *dim == 0 ? count : *dim;
    return count > 0 && count == *dim;
}

static inline bool jsonl_ref_texts(const struct jsonl_ref *ref, struct jsonl_ref_text line,
                                   uint8_t *out, uint32_t *lens)
{
    size_t total = 0;
    for (size_t i = 0; ref->texts[i] != NULL; i++) {
        struct jsonl_ref_text value = jsonl_ref_find(line, ref->texts[i]);
        size_t len = 0;
        if (value.p != NULL && *value.p == '"') {
            (void)jsonl_ref_string(value.p, value.end, out + total, &len);
        } else if (value.p != NULL && *value.p != 'n') {
            len = (size_t)(value.end - value.p);
            memcpy(out + total, value.p, len);
        } else if (!ref->nan) {
            return false;
        }
        lens[i] = (uint32_t)len;
        total += len;
    }
    return true;
}

/* What is learnt from the first line. */
struct jsonl_ref_dims {
    size_t features[JSONL_REF_NAMES];
    size_t labels[JSONL_REF_NAMES];
    size_t weight;
};

static inline bool jsonl_ref_list(const struct jsonl_ref *ref, struct jsonl_ref_text line,
                                  const char *const *names, size_t *dims, float *out, size_t *sum)
{
    *sum = 0;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (!jsonl_ref_numbers(ref, line, names[i], out + *sum, &dims[i], NAN))
            return false;
        *sum += dims[i];
    }
    return true;
}

/* One line into *r. False if it is bad. */
static inline bool jsonl_ref_line(const struct jsonl_ref *ref, struct jsonl_ref_text line,
                                  struct jsonl_ref_dims *dims, struct drive_result *r)
{
    size_t room = (size_t)(line.end - line.p) * JSONL_REF_NAMES + 4096;
    float *values = drive_allocate(2 * room * sizeof(float));
    uint8_t *texts = drive_allocate(room);
    uint32_t lens[JSONL_REF_NAMES] = {0};
    struct jsonl_ref_dims learnt = *dims;
    size_t feature_dim = 0;
    size_t label_dim = 0;
    size_t total = 0;
    float weight = 0;
    line.p = jsonl_ref_blanks(line.p, line.end);
    const uint8_t *end =
        *line.p == '{' || *line.p == '[' ? jsonl_ref_value(line.p, line.end, 0) : NULL;
    bool good = end != NULL && jsonl_ref_blanks(end, line.end) == line.end;
    line.end = end;
    good = good &&
           jsonl_ref_list(ref, line, ref->features, learnt.features, values, &feature_dim) &&
           jsonl_ref_list(ref, line, ref->labels, learnt.labels, values + room, &label_dim) &&
           (ref->weight == NULL ||
            jsonl_ref_numbers(ref, line, ref->weight, &weight, &learnt.weight, 1)) &&
           learnt.weight <= 1;
    if (good && r->rows == 0) {
        r->shape = (struct fmt_shape){.feature_dim = (uint32_t)feature_dim,
                                      .label_dim = (uint32_t)label_dim,
                                      .weighted = ref->weight != NULL};
        while (ref->texts[r->shape.text_dim] != NULL)
            r->shape.text_dim++;
        *dims = learnt;
    }
    good = good && jsonl_ref_texts(ref, line, texts, lens);
    if (good) {
        drive_add_row(r, values, values + room);
        if (ref->weight != NULL)
            drive_put(r, &weight, sizeof(weight));
        for (size_t i = 0; i < r->shape.text_dim; i++) {
            drive_put(r, &lens[i], sizeof(lens[i]));
            drive_put(r, texts + total, lens[i]);
            total += lens[i];
        }
    }
    free(values);
    free(texts);
    return good;
}

static inline void jsonl_reference(const uint8_t *in, size_t len, const struct jsonl_ref *ref,
                                   struct drive_result *r)
{
    struct jsonl_ref_dims dims = {.weight = 0};
    size_t at = len >= 3 && memcmp(in, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    memset(r, 0, sizeof(*r));
    while (at < len && !r->failed) {
        size_t end = at;
        while (end < len && in[end] != '\n')
            end++;
        if (jsonl_ref_blanks(in + at, in + end) != in + end) {
            struct jsonl_ref_text line = {in + at, in + end};
            r->failed = !jsonl_ref_line(ref, line, &dims, r);
            r->error_offset_bytes = at;
        }
        at = end + 1;
    }
}

#endif
