/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_jpeg.c - JPEG files: pixels of whole pictures and of parts of them against
 * libjpeg's own, and files that are cut off, damaged or hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/exif.h"
#include "formats/jpeg.h"
#include "tests/arena.h"
#include "tests/picture_fixture.h"

static struct fmt_jpeg *jpeg;

static int jpeg_make(void **state)
{
    jpeg = fmt_jpeg_new();
    return jpeg == NULL ? -1 : arena_make(state);
}

static int jpeg_end(void **state)
{
    (void)state;
    fmt_jpeg_free(jpeg);
    return 0;
}

static void open_file(struct file file, struct fmt_picture_head *head)
{
    struct fmt_error error = {0};
    if (fmt_jpeg_open(jpeg, file.bytes, file.len, head, &error) != FMT_OK)
        fail_msg("%s", error.text);
}

static void decode(uint32_t channels, uint32_t reduction, const struct fmt_picture_box *want,
                   struct fmt_picture *picture)
{
    struct fmt_error error = {0};
    if (fmt_jpeg_decode(jpeg, channels, reduction, want, picture, &error) != FMT_OK)
        fail_msg("%s", error.text);
    assert_int_equal(picture->channels, channels);
    assert_true(picture->box.left <= want->left);
    assert_true(picture->box.top <= want->top);
    assert_true(picture->box.left + picture->box.width >= want->left + want->width);
    assert_true(picture->box.top + picture->box.height >= want->top + want->height);
}

/* The pixels of `want` are those of the whole picture in all[width]. */
static void check_region(const struct fmt_picture *picture, const struct fmt_picture_box *want,
                         const uint8_t *all, uint32_t width, const char *name)
{
    uint32_t channels = picture->channels;
    for (uint32_t y = want->top; y < want->top + want->height; y++) {
        const uint8_t *got = picture->pixels + (y - picture->box.top) * picture->stride_bytes +
                             (size_t)(want->left - picture->box.left) * channels;
        const uint8_t *expected = all + ((size_t)y * width + want->left) * channels;
        if (memcmp(got, expected, (size_t)want->width * channels) != 0)
            fail_msg("%s: row %u of the region %u+%u, %u+%u differs", name, y, want->left,
                     want->width, want->top, want->height);
    }
}

static void test_whole_and_parts(void **state)
{
    (void)state;
    for (size_t k = 0; k < JPEG_KINDS; k++) {
        const struct jpeg_kind *kind = &jpeg_kinds[k];
        if (kind->channels == 4)
            continue;
        for (uint32_t round = 0; round < 6; round++) {
            uint32_t w = 1 + below(round < 2 ? 40 : 300);
            uint32_t h = 1 + below(round < 2 ? 40 : 200);
            uint8_t *photo = make_photo(w, h, kind->channels, below(1000));
            struct file file = make_jpeg(kind, photo, w, h, 85, NULL, 0);
            for (uint32_t channels = 1; channels <= 3; channels += 2)
                for (uint32_t reduction = 1; reduction <= 8; reduction *= 2) {
                    uint32_t width, height;
                    uint8_t *all = libjpeg_pixels(file, channels, reduction, &width, &height);
                    for (int part = 0; part < 5; part++) {
                        struct fmt_picture_head head;
                        struct fmt_picture picture;
                        struct fmt_picture_box want = {0, 0, width, height};
                        if (part > 0) {
                            want.left = below(width);
                            want.top = below(height);
                            want.width = 1 + below(width - want.left);
                            want.height = 1 + below(height - want.top);
                        }
                        open_file(file, &head);
                        assert_int_equal(head.width, w);
                        assert_int_equal(head.height, h);
                        assert_int_equal(head.orientation, 1);
                        decode(channels, reduction, &want, &picture);
                        check_region(&picture, &want, all, width, kind->name);
                    }
                    free(all);
                }
            free(file.bytes);
            free(photo);
        }
    }
}

/* Parts are decoded alone: what surrounds them is not. */
static void test_part_is_no_larger_than_needed(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(500, 375, 3, 1);
    struct file file = make_jpeg(&jpeg_kinds[0], photo, 500, 375, 90, NULL, 0);
    struct fmt_picture_head head;
    struct fmt_picture picture;
    struct fmt_picture_box want = {138, 75, 224, 224};
    open_file(file, &head);
    decode(3, 1, &want, &picture);
    assert_true(picture.box.width <= 224 + 2 * 16 + 4);
    assert_int_equal(picture.box.height, 224);
    free(file.bytes);
    free(photo);
}

/* Ink is stored inverted: 255 is none. */
static void test_ink_becomes_light(void **state)
{
    (void)state;
    static const uint8_t inks[][4] = {{255, 255, 255, 255}, {0, 255, 255, 255},
                                      {255, 255, 0, 255},   {255, 255, 255, 0},
                                      {128, 200, 255, 255}, {255, 100, 50, 128}};
    for (size_t k = 0; k < JPEG_KINDS; k++)
        for (size_t i = 0; i < sizeof(inks) / sizeof(inks[0]); i++) {
            if (jpeg_kinds[k].channels != 4)
                continue;
            uint8_t *photo = fixture_allocate(32 * 32 * 4);
            for (size_t at = 0; at < 32 * 32; at++)
                memcpy(photo + 4 * at, inks[i], 4);
            struct file file = make_jpeg(&jpeg_kinds[k], photo, 32, 32, 100, NULL, 0);
            struct fmt_picture_head head;
            struct fmt_picture picture;
            struct fmt_picture_box want = {0, 0, 32, 32};
            open_file(file, &head);
            decode(3, 1, &want, &picture);
            for (int c = 0; c < 3; c++) {
                int expected = inks[i][c] * inks[i][3] / 255;
                assert_in_range(picture.pixels[16 * picture.stride_bytes + 48 + (size_t)c] + 4,
                                expected, expected + 8);
            }
            uint8_t luma = fmt_picture_luma(picture.pixels);
            open_file(file, &head);
            decode(1, 1, &want, &picture);
            assert_int_equal(picture.pixels[0], luma);
            free(file.bytes);
            free(photo);
        }
}

static void test_reduction_covers_the_target(void **state)
{
    (void)state;
    assert_int_equal(fmt_jpeg_reduction(500, 375, 341, 256), 1);
    assert_int_equal(fmt_jpeg_reduction(512, 512, 256, 256), 2);
    assert_int_equal(fmt_jpeg_reduction(511, 511, 256, 256), 2); /* 256 comes out */
    assert_int_equal(fmt_jpeg_reduction(510, 512, 256, 256), 1);
    assert_int_equal(fmt_jpeg_reduction(1024, 1024, 256, 256), 4);
    assert_int_equal(fmt_jpeg_reduction(4000, 3000, 341, 256), 8);
    assert_int_equal(fmt_jpeg_reduction(1600, 1200, 341, 256), 4); /* never 5/8 or the like */
    assert_int_equal(fmt_jpeg_reduction(100, 100, 200, 200), 1);
}

static size_t make_exif(uint8_t *out, bool big_endian, uint32_t orientation)
{
    static const uint8_t little[] = "Exif\0\0II*\0\x08\0\0\0\x02\0"
                                    "\x0f\x01\x02\0\x04\0\0\0abc\0"
                                    "\x12\x01\x03\0\x01\0\0\0\0\0\0\0"
                                    "\0\0\0";
    static const uint8_t big[] = "Exif\0\0MM\0*\0\0\0\x08\0\x02"
                                 "\x01\x0f\0\x02\0\0\0\x04"
                                 "abc\0"
                                 "\x01\x12\0\x03\0\0\0\x01\0\0\0\0"
                                 "\0\0\0";
    memcpy(out, big_endian ? big : little, sizeof(little));
    out[big_endian ? 37 : 36] = (uint8_t)orientation;
    return sizeof(little);
}

static void test_orientation_is_read(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(20, 10, 3, 1);
    for (uint32_t orientation = 0; orientation <= 9; orientation++)
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            uint8_t exif[64];
            size_t len = make_exif(exif, big_endian, orientation);
            struct file file = make_jpeg(&jpeg_kinds[0], photo, 20, 10, 90, exif, (unsigned)len);
            struct fmt_picture_head head;
            open_file(file, &head);
            assert_int_equal(head.orientation,
                             orientation >= 1 && orientation <= 8 ? orientation : 1);
            free(file.bytes);
            /* cut off and flipped anywhere: something from 1 to 8, nothing read outside */
            for (size_t cut = 0; cut <= len - 6; cut++) {
                uint8_t *edge = arena + ARENA_BYTES - cut;
                if (cut > 0)
                    memcpy(edge, exif + 6, cut);
                assert_in_range(fmt_exif_orientation(edge, cut), 1, 8);
                if (cut > 0)
                    edge[below((uint32_t)cut)] = (uint8_t)below(256);
                assert_in_range(fmt_exif_orientation(edge, cut), 1, 8);
            }
        }
    free(photo);
}

/* Whether the file is refused, its head or its pixels. */
static bool is_refused(const uint8_t *in, size_t len, struct fmt_error *error)
{
    struct fmt_picture_head head;
    struct fmt_picture picture;
    memset(error, 0, sizeof(*error));
    if (fmt_jpeg_open(jpeg, in, len, &head, error) != FMT_OK)
        return true;
    struct fmt_picture_box want = {head.width / 4, head.height / 4, (head.width + 1) / 2,
                                   (head.height + 1) / 2};
    return fmt_jpeg_decode(jpeg, 3, 1, &want, &picture, error) != FMT_OK;
}

static void test_truncated_anywhere_is_refused(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(61, 43, 4, 5);
    for (size_t k = 0; k < JPEG_KINDS; k++) {
        struct file file = make_jpeg(&jpeg_kinds[k], photo, 61, 43, 60, NULL, 0);
        struct fmt_error error;
        assert_true(file.len < ARENA_BYTES);
        for (size_t len = 0; len <= file.len; len++) {
            uint8_t *edge = arena + ARENA_BYTES - len;
            memcpy(edge, file.bytes, len);
            bool refused = is_refused(edge, len, &error);
            if (refused != (len < file.len))
                fail_msg("%s: %zu of %zu bytes: %s", jpeg_kinds[k].name, len, file.len, error.text);
            assert_true(!refused || strncmp(error.text, "JPEG: ", 6) == 0);
        }
        free(file.bytes);
    }
    free(photo);
}

/* A file whose data end early but which has an end: libjpeg alone paints the rest gray. */
static void test_missing_data_are_refused(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(160, 120, 3, 5);
    struct file file = make_jpeg(&jpeg_kinds[0], photo, 160, 120, 80, NULL, 0);
    struct fmt_error error;
    size_t half = file.len / 2;
    memcpy(file.bytes + half, "\xff\xd9", 2);
    assert_true(is_refused(file.bytes, half + 2, &error));
    assert_non_null(strstr(error.text, "premature end"));
    free(file.bytes);
    /* the handle is good for the next file */
    file = make_jpeg(&jpeg_kinds[0], photo, 160, 120, 80, NULL, 0);
    assert_false(is_refused(file.bytes, file.len, &error));
    free(file.bytes);
    free(photo);
}

static void test_harmless_oddities_are_read(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(40, 40, 3, 5);
    struct file file = make_jpeg(&jpeg_kinds[0], photo, 40, 40, 80, NULL, 0);
    uint8_t *longer = fixture_allocate(file.len + 300);
    struct fmt_error error;
    memcpy(longer, file.bytes, file.len);
    assert_false(is_refused(longer, file.len + 300, &error)); /* zeros behind the end */
    memcpy(longer + file.len - 2, "\x12\x34\x56\xff\xd9", 5); /* before the end */
    assert_false(is_refused(longer, file.len + 3, &error));
    free(longer);
    free(file.bytes);
    free(photo);
}

/* Where the frame header's height is: behind ff c0, length and precision. */
static uint8_t *find_dimensions(struct file file)
{
    for (size_t i = 0; i + 9 < file.len; i++)
        if (file.bytes[i] == 0xff && (file.bytes[i + 1] == 0xc0 || file.bytes[i + 1] == 0xc2))
            return file.bytes + i + 5;
    fail_msg("no frame header");
    return NULL;
}

static void test_hostile_dimensions_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t dimensions[4];
        const char *text;
    } cases[] = {{{0xff, 0xdc, 0xff, 0xdc}, "more than the 100 million"},
                 {{0x20, 0x00, 0x20, 0x00}, "cannot be in"},
                 {{0x00, 0x00, 0x20, 0x00}, "Empty"},
                 {{0xff, 0xff, 0x00, 0x10}, "Maximum"}};
    uint8_t *photo = make_photo(16, 16, 3, 5);
    for (size_t k = 0; k < 6; k += 5)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct file file = make_jpeg(&jpeg_kinds[k], photo, 16, 16, 80, NULL, 0);
            struct fmt_picture_head head;
            struct fmt_error error = {0};
            memcpy(find_dimensions(file), cases[i].dimensions, 4);
            assert_int_equal(fmt_jpeg_open(jpeg, file.bytes, file.len, &head, &error),
                             FMT_E_FORMAT);
            if (strstr(error.text, cases[i].text) == NULL)
                fail_msg("%s", error.text);
            free(file.bytes);
        }
    free(photo);
}

/* A copy of the file without segments of that kind. */
static struct file without(struct file file, uint8_t marker)
{
    struct file shorter = {fixture_allocate(file.len), 2};
    size_t at = 2;
    memcpy(shorter.bytes, file.bytes, 2);
    while (file.bytes[at + 1] != 0xda) {
        size_t len = 2 + ((size_t)file.bytes[at + 2] << 8 | file.bytes[at + 3]);
        if (file.bytes[at + 1] != marker) {
            memcpy(shorter.bytes + shorter.len, file.bytes + at, len);
            shorter.len += len;
        }
        at += len;
    }
    memcpy(shorter.bytes + shorter.len, file.bytes + at, file.len - at);
    shorter.len += file.len - at;
    return shorter;
}

/* What a file is read as does not depend on the files before it: libjpeg's handle keeps tables. */
static void test_tables_are_forgotten(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(64, 64, 3, 5);
    struct file plain = make_jpeg(&jpeg_kinds[2], photo, 64, 64, 60, NULL, 0);
    struct file other = make_jpeg(&jpeg_kinds[5], photo, 64, 64, 90, NULL, 0); /* own tables */
    struct file no_huffman = without(plain, 0xc4);
    struct file no_quantization = without(plain, 0xdb);
    struct fmt_error error;
    for (int round = 0; round < 3; round++) {
        struct fmt_picture_head head;
        struct fmt_picture picture;
        struct fmt_picture_box want = {0, 0, 64, 64};
        uint32_t width, height;
        uint8_t *all = libjpeg_pixels(plain, 3, 1, &width, &height);
        assert_true(is_refused(no_quantization.bytes, no_quantization.len, &error));
        assert_non_null(strstr(error.text, "quantization table is missing"));
        open_file(no_huffman, &head); /* a frame of Motion JPEG: standard tables, as the file's */
        decode(3, 1, &want, &picture);
        check_region(&picture, &want, all, 64, "no Huffman tables");
        assert_false(is_refused(other.bytes, other.len, &error));
        if (round == 1) {
            fmt_jpeg_free(jpeg);
            jpeg = fmt_jpeg_new();
        }
        free(all);
    }
    free(plain.bytes);
    free(other.bytes);
    free(no_huffman.bytes);
    free(no_quantization.bytes);
    free(photo);
}

static void test_damaged_files_do_no_harm(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(50, 40, 4, 5);
    for (size_t k = 0; k < JPEG_KINDS; k++) {
        struct file file = make_jpeg(&jpeg_kinds[k], photo, 50, 40, 60, NULL, 0);
        uint8_t *edge = arena + ARENA_BYTES - file.len;
        for (int round = 0; round < 300; round++) {
            struct fmt_error error;
            memcpy(edge, file.bytes, file.len);
            for (uint32_t n = 1 + below(4); n > 0; n--)
                edge[below((uint32_t)file.len)] ^= (uint8_t)(1 + below(255));
            if (is_refused(edge, file.len, &error))
                assert_true(strncmp(error.text, "JPEG: ", 6) == 0);
        }
        struct fmt_error error;
        assert_false(is_refused(file.bytes, file.len, &error));
        free(file.bytes);
    }
    free(photo);
}

/* Of a file, and of a region of it: the same pixels or the same words as from libjpeg alone. */
static bool check_against_plain(struct fmt_jpeg *plain, const uint8_t *in, size_t len,
                                const char *name)
{
    struct fmt_picture_head head, plain_head;
    struct fmt_picture picture, expected;
    struct fmt_error error = {.text = ""}, cause = {.text = ""};
    enum fmt_rc rc = fmt_jpeg_open(jpeg, in, len, &head, &error);
    assert_int_equal(fmt_jpeg_open(plain, in, len, &plain_head, &cause), rc);
    if (rc != FMT_OK || head.width > 1000 || head.height > 1000)
        return false;
    struct fmt_picture_box want = {below(head.width), below(head.height), 0, 0};
    if (below(2) == 0)
        want.left = want.top = 0;
    want.width = head.width - want.left;
    want.height = head.height - want.top;
    uint32_t channels = below(3) == 0 ? 1 : 3, reduction = 1u << below(4) * below(2);
    if (reduction > 1)
        want = (struct fmt_picture_box){0, 0, 1, (head.height + reduction - 1) / reduction};
    rc = fmt_jpeg_decode(jpeg, channels, reduction, &want, &picture, &error);
    assert_int_equal(fmt_jpeg_decode_plain(plain, channels, reduction, &want, &expected, &cause),
                     rc);
    if (rc != FMT_OK) {
        assert_string_equal(error.text, cause.text);
        return false;
    }
    assert_memory_equal(&picture.box, &expected.box, sizeof(picture.box));
    if (memcmp(picture.pixels, expected.pixels, picture.stride_bytes * picture.box.height) != 0)
        fail_msg("%s: pixels differ", name);
    return true;
}

static void test_codes_are_read_as_by_libjpeg(void **state)
{
    (void)state;
    static const int qualities[] = {1, 30, 75, 95, 96, 100};
    struct fmt_jpeg *plain = fmt_jpeg_new();
    size_t good = 0, bad = 0;
    assert_non_null(plain);
    for (size_t k = 0; k < JPEG_KINDS; k++)
        for (size_t q = 0; q < sizeof(qualities) / sizeof(qualities[0]); q++) {
            uint8_t *photo = make_photo(90, 70, 4, below(1000));
            struct file file = make_jpeg(&jpeg_kinds[k], photo, 90, 70, qualities[q], NULL, 0);
            assert_true(file.len < ARENA_BYTES);
            uint8_t *edge = arena + ARENA_BYTES - file.len;
            memcpy(edge, file.bytes, file.len);
            assert_true(check_against_plain(plain, edge, file.len, jpeg_kinds[k].name));
            for (int round = 0; round < 60; round++) {
                memcpy(edge, file.bytes, file.len);
                for (uint32_t n = 1 + below(2); n > 0; n--)
                    edge[below((uint32_t)file.len)] = below(3) == 0 ? 0xff : (uint8_t)below(256);
                if (check_against_plain(plain, edge, file.len, jpeg_kinds[k].name))
                    good++;
                else
                    bad++;
            }
            free(file.bytes);
            free(photo);
        }
    assert_true(good > 100);
    assert_true(bad > 100);
    fmt_jpeg_free(plain);
}

/* Tiny files with thousands of scans would keep a processor busy for minutes. */
static void test_many_scans_are_refused(void **state)
{
    (void)state;
    static const struct jpeg_kind split = {"split", 3, JCS_YCbCr, 2, 2, true, false, 0, true};
    uint8_t *photo = make_photo(64, 64, 3, 5);
    struct file file = make_jpeg(&split, photo, 64, 64, 60, NULL, 0);
    struct fmt_error error;
    assert_true(is_refused(file.bytes, file.len, &error));
    assert_non_null(strstr(error.text, "more than 100 scans"));
    free(file.bytes);
    free(photo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_parts),
        cmocka_unit_test(test_part_is_no_larger_than_needed),
        cmocka_unit_test(test_ink_becomes_light),
        cmocka_unit_test(test_reduction_covers_the_target),
        cmocka_unit_test(test_orientation_is_read),
        cmocka_unit_test(test_truncated_anywhere_is_refused),
        cmocka_unit_test(test_missing_data_are_refused),
        cmocka_unit_test(test_harmless_oddities_are_read),
        cmocka_unit_test(test_hostile_dimensions_are_refused),
        cmocka_unit_test(test_tables_are_forgotten),
        cmocka_unit_test(test_damaged_files_do_no_harm),
        cmocka_unit_test(test_codes_are_read_as_by_libjpeg),
        cmocka_unit_test(test_many_scans_are_refused),
    };
    return cmocka_run_group_tests(tests, jpeg_make, jpeg_end);
}
