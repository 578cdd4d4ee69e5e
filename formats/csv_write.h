/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_write.h - write numbers as CSV fields: the shortest text that reads back bit-equal.
 *
 * Threads: pure functions; independent of the locale.
 */
#ifndef FORMATS_CSV_WRITE_H
#define FORMATS_CSV_WRITE_H

#include "formats/array.h"

#define FMT_CSV_FIELD_BYTES_MAX 32 /* a field and the ',' or newline after it */

/* Writes `count` numbers of `type`, each followed by ',' except the last of the row if `last`,
 * which is followed by a newline. NaN is "nan": a blank in a row of one column would be no row.
 * `out` has count * FMT_CSV_FIELD_BYTES_MAX bytes. Returns the bytes written. */
size_t fmt_csv_write(enum fmt_type type, const void *values, uint32_t count, bool last, char *out);

#endif
