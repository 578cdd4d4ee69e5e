/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_png.c - PNG files: what is read without libpng is what libpng reads.
 *
 * The input: a byte that chooses what is asked for, and the file. Checksums of chunks are mended,
 * so that damage reaches what is behind them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "formats/png.h"
#include "formats/png_libpng.h"

#define PIXELS_MAX ((uint64_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *file, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        size_t len = (size_t)file[at] << 24 | (size_t)file[at + 1] << 16 |
                     (size_t)file[at + 2] << 8 | file[at + 3];
        if (len > size - at - 12)
            return;
        uint32_t crc = __builtin_bswap32((uint32_t)crc32(0, file + at + 4, (uInt)len + 4));
        memcpy(file + at + 8 + len, &crc, sizeof(crc));
        at += len + 12;
    }
}

/* Every pixel, without alpha, and the number of channels. */
static void compare(const struct fmt_picture *own, const struct fmt_picture *theirs)
{
    uint32_t channels = own->channels < 3 ? 1 : 3;
    bool same = (own->channels < 3) == (theirs->channels < 3);
    for (uint32_t y = 0; y < theirs->box.height && same; y++)
        for (uint32_t x = 0; x < theirs->box.width && same; x++)
            same = memcmp(own->pixels + y * own->stride_bytes + (size_t)x * own->channels,
                          theirs->pixels + y * theirs->stride_bytes + (size_t)x * theirs->channels,
                          channels) == 0;
    if (!same) {
        fprintf(stderr, "pixels differ from libpng's\n");
        abort();
    }
}

static void check(const uint8_t *in, size_t len, uint32_t channels)
{
    static struct fmt_png *png;
    static struct fmt_buffer pixels;
    struct fmt_picture_head head;
    struct fmt_picture own;
    struct fmt_picture theirs;
    struct fmt_error error;
    if (png == NULL)
        png = fmt_png_new();
    if (png == NULL || fmt_png_open(png, in, len, &head, &error) != FMT_OK ||
        (uint64_t)head.width * head.height > PIXELS_MAX)
        return;
    struct fmt_picture_box want = {0, 0, head.width, head.height};
    if (fmt_png_decode(png, channels, &want, &own, &error) != FMT_OK)
        return;
    if (fmt_png_by_libpng(in, len, &pixels, &theirs, &error) != FMT_OK) {
        fprintf(stderr, "libpng refuses it: %s\n", error.text);
        abort();
    }
    if (channels == 0)
        compare(&own, &theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t *file = malloc(size);
    if (file == NULL)
        return 0;
    size_t len = size - 1;
    uint8_t *end = file + size; /* ASan sees the first byte too many */
    memcpy(end - len, data + 1, len);
    if (data[0] & 4)
        mend(end - len, len);
    check(end - len, len, data[0] & 1 ? (data[0] & 2 ? 3 : 1) : 0);
    free(file);
    return 0;
}
