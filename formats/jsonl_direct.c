/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_direct.c - reads a plain line in one pass, its members in any order. */
#include "formats/json_string.h"
#include "formats/jsonl_read.h"

#include <string.h>

struct direct {
    const struct fmt_jsonl_options *options;
    const uint8_t *end;
    const struct jsonl_row *row;
    jsonl_slot *slots;
    uint8_t *seen_nodes;
    uint8_t *seen_targets;
};

/* White space; a line feed ends the line, and is none. */
static inline const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* The value of a target. Returns what is behind it, or NULL for anything but plain. */
static const uint8_t *read_target(const struct direct *d, uint32_t target_no, uint32_t slot,
                                  const uint8_t *p)
{
    const struct jsonl_target *target = &d->options->targets[target_no];
    struct fmt_json_value ignored;

    if (d->seen_targets[target_no])
        return NULL;
    d->seen_targets[target_no] = 1;
    if (target->absent)
        return fmt_jsonl_read_any(p, d->end, &ignored);
    if (target->kind == JSONL_TEXT)
        return fmt_jsonl_read_any(p, d->end, &d->slots[slot]);
    float *out = fmt_jsonl_place(target, d->row);
    bool null_is_nan = fmt_jsonl_null_is_nan(d->options, target);

    if (p == d->end || *p != '[')
        return target->dim == 1 ? fmt_jsonl_read_numbers(p, d->end, null_is_nan, out, 1) : NULL;
    p = skip_blanks(p + 1, d->end);
    p = fmt_jsonl_read_numbers(p, d->end, null_is_nan, out, target->dim);
    if (p == NULL)
        return NULL;
    p = skip_blanks(p, d->end);
    return p < d->end && *p == ']' ? p + 1 : NULL;
}

static const uint8_t *read_object(const struct direct *d, uint32_t node_no, const uint8_t *p);

/* The value of the member that node `child` stands for, or of one of no interest. */
static const uint8_t *read_member(const struct direct *d, uint32_t child, const uint8_t *p)
{
    const struct jsonl_node *node = &d->options->nodes[child];
    struct fmt_json_value ignored;

    if (child == JSONL_NONE)
        return fmt_jsonl_read_any(p, d->end, &ignored);
    if (d->seen_nodes[child])
        return NULL;
    d->seen_nodes[child] = 1;
    if (node->slot != JSONL_NONE)
        return read_target(d, d->options->slot_targets[node->slot], node->slot, p);
    if (p < d->end && *p == '{')
        return read_object(d, child, p);
    return p < d->end && *p != '[' ? fmt_jsonl_read_any(p, d->end, &ignored) : NULL;
}

/* The object that begins at p, as deep as names go. */
static const uint8_t *read_object(const struct direct *d, uint32_t node_no, const uint8_t *p)
{
    const uint8_t *end = d->end;

    p = skip_blanks(p + 1, end);
    if (p < end && *p == '}')
        return p + 1;
    for (;;) {
        struct fmt_json_value name = {.kind = FMT_JSON_STRING};

        if (p == end || *p != '"')
            return NULL;
        name.bytes = p + 1;
        name.len_bytes = fmt_json_string(name.bytes, (size_t)(end - name.bytes), &name.escaped);
        p = name.bytes + name.len_bytes;
        if (name.escaped || p == end || *p != '"')
            return NULL;
        p = skip_blanks(p + 1, end);
        if (p == end || *p != ':')
            return NULL;
        p = skip_blanks(p + 1, end);
        p = read_member(d, fmt_jsonl_child(d->options, node_no, &name, 0), p);
        if (p == NULL)
            return NULL;
        p = skip_blanks(p, end);
        if (p == end || (*p != ',' && *p != '}'))
            return NULL;
        if (*p == '}')
            return p + 1;
        p = skip_blanks(p + 1, end);
    }
}

/* What the line lacks. False if it may not. */
static bool fill_missing(const struct direct *d)
{
    for (uint32_t i = 0; i < d->options->target_count; i++) {
        const struct jsonl_target *target = &d->options->targets[i];

        if (d->seen_targets[i] || target->absent)
            continue;
        if (d->options->missing_is_nan == 0)
            return false;
        for (uint32_t k = 0; k < target->slots; k++)
            d->slots[target->slot + k].kind = FMT_JSON_NONE;
        fmt_jsonl_put_missing(target, d->row);
    }
    return true;
}

const uint8_t *fmt_jsonl_direct(const struct fmt_jsonl_options *options, const uint8_t *p,
                                const uint8_t *end, const struct jsonl_row *row, jsonl_slot *slots,
                                uint8_t *seen)
{
    struct direct d = {.options = options,
                       .end = end,
                       .row = row,
                       .slots = slots,
                       .seen_nodes = seen,
                       .seen_targets = seen + options->node_count};

    p = skip_blanks(p, end);
    if (options->sparse || !options->plain_names || p == end || *p != '{')
        return NULL;
    memset(seen, 0, options->node_count + options->target_count);
    p = read_object(&d, 0, p);
    return p != NULL && fill_missing(&d) ? fmt_jsonl_read_end(p, end) : NULL;
}
