/* SPDX-License-Identifier: Apache-2.0 */
/* formats/bit_offsets.h - the places of bits in masks: of what was found in blocks of 64 bytes.
 *
 * Owner: the caller. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_BIT_OFFSETS_H
#define FORMATS_BIT_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

/* Elements of out that are written behind the last, with junk. */
#define FMT_OFFSETS_SLACK 16

/* Stores at + 64 * i + b for each bit b that is set in masks[i]; returns how many there are. */
size_t fmt_bit_offsets(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out);

/* The same on any processor; with AVX2 and BMI; with AVX-512. */
size_t fmt_bit_offsets_base(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out);
#if defined(__x86_64__)
size_t fmt_bit_offsets_bmi(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out);
size_t fmt_bit_offsets_avx512(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out);
#endif

#endif
