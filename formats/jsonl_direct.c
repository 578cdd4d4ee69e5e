/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_direct.c - reads a plain line in one pass, its members in any order. */
#include "formats/json_string.h"
#include "formats/jsonl_read.h"
#include "formats/number.h"

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

/* The child of a node whose name, of less than 8 bytes, stands at p with its quote behind it: found
 * by one load. Such a name needs no check: it is that of a node, and plain. */
static inline uint32_t short_child(const struct fmt_jsonl_options *options, uint32_t parent,
                                   const uint8_t *p, size_t *len)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t v = fmt_load8(p);
    uint64_t quotes = v ^ (ones * '"');
    uint64_t zeros = (quotes - ones) & ~quotes & (ones << 7);

    if (zeros == 0)
        return JSONL_NONE;
    unsigned bits = (unsigned)__builtin_ctzll(zeros) & ~7u; /* the lowest one is exact */
    uint64_t key = v & (((uint64_t)1 << bits) - 1);

    *len = bits / 8;
    uint32_t at = fmt_jsonl_hash(parent, key, *len) & options->table_mask;

    for (; options->table[at] != 0; at = (at + 1) & options->table_mask) {
        const struct jsonl_node *node = &options->nodes[options->table[at]];

        if (node->key == key && node->parent == parent && node->name_bytes == *len)
            return options->table[at];
    }
    return JSONL_NONE;
}

/* The child whose name stands at p, behind its quote, or JSONL_NONE for a name of no interest.
 * Returns what is behind the closing quote, or NULL. */
static const uint8_t *read_name(const struct direct *d, uint32_t parent, const uint8_t *p,
                                uint32_t *child)
{
    struct fmt_json_value name = {.kind = FMT_JSON_STRING, .bytes = p};
    size_t left = (size_t)(d->end - p);

    *child = left < 8 ? JSONL_NONE : short_child(d->options, parent, p, &name.len_bytes);
    if (*child != JSONL_NONE)
        return p + name.len_bytes + 1;
    name.len_bytes = fmt_json_string(p, left, &name.escaped);
    if (name.escaped || name.len_bytes == left || p[name.len_bytes] != '"')
        return NULL;
    *child = fmt_jsonl_child(d->options, parent, &name, 0);
    return p + name.len_bytes + 1;
}

/* The object that begins at p, as deep as names go. */
static const uint8_t *read_object(const struct direct *d, uint32_t node_no, const uint8_t *p)
{
    const uint8_t *end = d->end;

    p = skip_blanks(p + 1, end);
    if (p < end && *p == '}')
        return p + 1;
    for (;;) {
        uint32_t child;

        if (p == end || *p != '"')
            return NULL;
        p = read_name(d, node_no, p + 1, &child);
        if (p == NULL)
            return NULL;
        p = skip_blanks(p, end);
        if (p == end || *p != ':')
            return NULL;
        p = skip_blanks(p + 1, end);
        p = read_member(d, child, p);
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
