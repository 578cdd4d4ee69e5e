/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_express.h - directory buckets, of S3 Express One Zone: those whose names end in
 * "--x-s3". Their requests are signed for another service, mostly with the keys of a session, which
 * ends after a while.
 *
 * The server remembers no session: a token says when it ends, and the secret key follows from it.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef BENCH_SERVE_EXPRESS_H
#define BENCH_SERVE_EXPRESS_H

#include "bench/serve_request.h"

bool serve_express_is_bucket(const char *bucket);

/* Who may come in with a request for a directory bucket. */
struct serve_express_policy {
    struct serve_auth_policy policy; /* lends `secret` */
    char secret[72];
};

/* Fills in `out` from the server's own policy and the request's token, if it has one. False if the
 * session is none, or has ended: then the verdict is given. */
bool serve_express_admit(struct serve_request *request, struct serve_express_policy *out);

/* Answers CreateSession. */
enum MHD_Result serve_express_answer(struct serve_request *request);

#endif
