/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_image_resize.c - pictures to another size against PIL's two passes written down
 * plainly, vector loops against plain ones, rows of pixels to where a batch keeps them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "formats/convert_x86.h"
#include "formats/image_resize_x86.h"
#include "formats/image_store.h"
#include "tests/arena.h"
#include "tests/picture_fixture.h"

enum { SIDE_MAX = 64 };

/* One sample of one pass of PIL's BILINEAR (ImagingResample): in[size] samples, `step` apart, to
 * `outputs`, the box [from, to) of them. */
static double pil_sample(const uint8_t *in, size_t step, uint32_t size, double from, double to,
                         uint32_t outputs, uint32_t output)
{
    double scale = (to - from) / outputs;
    double support = scale < 1 ? 1 : scale;
    double centre = from + (output + 0.5) * scale;
    int start = (int)(centre - support + 0.5);
    int end = (int)(centre + support + 0.5);
    double sum = 0;
    double total = 0;
    start = start < 0 ? 0 : start;
    end = end > (int)size ? (int)size : end;
    for (int i = start; i < end; i++) {
        double away = fabs((i - centre + 0.5) / support);
        double weight = away < 1 ? 1 - away : 0;
        total += weight;
        sum += weight * in[(size_t)i * step];
    }
    return floor(sum / total + 0.5);
}

/* The whole picture to width x height, as PIL does it: across, rounded, then down. */
static uint8_t *pil_resize(const uint8_t *in, uint32_t w, uint32_t h, uint32_t channels,
                           uint32_t width, uint32_t height)
{
    uint8_t *across = fixture_allocate((size_t)width * h * channels);
    uint8_t *out = fixture_allocate((size_t)width * height * channels);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < channels; c++)
                across[((size_t)y * width + x) * channels + c] = (uint8_t)pil_sample(
                    in + (size_t)y * w * channels + c, channels, w, 0, w, width, x);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width * channels; x++)
            out[(size_t)y * width * channels + x] =
                (uint8_t)pil_sample(across + x, (size_t)width * channels, h, 0, h, height, y);
    free(across);
    return out;
}

static void make_axes(struct fmt_resize *resize, uint32_t channels, struct fmt_axis_plan columns,
                      struct fmt_axis_plan rows)
{
    assert_true(fmt_axis_make(&resize->columns, &columns));
    assert_true(fmt_axis_make(&resize->rows, &rows));
    assert_true(fmt_resize_begin(resize, channels));
}

/* A crop of the resized picture is the crop's part of it; only the source pixels that the axes name
 * are there, and a page that must not be touched comes behind them. */
static void test_as_pil_within_one_level(void **state)
{
    (void)state;
    struct fmt_resize resize = {.columns = {.count = 0}};
    for (int round = 0; round < 300; round++) {
        uint32_t channels = below(2) ? 3 : 1;
        uint32_t w = 1 + below(SIDE_MAX);
        uint32_t h = 1 + below(SIDE_MAX);
        uint32_t width = 1 + below(round % 3 == 0 ? 2 * SIDE_MAX : w);
        uint32_t height = 1 + below(round % 3 == 0 ? 2 * SIDE_MAX : h);
        bool mirror = below(2);
        uint32_t left = below(width);
        uint32_t top = below(height);
        uint32_t crop_width = 1 + below(width - left);
        uint32_t crop_height = 1 + below(height - top);
        uint8_t *photo = make_photo(w, h, channels, below(1000));
        if (round % 5 == 0)
            for (size_t i = 0; i < (size_t)w * h * channels; i++)
                photo[i] = below(2) ? 255 : 0;
        uint8_t *expected = pil_resize(photo, w, h, channels, width, height);
        make_axes(&resize, channels,
                  (struct fmt_axis_plan){0, w, 0, w, width, left, crop_width, mirror},
                  (struct fmt_axis_plan){0, h, 0, h, height, top, crop_height, false});
        struct fmt_picture picture = {.channels = channels,
                                      .box = {resize.columns.first, resize.rows.first,
                                              resize.columns.end - resize.columns.first,
                                              resize.rows.end - resize.rows.first}};
        assert_true(resize.columns.end <= w && resize.rows.end <= h);
        picture.stride_bytes = (size_t)picture.box.width * channels;
        uint8_t *pixels = arena + ARENA_BYTES - picture.stride_bytes * picture.box.height;
        picture.pixels = pixels;
        for (uint32_t y = 0; y < picture.box.height; y++)
            memcpy(pixels + y * picture.stride_bytes,
                   photo + ((size_t)(picture.box.top + y) * w + picture.box.left) * channels,
                   picture.stride_bytes);
        for (uint32_t y = 0; y < crop_height; y++) {
            const uint8_t *row = fmt_resize_row(&resize, &picture, y);
            for (uint32_t x = 0; x < crop_width * channels; x++) {
                uint32_t column = mirror ? crop_width - 1 - x / channels : x / channels;
                uint8_t wanted =
                    expected[((size_t)(top + y) * width + left + column) * channels + x % channels];
                if (abs(row[x] - wanted) > 1)
                    fail_msg("round %d, %ux%u to %ux%u: %u, not %u", round, w, h, width, height,
                             row[x], wanted);
            }
        }
        free(expected);
        free(photo);
    }
    fmt_resize_free(&resize);
}

static void test_same_size_is_a_copy(void **state)
{
    (void)state;
    struct fmt_resize resize = {.columns = {.count = 0}};
    uint8_t *photo = make_photo(40, 30, 3, 3);
    struct fmt_picture picture = {photo, 120, 3, {0, 0, 40, 30}};
    for (int mirror = 0; mirror < 2; mirror++) {
        make_axes(&resize, 3, (struct fmt_axis_plan){5, 30, 5, 35, 30, 3, 20, mirror},
                  (struct fmt_axis_plan){0, 30, 0, 30, 30, 7, 10, false});
        assert_int_equal(resize.columns.first, 8);
        assert_int_equal(resize.columns.end, 28);
        for (uint32_t y = 0; y < 10; y++) {
            const uint8_t *row = fmt_resize_row(&resize, &picture, y);
            for (uint32_t x = 0; x < 20; x++)
                assert_memory_equal(row + (size_t)x * 3,
                                    photo + ((7 + y) * 40 + 8 + (mirror ? 19 - x : x)) * 3, 3);
        }
    }
    fmt_resize_free(&resize);
    free(photo);
}

/* A flat picture stays as it is, to the level, whatever the ratio. */
static void test_flat_stays_flat(void **state)
{
    (void)state;
    struct fmt_resize resize = {.columns = {.count = 0}};
    for (int round = 0; round < 100; round++) {
        uint32_t w = 1 + below(2000);
        uint32_t width = 1 + below(300);
        uint8_t level = (uint8_t)(round == 0 ? 255 : below(256));
        uint8_t *flat = fixture_allocate((size_t)w * 9 * 3);
        memset(flat, level, (size_t)w * 9 * 3);
        struct fmt_picture picture = {flat, (size_t)w * 3, 3, {0, 0, w, 9}};
        make_axes(&resize, 3, (struct fmt_axis_plan){0, w, 0, w, width, 0, width, false},
                  (struct fmt_axis_plan){0, 9, 0, 9, 4, 0, 4, false});
        for (uint32_t y = 0; y < 4; y++) {
            const uint8_t *row = fmt_resize_row(&resize, &picture, y);
            for (uint32_t x = 0; x < width * 3; x++)
                assert_int_equal(row[x], level);
        }
        free(flat);
    }
    fmt_resize_free(&resize);
}

#if defined(__x86_64__)
static void test_vector_loops_as_plain_ones(void **state)
{
    (void)state;
    static int16_t plain_line[SIDE_MAX * 3 + 400];
    static int16_t line[SIDE_MAX * 3 + 400];
    static uint8_t plain[2 * SIDE_MAX * 3 + FMT_LINE_MARGIN];
    static uint8_t fast[2 * SIDE_MAX * 3 + FMT_LINE_MARGIN];
    if (!fmt_has_avx2())
        skip();
    for (int round = 0; round < 2000; round++) {
        struct fmt_axis axis = {.count = 0};
        uint32_t w = 1 + below(SIDE_MAX);
        uint32_t width = 1 + below(2 * SIDE_MAX);
        uint32_t taps = 1 + below(9);
        size_t count = (size_t)w * 3;
        int16_t weights[9] = {0};
        uint8_t *top = arena + ARENA_BYTES - taps * count;
        for (size_t i = 0; i < taps * count; i++)
            top[i] = (uint8_t)(round % 2 ? below(256) : 255);
        for (uint32_t left = 1 << FMT_WEIGHT_BITS, t = 0; t < taps; left -= weights[t++])
            weights[t] = (int16_t)(t + 1 == taps ? left : below(left + 1));
        fmt_blend_rows_plainly(top, count, weights, taps, count, plain_line);
        memset(line, 0, sizeof(line));
        fmt_blend_rows_avx2(top, count, weights, taps, count, line);
        assert_memory_equal(line, plain_line, count * sizeof(*line));
        assert_int_equal(line[count], 0);
        assert_true(
            fmt_axis_make(&axis, &(struct fmt_axis_plan){0, w, 0, w, width, 0, width, below(2)}));
        fmt_blend_columns_plainly(&axis, line, 3, plain);
        fmt_blend_columns_avx2(&axis, line, fast);
        assert_memory_equal(fast, plain, (size_t)width * 3);
        fmt_axis_free(&axis);
    }
}
#endif

static void test_rows_are_stored(void **state)
{
    (void)state;
    enum { WIDTH_MAX = 40, HEIGHT = 3 };
    static const float canary = 77;
    for (uint32_t width = 1; width <= WIDTH_MAX; width++)
        for (int kind = 0; kind < 8; kind++) {
            struct fmt_image_store store = {.channels = kind & 1 ? 3 : 1,
                                            .height = HEIGHT,
                                            .width = width,
                                            .planes = kind & 2,
                                            .floats = kind & 4,
                                            .scale = {0.5f, 0.017f, 2.25f},
                                            .offset = {-3.5f, 0.1f, 7}};
            size_t channels = store.channels;
            size_t values = channels * HEIGHT * width;
            uint8_t *photo = make_photo(width, HEIGHT, store.channels, width);
            float floats[3 * HEIGHT * WIDTH_MAX + 1];
            uint8_t *bytes = (uint8_t *)floats;
            floats[values] = canary;
            for (uint32_t y = 0; y < HEIGHT; y++) {
                uint8_t *row = arena + ARENA_BYTES - width * channels;
                memcpy(row, photo + y * width * channels, width * channels);
                fmt_image_store_row(&store, row, y, floats);
            }
            for (size_t y = 0; y < HEIGHT; y++)
                for (size_t x = 0; x < width; x++)
                    for (size_t c = 0; c < channels; c++) {
                        uint8_t level = photo[(y * width + x) * channels + c];
                        size_t at = store.planes ? (c * HEIGHT + y) * width + x
                                                 : (y * width + x) * channels + c;
                        float product = (float)level * store.scale[c];
                        if (store.floats)
                            assert_true(fabsf(floats[at] - (product + store.offset[c])) < 1e-4f);
                        else
                            assert_int_equal(bytes[at], level);
                    }
            assert_true(floats[values] == canary);
            free(photo);
        }
}

#if defined(__x86_64__)
static void test_stored_floats_as_plain_ones(void **state)
{
    (void)state;
    static const float scale[3] = {1 / 58.395f, 1 / 57.12f, 1 / 57.375f};
    static const float offset[3] = {-123.675f / 58.395f, -116.28f / 57.12f, -103.53f / 57.375f};
    if (!fmt_has_avx2())
        skip();
    for (uint32_t width = 1; width < 70; width++) {
        float plain[210];
        float fast[211] = {[210] = 5};
        uint8_t *row = arena + ARENA_BYTES - (size_t)width * 3;
        for (uint32_t i = 0; i < width * 3; i++)
            row[i] = (uint8_t)below(256);
        fmt_split_floats_plainly(row, width, scale, offset, plain, width);
        fmt_split_floats_avx2(row, width, scale, offset, fast, width);
        assert_memory_equal(fast, plain, (size_t)width * 12);
        fmt_scale_floats_plainly(row, width, scale, offset, plain);
        fmt_scale_floats_avx2(row, width, scale, offset, fast);
        assert_memory_equal(fast, plain, (size_t)width * 12);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_pil_within_one_level),
        cmocka_unit_test(test_same_size_is_a_copy),
        cmocka_unit_test(test_flat_stays_flat),
        cmocka_unit_test(test_rows_are_stored),
#if defined(__x86_64__)
        cmocka_unit_test(test_vector_loops_as_plain_ones),
        cmocka_unit_test(test_stored_floats_as_plain_ones),
#endif
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
