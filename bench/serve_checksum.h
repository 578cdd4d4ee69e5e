/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_checksum.h - checksums of objects, as S3 keeps them.
 *
 * A sum is computed when it is first asked for, and remembered under the file's entity tag: it is
 * stale when a file changes and keeps its size and modification time, as a file does on a disk that
 * rots. Tests make use of that.
 *
 * Owner: the server. Threads: any.
 */
#ifndef BENCH_SERVE_CHECKSUM_H
#define BENCH_SERVE_CHECKSUM_H

#include "formats/crc.h"

#include <stdbool.h>

struct serve_checksums;

/* A header field. */
struct serve_checksum {
    const char *name; /* "x-amz-checksum-crc64nvme" */
    char text[FMT_CRC_TEXT_BYTES];
};

/* Returns NULL without memory. */
struct serve_checksums *serve_checksums_create(enum fmt_crc_kind kind);

/* Accepts NULL. */
void serve_checksums_destroy(struct serve_checksums *checksums);

/* The checksum of a file. False when it cannot be read to its end. */
bool serve_checksum_of(struct serve_checksums *checksums, int fd, const char *etag,
                       struct serve_checksum *out);

/* "x-amz-checksum-crc32" ... */
const char *serve_checksum_header(enum fmt_crc_kind kind);

#endif
