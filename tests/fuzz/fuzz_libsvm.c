/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_libsvm.c - libsvm: however the bytes are handed over, the rows, the error and its
 * place are those of the plain path on the whole object.
 *
 * The input: a byte of flags, a byte that chooses from PARAMETERS and the steps, and the object;
 * with FLAG_REPEAT, so many copies of it in a row that the bulk path meets it.
 */
#include <stdio.h>

#include "formats/libsvm.h"
#include "tests/drive.h"

enum { FLAG_ONE_ROW = 1, FLAG_REPEAT = 2, FLAG_DIM = 4, COPIES = 6, OBJECT_BYTES_MAX = 4096 };

static const char *const PARAMETERS[] = {
    "text/libsvm",
    "text/libsvm;index_base=1",
    "text/libsvm;index_base=auto",
    "text/libsvm;weights=on",
    "text/libsvm;weights=off;qid=off",
    "text/libsvm;qid=on",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like fmt_libsvm on a processor without AVX2. */
static struct fmt_decoder *plain_decoder_new(const struct fmt_options *options,
                                             const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_libsvm.decoder_new(options, shape);
    if (decoder != NULL) {
        fmt_libsvm_bulk_free(decoder->bulk);
        decoder->bulk = NULL;
    }
    return decoder;
}

static void check_object(const uint8_t *in, size_t len, const uint8_t *choice, uint32_t seed)
{
    struct drive drive = {.rows_max = choice[0] & FLAG_ONE_ROW ? 1 : 1000, .exact = true};
    struct fmt_ops plain = fmt_libsvm;
    if (fmt_options_parse(PARAMETERS[choice[1] % (sizeof PARAMETERS / sizeof PARAMETERS[0])],
                          &drive.options, NULL) != FMT_OK)
        abort();
    drive.options.feature_dim = choice[0] & FLAG_DIM ? 100 : 0;
    plain.decoder_new = plain_decoder_new;
    drive_against(&drive, &plain, in, len, seed, true);
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
    check_object(object, copies * len, data, 0);
    check_object(object, copies * len, data, data[1] + 1u);
    free(object);
    return 0;
}
