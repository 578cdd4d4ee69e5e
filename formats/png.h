/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png.h - PNG files to pixels: eight bits a sample, not interlaced, by libdeflate and
 * vector instructions; the rest (16 bits, 1 to 4 bits, interlaced), and whatever is odd, by libpng,
 * which then says what is wrong with it.
 *
 * Of 16-bit samples the upper eight bits are taken. Transparency (an alpha channel, tRNS) is left
 * out where one or three channels are asked for; colours are not changed by gAMA or iCCP. The CRC
 * of each chunk that matters is checked, and the Adler-32 of the pixels.
 *
 * Owner: the caller owns a struct fmt_png; it owns the pixels it returns. Nothing is allocated once
 *   the largest picture has come by, libpng apart.
 * Threads: a struct fmt_png belongs to one thread at a time.
 */
#ifndef FORMATS_PNG_H
#define FORMATS_PNG_H

#include <string.h>

#include "formats/picture.h"

static inline bool fmt_is_png(const uint8_t *in, size_t len)
{
    return len >= 8 && memcmp(in, "\x89PNG\r\n\x1a\n", 8) == 0;
}

struct fmt_png;

struct fmt_png *fmt_png_new(void); /* NULL when memory is out; free accepts NULL */
void fmt_png_free(struct fmt_png *png);

/* Reads the head of the file in[len], which stays in use until fmt_png_decode. FMT_OK or
 * FMT_E_FORMAT. */
enum fmt_rc fmt_png_open(struct fmt_png *png, const uint8_t *in, size_t len,
                         struct fmt_picture_head *head, struct fmt_error *error);

/* Decodes the file that was opened last. channels: 1 or 3, or 0 for those of the file: 1, 2 (gray
 * and alpha), 3 (palettes too) or 4 (with alpha). The picture's box holds `want`, and may be
 * larger. */
enum fmt_rc fmt_png_decode(struct fmt_png *png, uint32_t channels,
                           const struct fmt_picture_box *want, struct fmt_picture *picture,
                           struct fmt_error *error);

#endif
