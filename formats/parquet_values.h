/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_values.h - the encodings of a Parquet page's values. For
 * formats/parquet_column.c. */
#ifndef FORMATS_PARQUET_VALUES_H
#define FORMATS_PARQUET_VALUES_H

#include "formats/parquet_column.h"

static inline bool fmt_pq_uses_dictionary(uint32_t encoding)
{
    return encoding == FMT_PQ_PLAIN_DICTIONARY || encoding == FMT_PQ_RLE_DICTIONARY;
}

/* Why pages of that encoding cannot be read; NULL: they can. */
const char *fmt_pq_refused_encoding(const struct fmt_pq_leaf *leaf, uint32_t encoding);

/* column->[at, end) are the values of a page of column->encoding. False: they are corrupt. */
bool fmt_pq_start_values(struct fmt_pq_column *column);

/* Takes count values, none of them null, up to FMT_PQ_READ_MAX. False: they are not there. */
bool fmt_pq_take_numbers(struct fmt_pq_column *column, uint32_t count, float *out);

/* The same for texts, and of PLAIN any number. */
bool fmt_pq_take_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out);

#endif
