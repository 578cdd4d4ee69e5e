/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_read.c - the bytes of a picture file to a row of a batch: the part that the row
 * shows is chosen from the file's head, and no more than that part is decoded where the format
 * allows it.
 */
#include "formats/image_read.h"

#include <math.h>
#include <string.h>

#include "formats/image_resize.h"
#include "formats/jpeg.h"
#include "formats/png.h"

struct fmt_image_reader {
    struct fmt_jpeg *jpeg;
    struct fmt_png *png;
    struct fmt_resize resize;
    struct fmt_buffer turned; /* the part, the right way up */
};

/* A file that is being read. */
struct job {
    bool is_jpeg;
    struct fmt_picture_head head;
    uint32_t orientation;
    uint32_t reduction;
    uint32_t width, height; /* as stored, reduced */
};

struct fmt_image_reader *fmt_image_reader_new(void)
{
    struct fmt_image_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return NULL;
    reader->jpeg = fmt_jpeg_new();
    reader->png = fmt_png_new();
    if (reader->jpeg != NULL && reader->png != NULL)
        return reader;
    fmt_image_reader_free(reader);
    return NULL;
}

void fmt_image_reader_free(struct fmt_image_reader *reader)
{
    if (reader == NULL)
        return;
    fmt_jpeg_free(reader->jpeg);
    fmt_png_free(reader->png);
    fmt_resize_free(&reader->resize);
    free(reader->turned.bytes);
    free(reader);
}

static enum fmt_rc open_file(struct fmt_image_reader *reader, const uint8_t *in, size_t len,
                             struct job *job, struct fmt_error *error)
{
    job->is_jpeg = fmt_is_jpeg(in, len);
    if (job->is_jpeg)
        return fmt_jpeg_open(reader->jpeg, in, len, &job->head, error);
    if (fmt_is_png(in, len))
        return fmt_png_open(reader->png, in, len, &job->head, error);
    if (len == 0)
        return fmt_fail(error, 0, 0, "no picture: it has no bytes");
    return fmt_fail(error, 0, 0, "neither a JPEG nor a PNG file: it begins with %02x %02x %02x",
                    in[0], len > 1 ? in[1] : 0, len > 2 ? in[2] : 0);
}

/* Orientations 5 to 8 exchange rows and columns. What a row of the picture the right way up is
 * counted from: EXIF 2.32, 4.6.5.1. */
static bool swaps(uint32_t orientation)
{
    return orientation >= 5;
}

static bool flips_columns(uint32_t orientation) /* as stored */
{
    return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}

static bool flips_rows(uint32_t orientation)
{
    return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}

/* Side `side` of the picture must have this length for its part to have `size` pixels. */
static uint32_t needed(uint32_t side, const struct fmt_view_axis *axis)
{
    double length = ceil((double)side * axis->size / axis->extent);
    return length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
}

/* One direction of the work, in reduced pixels. `flipped`: these were counted from the other end
 * when the file was made, so that the last one, of which maybe not all is picture, comes first. */
static struct fmt_axis_plan plan_axis(const struct fmt_view_axis *axis, uint32_t side,
                                      uint32_t reduction, bool flipped, uint32_t count)
{
    double ratio = reduction;
    uint32_t pixels = (side + reduction - 1) / reduction;
    double shift = flipped ? pixels - side / ratio : 0;
    struct fmt_axis_plan plan = {.origin = axis->origin / ratio + shift,
                                 .extent = axis->extent / ratio,
                                 .size = axis->size,
                                 .from = axis->from,
                                 .count = count};
    double high = ceil(plan.origin + plan.extent);
    plan.low = (uint32_t)plan.origin;
    plan.high = high > pixels ? pixels : (uint32_t)high;
    return plan;
}

static bool make_axes(struct fmt_image_reader *reader, const struct fmt_image_options *image,
                      const struct fmt_view *view, const struct job *job)
{
    bool swapped = swaps(job->orientation);
    bool flip_x = swapped ? flips_rows(job->orientation) : flips_columns(job->orientation);
    bool flip_y = swapped ? flips_columns(job->orientation) : flips_rows(job->orientation);
    uint32_t width = swapped ? job->head.height : job->head.width;
    uint32_t height = swapped ? job->head.width : job->head.height;
    struct fmt_axis_plan columns = plan_axis(&view->x, width, job->reduction, flip_x, image->width);
    struct fmt_axis_plan rows = plan_axis(&view->y, height, job->reduction, flip_y, image->height);
    columns.mirror = view->mirror;
    return fmt_axis_make(&reader->resize.columns, &columns) &&
           fmt_axis_make(&reader->resize.rows, &rows) &&
           fmt_resize_begin(&reader->resize, image->channels);
}

/* What a box of the picture the right way up is as stored. */
static struct fmt_picture_box stored_box(struct fmt_picture_box box, const struct job *job)
{
    if (swaps(job->orientation))
        box = (struct fmt_picture_box){box.top, box.left, box.height, box.width};
    if (flips_columns(job->orientation))
        box.left = job->width - box.left - box.width;
    if (flips_rows(job->orientation))
        box.top = job->height - box.top - box.height;
    return box;
}

/* Copies `box` of the picture, which is as stored, the right way up. */
static bool turn(struct fmt_image_reader *reader, const struct job *job, struct fmt_picture_box box,
                 struct fmt_picture *picture)
{
    uint32_t channels = picture->channels;
    size_t stride = (size_t)box.width * channels;
    if (!fmt_buffer_reserve(&reader->turned, stride * box.height))
        return false;
    for (uint32_t y = 0; y < box.height; y++)
        for (uint32_t x = 0; x < box.width; x++) {
            struct fmt_picture_box pixel = {box.left + x, box.top + y, 1, 1};
            pixel = stored_box(pixel, job);
            const uint8_t *from = picture->pixels +
                                  (pixel.top - picture->box.top) * picture->stride_bytes +
                                  (size_t)(pixel.left - picture->box.left) * channels;
            memcpy(reader->turned.bytes + y * stride + (size_t)x * channels, from, channels);
        }
    *picture = (struct fmt_picture){reader->turned.bytes, stride, channels, box};
    return true;
}

/* The pixels that the axes look at, the right way up. */
static enum fmt_rc decode(struct fmt_image_reader *reader, const struct fmt_image_options *image,
                          const struct job *job, struct fmt_picture *picture,
                          struct fmt_error *error)
{
    const struct fmt_axis *columns = &reader->resize.columns;
    const struct fmt_axis *rows = &reader->resize.rows;
    struct fmt_picture_box box = {columns->first, rows->first, columns->end - columns->first,
                                  rows->end - rows->first};
    struct fmt_picture_box want = stored_box(box, job);
    enum fmt_rc rc =
        job->is_jpeg
            ? fmt_jpeg_decode(reader->jpeg, image->channels, job->reduction, &want, picture, error)
            : fmt_png_decode(reader->png, image->channels, &want, picture, error);
    if (rc == FMT_OK && job->orientation != 1 && !turn(reader, job, box, picture))
        return FMT_E_MEMORY;
    return rc;
}

enum fmt_rc fmt_image_read(struct fmt_image_reader *reader, const struct fmt_image_options *image,
                           struct fmt_lot lot, const uint8_t *in, size_t len, void *out,
                           struct fmt_error *error)
{
    struct job job = {.reduction = 1};
    struct fmt_view view;
    enum fmt_rc rc = open_file(reader, in, len, &job, error);
    if (rc != FMT_OK)
        return rc;
    job.orientation = image->keep_orientation ? 1 : job.head.orientation;
    bool swapped = swaps(job.orientation);
    uint32_t width = swapped ? job.head.height : job.head.width;
    uint32_t height = swapped ? job.head.width : job.head.height;
    rc = fmt_view_choose(image, lot, width, height, &view, error);
    if (rc != FMT_OK)
        return rc;
    if (job.is_jpeg && !image->exact)
        job.reduction =
            fmt_jpeg_reduction(width, height, needed(width, &view.x), needed(height, &view.y));
    job.width = (job.head.width + job.reduction - 1) / job.reduction;
    job.height = (job.head.height + job.reduction - 1) / job.reduction;
    struct fmt_picture picture;
    if (!make_axes(reader, image, &view, &job))
        return FMT_E_MEMORY;
    rc = decode(reader, image, &job, &picture, error);
    for (uint32_t y = 0; rc == FMT_OK && y < image->height; y++)
        fmt_image_store_row(&image->store, fmt_resize_row(&reader->resize, &picture, y), y, out);
    return rc;
}
