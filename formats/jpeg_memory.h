/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg_memory.h - what libjpeg allocates for a picture, from memory that stays. For jpeg.c.
 *
 * libjpeg asks malloc for each picture anew, some 200 KB, and gives it back: at the end of a heap
 * that means pages given to the system and faulted in again, a sixth of the time that a picture of
 * 224 x 224 takes.
 *
 * Owner: a handle's; client_data of the handle points to it. Threads: as the handle.
 */
#ifndef FORMATS_JPEG_MEMORY_H
#define FORMATS_JPEG_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

/* A piece that the arena had no room for; the next arena has. */
struct fmt_jpeg_piece {
    struct fmt_jpeg_piece *next;
};

struct fmt_jpeg_memory {
    uint8_t *arena;
    size_t room_bytes, used_bytes; /* used: of what the picture wanted, pieces included */
    struct fmt_jpeg_piece *pieces;
    struct jpeg_memory_mgr theirs; /* libjpeg's own, for what outlives a picture */
};

/* Makes a decompressor that has just been created take its memory from *memory, zeroed, to which
 * its client_data points. */
void fmt_jpeg_memory_attach(struct jpeg_decompress_struct *libjpeg);

/* After the decompressor has been destroyed. */
void fmt_jpeg_memory_free(struct fmt_jpeg_memory *memory);

#endif
