/* SPDX-License-Identifier: Apache-2.0 */
/* formats/split.h - one large object shared by several readers. A record belongs to the range that
 * its first byte lies in: a reader looks for the first one from its range's beginning on, and goes
 * on to the end of the last one that begins before its range's end.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_SPLIT_H
#define FORMATS_SPLIT_H

#include <stdint.h>

struct fmt_range {
    uint64_t from;
    uint64_t to; /* exclusive */
};

/* Range `index` of `count` (>= 1) of an object. They are equal but for a byte, and follow each
 * other without a gap. */
static inline struct fmt_range fmt_split_bytes(uint64_t size_bytes, uint32_t index, uint32_t count)
{
    return (struct fmt_range){
        .from = (uint64_t)((unsigned __int128)size_bytes * index / count),
        .to = (uint64_t)((unsigned __int128)size_bytes * (index + UINT64_C(1)) / count)};
}

#endif
