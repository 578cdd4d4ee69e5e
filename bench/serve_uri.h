/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_uri.h - the texts of an HTTP request that S3 gives a meaning: percent-encoding,
 * query parameters, Range, entity tags. Pure functions.
 *
 * Threads: any. Owner: the caller owns all memory; decoded bytes may hold NUL, so they travel with
 * their length.
 */
#ifndef BENCH_SERVE_URI_H
#define BENCH_SERVE_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes percent escapes, and '+' to a space when `plus_is_space` (queries). `out` has room for
 * len_bytes + 1; it may be `in`. Returns false on an escape that is not two hexadecimal digits. */
bool serve_uri_decode(const char *in, size_t len_bytes, bool plus_is_space, char *out,
                      size_t *out_len_bytes);

/* One parameter of a raw query string, still encoded. */
struct serve_uri_parameter {
    const char *name;
    size_t name_len_bytes;
    const char *value; /* "" when there is no '=' */
    size_t value_len_bytes;
};

/* Takes the next parameter off *query, skipping empty ones. Returns false at the end. */
bool serve_uri_next(const char **query, struct serve_uri_parameter *parameter);

/* What a Range header asks of an object of size_bytes. */
enum serve_range_rc {
    SERVE_RANGE_NONE, /* no header, or one that RFC 9110 14.2 has a server ignore: whole object */
    SERVE_RANGE_OK,   /* first_bytes .. first_bytes + len_bytes of the object */
    SERVE_RANGE_UNSATISFIABLE,
};

struct serve_range {
    uint64_t first_bytes;
    uint64_t len_bytes;
};

/* Parses "bytes=first-last", "bytes=first-" or "bytes=-suffix"; `header` may be NULL. S3 serves
 * one range only: a list of them is ignored. Fills *range always, with the whole object on NONE. */
enum serve_range_rc serve_range_parse(const char *header, uint64_t size_bytes,
                                      struct serve_range *range);

/* Whether an If-Match or If-None-Match list names `etag` (quoted), or is "*". A tag without quotes
 * matches too, as it does on S3. */
bool serve_etag_listed(const char *header, const char *etag);

#endif
