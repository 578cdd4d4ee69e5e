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

/* The same as integers, from the front and no more than out_max of them. Returns the bytes they
 * are; SIZE_MAX when one is malformed. */
size_t fmt_take_varints(const uint8_t *in, size_t len_bytes, int32_t *out, size_t out_max,
                        size_t *count);

/* Varints of 64 bits that fill in[len_bytes], out_max at least: each one's low 32 bits, and in
 * *most the largest; 0 if there is none. False as above. */
bool fmt_convert_keys(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                      uint64_t *most);

/* Whether varints fill in[len_bytes], none of them longer than 10 bytes. */
bool fmt_check_varints(const uint8_t *in, size_t len_bytes);

/* How many varints end in in[len_bytes]. */
size_t fmt_count_varints(const uint8_t *in, size_t len_bytes);

#endif
