/* SPDX-License-Identifier: Apache-2.0 */
/* formats/array.h - a two-dimensional view of numbers of any type, as NumPy and IDX files hold
 * them.
 *
 * Owner: the caller owns the bytes; a view lends them. Threads: pure functions.
 */
#ifndef FORMATS_ARRAY_H
#define FORMATS_ARRAY_H

#include "formats/fmt.h"

enum fmt_number { FMT_SIGNED, FMT_UNSIGNED, FMT_FLOAT };

struct fmt_array {
    const uint8_t *data; /* need not be aligned */
    enum fmt_number number;
    uint32_t item_bytes; /* 1, 2, 4 or 8 */
    bool big_endian;
    bool column_major; /* Fortran order: of the whole array, which then has at most 2 dimensions */
    uint64_t rows;
    uint64_t cols; /* product of the other dimensions; 1 for a vector */
};

/* The types that records are written in. */
enum fmt_type { FMT_FLOAT32, FMT_FLOAT64, FMT_INT64 };

/* The type an array keeps: float32, float64 and int64 their own, everything else float32 (which is
 * what the SageMaker SDK can write). */
enum fmt_type fmt_array_type(const struct fmt_array *array);

size_t fmt_type_bytes(enum fmt_type type);

/* Converts row `row` to `type` into out[0 .. cols), in native byte order, as NumPy's astype does.
 * Returns FMT_E_FORMAT for a number that `type` cannot hold: a fraction or an infinity as int64. */
enum fmt_rc fmt_array_row(const struct fmt_array *array, uint64_t row, enum fmt_type type,
                          void *out, struct fmt_error *error);

/* Points the array, whose rows, cols and item_bytes are known, at the data that follows the head:
 * in[head_bytes
 * .. len) must be exactly that many items. `what` names the format in the error. */
enum fmt_rc fmt_array_place(struct fmt_array *array, const uint8_t *in, size_t len,
                            size_t head_bytes, const char *what, struct fmt_error *error);

/* Parses a whole .npy file (format versions 1 to 3) of 1 or more dimensions.
 * Source: NumPy Enhancement Proposal 1 and numpy.lib.format. */
enum fmt_rc fmt_npy_parse(const uint8_t *in, size_t len, struct fmt_array *array,
                          struct fmt_error *error);

/* Parses a whole, uncompressed IDX file. Source: yann.lecun.com/exdb/mnist, "The IDX file format".
 */
enum fmt_rc fmt_idx_parse(const uint8_t *in, size_t len, struct fmt_array *array,
                          struct fmt_error *error);

#endif
