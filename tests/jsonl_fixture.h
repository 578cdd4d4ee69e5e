/* SPDX-License-Identifier: Apache-2.0 */
/* tests/jsonl_fixture.h - what the JSON Lines tests share: objects between guard pages, ways to
 * hand them over, with templates and without. Include after cmocka.h.
 */
#ifndef TESTS_JSONL_FIXTURE_H
#define TESTS_JSONL_FIXTURE_H

#include <stdio.h>

#include "formats/jsonl.h"
#include "tests/arena.h"
#include "tests/jsonl_reference.h"

static inline size_t step_random(void *cookie)
{
    (void)cookie;
    return 1 + below(below(4) == 0 ? 300 : 9);
}

/* A decoder that walks every line. */
static inline struct fmt_decoder *walking_decoder_new(const struct fmt_options *options,
                                                      const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_jsonl.decoder_new(options, shape);
    if (decoder != NULL)
        decoder->walk_only = true;
    return decoder;
}

/* The content type of JSON Lines with these parameters. Free with fmt_options_free. */
static inline struct fmt_options jsonl_options(const char *parameters)
{
    char type[2048];
    struct fmt_options options;
    struct fmt_error error = {.text = ""};
    snprintf(type, sizeof(type), "application/jsonlines%s%s", *parameters ? ";" : "", parameters);
    if (fmt_options_parse(type, &options, &error) != FMT_OK)
        fail_msg("%s: %s", type, error.text);
    return options;
}

/* Decodes text, which is copied to a guard page. */
static inline void run(const void *text, size_t len, const char *parameters, bool walk,
                       uint32_t rows_max, size_t (*step)(void *), void *cookie,
                       struct drive_result *r)
{
    static struct fmt_ops walking;
    struct fmt_options options = jsonl_options(parameters);
    struct drive drive = {.options = options, .rows_max = rows_max, .step = step, .cookie = cookie};
    uint8_t *at = below(2) == 0 ? arena : arena + ARENA_BYTES - len;
    assert_true(len <= ARENA_BYTES);
    memcpy(at, text, len);
    walking = fmt_jsonl;
    walking.decoder_new = walking_decoder_new;
    if (walk)
        drive.options.ops = &walking;
    drive_run(&drive, at, len, r);
    fmt_options_free(&options);
}

static inline void expect_same(const char *what, const char *text, size_t at,
                               const struct drive_result *got, const struct drive_result *expected)
{
    if (!drive_result_equal(got, expected))
        fail_msg("%s at %zu of '%s': %zu rows, error '%s' at %zu; expected %zu rows, error '%s' at "
                 "%zu",
                 what, at, text, got->rows, got->failed ? got->text : "-", got->error_offset_bytes,
                 expected->rows, expected->failed ? expected->text : "-",
                 expected->error_offset_bytes);
}

/* Whole, byte by byte, split at every offset, walked or not, for several rows_max: always the same
 * rows. */
static inline void check_every_split(const char *text, size_t len, const char *parameters,
                                     const struct drive_result *expected)
{
    struct drive_result r;
    for (uint32_t i = 0; i < 8; i++) {
        run(text, len, parameters, i % 2 == 0, i < 4 ? 1000 : i / 2 - 1,
            i & 2 ? step_all : step_one, NULL, &r);
        expect_same("whole", text, i, &r, expected);
        drive_result_free(&r);
    }
    for (size_t split = 1; split < len; split++) {
        size_t first = split;
        run(text, len, parameters, split % 2 == 0, 1000, step_split, &first, &r);
        expect_same("split", text, split, &r, expected);
        drive_result_free(&r);
    }
}

#endif
