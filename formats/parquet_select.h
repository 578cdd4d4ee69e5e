/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_select.h - which columns of a Parquet file are features, labels, weight, texts.
 *
 * Threads: pure functions.
 */
#ifndef FORMATS_PARQUET_SELECT_H
#define FORMATS_PARQUET_SELECT_H

#include "formats/parquet.h"
#include "formats/parquet_footer.h"

struct fmt_pq_selection {
    struct fmt_shape shape;
    uint32_t *leaves; /* in a row's order: features, labels, weight, texts */
    uint32_t count;
};

/* Numbers in a row: features, labels and weight. */
static inline uint32_t fmt_pq_number_count(const struct fmt_shape *shape)
{
    return shape->feature_dim + shape->label_dim + shape->weighted;
}

/* Chooses among the file's leaves, in memory of the arena. Returns FMT_OK, FMT_E_FORMAT when a
 * column is not there or cannot be read, or FMT_E_MEMORY when the arena is too small. */
enum fmt_rc fmt_pq_select(const struct fmt_pq_file *file, const struct fmt_parquet_options *options,
                          struct fmt_pq_selection *selection, struct fmt_pq_arena *arena,
                          struct fmt_error *error);

#endif
