/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_band.c - several stripes of rows at once, by a team.
 *
 * First each thread takes columns, whose numbers go one behind the other to the crew's scratch;
 * then stripes, which it puts these into: no two write next to each other for long. Stripes are
 * the same that one thread makes one by one, and so is the first of them that cannot be made.
 */
#include "formats/parquet_rows.h"

#include "formats/row_frame.h"

/* Columns put into rows together: 16 values are a cache line. */
enum { BLOCK_COLUMNS = 16, STRIPES_LEAST = 2 };

struct band {
    struct fmt_pq_rows *rows;
    uint8_t *out;
    uint32_t row_count;
    uint32_t stripes;
};

static uint32_t rows_of(const struct band *band, uint32_t stripe)
{
    uint32_t most = band->rows->stripe_rows_max;
    uint32_t left = band->row_count - stripe * most;

    return left < most ? left : most;
}

static float *numbers_of(const struct band *band, uint32_t column, uint32_t stripe)
{
    return band->rows->crew->scratch + (size_t)column * band->row_count +
           (size_t)stripe * band->rows->stripe_rows_max;
}

static enum fmt_rc read_column(void *arg, uint32_t job_no, struct fmt_pq_unpacker *unpacker,
                               struct fmt_pq_failure *failure)
{
    const struct band *band = arg;
    struct fmt_pq_column *column = &band->rows->columns[job_no];
    enum fmt_rc rc = FMT_OK;

    column->unpacker = unpacker;
    for (uint32_t stripe = 0; stripe < band->stripes && rc == FMT_OK; stripe++) {
        failure->stage = stripe;
        rc = fmt_pq_read_numbers(column, rows_of(band, stripe), numbers_of(band, job_no, stripe),
                                 &failure->error);
    }
    return rc;
}

static enum fmt_rc put_stripe(void *arg, uint32_t job_no, struct fmt_pq_unpacker *unpacker,
                              struct fmt_pq_failure *failure)
{
    const struct band *band = arg;
    const struct fmt_pq_rows *rows = band->rows;
    uint32_t count = fmt_pq_number_count(&rows->selection.shape);
    uint32_t row_count = rows_of(band, job_no);
    uint8_t *stripe = band->out + (size_t)job_no * rows->stripe_rows_max * rows->fixed_bytes;

    (void)unpacker;
    (void)failure;
    for (uint32_t first = 0; first < count; first += BLOCK_COLUMNS) {
        uint32_t block = count - first < BLOCK_COLUMNS ? count - first : BLOCK_COLUMNS;

        fmt_pq_put_numbers(rows, first, block, numbers_of(band, first, job_no), band->row_count,
                           row_count, stripe);
    }
    for (uint32_t row = 0; row < row_count; row++)
        fmt_row_put_head(&rows->selection.shape, (uint32_t)rows->fixed_bytes,
                         stripe + row * rows->fixed_bytes);
    return FMT_OK;
}

/* How many rows fit, whole stripes of them. */
static uint32_t count_rows(const struct fmt_pq_rows *rows, size_t out_bytes)
{
    size_t columns = fmt_pq_number_count(&rows->selection.shape);
    size_t fit = out_bytes / rows->fixed_bytes;
    size_t most = columns > 0 ? FMT_PQ_SCRATCH_BYTES / sizeof(float) / columns : 0;

    if (most > fit)
        most = fit;
    if (rows->selection.shape.text_dim > 0 ||
        most < (size_t)STRIPES_LEAST * rows->stripe_rows_max ||
        rows->group_left < (uint64_t)STRIPES_LEAST * rows->stripe_rows_max)
        return 0;
    return rows->group_left <= most ? (uint32_t)rows->group_left
                                    : (uint32_t)(most - most % rows->stripe_rows_max);
}

enum fmt_rc fmt_pq_make_band(struct fmt_pq_rows *rows, uint8_t *out, size_t out_bytes,
                             uint32_t *row_count, struct fmt_error *error)
{
    struct band band = {.rows = rows, .out = out, .row_count = count_rows(rows, out_bytes)};
    struct fmt_pq_failure failure;

    *row_count = band.row_count;
    if (band.row_count == 0)
        return FMT_OK;
    band.stripes = (band.row_count + rows->stripe_rows_max - 1) / rows->stripe_rows_max;
    enum fmt_rc rc = fmt_pq_crew_run(rows->crew, fmt_pq_number_count(&rows->selection.shape),
                                     read_column, &band, &failure);

    if (rc != FMT_OK) {
        *error = failure.error;
        band.stripes = failure.stage;
        *row_count = failure.stage * rows->stripe_rows_max;
    }
    struct fmt_pq_failure none;

    (void)fmt_pq_crew_run(rows->crew, band.stripes, put_stripe, &band, &none);
    return rc;
}
