/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_store.c - rows of pixels to where a batch keeps them. */
#include "formats/image_store.h"

#include <string.h>

#include "formats/convert_x86.h"
#include "formats/image_resize_x86.h"

void fmt_split_floats_plainly(const uint8_t *row, uint32_t width, const float *scale,
                              const float *offset, float *out, size_t plane)
{
    for (uint32_t x = 0; x < width; x++, row += 3)
        for (size_t c = 0; c < 3; c++)
            out[c * plane + x] = (float)row[c] * scale[c] + offset[c];
}

void fmt_scale_floats_plainly(const uint8_t *row, uint32_t width, const float *scale,
                              const float *offset, float *out)
{
    for (uint32_t x = 0; x < width; x++, row += 3, out += 3)
        for (size_t c = 0; c < 3; c++)
            out[c] = (float)row[c] * scale[c] + offset[c];
}

static void store_bytes(const struct fmt_image_store *store, const uint8_t *row, uint32_t y,
                        uint8_t *out)
{
    size_t width = store->width;
    size_t channels = store->channels;
    if (!store->planes || channels == 1) {
        memcpy(out + y * width * channels, row, width * channels);
        return;
    }
    size_t plane = width * store->height;
    out += y * width;
    for (size_t x = 0; x < width; x++, row += 3)
        for (size_t c = 0; c < 3; c++)
            out[c * plane + x] = row[c];
}

static void store_floats(const struct fmt_image_store *store, const uint8_t *row, uint32_t y,
                         float *out)
{
    uint32_t width = store->width;
    size_t plane = (size_t)width * store->height;
    const float *scale = store->scale;
    const float *offset = store->offset;
    float *to = out + (size_t)y * width * (store->planes ? 1 : store->channels);
    if (store->channels == 1) {
        for (uint32_t x = 0; x < width; x++)
            to[x] = (float)row[x] * scale[0] + offset[0];
        return;
    }
#if defined(__x86_64__)
    if (fmt_has_avx2()) {
        if (store->planes)
            fmt_split_floats_avx2(row, width, scale, offset, to, plane);
        else
            fmt_scale_floats_avx2(row, width, scale, offset, to);
        return;
    }
#endif
    if (store->planes)
        fmt_split_floats_plainly(row, width, scale, offset, to, plane);
    else
        fmt_scale_floats_plainly(row, width, scale, offset, to);
}

void fmt_image_store_row(const struct fmt_image_store *store, const uint8_t *row, uint32_t y,
                         void *out)
{
    if (store->floats)
        store_floats(store, row, y, out);
    else
        store_bytes(store, row, y, out);
}
