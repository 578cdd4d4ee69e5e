/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_read.c - see jsonl_read.h. */
#include "formats/jsonl_read.h"
#include "formats/json_string.h"
#include "formats/number.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

/* The one value at p, by formats/json.c, within the line. */
static const uint8_t *pass_any(const uint8_t *p, const uint8_t *end, struct fmt_json_value *value)
{
    const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
    const uint8_t *line_end = newline != NULL ? newline : end;
    struct fmt_json json;

    fmt_json_begin(&json, p, (size_t)(line_end - p));
    json.number_words = true;
    return fmt_json_pass(&json, value, NULL) == FMT_OK ? p + json.at_bytes : NULL;
}

/* Numbers that are rare, and those at the end of the bytes. */
static __attribute__((noinline)) const uint8_t *odd_number(const uint8_t *p, const uint8_t *end,
                                                           bool missing_is_nan, float *out)
{
    struct fmt_json_value value;
    const uint8_t *next = pass_any(p, end, &value);

    if (next == NULL || fmt_jsonl_value_begin(&value) != p)
        return NULL;
    switch (value.kind) {
    case FMT_JSON_NUMBER:
        (void)fmt_number_scan(value.bytes, value.bytes + value.len_bytes, out);
        return next;
    case FMT_JSON_TRUE:
    case FMT_JSON_FALSE:
        *out = value.kind == FMT_JSON_TRUE;
        return next;
    case FMT_JSON_NULL:
        *out = NAN;
        return missing_is_nan ? next : NULL;
    case FMT_JSON_STRING:
        *out = NAN;
        return fmt_json_is(&value, "NaN", 3) ? next : NULL;
    case FMT_JSON_NONE:
    case FMT_JSON_ARRAY:
    case FMT_JSON_OBJECT:
        break;
    }
    return NULL;
}

/* So many bytes can be looked at before any bound is: sign, 7 digits, point, 8 digits, and two. */
#define PLAIN_BYTES 24

/* A number by RFC 8259, which is narrower than formats/number.h: a digit on both sides of a point,
 * no zero in front, no plus. Branches only on what is the same for most numbers of a file. */
static inline const uint8_t *read_number(const uint8_t *p, const uint8_t *end, bool missing_is_nan,
                                         float *out)
{
    if (end - p < PLAIN_BYTES)
        return odd_number(p, end, missing_is_nan, out);
    uint32_t negative = *p == '-';
    const uint8_t *first = p + negative;
    uint64_t v = fmt_load8(first);
    uint64_t bad = fmt_nondigits(v);
    /* Of no digit, and of none but digits, the number of them comes out as 0 or 8. */
    unsigned n = bad == 0 ? 8 : (unsigned)__builtin_ctzll(bad) >> 3;

    if ((n - 1 > 6) | ((n > 1) & (*first == '0')))
        return odd_number(p, end, missing_is_nan, out);
    uint64_t mantissa = fmt_join8(((v - FMT_ASCII_ZEROS) << 8) << (56 - 8 * n));
    const uint8_t *q = first + n;
    int64_t exponent10 = 0;

    if (*q == '.') {
        const uint8_t *point = q + 1;

        q = fmt_digits(point, end, &mantissa);
        exponent10 = point - q;
        if (exponent10 == 0 || (int64_t)n - exponent10 > 19)
            return odd_number(p, end, missing_is_nan, out);
    }
    if (q < end && (*q | 0x20) == 'e')
        q = fmt_number_exponent(q, end, &exponent10);
    float value = exponent10 == 0 && mantissa < (uint64_t)1 << 62
                      ? (float)(int64_t)mantissa
                      : fmt_number_round(mantissa, exponent10, false);
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    *out = fmt_float_of(bits, negative);
    return q;
}

#define BLOCK_BYTES 64

/* Bit i: byte i of BLOCK_BYTES is a comma. */
static inline uint64_t find_commas(const uint8_t *p)
{
#if defined(__x86_64__)
    const __m128i comma = _mm_set1_epi8(',');
    uint64_t commas = 0;

    for (unsigned k = 0; k < 4; k++) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k));

        commas |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, comma)) << (16 * k);
    }
    return commas;
#else
    uint64_t commas = 0;

    for (unsigned k = 0; k < BLOCK_BYTES; k++)
        commas |= (uint64_t)(p[k] == ',') << k;
    return commas;
#endif
}

/* Digits and nothing else, up to 7 of them, in [p, stop). */
static inline bool read_short(const uint8_t *p, const uint8_t *stop, float *out)
{
    uint64_t v = fmt_load8(p);
    size_t n = (size_t)(stop - p);

    if (n - 1 > 6)
        return false;
    uint64_t above = ~(uint64_t)0 << (8 * n);

    if (((fmt_nondigits(v) & ~above) != 0) | ((n > 1) & (*p == '0')))
        return false;
    *out = (float)(int32_t)fmt_join8((v - FMT_ASCII_ZEROS) << (64 - 8 * n));
    return true;
}

const uint8_t *fmt_jsonl_read_numbers(const uint8_t *p, const uint8_t *end, bool missing_is_nan,
                                      float *out, uint32_t count)
{
    uint32_t i = 0;

    /* With the commas known ahead no number waits for the one in front of it to be read. */
    while (count - i > 2 && end - p >= BLOCK_BYTES + PLAIN_BYTES) {
        const uint8_t *block = p;
        uint64_t commas = find_commas(block);

        if (commas == 0)
            break;
        for (; commas != 0 && i + 1 < count; commas &= commas - 1, i++) {
            const uint8_t *comma = block + __builtin_ctzll(commas);

            if (!read_short(p, comma, out + i) &&
                read_number(p, end, missing_is_nan, out + i) != comma)
                return NULL;
            p = comma + 1;
            p += *p == ' ';
        }
    }
    p = read_number(p, end, missing_is_nan, out + i);
    for (i++; i < count && p != NULL; i++) {
        p = fmt_jsonl_read_comma(p, end);
        if (p != NULL)
            p = read_number(p, end, missing_is_nan, out + i);
    }
    return p;
}

const uint8_t *fmt_jsonl_read_any(const uint8_t *p, const uint8_t *end,
                                  struct fmt_json_value *value)
{
    if (p < end && *p == '"') {
        size_t left = (size_t)(end - p - 1);
        bool escaped;
        size_t bytes = fmt_json_string(p + 1, left, &escaped);

        *value = (struct fmt_json_value){
            .kind = FMT_JSON_STRING, .bytes = p + 1, .len_bytes = bytes, .escaped = escaped};
        return bytes < left && p[1 + bytes] == '"' ? p + bytes + 2 : NULL;
    }
    const uint8_t *next = pass_any(p, end, value);

    return next != NULL && fmt_jsonl_value_begin(value) == p ? next : NULL;
}

const uint8_t *fmt_jsonl_read_end(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == '\r' || *p == ' ' || *p == '\t'))
        p++;
    if (p == end)
        return end;
    return *p == '\n' ? p + 1 : NULL;
}
