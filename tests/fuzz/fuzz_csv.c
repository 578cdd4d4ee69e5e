/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_csv.c - CSV: however the bytes are handed over, the rows, the error and its place
 * are those of a plain decoder.
 *
 * The input: a byte of label_size (low 3 bits) and flags, a byte to choose the steps by, and the
 * object; with FLAG_REPEAT, so many copies of it in a row that the bulk path meets it.
 */
#include <stdio.h>

#include "formats/csv.h"
#include "tests/csv_reference.h"

enum { FLAG_ONE_ROW = 8, FLAG_REPEAT = 16, COPIES = 6, OBJECT_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(const uint8_t *in, size_t len, uint8_t flags, uint32_t seed)
{
    struct fmt_csv_options own = {.label_size = flags & 7};
    struct drive drive = {.options = {.ops = &fmt_csv, .own = &own},
                          .rows_max = flags & FLAG_ONE_ROW ? 1 : 1000,
                          .exact = true,
                          .step = drive_step_by_seed,
                          .cookie = &seed};
    struct drive_result got;
    struct drive_result expected;
    drive_run(&drive, in, len, &got);
    csv_reference(in, len, flags & 7, &expected);
    if (!drive_result_equal(&got, &expected)) {
        fprintf(stderr, "decoder: %zu rows, error '%s' at %zu; reference: %zu rows, %s at %zu\n",
                got.rows, got.text, got.error_offset_bytes, expected.rows,
                expected.failed ? "error" : "no error", expected.error_offset_bytes);
        abort();
    }
    drive_result_free(&got);
    drive_result_free(&expected);
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
