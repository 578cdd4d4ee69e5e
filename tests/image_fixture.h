/* SPDX-License-Identifier: Apache-2.0 */
/* tests/image_fixture.h - objects that hold pictures, run through a content type. To be included
 * after cmocka.h.
 */
#ifndef TESTS_IMAGE_FIXTURE_H
#define TESTS_IMAGE_FIXTURE_H

#include "tests/arena.h"
#include "tests/drive.h"
#include "tests/picture_fixture.h"

static const struct png_kind rgb_png = {"RGB 8", PNG_COLOR_TYPE_RGB, 8, false, false};

static inline struct fmt_options parse(const char *content_type)
{
    struct fmt_options options;
    struct fmt_error error = {.text = ""};
    if (fmt_options_parse(content_type, &options, &error) != FMT_OK)
        fail_msg("%s: %s", content_type, error.text);
    return options;
}

/* Runs an object through a content type; its bytes come in random pieces. */
static inline struct drive_result run(const char *content_type, const char *key, struct file file,
                                      const char *lst)
{
    uint32_t steps = below(1000);
    struct drive drive = {.options = parse(content_type),
                          .rows_max = 3,
                          .exact = true,
                          .step = drive_step_by_seed,
                          .cookie = &steps,
                          .key = key};
    struct drive_result result;
    const struct fmt_ops *ops = drive.options.ops;
    if (lst != NULL) {
        struct fmt_error error;
        assert_non_null(ops->file_wanted(drive.options.own));
        assert_int_equal(
            ops->take_file(drive.options.own, (const uint8_t *)lst, strlen(lst), &error), FMT_OK);
    }
    drive_run(&drive, file.bytes, file.len, &result);
    fmt_options_free(&drive.options);
    return result;
}

static inline void check_good(const struct drive_result *result, size_t rows)
{
    if (result->failed)
        fail_msg("%s", result->text);
    assert_int_equal(result->rows, rows);
}

/* A PNG file's pixels. */
static inline uint8_t *pixels_of(struct file file, uint32_t *channels)
{
    uint32_t width, height;
    return libpng_pixels(file, &width, &height, channels);
}

#endif
