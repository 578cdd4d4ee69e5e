/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_write.c - see record_write.h. Lengths come first on the wire and depend on what
 * follows, so every size is computed before a byte is written. */
#include "formats/record_write.h"

#include <string.h>

#define FRAME_MAGIC 0xced7230au
#define FRAME_HEAD_BYTES 8
#define FRAME_PAYLOAD_MAX ((size_t)1 << 29)
#define VARINT_BYTES_MAX 10
#define KEY "values"

enum { TAG_FEATURES = 0x0a, TAG_LABEL = 0x12, TAG_KEY = 0x0a, TAG_VALUE = 0x12, TAG_VALUES = 0x0a };

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

/* Nested sizes of one map entry, inside out: packed values, tensor, Value, entry. */
struct sizes {
    size_t packed, tensor, value, entry;
};

static enum fmt_rc measure(const struct fmt_tensor *tensor, struct sizes *sizes,
                           struct fmt_error *error)
{
    const int64_t *integers = tensor->values;

    sizes->packed = tensor->count * fmt_type_bytes(tensor->type);
    if (tensor->type == FMT_INT64) {
        sizes->packed = 0;
        for (uint32_t i = 0; i < tensor->count; i++) {
            if (integers[i] < INT32_MIN || integers[i] > INT32_MAX)
                return fmt_fail(error, 0, 0, "%lld does not fit the 32-bit integers of a record",
                                (long long)integers[i]);
            sizes->packed += varint_bytes((uint64_t)integers[i]);
        }
    }
    /* An empty packed field is not written at all. */
    sizes->tensor = sizes->packed ? 1 + varint_bytes(sizes->packed) + sizes->packed : 0;
    sizes->value = 1 + varint_bytes(sizes->tensor) + sizes->tensor;
    sizes->entry = 2 + strlen(KEY) + 1 + varint_bytes(sizes->value) + sizes->value;
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

static uint8_t *put_values(uint8_t *out, const struct fmt_tensor *tensor, const struct sizes *sizes)
{
    const int64_t *integers = tensor->values;
    const uint8_t *bytes = tensor->values;
    size_t item_bytes = fmt_type_bytes(tensor->type);

    if (tensor->type == FMT_INT64) {
        for (uint32_t i = 0; i < tensor->count; i++)
            out = put_varint(out, (uint64_t)integers[i]);
        return out;
    }
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(out, bytes, sizes->packed);
        return out + sizes->packed;
    }
    for (uint32_t i = 0; i < tensor->count; i++)
        for (size_t b = 0; b < item_bytes; b++)
            *out++ = bytes[(i + 1) * item_bytes - 1 - b];
    return out;
}

static uint8_t *put_entry(uint8_t *out, uint8_t tag, const struct fmt_tensor *tensor,
                          const struct sizes *sizes)
{
    out = put_head(out, tag, sizes->entry);
    out = put_head(out, TAG_KEY, strlen(KEY));
    memcpy(out, KEY, strlen(KEY));
    out = put_head(out + strlen(KEY), TAG_VALUE, sizes->value);
    out = put_head(out, tensor_tag(tensor->type), sizes->tensor);
    if (sizes->packed == 0)
        return out;
    out = put_head(out, TAG_VALUES, sizes->packed);
    return put_values(out, tensor, sizes);
}

static size_t side_bytes_max(const struct fmt_tensor *tensor)
{
    size_t item_bytes = tensor->type == FMT_INT64 ? VARINT_BYTES_MAX : fmt_type_bytes(tensor->type);

    return tensor->count * item_bytes + 5 * (1 + VARINT_BYTES_MAX) + strlen(KEY);
}

size_t fmt_record_bytes_max(const struct fmt_tensor *features, const struct fmt_tensor *label)
{
    return FRAME_HEAD_BYTES + side_bytes_max(features) + (label ? side_bytes_max(label) : 0) + 3;
}

enum fmt_rc fmt_record_write(const struct fmt_tensor *features, const struct fmt_tensor *label,
                             uint8_t *out, size_t *len, struct fmt_error *error)
{
    struct sizes feature_sizes;
    struct sizes label_sizes = {.entry = 0};
    uint8_t *start = out;
    enum fmt_rc rc = measure(features, &feature_sizes, error);

    if (rc == FMT_OK && label)
        rc = measure(label, &label_sizes, error);
    if (rc != FMT_OK)
        return rc;
    size_t payload = 1 + varint_bytes(feature_sizes.entry) + feature_sizes.entry;

    if (label)
        payload += 1 + varint_bytes(label_sizes.entry) + label_sizes.entry;
    if (payload >= FRAME_PAYLOAD_MAX)
        return fmt_fail(error, 0, 0, "a record of %zu bytes is too long for RecordIO (2^29)",
                        payload);
    out = put_le32(out, FRAME_MAGIC);
    out = put_le32(out, (uint32_t)payload);
    out = put_entry(out, TAG_FEATURES, features, &feature_sizes);
    if (label)
        out = put_entry(out, TAG_LABEL, label, &label_sizes);
    for (; (out - start) % 4 != 0; out++)
        *out = 0;
    *len = (size_t)(out - start);
    return FMT_OK;
}
