/* SPDX-License-Identifier: Apache-2.0 */
/* tests/picture_fixture.h - pictures that look like photographs, as JPEG and PNG files made by
 * libjpeg and libpng, and what these libraries read from such files. For tests and benchmarks.
 */
#ifndef TESTS_PICTURE_FIXTURE_H
#define TESTS_PICTURE_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

struct file {
    uint8_t *bytes;
    size_t len;
};

static inline void *fixture_allocate(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);
    if (p == NULL)
        abort();
    return p;
}

/* Waves, edges and noise. `channels` interleaved; the caller frees. */
static inline uint8_t *make_photo(uint32_t width, uint32_t height, uint32_t channels,
                                  uint32_t number)
{
    uint8_t *pixels = fixture_allocate((size_t)width * height * channels);
    uint32_t chance = number * 2654435761u + 1;
    size_t at = 0;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < channels; c++) {
                chance = chance * 1664525u + 1013904223u;
                double wave = sin((x + number % 97) * 0.05 + c) * cos(y * 0.04 - c * 0.7) * 80;
                double edge = (x / 13 + y / 17 + number) % 3 == 0 ? 30 : 0;
                double value = 120 + wave + edge + (double)(chance >> 28) - 8;
                pixels[at++] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
    return pixels;
}

struct jpeg_kind {
    const char *name;
    uint32_t channels; /* of the pixels given: 1, 3 or 4 */
    J_COLOR_SPACE stored;
    int across, down; /* sampling of the first component */
    bool progressive, arithmetic;
    int restart_rows;
    bool split; /* progressive with a scan for each coefficient: 190 of them */
};

static const struct jpeg_kind jpeg_kinds[] = {
    {"4:2:0", 3, JCS_YCbCr, 2, 2, false, false, 0, false},
    {"4:2:2", 3, JCS_YCbCr, 2, 1, false, false, 0, false},
    {"4:4:4", 3, JCS_YCbCr, 1, 1, false, false, 0, false},
    {"4:4:0", 3, JCS_YCbCr, 1, 2, false, false, 0, false},
    {"4:1:1", 3, JCS_YCbCr, 4, 1, false, false, 0, false},
    {"progressive", 3, JCS_YCbCr, 2, 2, true, false, 0, false},
    {"progressive 4:4:4", 3, JCS_YCbCr, 1, 1, true, false, 0, false},
    {"gray", 1, JCS_GRAYSCALE, 1, 1, false, false, 0, false},
    {"RGB", 3, JCS_RGB, 1, 1, false, false, 0, false},
    {"restarts", 3, JCS_YCbCr, 2, 2, false, false, 1, false},
    {"CMYK", 4, JCS_CMYK, 1, 1, false, false, 0, false},
    {"YCCK", 4, JCS_YCCK, 2, 2, false, false, 0, false},
    {"arithmetic", 3, JCS_YCbCr, 2, 2, false, true, 0, false},
};
enum { JPEG_KINDS = sizeof(jpeg_kinds) / sizeof(jpeg_kinds[0]) };

/* All of DC, then one AC coefficient of one component at a time. */
static inline void split_scans(struct jpeg_compress_struct *jpeg, jpeg_scan_info *scans)
{
    int count = 0;
    scans[count++] = (jpeg_scan_info){.comps_in_scan = 3, .component_index = {0, 1, 2}};
    for (int c = 0; c < 3; c++)
        for (int k = 1; k < 64; k++)
            scans[count++] =
                (jpeg_scan_info){.comps_in_scan = 1, .component_index = {c}, .Ss = k, .Se = k};
    jpeg->scan_info = scans;
    jpeg->num_scans = count;
}

/* `app1` (NULL: none) is put in a segment of its own, for EXIF. */
static inline struct file make_jpeg(const struct jpeg_kind *kind, const uint8_t *pixels,
                                    uint32_t width, uint32_t height, int quality,
                                    const uint8_t *app1, unsigned app1_bytes)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr messages;
    unsigned char *bytes = NULL;
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&messages);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &len);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = (int)kind->channels;
    jpeg.in_color_space = kind->channels == 1   ? JCS_GRAYSCALE
                          : kind->channels == 3 ? JCS_RGB
                                                : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, kind->stored);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg.optimize_coding = quality > 95 && !kind->arithmetic; /* tables of the picture's own */
    jpeg.comp_info[0].h_samp_factor = kind->across;
    jpeg.comp_info[0].v_samp_factor = kind->down;
    if (kind->stored == JCS_YCCK) {
        jpeg.comp_info[3].h_samp_factor = kind->across;
        jpeg.comp_info[3].v_samp_factor = kind->down;
    }
    jpeg.arith_code = kind->arithmetic;
    jpeg.restart_in_rows = kind->restart_rows;
    jpeg_scan_info scans[200];
    if (kind->progressive)
        jpeg_simple_progression(&jpeg);
    if (kind->split)
        split_scans(&jpeg, scans);
    jpeg_start_compress(&jpeg, TRUE);
    if (app1 != NULL)
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, app1, app1_bytes);
    while (jpeg.next_scanline < height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(pixels + (size_t)jpeg.next_scanline * width * kind->channels);
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    struct file file = {fixture_allocate(len), len};
    memcpy(file.bytes, bytes, len);
    free(bytes);
    return file;
}

/* The whole picture by libjpeg alone: 1 or 3 channels, or 4 of ink. Exits on an error. */
static inline uint8_t *libjpeg_pixels(struct file file, uint32_t channels, uint32_t reduction,
                                      uint32_t *width, uint32_t *height)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr messages;
    jpeg.err = jpeg_std_error(&messages);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, file.bytes, file.len);
    (void)jpeg_read_header(&jpeg, TRUE);
    jpeg.scale_num = 1;
    jpeg.scale_denom = reduction;
    jpeg.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    (void)jpeg_start_decompress(&jpeg);
    *width = jpeg.output_width;
    *height = jpeg.output_height;
    uint8_t *pixels = fixture_allocate((size_t)*width * *height * channels);
    while (jpeg.output_scanline < *height) {
        JSAMPROW row = pixels + (size_t)jpeg.output_scanline * *width * channels;
        (void)jpeg_read_scanlines(&jpeg, &row, 1);
    }
    (void)jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return pixels;
}

struct png_kind {
    const char *name;
    int colour, depth;
    bool interlaced, with_trns;
};

static const struct png_kind png_kinds[] = {
    {"gray 8", PNG_COLOR_TYPE_GRAY, 8, false, false},
    {"gray alpha 8", PNG_COLOR_TYPE_GRAY_ALPHA, 8, false, false},
    {"RGB 8", PNG_COLOR_TYPE_RGB, 8, false, false},
    {"RGBA 8", PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false},
    {"palette 8", PNG_COLOR_TYPE_PALETTE, 8, false, false},
    {"gray 1", PNG_COLOR_TYPE_GRAY, 1, false, false},
    {"gray 2", PNG_COLOR_TYPE_GRAY, 2, false, false},
    {"gray 4", PNG_COLOR_TYPE_GRAY, 4, false, false},
    {"gray 16", PNG_COLOR_TYPE_GRAY, 16, false, false},
    {"RGB 16", PNG_COLOR_TYPE_RGB, 16, false, false},
    {"RGBA 16", PNG_COLOR_TYPE_RGB_ALPHA, 16, false, false},
    {"palette 1", PNG_COLOR_TYPE_PALETTE, 1, false, false},
    {"palette 4", PNG_COLOR_TYPE_PALETTE, 4, false, false},
    {"RGB 8 interlaced", PNG_COLOR_TYPE_RGB, 8, true, false},
    {"palette 4 interlaced", PNG_COLOR_TYPE_PALETTE, 4, true, false},
    {"gray 8 tRNS", PNG_COLOR_TYPE_GRAY, 8, false, true},
    {"RGB 8 tRNS", PNG_COLOR_TYPE_RGB, 8, false, true},
    {"palette 8 tRNS", PNG_COLOR_TYPE_PALETTE, 8, false, true},
};
enum { PNG_KINDS = sizeof(png_kinds) / sizeof(png_kinds[0]) };

static inline void png_append(png_structp png, png_bytep bytes, size_t count)
{
    struct file *file = png_get_io_ptr(png);
    file->bytes = realloc(file->bytes, file->len + count);
    if (file->bytes == NULL)
        abort();
    memcpy(file->bytes + file->len, bytes, count);
    file->len += count;
}

static inline uint32_t png_samples(int colour)
{
    return colour == PNG_COLOR_TYPE_RGB          ? 3
           : colour == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
           : colour == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                 : 1;
}

/* A file of that kind. `filters`: PNG_FILTER_NONE ... or PNG_ALL_FILTERS; `part_bytes`: contents of
 * an IDAT chunk at most, 0 for one. */
static inline struct file make_png(const struct png_kind *kind, uint32_t width, uint32_t height,
                                   uint32_t number, int filters, size_t part_bytes)
{
    struct file file = {NULL, 0};
    uint32_t samples = png_samples(kind->colour);
    size_t row_bytes = ((size_t)width * samples * (unsigned)kind->depth + 7) / 8;
    /* rows of bytes that are a photograph where a sample is a byte, and something else elsewhere */
    uint8_t *pixels = make_photo((uint32_t)(row_bytes / samples + 1), height, samples, number);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &file, png_append, NULL);
    png_set_IHDR(png, info, width, height, kind->depth, kind->colour,
                 kind->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (kind->colour == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[256];
        for (int i = 0; i < 256; i++)
            palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)((unsigned)i * 7)};
        png_set_PLTE(png, info, palette, 1 << kind->depth);
    }
    if (kind->with_trns) {
        png_byte alpha[3] = {0, 128, 255};
        png_color_16 colour = {0, 5, 5, 5, 5};
        png_set_tRNS(png, info, alpha, 3, &colour);
    }
    png_set_filter(png, 0, filters);
    png_set_compression_buffer_size(png, part_bytes > 0 ? part_bytes : (size_t)1 << 22);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < height; y++)
            png_write_row(png, pixels + y * row_bytes);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(pixels);
    return file;
}

static inline void png_take(png_structp png, png_bytep to, size_t count)
{
    struct file *file = png_get_io_ptr(png);
    if (count > file->len)
        png_error(png, "short");
    memcpy(to, file->bytes, count);
    file->bytes += count;
    file->len -= count;
}

/* What libpng reads as eight bits a sample, without transparency: *channels is 1 or 3. */
static inline uint8_t *libpng_pixels(struct file file, uint32_t *width, uint32_t *height,
                                     uint32_t *channels)
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_read_fn(png, &file, png_take);
    png_read_info(png, info);
    png_set_strip_16(png);
    png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    png_set_strip_alpha(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    *width = png_get_image_width(png, info);
    *height = png_get_image_height(png, info);
    *channels = png_get_channels(png, info);
    size_t stride = png_get_rowbytes(png, info);
    uint8_t *pixels = fixture_allocate(stride * *height);
    png_bytep *rows = fixture_allocate(*height * sizeof(*rows));
    for (uint32_t y = 0; y < *height; y++)
        rows[y] = pixels + y * stride;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    return pixels;
}

#endif
