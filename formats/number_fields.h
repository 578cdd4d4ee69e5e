/* SPDX-License-Identifier: Apache-2.0 */
/* formats/number_fields.h - many decimal numbers in a text, whose places are known, to float32:
 * the same bits as strtof (number.h has the grammar). Blanks may surround a number.
 *
 * Owner: the caller. Threads: pure functions. Units: bytes, from `base`.
 */
#ifndef FORMATS_NUMBER_FIELDS_H
#define FORMATS_NUMBER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements that starts, ends and values have behind `count`; they are read and written, too. */
#define FMT_FIELDS_SLACK 8

/* Fields [base + starts[i], base + ends[i]), in the order of the text. */
struct fmt_number_fields {
    const uint8_t *in; /* first byte that may be read; at or before base */
    const uint8_t *base;
    const uint32_t *starts;
    const uint32_t *ends;
    size_t count;
    float *values;      /* out */
    float blank;        /* what a field of nothing but blanks is worth ... */
    bool blank_is_good; /* ... if it may be one */
};

/* Returns the number of fields before the first that is no number: count if all are. */
size_t fmt_number_fields(const struct fmt_number_fields *fields);

/* The same on any processor. */
size_t fmt_number_fields_base(const struct fmt_number_fields *fields);

#endif
