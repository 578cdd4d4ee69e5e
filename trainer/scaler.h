/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/scaler.h - mean and standard deviation of columns, learnt from the first rows.
 *
 * One pass in double: sums of differences from the first row, so that columns far from zero lose
 * no digits. The result depends on the rows and their order alone.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_SCALER_H
#define TRAINER_SCALER_H

#include <stddef.h>
#include <stdint.h>

struct tr_scaler;

/* NULL when memory is out. */
struct tr_scaler *tr_scaler_new(uint32_t dim);
void tr_scaler_free(struct tr_scaler **scaler); /* accepts NULL */

/* Adds rows of `dim` floats that lie `stride` floats apart. */
void tr_scaler_add(struct tr_scaler *scaler, const float *rows, uint32_t row_count, size_t stride);

/* Adds CSR rows, whose columns are below dim; what has no entry is 0. For a scaler of sparse rows
 * alone. */
void tr_scaler_add_sparse(struct tr_scaler *scaler, const uint32_t *row_offsets,
                          const uint32_t *columns, const float *values, uint32_t row_count);

/* Fills mean (dim) and std (dim): the population's standard deviation. A column that was constant
 * gets the largest standard deviation of all columns, or 1 when every column was constant: should
 * it vary later, its values stay in proportion with the others. At least one row was added. */
void tr_scaler_get(const struct tr_scaler *scaler, double *mean, double *std);

#endif
