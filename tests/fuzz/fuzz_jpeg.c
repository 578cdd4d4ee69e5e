/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_jpeg.c - JPEG files: whatever the bytes, no harm is done; a part that is decoded
 * is that part of the whole, if the whole can be decoded, which is decoded by libjpeg alone.
 *
 * The input: four bytes that choose channels, reduction and the part, and the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/jpeg.h"

/* Larger pictures take long, and nothing else happens in them. */
#define PIXELS_MAX ((uint64_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum fmt_rc decode_function(struct fmt_jpeg *jpeg, uint32_t channels, uint32_t reduction,
                                    const struct fmt_picture_box *want, struct fmt_picture *picture,
                                    struct fmt_error *error);

static bool decode(decode_function *function, struct fmt_jpeg *jpeg, const uint8_t *in, size_t len,
                   uint32_t channels, uint32_t reduction, const struct fmt_picture_box *want,
                   struct fmt_picture *picture)
{
    struct fmt_picture_head head;
    struct fmt_error error;
    return fmt_jpeg_open(jpeg, in, len, &head, &error) == FMT_OK &&
           function(jpeg, channels, reduction, want, picture, &error) == FMT_OK;
}

static void compare(const struct fmt_picture *part, const struct fmt_picture_box *want,
                    const struct fmt_picture *whole)
{
    size_t row_bytes = (size_t)want->width * part->channels;
    for (uint32_t y = want->top; y < want->top + want->height; y++) {
        const uint8_t *a = part->pixels + (y - part->box.top) * part->stride_bytes +
                           (size_t)(want->left - part->box.left) * part->channels;
        const uint8_t *b =
            whole->pixels + y * whole->stride_bytes + (size_t)want->left * part->channels;
        if (memcmp(a, b, row_bytes) != 0) {
            fprintf(stderr, "row %u of the part differs from the whole\n", y);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fmt_jpeg *first;
    static struct fmt_jpeg *second;
    struct fmt_picture_head head;
    struct fmt_error error;
    if (first == NULL)
        first = fmt_jpeg_new();
    if (second == NULL)
        second = fmt_jpeg_new();
    if (size < 4 || first == NULL || second == NULL)
        return 0;
    const uint8_t *in = data + 4;
    size_t len = size - 4;
    if (fmt_jpeg_open(first, in, len, &head, &error) != FMT_OK ||
        (uint64_t)head.width * head.height > PIXELS_MAX)
        return 0;
    uint32_t channels = data[0] & 1 ? 3 : 1;
    uint32_t reduction = 1u << (data[0] >> 1 & 3);
    uint32_t width = (head.width + reduction - 1) / reduction;
    uint32_t height = (head.height + reduction - 1) / reduction;
    struct fmt_picture_box all = {0, 0, width, height};
    struct fmt_picture_box want = {.left = data[1] * width / 256, .top = data[2] * height / 256};
    want.width = 1 + (width - want.left - 1) * (data[3] & 15) / 15;
    want.height = 1 + (height - want.top - 1) * (data[3] >> 4) / 15;
    struct fmt_picture part;
    struct fmt_picture whole;
    bool has_part = decode(fmt_jpeg_decode, first, in, len, channels, reduction, &want, &part);
    bool has_whole =
        decode(fmt_jpeg_decode_plain, second, in, len, channels, reduction, &all, &whole);
    if (has_whole && !has_part)
        abort();
    if (has_whole)
        compare(&part, &want, &whole);
    return 0;
}
