/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg_memory.c - what libjpeg allocates for a picture, from memory that stays. Its methods
 * for that are a table, of which those for a picture's pool are replaced; arrays that are realized
 * late, the coefficients of progressive files, remain libjpeg's.
 */
#include "formats/jpeg_memory.h"

#include <stdlib.h>

#include <jerror.h>

/* libjpeg's vector code wants rows that begin at 32 bytes and may be read to a multiple of 64. */
enum { ALIGN_BYTES = 64 };

static size_t round_up(size_t len)
{
    return (len + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

static struct fmt_jpeg_memory *memory_of(j_common_ptr libjpeg)
{
    return libjpeg->client_data;
}

static void *take(j_common_ptr libjpeg, size_t len)
{
    struct fmt_jpeg_memory *memory = memory_of(libjpeg);
    size_t from = memory->used_bytes;
    memory->used_bytes += round_up(len);
    if (memory->used_bytes <= memory->room_bytes)
        return memory->arena + from;
    struct fmt_jpeg_piece *piece = aligned_alloc(ALIGN_BYTES, ALIGN_BYTES + round_up(len));
    if (piece == NULL)
        ERREXIT1(libjpeg, JERR_OUT_OF_MEMORY, 0);
    piece->next = memory->pieces;
    memory->pieces = piece;
    return (uint8_t *)piece + ALIGN_BYTES;
}

static void *alloc_small(j_common_ptr libjpeg, int pool, size_t len)
{
    if (pool != JPOOL_IMAGE)
        return memory_of(libjpeg)->theirs.alloc_small(libjpeg, pool, len);
    return take(libjpeg, len);
}

static void *alloc_large(j_common_ptr libjpeg, int pool, size_t len)
{
    if (pool != JPOOL_IMAGE)
        return memory_of(libjpeg)->theirs.alloc_large(libjpeg, pool, len);
    return take(libjpeg, len);
}

static JSAMPARRAY alloc_samples(j_common_ptr libjpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
    if (pool != JPOOL_IMAGE)
        return memory_of(libjpeg)->theirs.alloc_sarray(libjpeg, pool, width, rows);
    size_t row_bytes = round_up(width);
    JSAMPARRAY array = take(libjpeg, rows * sizeof(*array));
    JSAMPLE *samples = take(libjpeg, rows * row_bytes);
    for (JDIMENSION i = 0; i < rows; i++)
        array[i] = samples + i * row_bytes;
    return array;
}

static JBLOCKARRAY alloc_blocks(j_common_ptr libjpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
    if (pool != JPOOL_IMAGE)
        return memory_of(libjpeg)->theirs.alloc_barray(libjpeg, pool, width, rows);
    JBLOCKARRAY array = take(libjpeg, rows * sizeof(*array));
    JBLOCK *blocks = take(libjpeg, (size_t)rows * width * sizeof(*blocks));
    for (JDIMENSION i = 0; i < rows; i++)
        array[i] = blocks + (size_t)i * width;
    return array;
}

static void free_pieces(struct fmt_jpeg_memory *memory)
{
    while (memory->pieces != NULL) {
        struct fmt_jpeg_piece *piece = memory->pieces;
        memory->pieces = piece->next;
        free(piece);
    }
}

static void free_pool(j_common_ptr libjpeg, int pool)
{
    struct fmt_jpeg_memory *memory = memory_of(libjpeg);
    memory->theirs.free_pool(libjpeg, pool);
    if (pool != JPOOL_IMAGE)
        return;
    free_pieces(memory);
    if (memory->used_bytes > memory->room_bytes) {
        free(memory->arena);
        memory->arena = aligned_alloc(ALIGN_BYTES, memory->used_bytes);
        memory->room_bytes = memory->arena != NULL ? memory->used_bytes : 0;
    }
    memory->used_bytes = 0;
}

void fmt_jpeg_memory_attach(struct jpeg_decompress_struct *libjpeg)
{
    struct fmt_jpeg_memory *memory = libjpeg->client_data;
    memory->theirs = *libjpeg->mem;
    libjpeg->mem->alloc_small = alloc_small;
    libjpeg->mem->alloc_large = alloc_large;
    libjpeg->mem->alloc_sarray = alloc_samples;
    libjpeg->mem->alloc_barray = alloc_blocks;
    libjpeg->mem->free_pool = free_pool;
}

void fmt_jpeg_memory_free(struct fmt_jpeg_memory *memory)
{
    free_pieces(memory);
    free(memory->arena);
}
