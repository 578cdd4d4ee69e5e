/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_framed.h - rows that stay in their records: struct fmt_framing of dense records,
 * all of one size, with float32 or float64 values always at the same place. What reads them in
 * place, e.g. a kernel on a GPU, saves the copy out of the records.
 *
 * Threads: pure functions.
 */
#ifndef FORMATS_RECORD_FRAMED_H
#define FORMATS_RECORD_FRAMED_H

#include "formats/fmt.h"
#include "formats/record_options.h"
#include "formats/recordio.h"

/* Says in *shape, which fmt_record_learn has filled in, where the values of the record at `in` lie.
 * FMT_E_FORMAT if that cannot be the same for all records. */
enum fmt_rc fmt_record_learn_framing(const struct fmt_record_options *options,
                                     const struct fmt_record_value *values, const uint8_t *in,
                                     const struct fmt_recordio_record *place,
                                     struct fmt_shape *shape, struct fmt_error *error);

/* Whether a channel that asks for decoded rows of this shape can do without decoding, where the
 * records allow it. */
bool fmt_record_may_stay(const struct fmt_record_options *options, const struct fmt_shape *shape);

/* Whether another record has its values at the same place. */
enum fmt_rc fmt_record_check_framing(const struct fmt_record_options *options,
                                     const struct fmt_record_value *values, const uint8_t *in,
                                     const struct fmt_recordio_record *place,
                                     const struct fmt_shape *shape, struct fmt_error *error);

#endif
