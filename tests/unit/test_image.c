/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_image.c - pictures to rows: application/x-image, whole objects as the pipe
 * hands them over; crops, orientations, labels, and what is drawn by lot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/image_label.h"
#include "formats/image_read.h"
#include "formats/picture.h"
#include "tests/image_fixture.h"

static const struct png_kind gray_png = {"gray 8", PNG_COLOR_TYPE_GRAY, 8, false, false};
static const struct jpeg_kind color_jpeg = {"", 3, JCS_YCbCr, 2, 2, false, false, 0, false};

static void test_center_crop_is_the_middle(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 31, 24, 3, PNG_ALL_FILTERS, 0);
    uint32_t channels;
    uint8_t *all = pixels_of(file, &channels);
    struct drive_result nhwc = run("application/x-image;image_shape=3,10,20", "a", file, NULL);
    struct drive_result nchw =
        run("image/png;image_shape=3,10,20;layout=nchw;mirror=on", "a", file, NULL);
    struct drive_result floats =
        run("image/png;image_shape=3,10,20;dtype=float32;mean=10,20,30;std=2,4,8;scale=0.5", "a",
            file, NULL);
    check_good(&nhwc, 1);
    check_good(&nchw, 1);
    check_good(&floats, 1);
    assert_int_equal(nhwc.shape.type, FMT_U8);
    assert_int_equal(floats.shape.type, FMT_F32);
    assert_int_equal(nhwc.shape.feature_dim, 600);
    assert_int_equal(nhwc.shape.label_dim, 0);
    for (uint32_t y = 0; y < 10; y++)
        for (uint32_t x = 0; x < 20; x++)
            for (uint32_t c = 0; c < 3; c++) {
                uint8_t level = all[((y + 7) * 31 + x + 5) * 3 + c];
                float mean = (float)(10 * (c + 1));
                float expected = ((float)level - mean) / (float)(2 << c) * 0.5f;
                assert_int_equal(nhwc.more[(y * 20 + x) * 3 + c], level);
                assert_int_equal(nchw.more[(c * 10 + y) * 20 + 19 - x], level);
                assert_true(fabsf(floats.values[(c * 10 + y) * 20 + x] - expected) < 1e-4f);
            }
    drive_result_free(&nhwc);
    drive_result_free(&nchw);
    drive_result_free(&floats);
    free(all);
    free(file.bytes);
}

static void test_gray_and_color(void **state)
{
    (void)state;
    struct file color = make_png(&rgb_png, 12, 9, 3, PNG_ALL_FILTERS, 0);
    struct file gray = make_png(&gray_png, 12, 9, 3, PNG_ALL_FILTERS, 0);
    uint32_t channels;
    uint8_t *color_pixels = pixels_of(color, &channels);
    uint8_t *gray_pixels = pixels_of(gray, &channels);
    struct drive_result to_gray = run("image/png;image_shape=1,9,12", "a", color, NULL);
    struct drive_result to_color = run("image/png;image_shape=3,9,12", "a", gray, NULL);
    check_good(&to_gray, 1);
    check_good(&to_color, 1);
    for (uint32_t i = 0; i < 9 * 12; i++) {
        assert_int_equal(to_gray.more[i], fmt_picture_luma(color_pixels + 3 * i));
        for (uint32_t c = 0; c < 3; c++)
            assert_int_equal(to_color.more[3 * i + c], gray_pixels[i]);
    }
    drive_result_free(&to_gray);
    drive_result_free(&to_color);
    free(color_pixels);
    free(gray_pixels);
    free(color.bytes);
    free(gray.bytes);
}

/* A JPEG file of a gray ramp that gets lighter to the right (x) and, less so, down (y): which way
 * the picture lies can be told from four corners. */
static struct file make_ramp(uint32_t width, uint32_t height, uint32_t orientation)
{
    static const struct jpeg_kind kind = {"", 1, JCS_GRAYSCALE, 1, 1, false, false, 0, false};
    uint8_t exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    uint8_t *ramp = fixture_allocate((size_t)width * height);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            ramp[y * width + x] = (uint8_t)(20 + 150 * x / width + 60 * y / height);
    exif[25] = (uint8_t)orientation;
    struct file file = make_jpeg(&kind, ramp, width, height, 98, exif, sizeof(exif) - 1);
    free(ramp);
    return file;
}

/* Levels of the upper left, upper right and lower left corner of the picture the right way up, on
 * the scale of the ramp, where that is EXIF's orientation 1 to 8. */
static const int ramp_corners[9][3] = {{0},           {20, 170, 80}, {170, 20, 230}, {230, 80, 170},
                                       {80, 230, 20}, {20, 80, 170}, {80, 20, 230},  {230, 170, 80},
                                       {170, 230, 20}};

static void test_orientations(void **state)
{
    (void)state;
    for (uint32_t orientation = 1; orientation <= 8; orientation++) {
        bool swapped = orientation >= 5;
        struct file file = make_ramp(61, 44, orientation);
        const char *whole =
            swapped ? "image/jpeg;image_shape=1,61,44" : "image/jpeg;image_shape=1,44,61";
        const char *small = "image/jpeg;image_shape=1,10,10;crop=none";
        const char *exact = "image/jpeg;image_shape=1,10,10;crop=none;dct_scaling=off";
        uint32_t w = swapped ? 44 : 61;
        uint32_t h = swapped ? 61 : 44;
        struct drive_result big = run(whole, "a", file, NULL);
        struct drive_result reduced = run(small, "a", file, NULL);
        struct drive_result scaled = run(exact, "a", file, NULL);
        struct drive_result kept =
            run("image/jpeg;image_shape=1,44,61;orientation=keep", "a", file, NULL);
        check_good(&big, 1);
        check_good(&reduced, 1);
        check_good(&scaled, 1);
        check_good(&kept, 1);
        const int *corners = ramp_corners[orientation];
        assert_in_range(big.more[0] + 6, corners[0], corners[0] + 12);
        assert_in_range(big.more[w - 1] + 6, corners[1], corners[1] + 12);
        assert_in_range(big.more[(h - 1) * w] + 6, corners[2], corners[2] + 12);
        assert_in_range(kept.more[60] + 6, 170, 182);
        /* reduced by four while it was decoded, 61 and 44 being no multiples of four (61 is not) */
        for (int i = 0; i < 100; i++)
            if (abs(reduced.more[i] - scaled.more[i]) > 4)
                fail_msg("orientation %u: pixel %d is %d reduced and %d not", orientation, i,
                         reduced.more[i], scaled.more[i]);
        drive_result_free(&big);
        drive_result_free(&reduced);
        drive_result_free(&scaled);
        drive_result_free(&kept);
        free(file.bytes);
    }
}

/* resize=N then a crop is the crop of the whole picture resized: no pixel depends on how much of
 * the file was decoded. */
static void test_crops_agree_with_the_whole(void **state)
{
    (void)state;
    uint8_t *photo = make_photo(203, 150, 3, 9);
    struct file files[2] = {make_jpeg(&color_jpeg, photo, 203, 150, 90, NULL, 0),
                            make_png(&rgb_png, 203, 150, 3, PNG_ALL_FILTERS, 0)};
    for (int i = 0; i < 2; i++) {
        struct drive_result whole =
            run("application/x-image;image_shape=3,64,86;resize=64", "a", files[i], NULL);
        struct drive_result part =
            run("application/x-image;image_shape=3,20,30;resize=64", "a", files[i], NULL);
        check_good(&whole, 1);
        check_good(&part, 1);
        for (uint32_t y = 0; y < 20; y++)
            assert_memory_equal(part.more + y * 90, whole.more + ((y + 22) * 86 + 28) * 3, 90);
        drive_result_free(&whole);
        drive_result_free(&part);
        free(files[i].bytes);
    }
    free(photo);
}

static struct fmt_view choose(const char *content_type, uint64_t lot_seed, uint32_t epoch,
                              uint64_t position, uint32_t width, uint32_t height)
{
    struct fmt_options options = parse(content_type);
    struct fmt_view view;
    struct fmt_error error = {.text = ""};
    struct fmt_lot lot = {lot_seed, position, epoch};
    if (fmt_view_choose(options.own, lot, width, height, &view, &error) != FMT_OK)
        fail_msg("%s", error.text);
    fmt_options_free(&options);
    return view;
}

static void test_lots_are_pure_functions(void **state)
{
    (void)state;
    static const char type[] = "image/png;image_shape=3,10,10;crop=random;mirror=random";
    struct fmt_view first = choose(type, 1, 2, 3, 1000, 1000);
    struct fmt_view again = choose(type, 1, 2, 3, 1000, 1000);
    assert_memory_equal(&first, &again, sizeof(first));
    unsigned same = 0;
    unsigned mirrored = 0;
    unsigned left = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct fmt_view by_seed = choose(type, i, 2, 3, 1000, 1000);
        struct fmt_view by_epoch = choose(type, 1, i, 3, 1000, 1000);
        struct fmt_view by_position = choose(type, 1, 2, i, 1000, 1000);
        assert_true(by_position.x.from <= 990 && by_position.y.from <= 990);
        same += by_seed.x.from == first.x.from && by_seed.y.from == first.y.from;
        same += by_epoch.x.from == first.x.from && by_epoch.y.from == first.y.from;
        same += by_position.x.from == first.x.from && by_position.y.from == first.y.from;
        mirrored += by_position.mirror;
        left += by_position.x.from < 495;
    }
    assert_int_equal(same, 3); /* itself */
    assert_in_range(mirrored, 420, 580);
    assert_in_range(left, 420, 580);
}

static void test_random_parts_have_their_size(void **state)
{
    (void)state;
    static const char type[] = "image/png;image_shape=3,10,20;crop=random_resized;"
                               "min_random_area=0.1;max_random_area=0.5;"
                               "min_aspect_ratio=0.5;max_aspect_ratio=2";
    double least = 1;
    double most = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        struct fmt_view view = choose(type, 7, 0, i, 400, 300);
        double area = (double)view.x.extent * view.y.extent / (400 * 300);
        double aspect = (double)view.x.extent / view.y.extent;
        assert_true(view.x.origin + view.x.extent <= 400);
        assert_true(view.y.origin + view.y.extent <= 300);
        assert_int_equal(view.x.size, 20);
        assert_int_equal(view.y.size, 10);
        assert_true(aspect > 0.48 && aspect < 2.05);
        least = area < least ? area : least;
        most = area > most ? area : most;
    }
    assert_true(least > 0.095 && least < 0.12);
    assert_true(most > 0.45 && most < 0.51);
    /* one that fits nowhere: the middle */
    struct fmt_view view = choose("image/png;image_shape=3,10,20;crop=random_resized;"
                                  "min_random_area=0.9;min_aspect_ratio=1;max_aspect_ratio=1",
                                  7, 0, 0, 400, 100);
    assert_int_equal(view.x.extent, 100);
    assert_int_equal(view.x.origin, 150);
    assert_int_equal(view.y.extent, 100);
}

static void test_small_pictures_are_refused(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 19, 30, 3, PNG_ALL_FILTERS, 0);
    struct drive_result result = run("image/png;image_shape=3,10,20", "a", file, NULL);
    assert_true(result.failed);
    assert_non_null(strstr(result.text, "19 x 30 pixels, fewer than the 20 x 10"));
    drive_result_free(&result);
    result = run("image/png;image_shape=3,10,20;resize=20", "a", file, NULL);
    check_good(&result, 1);
    drive_result_free(&result);
    free(file.bytes);
}

static void test_bad_objects_are_refused(void **state)
{
    (void)state;
    struct file text = {(uint8_t *)(uintptr_t) "hello", 5};
    struct drive_result result = run("image/png;image_shape=3,1,1", "a", text, NULL);
    assert_true(result.failed);
    assert_string_equal(result.text, "neither a JPEG nor a PNG file: it begins with 68 65 6c");
    drive_result_free(&result);
    struct file file = make_png(&rgb_png, 19, 30, 3, PNG_ALL_FILTERS, 0);
    file.len -= 20;
    result = run("image/png;image_shape=3,1,1", "a", file, NULL);
    assert_true(result.failed);
    assert_int_equal(result.rows, 0);
    drive_result_free(&result);
    free(file.bytes);
}

static void test_labels_of_a_list(void **state)
{
    (void)state;
    struct file file = make_png(&rgb_png, 4, 4, 3, PNG_ALL_FILTERS, 0);
    static const char list[] = "0\t3\tcats/1.png\n1\t4\tdogs/1.png\n";
    static const char type[] = "image/png;image_shape=3,1,1;dtype=float32;lst=x.lst";
    struct drive_result result = run(type, "train/dogs/1.png", file, list);
    check_good(&result, 1);
    assert_int_equal(result.shape.label_dim, 1);
    assert_true(result.values[3] == 4);
    drive_result_free(&result);
    result = run(type, "train/cows/1.png", file, list);
    assert_true(result.failed);
    assert_string_equal(result.text, "x.lst has no line for the picture");
    drive_result_free(&result);
    result = run(type, "train/dogs/1.png", file, NULL);
    assert_true(result.failed);
    assert_non_null(strstr(result.text, "was not read"));
    drive_result_free(&result);
    result = run("image/png;image_shape=3,1,1;dtype=float32;lst=x.lst;label_pad_width=3",
                 "dogs/1.png", file, list);
    check_good(&result, 1);
    static const float padded[] = {4, -1, -1};
    assert_memory_equal(result.values + 3, padded, sizeof(padded));
    drive_result_free(&result);
    free(file.bytes);
}

static void test_labels_as_manifests_have_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int count; /* -1: none can be read */
        float labels[4];
    } cases[] = {{"1", 1, {1}},         {" -2.5e1 ", 1, {-25}},
                 {"[0, 2]", 2, {0, 2}}, {"[ 1,2 ,3 ]", 3, {1, 2, 3}},
                 {"[]", 0, {0}},        {" [ ] ", 0, {0}},
                 {"", -1, {0}},         {" ", -1, {0}},
                 {"1,2", -1, {0}},      {"[1,]", -1, {0}},
                 {"[,1]", -1, {0}},     {"[1 2]", -1, {0}},
                 {"[1", -1, {0}},       {"1]", -1, {0}},
                 {"]", -1, {0}},        {"[", -1, {0}},
                 {"[[1]]", -1, {0}},    {"dog", -1, {0}},
                 {"1x", -1, {0}},       {"[1,2,3,4,5]", -1, {0}}}; /* more than there is room for */
    struct fmt_options options = parse("image/png;image_shape=3,1,1;label_pad_width=4");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float out[5] = {[4] = 77};
        struct fmt_error error;
        size_t len = strlen(cases[i].text);
        uint8_t *edge = arena + ARENA_BYTES - len;
        memcpy(edge, cases[i].text, len);
        enum fmt_rc rc = fmt_image_put_value(options.own, edge, len, out, &error);
        assert_true(out[4] == 77);
        if ((rc == FMT_OK) != (cases[i].count >= 0))
            fail_msg("'%s': %s", cases[i].text, error.text);
        for (int k = 0; k < 4 && cases[i].count >= 0; k++)
            assert_true(out[k] == (k < cases[i].count ? cases[i].labels[k] : -1));
    }
    fmt_options_free(&options);
}

static void test_options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *cause;
    } cases[] = {
        {"image/png", "image_shape is missing"},
        {"image/png;image_shape=2,4,4", "1 or 3 channels"},
        {"image/png;image_shape=3,4", "must be CHANNELS,HEIGHT,WIDTH"},
        {"image/png;image_shape=3,0,4", "must be CHANNELS,HEIGHT,WIDTH"},
        {"image/png;image_shape=3,4,4,4", "must be CHANNELS,HEIGHT,WIDTH"},
        {"image/png;image_shape=3,4.5,4", "must be CHANNELS,HEIGHT,WIDTH"},
        {"image/png;image_shape=3,4,99999", "sides up to 16384"},
        {"image/png;image_shape=3,4,4;crop=left", "center, random, random_resized or none"},
        {"image/png;image_shape=3,4,4;crop=none;resize=4", "leave out resize"},
        {"image/png;image_shape=3,4,4;mean=1", "need dtype=float32"},
        {"image/png;image_shape=3,4,4;dtype=float32;mean=1,2", "one number or three"},
        {"image/png;image_shape=3,4,4;dtype=float32;mean=1,x,3", "must be a number"},
        {"image/png;image_shape=3,4,4;dtype=float32;std=0", "std is 0"},
        {"image/png;image_shape=3,4,4;dtype=float32;std=nan", "must be a number"},
        {"image/png;image_shape=3,4,4;min_random_area=2", "from 0.0001 to 1"},
        {"image/png;image_shape=3,4,4;min_aspect_ratio=3", "larger than"},
        {"image/png;image_shape=3,4,4;multipart=dmlc", "no parameter multipart"},
        {"application/x-recordio;image_shape=3,4,4;lst=a", "no parameter lst"},
        {"application/x-recordio;image_shape=3,4,4;multipart=x", "concat, dmlc or auto"},
        {"application/x-recordio;image_shape=3,4,4;label_width=2;label_pad_width=3", "leave out"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fmt_options options;
        struct fmt_error error = {.text = ""};
        assert_int_equal(fmt_options_parse(cases[i].type, &options, &error), FMT_E_ARGUMENT);
        if (strstr(error.text, cases[i].cause) == NULL)
            fail_msg("%s: %s", cases[i].type, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_center_crop_is_the_middle),
        cmocka_unit_test(test_gray_and_color),
        cmocka_unit_test(test_orientations),
        cmocka_unit_test(test_crops_agree_with_the_whole),
        cmocka_unit_test(test_lots_are_pure_functions),
        cmocka_unit_test(test_random_parts_have_their_size),
        cmocka_unit_test(test_small_pictures_are_refused),
        cmocka_unit_test(test_bad_objects_are_refused),
        cmocka_unit_test(test_labels_of_a_list),
        cmocka_unit_test(test_labels_as_manifests_have_them),
        cmocka_unit_test(test_options_are_checked),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
