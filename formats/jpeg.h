/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg.h - JPEG files to pixels: libjpeg-turbo with one handle for all pictures, no more of
 * a picture decoded than is wanted.
 *
 * Codes of baseline files are read by jpeg_huffman.h, faster than libjpeg-turbo reads them.
 * Baseline, progressive and arithmetic-coded files; gray, YCbCr, RGB, CMYK and YCCK. Of the last
 * two the samples are taken for inverted, as Adobe writes them (and PIL and OpenCV read them).
 * A file without an end-of-image marker is truncated: an error, whatever part of it is wanted. So
 * is anything that libjpeg would paper over (data that ends early, bad codes); what does not touch
 * pixels (bytes between segments, unknown versions) is not. Rows below the wanted region are not
 * looked at.
 *
 * Owner: the caller owns a struct fmt_jpeg; it owns the pixels it returns. Nothing is
 *   allocated once the largest picture has come by, but for progressive files.
 * Threads: a struct fmt_jpeg belongs to one thread at a time.
 */
#ifndef FORMATS_JPEG_H
#define FORMATS_JPEG_H

#include "formats/picture.h"

/* 1 or 3 bytes of in[len]: enough to tell that it wants to be a JPEG file. */
static inline bool fmt_is_jpeg(const uint8_t *in, size_t len)
{
    return len >= 3 && in[0] == 0xff && in[1] == 0xd8 && in[2] == 0xff;
}

struct fmt_jpeg;

struct fmt_jpeg *fmt_jpeg_new(void); /* NULL when memory is out; free accepts NULL */
void fmt_jpeg_free(struct fmt_jpeg *jpeg);

/* Reads the head of the file in[len], which stays in use until fmt_jpeg_decode. FMT_OK or
 * FMT_E_FORMAT. */
enum fmt_rc fmt_jpeg_open(struct fmt_jpeg *jpeg, const uint8_t *in, size_t len,
                          struct fmt_picture_head *head, struct fmt_error *error);

/* By how much (1, 2, 4 or 8) a picture of width x height may be reduced while it is decoded and
 * still be at least target_width x target_height: the ratios that libjpeg-turbo is fast at. */
uint32_t fmt_jpeg_reduction(uint32_t width, uint32_t height, uint32_t target_width,
                            uint32_t target_height);

/* Decodes the file that was opened last, once. `reduction` is 1, 2, 4 or 8: a side of n pixels
 * comes out as ceil(n / reduction), and `want` (within that) is in reduced pixels. channels: 1 or
 * 3. The picture's box holds `want`, and may be larger. Every pixel in `want` is what decoding the
 * whole picture gives. */
enum fmt_rc fmt_jpeg_decode(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                            const struct fmt_picture_box *want, struct fmt_picture *picture,
                            struct fmt_error *error);

/* The same by libjpeg alone: the reference that jpeg_huffman.h is tested against, and what decodes
 * files that it gives up on. */
enum fmt_rc fmt_jpeg_decode_plain(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                                  const struct fmt_picture_box *want, struct fmt_picture *picture,
                                  struct fmt_error *error);

#endif
