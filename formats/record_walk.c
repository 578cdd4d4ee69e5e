/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_walk.c - a record parsed in place: no allocation, no copy.
 *
 * It takes every encoding that is known from writers: fields in any order, unknown fields, repeated
 * names. It refuses what is malformed and what protobuf defines in ways not worth a second
 * implementation (values in several pieces, merging of repeated values, several members of a oneof,
 * NUL in names); fmt_record_unpack decides about those. Whatever it accepts, fmt_record_unpack
 * accepts with the same result, but for varints of more than 10 bytes among values and keys that
 * are wanted, which are left to fmt_record_numbers: tests/fuzz/fuzz_record.c.
 */
#include <string.h>

#include "formats/convert.h"
#include "formats/record.h"

/* Wire types, and protobuf's limits on the length of a varint. */
enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };
enum { TAG_BYTES_MAX = 4, LENGTH_BYTES_MAX = 5, VARINT_BYTES_MAX = 10 };

/* The bytes of a message, or of a field, that are yet to be read. at == NULL: there is none. */
struct span {
    const uint8_t *at;
    const uint8_t *end;
};

struct field {
    uint32_t number;
    uint32_t wire;
};

static size_t left(const struct span *in)
{
    return (size_t)(in->end - in->at);
}

static __attribute__((noinline)) bool read_varint(struct span *in, size_t len_max, uint64_t *value)
{
    uint64_t sum = 0;
    if (left(in) < len_max)
        len_max = left(in);
    for (size_t i = 0; i < len_max; i++) {
        sum |= (uint64_t)(in->at[i] & 0x7f) << (7 * i); /* bits beyond 64 are dropped */
        if (in->at[i] < 0x80) {
            in->at += i + 1;
            *value = sum;
            return true;
        }
    }
    return false;
}

/* Inlined: calls would keep the span in memory. */
static inline __attribute__((always_inline)) bool read_field(struct span *in, struct field *field)
{
    uint64_t tag = *in->at;
    if (tag < 0x80)
        in->at++;
    else if (!read_varint(in, TAG_BYTES_MAX, &tag))
        return false;
    *field = (struct field){(uint32_t)(tag >> 3), (uint32_t)(tag & 7)};
    return field->number != 0;
}

/* A length and as many bytes. Inlined: see read_field. */
static inline __attribute__((always_inline)) bool read_bytes(struct span *in, struct span *bytes)
{
    if (in->at == in->end)
        return false;
    uint64_t len_bytes = *in->at;
    if (len_bytes < 0x80)
        in->at++;
    else if (!read_varint(in, LENGTH_BYTES_MAX, &len_bytes))
        return false;
    if (len_bytes > left(in) || len_bytes > INT32_MAX)
        return false;
    *bytes = (struct span){in->at, in->at + len_bytes};
    in->at += len_bytes;
    return true;
}

static bool skip(struct span *in, size_t len_bytes)
{
    if (left(in) < len_bytes)
        return false;
    in->at += len_bytes;
    return true;
}

/* The value of a field that nobody asks for. Groups (wire types 3 and 4) are malformed. */
static bool skip_value(struct span *in, uint32_t wire)
{
    struct span bytes;
    uint64_t value;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(in, VARINT_BYTES_MAX, &value);
    case WIRE_64BIT:
        return skip(in, 8);
    case WIRE_BYTES:
        return read_bytes(in, &bytes);
    case WIRE_32BIT:
        return skip(in, 4);
    default:
        return false;
    }
}

/* --- tensors -------------------------------------------------------------------------------------
 */

/* Field 1 or 2 of a tensor: one packed piece, or one number. Empty pieces count for nothing. */
static bool read_piece(struct span *in, uint32_t wire, uint32_t unpacked_wire,
                       const uint8_t **piece, size_t *piece_bytes)
{
    struct span found = *in;
    if (wire == WIRE_BYTES) {
        if (!read_bytes(in, &found))
            return false;
    } else {
        if (wire != unpacked_wire || !skip_value(in, wire))
            return false;
        found.end = in->at;
    }
    if (found.at == found.end)
        return true;
    if (*piece_bytes > 0)
        return false;
    *piece = found.at;
    *piece_bytes = left(&found);
    return true;
}

/* The numbers of one dimension or several. */
static bool add_dimensions(struct span *in, bool *overflows, uint64_t *product)
{
    while (in->at < in->end) {
        uint64_t size;
        if (!read_varint(in, VARINT_BYTES_MAX, &size))
            return false;
        if (__builtin_mul_overflow(*product, size, product))
            *overflows = true;
    }
    return true;
}

static bool read_shape(struct span *in, uint32_t wire, bool *overflows,
                       struct fmt_record_value *value)
{
    struct span sizes = *in;
    if (wire == WIRE_BYTES) {
        if (!read_bytes(in, &sizes))
            return false;
    } else {
        if (wire != WIRE_VARINT || !skip_value(in, wire))
            return false;
        sizes.end = in->at;
    }
    if (sizes.at < sizes.end)
        value->has_shape = true;
    return add_dimensions(&sizes, overflows, &value->shape_product);
}

/* How many numbers the pieces hold; false when one of them does not end. */
static bool count_numbers(struct fmt_record_value *value)
{
    size_t size = value->type == FMT_RECORD_F32 ? 4 : 8;
    if (value->keys_bytes > 0) {
        if (value->keys[value->keys_bytes - 1] >= 0x80)
            return false;
        value->key_count = fmt_count_varints(value->keys, value->keys_bytes);
    }
    if (value->values_bytes == 0)
        return true;
    if (value->type != FMT_RECORD_I32) {
        value->value_count = value->values_bytes / size;
        return value->values_bytes % size == 0;
    }
    value->value_count = fmt_count_varints(value->values, value->values_bytes);
    return value->values[value->values_bytes - 1] < 0x80;
}

static bool walk_tensor(struct span in, enum fmt_record_type type, struct fmt_record_value *value)
{
    static const uint32_t UNPACKED_WIRE[] = {[FMT_RECORD_F32] = WIRE_32BIT,
                                             [FMT_RECORD_F64] = WIRE_64BIT,
                                             [FMT_RECORD_I32] = WIRE_VARINT};
    bool overflows = false;
    value->kind = FMT_RECORD_TENSOR;
    value->type = type;
    value->is_wire = true;
    value->shape_product = 1;
    while (in.at < in.end) {
        struct field field;
        if (!read_field(&in, &field))
            return false;
        bool good;
        if (field.number == 1)
            good = read_piece(&in, field.wire, UNPACKED_WIRE[type], &value->values,
                              &value->values_bytes);
        else if (field.number == 2)
            good = read_piece(&in, field.wire, WIRE_VARINT, &value->keys, &value->keys_bytes);
        else if (field.number == 3)
            good = read_shape(&in, field.wire, &overflows, value);
        else
            good = skip_value(&in, field.wire);
        if (!good)
            return false;
    }
    if (overflows)
        value->shape_product = UINT64_MAX;
    return count_numbers(value);
}

/* --- the messages around them --------------------------------------------------------------------
 */

static bool walk_bytes(struct span in, struct fmt_record_value *value)
{
    value->kind = FMT_RECORD_BYTES;
    while (in.at < in.end) {
        struct field field;
        struct span bytes;
        if (!read_field(&in, &field) || (field.number <= 2 && field.wire != WIRE_BYTES))
            return false;
        if (field.number != 1) {
            if (!skip_value(&in, field.wire))
                return false;
            continue;
        }
        if (!read_bytes(&in, &bytes))
            return false;
        value->values = bytes.at;
        value->values_bytes = left(&bytes);
        value->value_count++;
    }
    return true;
}

/* Value: a oneof of three tensors and Bytes. */
static bool walk_value(struct span in, struct fmt_record_value *value)
{
    *value = (struct fmt_record_value){.kind = FMT_RECORD_EMPTY};
    struct span member = {0};
    uint32_t number = 0;
    while (in.at < in.end) {
        struct field field;
        if (!read_field(&in, &field))
            return false;
        if (field.number != 2 && field.number != 3 && field.number != 7 && field.number != 9) {
            if (!skip_value(&in, field.wire))
                return false;
            continue;
        }
        if (number != 0 || field.wire != WIRE_BYTES || !read_bytes(&in, &member))
            return false;
        number = field.number;
    }
    if (number == 2)
        return walk_tensor(member, FMT_RECORD_F32, value);
    if (number == 3)
        return walk_tensor(member, FMT_RECORD_F64, value);
    if (number == 7)
        return walk_tensor(member, FMT_RECORD_I32, value);
    return number == 0 || walk_bytes(member, value);
}

/* A value that nobody wants: it must be well-formed all the same, varints included. */
static bool check_value(struct span in)
{
    struct fmt_record_value value;
    if (!walk_value(in, &value))
        return false;
    if (value.kind != FMT_RECORD_TENSOR)
        return true;
    return (value.type != FMT_RECORD_I32 || fmt_check_varints(value.values, value.values_bytes)) &&
           fmt_check_varints(value.keys, value.keys_bytes);
}

/* The entry for a wanted value, while a map's entries pass by. */
struct choice {
    struct span first_name;
    struct span value;
    bool found;
    bool is_values; /* found under the name "values" */
    bool several;   /* names */
};

struct walk {
    const struct fmt_record_query *query;
    struct choice choices[FMT_RECORD_WANTED_MAX];
};

/* Names are short: memcmp would take longer to call than to compare. */
static inline bool name_is(const struct span *name, const void *other, size_t other_bytes)
{
    const char *bytes = other;
    if (left(name) != other_bytes)
        return false;
    for (size_t i = 0; i < other_bytes; i++)
        if (name->at[i] != (uint8_t)bytes[i])
            return false;
    return true;
}

/* An entry for what is wanted without a name. */
static bool choose(struct choice *choice, struct span name, bool is_values, struct span value)
{
    bool taken = is_values || !choice->is_values;
    if (choice->found) {
        if (!name_is(&name, choice->first_name.at, left(&choice->first_name)))
            choice->several = true;
        if (!check_value(taken ? choice->value : value))
            return false;
    } else {
        choice->first_name = name;
    }
    if (taken) {
        choice->value = value;
        choice->is_values = is_values;
    }
    choice->found = true;
    return true;
}

static bool offer(struct walk *walk, bool is_label, struct span name, struct span value)
{
    struct choice *nameless = NULL;
    for (uint32_t i = 0; i < walk->query->count; i++) {
        const struct fmt_record_wanted *wanted = &walk->query->wanted[i];
        struct choice *choice = &walk->choices[i];
        if (wanted->is_label != is_label)
            continue;
        if (wanted->name == NULL) {
            nameless = choice;
        } else if (name_is(&name, wanted->name, wanted->name_bytes)) {
            bool good = !choice->found || check_value(choice->value);
            choice->found = true;
            choice->value = value;
            return good;
        }
    }
    bool is_values = left(&name) == 6 && memcmp(name.at, "values", 6) == 0;
    if (!is_values && name.at < name.end && memchr(name.at, '\0', left(&name)) != NULL)
        return false;
    return nameless != NULL ? choose(nameless, name, is_values, value) : check_value(value);
}

/* One entry of a map<string, Value>. */
static bool walk_entry(struct walk *walk, bool is_label, struct span in)
{
    struct span name = {in.at, in.at}; /* a name that is missing is empty, and so is a value */
    struct span value = {0};
    while (in.at < in.end) {
        struct field field;
        if (!read_field(&in, &field))
            return false;
        bool good;
        if (field.number == 1)
            good = field.wire == WIRE_BYTES && read_bytes(&in, &name);
        else if (field.number == 2)
            good = field.wire == WIRE_BYTES && value.at == NULL && read_bytes(&in, &value);
        else
            good = skip_value(&in, field.wire);
        if (!good)
            return false;
    }
    return offer(walk, is_label, name, value);
}

static bool walk_choice(const struct choice *choice, bool is_named, struct fmt_record_value *value)
{
    if (choice->found && (is_named || choice->is_values || !choice->several))
        return walk_value(choice->value, value);
    *value =
        (struct fmt_record_value){.kind = choice->found ? FMT_RECORD_AMBIGUOUS : FMT_RECORD_ABSENT};
    return check_value(choice->value);
}

enum fmt_record_verdict fmt_record_walk(const uint8_t *body, size_t len,
                                        const struct fmt_record_query *query,
                                        struct fmt_record_value *values)
{
    struct span in = {body, body + len};
    struct walk walk; /* large: only what is used is initialized */
    walk.query = query;
    memset(walk.choices, 0, query->count * sizeof(walk.choices[0]));
    while (in.at < in.end) {
        struct field field;
        struct span entry;
        if (!read_field(&in, &field))
            return FMT_RECORD_REFUSED;
        /* fields 3 to 5 (uid, metadata, configuration) are strings */
        if (field.number <= 5 && field.wire != WIRE_BYTES)
            return FMT_RECORD_REFUSED;
        if (field.number > 2) {
            if (!skip_value(&in, field.wire))
                return FMT_RECORD_REFUSED;
            continue;
        }
        if (!read_bytes(&in, &entry) || !walk_entry(&walk, field.number == 2, entry))
            return FMT_RECORD_REFUSED;
    }
    for (uint32_t i = 0; i < query->count; i++)
        if (!walk_choice(&walk.choices[i], query->wanted[i].name != NULL, &values[i]))
            return FMT_RECORD_REFUSED;
    return FMT_RECORD_PARSED;
}
