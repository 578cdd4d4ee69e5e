/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_resize.h - a rectangle of a picture to rows of another size.
 *
 * The filter is PIL's BILINEAR: a triangle whose half width is one pixel of the larger of source
 * and result, so that no source pixel is skipped when the result is smaller (antialias); centres
 * are at +0.5; weights are normalised where the triangle leaves the rectangle. PIL rounds to whole
 * levels after each of its two passes; here the levels in between have six more bits, so a sample
 * differs from PIL's by one level at most.
 *
 * Owner: the caller; a struct fmt_axis owns its tables, which grow and stay.
 * Threads: any, one at a time per structure. Units: pixels; weights add up to 1 << 14.
 */
#ifndef FORMATS_IMAGE_RESIZE_H
#define FORMATS_IMAGE_RESIZE_H

#include "formats/picture.h"

/* One axis of the work: `size` outputs spread evenly over [origin, origin + extent) of the source,
 * of which `count` from `from` on are made. Source pixels outside [low, high) are not looked at. */
struct fmt_axis_plan {
    double origin, extent;
    uint32_t low, high;
    uint32_t size, from, count;
    bool mirror; /* the last of them first */
};

struct fmt_axis {
    uint32_t count;
    uint32_t taps; /* weights kept for an output: a multiple of 4, zeros after the real ones */
    uint32_t first, end; /* the source pixels [first, end) are looked at, and no others */
    bool identity;       /* outputs are source pixels from `first` on; with `mirror` from the end */
    bool mirror;
    struct fmt_buffer starts_memory;
    struct fmt_buffer weights_memory;
};

/* Where the first weight of an output belongs; weights beyond the source are zero. */
static inline const uint32_t *fmt_axis_starts(const struct fmt_axis *axis)
{
    return (const uint32_t *)(const void *)axis->starts_memory.bytes;
}

static inline const int16_t *fmt_axis_weights(const struct fmt_axis *axis)
{
    return (const int16_t *)(const void *)axis->weights_memory.bytes;
}

/* False when memory is out. `extent` > 0, `size` >= from + count, `count` >= 1, and the outputs
 * lie within [low, high). */
bool fmt_axis_make(struct fmt_axis *axis, const struct fmt_axis_plan *plan);
void fmt_axis_free(struct fmt_axis *axis);

struct fmt_resize {
    struct fmt_axis columns, rows;
    struct fmt_buffer line_memory;
    struct fmt_buffer out_memory;
};

/* Call when the axes are made, before rows: false when memory is out. */
bool fmt_resize_begin(struct fmt_resize *resize, uint32_t channels);
void fmt_resize_free(struct fmt_resize *resize);

/* Row y of the result, interleaved, columns.count pixels; good until the next call. The picture's
 * box holds what the axes look at; its channels are those told to _begin: 1 or 3. */
const uint8_t *fmt_resize_row(struct fmt_resize *resize, const struct fmt_picture *picture,
                              uint32_t y);

#endif
