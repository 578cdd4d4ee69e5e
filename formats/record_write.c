/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_write.c - see record_write.h. Lengths come first on the wire and depend on what
 * follows, so every size is computed before a byte is written. */
#include "formats/record_write.h"

#include <string.h>

#define FRAME_MAGIC 0xced7230au
#define FRAME_HEAD_BYTES 8
#define FRAME_PAYLOAD_MAX ((size_t)1 << 29)
#define VARINT_BYTES_MAX 10
#define NAME_DEFAULT "values"

enum { TAG_FEATURES = 0x0a, TAG_LABEL = 0x12, TAG_NAME = 0x0a, TAG_VALUE = 0x12 };
enum { TAG_VALUES = 0x0a, TAG_KEYS = 0x12, TAG_SHAPE = 0x1a };

/* Value's oneof: field 2, 3 or 7, length-delimited. */
static uint8_t tensor_tag(enum fmt_type type)
{
    switch (type) {
    case FMT_FLOAT32:
        return 0x12;
    case FMT_FLOAT64:
        return 0x1a;
    case FMT_INT64:
        break;
    }
    return 0x3a;
}

static size_t varint_bytes(uint64_t value)
{
    return value < 128 ? 1 : (size_t)(63 - __builtin_clzll(value)) / 7 + 1;
}

static const char *name_of(const struct fmt_record_entry *entry)
{
    return entry->name != NULL ? entry->name : NAME_DEFAULT;
}

/* Nested sizes of one map entry, inside out: packed values, keys and shape, tensor, Value, entry.
 */
struct sizes {
    size_t values, keys, shape, tensor, value, entry;
};

/* A packed field; an empty one is not written at all. */
static size_t field_bytes(size_t packed)
{
    return packed ? 1 + varint_bytes(packed) + packed : 0;
}

static enum fmt_rc measure_values(const struct fmt_record_entry *entry, struct sizes *sizes,
                                  struct fmt_error *error)
{
    const int64_t *integers = entry->values;

    sizes->values = entry->count * fmt_type_bytes(entry->type);
    if (entry->type != FMT_INT64)
        return FMT_OK;
    sizes->values = 0;
    for (uint32_t i = 0; i < entry->count; i++) {
        if (integers[i] < INT32_MIN || integers[i] > INT32_MAX)
            return fmt_fail(error, 0, 0, "%lld does not fit the 32-bit integers of a record",
                            (long long)integers[i]);
        sizes->values += varint_bytes((uint64_t)integers[i]);
    }
    return FMT_OK;
}

static enum fmt_rc measure(const struct fmt_record_entry *entry, struct sizes *sizes,
                           struct fmt_error *error)
{
    size_t name_bytes = strlen(name_of(entry));
    enum fmt_rc rc = measure_values(entry, sizes, error);

    if (rc != FMT_OK)
        return rc;
    sizes->keys = 0;
    for (uint32_t i = 0; entry->keys && i < entry->count; i++)
        sizes->keys += varint_bytes(entry->keys[i]);
    sizes->shape = entry->columns ? varint_bytes(entry->columns) : 0;
    sizes->tensor =
        field_bytes(sizes->values) + field_bytes(sizes->keys) + field_bytes(sizes->shape);
    sizes->value = 1 + varint_bytes(sizes->tensor) + sizes->tensor;
    sizes->entry =
        1 + varint_bytes(name_bytes) + name_bytes + 1 + varint_bytes(sizes->value) + sizes->value;
    return FMT_OK;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *out++ = (uint8_t)(value | 128);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_head(uint8_t *out, uint8_t tag, size_t len)
{
    *out++ = tag;
    return put_varint(out, len);
}

static uint8_t *put_le32(uint8_t *out, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        *out++ = (uint8_t)(word >> (8 * i));
    return out;
}

static uint8_t *put_values(uint8_t *out, const struct fmt_record_entry *entry,
                           const struct sizes *sizes)
{
    const int64_t *integers = entry->values;
    const uint8_t *bytes = entry->values;
    size_t item_bytes = fmt_type_bytes(entry->type);

    if (sizes->values == 0)
        return out;
    out = put_head(out, TAG_VALUES, sizes->values);
    if (entry->type == FMT_INT64) {
        for (uint32_t i = 0; i < entry->count; i++)
            out = put_varint(out, (uint64_t)integers[i]);
        return out;
    }
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(out, bytes, sizes->values);
        return out + sizes->values;
    }
    for (uint32_t i = 0; i < entry->count; i++)
        for (size_t b = 0; b < item_bytes; b++)
            *out++ = bytes[(i + 1) * item_bytes - 1 - b];
    return out;
}

static uint8_t *put_entry(uint8_t *out, const struct fmt_record_entry *entry,
                          const struct sizes *sizes)
{
    const char *name = name_of(entry);
    size_t name_bytes = strlen(name);

    out = put_head(out, entry->is_label ? TAG_LABEL : TAG_FEATURES, sizes->entry);
    out = put_head(out, TAG_NAME, name_bytes);
    memcpy(out, name, name_bytes);
    out = put_head(out + name_bytes, TAG_VALUE, sizes->value);
    out = put_head(out, tensor_tag(entry->type), sizes->tensor);
    out = put_values(out, entry, sizes);
    if (sizes->keys > 0) {
        out = put_head(out, TAG_KEYS, sizes->keys);
        for (uint32_t i = 0; i < entry->count; i++)
            out = put_varint(out, entry->keys[i]);
    }
    if (sizes->shape > 0)
        out = put_varint(put_head(out, TAG_SHAPE, sizes->shape), entry->columns);
    return out;
}

size_t fmt_record_bytes_max(const struct fmt_record_entry *entries, size_t entry_count)
{
    size_t all = FRAME_HEAD_BYTES + 3;

    for (size_t i = 0; i < entry_count; i++) {
        const struct fmt_record_entry *entry = &entries[i];
        size_t item_bytes =
            entry->type == FMT_INT64 ? VARINT_BYTES_MAX : fmt_type_bytes(entry->type);

        if (entry->columns > 0)
            item_bytes += VARINT_BYTES_MAX;
        all += entry->count * item_bytes + 8 * (1 + VARINT_BYTES_MAX) + strlen(name_of(entry));
    }
    return all;
}

enum fmt_rc fmt_record_write(const struct fmt_record_entry *entries, size_t entry_count,
                             uint8_t *out, size_t *len, struct fmt_error *error)
{
    struct sizes sizes;
    uint8_t *start = out;
    size_t payload = 0;

    for (size_t i = 0; i < entry_count; i++) {
        enum fmt_rc rc = measure(&entries[i], &sizes, error);

        if (rc != FMT_OK)
            return rc;
        payload += 1 + varint_bytes(sizes.entry) + sizes.entry;
    }
    if (payload >= FRAME_PAYLOAD_MAX)
        return fmt_fail(error, 0, 0, "a record of %zu bytes is too long for RecordIO (2^29)",
                        payload);
    out = put_le32(out, FRAME_MAGIC);
    out = put_le32(out, (uint32_t)payload);
    for (size_t i = 0; i < entry_count; i++) {
        enum fmt_rc rc = measure(&entries[i], &sizes, error);

        if (rc != FMT_OK)
            return rc;
        out = put_entry(out, &entries[i], &sizes);
    }
    for (; (out - start) % 4 != 0; out++)
        *out = 0;
    *len = (size_t)(out - start);
    return FMT_OK;
}
