/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_rows.h - the columns of a Parquet file to its rows, in frames (row_frame.h).
 *
 * Row group by row group, a stripe of rows at a time: of each column as many values as the stripe
 * has rows, put where the rows want them. By a team, a band of stripes (parquet_band.c).
 *
 * Owner: the caller lends the file, and an arena for all else. Threads: as its owner says.
 * Units: bytes, rows.
 */
#ifndef FORMATS_PARQUET_ROWS_H
#define FORMATS_PARQUET_ROWS_H

#include "formats/parquet_column.h"
#include "formats/parquet_crew.h"
#include "formats/parquet_select.h"

struct fmt_pq_rows {
    struct fmt_pq_file file;
    struct fmt_pq_selection selection;
    struct fmt_pq_arena arena;
    size_t file_used_bytes; /* of the arena, when no row group is under way */
    const struct fmt_pq_crew *crew;
    struct fmt_pq_column *columns; /* as selection.leaves */
    uint64_t group_left;           /* rows not in a stripe yet */

    size_t fixed_bytes; /* of a frame, without texts */
    uint32_t stripe_rows_max;
    uint8_t *stripe; /* frames without their texts */
    float *numbers;  /* some columns of the stripe, one behind the other */
    struct fmt_pq_text *texts;
    uint32_t stripe_rows;
    uint32_t next_row; /* of the stripe, to go out */
    size_t row_offset; /* bytes of it that have */
};

/* Opens the file in[len_bytes], with an arena of arena_bytes. Returns FMT_OK, FMT_E_FORMAT, or
 * FMT_E_MEMORY when the arena is too small. */
enum fmt_rc fmt_pq_rows_start(struct fmt_pq_rows *rows, const uint8_t *in, size_t len_bytes,
                              uint8_t *arena, size_t arena_bytes,
                              const struct fmt_parquet_options *options,
                              const struct fmt_pq_crew *crew, struct fmt_error *error);

/* Writes the next frames to out[out_bytes]: *made_bytes, all of them but at the end, or before what
 * is wrong. Returns as above. */
enum fmt_rc fmt_pq_rows_make(struct fmt_pq_rows *rows, uint8_t *out, size_t out_bytes,
                             size_t *made_bytes, struct fmt_error *error);

/* ---- for parquet_band.c ---- */

/* Puts columns [first, first + count) of a stripe where its rows have them: those of the first are
 * at `numbers`, each other's `apart` behind the one before. */
void fmt_pq_put_numbers(const struct fmt_pq_rows *rows, uint32_t first, uint32_t count,
                        const float *numbers, size_t apart, uint32_t row_count, uint8_t *stripe);

/* Makes as many whole stripes without texts as there is room for: *row_count rows, none of them
 * begun. 0 rows: they are to be made one by one. */
enum fmt_rc fmt_pq_make_band(struct fmt_pq_rows *rows, uint8_t *out, size_t out_bytes,
                             uint32_t *row_count, struct fmt_error *error);

#endif
