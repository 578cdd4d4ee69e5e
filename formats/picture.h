/* SPDX-License-Identifier: Apache-2.0 */
/* formats/picture.h - what the readers of picture files (jpeg.h, png.h) and what is done with their
 * pixels (image_resize.h) share.
 *
 * Owner: whoever made a struct fmt_buffer frees it; a struct fmt_picture only points into memory
 *   of the reader that returned it, until that reader is used again.
 * Units: pixels, from the upper left corner as the file stores them; 8-bit samples, interleaved.
 */
#ifndef FORMATS_PICTURE_H
#define FORMATS_PICTURE_H

#include <stdlib.h>

#include "formats/fmt.h"

/* Larger pictures are refused before memory is allocated for them: 100 million pixels are 300 MB.
 */
#define FMT_PICTURE_PIXELS_MAX ((uint64_t)100000000)

struct fmt_picture_head {
    uint32_t width, height; /* as stored, before the orientation is applied */
    uint32_t orientation;   /* EXIF 2.32, 4.6.5.1: 1 to 8; 1 when the file says nothing usable */
};

struct fmt_picture_box {
    uint32_t left, top, width, height;
};

struct fmt_picture {
    const uint8_t *pixels; /* of the upper left corner of `box` */
    size_t stride_bytes;   /* from one row to the next */
    uint32_t channels;     /* 1: gray, 3: red, green, blue; see png.h for 2 and 4 */
    struct fmt_picture_box box;
};

/* Memory that grows to the largest picture that came by, and stays. */
struct fmt_buffer {
    uint8_t *bytes;
    size_t room_bytes;
};

/* Makes room for len_bytes; what was there is lost. False when memory is out. */
static inline bool fmt_buffer_reserve(struct fmt_buffer *buffer, size_t len_bytes)
{
    if (len_bytes <= buffer->room_bytes)
        return true;
    free(buffer->bytes);
    buffer->bytes = malloc(len_bytes);
    buffer->room_bytes = buffer->bytes != NULL ? len_bytes : 0;
    return buffer->bytes != NULL;
}

/* Red, green and blue to gray: ITU-R 601 luma in 16 bits, as PIL's convert("L"). */
static inline uint8_t fmt_picture_luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

#endif
