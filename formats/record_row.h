/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_row.h - from the values that were found in a record (formats/record.h) to the
 * shape of a channel, and to one row of it.
 *
 * Features stand one behind the other in a row, in the order in which they are wanted. A sparse
 * tensor is as wide as the product of its shape: a key counts in row-major order, so that keys of a
 * matrix [rows, columns] need nothing done to them. In a dense row a sparse tensor becomes zeros
 * and its values, of which the last of a key counts; in a sparse row a dense tensor becomes entries
 * for all values but zeros.
 *
 * Owner: the caller owns all memory. Threads: a struct fmt_record_scratch belongs to one at a time.
 */
#ifndef FORMATS_RECORD_ROW_H
#define FORMATS_RECORD_ROW_H

#include "formats/fmt.h"
#include "formats/record_options.h"

/* Memory that grows to the most numbers of a tensor that has to change its layout. */
struct fmt_record_scratch {
    uint32_t *keys;
    double *numbers;
    size_t room; /* of each */
};

void fmt_record_scratch_free(struct fmt_record_scratch *scratch);

/* Reads the shape off a channel's first record; dims[feature_count] receives each feature's. */
enum fmt_rc fmt_record_learn(const struct fmt_record_options *options,
                             const struct fmt_record_value *values, struct fmt_shape *shape,
                             uint32_t *dims, struct fmt_error *error);

/* The same from words[2 + feature_count]: whether rows are sparse, label_dim, and dims. */
enum fmt_rc fmt_record_learn_again(const struct fmt_record_options *options, const uint32_t *words,
                                   size_t count, struct fmt_shape *shape, uint32_t *dims,
                                   struct fmt_error *error);

/* Writes row `row` of *rows. dims[i] is 0 if it is not known. On failure entries and texts are as
 * before. */
enum fmt_rc fmt_record_put_row(const struct fmt_record_options *options,
                               const struct fmt_shape *shape, const uint32_t *dims,
                               const struct fmt_record_value *values, struct fmt_rows *rows,
                               uint32_t row, struct fmt_record_scratch *scratch,
                               struct fmt_error *error);

#endif
