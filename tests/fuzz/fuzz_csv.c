/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_csv.c - CSV: however the bytes are handed over, the rows, the error and its place
 * are those of a plain decoder.
 *
 * The input: a byte of label_size (low 3 bits) and flags, a byte to choose the steps by, and the
 * object; with FLAG_REPEAT, so many copies of it in a row that the bulk path meets it. With
 * FLAG_PARAMETERS the second byte chooses from PARAMETERS, too, and what the plain path makes of
 * the whole object is the reference.
 */
#include <stdio.h>

#include "tests/csv_plain.h"
#include "tests/csv_reference.h"

enum {
    FLAG_ONE_ROW = 8,
    FLAG_REPEAT = 16,
    FLAG_PARAMETERS = 32,
    COPIES = 6,
    OBJECT_BYTES_MAX = 4096
};

static const char *const PARAMETERS[] = {
    "text/csv;label_size=0;delimiter=tab",
    "text/csv;label_size=0;delimiter=space;quotes=off",
    "text/csv;delimiter=semicolon;blanks=0",
    "text/csv;blanks=error;header=auto",
    "text/csv;label_columns=2;weight_column=0;columns=\"5,3,4\"",
    "text/csv;header=present;label_size=0;columns=1-2",
    "text/csv;header=present;label_columns=y",
    "text/csv;text_columns=\"2,1\"",
    "text/csv;text_columns=\"1-2\";quotes=off;csv_weights=0",
    "text/csv;cat.1=0|1|2|3|4|a;unknown=other;columns=\"1,2\"",
    "text/csv;cat.1=a|b|;label_size=0",
    "text/csv;hash_columns=1-2;hash_buckets=97;header=auto",
    "text/csv;label_size=0;text_columns=0",
    "text/csv;csv_weights=1;delimiter=pipe",
};

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
    drive_compare(&got, &expected, false);
}

static void check_parameters(const uint8_t *in, size_t len, uint8_t flags, uint8_t choice,
                             uint32_t seed)
{
    struct drive drive = {.rows_max = flags & FLAG_ONE_ROW ? 1 : 1000, .exact = true};
    struct fmt_ops plain = fmt_csv;
    if (fmt_options_parse(PARAMETERS[choice % (sizeof PARAMETERS / sizeof PARAMETERS[0])],
                          &drive.options, NULL) != FMT_OK)
        abort();
    plain.decoder_new = plain_decoder_new;
    drive_against(&drive, &plain, in, len, seed, false);
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
    for (uint32_t seed = 0; seed < 2; seed++) {
        if (data[0] & FLAG_PARAMETERS)
            check_parameters(object, copies * len, data[0], data[1], seed * (data[1] + 1u));
        else
            check_object(object, copies * len, data[0], seed * (data[1] + 1u));
    }
    free(object);
    return 0;
}
