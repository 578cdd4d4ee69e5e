/* SPDX-License-Identifier: Apache-2.0 */
/* formats/crc_x86.h - the middle of a long input for formats/crc.h, by carry-less multiplication.
 * For crc.c, which chooses among them, for tfrecord.c, and for tests/unit/test_crc.c, which
 * compares them.
 *
 * The caller has checked that the processor knows the instructions.
 */
#ifndef FORMATS_CRC_X86_H
#define FORMATS_CRC_X86_H

#if defined(__x86_64__)

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Factors that move 128 bits by `distance` bits towards higher powers: powers of x modulo the
 * polynomial, as fmt_crc_power writes them, of 63 + distance for the earlier half of the bits and
 * of distance - 1 for the later. (One less than one would think: the product of two mirrored words
 * comes out one place off.) */
struct fmt_crc_fold {
    uint64_t factors[2];
};

struct fmt_crc_folds {
    struct fmt_crc_fold by_128, by_512, by_1024, by_2048;
};

static inline bool fmt_has_clmul(void)
{
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

static inline bool fmt_has_clmul_avx512(void)
{
    return __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && fmt_has_clmul();
}

static inline bool fmt_has_crc32(void)
{
    return __builtin_cpu_supports("sse4.2");
}

/* CRC32C's remainder after `state` and in[len_bytes], by the instruction for it: for short inputs.
 */
uint64_t fmt_crc32c_step(uint64_t state, const uint8_t *in, size_t len_bytes);

enum { FMT_CRC_CLMUL_BYTES = 128, FMT_CRC_AVX512_BYTES = 256 };

/* Folds the multiple of 16 bytes at the front of `in`, at least FMT_CRC_..._BYTES, into 16 bytes
 * that have the same remainder. `state` goes over the first 8 bytes. Returns how many were folded.
 */
size_t fmt_crc_fold_clmul(const struct fmt_crc_folds *folds, uint64_t state, const uint8_t *in,
                          size_t len_bytes, uint8_t out[16]);
size_t fmt_crc_fold_avx512(const struct fmt_crc_folds *folds, uint64_t state, const uint8_t *in,
                           size_t len_bytes, uint8_t out[16]);

#endif
#endif
