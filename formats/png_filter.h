/* SPDX-License-Identifier: Apache-2.0 */
/* formats/png_filter.h - undoes PNG's row filters (PNG, second edition, 9.2). For png.c, and for
 * tests/unit/test_png.c, which compares the ways.
 *
 * Threads: any; pure functions. Units: bytes.
 */
#ifndef FORMATS_PNG_FILTER_H
#define FORMATS_PNG_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place: row[len_bytes], filtered with `filter` (0 to 4), whose pixels are pixel_bytes (1 to 4)
 * wide; len_bytes is a multiple of that. `above` is the row above when that has been undone, zeros
 * for the first. False when there is no such filter. */
bool fmt_png_unfilter(uint8_t filter, uint8_t *row, const uint8_t *above, size_t len_bytes,
                      uint32_t pixel_bytes);

/* The same, byte by byte on any machine. */
bool fmt_png_unfilter_plainly(uint8_t filter, uint8_t *row, const uint8_t *above, size_t len_bytes,
                              uint32_t pixel_bytes);

#endif
