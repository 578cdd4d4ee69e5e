/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_unpack.c - a record through protobuf-c: every legal encoding, at the price of a
 * dozen allocations. The path for what the walker refuses, and the reference it is tested against:
 * kept plain. Where a tensor is given twice in one map entry, which no writer does, protobuf-c
 * keeps the last one; Google's libraries would join their values.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/record.h"
#include "record.pb-c.h"

typedef Aialgs__Data__Record record_message;
typedef Aialgs__Data__Value value_message;
typedef Aialgs__Data__Float32Tensor float32_message;
typedef Aialgs__Data__Float64Tensor float64_message;
typedef Aialgs__Data__Int32Tensor int32_message;
typedef Aialgs__Data__Bytes bytes_message;

/* One of the record's maps. protobuf-c has a type of entry for each, with the same members. */
struct map {
    const record_message *message;
    bool is_label;
    size_t count;
};

static struct map map_of(const record_message *message, bool is_label)
{
    return (struct map){message, is_label, is_label ? message->n_label : message->n_features};
}

/* A name that is missing is empty. */
static const char *name_at(const struct map *map, size_t i)
{
    const char *name = map->is_label ? map->message->label[i]->key : map->message->features[i]->key;
    return name != NULL ? name : "";
}

static const value_message *value_at(const struct map *map, size_t i)
{
    return map->is_label ? map->message->label[i]->value : map->message->features[i]->value;
}

static bool is_wanted_by_name(const struct fmt_record_query *query, bool is_label, const char *name)
{
    for (uint32_t i = 0; i < query->count; i++) {
        const struct fmt_record_wanted *wanted = &query->wanted[i];
        if (wanted->name != NULL && wanted->is_label == is_label && strcmp(wanted->name, name) == 0)
            return true;
    }
    return false;
}

/* The last entry of that name; -1: there is none. */
static int64_t find_name(const struct map *map, const char *name)
{
    int64_t found = -1;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(name_at(map, i), name) == 0)
            found = (int64_t)i;
    return found;
}

/* The last entry without a wanted name; -2: there are several such names. */
static int64_t find_only(const struct map *map, const struct fmt_record_query *query)
{
    int64_t found = -1;
    for (size_t i = 0; i < map->count; i++) {
        if (is_wanted_by_name(query, map->is_label, name_at(map, i)))
            continue;
        if (found >= 0 && strcmp(name_at(map, (size_t)found), name_at(map, i)) != 0)
            return -2;
        found = (int64_t)i;
    }
    return found;
}

static int64_t find(const struct map *map, const struct fmt_record_query *query,
                    const struct fmt_record_wanted *wanted)
{
    if (wanted->name != NULL)
        return find_name(map, wanted->name);
    if (!is_wanted_by_name(query, map->is_label, "values")) {
        int64_t found = find_name(map, "values");
        if (found >= 0)
            return found;
    }
    return find_only(map, query);
}

static uint64_t product(const uint64_t *shape, size_t count)
{
    uint64_t all = 1;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(all, shape[i], &all))
            return UINT64_MAX;
    return all;
}

static void read_keys(const uint64_t *keys, size_t key_count, const uint64_t *shape,
                      size_t shape_count, struct fmt_record_value *value)
{
    value->keys = (const uint8_t *)keys;
    value->keys_bytes = key_count * sizeof(*keys);
    value->key_count = key_count;
    value->has_shape = shape_count > 0;
    value->shape_product = product(shape, shape_count);
}

static void read_float32(const float32_message *in, struct fmt_record_value *value)
{
    value->type = FMT_RECORD_F32;
    value->values = (const uint8_t *)in->values;
    value->values_bytes = in->n_values * sizeof(*in->values);
    value->value_count = in->n_values;
    read_keys(in->keys, in->n_keys, in->shape, in->n_shape, value);
}

static void read_float64(const float64_message *in, struct fmt_record_value *value)
{
    value->type = FMT_RECORD_F64;
    value->values = (const uint8_t *)in->values;
    value->values_bytes = in->n_values * sizeof(*in->values);
    value->value_count = in->n_values;
    read_keys(in->keys, in->n_keys, in->shape, in->n_shape, value);
}

static void read_int32(const int32_message *in, struct fmt_record_value *value)
{
    value->type = FMT_RECORD_I32;
    value->values = (const uint8_t *)in->values;
    value->values_bytes = in->n_values * sizeof(*in->values);
    value->value_count = in->n_values;
    read_keys(in->keys, in->n_keys, in->shape, in->n_shape, value);
}

static void read_bytes(const bytes_message *in, struct fmt_record_value *value)
{
    value->kind = FMT_RECORD_BYTES;
    value->value_count = in->n_value;
    if (in->n_value == 0)
        return;
    value->values = in->value[in->n_value - 1].data;
    value->values_bytes = in->value[in->n_value - 1].len;
}

static void read_value(const value_message *in, struct fmt_record_value *value)
{
    value->kind = FMT_RECORD_EMPTY;
    if (in == NULL)
        return;
    value->kind = FMT_RECORD_TENSOR;
    /* not a switch: the generated enum has a member that only sets its size */
    if (in->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT32_TENSOR)
        read_float32(in->float32_tensor, value);
    else if (in->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT64_TENSOR)
        read_float64(in->float64_tensor, value);
    else if (in->value_case == AIALGS__DATA__VALUE__VALUE_INT32_TENSOR)
        read_int32(in->int32_tensor, value);
    else if (in->value_case == AIALGS__DATA__VALUE__VALUE_BYTES)
        read_bytes(in->bytes, value);
    else
        value->kind = FMT_RECORD_EMPTY;
}

/* protobuf-c returns NULL for bad bytes and for lack of memory alike: this tells them apart. */
static void *allocate(void *out_of_memory, size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL)
        *(bool *)out_of_memory = true;
    return memory;
}

static void release(void *out_of_memory, void *memory)
{
    (void)out_of_memory;
    free(memory);
}

enum fmt_record_verdict fmt_record_unpack(const uint8_t *body, size_t len,
                                          const struct fmt_record_query *query,
                                          struct fmt_record_value *values, void **message)
{
    bool out_of_memory = false;
    ProtobufCAllocator allocator = {allocate, release, &out_of_memory};
    record_message *record = aialgs__data__record__unpack(&allocator, len, body);
    *message = record;
    if (record == NULL)
        return out_of_memory ? FMT_RECORD_NO_MEMORY : FMT_RECORD_MALFORMED;
    for (uint32_t i = 0; i < query->count; i++) {
        struct map map = map_of(record, query->wanted[i].is_label);
        int64_t found = find(&map, query, &query->wanted[i]);
        values[i] = (struct fmt_record_value){.kind = FMT_RECORD_ABSENT};
        if (found == -2)
            values[i].kind = FMT_RECORD_AMBIGUOUS;
        else if (found >= 0)
            read_value(value_at(&map, (size_t)found), &values[i]);
    }
    return FMT_RECORD_PARSED;
}

void fmt_record_free(void *message)
{
    ProtobufCAllocator allocator = {allocate, release, NULL};
    if (message != NULL)
        aialgs__data__record__free_unpacked(message, &allocator);
}
