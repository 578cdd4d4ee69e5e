/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_again.c - see s3_again.h. */
#include "pipe/s3_again.h"

#include "pipe/clock.h"
#include "pipe/session.h"

#include <sys/random.h>

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

enum ps_retry_verdict ps_s3_again(struct ps_s3_tries *tries, struct ps_s3_site *site,
                                  const struct ps_s3_sent *sent,
                                  const struct ps_s3_failure *failure,
                                  const struct ps_s3_answer *answer, uint32_t *delay_ms)
{
    struct ps_retry_decision decision = ps_retry_classify(&failure->outcome);
    uint64_t random = 0;

    *delay_ms = 0;
    if (decision.verdict == PS_RETRY_FATAL && tries->lessons < PS_S3_LESSONS_MAX &&
        failure->outcome.transfer == PS_TRANSFER_OK &&
        ps_s3_learn(site, sent, failure->outcome.http_status, answer, time(NULL))) {
        tries->lessons++;
        return PS_RETRY_AGAIN;
    }
    ps_keyring_reconsider(ps_session_keyring(site, failure->session), &decision);
    if (decision.verdict == PS_RETRY_DONE)
        ps_budget_refund(site->budget, tries->attempts > 1);
    if (decision.verdict != PS_RETRY_AGAIN)
        return decision.verdict;
    if (tries->attempts >= PS_ATTEMPTS_MAX)
        return PS_RETRY_FATAL;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint64_t)clock() << 40;
    *delay_ms = most(ps_retry_delay_ms(tries->attempts, decision.throttle, random),
                     ps_budget_take_ms(site->budget, false, ps_now_ns()));
    *delay_ms = most(most(*delay_ms, answer->retry_after_ms), decision.wait_ms);
    tries->attempts -= decision.renewing;
    return PS_RETRY_AGAIN;
}
