/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_bulk.h - bulk decoding of regular CSV rows: no quotes, LF or CRLF, the right number
 * of fields, plain numbers. Stops in front of the first row that is anything else.
 *
 * Owner: the caller. Threads: one per struct. Units: bytes, rows.
 */
#ifndef FORMATS_CSV_BULK_H
#define FORMATS_CSV_BULK_H

#include "formats/csv_plan.h"

struct csv_bulk;

/* NULL when the processor lacks AVX2, or memory is out: then *failed is set. The plan is kept. */
struct csv_bulk *fmt_csv_bulk_new(const struct csv_plan *plan, bool *failed);
void fmt_csv_bulk_free(struct csv_bulk *bulk);

/* Decodes rows of the span from *p, which is a row's start, to row `row_no` of out and on; moves *p
 * behind them and returns their number. */
uint32_t fmt_csv_bulk_rows(struct csv_bulk *bulk, const struct fmt_span *span, const uint8_t **p,
                           uint32_t row_no, struct fmt_rows *out);

#endif
