/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_view.c - which part of a picture a row shows. */
#include "formats/image_view.h"

#include <math.h>

#include "formats/mix.h"

/* Parts of a wanted size and proportion that are tried before the middle is taken, as torchvision
 * does. */
enum { TRIES = 10 };

static uint64_t begin(struct fmt_lot lot)
{
    uint64_t state = lot.seed;
    state = fmt_mix_next(&state) ^ lot.epoch;
    state = fmt_mix_next(&state) ^ lot.position;
    return fmt_mix_next(&state);
}

/* 0 to n - 1. */
static uint32_t draw_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((fmt_mix_next(state) >> 32) * n >> 32);
}

static double draw_between(uint64_t *state, double least, double most)
{
    return least + (most - least) * ((double)(fmt_mix_next(state) >> 11) * 0x1p-53);
}

/* A part of the picture of a random size and proportion. */
static void choose_part(const struct fmt_image_options *image, uint64_t *state, uint32_t width,
                        uint32_t height, struct fmt_view *view)
{
    double pixels = (double)width * height;
    for (int i = 0; i < TRIES; i++) {
        double area =
            pixels * draw_between(state, (double)image->area_least, (double)image->area_most);
        double aspect = exp(
            draw_between(state, log((double)image->aspect_least), log((double)image->aspect_most)));
        double w = round(sqrt(area * aspect));
        double h = round(sqrt(area / aspect));
        if (w < 1 || h < 1 || w > width || h > height)
            continue;
        view->x = (struct fmt_view_axis){.extent = (uint32_t)w, .size = image->width};
        view->y = (struct fmt_view_axis){.extent = (uint32_t)h, .size = image->height};
        view->x.origin = draw_below(state, width - view->x.extent + 1);
        view->y.origin = draw_below(state, height - view->y.extent + 1);
        return;
    }
    /* the middle, as wide or as high as the proportions allow */
    double aspect = (double)width / height;
    double nearest = fmin(fmax(aspect, (double)image->aspect_least), (double)image->aspect_most);
    double w = aspect > nearest ? round(height * nearest) : width;
    double h = aspect < nearest ? round(width / nearest) : height;
    w = fmin(fmax(w, 1), width);
    h = fmin(fmax(h, 1), height);
    view->x = (struct fmt_view_axis){(width - (uint32_t)w) / 2, (uint32_t)w, image->width, 0};
    view->y = (struct fmt_view_axis){(height - (uint32_t)h) / 2, (uint32_t)h, image->height, 0};
}

/* The length that `side` has when the shorter side of both is scaled to `resize`: rounded down, as
 * mxnet, OpenCV's users and torchvision do. */
static uint32_t scaled(uint32_t side, uint32_t other, uint32_t resize)
{
    if (resize == 0)
        return side;
    uint64_t size = side <= other ? resize : (uint64_t)side * resize / other;
    return size <= INT32_MAX ? (uint32_t)size : INT32_MAX;
}

static enum fmt_rc cut_out(const struct fmt_image_options *image, uint64_t *state, uint32_t width,
                           uint32_t height, struct fmt_view *view, struct fmt_error *error)
{
    view->x = (struct fmt_view_axis){0, width, scaled(width, height, image->resize), 0};
    view->y = (struct fmt_view_axis){0, height, scaled(height, width, image->resize), 0};
    if (view->x.size < image->width || view->y.size < image->height)
        return fmt_fail(error, 0, 0,
                        "the picture has %u x %u pixels%s, fewer than the %u x %u of image_shape: "
                        "set resize to %u or more, or crop=random_resized or none",
                        view->x.size, view->y.size, image->resize > 0 ? " after resize" : "",
                        image->width, image->height,
                        image->width > image->height ? image->width : image->height);
    uint32_t spare_x = view->x.size - image->width;
    uint32_t spare_y = view->y.size - image->height;
    bool is_random = image->crop == FMT_CROP_RANDOM;
    view->x.from = is_random ? draw_below(state, spare_x + 1) : spare_x / 2;
    view->y.from = is_random ? draw_below(state, spare_y + 1) : spare_y / 2;
    return FMT_OK;
}

enum fmt_rc fmt_view_choose(const struct fmt_image_options *image, struct fmt_lot lot,
                            uint32_t width, uint32_t height, struct fmt_view *view,
                            struct fmt_error *error)
{
    uint64_t state = begin(lot);
    view->mirror = image->mirror == FMT_MIRROR_RANDOM ? fmt_mix_next(&state) >> 63
                                                      : image->mirror == FMT_MIRROR_ON;
    switch (image->crop) {
    case FMT_CROP_RANDOM_RESIZED:
        choose_part(image, &state, width, height, view);
        return FMT_OK;
    case FMT_CROP_NONE:
        view->x = (struct fmt_view_axis){0, width, image->width, 0};
        view->y = (struct fmt_view_axis){0, height, image->height, 0};
        return FMT_OK;
    case FMT_CROP_CENTER:
    case FMT_CROP_RANDOM:
        break;
    }
    return cut_out(image, &state, width, height, view, error);
}
