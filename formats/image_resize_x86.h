/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_resize_x86.h - the loops of image_resize.c and image_store.c, plainly and in wide
 * instructions. For those files, which choose, and for tests/unit/test_image_resize.c, which
 * compares them: the results are the same, bit for bit.
 *
 * Threads: any; pure functions.
 */
#ifndef FORMATS_IMAGE_RESIZE_X86_H
#define FORMATS_IMAGE_RESIZE_X86_H

#include "formats/image_resize.h"

/* Bits of the weights, and what the sums of the two passes lose: levels between them have six bits
 * more than whole ones, so that two rounded sums do not add up to an error that can be seen. */
enum { FMT_WEIGHT_BITS = 14, FMT_ROW_SHIFT = 8, FMT_COLUMN_SHIFT = 20 };

/* Elements after a line, and bytes after a row of results, that may be read and written. */
enum { FMT_LINE_MARGIN = 16 };

/* line[i] = weighted sum of the i-th bytes of `taps` (>= 1) rows, stride_bytes apart. */
void fmt_blend_rows_plainly(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                            uint32_t taps, size_t count, int16_t *line);

/* out = weighted sums of the line's pixels, of 1 or 3 channels. Reads FMT_LINE_MARGIN elements
 * behind the last pixel of any output, writes as many bytes behind the last output. */
void fmt_blend_columns_plainly(const struct fmt_axis *axis, const int16_t *line, uint32_t channels,
                               uint8_t *out);

/* out[c * plane + x] = row[x * 3 + c] * scale[c] + offset[c] */
void fmt_split_floats_plainly(const uint8_t *row, uint32_t width, const float *scale,
                              const float *offset, float *out, size_t plane);

/* out[x * 3 + c] = row[x * 3 + c] * scale[c] + offset[c] */
void fmt_scale_floats_plainly(const uint8_t *row, uint32_t width, const float *scale,
                              const float *offset, float *out);

#if defined(__x86_64__)
/* The same; the processor knows AVX2, and there are three channels. */
void fmt_blend_rows_avx2(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                         uint32_t taps, size_t count, int16_t *line);
void fmt_blend_columns_avx2(const struct fmt_axis *axis, const int16_t *line, uint8_t *out);
void fmt_split_floats_avx2(const uint8_t *row, uint32_t width, const float *scale,
                           const float *offset, float *out, size_t plane);
void fmt_scale_floats_avx2(const uint8_t *row, uint32_t width, const float *scale,
                           const float *offset, float *out);
#endif

#endif
