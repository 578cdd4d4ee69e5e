/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/session.h - sessions with directory buckets, of S3 Express One Zone: keys for five minutes
 * that sign every other request for the bucket.
 *
 * The first keys are asked for by who asks the bucket for something first, a thread that may wait;
 * then a keyring has new ones ahead of their end, while requests go on with the old ones.
 *
 * Source: Amazon S3 API Reference, CreateSession; botocore's S3ExpressAuth.
 *
 * Owner: struct penstock, by struct ps_sessions. Threads: any.
 */
#ifndef PIPE_SESSION_H
#define PIPE_SESSION_H

#include "pipe/s3.h"

/* All sessions of a stream. */
struct ps_sessions {
    struct ps_session *first;
    const atomic_bool *stop; /* ends a request for keys early */
    void (*log)(void *cookie, int level, const char *line);
    void *cookie;
};

/* Gives the site its bucket's session, if it is to have one. The first site of a bucket is lent
 * until ps_sessions_close. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_session_attach(struct ps_sessions *all, struct ps_s3_site *site,
                      struct penstock_error *error);

/* Sees to it that the site's requests can be signed: waits for the account's first keys, and for
 * the session's. Nothing is to be waited for where files are read. Returns PENSTOCK_OK,
 * PENSTOCK_E_STOPPED, or the error of who was asked. */
int ps_session_begin(struct ps_s3_site *site, const atomic_bool *stop,
                     struct penstock_error *error);

/* What signs: the session's keys, or with NULL the account's. Read with the keyring locked. */
const struct ps_credentials *ps_session_credentials(const struct ps_s3_site *site,
                                                    const struct ps_session *session);

/* What keeps them good: of a CreateSession request the account's. */
struct ps_keyring *ps_session_keyring(const struct ps_s3_site *site, bool create_session);

/* Ends their threads; *stop is set. */
void ps_sessions_close(struct ps_sessions *all);

#endif
