/* SPDX-License-Identifier: Apache-2.0 */
/* formats/convert.c - arrays as protobuf packs them to float32. */
#include "formats/convert.h"

#include <string.h>

#include "formats/bytes.h"

void fmt_convert_f32(const uint8_t *in, size_t count, float *out)
{
    if (count == 0)
        return; /* out may be NULL */
    if (FMT_LITTLE_ENDIAN) {
        memcpy(out, in, count * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t word = fmt_load_le32(in + i * 4);
        memcpy(&out[i], &word, sizeof(word));
    }
}

void fmt_convert_f64(const uint8_t *in, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word = fmt_load_le64(in + i * 8);
        double value;
        memcpy(&value, &word, sizeof(value));
        out[i] = (float)value;
    }
}

/* Reads the varint at `in`; returns how long it is, 0 when it is malformed. */
static size_t read_varint(const uint8_t *in, const uint8_t *end, int32_t *value)
{
    size_t len_max = (size_t)(end - in) < 10 ? (size_t)(end - in) : 10;
    uint64_t sum = 0;
    for (size_t i = 0; i < len_max; i++) {
        sum |= (uint64_t)(in[i] & 0x7f) << (7 * i);
        if (in[i] < 0x80) {
            *value = (int32_t)(uint32_t)sum;
            return i + 1;
        }
    }
    return 0;
}

bool fmt_convert_varints(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                         size_t *count)
{
    const uint8_t *end = in + len_bytes;
    size_t n = 0;
    while (in < end) {
        int32_t value;
        size_t used = read_varint(in, end, &value);
        if (used == 0)
            return false;
        if (n < out_max)
            out[n] = (float)value;
        n++;
        in += used;
    }
    *count = n;
    return true;
}
