/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_numbers.c - see record_numbers.h. */
#include "formats/record_numbers.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/convert.h"

enum { VARINTS_AT_ONCE = 256 };

/* Stores one number; false when the type does not hold it. */
static inline bool put(double number, enum fmt_feature_type type, void *out, size_t i)
{
    switch (type) {
    case FMT_F32:
        ((float *)out)[i] = (float)number;
        return true;
    case FMT_F64:
        ((double *)out)[i] = number;
        return true;
    case FMT_I32:
        if (!(number >= INT32_MIN && number <= INT32_MAX) || (double)(int32_t)number != number)
            return false;
        ((int32_t *)out)[i] = (int32_t)number;
        return true;
    case FMT_U8:
        break;
    }
    if (!(number >= 0 && number <= UINT8_MAX) || (double)(uint8_t)number != number)
        return false;
    ((uint8_t *)out)[i] = (uint8_t)number;
    return true;
}

static double fixed_at(enum fmt_record_type from, bool is_wire, const uint8_t *in, size_t i)
{
    if (from == FMT_RECORD_F32) {
        uint32_t bits;
        float number;
        memcpy(&bits, in + 4 * i, sizeof(bits));
        if (is_wire)
            bits = fmt_load_le32(in + 4 * i);
        memcpy(&number, &bits, sizeof(number));
        return (double)number;
    }
    uint64_t bits;
    double number;
    memcpy(&bits, in + 8 * i, sizeof(bits));
    if (is_wire)
        bits = fmt_load_le64(in + 8 * i);
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* Returns how many numbers were stored: count, or the place of the first that is unfit. */
static uint64_t put_fixed(enum fmt_record_type from, bool is_wire, const uint8_t *in, size_t count,
                          enum fmt_feature_type type, void *out)
{
    bool is_same =
        (from == FMT_RECORD_F32 && type == FMT_F32) || (from == FMT_RECORD_F64 && type == FMT_F64);
    if (is_same && (FMT_LITTLE_ENDIAN || !is_wire)) {
        memcpy(out, in, count * fmt_feature_bytes(type)); /* keeps the bits of a NaN */
        return count;
    }
    if (is_wire || FMT_LITTLE_ENDIAN) {
        if (from == FMT_RECORD_F32 && type == FMT_F32) {
            fmt_convert_f32(in, count, out);
            return count;
        }
        if (from == FMT_RECORD_F64 && type == FMT_F32) {
            fmt_convert_f64(in, count, out);
            return count;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!put(fixed_at(from, is_wire, in, i), type, out, i))
            return i;
    return count;
}

bool fmt_record_fixed_numbers(enum fmt_record_type from, const uint8_t *in, size_t count,
                              enum fmt_feature_type type, void *out)
{
    return put_fixed(from, true, in, count, type, out) == count;
}

/* Returns as put_fixed. */
static uint64_t put_integers(const int32_t *in, size_t count, enum fmt_feature_type type, void *out)
{
    for (size_t i = 0; i < count; i++)
        if (!put(in[i], type, out, i))
            return i;
    return count;
}

static enum fmt_numbers_rc put_varints(const struct fmt_record_value *value,
                                       enum fmt_feature_type type, void *out, uint64_t *unfit)
{
    size_t count = (size_t)value->value_count;
    const uint8_t *in = value->values;
    size_t left = value->values_bytes;
    size_t done = 0;
    while (left > 0) {
        int32_t some[VARINTS_AT_ONCE];
        size_t room = type == FMT_I32 ? count - done : VARINTS_AT_ONCE;
        size_t taken;
        size_t used = fmt_take_varints(in, left, type == FMT_I32 ? out : some, room, &taken);
        if (used == SIZE_MAX)
            return FMT_NUMBERS_MALFORMED;
        if (type != FMT_I32) {
            char *to = (char *)out + done * fmt_feature_bytes(type);
            uint64_t stored = put_integers(some, taken, type, to);
            if (stored < taken) {
                *unfit = done + stored;
                return FMT_NUMBERS_UNFIT;
            }
        }
        in += used;
        left -= used;
        done += taken;
    }
    return FMT_NUMBERS_OK;
}

enum fmt_numbers_rc fmt_record_numbers(const struct fmt_record_value *value,
                                       enum fmt_feature_type type, void *out, uint64_t *unfit)
{
    size_t count = (size_t)value->value_count;
    uint64_t stored;
    if (count == 0)
        return FMT_NUMBERS_OK; /* values and out may be NULL */
    if (value->type != FMT_RECORD_I32) {
        stored = put_fixed(value->type, value->is_wire, value->values, count, type, out);
    } else if (!value->is_wire) {
        stored = put_integers((const int32_t *)(const void *)value->values, count, type, out);
    } else if (type != FMT_F32) {
        return put_varints(value, type, out, unfit);
    } else {
        size_t counted;
        if (!fmt_convert_varints(value->values, value->values_bytes, out, count, &counted))
            return FMT_NUMBERS_MALFORMED;
        return FMT_NUMBERS_OK;
    }
    *unfit = stored;
    return stored == count ? FMT_NUMBERS_OK : FMT_NUMBERS_UNFIT;
}

bool fmt_record_keys(const struct fmt_record_value *value, uint32_t *out, uint64_t *most)
{
    *most = 0;
    if (value->key_count == 0)
        return true; /* keys and out may be NULL */
    if (value->is_wire)
        return fmt_convert_keys(value->keys, value->keys_bytes, out, (size_t)value->key_count,
                                most);
    const uint64_t *keys = (const uint64_t *)(const void *)value->keys;
    for (size_t i = 0; i < value->key_count; i++) {
        out[i] = (uint32_t)keys[i];
        *most = keys[i] > *most ? keys[i] : *most;
    }
    return true;
}
