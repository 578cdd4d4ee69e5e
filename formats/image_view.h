/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_view.h - which part of a picture a row shows: a function of the picture's size, the
 * options, the seed, the epoch and the row's position, and of nothing else.
 *
 * Threads: pure functions. Units: pixels of the picture the right way up.
 */
#ifndef FORMATS_IMAGE_VIEW_H
#define FORMATS_IMAGE_VIEW_H

#include "formats/image_options.h"

/* One direction: the part [origin, origin + extent) is scaled to `size` pixels, of which those from
 * `from` on are shown. */
struct fmt_view_axis {
    uint32_t origin, extent, size, from;
};

struct fmt_view {
    struct fmt_view_axis x, y;
    bool mirror;
};

/* What the lot of a row is drawn from. */
struct fmt_lot {
    uint64_t seed, position;
    uint32_t epoch;
};

/* FMT_E_FORMAT: the picture, scaled, is smaller than what is to be cut out of it. */
enum fmt_rc fmt_view_choose(const struct fmt_image_options *image, struct fmt_lot lot,
                            uint32_t width, uint32_t height, struct fmt_view *view,
                            struct fmt_error *error);

#endif
