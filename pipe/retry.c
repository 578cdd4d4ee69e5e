/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/retry.c - what to do after an attempt at a request. */
#include "pipe/retry.h"

#include <curl/curl.h>
#include <string.h>

#define BASE_MS 50
#define THROTTLE_BASE_MS 1000
#define DELAY_MS_MAX 20000
#define RETRY_AFTER_S_MAX 60

static bool is_one_of(const char *code, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(code, list[i]))
            return true;
    return false;
}
#define IS_ONE_OF(code, list) is_one_of(code, list, sizeof(list) / sizeof *(list))

static bool is_throttle_code(const char *code)
{
    static const char *const codes[] = {"SlowDown",
                                        "RequestLimitExceeded",
                                        "TooManyRequests",
                                        "TooManyRequestsException",
                                        "BandwidthLimitExceeded",
                                        "RequestThrottled",
                                        "RequestThrottledException"};
    return IS_ONE_OF(code, codes) || !strncmp(code, "Throttl", 7);
}

/* Codes that are worth another attempt whatever the status they come with. */
static bool is_transient_code(const char *code)
{
    static const char *const codes[] = {"InternalError", "InternalErrors", "ServiceUnavailable",
                                        "RequestTimeout", "RequestTimeoutException"};
    return IS_ONE_OF(code, codes);
}

static bool is_credentials_code(const char *code)
{
    static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException", "InvalidToken",
                                        "TokenRefreshRequired"};
    return IS_ONE_OF(code, codes);
}

static struct ps_retry_decision decide(enum ps_retry_verdict verdict, int rc)
{
    return (struct ps_retry_decision){.verdict = verdict, .rc = rc};
}

static struct ps_retry_decision again(enum ps_retry_cause cause)
{
    bool by_status = cause == PS_CAUSE_THROTTLED || cause == PS_CAUSE_SERVER;

    return (struct ps_retry_decision){.verdict = PS_RETRY_AGAIN,
                                      .rc = by_status ? PENSTOCK_E_HTTP : PENSTOCK_E_NETWORK,
                                      .throttle = cause == PS_CAUSE_THROTTLED,
                                      .cause = cause};
}

static struct ps_retry_decision classify_status(int status, const char *code)
{
    if (is_throttle_code(code) || status == 429 || status == 503 || status == 509)
        return again(PS_CAUSE_THROTTLED);
    if (is_transient_code(code))
        return again(PS_CAUSE_SERVER);
    if (is_credentials_code(code))
        return decide(PS_RETRY_FATAL, PENSTOCK_E_CREDENTIALS);
    switch (status) {
    case 401:
    case 403:
        return decide(PS_RETRY_FATAL, PENSTOCK_E_DENIED);
    case 404:
    case 410:
        return decide(PS_RETRY_FATAL, PENSTOCK_E_NOT_FOUND);
    case 408:
    case 500:
    case 502:
    case 504:
        return again(PS_CAUSE_SERVER);
    case 412:
    case 416: /* every range asked for lies within the listed size: the object shrank */
        return decide(PS_RETRY_FATAL, PENSTOCK_E_CHANGED);
    default:
        break;
    }
    if (status >= 200 && status < 300 && !*code)
        return decide(PS_RETRY_DONE, PENSTOCK_OK);
    return decide(PS_RETRY_FATAL, PENSTOCK_E_HTTP);
}

struct ps_retry_decision ps_retry_classify(const struct ps_attempt_outcome *outcome)
{
    switch (outcome->transfer) {
    case PS_TRANSFER_OK:
        return classify_status(outcome->http_status, outcome->s3_code);
    case PS_TRANSFER_RESOLVE:
    case PS_TRANSFER_CONNECT:
    case PS_TRANSFER_TLS:
        return again(PS_CAUSE_CONNECT);
    case PS_TRANSFER_RESET:
        return again(PS_CAUSE_RESET);
    case PS_TRANSFER_STALL:
        return again(PS_CAUSE_STALLED);
    case PS_TRANSFER_BAD_ANSWER:
        return again(PS_CAUSE_OTHER);
    case PS_TRANSFER_CERTIFICATE:
        return decide(PS_RETRY_FATAL, PENSTOCK_E_NETWORK);
    case PS_TRANSFER_NO_MEMORY:
        return decide(PS_RETRY_FATAL, PENSTOCK_E_MEMORY);
    case PS_TRANSFER_LOCAL_FAILURE:
        return decide(PS_RETRY_FATAL, PENSTOCK_E_SYSTEM);
    }
    return decide(PS_RETRY_FATAL, PENSTOCK_E_SYSTEM);
}

uint32_t ps_retry_delay_ms(uint32_t attempt, bool throttle, uint64_t random)
{
    uint64_t bound = throttle ? THROTTLE_BASE_MS : BASE_MS;
    for (uint32_t i = 1; i < attempt && bound < DELAY_MS_MAX; i++)
        bound *= 2;
    if (bound > DELAY_MS_MAX)
        bound = DELAY_MS_MAX;
    return (uint32_t)(((random >> 32) * (bound + 1)) >> 32);
}

uint32_t ps_retry_after_ms(const char *value, time_t now)
{
    size_t digits = strspn(value, "0123456789");
    long long wait_s = 0;

    if (digits > 0 && value[digits] == '\0') {
        for (size_t i = 0; i < digits && wait_s < RETRY_AFTER_S_MAX; i++)
            wait_s = 10 * wait_s + (value[i] - '0');
    } else if (digits == 0 && *value) {
        time_t then = curl_getdate(value, NULL);

        wait_s = then == -1 ? 0 : (long long)then - now;
    }
    if (wait_s > RETRY_AFTER_S_MAX)
        wait_s = RETRY_AFTER_S_MAX;
    return wait_s > 0 ? (uint32_t)wait_s * 1000 : 0;
}

time_t ps_retry_date(const char *value)
{
    time_t then = *value ? curl_getdate(value, NULL) : -1;

    return then > 0 ? then : 0;
}
