/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_arena.c - see parquet_arena.h. */
#include "formats/parquet_arena.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_SANITIZER)
#include <sanitizer/asan_interface.h>
enum { GAP_BYTES = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(at, len_bytes) ((void)(at), (void)(len_bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, len_bytes) ((void)(at), (void)(len_bytes))
enum { GAP_BYTES = 0 };
#endif

void fmt_pq_arena_begin(struct fmt_pq_arena *arena)
{
    arena->used_bytes = 0;
    ASAN_POISON_MEMORY_REGION(arena->base, arena->size_bytes);
}

void *fmt_pq_take(struct fmt_pq_arena *arena, size_t count, size_t element_bytes)
{
    size_t at = ((arena->used_bytes + 15) & ~(size_t)15) + GAP_BYTES;

    if (at > arena->size_bytes ||
        (element_bytes > 0 && count > (arena->size_bytes - at) / element_bytes))
        return NULL;
    arena->used_bytes = at + count * element_bytes;
    ASAN_UNPOISON_MEMORY_REGION(arena->base + at, count * element_bytes);
    return arena->base + at;
}

void fmt_pq_take_back(struct fmt_pq_arena *arena, size_t used_bytes)
{
    ASAN_POISON_MEMORY_REGION(arena->base + used_bytes, arena->used_bytes - used_bytes);
    arena->used_bytes = used_bytes;
}

void fmt_pq_arena_end(struct fmt_pq_arena *arena)
{
    ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->size_bytes);
}
