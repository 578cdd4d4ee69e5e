/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png_libpng.c - the whole of a PNG file by libpng. */
#include "formats/png_libpng.h"

#include <stdio.h>
#include <string.h>

#include <png.h>

struct source {
    const uint8_t *in;
    size_t len_bytes;
    char text[160];
    png_bytep *rows;
};

static void read_bytes(png_structp png, png_bytep to, size_t count)
{
    struct source *source = png_get_io_ptr(png);
    if (count > source->len_bytes)
        png_error(png, "the file is truncated");
    memcpy(to, source->in, count);
    source->in += count;
    source->len_bytes -= count;
}

static void fail(png_structp png, png_const_charp message)
{
    struct source *source = png_get_error_ptr(png);
    (void)snprintf(source->text, sizeof(source->text), "%s", message);
    png_longjmp(png, 1);
}

static void say_nothing(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* Reads everything; libpng leaves by longjmp when something is wrong, so what it allocates and what
 * is freed after it lives in *source. */
static enum fmt_rc read_all(png_structp png, png_infop info, struct source *source,
                            struct fmt_buffer *pixels, struct fmt_picture *picture)
{
    if (setjmp(png_jmpbuf(png)) != 0)
        return FMT_E_FORMAT;
    png_set_read_fn(png, source, read_bytes);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
    png_read_info(png, info);
    png_set_strip_16(png);
    png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    uint32_t width = png_get_image_width(png, info);
    uint32_t height = png_get_image_height(png, info);
    if ((uint64_t)width * height > FMT_PICTURE_PIXELS_MAX)
        png_error(png, "more pixels than are allowed");
    picture->box = (struct fmt_picture_box){0, 0, width, height};
    picture->channels = png_get_channels(png, info);
    picture->stride_bytes = png_get_rowbytes(png, info);
    source->rows = malloc(height * sizeof(*source->rows));
    if (source->rows == NULL || !fmt_buffer_reserve(pixels, picture->stride_bytes * height))
        return FMT_E_MEMORY;
    for (uint32_t y = 0; y < height; y++)
        source->rows[y] = pixels->bytes + y * picture->stride_bytes;
    png_read_image(png, source->rows);
    png_read_end(png, NULL);
    picture->pixels = pixels->bytes;
    return FMT_OK;
}

enum fmt_rc fmt_png_by_libpng(const uint8_t *in, size_t len, struct fmt_buffer *pixels,
                              struct fmt_picture *picture, struct fmt_error *error)
{
    struct source source = {.in = in, .len_bytes = len};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, fail, say_nothing);
    if (png == NULL)
        return FMT_E_MEMORY;
    png_infop info = png_create_info_struct(png);
    enum fmt_rc rc = FMT_E_MEMORY;
    if (info != NULL)
        rc = read_all(png, info, &source, pixels, picture);
    if (rc == FMT_E_FORMAT)
        rc = fmt_fail(error, 0, 0, "PNG: %s", source.text);
    free(source.rows);
    png_destroy_read_struct(&png, &info, NULL);
    return rc;
}
