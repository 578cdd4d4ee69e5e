/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_convert.h - values of a Parquet column to float32, correctly rounded.
 *
 * Threads: pure functions. Units: values.
 */
#ifndef FORMATS_PARQUET_CONVERT_H
#define FORMATS_PARQUET_CONVERT_H

#include "formats/parquet_footer.h"

/* Converts count values of leaf->value_bytes each, which lie one behind the other as PLAIN has
 * them. The leaf is neither a flag nor a text. */
void fmt_pq_convert(const struct fmt_pq_leaf *leaf, const uint8_t *in, size_t count, float *out);

#endif
