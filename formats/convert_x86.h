/* SPDX-License-Identifier: Apache-2.0 */
/* formats/convert_x86.h - the loops of formats/convert.h in wide instructions. For convert.c, which
 * chooses among them, and for tests/unit/test_convert.c, which compares them.
 *
 * The caller has checked that the processor knows the instructions.
 */
#ifndef FORMATS_CONVERT_X86_H
#define FORMATS_CONVERT_X86_H

#if defined(__x86_64__)

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool fmt_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("popcnt");
}

static inline bool fmt_has_avx512(void)
{
    return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           fmt_has_avx2();
}

void fmt_f64_avx2(const uint8_t *in, size_t count, float *out);
void fmt_f64_avx512(const uint8_t *in, size_t count, float *out);

/* Converts varints from the front of in[len_bytes] for as long as there are 32 bytes in front of
 * them, room for 16 values, and none is longer than 4 bytes. Returns how many bytes they are, and
 * in *count how many values. May write all of out[out_max]. */
size_t fmt_varints_avx2(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                        size_t *count);
size_t fmt_varints_avx512(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                          size_t *count);

/* The same as integers. */
size_t fmt_varints_u32_avx2(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                            size_t *count);
size_t fmt_varints_u32_avx512(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                              size_t *count);

/* As fmt_count_varints; and the largest of `count` numbers, 0 if there are none. */
size_t fmt_count_varints_avx2(const uint8_t *in, size_t len_bytes);
uint32_t fmt_most_u32_avx2(const uint32_t *in, size_t count);

#endif
#endif
