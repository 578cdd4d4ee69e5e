/* SPDX-License-Identifier: Apache-2.0 */
/* formats/convert.h - arrays as protobuf packs them (little-endian, at any address) to float32.
 *
 * The results do not depend on the machine: wider instructions, chosen at run time, give the bits
 * that the plain loops give.
 *
 * Threads: pure functions. Units: values, bytes where named so.
 */
#ifndef FORMATS_CONVERT_H
#define FORMATS_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count float32 values: a copy that keeps the bits of a NaN. */
void fmt_convert_f32(const uint8_t *in, size_t count, float *out);

/* count float64 values, rounded to nearest; too large ones become infinite. */
void fmt_convert_f64(const uint8_t *in, size_t count, float *out);

/* Base-128 varints that fill in[len_bytes], each cut to 32 bits and signed, as protobuf's int32.
 * Writes the first out_max values, counts all of them in *count. False when a varint is longer
 * than 10 bytes or the last one does not end; what was written is then of no use. */
bool fmt_convert_varints(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                         size_t *count);

#endif
