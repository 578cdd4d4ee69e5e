/* SPDX-License-Identifier: Apache-2.0 */
/* formats/bytes.h - little-endian words at any address, on any machine. All formats here are
 * little-endian; memcpy of a constant size is one load on machines that allow it.
 */
#ifndef FORMATS_BYTES_H
#define FORMATS_BYTES_H

#include <stdint.h>
#include <string.h>

#define FMT_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static inline uint32_t fmt_load_le32(const uint8_t *in)
{
    uint32_t word;
    memcpy(&word, in, sizeof(word));
    return FMT_LITTLE_ENDIAN ? word : __builtin_bswap32(word);
}

static inline uint64_t fmt_load_le64(const uint8_t *in)
{
    uint64_t word;
    memcpy(&word, in, sizeof(word));
    return FMT_LITTLE_ENDIAN ? word : __builtin_bswap64(word);
}

#endif
