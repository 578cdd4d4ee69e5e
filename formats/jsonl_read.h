/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_read.h - reads values off a line in one pass, as strictly as formats/json.c does.
 * What is not plain is left to the walk: functions return NULL for it, good or bad.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_JSONL_READ_H
#define FORMATS_JSONL_READ_H

#include "formats/jsonl.h"

/* Where a value begins in the line: a string with its quote. */
static inline const uint8_t *fmt_jsonl_value_begin(const struct fmt_json_value *value)
{
    return value->bytes - (value->kind == FMT_JSON_STRING);
}

/* `count` (>= 1) numbers with commas between them and blanks behind those. Returns what is behind
 * the last. */
const uint8_t *fmt_jsonl_read_numbers(const uint8_t *p, const uint8_t *end, bool missing_is_nan,
                                      float *out, uint32_t count);

/* Over a comma and the blanks behind it. */
static inline const uint8_t *fmt_jsonl_read_comma(const uint8_t *p, const uint8_t *end)
{
    if (p == end || *p != ',')
        return NULL;
    for (p++; p < end && *p == ' '; p++)
        ;
    return p;
}

/* The value at p, whatever it is. Returns what is behind it. */
const uint8_t *fmt_jsonl_read_any(const uint8_t *p, const uint8_t *end,
                                  struct fmt_json_value *value);

/* Blanks and the line's end. Returns the next line's first byte, or end. */
const uint8_t *fmt_jsonl_read_end(const uint8_t *p, const uint8_t *end);

/* Where the numbers of a target go. */
static inline float *fmt_jsonl_place(const struct jsonl_target *target, const struct jsonl_row *row)
{
    return (target->kind == JSONL_FEATURE ? row->features
            : target->kind == JSONL_LABEL ? row->labels
                                          : row->weight) +
           target->column;
}

/* Whether null is NaN for a target: a weight that is null is 1, which the walk sees to. */
static inline bool fmt_jsonl_null_is_nan(const struct fmt_jsonl_options *options,
                                         const struct jsonl_target *target)
{
    return options->missing_is_nan != 0 && target->kind != JSONL_WEIGHT;
}

#endif
