/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/http_head.h - parse the head of an HTTP/1.1 answer, as far as a ranged GET needs it.
 *
 * Source: RFC 9112. Strict where leniency would let two readers disagree about where the body ends:
 * line folding, bare line feeds, a length given twice or beside chunks, and control bytes are
 * refused. No allocation; nothing is kept.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef PIPE_HTTP_HEAD_H
#define PIPE_HTTP_HEAD_H

#include "pipe/checksum.h"
#include "pipe/content_range.h"

#define PS_HTTP_HEAD_BYTES_MAX 16384
#define PS_HTTP_ETAG_BYTES 128 /* S3's have at most 38 characters */

struct ps_http_head {
    size_t len_bytes;       /* of the head, its empty line included */
    int status;             /* 100 .. 999 */
    int64_t content_length; /* -1 if none was given */
    bool chunked;
    bool keep_alive; /* the connection stays open after the body */
    bool has_range;
    struct ps_content_range range;
    struct ps_checksum checksum;
    char etag[PS_HTTP_ETAG_BYTES]; /* with its quotes; "" if none was given, or a longer one */
    char retry_after[40];          /* seconds or a date, as it came */
    char request_id[128];
    char region[64];
    char location[300]; /* of a redirect, perhaps cut */
    char date[40];
};

enum ps_http_rc { PS_HTTP_OK, PS_HTTP_MORE, PS_HTTP_BAD };

/* Parses a head at in[0 .. len). *scanned is private memory between calls for the same answer that
 * returned MORE: zero it first. BAD when the bytes are no such head, or PS_HTTP_HEAD_BYTES_MAX of
 * them hold none. */
enum ps_http_rc ps_http_head_parse(const char *in, size_t len, size_t *scanned,
                                   struct ps_http_head *head);

/* Decodes a whole chunked body (RFC 9112, 7.1) at in[0 .. len) in place; *body_bytes receives its
 * length, *taken_bytes how many of `len` it was made of. Trailers are skipped. MORE while the last
 * chunk has not come; the bytes are as they were then. */
enum ps_http_rc ps_http_unchunk(char *in, size_t len, size_t *body_bytes, size_t *taken_bytes);

#endif
