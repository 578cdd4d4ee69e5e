/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/fnv.h - FNV-1a, 64 bits: names of things, where nobody means harm.
 *
 * Pure. A hash goes on from another: PS_FNV_BASIS is that of nothing.
 */
#ifndef PIPE_FNV_H
#define PIPE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define PS_FNV_BASIS UINT64_C(0xcbf29ce484222325)

static inline uint64_t ps_fnv(uint64_t hash, const void *bytes, size_t len_bytes)
{
    for (const uint8_t *byte = bytes; len_bytes > 0; byte++, len_bytes--)
        hash = (hash ^ *byte) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
