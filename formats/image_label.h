/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_label.h - the labels of a picture, from wherever they stand, to its row.
 *
 * Threads: pure functions.
 */
#ifndef FORMATS_IMAGE_LABEL_H
#define FORMATS_IMAGE_LABEL_H

#include "formats/image_options.h"

/* Puts a record's `count` labels into its row, which has fmt_image_label_dim: padded if the options
 * say so, and FMT_E_FORMAT when the number is another than they say. values: little-endian
 * float32, at any address. */
enum fmt_rc fmt_image_put_labels(const struct fmt_image_options *image, const uint8_t *values,
                                 uint32_t count, float *out, struct fmt_error *error);

/* The same for what a manifest says: a number, or a list such as [0, 2]. */
enum fmt_rc fmt_image_put_value(const struct fmt_image_options *image, const uint8_t *text,
                                size_t len, float *out, struct fmt_error *error);

#endif
