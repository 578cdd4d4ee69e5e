/* SPDX-License-Identifier: Apache-2.0 */
/* formats/array.c - elements of a struct fmt_array as native numbers. */
#include "formats/array.h"

#include <math.h>
#include <string.h>

struct item {
    enum fmt_number number;
    union {
        int64_t s;
        uint64_t u;
        double f;
    } value;
};

enum fmt_type fmt_array_type(const struct fmt_array *array)
{
    if (array->number == FMT_FLOAT && array->item_bytes == 8)
        return FMT_FLOAT64;
    return array->number == FMT_SIGNED && array->item_bytes == 8 ? FMT_INT64 : FMT_FLOAT32;
}

size_t fmt_type_bytes(enum fmt_type type)
{
    return type == FMT_FLOAT32 ? sizeof(float) : sizeof(double);
}

/* IEEE 754 binary16. */
static double half_to_double(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023);
    double magnitude;

    if (exponent == 31)
        magnitude = fraction == 0 ? INFINITY : NAN;
    else if (exponent == 0)
        magnitude = ldexp(fraction, -24);
    else
        magnitude = ldexp(fraction + 1024, exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

static double float_value(uint64_t bits, uint32_t item_bytes)
{
    uint32_t low_bits = (uint32_t)bits;
    float single;
    double value;

    if (item_bytes == 2)
        return half_to_double(bits);
    if (item_bytes == 4) {
        memcpy(&single, &low_bits, sizeof single);
        return (double)single;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct item load(const struct fmt_array *array, const uint8_t *at)
{
    uint32_t n = array->item_bytes;
    struct item item = {.number = array->number};
    uint64_t bits = 0;

    for (uint32_t i = 0; i < n; i++)
        bits |= (uint64_t)at[array->big_endian ? n - 1 - i : i] << (8 * i);
    switch (array->number) {
    case FMT_UNSIGNED:
        item.value.u = bits;
        break;
    case FMT_SIGNED:
        /* Moves the sign bit to the top and back down. */
        item.value.s = (int64_t)(bits << (64 - 8 * n)) >> (64 - 8 * n);
        break;
    case FMT_FLOAT:
        item.value.f = float_value(bits, n);
        break;
    }
    return item;
}

static double as_double(const struct item *item)
{
    switch (item->number) {
    case FMT_SIGNED:
        return (double)item->value.s;
    case FMT_UNSIGNED:
        return (double)item->value.u;
    case FMT_FLOAT:
        break;
    }
    return item->value.f;
}

static float as_float(const struct item *item)
{
    switch (item->number) {
    case FMT_SIGNED:
        return (float)item->value.s;
    case FMT_UNSIGNED:
        return (float)item->value.u;
    case FMT_FLOAT:
        break;
    }
    return (float)item->value.f;
}

static bool as_int64(const struct item *item, int64_t *out)
{
    double f = item->value.f;

    switch (item->number) {
    case FMT_SIGNED:
        *out = item->value.s;
        return true;
    case FMT_UNSIGNED:
        *out = (int64_t)item->value.u;
        return item->value.u <= INT64_MAX;
    case FMT_FLOAT:
        break;
    }
    if (!(f >= -0x1p63 && f < 0x1p63) || f != floor(f))
        return false;
    *out = (int64_t)f;
    return true;
}

enum fmt_rc fmt_array_place(struct fmt_array *array, const uint8_t *in, size_t len,
                            size_t head_bytes, const char *what, struct fmt_error *error)
{
    uint64_t row_bytes;
    uint64_t data_bytes;

    if (__builtin_mul_overflow(array->cols, array->item_bytes, &row_bytes) ||
        __builtin_mul_overflow(array->rows, row_bytes, &data_bytes) ||
        data_bytes != len - head_bytes)
        return fmt_fail(error, head_bytes, 0,
                        "the %s announces %llu rows of %llu items of %u bytes, the file holds %zu "
                        "bytes of data",
                        what, (unsigned long long)array->rows, (unsigned long long)array->cols,
                        array->item_bytes, len - head_bytes);
    array->data = in + head_bytes;
    return FMT_OK;
}

static const uint8_t *item_at(const struct fmt_array *array, uint64_t row, uint64_t col)
{
    uint64_t index = array->column_major ? col * array->rows + row : row * array->cols + col;

    return array->data + index * array->item_bytes;
}

enum fmt_rc fmt_array_row(const struct fmt_array *array, uint64_t row, enum fmt_type type,
                          void *out, struct fmt_error *error)
{
    for (uint64_t col = 0; col < array->cols; col++) {
        struct item item = load(array, item_at(array, row, col));

        switch (type) {
        case FMT_FLOAT32:
            ((float *)out)[col] = as_float(&item);
            break;
        case FMT_FLOAT64:
            ((double *)out)[col] = as_double(&item);
            break;
        case FMT_INT64:
            if (!as_int64(&item, &((int64_t *)out)[col]))
                return fmt_fail(error, 0, 0, "row %llu, column %llu: %g is no 64-bit integer",
                                (unsigned long long)row, (unsigned long long)col, as_double(&item));
            break;
        }
    }
    return FMT_OK;
}
