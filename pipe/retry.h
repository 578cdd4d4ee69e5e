/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/retry.h - what to do after an attempt at a request: done, again, or give up with which
 * error.
 *
 * Sources: AWS SDKs and Tools Reference Guide, "Retry behavior"; botocore's lists of transient and
 * throttling codes; AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
 *
 * Threads: pure functions. Units: milliseconds.
 */
#ifndef PIPE_RETRY_H
#define PIPE_RETRY_H

#include "pipe/penstock.h"

#include <time.h>

#define PS_ATTEMPTS_MAX 10 /* as Mountpoint for Amazon S3 */

/* How far an attempt came. */
enum ps_transfer {
    PS_TRANSFER_OK,           /* a whole answer: see the HTTP status */
    PS_TRANSFER_RESOLVE,      /* the host name has no address now */
    PS_TRANSFER_CONNECT,      /* no connection */
    PS_TRANSFER_TLS,          /* the TLS handshake or a TLS record failed */
    PS_TRANSFER_CERTIFICATE,  /* the server's certificate is not trusted, or the CA file unusable */
    PS_TRANSFER_RESET,        /* the connection ended early: reset, empty answer, short body */
    PS_TRANSFER_STALL,        /* no data for too long */
    PS_TRANSFER_BAD_ANSWER,   /* not HTTP, or not what was asked for (e.g. a wrong Content-Range) */
    PS_TRANSFER_NO_MEMORY,    /* local: allocation failed */
    PS_TRANSFER_LOCAL_FAILURE /* local: anything else that trying again will not mend */
};

struct ps_attempt_outcome {
    enum ps_transfer transfer;
    int http_status;     /* 0 if none was received */
    const char *s3_code; /* <Code> of the body, "" if none; also looked at when the status is 200 */
};

/* What struct penstock_counters tells apart. */
enum ps_retry_cause {
    PS_CAUSE_OTHER,
    PS_CAUSE_CONNECT,
    PS_CAUSE_RESET,
    PS_CAUSE_STALLED,
    PS_CAUSE_THROTTLED,
    PS_CAUSE_SERVER,
    PS_CAUSES
};

enum ps_retry_verdict { PS_RETRY_DONE, PS_RETRY_AGAIN, PS_RETRY_FATAL };

struct ps_retry_decision {
    enum ps_retry_verdict verdict;
    int rc;        /* PENSTOCK_OK if done; else the error, also for the last attempt of AGAIN */
    bool throttle; /* the server asks for fewer requests: wait longer */
    enum ps_retry_cause cause;

    /* What only the caller of ps_retry_classify may know, else zero. */
    uint32_t wait_ms; /* and at least so long, by its Retry-After */
    bool renewing;    /* new keys are being fetched: not counted as an attempt in vain */
    bool unpin;       /* 412: ask once more without If-Match, to learn what is there now */
    bool learnt;      /* where the bucket is, or the time there: ask again at once */
};

struct ps_retry_decision ps_retry_classify(const struct ps_attempt_outcome *outcome);

/* How long to wait before the next attempt after `attempt` failed ones (>= 1): evenly between 0 and
 * base * 2^(attempt-1), at most 20 s; base is 50 ms, 1 s for a throttle. `random` is 64 random
 * bits.
 */
uint32_t ps_retry_delay_ms(uint32_t attempt, bool throttle, uint64_t random);

/* What a Retry-After header asks for, at most 60 s: `value` is a number of seconds or an HTTP date,
 * `now` the time of day. 0 for anything else, and for dates gone by. */
uint32_t ps_retry_after_ms(const char *value, time_t now);

/* The time of a Date header; 0 for anything else. */
time_t ps_retry_date(const char *value);

#endif
