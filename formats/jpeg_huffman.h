/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg_huffman.h - Huffman codes of baseline JPEG files, read faster than libjpeg-turbo
 * does: two thirds of the time that it takes for a photograph go there, and nearly all of it for
 * what lies above and beside the part that is wanted. For jpeg.c.
 *
 * One look at a table of 1,024 entries gives a code and, of short ones, the value behind it.
 * Stuffed bytes are taken out before, and the end of the data is looked for once per MCU.
 *
 * It reads data in order, of one interleaved scan without restarts, and gives up on all else,
 * from a marker too early to a code that does not exist: then libjpeg decodes the file again, by
 * itself, and says what there is to say. It is libjpeg's method decode_mcu that is replaced. The
 * structure that holds it is private to the library, but its first two members are what they were
 * in 1996, in all versions of libjpeg-turbo too.
 *
 * Owner: a handle's. Threads: as the handle.
 */
#ifndef FORMATS_JPEG_HUFFMAN_H
#define FORMATS_JPEG_HUFFMAN_H

#include "formats/jpeg_memory.h"
#include "formats/picture.h"

enum { FMT_JPEG_LOOK_BITS = 10 };

/* A table of the file, ready to be looked into. */
struct fmt_jpeg_codes {
    UINT8 bits[17], symbols[256]; /* as in the file */
    uint16_t front[1 << FMT_JPEG_LOOK_BITS];
    uint32_t limits[17];   /* by length: the first 16 bits that are no code of it */
    int32_t symbol_at[17]; /* by length: of code 0, if there were one */
};

/* A block of an MCU. */
struct fmt_jpeg_block {
    const struct fmt_jpeg_codes *dc, *ac;
    int component;
    bool needed;
};

struct fmt_jpeg_huffman {
    struct fmt_jpeg_codes dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
    struct fmt_jpeg_block blocks[D_MAX_BLOCKS_IN_MCU];
    int block_count;
    int32_t last_dc[MAX_COMPS_IN_SCAN];
    struct fmt_buffer data; /* of the scan, without stuffed bytes; zeros behind */
    size_t data_bytes;
    const uint8_t *at; /* the next byte that is not in `word` */
    uint64_t word;     /* the next bits, from the top */
    unsigned word_bits;
    bool gave_up;
};

/* What a handle's client_data points to. */
struct fmt_jpeg_parts {
    struct fmt_jpeg_memory memory; /* first: jpeg_memory.h */
    struct fmt_jpeg_huffman huffman;
};

/* Takes over the reading of a file that has just been started (jpeg_start_decompress), if it is
 * one that can be read here. False when memory is out. */
bool fmt_jpeg_huffman_attach(struct jpeg_decompress_struct *libjpeg);

void fmt_jpeg_huffman_free(struct fmt_jpeg_huffman *huffman);

#endif
