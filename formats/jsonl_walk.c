/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_walk.c - checks a line and captures where the values of the named members stand. */
#include "formats/jsonl.h"

#include <string.h>

/* By a name that is written without escapes. */
static uint32_t look_up(const struct fmt_jsonl_options *options, uint32_t parent,
                        const struct fmt_json_value *name)
{
    uint64_t key = fmt_jsonl_key(name->bytes, name->len_bytes);
    uint32_t at = fmt_jsonl_hash(parent, key, name->len_bytes) & options->table_mask;

    for (; options->table[at] != 0; at = (at + 1) & options->table_mask) {
        const struct jsonl_node *node = &options->nodes[options->table[at]];

        if (node->key == key && node->parent == parent && node->name_bytes == name->len_bytes &&
            memcmp(node->name, name->bytes, name->len_bytes) == 0)
            return options->table[at];
    }
    return JSONL_NONE;
}

uint32_t fmt_jsonl_child(const struct fmt_jsonl_options *options, uint32_t parent,
                         const struct fmt_json_value *name, uint32_t index)
{
    if (name != NULL && !name->escaped)
        return look_up(options, parent, name);
    for (uint32_t i = options->nodes[parent].child; i != JSONL_NONE;
         i = options->nodes[i].sibling) {
        const struct jsonl_node *node = &options->nodes[i];

        if (name != NULL ? fmt_json_is(name, node->name, node->name_bytes) : node->index == index)
            return i;
    }
    return JSONL_NONE;
}

/* What stood here before counts no more: a name that comes again takes all with it. */
static void forget(const struct fmt_jsonl_options *options, uint32_t node_no, jsonl_slot *slots)
{
    const struct jsonl_node *node = &options->nodes[node_no];

    if (node->slot != JSONL_NONE)
        slots[node->slot].kind = FMT_JSON_NONE;
    for (uint32_t i = node->child; i != JSONL_NONE; i = options->nodes[i].sibling)
        forget(options, i, slots);
}

/* The members, or elements, of what begins at json->at_bytes with `open`. As deep as names go. */
static enum fmt_rc capture(const struct fmt_jsonl_options *options, struct fmt_json *json,
                           char open, uint32_t node_no, jsonl_slot *slots, struct fmt_error *error)
{
    enum fmt_rc rc = fmt_json_enter(json, open, error);
    struct fmt_json_value name;
    struct fmt_json_value value;

    for (uint32_t index = 0; rc == FMT_OK; index++) {
        rc = fmt_json_next(json, &name, &value, error);
        if (rc != FMT_OK || value.kind == FMT_JSON_NONE)
            return rc;
        uint32_t child = fmt_jsonl_child(options, node_no, open == '{' ? &name : NULL, index);

        if (child == JSONL_NONE)
            continue;
        forget(options, child, slots);
        if (options->nodes[child].slot != JSONL_NONE) {
            slots[options->nodes[child].slot] = value;
        } else if (value.kind == FMT_JSON_OBJECT || value.kind == FMT_JSON_ARRAY) {
            struct fmt_json inner;

            fmt_json_begin(&inner, value.bytes, value.len_bytes);
            inner.number_words = true;
            rc = capture(options, &inner, value.kind == FMT_JSON_OBJECT ? '{' : '[', child, slots,
                         error);
        }
    }
    return rc;
}

enum fmt_rc fmt_jsonl_walk(const struct fmt_jsonl_options *options, const uint8_t *in, size_t len,
                           jsonl_slot *slots, struct fmt_error *error)
{
    struct fmt_json json;
    size_t begin = 0;

    while (begin < len && (in[begin] == ' ' || in[begin] == '\t' || in[begin] == '\r'))
        begin++;
    bool array = begin < len && in[begin] == '[';

    for (uint32_t i = 0; i < options->slot_count; i++)
        slots[i].kind = FMT_JSON_NONE;
    fmt_json_begin(&json, in, len);
    json.number_words = true;
    if (begin == len || (!array && in[begin] != '{'))
        return fmt_fail(error, begin, 0, "a line is an object or an array");
    enum fmt_rc rc = capture(options, &json, array ? '[' : '{', 0, slots, error);

    if (rc == FMT_OK)
        rc = fmt_json_end(&json, error);
    if (rc == FMT_OK && array && options->root_slot != JSONL_NONE)
        slots[options->root_slot] = (jsonl_slot){
            .kind = FMT_JSON_ARRAY, .bytes = in + begin, .len_bytes = json.at_bytes - begin};
    return rc;
}

const jsonl_slot *fmt_jsonl_value(const struct jsonl_target *target, const jsonl_slot *slots)
{
    const jsonl_slot *slot = &slots[target->slot];

    for (uint32_t i = 1; i < target->slots && slot->kind == FMT_JSON_NONE; i++)
        if (slots[target->slot + i].kind != FMT_JSON_NONE)
            slot = &slots[target->slot + i];
    return slot;
}
