/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_picture.h - pictures to measure with.
 *
 * For bench/perf_*.c alone. Owner: the caller, of all that is returned. Units: pixels of three
 * bytes.
 */
#ifndef BENCH_PERF_PICTURE_H
#define BENCH_PERF_PICTURE_H

#include "bench/perf.h"

#include <math.h>
#include <stdint.h>

#include <jpeglib.h>

struct perf_file {
    uint8_t *bytes;
    size_t len;
};

/* Waves and noise, where there are no photographs. */
static inline uint8_t *perf_paint(uint32_t width, uint32_t height, uint32_t number)
{
    uint8_t *pixels = perf_need(malloc((size_t)width * height * 3));
    uint32_t chance = number + 1;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++) {
                chance = chance * 1664525u + 1013904223u;
                double value = 120 + 80 * sin((x + number * 31) * 0.05 + c) * cos(y * 0.04) +
                               (double)(chance >> 28);
                pixels[((size_t)y * width + x) * 3 + c] = (uint8_t)value;
            }
    return pixels;
}

/* 4:2:0, quality 90. */
static inline struct perf_file perf_make_jpeg(const uint8_t *pixels, uint32_t width,
                                              uint32_t height)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr messages;
    struct perf_file file = {NULL, 0};
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&messages);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file.bytes, &len);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 90, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)jpeg.next_scanline * width * 3);
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    file.len = len;
    return file;
}

#endif
