/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_row.h - one CSV record to one row, field by field: the way of every record that is
 * not for bulk decoding, and the oracle of those that are.
 *
 * Owner: the caller. Threads: one per decoder. Units: bytes, rows.
 */
#ifndef FORMATS_CSV_ROW_H
#define FORMATS_CSV_ROW_H

#include "formats/csv_field.h"
#include "formats/csv_plan.h"

struct fmt_decoder {
    struct csv_plan *plan;
    struct csv_bulk *bulk; /* NULL: every row takes the plain path */
    /* Of the row at hand. */
    struct csv_field *texts; /* (text_dim) */
    uint8_t *scratch;        /* a text whose quotes are undone */
    size_t scratch_room;
};

/* Where the values of row `row_no` go, by target. */
static inline float *csv_cell(const struct csv_plan *plan, const struct csv_column *column,
                              const struct fmt_rows *out, size_t row_no)
{
    switch (column->target) {
    case CSV_FEATURE:
        return (float *)out->features + row_no * plan->feature_dim + column->place;
    case CSV_LABEL:
        return out->labels + row_no * plan->label_dim + column->place;
    case CSV_WEIGHT:
        return out->weights + row_no;
    case CSV_NOWHERE:
    case CSV_TEXTS:
        break;
    }
    return NULL;
}

/* Decodes the record at `row` into row `row_no` of out, and moves *next behind its line end. `in`
 * is where offsets in errors count from. */
enum fmt_rc fmt_csv_row(struct fmt_decoder *decoder, const uint8_t *in, const uint8_t *end,
                        const uint8_t *row, const uint8_t **next, uint32_t row_no,
                        struct fmt_rows *out, struct fmt_error *error);

#endif
