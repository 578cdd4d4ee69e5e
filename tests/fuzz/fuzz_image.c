/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_image.c - objects of application/x-image and application/x-recordio: however the
 * bytes are handed over, the rows, the error and its place are the same.
 *
 * The input: a byte that chooses the content type, a byte to choose the steps by, and the object.
 */
#include <stdio.h>

#include "tests/drive.h"

enum { OBJECT_BYTES_MAX = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {
    "application/x-image;image_shape=3,5,7;crop=none",
    "application/x-image;image_shape=1,4,4;resize=9;mirror=on;dtype=float32",
    "application/x-image;image_shape=3,6,3;crop=random_resized;mirror=random;seed=3",
    "application/x-image;image_shape=3,2,2;crop=random;layout=nchw;dct_scaling=off",
    "application/x-recordio;image_shape=3,5,7;crop=none",
    "application/x-recordio;image_shape=3,4,4;resize=4;label_pad_width=9;dtype=float32",
    "application/x-recordio;image_shape=1,4,4;crop=none;label_width=3;multipart=concat",
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fmt_options options[TYPES];
    if (size < 2 || size > OBJECT_BYTES_MAX)
        return 0;
    uint32_t type = data[0] % TYPES;
    if (options[type].ops == NULL && fmt_options_parse(types[type], &options[type], NULL) != FMT_OK)
        abort();
    struct drive_result results[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t steps = i * (data[1] + 1u);
        struct drive drive = {.options = options[type],
                              .rows_max = i == 0 ? 100 : 1,
                              .exact = true,
                              .step = drive_step_by_seed,
                              .cookie = &steps};
        drive_run(&drive, data + 2, size - 2, &results[i]);
    }
    if (!drive_result_equal(&results[0], &results[1])) {
        fprintf(stderr, "in one: %zu rows, '%s'; in pieces: %zu rows, '%s'\n", results[0].rows,
                results[0].text, results[1].rows, results[1].text);
        abort();
    }
    drive_result_free(&results[0]);
    drive_result_free(&results[1]);
    return 0;
}
