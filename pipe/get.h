/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/get.h - what every transport does with a ranged GET of a part: build it, judge the answer's
 * head, and put a failure into words.
 *
 * Threads: the I/O thread that owns the part.
 */
#ifndef PIPE_GET_H
#define PIPE_GET_H

#include "pipe/channel.h"
#include "pipe/checksum.h"
#include "pipe/content_range.h"
#include "pipe/retry.h"
#include "pipe/s3_xml.h"

/* The head of an answer, as far as it decides what the body is. */
struct ps_get_head {
    int status;
    int64_t content_length; /* -1 if none was given */
    bool has_range;         /* a usable Content-Range was given */
    struct ps_content_range range;
    const char *etag; /* "" if none was given */
    struct ps_checksum checksum;
};

enum ps_get_body {
    PS_BODY_WANTED,  /* exactly the bytes asked for */
    PS_BODY_ERROR,   /* an error document */
    PS_BODY_WRONG,   /* a success with other bytes than were asked for: try again */
    PS_BODY_CHANGED, /* the object has another size or entity tag than was listed */
};

/* Builds the signed request for the part's bytes from `from_bytes` on, to be sent to `place`; see
 * ps_s3_request_build. It pins the entity tag that was listed, unless the part is unpinned. */
int ps_get_build(const struct ps_part *part, const struct ps_s3_place *place, uint64_t from_bytes,
                 struct ps_sigv4_cache *signing, struct ps_s3_request *request,
                 struct penstock_error *error);

/* "GET", or "HEAD" for a part that asks for the object's checksum. */
const char *ps_get_method(const struct ps_part *part);

/* Judges the answer to such a request. `why` receives words for WRONG and CHANGED, "" otherwise. */
enum ps_get_body ps_get_judge(const struct ps_part *part, uint64_t from_bytes,
                              const struct ps_get_head *head, char *why, size_t why_size);

/* What an attempt came to. Texts may be "". */
struct ps_get_failure {
    enum ps_get_body body; /* of the answer, if there was one */
    enum ps_transfer transfer;
    int status;
    const struct ps_s3_answer *said; /* request id and region also from the head */
    struct ps_s3_sent sent;
    const char *why; /* the transport's words, or ps_get_judge's */
    const char *remote_ip;
};

/* Decides what follows, and fills *error unless the part is done. */
struct ps_retry_decision ps_get_decide(const struct ps_part *part,
                                       const struct ps_get_failure *failure,
                                       struct penstock_error *error);

/* The source a part's object comes from. */
const struct ps_source *ps_part_source(const struct ps_part *part);

#endif
