/* SPDX-License-Identifier: Apache-2.0 */
/* formats/npz.h - find a member of an .npz file, which is a ZIP archive of .npy files.
 *
 * Stored and deflated members, with ZIP64 sizes; no encryption, no archives in several parts.
 * Source: PKWARE APPNOTE.TXT 6.3, sections 4.3 and 4.5.3. Threads: pure functions.
 */
#ifndef FORMATS_NPZ_H
#define FORMATS_NPZ_H

#include "formats/fmt.h"

struct fmt_npz_member {
    char name[256];      /* with ".npy" */
    const uint8_t *data; /* as stored in the archive */
    size_t len_bytes;
    size_t full_bytes; /* when inflated */
    uint32_t crc32;    /* of the inflated bytes */
    bool deflated;
};

/* Finds member `name`, with or without ".npy"; NULL takes the only one. */
enum fmt_rc fmt_npz_find(const uint8_t *in, size_t len, const char *name,
                         struct fmt_npz_member *member, struct fmt_error *error);

/* Writes the member's full_bytes bytes to out and checks them. */
enum fmt_rc fmt_npz_extract(const struct fmt_npz_member *member, uint8_t *out,
                            struct fmt_error *error);

#endif
