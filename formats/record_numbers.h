/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_numbers.h - numbers of a tensor that a parser of formats/record.h has found, in
 * the type that a channel wants.
 *
 * Threads: pure functions. Units: numbers.
 */
#ifndef FORMATS_RECORD_NUMBERS_H
#define FORMATS_RECORD_NUMBERS_H

#include "formats/fmt.h"
#include "formats/record.h"

enum fmt_numbers_rc {
    FMT_NUMBERS_OK,
    FMT_NUMBERS_MALFORMED, /* a varint is longer than 10 bytes */
    FMT_NUMBERS_UNFIT,     /* one is not a number of the type: see fmt_record_numbers */
};

/* Writes all value->value_count numbers to out[]. float64 is rounded to float32, too large becomes
 * infinite; int32 is rounded to float32; to int32 and uint8 goes only what they hold exactly: the
 * first that they do not is *unfit. What was written is of no use unless the answer is OK. */
enum fmt_numbers_rc fmt_record_numbers(const struct fmt_record_value *value,
                                       enum fmt_feature_type type, void *out, uint64_t *unfit);

/* The same for numbers as a packed field holds them, of which value->type says how: for templates.
 * float32 and float64 alone. */
bool fmt_record_fixed_numbers(enum fmt_record_type from, const uint8_t *in, size_t count,
                              enum fmt_feature_type type, void *out);

/* Writes the low 32 bits of all value->key_count keys to out[], and the largest key to *most. False
 * when a varint is malformed. */
bool fmt_record_keys(const struct fmt_record_value *value, uint32_t *out, uint64_t *most);

#endif
