/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord_example.c - see tfrecord_example.h. */
#include "formats/tfrecord_example.h"

#include <string.h>

#include "formats/bytes.h"

/* One entry of the map: its last key, and its last value. */
static bool read_entry(struct fmt_wire entry, struct fmt_wire *key, struct fmt_wire *feature)
{
    *key = (struct fmt_wire){entry.at, entry.at}; /* a missing one is empty */
    *feature = (struct fmt_wire){entry.at, entry.at};
    while (entry.at < entry.end) {
        uint32_t number;
        uint32_t type;
        if (!fmt_wire_field(&entry, &number, &type))
            return false;
        struct fmt_wire *to = number == 1 ? key : number == 2 ? feature : NULL;
        if (to != NULL && type == FMT_WIRE_BYTES ? !fmt_wire_bytes(&entry, to)
                                                 : !fmt_wire_skip(&entry, type))
            return false;
    }
    return true;
}

/* Whom a key names: writers keep an order of their own, so the one after the last is tried first.
 */
static uint32_t find_name(const struct fmt_example_name *names, uint32_t name_count,
                          const struct fmt_wire *key, uint32_t likely)
{
    for (uint32_t i = 0; i < name_count; i++) {
        uint32_t at = likely + i < name_count ? likely + i : likely + i - name_count;
        if (names[at].len_bytes == fmt_wire_left(key) &&
            memcmp(names[at].text, key->at, names[at].len_bytes) == 0)
            return at;
    }
    return name_count;
}

static bool find_in_map(struct fmt_wire map, const struct fmt_example_name *names,
                        uint32_t name_count, struct fmt_wire *found)
{
    uint32_t likely = 0;
    while (map.at < map.end) {
        struct fmt_wire entry;
        struct fmt_wire key;
        struct fmt_wire feature;
        uint32_t number;
        uint32_t type;
        if (!fmt_wire_field(&map, &number, &type))
            return false;
        if (number != 1 || type != FMT_WIRE_BYTES) {
            if (!fmt_wire_skip(&map, type))
                return false;
            continue;
        }
        if (!fmt_wire_bytes(&map, &entry) || !read_entry(entry, &key, &feature))
            return false;
        uint32_t name = find_name(names, name_count, &key, likely);
        if (name < name_count) {
            found[name] = feature;
            likely = name + 1 < name_count ? name + 1 : 0;
        }
    }
    return true;
}

bool fmt_example_find(const uint8_t *body, size_t len, const struct fmt_example_name *names,
                      uint32_t name_count, struct fmt_wire *found)
{
    struct fmt_wire example = {body, body + len};
    memset(found, 0, name_count * sizeof(*found));
    while (example.at < example.end) {
        struct fmt_wire map;
        uint32_t number;
        uint32_t type;
        if (!fmt_wire_field(&example, &number, &type))
            return false;
        if (number != 1 || type != FMT_WIRE_BYTES) {
            if (!fmt_wire_skip(&example, type))
                return false;
            continue;
        }
        if (!fmt_wire_bytes(&example, &map) || !find_in_map(map, names, name_count, found))
            return false;
    }
    return true;
}

static void put(float *out, uint64_t out_max, struct fmt_example_values *values, float number)
{
    if (values->count < out_max)
        out[values->count] = number;
    values->count++;
}

static float load_float(const uint8_t *in)
{
    uint32_t bits = fmt_load_le32(in);
    float number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

static bool put_packed_floats(struct fmt_wire packed, float *out, uint64_t out_max,
                              struct fmt_example_values *values)
{
    size_t count = fmt_wire_left(&packed) / 4;
    if (fmt_wire_left(&packed) % 4 != 0)
        return false;
    if (FMT_LITTLE_ENDIAN && values->count + count <= out_max) {
        if (count > 0)
            memcpy(out + values->count, packed.at, count * sizeof(float));
        values->count += count;
        return true;
    }
    for (size_t i = 0; i < count; i++)
        put(out, out_max, values, load_float(packed.at + 4 * i));
    return true;
}

static bool put_packed_integers(struct fmt_wire packed, float *out, uint64_t out_max,
                                struct fmt_example_values *values)
{
    while (packed.at < packed.end) {
        uint64_t number = *packed.at;
        if (number < 0x80)
            packed.at++;
        else if (!fmt_wire_varint(&packed, &number))
            return false;
        put(out, out_max, values, (float)(int64_t)number);
    }
    return true;
}

/* One field `value` of a list. A field of a type that the list does not have is unknown to it. */
static bool read_value(struct fmt_wire *list, uint32_t type, float *out, uint64_t out_max,
                       struct fmt_example_values *values)
{
    struct fmt_wire bytes = *list;
    uint64_t number;
    if (type == FMT_WIRE_BYTES) {
        if (!fmt_wire_bytes(list, &bytes))
            return false;
        if (values->kind == FMT_EXAMPLE_FLOATS)
            return put_packed_floats(bytes, out, out_max, values);
        if (values->kind == FMT_EXAMPLE_INTEGERS)
            return put_packed_integers(bytes, out, out_max, values);
        values->bytes = bytes;
        values->count++;
        return true;
    }
    if (type == FMT_WIRE_VARINT && values->kind == FMT_EXAMPLE_INTEGERS) {
        if (!fmt_wire_varint(list, &number))
            return false;
        put(out, out_max, values, (float)(int64_t)number);
        return true;
    }
    if (!fmt_wire_skip(list, type))
        return false;
    if (type == FMT_WIRE_32BIT && values->kind == FMT_EXAMPLE_FLOATS)
        put(out, out_max, values, load_float(bytes.at));
    return true;
}

static bool read_list(struct fmt_wire list, float *out, uint64_t out_max,
                      struct fmt_example_values *values)
{
    while (list.at < list.end) {
        uint32_t number;
        uint32_t type;
        if (!fmt_wire_field(&list, &number, &type))
            return false;
        if (number == 1 ? !read_value(&list, type, out, out_max, values)
                        : !fmt_wire_skip(&list, type))
            return false;
    }
    return true;
}

bool fmt_example_read(struct fmt_wire feature, float *out, uint64_t out_max,
                      struct fmt_example_values *values)
{
    *values = (struct fmt_example_values){.kind = FMT_EXAMPLE_EMPTY};
    while (feature.at < feature.end) {
        struct fmt_wire list;
        uint32_t number;
        uint32_t type;
        if (!fmt_wire_field(&feature, &number, &type))
            return false;
        if (number < FMT_EXAMPLE_BYTES || number > FMT_EXAMPLE_INTEGERS || type != FMT_WIRE_BYTES) {
            if (!fmt_wire_skip(&feature, type))
                return false;
            continue;
        }
        /* A list of the same kind goes on with the one before; one of another kind replaces it. */
        if ((enum fmt_example_kind)number != values->kind)
            *values = (struct fmt_example_values){.kind = (enum fmt_example_kind)number};
        if (!fmt_wire_bytes(&feature, &list) || !read_list(list, out, out_max, values))
            return false;
    }
    return true;
}
