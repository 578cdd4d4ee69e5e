/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_walk.c - a record parsed in place: no allocation, no copy but that of the values.
 *
 * It takes every encoding that is known from writers: fields in any order, unknown fields, packed
 * values in one or several pieces or not packed, repeated names. It refuses what is malformed and
 * what protobuf defines in ways not worth a second implementation (merging of repeated values,
 * several members of a oneof, NUL in names); fmt_record_unpack decides about those. Whatever it
 * accepts, fmt_record_unpack accepts with the same result: tests/fuzz/fuzz_record.c.
 */
#include <stdbool.h>
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

/* A tensor while its fields pass by; `map` takes the values. */
struct tensor {
    enum fmt_record_type type;
    struct fmt_record_map *map;
    uint32_t piece_count; /* of values */
    bool has_keys;
    bool has_shape;
    bool shape_overflows;
    uint64_t shape_product;
};

static uint64_t room(const struct fmt_record_map *map)
{
    return map->count < map->out_max ? map->out_max - map->count : 0;
}

static bool add_fixed(struct tensor *tensor, struct span values)
{
    struct fmt_record_map *map = tensor->map;
    size_t size = tensor->type == FMT_RECORD_F32 ? 4 : 8;
    size_t count = left(&values) / size;
    if (left(&values) % size != 0)
        return false;
    size_t taken = count < room(map) ? count : (size_t)room(map);
    float *out = taken > 0 ? map->out + map->count : NULL;
    if (tensor->type == FMT_RECORD_F32)
        fmt_convert_f32(values.at, taken, out);
    else
        fmt_convert_f64(values.at, taken, out);
    map->count += count;
    return true;
}

static bool add_varints(struct tensor *tensor, struct span values)
{
    struct fmt_record_map *map = tensor->map;
    size_t room_values = (size_t)room(map);
    size_t count;
    if (!fmt_convert_varints(values.at, left(&values),
                             room_values > 0 ? map->out + map->count : NULL, room_values, &count))
        return false;
    map->count += count;
    return true;
}

/* Field 1: a packed piece of values, or one value. */
static bool read_values(struct span *in, uint32_t wire, struct tensor *tensor)
{
    static const uint32_t UNPACKED_WIRE[] = {[FMT_RECORD_F32] = WIRE_32BIT,
                                             [FMT_RECORD_F64] = WIRE_64BIT,
                                             [FMT_RECORD_I32] = WIRE_VARINT};
    struct span values = *in;
    if (wire == WIRE_BYTES) {
        if (!read_bytes(in, &values))
            return false;
    } else {
        if (wire != UNPACKED_WIRE[tensor->type] || !skip_value(in, wire))
            return false;
        values.end = in->at;
    }
    if (values.at == values.end)
        return true;
    tensor->piece_count++;
    tensor->map->run = values.at;
    tensor->map->run_bytes = left(&values);
    return tensor->type == FMT_RECORD_I32 ? add_varints(tensor, values) : add_fixed(tensor, values);
}

static bool add_dimension(struct span *in, struct tensor *tensor)
{
    uint64_t size;
    if (!read_varint(in, VARINT_BYTES_MAX, &size))
        return false;
    tensor->has_shape = true;
    if (__builtin_mul_overflow(tensor->shape_product, size, &tensor->shape_product))
        tensor->shape_overflows = true;
    return true;
}

static bool read_shape(struct span *in, uint32_t wire, struct tensor *tensor)
{
    if (wire == WIRE_VARINT)
        return add_dimension(in, tensor);
    struct span sizes;
    if (wire != WIRE_BYTES || !read_bytes(in, &sizes))
        return false;
    while (sizes.at < sizes.end)
        if (!add_dimension(&sizes, tensor))
            return false;
    return true;
}

static bool read_keys(struct span *in, uint32_t wire, struct tensor *tensor)
{
    uint64_t key;
    struct span keys;
    if (wire == WIRE_VARINT) {
        tensor->has_keys = true;
        return read_varint(in, VARINT_BYTES_MAX, &key);
    }
    if (wire != WIRE_BYTES || !read_bytes(in, &keys))
        return false;
    while (keys.at < keys.end) {
        tensor->has_keys = true;
        if (!read_varint(&keys, VARINT_BYTES_MAX, &key))
            return false;
    }
    return true;
}

static enum fmt_record_problem check_tensor(const struct tensor *tensor)
{
    if (tensor->has_keys || (tensor->map->count == 0 && tensor->has_shape))
        return FMT_RECORD_SPARSE;
    if (tensor->has_shape &&
        (tensor->shape_overflows || tensor->shape_product != tensor->map->count))
        return FMT_RECORD_SHAPE;
    return FMT_RECORD_GOOD;
}

static bool walk_tensor(struct span in, enum fmt_record_type type, struct fmt_record_map *map)
{
    struct tensor tensor = {.type = type, .map = map, .shape_product = 1};
    while (in.at < in.end) {
        struct field field;
        if (!read_field(&in, &field))
            return false;
        bool good;
        if (field.number == 1)
            good = read_values(&in, field.wire, &tensor);
        else if (field.number == 2)
            good = read_keys(&in, field.wire, &tensor);
        else if (field.number == 3)
            good = read_shape(&in, field.wire, &tensor);
        else
            good = skip_value(&in, field.wire);
        if (!good)
            return false;
    }
    map->type = type;
    if (tensor.piece_count != 1)
        map->run = NULL;
    map->problem = check_tensor(&tensor);
    return true;
}

/* --- the messages around them --------------------------------------------------------------------
 */

/* Reads a message of which at most the fields 1 and 2 are known, both of wire type bytes. */
static bool walk_bytes(struct span in)
{
    while (in.at < in.end) {
        struct field field;
        if (!read_field(&in, &field) || (field.number <= 2 && field.wire != WIRE_BYTES) ||
            !skip_value(&in, field.wire))
            return false;
    }
    return true;
}

/* Value: a oneof of three tensors and Bytes. */
static bool walk_value(struct span in, struct fmt_record_map *map)
{
    map->problem = FMT_RECORD_NO_TENSOR;
    map->count = 0;
    map->run = NULL;
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
        return walk_tensor(member, FMT_RECORD_F32, map);
    if (number == 3)
        return walk_tensor(member, FMT_RECORD_F64, map);
    if (number == 7)
        return walk_tensor(member, FMT_RECORD_I32, map);
    if (number == 9) {
        map->problem = FMT_RECORD_BYTES;
        return walk_bytes(member);
    }
    return true;
}

/* The entry of a map that counts, while its entries pass by. */
struct choice {
    struct span first_name;
    struct span value;
    bool found;
    bool is_values; /* found under the name "values" */
    bool several;   /* names */
};

static bool name_is(const struct span *name, const void *other, size_t other_bytes)
{
    return left(name) == other_bytes &&
           (other_bytes == 0 || memcmp(name->at, other, other_bytes) == 0);
}

static bool choose(struct choice *choice, struct span name, struct span value)
{
    struct span discarded = choice->value;
    bool is_values = left(&name) == 6 && memcmp(name.at, "values", 6) == 0;
    if (!is_values && name.at < name.end && memchr(name.at, '\0', left(&name)) != NULL)
        return false;
    bool taken = is_values || !choice->is_values;
    if (choice->found) {
        if (!name_is(&name, choice->first_name.at, left(&choice->first_name)))
            choice->several = true;
        if (!taken)
            discarded = value;
        struct fmt_record_map ignored = {0};
        if (!walk_value(discarded, &ignored))
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

/* One entry of a map<string, Value>. */
static bool walk_entry(struct span in, struct choice *choice)
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
    return choose(choice, name, value);
}

static bool walk_choice(const struct choice *choice, struct fmt_record_map *map)
{
    if (choice->found && (choice->is_values || !choice->several))
        return walk_value(choice->value, map);
    map->problem = choice->found ? FMT_RECORD_AMBIGUOUS : FMT_RECORD_ABSENT;
    map->count = 0;
    map->run = NULL;
    struct fmt_record_map ignored = {0};
    return walk_value(choice->value, &ignored);
}

enum fmt_record_verdict fmt_record_walk(const uint8_t *body, size_t len, struct fmt_record *record)
{
    struct span in = {body, body + len};
    struct choice features = {0};
    struct choice labels = {0};
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
        if (!read_bytes(&in, &entry) || !walk_entry(entry, field.number == 1 ? &features : &labels))
            return FMT_RECORD_REFUSED;
    }
    if (!walk_choice(&features, &record->features) || !walk_choice(&labels, &record->labels))
        return FMT_RECORD_REFUSED;
    return FMT_RECORD_PARSED;
}
