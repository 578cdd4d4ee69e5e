/* SPDX-License-Identifier: Apache-2.0 */
/* formats/idx.c - IDX files: two zero bytes, a type, the number of dimensions, each dimension as a
 * big-endian 32-bit number, then the items, big-endian, row-major. */
#include "formats/array.h"

#define DIMENSIONS_MAX 8

static bool find_type(uint8_t code, struct fmt_array *array)
{
    static const struct {
        uint8_t code;
        enum fmt_number number;
        uint8_t item_bytes;
    } types[] = {{0x08, FMT_UNSIGNED, 1}, {0x09, FMT_SIGNED, 1}, {0x0b, FMT_SIGNED, 2},
                 {0x0c, FMT_SIGNED, 4},   {0x0d, FMT_FLOAT, 4},  {0x0e, FMT_FLOAT, 8}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == code) {
            array->number = types[i].number;
            array->item_bytes = types[i].item_bytes;
            return true;
        }
    return false;
}

enum fmt_rc fmt_idx_parse(const uint8_t *in, size_t len, struct fmt_array *array,
                          struct fmt_error *error)
{
    *array = (struct fmt_array){.big_endian = true, .cols = 1};
    if (len < 4 || in[0] != 0 || in[1] != 0 || !find_type(in[2], array))
        return fmt_fail(error, 0, 0, "not an IDX file: it must begin with 00 00 and a known type");
    uint8_t dimensions = in[3];
    size_t head_bytes = 4 + 4 * (size_t)dimensions;

    if (dimensions < 1 || dimensions > DIMENSIONS_MAX || len < head_bytes)
        return fmt_fail(error, 3, 0, "the IDX head is cut short, or has %u dimensions", dimensions);
    for (size_t d = 0; d < dimensions; d++) {
        const uint8_t *at = in + 4 + 4 * d;
        uint64_t extent =
            (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];

        if (d == 0)
            array->rows = extent;
        else if (__builtin_mul_overflow(array->cols, extent, &array->cols))
            return fmt_fail(error, 4 + 4 * d, 0, "the IDX dimensions overflow");
    }
    return fmt_array_place(array, in, len, head_bytes, "IDX head", error);
}
