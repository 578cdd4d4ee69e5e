/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_template.c - reads a line by the layout of an earlier one.
 *
 * Programs that write JSON Lines write the same names in the same order with the same blanks, over
 * and over. So a template is what stood between the values, byte for byte, and what is to be made
 * of each value: a line whose bytes between the values are the same has the same grammar, and is
 * read in one pass without looking at a name. Each value is checked as strictly as a walk does.
 */
#include "formats/jsonl_template.h"
#include "formats/json_string.h"
#include "formats/number.h"

#include <math.h>
#include <string.h>

/* What a line is read with, for all its steps. */
struct run {
    const struct fmt_jsonl_options *options;
    const struct jsonl_row *row;
    const uint8_t *end;
    uint32_t values; /* of a sparse row */
    uint32_t keys;
};

/* Whether the `bytes` bytes at p are those at `literal`, behind which LITERAL_SPARE more are. */
static inline bool is_literal(const uint8_t *p, const uint8_t *end, const uint8_t *literal,
                              size_t bytes)
{
    size_t left = (size_t)(end - p);

    if (bytes > left)
        return false;
    if (left < 8 || bytes > 16)
        return memcmp(p, literal, bytes) == 0;
    if (bytes < 8) {
        uint64_t mask = ((uint64_t)1 << (8 * bytes)) - 1;

        return ((fmt_load8(p) ^ fmt_load8(literal)) & mask) == 0;
    }
    return ((fmt_load8(p) ^ fmt_load8(literal)) |
            (fmt_load8(p + bytes - 8) ^ fmt_load8(literal + bytes - 8))) == 0;
}

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

    if (next == NULL || jsonl_value_begin(&value) != p)
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

/* So many bytes can be looked at before any bound is. */
#define PLAIN_BYTES 16

/* A number by RFC 8259, which is narrower than formats/number.h: a digit on both sides of a point,
 * no zero in front, no plus. */
static inline const uint8_t *read_number(const uint8_t *p, const uint8_t *end, bool missing_is_nan,
                                         float *out)
{
    if (end - p < PLAIN_BYTES)
        return odd_number(p, end, missing_is_nan, out);
    bool negative = *p == '-';
    const uint8_t *first = p + negative;
    uint64_t v = fmt_load8(first);
    uint64_t bad = fmt_nondigits(v);
    unsigned n = bad == 0 ? 8 : (unsigned)__builtin_ctzll(bad) >> 3;

    if (n - 1 > 6 || (n > 1 && *first == '0'))
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
    if (exponent10 == 0)
        *out = negative ? -(float)mantissa : (float)mantissa;
    else
        *out = fmt_number_round(mantissa, exponent10, negative);
    return q;
}

/* Over a comma and the blanks behind it; NULL if there is none. */
static inline const uint8_t *pass_comma(const uint8_t *p, const uint8_t *end)
{
    if (p == end || *p != ',')
        return NULL;
    for (p++; p < end && *p == ' '; p++)
        ;
    return p;
}

static const uint8_t *run_numbers(const struct run *r, const struct step *step, const uint8_t *p)
{
    const struct jsonl_target *target = &r->options->targets[step->target];
    float *out = (target->kind == JSONL_FEATURE ? r->row->features
                  : target->kind == JSONL_LABEL ? r->row->labels
                                                : r->row->weight) +
                 target->column + step->first;
    const uint8_t *end = r->end;
    bool missing_is_nan = r->options->missing_is_nan != 0;

    p = read_number(p, end, missing_is_nan, out);
    for (uint32_t i = 1; i < step->count && p != NULL; i++) {
        p = pass_comma(p, end);
        if (p != NULL)
            p = read_number(p, end, missing_is_nan, out + i);
    }
    return p;
}

/* Room for entry `count` of the row's. */
static bool reserve_entry(struct fmt_entries *entries, uint32_t count)
{
    return entries->count + count < entries->room || fmt_entries_reserve(entries, count + 1);
}

static const uint8_t *run_values(struct run *r, const uint8_t *p)
{
    struct fmt_entries *entries = r->row->entries;

    if (p < r->end && *p == ']')
        return p;
    while (p != NULL) {
        if (!reserve_entry(entries, r->values))
            return NULL;
        p = read_number(p, r->end, r->options->missing_is_nan != 0,
                        entries->values + entries->count + r->values);
        if (p == NULL)
            return NULL;
        r->values++;
        if (p < r->end && *p == ']')
            return p;
        p = pass_comma(p, r->end);
    }
    return p;
}

static const uint8_t *run_keys(struct run *r, const struct step *step, const uint8_t *p)
{
    uint32_t dim = r->options->targets[step->target].dim;
    uint32_t limit = dim == 0 ? INT32_MAX : dim;
    struct fmt_entries *entries = r->row->entries;

    if (p < r->end && *p == ']')
        return p;
    while (p != NULL) {
        const uint8_t *first = p;
        uint64_t key = 0;

        for (; p < r->end && (uint8_t)(*p - '0') <= 9 && p - first < 10; p++)
            key = key * 10 + (uint64_t)(*p - '0');
        if (p == first || (*first == '0' && p - first > 1) || key >= limit ||
            !reserve_entry(entries, r->keys))
            return NULL;
        entries->columns[entries->count + r->keys++] = (uint32_t)key;
        if (p < r->end && *p == ']')
            return p;
        p = pass_comma(p, r->end);
    }
    return p;
}

/* Any value; the plain ones at once. */
static const uint8_t *run_any(const struct run *r, const uint8_t *p, struct fmt_json_value *value)
{
    if (p < r->end && *p == '"') {
        size_t plain = fmt_json_plain(p + 1, (size_t)(r->end - p - 1));
        const uint8_t *close = p + 1 + plain;

        if (close < r->end && *close == '"') {
            *value = (struct fmt_json_value){
                .kind = FMT_JSON_STRING, .bytes = p + 1, .len_bytes = plain, .escaped = false};
            return close + 1;
        }
    }
    const uint8_t *next = pass_any(p, r->end, value);

    return next != NULL && jsonl_value_begin(value) == p ? next : NULL;
}

/* The line's end. */
static const uint8_t *run_end(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == '\r' || *p == ' ' || *p == '\t'))
        p++;
    if (p == end)
        return end;
    return *p == '\n' ? p + 1 : NULL;
}

const uint8_t *fmt_jsonl_template_run(const struct jsonl_template *t, const uint8_t *p,
                                      const uint8_t *end, const struct jsonl_row *row,
                                      jsonl_slot *slots)
{
    struct run r = {.options = t->options, .row = row, .end = end};
    struct fmt_json_value ignored;

    if (t->step_count == 0)
        return NULL;
    for (const struct step *step = t->steps; p != NULL; step++) {
        if (!is_literal(p, end, t->bytes + step->literal_at, step->literal_bytes))
            return NULL;
        p += step->literal_bytes;
        switch (step->kind) {
        case STEP_SKIP:
            p = run_any(&r, p, &ignored);
            break;
        case STEP_SCALAR:
            if (p < end && (*p == '{' || *p == '['))
                return NULL;
            p = run_any(&r, p, &ignored);
            break;
        case STEP_NUMBERS:
            p = run_numbers(&r, step, p);
            break;
        case STEP_VALUES:
            p = run_values(&r, p);
            break;
        case STEP_KEYS:
            p = run_keys(&r, step, p);
            break;
        case STEP_TEXT:
            p = run_any(&r, p, &slots[step->slot]);
            break;
        case STEP_END:
            if (r.keys != r.values)
                return NULL;
            for (uint32_t i = 0; i < t->missing_count; i++) {
                const struct jsonl_target *target = &t->options->targets[t->missing[i]];

                for (uint32_t k = 0; k < target->slots; k++)
                    slots[target->slot + k].kind = FMT_JSON_NONE;
                fmt_jsonl_put_missing(target, row);
            }
            row->entries->count += r.keys;
            return run_end(p, end);
        }
    }
    return NULL;
}
