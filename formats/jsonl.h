/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl.h - what the files of the JSON Lines decoder share. The dialect:
 *
 *   - a line is a record: one object, or one array, whose elements go by their number as if that
 *     were their name. Lines end at LF or CRLF; white space alone is no record; an object of the
 *     store may start with a UTF-8 byte order mark;
 *   - RFC 8259 to the letter: no comments, no comma too many, no 01, no text but UTF-8, no half of
 *     a surrogate pair. Beyond it NaN, Infinity and -Infinity are numbers, as Python's json writes
 *     them, everywhere in a line. FMT_JSON_DEPTH_MAX arrays and objects may lie in each other;
 *   - the same name twice in an object: the last counts, for all that lies within;
 *   - members that the content type does not name are checked and passed over.
 *
 * How: the walk (jsonl_walk.c) captures where the values of the named members stand, by
 * formats/json.c, then converts them (jsonl_put.c). That is the reference. Two faster ways read a
 * line in one pass, and give the same row or give up: by a template, the layout of an earlier line
 * (jsonl_study.c, jsonl_template.c), or member by member (jsonl_direct.c).
 *
 * Owner: the caller. Threads: pure functions; a decoder belongs to one thread. Units: bytes.
 */
#ifndef FORMATS_JSONL_H
#define FORMATS_JSONL_H

#include "formats/json.h"

#define JSONL_NONE UINT32_MAX

/* Arrays within each other that are one member's numbers. */
#define JSONL_DIMENSIONS_MAX 8

enum jsonl_kind { JSONL_FEATURE, JSONL_LABEL, JSONL_WEIGHT, JSONL_TEXT };
enum { JSONL_KINDS = 4 };

/* A member that the content type, or a default, names. */
struct jsonl_target {
    enum jsonl_kind kind;
    bool optional;    /* by default: what the first record lacks, the channel has not */
    const char *name; /* for messages */
    uint32_t slot;    /* first of those places where it may stand, best first ... */
    uint32_t slots;   /* ... and their number */
    bool absent;      /* learnt: optional, and not in the first record */
    uint32_t dim;     /* learnt: numbers of a row; of sparse features columns, 0: not told */
    uint32_t column;  /* learnt: place of the first one in the row; of texts: which */
};

/* A name on the way to a target: the members of interest in an object form a tree. */
struct jsonl_node {
    const char *name;
    size_t name_bytes;
    uint64_t key; /* the name's first 8 bytes, the first one lowest */
    uint32_t parent;
    uint32_t index;   /* the name as an array's index, or JSONL_NONE */
    uint32_t slot;    /* of the value that stands here, or JSONL_NONE */
    uint32_t child;   /* first, or JSONL_NONE */
    uint32_t sibling; /* next, or JSONL_NONE */
};

struct fmt_jsonl_options {
    char *names[JSONL_KINDS]; /* as given; NULL: not given */
    uint32_t missing_is_nan;

    /* Built by check_options. */
    char *text; /* all names, without escapes, each with a NUL */
    struct jsonl_node *nodes;
    uint32_t node_count;
    uint32_t *table; /* nodes by fmt_jsonl_hash of parent and name, open addressing; 0: none */
    uint32_t table_mask;
    bool plain_names; /* all names are as a line writes them: without escapes */
    struct jsonl_target *targets;
    uint32_t target_count;
    uint32_t slot_count;
    uint32_t *slot_targets; /* whose each slot is */
    uint32_t root_slot;     /* of a line that is itself the features, or JSONL_NONE */

    /* Learnt from the first record. */
    bool sparse;
};

/* Where the row at hand goes. */
struct jsonl_row {
    float *features;
    float *labels;
    float *weight;
    uint32_t *entry_end;
    uint32_t *text_ends;
    struct fmt_entries *entries;
    struct fmt_texts *texts;
};

/* A line's values by slot, FMT_JSON_NONE where there is none. */
typedef struct fmt_json_value jsonl_slot;

struct fmt_decoder {
    const struct fmt_jsonl_options *options;
    struct fmt_shape shape;
    jsonl_slot *slots;
    uint8_t *seen; /* for fmt_jsonl_direct */
    struct jsonl_template *template;
    bool try_template;
    uint32_t misses;      /* of templates in a row */
    uint32_t pause_lines; /* so many go without before the next is learnt */
    bool walk_only;       /* for tests: the reference, and nothing else */
};

/* jsonl_options.c */
enum fmt_rc fmt_jsonl_set_option(void *own, const char *name, const char *value,
                                 struct fmt_error *error);
enum fmt_rc fmt_jsonl_check_options(void *own, struct fmt_error *error);
void fmt_jsonl_options_clear(void *own);

/* jsonl_cut.c: fmt_ops.cut. */
enum fmt_rc fmt_jsonl_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                          bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                          struct fmt_error *error);

/* Skips lines of white space. Returns the first byte of the next record's line, or end. */
const uint8_t *fmt_jsonl_skip_blank_lines(const uint8_t *p, const uint8_t *end);

/* jsonl_walk.c: checks the line [in, in + len) to its last byte and captures the slots' values.
 * Offsets in errors count from `in`. */
enum fmt_rc fmt_jsonl_walk(const struct fmt_jsonl_options *options, const uint8_t *in, size_t len,
                           jsonl_slot *slots, struct fmt_error *error);

/* The first bytes of a name, up to 8, the first one lowest. */
static inline uint64_t fmt_jsonl_key(const uint8_t *name, size_t len)
{
    uint64_t key = 0;

    for (size_t i = 0; i < 8 && i < len; i++)
        key |= (uint64_t)name[i] << (8 * i);
    return key;
}

/* Of a name within the object of node `parent`; names that are alike at their beginning are few. */
static inline uint32_t fmt_jsonl_hash(uint32_t parent, uint64_t key, size_t len)
{
    return (uint32_t)(((parent + len * 0x9e3779b97f4a7c15u) ^ key) * 0x9e3779b97f4a7c15u >> 32);
}

/* The child of node `parent` by a member's name, or for NULL by an element's number; JSONL_NONE if
 * it is of no interest. */
uint32_t fmt_jsonl_child(const struct fmt_jsonl_options *options, uint32_t parent,
                         const struct fmt_json_value *name, uint32_t index);

/* The value of a target, from the best of its slots. */
const jsonl_slot *fmt_jsonl_value(const struct jsonl_target *target, const jsonl_slot *slots);

/* jsonl_put.c: fits the targets and the shape to the slots of the first record. */
enum fmt_rc fmt_jsonl_fit(struct fmt_jsonl_options *options, const jsonl_slot *slots,
                          uint32_t feature_dim, struct fmt_shape *shape, struct fmt_error *error);

/* What that found, and the same once more from it: fmt_ops.learnt and .learn_again. */
size_t fmt_jsonl_fitted(const struct fmt_jsonl_options *options, uint32_t *words);
enum fmt_rc fmt_jsonl_fit_again(struct fmt_jsonl_options *options, const uint32_t *words,
                                size_t count, struct fmt_shape *shape, struct fmt_error *error);

/* Writes the slots to the row. FMT_E_FORMAT leaves nothing of it in entries and texts. */
enum fmt_rc fmt_jsonl_put(const struct fmt_jsonl_options *options, const jsonl_slot *slots,
                          const struct jsonl_row *row, struct fmt_error *error);

/* The texts alone, for the other numbers are there. */
enum fmt_rc fmt_jsonl_put_texts(const struct fmt_jsonl_options *options, const jsonl_slot *slots,
                                const struct jsonl_row *row, struct fmt_error *error);

/* Fills a target that a line lacks, where that is allowed. */
void fmt_jsonl_put_missing(const struct jsonl_target *target, const struct jsonl_row *row);

/* Members of what SageMaker calls a tensor: {"values": [..], "keys": [..], "shape": [..]}. */
struct jsonl_tensor {
    struct fmt_json_value values, keys, shape; /* FMT_JSON_NONE where there is none */
};

struct jsonl_tensor fmt_jsonl_tensor(const struct fmt_json_value *object);

/* Whether an array holds something. */
bool fmt_jsonl_is_filled(const struct fmt_json_value *array);

/* jsonl_study.c */
struct jsonl_template *fmt_jsonl_template_new(const struct fmt_jsonl_options *options);
void fmt_jsonl_template_free(struct jsonl_template *t);

/* Makes the template that of the line [in, in + len), which has been walked and put. A line that
 * none can be made of leaves it empty. */
void fmt_jsonl_template_learn(struct jsonl_template *t, const uint8_t *in, size_t len);

/* jsonl_template.c: reads the line at p by the template, numbers into the row, texts into slots.
 * Returns what is behind its line end; or NULL, with the row in any state, when the line is to be
 * walked. */
const uint8_t *fmt_jsonl_template_run(const struct jsonl_template *t, const uint8_t *p,
                                      const uint8_t *end, const struct jsonl_row *row,
                                      jsonl_slot *slots);

/* jsonl_direct.c: the same for a line of any layout, as long as it is plain: members in any order,
 * no array in another, no tensor, no escape in a name. `seen` has room for a byte for each node and
 * each target. */
const uint8_t *fmt_jsonl_direct(const struct fmt_jsonl_options *options, const uint8_t *p,
                                const uint8_t *end, const struct jsonl_row *row, jsonl_slot *slots,
                                uint8_t *seen);

#endif
