/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_decoder.h - what the decoders of application/x-image (image.c) and of
 * application/x-recordio (image_record.c) have in common.
 */
#ifndef FORMATS_IMAGE_DECODER_H
#define FORMATS_IMAGE_DECODER_H

#include "formats/image_read.h"
#include "formats/recordio_join.h"

struct fmt_decoder {
    struct fmt_image_reader *reader;
    const struct fmt_image_options *image;
    uint64_t seed;
    size_t row_bytes;
    uint32_t label_dim;
    struct fmt_joiner joiner; /* of a record's parts */
};

/* For struct fmt_ops: the options tell the shape. */
enum fmt_rc fmt_image_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                            struct fmt_shape *shape, struct fmt_error *error);
struct fmt_decoder *fmt_image_decoder_new(const struct fmt_options *options,
                                          const struct fmt_shape *shape);
void fmt_image_decoder_free(struct fmt_decoder *decoder);

#endif
