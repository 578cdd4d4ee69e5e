/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png_libpng.h - the whole of a PNG file by libpng. For png.c.
 *
 * Threads: any.
 */
#ifndef FORMATS_PNG_LIBPNG_H
#define FORMATS_PNG_LIBPNG_H

#include "formats/picture.h"

/* Decodes in[len], whose head says width x height, to eight bits a sample and 1 to 4 channels, into
 * `pixels`. */
enum fmt_rc fmt_png_by_libpng(const uint8_t *in, size_t len, struct fmt_buffer *pixels,
                              struct fmt_picture *picture, struct fmt_error *error);

#endif
