/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/size.h - sizes as people write them: "8MiB", "1GiB", "500000", "2GB".
 *
 * Threads: pure function.
 */
#ifndef PIPE_SIZE_H
#define PIPE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* A whole number and a unit: none or B, KiB MiB GiB TiB (powers of 1024), KB MB GB TB (of 1000), in
 * any case. Returns false when the text is something else or does not fit. */
bool ps_parse_size(const char *text, size_t *len_bytes);

#endif
