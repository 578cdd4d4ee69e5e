/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_again.h - after an attempt at a request of the control plane: done, again and when, or
 * failed for good.
 *
 * Owner: the caller. Threads: any, one at a time for given tries. Units: milliseconds.
 */
#ifndef PIPE_S3_AGAIN_H
#define PIPE_S3_AGAIN_H

#include "pipe/s3_explain.h"
#include "pipe/s3_xml.h"

/* Of one request; zero at first. */
struct ps_s3_tries {
    uint32_t attempts; /* made so far; the caller counts each before it is made */
    uint32_t lessons;  /* of them, those that failed for what was learnt from them */
};

/* Judges the attempt just made. PS_RETRY_AGAIN: ask again in *delay_ms. PS_RETRY_FATAL: the failure
 * is to be explained (ps_s3_explain). */
enum ps_retry_verdict ps_s3_again(struct ps_s3_tries *tries, struct ps_s3_site *site,
                                  const struct ps_s3_sent *sent,
                                  const struct ps_s3_failure *failure,
                                  const struct ps_s3_answer *answer, uint32_t *delay_ms);

#endif
