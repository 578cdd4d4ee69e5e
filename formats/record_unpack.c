/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_unpack.c - a record through protobuf-c: every legal encoding, at the price of a
 * dozen allocations. The path for what the walker refuses, and the reference it is tested against:
 * kept plain. Where a tensor is given twice in one map entry, which no writer does, protobuf-c
 * keeps the last one; Google's libraries would join their values.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "formats/record.h"
#include "record.pb-c.h"

typedef Aialgs__Data__Record record_message;
typedef Aialgs__Data__Value value_message;
typedef Aialgs__Data__Float32Tensor float32_message;
typedef Aialgs__Data__Float64Tensor float64_message;
typedef Aialgs__Data__Int32Tensor int32_message;

/* The entry of a map that counts, while its entries pass by. */
struct choice {
    const char *first_name;
    const value_message *value;
    bool found;
    bool is_values; /* found under the name "values" */
    bool several;   /* names */
};

static void choose(struct choice *choice, const char *key, const value_message *value)
{
    const char *name = key != NULL ? key : "";
    if (choice->first_name == NULL)
        choice->first_name = name;
    else if (strcmp(choice->first_name, name) != 0)
        choice->several = true;
    bool is_values = strcmp(name, "values") == 0;
    if (!is_values && choice->is_values)
        return;
    choice->value = value;
    choice->found = true;
    choice->is_values = is_values;
}

/* What the three tensor messages have in common. */
struct tensor {
    size_t value_count;
    size_t key_count;
    const uint64_t *shape;
    size_t shape_count;
};

static bool product_is(const uint64_t *shape, size_t shape_count, uint64_t wanted)
{
    uint64_t product = 1;
    for (size_t i = 0; i < shape_count; i++)
        if (__builtin_mul_overflow(product, shape[i], &product))
            return false;
    return product == wanted;
}

static enum fmt_record_problem check_tensor(const struct tensor *tensor)
{
    if (tensor->key_count > 0 || (tensor->value_count == 0 && tensor->shape_count > 0))
        return FMT_RECORD_SPARSE;
    if (tensor->shape_count > 0 &&
        !product_is(tensor->shape, tensor->shape_count, tensor->value_count))
        return FMT_RECORD_SHAPE;
    return FMT_RECORD_GOOD;
}

static void read_float32(const float32_message *in, struct fmt_record_map *map)
{
    struct tensor tensor = {in->n_values, in->n_keys, in->shape, in->n_shape};
    map->problem = check_tensor(&tensor);
    map->count = in->n_values;
    for (size_t i = 0; i < in->n_values && i < map->out_max; i++)
        memcpy(&map->out[i], &in->values[i], sizeof(float)); /* keeps the bits of a NaN */
}

static void read_float64(const float64_message *in, struct fmt_record_map *map)
{
    struct tensor tensor = {in->n_values, in->n_keys, in->shape, in->n_shape};
    map->problem = check_tensor(&tensor);
    map->count = in->n_values;
    for (size_t i = 0; i < in->n_values && i < map->out_max; i++)
        map->out[i] = (float)in->values[i];
}

static void read_int32(const int32_message *in, struct fmt_record_map *map)
{
    struct tensor tensor = {in->n_values, in->n_keys, in->shape, in->n_shape};
    map->problem = check_tensor(&tensor);
    map->count = in->n_values;
    for (size_t i = 0; i < in->n_values && i < map->out_max; i++)
        map->out[i] = (float)in->values[i];
}

static void read_choice(const struct choice *choice, struct fmt_record_map *map)
{
    map->count = 0;
    map->run = NULL;
    if (!choice->found) {
        map->problem = FMT_RECORD_ABSENT;
        return;
    }
    if (choice->several && !choice->is_values) {
        map->problem = FMT_RECORD_AMBIGUOUS;
        return;
    }
    const value_message *value = choice->value;
    map->problem = FMT_RECORD_NO_TENSOR;
    if (value == NULL)
        return;
    /* not a switch: the generated enum has a member that only sets its size */
    if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT32_TENSOR)
        read_float32(value->float32_tensor, map);
    else if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT64_TENSOR)
        read_float64(value->float64_tensor, map);
    else if (value->value_case == AIALGS__DATA__VALUE__VALUE_INT32_TENSOR)
        read_int32(value->int32_tensor, map);
    else if (value->value_case == AIALGS__DATA__VALUE__VALUE_BYTES)
        map->problem = FMT_RECORD_BYTES;
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
                                          struct fmt_record *record)
{
    bool out_of_memory = false;
    ProtobufCAllocator allocator = {allocate, release, &out_of_memory};
    record_message *message = aialgs__data__record__unpack(&allocator, len, body);
    if (message == NULL)
        return out_of_memory ? FMT_RECORD_NO_MEMORY : FMT_RECORD_MALFORMED;
    struct choice features = {0};
    for (size_t i = 0; i < message->n_features; i++)
        choose(&features, message->features[i]->key, message->features[i]->value);
    read_choice(&features, &record->features);
    struct choice labels = {0};
    for (size_t i = 0; i < message->n_label; i++)
        choose(&labels, message->label[i]->key, message->label[i]->value);
    read_choice(&labels, &record->labels);
    aialgs__data__record__free_unpacked(message, &allocator);
    return FMT_RECORD_PARSED;
}
