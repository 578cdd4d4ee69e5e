/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_store.h - rows of pixels to where a batch keeps them: bytes or scaled floats,
 * pixels or planes together.
 *
 * Threads: any; pure functions.
 */
#ifndef FORMATS_IMAGE_STORE_H
#define FORMATS_IMAGE_STORE_H

#include "formats/fmt.h"

struct fmt_image_store {
    uint32_t channels, height, width; /* channels: 1 or 3 */
    bool planes;                      /* NCHW; else NHWC */
    bool floats;                      /* else bytes, and scale and offset do not count */
    float scale[3], offset[3];        /* float = byte * scale + offset, rounded twice */
};

/* Stores row y (`width` pixels, interleaved) of the picture that lies at `out`: channels x height x
 * width values. */
void fmt_image_store_row(const struct fmt_image_store *store, const uint8_t *row, uint32_t y,
                         void *out);

#endif
