/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_template.c - reads a line by the layout of an earlier one.
 *
 * Programs that write JSON Lines write the same names in the same order with the same blanks, over
 * and over. So a template is what stood between the values, byte for byte, and what is to be made
 * of each value: a line whose bytes between the values are the same has the same grammar, and is
 * read in one pass without looking at a name. Each value is checked as strictly as a walk does.
 */
#include "formats/jsonl_template.h"
#include "formats/jsonl_read.h"
#include "formats/number.h"

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

static const uint8_t *run_numbers(const struct run *r, const struct step *step, const uint8_t *p)
{
    const struct jsonl_target *target = &r->options->targets[step->target];

    return fmt_jsonl_read_numbers(p, r->end, fmt_jsonl_null_is_nan(r->options, target),
                                  fmt_jsonl_place(target, r->row) + step->first, step->count);
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
        p = fmt_jsonl_read_numbers(p, r->end, r->options->missing_is_nan != 0,
                                   entries->values + entries->count + r->values, 1);
        if (p == NULL)
            return NULL;
        r->values++;
        if (p < r->end && *p == ']')
            return p;
        p = fmt_jsonl_read_comma(p, r->end);
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
        p = fmt_jsonl_read_comma(p, r->end);
    }
    return p;
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
            p = fmt_jsonl_read_any(p, end, &ignored);
            break;
        case STEP_SCALAR:
            if (p < end && (*p == '{' || *p == '['))
                return NULL;
            p = fmt_jsonl_read_any(p, end, &ignored);
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
            p = fmt_jsonl_read_any(p, end, &slots[step->slot]);
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
            return fmt_jsonl_read_end(p, end);
        }
    }
    return NULL;
}
