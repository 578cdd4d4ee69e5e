/* SPDX-License-Identifier: Apache-2.0 */
/* formats/crc.h - the cyclic redundancy checks that object stores keep of whole objects.
 *
 *   CRC32      IEEE 802.3, as zlib's crc32
 *   CRC32C     Castagnoli, RFC 3720 (iSCSI), appendix B.4
 *   CRC64NVME  NVM Express NVM command set specification, 5.2.1.3.4; check value (the sum of
 *              "123456789") 0xae8b14860a799888
 *
 * A sum is what others print: bits are inverted at both ends. The sum of nothing is 0, and the sum
 * of A is where the sum of A followed by B goes on. The results do not depend on the machine:
 * carry-less multiplication, chosen at run time, gives the bits that the tables give.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_CRC_H
#define FORMATS_CRC_H

#include <stddef.h>
#include <stdint.h>

enum fmt_crc_kind { FMT_CRC32, FMT_CRC32C, FMT_CRC64NVME, FMT_CRC_KINDS };

/* The sum of what `sum` is of, followed by in[0 .. len_bytes). */
uint64_t fmt_crc(enum fmt_crc_kind kind, uint64_t sum, const uint8_t *in, size_t len_bytes);

/* The same by tables alone: for other machines, for short ends, and for the tests. */
uint64_t fmt_crc_plainly(enum fmt_crc_kind kind, uint64_t sum, const uint8_t *in, size_t len_bytes);

/* The sum of A followed by B, from the sums of A and of B and B's length. */
uint64_t fmt_crc_combine(enum fmt_crc_kind kind, uint64_t sum_a, uint64_t sum_b,
                         uint64_t b_len_bytes);

/* x^n modulo the polynomial. Bit 63 - i of the result is the coefficient of x^i, whatever the
 * width. */
uint64_t fmt_crc_power(enum fmt_crc_kind kind, uint64_t n);

enum { FMT_CRC_TEXT_BYTES = 13 }; /* base64 of 8 bytes, and a NUL */

/* A sum as S3 writes it: base64, most significant byte first. */
void fmt_crc_text(enum fmt_crc_kind kind, uint64_t sum, char out[FMT_CRC_TEXT_BYTES]);

/* "CRC32", "CRC32C", "CRC64NVME". */
const char *fmt_crc_name(enum fmt_crc_kind kind);

/* 4 or 8. */
static inline size_t fmt_crc_bytes(enum fmt_crc_kind kind)
{
    return kind == FMT_CRC64NVME ? 8 : 4;
}

#endif
