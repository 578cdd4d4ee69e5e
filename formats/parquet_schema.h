/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_schema.h - the columns of a Parquet file. For formats/parquet_footer.c. */
#ifndef FORMATS_PARQUET_SCHEMA_H
#define FORMATS_PARQUET_SCHEMA_H

#include "formats/parquet_footer.h"

/* Reads the list of schema elements that `field` is, into file->leaves, taken from the arena.
 * Returns FMT_OK, FMT_E_FORMAT, or FMT_E_MEMORY when the arena is too small. On a failure of the
 * reader it returns FMT_OK. */
enum fmt_rc fmt_pq_read_schema(struct fmt_pq_file *file, struct fmt_thrift *reader,
                               const struct fmt_thrift_field *field, struct fmt_pq_arena *arena,
                               struct fmt_error *error);

#endif
