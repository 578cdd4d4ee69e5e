/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_jsonl.c - JSON Lines: however the bytes are handed over, with templates and
 * without, the rows, the error and its place are the same; and where the plain decoder of
 * tests/jsonl_reference.h knows the parameters, its own.
 *
 * The input: a byte that chooses the parameters (low 3 bits) and flags, a byte to choose the steps
 * by, and the object; with FLAG_REPEAT, so many copies of it in a row that templates come to be
 * used.
 */
#include <stdio.h>

#include "formats/jsonl.h"
#include "tests/jsonl_reference.h"

enum { FLAG_ONE_ROW = 8, FLAG_REPEAT = 16, COPIES = 3, OBJECT_BYTES_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *type;
    struct jsonl_ref ref; /* no names: only the template and the walk are compared */
} settings[8] = {
    {"jsonlines", {.nan = false}},
    {"jsonlines;missing=nan", {.nan = true}},
    {"jsonlines;features=a,b;label=y", {.features = {"a", "b"}, .labels = {"y"}, .nan = false}},
    {"jsonlines;features=a,b;label=y;missing=nan",
     {.features = {"a", "b"}, .labels = {"y"}, .nan = true}},
    {"jsonlines;features=a.b,c.0;label=;weight=w;text=t,u.v;missing=nan",
     {.features = {"a.b", "c.0"}, .weight = "w", .texts = {"t", "u.v"}, .nan = true}},
    {"jsonlines;features=a.b,c.0;label=;weight=w;text=t,u.v",
     {.features = {"a.b", "c.0"}, .weight = "w", .texts = {"t", "u.v"}, .nan = false}},
    {"jsonlines;features=0,2;label=1;text=3", /* elements of an array, or members of those names */
     {.features = {"0", "2"}, .labels = {"1"}, .texts = {"3"}, .nan = false}},
    {"jsonlines;text=t", {.nan = false}},
};

/* A decoder that walks every line. */
static struct fmt_decoder *walking_decoder_new(const struct fmt_options *options,
                                               const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_jsonl.decoder_new(options, shape);
    if (decoder != NULL)
        decoder->walk_only = true;
    return decoder;
}

static void compare(const char *what, const struct drive_result *got,
                    const struct drive_result *expected)
{
    if (drive_result_equal(got, expected))
        return;
    fprintf(stderr, "%s: %zu rows, error '%s' at %zu; expected: %zu rows, error '%s' at %zu\n",
            what, got->rows, got->failed ? got->text : "-", got->error_offset_bytes, expected->rows,
            expected->failed ? expected->text : "-", expected->error_offset_bytes);
    abort();
}

static void check_object(const uint8_t *in, size_t len, uint8_t flags, uint32_t seed)
{
    static struct fmt_ops walking;
    struct drive drive = {.rows_max = flags & FLAG_ONE_ROW ? 1 : 1000,
                          .exact = true,
                          .step = drive_step_by_seed,
                          .cookie = &seed};
    const struct jsonl_ref *ref = &settings[flags & 7].ref;
    struct drive_result got;
    struct drive_result walked;
    if (fmt_options_parse(settings[flags & 7].type, &drive.options, NULL) != FMT_OK)
        abort();
    drive_run(&drive, in, len, &got);
    walking = fmt_jsonl;
    walking.decoder_new = walking_decoder_new;
    drive.options.ops = &walking;
    drive_run(&drive, in, len, &walked);
    compare("template", &got, &walked);
    if (ref->features[0] != NULL) {
        struct drive_result expected;
        jsonl_reference(in, len, ref, &expected);
        compare("reference", &got, &expected);
        drive_result_free(&expected);
    }
    drive_result_free(&got);
    drive_result_free(&walked);
    fmt_options_free(&drive.options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > OBJECT_BYTES_MAX)
        return 0;
    size_t len = size - 2;
    size_t copies = data[0] & FLAG_REPEAT ? COPIES : 1;
    uint8_t *object = drive_allocate(copies * len + 1);
    for (size_t i = 0; i < copies; i++)
        memcpy(object + i * len, data + 2, len);
    check_object(object, copies * len, data[0], 0);
    check_object(object, copies * len, data[0], data[1] + 1u);
    free(object);
    return 0;
}
