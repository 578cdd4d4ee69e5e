/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cat_rows.h - what a decoder makes of a channel, as text: penstock cat --decode.
 *
 * A row is a line. Dense ones are CSV: labels, weight, group, features, texts in quotes. Sparse
 * ones are libsvm: label[,label...][:weight] [qid:group] column:value ... "text" ..., columns from
 * 0. Numbers are the shortest that read back the same.
 *
 * Threads: the caller's.
 */
#ifndef PIPE_CAT_ROWS_H
#define PIPE_CAT_ROWS_H

#include "pipe/penstock.h"

#include <stdio.h>

/* Writes the first `rows_left` rows of channel 0 (of each epoch, as they come) to `out`. Returns
 * PENSTOCK_END, also for enough rows; PENSTOCK_E_* of penstock_last_error; or PENSTOCK_OK when
 * `out` cannot be written to (errno). */
int ps_cat_rows(struct penstock *stream, uint64_t rows_left, FILE *out);

/* Writes row `row` of a batch. */
void ps_cat_row(const struct penstock_batch *batch, uint32_t row, FILE *out);

#endif
