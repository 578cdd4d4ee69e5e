/* SPDX-License-Identifier: Apache-2.0 */
/* formats/exif.h - which way up a picture is.
 *
 * Threads: any. Units: bytes.
 */
#ifndef FORMATS_EXIF_H
#define FORMATS_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Orientation in a TIFF structure (PNG's eXIf chunk, JPEG's APP1 after "Exif\0\0"): 1 to 8, and 1
 * when there is none or the structure is damaged. */
uint32_t fmt_exif_orientation(const uint8_t *tiff, size_t len_bytes);

/* The same of a whole JPEG file: looks at the segments before the first scan. */
uint32_t fmt_exif_orientation_jpeg(const uint8_t *in, size_t len_bytes);

#endif
