/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_auth.h - is this request signed by someone who knows the secret key?
 *
 * The server's side of AWS Signature Version 4 in the Authorization header, written from AWS's
 * documentation ("Authenticating Requests: Using the Authorization Header", "Create a signed AWS
 * API request") and on purpose not from the client's signer in pipe/: an error would have to be
 * made twice, in two ways, to go unseen.
 *
 * Threads: any; nothing is kept between calls.
 * Owner: the caller owns all memory; serve_auth_verdict_free frees what a verdict holds.
 */
#ifndef BENCH_SERVE_AUTH_H
#define BENCH_SERVE_AUTH_H

#include "bench/serve_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum { SERVE_AUTH_SKEW_S = 15 * 60 };

/* Who may come in. */
struct serve_auth_policy {
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* demanded in x-amz-security-token; NULL: none may be sent;
                                  "*": any will do */
    const char *region;
    const char *service; /* "s3" */
    bool anonymous;      /* let requests in that carry no Authorization header */
};

struct serve_auth_header {
    const char *name; /* any case */
    const char *value;
};

struct serve_auth_request {
    const char *method;
    const char *target; /* as on the request line: "/path?query", not decoded */
    const struct serve_auth_header *headers;
    size_t header_count;
    time_t now;
    /* The body's hash, for services that do not send x-amz-content-sha256. NULL for S3, where the
     * header must be there. */
    const char *payload_sha256;
};

/* The answer. When refused, S3's status, code and message, and for a wrong signature what the
 * server signed, which S3 tells as well: comparing it with the client's own shows the error. */
struct serve_auth_verdict {
    bool accepted;
    int http_status;
    const char *code;
    char message[256];
    const char *payload_sha256; /* x-amz-content-sha256 of the request, or NULL */
    struct serve_text canonical_request;
    struct serve_text string_to_sign;
};

void serve_auth_check(const struct serve_auth_policy *policy,
                      const struct serve_auth_request *request, struct serve_auth_verdict *verdict);

void serve_auth_verdict_free(struct serve_auth_verdict *verdict);

/* "20130524T000000Z" to seconds since 1970; false when it is not of that form. */
bool serve_auth_time(const char *amz_date, time_t *time);

#endif
