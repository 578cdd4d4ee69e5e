/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/sigv4.h - sign a request for S3 with AWS Signature Version 4.
 *
 * Source: AWS, "Signature Calculations for the Authorization Header: Transferring Payload in a
 * Single Chunk (AWS Signature Version 4)". For S3 a key is encoded once and a path is never
 * normalised.
 *
 * Owner: the caller owns everything; nothing is kept but the derived key in struct ps_sigv4_cache.
 * Threads: pure functions; a cache belongs to one thread at a time.
 */
#ifndef PIPE_SIGV4_H
#define PIPE_SIGV4_H

#include <time.h>

#include "pipe/text.h"

/* x-amz-content-sha256 of a request without a body, and of one whose body is not signed. */
#define PS_SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PS_SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

#define PS_SIGV4_PAIRS_MAX 16 /* headers, and query parameters, of one request */

struct ps_sigv4_pair {
    const char *name;
    const char *value;
};

/* The derived signing key and what it was derived from. Zero it before its first use, wipe it after
 * its last. */
struct ps_sigv4_cache {
    char scope[128];                 /* date/region/service/aws4_request */
    unsigned char secret_digest[32]; /* tells secrets apart without keeping them */
    unsigned char signing_key[32];
};

struct ps_sigv4_request {
    const char *method;
    const char *path;                    /* absolute and percent-encoded, as it will be sent */
    const char *query;                   /* of ps_sigv4_add_query, or "" */
    const struct ps_sigv4_pair *headers; /* every one is signed; names in lower case; repeated
                                            names are joined in the order given */
    size_t header_count;                 /* <= PS_SIGV4_PAIRS_MAX */
    const char *payload_sha256;          /* hex, or PS_SIGV4_UNSIGNED_PAYLOAD */
    const char *region;
    const char *service;
    const char *access_key_id;
    const char *secret_access_key;
    time_t time; /* the same as in the request's x-amz-date */
};

/* Appends the canonical query string, which is also the one to send: name=value pairs, encoded and
 * sorted. Sets text->cut if there are more than PS_SIGV4_PAIRS_MAX. */
void ps_sigv4_add_query(struct ps_text *text, const struct ps_sigv4_pair *pairs, size_t count);

/* Writes "20130524T000000Z" into `out`. Returns false for a time outside the years 0 to 9999. */
bool ps_sigv4_date(time_t time, char out[17]);

/* Writes the value of the Authorization header into `out`. Returns false if it, or the canonical
 * request, is too long. */
bool ps_sigv4_authorization(const struct ps_sigv4_request *request, struct ps_sigv4_cache *cache,
                            char *out, size_t size);

#endif
