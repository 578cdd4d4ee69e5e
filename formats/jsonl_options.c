/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_options.c - the parameters of application/jsonlines, and the tree of the names in
 * them.
 */
#include "formats/json_string.h"
#include "formats/jsonl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names within each other: "a.b.c" is three. */
#define PATH_MAX_NAMES 32

static const char *const PARAMETERS[JSONL_KINDS] = {"features", "label", "weight", "text"};

/* Where SageMaker's algorithms look for the features of a JSON line, and a label beside them. */
static const char *const DEFAULT_FEATURES[] = {"features", "data.features"};
static const char *const DEFAULT_LABEL[] = {"label"};

static enum fmt_rc no_memory(struct fmt_error *error)
{
    (void)fmt_refuse(error, "content type: out of memory");
    return FMT_E_MEMORY;
}

/* A parameter given again goes on with the list. */
static enum fmt_rc add_names(char **names, const char *value, struct fmt_error *error)
{
    size_t before = *names == NULL ? 0 : strlen(*names) + 1;
    size_t more = strlen(value) + 1;
    char *joined = realloc(*names, before + more);

    if (joined == NULL)
        return no_memory(error);
    if (before > 0)
        joined[before - 1] = ',';
    memcpy(joined + before, value, more);
    *names = joined;
    return FMT_OK;
}

enum fmt_rc fmt_jsonl_set_option(void *own, const char *name, const char *value,
                                 struct fmt_error *error)
{
    static const char *const policies[] = {"error", "nan", NULL};
    struct fmt_jsonl_options *o = own;

    if (strcasecmp(name, "missing") == 0)
        return fmt_option_word(name, value, policies, &o->missing_is_nan, error);
    for (unsigned k = 0; k < JSONL_KINDS; k++)
        if (strcasecmp(name, PARAMETERS[k]) == 0)
            return add_names(&o->names[k], value, error);
    return FMT_E_ARGUMENT;
}

void fmt_jsonl_options_clear(void *own)
{
    struct fmt_jsonl_options *o = own;

    for (unsigned k = 0; k < JSONL_KINDS; k++)
        free(o->names[k]);
    free(o->text);
    free(o->nodes);
    free(o->table);
    free(o->targets);
    free(o->slot_targets);
}

/* ---- the tree ---- */

struct build {
    struct fmt_jsonl_options *options;
    char *text; /* where the next name goes */
    struct fmt_error *error;
};

/* The name as an index of an array: digits, no zero in front. */
static uint32_t index_of(const char *name, size_t len)
{
    uint32_t index = 0;

    if (len == 0 || len > 9 || (len > 1 && name[0] == '0'))
        return JSONL_NONE;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return JSONL_NONE;
        index = index * 10 + (uint32_t)(name[i] - '0');
    }
    return index;
}

/* The child of `parent` by that name, made if there is none. */
static uint32_t child_of(struct build *b, uint32_t parent, const char *name, size_t len)
{
    struct fmt_jsonl_options *o = b->options;
    uint32_t *link = &o->nodes[parent].child;

    for (; *link != JSONL_NONE; link = &o->nodes[*link].sibling)
        if (o->nodes[*link].name_bytes == len && memcmp(o->nodes[*link].name, name, len) == 0)
            return *link;
    *link = o->node_count++;
    o->nodes[*link] = (struct jsonl_node){.name = name,
                                          .name_bytes = len,
                                          .parent = parent,
                                          .index = index_of(name, len),
                                          .slot = JSONL_NONE,
                                          .child = JSONL_NONE,
                                          .sibling = JSONL_NONE};
    return *link;
}

/* Copies one name of a path out of it: RFC 6901's escapes in pointers, none in dotted paths.
 * Returns what is behind it. */
static const char *copy_name(struct build *b, const char *path, const char *end, bool pointer,
                             size_t *len)
{
    char *out = b->text;

    for (; path < end && *path != (pointer ? '/' : '.'); path++) {
        bool escape = pointer && *path == '~' && path + 1 < end;

        if (escape)
            path++;
        *out++ = escape && *path == '1' ? '/' : escape && *path == '0' ? '~' : *path;
    }
    *len = (size_t)(out - b->text);
    *out = '\0';
    b->text = out + 1;
    return path;
}

/* Leads the path [path, end) to a slot. */
static enum fmt_rc add_path(struct build *b, const char *path, const char *end, uint32_t slot)
{
    struct fmt_jsonl_options *o = b->options;
    bool pointer = *path == '/';
    const char *p = pointer ? path + 1 : path;
    uint32_t node = 0;

    for (unsigned depth = 0;; depth++) {
        const char *name = b->text;
        size_t len;

        if (depth == PATH_MAX_NAMES)
            return fmt_refuse(b->error, "content type: '%.*s' is more than %d names deep",
                              (int)(end - path < 80 ? end - path : 80), path, PATH_MAX_NAMES);
        p = copy_name(b, p, end, pointer, &len);
        node = child_of(b, node, name, len);
        if (o->nodes[node].slot != JSONL_NONE)
            break;
        if (p == end)
            break;
        p++;
    }
    if (o->nodes[node].slot != JSONL_NONE || o->nodes[node].child != JSONL_NONE)
        return fmt_refuse(b->error,
                          "content type: '%.*s' is named twice, or lies in another that is named",
                          (int)(end - path < 80 ? end - path : 80), path);
    o->nodes[node].slot = slot;
    return FMT_OK;
}

static struct jsonl_target *add_target(struct build *b, enum jsonl_kind kind, const char *name)
{
    struct fmt_jsonl_options *o = b->options;
    struct jsonl_target *target = &o->targets[o->target_count++];

    *target = (struct jsonl_target){.kind = kind, .name = name, .slot = o->slot_count, .slots = 1};
    o->slot_count++;
    return target;
}

/* The names in one parameter's list. */
static enum fmt_rc add_list(struct build *b, enum jsonl_kind kind, const char *list)
{
    for (const char *p = list;; p++) {
        const char *end = strchrnul(p, ',');
        size_t len = (size_t)(end - p);
        char *name = b->text;

        if (len == 0)
            return fmt_refuse(b->error, "content type: %s has an empty name", PARAMETERS[kind]);
        memcpy(name, p, len);
        name[len] = '\0';
        b->text += len + 1;
        enum fmt_rc rc = add_path(b, p, end, add_target(b, kind, name)->slot);

        if (rc != FMT_OK || *end == '\0')
            return rc;
        p = end;
    }
}

/* A target that is there only if the first record has it. */
static enum fmt_rc add_default(struct build *b, enum jsonl_kind kind, const char *const *paths,
                               uint32_t count)
{
    struct jsonl_target *target = add_target(b, kind, paths[0]);
    enum fmt_rc rc = FMT_OK;

    target->optional = true;
    target->slots = count;
    b->options->slot_count += count - 1;
    for (uint32_t i = 0; i < count && rc == FMT_OK; i++)
        rc = add_path(b, paths[i], paths[i] + strlen(paths[i]), target->slot + i);
    return rc;
}

/* Whether a default's path is free: a name in it may be given to something else. */
static bool is_named(const struct fmt_jsonl_options *o, const char *name)
{
    for (uint32_t i = o->nodes[0].child; i != JSONL_NONE; i = o->nodes[i].sibling)
        if (strcmp(o->nodes[i].name, name) == 0)
            return true;
    return false;
}

static enum fmt_rc build_tree(struct build *b)
{
    struct fmt_jsonl_options *o = b->options;
    enum fmt_rc rc = FMT_OK;

    o->nodes[0] = (struct jsonl_node){.name = "",
                                      .index = JSONL_NONE,
                                      .slot = JSONL_NONE,
                                      .child = JSONL_NONE,
                                      .sibling = JSONL_NONE};
    o->node_count = 1;
    o->root_slot = JSONL_NONE;
    for (unsigned k = 0; k < JSONL_KINDS && rc == FMT_OK; k++)
        if (o->names[k] != NULL && o->names[k][0] != '\0')
            rc = add_list(b, (enum jsonl_kind)k, o->names[k]);
    if (rc == FMT_OK && o->names[JSONL_LABEL] == NULL && !is_named(o, "label"))
        rc = add_default(b, JSONL_LABEL, DEFAULT_LABEL, 1);
    if (rc == FMT_OK && o->names[JSONL_FEATURE] == NULL && !is_named(o, "features")) {
        rc = add_default(b, JSONL_FEATURE, DEFAULT_FEATURES, is_named(o, "data") ? 1 : 2);
        /* An array for a line is the features themselves, unless its elements have names. */
        o->root_slot = o->slot_count++;
        o->targets[o->target_count - 1].slots++;
    }
    return rc;
}

/* Nodes by name, a table at most half full. */
static bool build_table(struct fmt_jsonl_options *o)
{
    uint32_t size = 4;

    while (size < 2 * o->node_count)
        size *= 2;
    o->table = calloc(size, sizeof(*o->table));
    if (o->table == NULL)
        return false;
    o->slot_targets = calloc(o->slot_count + 1, sizeof(*o->slot_targets));
    if (o->slot_targets == NULL)
        return false;
    for (uint32_t i = 0; i < o->target_count; i++)
        for (uint32_t k = 0; k < o->targets[i].slots; k++)
            o->slot_targets[o->targets[i].slot + k] = i;
    o->table_mask = size - 1;
    o->plain_names = true;
    for (uint32_t i = 1; i < o->node_count; i++) {
        struct jsonl_node *node = &o->nodes[i];
        const uint8_t *name = (const uint8_t *)node->name;

        node->key = fmt_jsonl_key(name, node->name_bytes);
        uint32_t at = fmt_jsonl_hash(node->parent, node->key, node->name_bytes) & o->table_mask;

        while (o->table[at] != 0)
            at = (at + 1) & o->table_mask;
        o->table[at] = i;
        o->plain_names &= fmt_json_plain(name, node->name_bytes) == node->name_bytes;
    }
    return true;
}

/* Upper bounds of what the lists hold; the defaults are fewer than DEFAULTS_MAX. */
enum { DEFAULTS_MAX = 8, DEFAULT_TEXT_BYTES = 64 };

enum fmt_rc fmt_jsonl_check_options(void *own, struct fmt_error *error)
{
    struct fmt_jsonl_options *o = own;
    size_t names = DEFAULTS_MAX;
    size_t parts = DEFAULTS_MAX;
    size_t bytes = DEFAULT_TEXT_BYTES;

    for (unsigned k = 0; k < JSONL_KINDS; k++) {
        const char *list = o->names[k] == NULL ? "" : o->names[k];

        for (const char *c = list; *c != '\0'; c++) {
            names += *c == ',';
            parts += *c == ',' || *c == '.' || *c == '/';
        }
        bytes += 2 * strlen(list) + 4;
    }
    o->text = malloc(bytes + parts);
    o->nodes = calloc(parts + 1, sizeof(*o->nodes));
    o->targets = calloc(names, sizeof(*o->targets));
    if (o->text == NULL || o->nodes == NULL || o->targets == NULL)
        return no_memory(error);
    struct build b = {.options = o, .text = o->text, .error = error};
    enum fmt_rc rc = build_tree(&b);

    if (rc != FMT_OK)
        return rc;
    if (!build_table(o))
        return no_memory(error);
    if (o->names[JSONL_WEIGHT] != NULL && strchr(o->names[JSONL_WEIGHT], ',') != NULL)
        return fmt_refuse(error, "content type: weight is one name, not '%.80s'",
                          o->names[JSONL_WEIGHT]);
    return FMT_OK;
}
