/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png.c - PNG files to pixels (PNG, second edition). */
#include "formats/png.h"

#include <libdeflate.h>

#include "formats/exif.h"
#include "formats/png_filter.h"
#include "formats/png_libpng.h"

enum { SIGNATURE_BYTES = 8, CHUNK_BYTES = 12, HEAD_BYTES = 13, PALETTE_COLOURS = 256 };
enum colour { GRAY = 0, RGB = 2, PALETTE = 3, GRAY_ALPHA = 4, RGBA = 6 };

/* Deflate makes at most this many bytes of one. */
#define RATIO_MAX 1032

struct fmt_png {
    struct libdeflate_decompressor *inflater;
    struct fmt_buffer joined; /* the contents of all IDAT chunks, when there are several */
    struct fmt_buffer raw;    /* a row of zeros, then rows with a byte of filter in front */
    struct fmt_buffer pixels; /* when their channels are not the file's, or libpng made them */

    /* the file at hand */
    const uint8_t *in;
    size_t len_bytes;
    uint32_t width, height;
    uint8_t depth, colour, interlaced;
    bool is_plain;           /* as far as is known, not one for libpng */
    const uint8_t *deflated; /* the contents of the only IDAT chunk, or of the first */
    size_t deflated_bytes;   /* of all of them */
    uint32_t parts;          /* how many they are */
    uint8_t palette[PALETTE_COLOURS][3];
    bool has_palette;
};

/* One chunk of a file; contents and what follows lie within the file. */
struct chunk {
    uint32_t type;
    const uint8_t *contents;
    uint32_t len_bytes;
    bool is_sound; /* the CRC is right */
};

#define CHUNK_TYPE(a, b, c, d)                                                                     \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

struct fmt_png *fmt_png_new(void)
{
    struct fmt_png *png = calloc(1, sizeof(*png));
    if (png == NULL)
        return NULL;
    png->inflater = libdeflate_alloc_decompressor();
    if (png->inflater == NULL) {
        free(png);
        return NULL;
    }
    return png;
}

void fmt_png_free(struct fmt_png *png)
{
    if (png == NULL)
        return;
    libdeflate_free_decompressor(png->inflater);
    free(png->joined.bytes);
    free(png->raw.bytes);
    free(png->pixels.bytes);
    free(png);
}

static uint32_t load_be32(const uint8_t *p)
{
    return CHUNK_TYPE(p[0], p[1], p[2], p[3]);
}

/* Bytes of a pixel when samples are of 8 bits. */
static uint32_t stored_channels(uint8_t colour)
{
    switch (colour) {
    case RGB:
        return 3;
    case GRAY_ALPHA:
        return 2;
    case RGBA:
        return 4;
    default:
        return 1;
    }
}

/* The chunk at `at`; false when the file ends inside it. */
static bool next_chunk(const struct fmt_png *png, size_t at, struct chunk *chunk)
{
    size_t left = png->len_bytes - at;
    if (left < CHUNK_BYTES)
        return false;
    const uint8_t *p = png->in + at;
    chunk->len_bytes = load_be32(p);
    if (chunk->len_bytes > left - CHUNK_BYTES)
        return false;
    chunk->type = load_be32(p + 4);
    chunk->contents = p + 8;
    chunk->is_sound = libdeflate_crc32(0, p + 4, chunk->len_bytes + (size_t)4) ==
                      load_be32(p + 8 + chunk->len_bytes);
    return true;
}

static void take_palette(struct fmt_png *png, const struct chunk *chunk)
{
    memset(png->palette, 0, sizeof(png->palette)); /* an index beyond the palette is black */
    bool good = !png->has_palette && png->parts == 0 && chunk->len_bytes > 0 &&
                chunk->len_bytes % 3 == 0 && chunk->len_bytes <= sizeof(png->palette);
    if (good)
        memcpy(png->palette, chunk->contents, chunk->len_bytes);
    png->has_palette = good;
    png->is_plain = png->is_plain && good;
}

/* Notes what a chunk after the first says. `last_type` is the type of the one before. */
static void take_chunk(struct fmt_png *png, const struct chunk *chunk, uint32_t last_type,
                       struct fmt_picture_head *head)
{
    bool is_critical = (chunk->type >> 24 & 0x20) == 0;
    if (is_critical && !chunk->is_sound)
        png->is_plain = false;
    switch (chunk->type) {
    case CHUNK_TYPE('P', 'L', 'T', 'E'):
        take_palette(png, chunk);
        break;
    case CHUNK_TYPE('I', 'D', 'A', 'T'):
        if (png->parts == 0)
            png->deflated = chunk->contents;
        else if (last_type != chunk->type)
            png->is_plain = false;
        png->parts++;
        png->deflated_bytes += chunk->len_bytes;
        break;
    case CHUNK_TYPE('e', 'X', 'I', 'f'):
        if (chunk->is_sound)
            head->orientation = fmt_exif_orientation(chunk->contents, chunk->len_bytes);
        break;
    case CHUNK_TYPE('I', 'E', 'N', 'D'):
        break;
    default:
        if (is_critical)
            png->is_plain = false;
        break;
    }
}

/* Walks the chunks after the first one. A file that ends early is for libpng to refuse. */
static void walk(struct fmt_png *png, size_t at, struct fmt_picture_head *head)
{
    uint32_t last_type = 0;
    while (last_type != CHUNK_TYPE('I', 'E', 'N', 'D')) {
        struct chunk chunk;
        if (!next_chunk(png, at, &chunk)) {
            png->is_plain = false;
            return;
        }
        take_chunk(png, &chunk, last_type, head);
        last_type = chunk.type;
        at += CHUNK_BYTES + (size_t)chunk.len_bytes;
    }
}

static enum fmt_rc take_head(struct fmt_png *png, struct fmt_picture_head *head,
                             struct fmt_error *error)
{
    struct chunk chunk;
    if (!next_chunk(png, SIGNATURE_BYTES, &chunk) || chunk.type != CHUNK_TYPE('I', 'H', 'D', 'R') ||
        chunk.len_bytes != HEAD_BYTES)
        return fmt_fail(error, 0, 0, "PNG: does not begin with a whole IHDR chunk");
    if (!chunk.is_sound)
        return fmt_fail(error, 0, 0, "PNG: IHDR: CRC error");
    const uint8_t *p = chunk.contents;
    png->width = load_be32(p);
    png->height = load_be32(p + 4);
    png->depth = p[8];
    png->colour = p[9];
    png->interlaced = p[12];
    if (png->width == 0 || png->height == 0)
        return fmt_fail(error, 0, 0, "PNG: %u x %u pixels", png->width, png->height);
    if ((uint64_t)png->width * png->height > FMT_PICTURE_PIXELS_MAX)
        return fmt_fail(error, 0, 0, "PNG: %u x %u pixels, more than the %u million allowed",
                        png->width, png->height, (unsigned)(FMT_PICTURE_PIXELS_MAX / 1000000));
    bool known = png->colour == GRAY || png->colour == RGB || png->colour == PALETTE ||
                 png->colour == GRAY_ALPHA || png->colour == RGBA;
    png->is_plain = known && png->depth == 8 && p[10] == 0 && p[11] == 0 && p[12] == 0;
    *head = (struct fmt_picture_head){png->width, png->height, 1};
    return FMT_OK;
}

enum fmt_rc fmt_png_open(struct fmt_png *png, const uint8_t *in, size_t len,
                         struct fmt_picture_head *head, struct fmt_error *error)
{
    png->in = in;
    png->len_bytes = len;
    png->deflated_bytes = 0;
    png->parts = 0;
    png->has_palette = false;
    if (!fmt_is_png(in, len))
        return fmt_fail(error, 0, 0, "PNG: does not begin with the signature");
    enum fmt_rc rc = take_head(png, head, error);
    if (rc != FMT_OK)
        return rc;
    walk(png, SIGNATURE_BYTES + CHUNK_BYTES + HEAD_BYTES, head);
    uint64_t row_bits = (uint64_t)png->width * stored_channels(png->colour) * png->depth;
    if (row_bits / 8 * png->height / RATIO_MAX > png->deflated_bytes)
        return fmt_fail(error, 0, 0, "PNG: %u x %u pixels cannot be in %zu bytes: truncated",
                        png->width, png->height, png->deflated_bytes);
    return FMT_OK;
}

/* The contents of all IDAT chunks in one piece; NULL when memory is out. */
static const uint8_t *join(struct fmt_png *png)
{
    if (png->parts == 1)
        return png->deflated;
    if (!fmt_buffer_reserve(&png->joined, png->deflated_bytes))
        return NULL;
    const uint8_t *p = png->deflated - 8;
    for (size_t done = 0; done < png->deflated_bytes;) {
        uint32_t len = load_be32(p);
        memcpy(png->joined.bytes + done, p + 8, len);
        done += len;
        p += CHUNK_BYTES + (size_t)len;
    }
    return png->joined.bytes;
}

/* Rows 0 to row_count - 1 without their filters, in png->raw. FMT_MORE: ask libpng. */
static enum fmt_rc inflate_rows(struct fmt_png *png, size_t row_bytes, uint32_t row_count)
{
    size_t stride = row_bytes + 1;
    size_t raw_bytes = stride * png->height;
    const uint8_t *deflated = join(png);
    if (deflated == NULL || !fmt_buffer_reserve(&png->raw, row_bytes + raw_bytes))
        return FMT_E_MEMORY;
    uint8_t *rows = png->raw.bytes + row_bytes;
    size_t got;
    if (libdeflate_zlib_decompress(png->inflater, deflated, png->deflated_bytes, rows, raw_bytes,
                                   &got) != LIBDEFLATE_SUCCESS ||
        got != raw_bytes)
        return FMT_MORE;
    const uint8_t *above = png->raw.bytes;
    memset(png->raw.bytes, 0, row_bytes);
    uint32_t pixel_bytes = stored_channels(png->colour);
    for (uint32_t y = 0; y < row_count; y++) {
        uint8_t *row = rows + y * stride;
        if (!fmt_png_unfilter(row[0], row + 1, above, row_bytes, pixel_bytes))
            return FMT_MORE;
        above = row + 1;
    }
    return FMT_OK;
}

/* One row of `from` channels to one of `to`: 1 or 3. */
static void convert_row(const uint8_t *in, uint32_t from, uint32_t width, uint32_t to, uint8_t *out)
{
    for (uint32_t x = 0; x < width; x++, in += from, out += to) {
        if (from < 3)
            memset(out, in[0], to);
        else if (to == 3)
            memcpy(out, in, 3);
        else
            out[0] = fmt_picture_luma(in);
    }
}

static void look_up_row(const struct fmt_png *png, const uint8_t *in, uint32_t width, uint32_t to,
                        uint8_t *out)
{
    for (uint32_t x = 0; x < width; x++, out += to) {
        const uint8_t *colour = png->palette[in[x]];
        if (to == 3)
            memcpy(out, colour, 3);
        else
            out[0] = fmt_picture_luma(colour);
    }
}

/* Replaces the picture by the part of it that is wanted, with `channels`, in *to. */
static enum fmt_rc convert(const struct fmt_png *png, bool is_indexed, uint32_t channels,
                           const struct fmt_picture_box *want, struct fmt_buffer *to,
                           struct fmt_picture *picture)
{
    size_t stride = (size_t)want->width * channels;
    if (!fmt_buffer_reserve(to, stride * want->height))
        return FMT_E_MEMORY;
    for (uint32_t y = 0; y < want->height; y++) {
        const uint8_t *in = picture->pixels + (want->top + y) * picture->stride_bytes +
                            (size_t)want->left * picture->channels;
        uint8_t *out = to->bytes + y * stride;
        if (is_indexed)
            look_up_row(png, in, want->width, channels, out);
        else
            convert_row(in, picture->channels, want->width, channels, out);
    }
    *picture = (struct fmt_picture){to->bytes, stride, channels, *want};
    return FMT_OK;
}

static enum fmt_rc decode_plain(struct fmt_png *png, uint32_t channels,
                                const struct fmt_picture_box *want, struct fmt_picture *picture)
{
    uint32_t stored = stored_channels(png->colour);
    uint32_t row_count = want->top + want->height;
    size_t row_bytes = (size_t)png->width * stored;
    enum fmt_rc rc = inflate_rows(png, row_bytes, row_count);
    if (rc != FMT_OK)
        return rc;
    *picture = (struct fmt_picture){
        png->raw.bytes + row_bytes + 1, row_bytes + 1, stored, {0, 0, png->width, row_count}};
    bool is_indexed = png->colour == PALETTE;
    if (channels == 0)
        channels = is_indexed ? 3 : stored;
    if (channels == stored && !is_indexed)
        return FMT_OK;
    return convert(png, is_indexed, channels, want, &png->pixels, picture);
}

enum fmt_rc fmt_png_decode(struct fmt_png *png, uint32_t channels,
                           const struct fmt_picture_box *want, struct fmt_picture *picture,
                           struct fmt_error *error)
{
    if (png->is_plain && png->parts > 0 && (png->colour != PALETTE || png->has_palette)) {
        enum fmt_rc rc = decode_plain(png, channels, want, picture);
        if (rc != FMT_MORE)
            return rc;
    }
    enum fmt_rc rc = fmt_png_by_libpng(png->in, png->len_bytes, &png->pixels, picture, error);
    if (rc != FMT_OK || channels == 0 || channels == picture->channels)
        return rc;
    return convert(png, false, channels, want, &png->raw, picture);
}
