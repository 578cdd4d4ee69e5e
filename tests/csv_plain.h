/* SPDX-License-Identifier: Apache-2.0 */
/* tests/csv_plain.h - CSV as on a processor without AVX2. For tests and fuzz targets only. */
#ifndef TESTS_CSV_PLAIN_H
#define TESTS_CSV_PLAIN_H

#include "formats/csv_bulk.h"
#include "formats/csv_row.h"

/* For struct fmt_ops. */
static inline struct fmt_decoder *plain_decoder_new(const struct fmt_options *options,
                                                    const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = fmt_csv.decoder_new(options, shape);
    if (decoder != NULL) {
        fmt_csv_bulk_free(decoder->bulk);
        decoder->bulk = NULL;
    }
    return decoder;
}

#endif
