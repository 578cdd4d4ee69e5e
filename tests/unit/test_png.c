/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_png.c - PNG files: pixels against libpng's own, row filters against a plain loop,
 * and files that are cut off, damaged or hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/png.h"
#include "formats/png_filter.h"
#include "tests/arena.h"
#include "tests/picture_fixture.h"
#include <zlib.h>

static struct fmt_png *png;

static int png_make(void **state)
{
    png = fmt_png_new();
    return png == NULL ? -1 : arena_make(state);
}

static int png_end(void **state)
{
    (void)state;
    fmt_png_free(png);
    return 0;
}

static void test_filters_as_plain_loop(void **state)
{
    (void)state;
    static uint8_t above[400];
    static uint8_t expected[400];
    for (int round = 0; round < 20000; round++) {
        uint32_t pixel_bytes = 1 + below(4);
        size_t len = pixel_bytes * (1 + below(round % 2 ? 6 : 90));
        uint8_t filter = (uint8_t)below(6);
        uint8_t *row = arena + ARENA_BYTES - len; /* a page that must not be touched comes next */
        uint8_t *up = row - len;
        for (size_t i = 0; i < len; i++) {
            row[i] = expected[i] = (uint8_t)below(256);
            up[i] = above[i] = (uint8_t)below(round % 3 ? 256 : 4);
        }
        uint8_t canary = up[-1];
        bool good = fmt_png_unfilter_plainly(filter, expected, above, len, pixel_bytes);
        assert_int_equal(good, filter <= 4);
        assert_int_equal(fmt_png_unfilter(filter, row, up, len, pixel_bytes), good);
        assert_memory_equal(row, expected, len);
        assert_memory_equal(up, above, len);
        assert_int_equal(up[-1], canary);
    }
}

static void open_file(struct file file, struct fmt_picture_head *head)
{
    struct fmt_error error = {0};
    if (fmt_png_open(png, file.bytes, file.len, head, &error) != FMT_OK)
        fail_msg("%s", error.text);
}

/* What a pixel of libpng's is with another number of channels. */
static void expect_pixel(const uint8_t *from, uint32_t channels, uint32_t to, uint8_t *out)
{
    for (uint32_t c = 0; c < to; c++)
        out[c] = channels == 1 ? from[0] : to == 1 ? fmt_picture_luma(from) : from[c];
}

static void check(const struct fmt_picture *picture, const struct fmt_picture_box *want,
                  const uint8_t *all, uint32_t width, uint32_t channels, const char *name)
{
    assert_true(picture->box.left <= want->left && picture->box.top <= want->top);
    assert_true(picture->box.left + picture->box.width >= want->left + want->width);
    assert_true(picture->box.top + picture->box.height >= want->top + want->height);
    for (uint32_t y = want->top; y < want->top + want->height; y++)
        for (uint32_t x = want->left; x < want->left + want->width; x++) {
            uint8_t expected[4];
            const uint8_t *got = picture->pixels + (y - picture->box.top) * picture->stride_bytes +
                                 (size_t)(x - picture->box.left) * picture->channels;
            uint32_t compared = picture->channels < 3 ? 1 : 3; /* alpha is not libpng_pixels' */
            expect_pixel(all + ((size_t)y * width + x) * channels, channels, compared, expected);
            if (memcmp(got, expected, compared) != 0)
                fail_msg("%s: pixel %u, %u differs", name, x, y);
        }
}

static void test_pixels_as_libpng(void **state)
{
    (void)state;
    static const int filters[] = {PNG_FILTER_NONE, PNG_FILTER_SUB,   PNG_FILTER_UP,
                                  PNG_FILTER_AVG,  PNG_FILTER_PAETH, PNG_ALL_FILTERS};
    for (size_t k = 0; k < PNG_KINDS; k++)
        for (size_t f = 0; f < sizeof(filters) / sizeof(filters[0]); f++)
            for (uint32_t round = 0; round < 4; round++) {
                uint32_t w = 1 + below(round == 0 ? 5 : 70);
                uint32_t h = 1 + below(round == 0 ? 5 : 40);
                uint32_t width, height, channels;
                struct file file =
                    make_png(&png_kinds[k], w, h, below(1000), filters[f], round % 2 ? 100 : 0);
                uint8_t *all = libpng_pixels(file, &width, &height, &channels);
                for (uint32_t to = 0; to <= 3; to += to == 0 ? 1 : 2) {
                    struct fmt_picture_head head;
                    struct fmt_picture picture;
                    struct fmt_error error = {0};
                    struct fmt_picture_box want = {0, 0, w, h};
                    if (round >= 2) {
                        want.left = below(w);
                        want.top = below(h);
                        want.width = 1 + below(w - want.left);
                        want.height = 1 + below(h - want.top);
                    }
                    open_file(file, &head);
                    assert_int_equal(head.width, w);
                    assert_int_equal(head.height, h);
                    if (fmt_png_decode(png, to, &want, &picture, &error) != FMT_OK)
                        fail_msg("%s: %s", png_kinds[k].name, error.text);
                    if (to != 0)
                        assert_int_equal(picture.channels, to);
                    check(&picture, &want, all, width, channels, png_kinds[k].name);
                }
                free(all);
                free(file.bytes);
            }
}

static bool is_refused(const uint8_t *in, size_t len, struct fmt_error *error)
{
    struct fmt_picture_head head;
    struct fmt_picture picture;
    memset(error, 0, sizeof(*error));
    if (fmt_png_open(png, in, len, &head, error) != FMT_OK)
        return true;
    struct fmt_picture_box want = {0, 0, head.width, head.height};
    return fmt_png_decode(png, 3, &want, &picture, error) != FMT_OK;
}

static void test_truncated_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < PNG_KINDS; k++) {
        struct file file = make_png(&png_kinds[k], 25, 17, 3, PNG_ALL_FILTERS, k % 2 ? 200 : 0);
        struct fmt_error error;
        for (size_t len = 0; len <= file.len; len++) {
            uint8_t *edge = arena + ARENA_BYTES - len;
            memcpy(edge, file.bytes, len);
            bool refused = is_refused(edge, len, &error);
            if (refused != (len < file.len))
                fail_msg("%s: %zu of %zu bytes: %s", png_kinds[k].name, len, file.len, error.text);
            assert_true(!refused || strncmp(error.text, "PNG: ", 5) == 0);
        }
        free(file.bytes);
    }
}

/* A flipped bit in any chunk that matters is found by its CRC. */
static void test_flipped_bits_are_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < PNG_KINDS; k++) {
        if (png_kinds[k].with_trns)
            continue; /* damage there is of no consequence */
        struct file file = make_png(&png_kinds[k], 25, 17, 3, PNG_ALL_FILTERS, 0);
        struct fmt_error error;
        for (size_t at = 0; at < file.len; at++) {
            uint8_t *edge = arena + ARENA_BYTES - file.len;
            memcpy(edge, file.bytes, file.len);
            edge[at] ^= (uint8_t)(1u << below(8));
            if (!is_refused(edge, file.len, &error))
                fail_msg("%s: byte %zu of %zu", png_kinds[k].name, at, file.len);
        }
        free(file.bytes);
    }
}

static void mend_crc(uint8_t *chunk)
{
    uint32_t len =
        (uint32_t)chunk[0] << 24 | (uint32_t)chunk[1] << 16 | (uint32_t)chunk[2] << 8 | chunk[3];
    uint32_t crc = (uint32_t)crc32(0, chunk + 4, len + 4);
    for (int i = 0; i < 4; i++)
        chunk[8 + len + (uint32_t)i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void test_hostile_dimensions_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t dimensions[8];
        const char *text;
    } cases[] = {{{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}, "more than the 100 million"},
                 {{0, 0, 0x20, 0, 0, 0, 0x20, 0}, "cannot be in"},
                 {{0, 0, 0, 0, 0, 0, 0, 9}, "0 x 9"},
                 {{0x80, 0, 0, 0, 0, 0, 0, 1}, "more than the 100 million"}};
    for (size_t k = 0; k < PNG_KINDS; k++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct file file = make_png(&png_kinds[k], 9, 9, 3, PNG_ALL_FILTERS, 0);
            struct fmt_error error;
            memcpy(file.bytes + 16, cases[i].dimensions, 8);
            mend_crc(file.bytes + 8);
            assert_true(is_refused(file.bytes, file.len, &error));
            if (strstr(error.text, cases[i].text) == NULL)
                fail_msg("%s", error.text);
            free(file.bytes);
        }
}

/* Whether libpng reads the file. */
static bool libpng_reads(struct file file)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    bool good = png_image_begin_read_from_memory(&image, file.bytes, file.len) != 0;
    png_image_free(&image);
    return good;
}

/* Damage with right CRCs reaches what is behind them. */
static void test_damaged_files_do_no_harm(void **state)
{
    (void)state;
    unsigned read = 0;
    for (size_t k = 0; k < PNG_KINDS; k++) {
        struct file file = make_png(&png_kinds[k], 25, 17, 3, PNG_ALL_FILTERS, k % 2 ? 200 : 0);
        for (int round = 0; round < 300; round++) {
            struct fmt_error error;
            uint8_t *edge = arena + ARENA_BYTES - file.len;
            memcpy(edge, file.bytes, file.len);
            edge[below((uint32_t)file.len)] ^= (uint8_t)(1 + below(255));
            for (size_t at = 8; at + 12 <= file.len;) {
                size_t len = (size_t)edge[at] << 24 | (size_t)edge[at + 1] << 16 |
                             (size_t)edge[at + 2] << 8 | edge[at + 3];
                if (len > file.len - at - 12)
                    break;
                mend_crc(edge + at);
                at += len + 12;
            }
            if (is_refused(edge, file.len, &error))
                assert_true(strncmp(error.text, "PNG: ", 5) == 0);
            else
                read += libpng_reads((struct file){edge, file.len});
        }
        free(file.bytes);
    }
    assert_true(read > 0);
}

/* eXIf says which way up the picture is. */
static void test_orientation_is_read(void **state)
{
    (void)state;
    struct file file = make_png(&png_kinds[2], 9, 5, 3, PNG_ALL_FILTERS, 0);
    static const uint8_t exif[] = "\0\0\0\x1a"
                                  "eXIfMM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
                                  "\0\0\0\0\0\0\0";
    size_t at = 8 + 25; /* behind IHDR */
    size_t exif_bytes = 26 + 12;
    uint8_t *longer = fixture_allocate(file.len + exif_bytes);
    struct fmt_picture_head head;
    memcpy(longer, file.bytes, at);
    memcpy(longer + at, exif, exif_bytes);
    memcpy(longer + at + exif_bytes, file.bytes + at, file.len - at);
    mend_crc(longer + at);
    open_file((struct file){longer, file.len + exif_bytes}, &head);
    assert_int_equal(head.orientation, 6);
    longer[at + exif_bytes - 1] ^= 1; /* of no consequence but this */
    open_file((struct file){longer, file.len + exif_bytes}, &head);
    assert_int_equal(head.orientation, 1);
    free(longer);
    free(file.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_as_plain_loop),
        cmocka_unit_test(test_pixels_as_libpng),
        cmocka_unit_test(test_truncated_anywhere_is_refused),
        cmocka_unit_test(test_flipped_bits_are_refused),
        cmocka_unit_test(test_hostile_dimensions_are_refused),
        cmocka_unit_test(test_damaged_files_do_no_harm),
        cmocka_unit_test(test_orientation_is_read),
    };
    return cmocka_run_group_tests(tests, png_make, png_end);
}
