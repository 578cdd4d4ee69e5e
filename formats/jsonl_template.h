/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_template.h - the layout of a line, as jsonl_study.c finds it and jsonl_template.c
 * follows it: what stands between the values, byte for byte, and what is to be made of each value.
 *
 * Owner: a decoder. Threads: its own.
 */
#ifndef FORMATS_JSONL_TEMPLATE_H
#define FORMATS_JSONL_TEMPLATE_H

#include "formats/jsonl.h"

/* Behind the last literal, so that eight bytes can be loaded at any. */
#define LITERAL_SPARE 8

enum step_kind {
    STEP_SKIP,    /* any value */
    STEP_SCALAR,  /* any but an array or object, in which something might be named */
    STEP_NUMBERS, /* `count` numbers with commas between them */
    STEP_VALUES,  /* any number of them: values of a sparse row */
    STEP_KEYS,    /* and their keys */
    STEP_TEXT,    /* any value, kept in a slot */
    STEP_END,     /* the line's end */
};

struct step {
    enum step_kind kind;
    uint32_t literal_bytes; /* in front of the value */
    size_t literal_at;
    uint32_t target; /* of numbers */
    uint32_t first;  /* of the target's numbers */
    uint32_t count;
    uint32_t slot; /* of a text */
};

struct jsonl_template {
    const struct fmt_jsonl_options *options;
    struct step *steps; /* STEP_END is the last; none: there is no template */
    uint32_t step_count;
    uint32_t step_room;
    uint8_t *bytes; /* the literals, one behind the other */
    size_t byte_count;
    size_t byte_room;
    uint8_t *seen;     /* by node: it has been met in the line that is being learnt */
    uint32_t *missing; /* targets that the line lacks */
    uint32_t missing_count;
};

#endif
