/* SPDX-License-Identifier: Apache-2.0 */
/* formats/npy.c - NumPy's .npy: a magic, a version, the length of a header, and the header, a
 * Python dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }. */
#include "formats/array.h"

#include <string.h>

/* What is left of the header. */
struct text {
    const char *at;
    const char *end;
};

static bool take(struct text *text, const char *word)
{
    size_t len = strlen(word);

    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n'))
        text->at++;
    if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0)
        return false;
    text->at += len;
    return true;
}

static bool take_number(struct text *text, uint64_t *number)
{
    const char *start;

    (void)take(text, ""); /* blanks */
    start = text->at;
    for (*number = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (unsigned)(*text->at - '0'), number))
            return false;
    return text->at > start;
}

/* '<f4', '>i8', '|u1', '=f8' (native, which is taken as little-endian). */
static bool take_descr(struct text *text, struct fmt_array *array)
{
    static const char kinds[] = "iuf";
    uint64_t item_bytes;

    if (!take(text, "'") || text->end - text->at < 2)
        return false;
    char order = *text->at++;
    const char *kind = strchr(kinds, *text->at++);

    if (!strchr("<>|=", order) || !kind || !*kind || !take_number(text, &item_bytes) ||
        !take(text, "'"))
        return false;
    array->big_endian = order == '>';
    array->number = *kind == 'i' ? FMT_SIGNED : *kind == 'u' ? FMT_UNSIGNED : FMT_FLOAT;
    array->item_bytes = (uint32_t)item_bytes;
    return item_bytes == 2 || item_bytes == 4 || item_bytes == 8 ||
           (item_bytes == 1 && array->number != FMT_FLOAT);
}

/* (n,) or (n, m, ...); *dimensions counts them. */
static bool take_shape(struct text *text, struct fmt_array *array, unsigned *dimensions)
{
    uint64_t extent;

    if (!take(text, "("))
        return false;
    array->cols = 1;
    for (*dimensions = 0; take_number(text, &extent);) {
        if (++*dimensions == 1)
            array->rows = extent;
        else if (__builtin_mul_overflow(array->cols, extent, &array->cols))
            return false;
        if (!take(text, ","))
            break;
    }
    return *dimensions > 0 && take(text, ")");
}

static enum fmt_rc parse_header(struct text text, struct fmt_array *array, struct fmt_error *error)
{
    unsigned dimensions = 0;
    bool has_descr = false;
    bool has_shape = false;
    bool good = take(&text, "{");

    while (good && !take(&text, "}")) {
        if (take(&text, "'descr':")) {
            if (!take_descr(&text, array))
                return fmt_fail(error, 10, 0,
                                "the .npy item type is none of i1..i8, u1..u8, f2, f4, f8");
            has_descr = true;
        } else if (take(&text, "'fortran_order':")) {
            array->column_major = take(&text, "True");
            good = array->column_major || take(&text, "False");
        } else if (take(&text, "'shape':")) {
            good = has_shape = take_shape(&text, array, &dimensions);
        } else {
            good = false;
        }
        (void)take(&text, ",");
    }
    if (!good || !has_descr || !has_shape)
        return fmt_fail(error, 10, 0, "the .npy header is malformed");
    if (array->column_major && dimensions > 2)
        return fmt_fail(error, 10, 0,
                        "Fortran order with more than two dimensions is not supported: "
                        "save numpy.ascontiguousarray(array)");
    return FMT_OK;
}

enum fmt_rc fmt_npy_parse(const uint8_t *in, size_t len, struct fmt_array *array,
                          struct fmt_error *error)
{
    static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

    *array = (struct fmt_array){.rows = 0};
    if (len < 12 || memcmp(in, magic, sizeof magic) != 0)
        return fmt_fail(error, 0, 0, "not a .npy file");
    if (in[6] < 1 || in[6] > 3)
        return fmt_fail(error, 6, 0, ".npy format version %u is not known", in[6]);
    size_t head_bytes = in[6] == 1 ? 10 : 12;
    size_t header_bytes = in[8] | (size_t)in[9] << 8;

    if (in[6] > 1)
        header_bytes |= (size_t)in[10] << 16 | (size_t)in[11] << 24;
    if (header_bytes > len - head_bytes)
        return fmt_fail(error, 8, 0, "the .npy header is cut short");
    const char *header = (const char *)in + head_bytes;
    enum fmt_rc rc = parse_header((struct text){header, header + header_bytes}, array, error);

    if (rc != FMT_OK)
        return rc;
    head_bytes += header_bytes;
    return fmt_array_place(array, in, len, head_bytes, ".npy header", error);
}
