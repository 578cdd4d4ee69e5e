/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_schema.c - see parquet_schema.h.
 *
 * The schema is a tree, listed parents first; what a type means is told by converted_type, by
 * logicalType since format 2.4, or by both, which then agree.
 */
#include "formats/parquet_schema.h"

/* Fields of SchemaElement, and of the logical types that matter. */
enum {
    ELEMENT_TYPE = 1,
    ELEMENT_TYPE_LENGTH = 2,
    ELEMENT_REPETITION = 3,
    ELEMENT_NAME = 4,
    ELEMENT_CHILDREN = 5,
    ELEMENT_CONVERTED = 6,
    ELEMENT_SCALE = 7,
    ELEMENT_LOGICAL = 10,
};
enum { LOGICAL_DECIMAL = 5, LOGICAL_INTEGER = 10, LOGICAL_FLOAT16 = 15 };
enum { DECIMAL_SCALE = 1, INTEGER_SIGNED = 2 };
enum { CONVERTED_DECIMAL = 5, CONVERTED_UINT_32 = 13, CONVERTED_UINT_64 = 14 };
enum { REQUIRED, OPTIONAL, REPEATED };
enum { SCALE_MAX = 38, DECIMAL_BYTES_MAX = 16 };

/* A node of the tree, as it is written. */
struct element {
    int64_t type; /* -1: an inner node */
    int64_t type_length;
    int64_t repetition;
    int64_t children;
    int64_t scale;
    struct fmt_thrift_bytes name;
    bool decimal;
    bool is_unsigned;
    bool float16;
};

/* Where in the tree the next element is. */
struct place {
    uint64_t top_left;    /* elements still to come at the top level */
    uint64_t nested_left; /* and below it */
    struct fmt_thrift_bytes top_name;
};

static void read_logical(struct fmt_thrift *reader, struct element *element)
{
    struct fmt_thrift_field field = {.id = 0};

    while (fmt_thrift_next(reader, &field)) {
        struct fmt_thrift_field inner = {.id = 0};
        int32_t kind = field.id;

        element->decimal |= kind == LOGICAL_DECIMAL;
        element->float16 |= kind == LOGICAL_FLOAT16;
        if (!fmt_thrift_struct(reader, &field))
            return;
        while (fmt_thrift_next(reader, &inner)) {
            if (kind == LOGICAL_DECIMAL && inner.id == DECIMAL_SCALE)
                element->scale = fmt_thrift_int(reader, &inner);
            else if (kind == LOGICAL_INTEGER && inner.id == INTEGER_SIGNED)
                element->is_unsigned |= !fmt_thrift_bool(reader, &inner);
            else
                fmt_thrift_skip(reader, &inner);
        }
    }
}

static void read_element(struct fmt_thrift *reader, struct element *element)
{
    struct fmt_thrift_field field = {.id = 0};

    *element = (struct element){.type = -1, .repetition = REQUIRED, .name = {.bytes = reader->at}};
    while (fmt_thrift_next(reader, &field)) {
        if (field.id == ELEMENT_TYPE) {
            element->type = fmt_thrift_int(reader, &field);
        } else if (field.id == ELEMENT_TYPE_LENGTH) {
            element->type_length = fmt_thrift_int(reader, &field);
        } else if (field.id == ELEMENT_REPETITION) {
            element->repetition = fmt_thrift_int(reader, &field);
        } else if (field.id == ELEMENT_NAME) {
            element->name = fmt_thrift_binary(reader, &field);
        } else if (field.id == ELEMENT_CHILDREN) {
            element->children = fmt_thrift_int(reader, &field);
        } else if (field.id == ELEMENT_CONVERTED) {
            int64_t converted = fmt_thrift_int(reader, &field);

            element->decimal |= converted == CONVERTED_DECIMAL;
            element->is_unsigned |=
                converted == CONVERTED_UINT_32 || converted == CONVERTED_UINT_64;
        } else if (field.id == ELEMENT_SCALE) {
            element->scale = fmt_thrift_int(reader, &field);
        } else if (field.id == ELEMENT_LOGICAL && fmt_thrift_struct(reader, &field)) {
            read_logical(reader, element);
        } else {
            fmt_thrift_skip(reader, &field);
        }
    }
}

static const char *choose_fixed(const struct element *element, struct fmt_pq_leaf *leaf)
{
    if (element->type_length < 1 || element->type_length > INT32_MAX)
        return "its values have no length";
    leaf->value_bytes = (uint32_t)element->type_length;
    if (element->float16) {
        leaf->kind = FMT_PQ_F16;
        return leaf->value_bytes == 2 ? NULL : "its values are float16, but not 2 bytes long";
    }
    leaf->kind = element->decimal ? FMT_PQ_DECIMAL_BYTES : FMT_PQ_TEXT;
    if (element->decimal && leaf->value_bytes > DECIMAL_BYTES_MAX)
        return "decimals of more than 16 bytes cannot be read here";
    return NULL;
}

/* Sets kind and value_bytes. Returns why the column cannot be read, or NULL. */
static const char *choose_kind(const struct element *element, struct fmt_pq_leaf *leaf)
{
    if (element->decimal && (element->scale < 0 || element->scale > SCALE_MAX))
        return "its decimals have a scale that is not from 0 to 38";
    leaf->scale = (uint32_t)element->scale;
    switch (leaf->type) {
    case FMT_PQ_BOOLEAN:
        leaf->kind = FMT_PQ_FLAG;
        return NULL;
    case FMT_PQ_INT32:
        leaf->value_bytes = 4;
        leaf->kind = element->decimal       ? FMT_PQ_DECIMAL32
                     : element->is_unsigned ? FMT_PQ_U32
                                            : FMT_PQ_I32;
        return NULL;
    case FMT_PQ_INT64:
        leaf->value_bytes = 8;
        leaf->kind = element->decimal       ? FMT_PQ_DECIMAL64
                     : element->is_unsigned ? FMT_PQ_U64
                                            : FMT_PQ_I64;
        return NULL;
    case FMT_PQ_INT96:
        leaf->value_bytes = 12;
        leaf->kind = FMT_PQ_TIME96;
        return NULL;
    case FMT_PQ_FLOAT:
        leaf->value_bytes = 4;
        leaf->kind = FMT_PQ_F32;
        return NULL;
    case FMT_PQ_DOUBLE:
        leaf->value_bytes = 8;
        leaf->kind = FMT_PQ_F64;
        return NULL;
    case FMT_PQ_BYTE_ARRAY:
        leaf->kind = FMT_PQ_TEXT;
        return element->decimal ? "decimals of varying length cannot be read here" : NULL;
    case FMT_PQ_FIXED:
        return choose_fixed(element, leaf);
    case FMT_PQ_TYPES:
        break;
    }
    return "its type does not exist";
}

static void add_leaf(struct fmt_pq_file *file, const struct element *element, bool nested,
                     struct fmt_thrift_bytes name)
{
    struct fmt_pq_leaf *leaf = &file->leaves[file->leaf_count++];

    *leaf = (struct fmt_pq_leaf){.name = name,
                                 .type = element->type >= 0 && element->type < FMT_PQ_TYPES
                                             ? (enum fmt_pq_type)element->type
                                             : FMT_PQ_TYPES,
                                 .optional = element->repetition == OPTIONAL};
    leaf->refusal = choose_kind(element, leaf);
    if (nested || element->repetition == REPEATED)
        leaf->refusal = "it is nested or repeated, and only plain columns can be read here";
    else if (element->repetition != REQUIRED && element->repetition != OPTIONAL)
        leaf->refusal = "it is neither required nor optional";
}

/* Adds an element to the tree. Returns the cause of an error, or NULL. */
static const char *add_element(struct fmt_pq_file *file, struct place *place,
                               const struct element *element)
{
    bool nested = place->nested_left > 0;

    if (!nested && place->top_left == 0)
        return "more columns than its root has";
    if (nested)
        place->nested_left--;
    else
        place->top_left--;
    if (!nested)
        place->top_name = element->name;
    if (element->type >= 0)
        add_leaf(file, element, nested, place->top_name);
    else if (element->children <= 0 || element->children > INT32_MAX)
        return "a column with neither type nor columns in it";
    else
        place->nested_left += (uint64_t)element->children;
    return NULL;
}

enum fmt_rc fmt_pq_read_schema(struct fmt_pq_file *file, struct fmt_thrift *reader,
                               const struct fmt_thrift_field *field, struct fmt_pq_arena *arena,
                               struct fmt_error *error)
{
    size_t at = (size_t)(reader->at - file->bytes);
    uint32_t count = fmt_thrift_structs(reader, field);
    struct place place = {.top_left = 0};
    struct element element;
    const char *cause = count < 2 ? "no columns" : NULL;

    file->leaf_count = 0;
    file->leaves = fmt_pq_take(arena, count, sizeof *file->leaves);
    if (!file->leaves)
        return FMT_E_MEMORY;
    for (uint32_t i = 0; i < count && !cause && !reader->cause; i++) {
        at = (size_t)(reader->at - file->bytes);
        read_element(reader, &element);
        if (reader->cause)
            break;
        if (i > 0)
            cause = add_element(file, &place, &element);
        else
            place.top_left = element.children > 0 ? (uint64_t)element.children : 0;
    }
    if (!cause && (place.top_left > 0 || place.nested_left > 0))
        cause = "less columns than its root has";
    if (reader->cause || !cause)
        return FMT_OK;
    return fmt_fail(error, at, 0, "the footer's schema is corrupt: it has %s", cause);
}

const char *fmt_pq_type_name(enum fmt_pq_type type)
{
    static const char *const names[] = {"BOOLEAN", "INT32",  "INT64",      "INT96",
                                        "FLOAT",   "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};

    return type < FMT_PQ_TYPES ? names[type] : "of no known type";
}
