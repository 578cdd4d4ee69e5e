/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_read.h - the bytes of a picture file to a row of a batch.
 *
 * Owner: the caller owns a reader; memory grows to the largest picture that came by, and stays.
 * Threads: a reader belongs to one thread at a time.
 */
#ifndef FORMATS_IMAGE_READ_H
#define FORMATS_IMAGE_READ_H

#include "formats/image_view.h"

struct fmt_image_reader;

struct fmt_image_reader *fmt_image_reader_new(void);         /* NULL when memory is out */
void fmt_image_reader_free(struct fmt_image_reader *reader); /* accepts NULL */

/* Decodes the JPEG or PNG file in[len] into the row at `out`: fmt_image_feature_dim bytes or
 * floats. On FMT_E_FORMAT what the row holds is not said. */
enum fmt_rc fmt_image_read(struct fmt_image_reader *reader, const struct fmt_image_options *image,
                           struct fmt_lot lot, const uint8_t *in, size_t len, void *out,
                           struct fmt_error *error);

#endif
