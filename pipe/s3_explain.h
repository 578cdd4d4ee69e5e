/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_explain.h - the error of a request that failed for good: what, where, and what to do.
 *
 * One wording for listings and GETs, whichever transport sent them.
 *
 * Owner: the caller. Threads: pure function.
 */
#ifndef PIPE_S3_EXPLAIN_H
#define PIPE_S3_EXPLAIN_H

#include "pipe/retry.h"
#include "pipe/s3.h"

struct ps_s3_failure {
    const struct ps_s3_site *site;
    const struct ps_s3_place *place; /* where the request was sent to; NULL: nowhere yet */
    const char *key;                 /* object, or prefix of a listing */
    bool listing;                    /* ListObjectsV2, else GetObject, */
    bool head;                       /* or HeadObject, for the checksum */
    bool session;                    /* or CreateSession; key is "" */
    uint64_t offset_bytes; /* in the object, of the first byte not delivered; 0 for listings */
    uint32_t attempts;
    struct ps_attempt_outcome outcome; /* of the last attempt */
    const char *detail;      /* the transport's words, e.g. curl's error buffer; may be "" */
    const char *s3_message;  /* <Message>, "" if none */
    const char *s3_region;   /* where the bucket is, if the server said so, else "" */
    const char *s3_location; /* of a redirect, else "" */
    const char *request_id;  /* "" if none */
    const char *remote_ip;   /* "" if none */
};

/* Fills *error, whose rc is that of ps_retry_classify(&failure->outcome), and returns the rc. */
int ps_s3_explain(const struct ps_s3_failure *failure, struct penstock_error *error);

#endif
