/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_arena.h - memory of a fixed size, given out from its front.
 *
 * AddressSanitizer is told what is given out: the rest, and a gap behind each piece, is not to be
 * touched.
 *
 * Owner: the caller lends the memory. Threads: as its owner says. Units: bytes.
 */
#ifndef FORMATS_PARQUET_ARENA_H
#define FORMATS_PARQUET_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct fmt_pq_arena {
    uint8_t *base;
    size_t size_bytes;
    size_t used_bytes;
};

/* Nothing of it is given out yet. */
void fmt_pq_arena_begin(struct fmt_pq_arena *arena);

/* Room for count elements of that size, aligned as base is, to 16 bytes at most, and not cleared;
 * NULL when there is no more. */
void *fmt_pq_take(struct fmt_pq_arena *arena, size_t count, size_t element_bytes);

/* Takes back what was given out since used_bytes was that. */
void fmt_pq_take_back(struct fmt_pq_arena *arena, size_t used_bytes);

/* For memory that is to be lent to others again: all of it may be touched. */
void fmt_pq_arena_end(struct fmt_pq_arena *arena);

#endif
