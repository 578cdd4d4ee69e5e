/* SPDX-License-Identifier: Apache-2.0 */
/* formats/exif.c - the one EXIF field that changes what a picture shows (EXIF 2.32, 4.6.2). */
#include "formats/exif.h"

#include <stdbool.h>
#include <string.h>

enum { ORIENTATION_TAG = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12, HEAD_BYTES = 8 };

struct tiff {
    const uint8_t *bytes;
    bool big_endian;
};

static uint32_t load_16(struct tiff tiff, size_t at)
{
    const uint8_t *p = tiff.bytes + at;
    return tiff.big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t load_32(struct tiff tiff, size_t at)
{
    uint32_t first = load_16(tiff, at);
    uint32_t second = load_16(tiff, at + 2);
    return tiff.big_endian ? first << 16 | second : second << 16 | first;
}

uint32_t fmt_exif_orientation(const uint8_t *bytes, size_t len_bytes)
{
    if (len_bytes < HEAD_BYTES ||
        (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0))
        return 1;
    struct tiff tiff = {.bytes = bytes, .big_endian = bytes[0] == 'M'};
    size_t at = load_32(tiff, 4);
    if (at > len_bytes - 2)
        return 1;
    uint32_t entries = load_16(tiff, at);
    at += 2;
    for (uint32_t i = 0; i < entries && len_bytes - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
        if (load_16(tiff, at) != ORIENTATION_TAG)
            continue;
        uint32_t value = load_16(tiff, at + 8);
        bool good = load_16(tiff, at + 2) == TYPE_SHORT && value >= 1 && value <= 8;
        return good ? value : 1;
    }
    return 1;
}

uint32_t fmt_exif_orientation_jpeg(const uint8_t *in, size_t len_bytes)
{
    size_t at = 2;
    while (at + 4 <= len_bytes && in[at] == 0xff) {
        uint8_t marker = in[at + 1];
        if (marker == 0xff) { /* a fill byte */
            at++;
            continue;
        }
        size_t segment_bytes = (size_t)in[at + 2] << 8 | in[at + 3];
        if (marker == 0xda || marker == 0xd9 || segment_bytes < 2 ||
            segment_bytes > len_bytes - at - 2)
            break;
        if (marker == 0xe1 && segment_bytes >= 8 && memcmp(in + at + 4, "Exif\0\0", 6) == 0)
            return fmt_exif_orientation(in + at + 10, segment_bytes - 8);
        at += 2 + segment_bytes;
    }
    return 1;
}
