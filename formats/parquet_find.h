/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_find.h - where a Parquet file ends, in a stream of such files back to back.
 *
 * Only its last bytes tell: PAR1, and in front of that the footer and its length. Those bytes may
 * also be in a page. So the footer has to parse, and to begin exactly where the last of what it
 * places (pages, indexes, Bloom filters) ends: counted from the file's first byte, which a file
 * inside a page does not.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_PARQUET_FIND_H
#define FORMATS_PARQUET_FIND_H

#include <stddef.h>
#include <stdint.h>

/* The end of the file at `in`, of which `len` bytes are there; 0: not among these. Of them *seen
 * have been searched in vain before (0 at first), and are then. */
size_t fmt_pq_find_end(const uint8_t *in, size_t len, size_t *seen);

#endif
