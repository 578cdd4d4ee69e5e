/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_explain.c - the error of a request that failed for good. */
#include "pipe/s3_explain.h"

#include <inttypes.h>
#include <string.h>

#include "pipe/error.h"

static bool code_is(const struct ps_s3_failure *failure, const char *code)
{
    return !strcmp(failure->outcome.s3_code, code);
}

static const struct ps_s3_place *place_of(const struct ps_s3_failure *failure)
{
    return failure->place ? failure->place : ps_s3_site_place(failure->site);
}

/* The region header comes with most answers, so it counts only if it is another one. */
static bool is_wrong_region(const struct ps_s3_failure *failure)
{
    const char *region = failure->s3_region;
    return (*region && strcmp(region, place_of(failure)->region)) ||
           code_is(failure, "AuthorizationHeaderMalformed") ||
           code_is(failure, "PermanentRedirect");
}

static bool is_redirect(const struct ps_s3_failure *failure)
{
    int status = failure->outcome.http_status;
    return (status >= 300 && status < 400 && status != 304) || is_wrong_region(failure);
}

/* "listing s3://bucket/prefix", "GET s3://bucket/key at byte 17" or "HEAD s3://bucket/key". */
static void add_what(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const char *what = failure->listing   ? "listing"
                       : failure->session ? "CreateSession for"
                       : failure->head    ? "HEAD"
                                          : "GET";

    ps_text_addf(text, "%s s3://%s/%s", what, failure->site->bucket, failure->key);
    if (!failure->listing && !failure->head && !failure->session)
        ps_text_addf(text, " at byte %" PRIu64, failure->offset_bytes);
    ps_text_add(text, " failed");
    if (failure->attempts > 1)
        ps_text_addf(text, " after %" PRIu32 " attempts", failure->attempts);
}

static const char *transfer_words(enum ps_transfer transfer)
{
    switch (transfer) {
    case PS_TRANSFER_OK:
        return "";
    case PS_TRANSFER_RESOLVE:
        return "the host name cannot be resolved";
    case PS_TRANSFER_CONNECT:
        return "no connection";
    case PS_TRANSFER_TLS:
        return "TLS failed";
    case PS_TRANSFER_CERTIFICATE:
        return "the server's certificate is not trusted";
    case PS_TRANSFER_RESET:
        return "the connection ended before the whole answer had arrived";
    case PS_TRANSFER_STALL:
        return "no data arrived for too long";
    case PS_TRANSFER_BAD_ANSWER:
        return "the server's answer is not what was asked for";
    case PS_TRANSFER_NO_MEMORY:
        return "out of memory";
    case PS_TRANSFER_LOCAL_FAILURE:
        return "the request cannot be sent";
    }
    return "";
}

static void add_why(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const struct ps_attempt_outcome *outcome = &failure->outcome;
    if (outcome->transfer != PS_TRANSFER_OK) {
        ps_text_addf(text, ": %s", transfer_words(outcome->transfer));
        if (*failure->detail)
            ps_text_addf(text, " (%s)", failure->detail);
    }
    if (outcome->http_status)
        ps_text_addf(text, ": HTTP status %d", outcome->http_status);
    if (*outcome->s3_code)
        ps_text_addf(text, " %s", outcome->s3_code);
    if (*failure->s3_message && !is_wrong_region(failure))
        ps_text_addf(text, " (%.200s)", failure->s3_message);
}

static void add_where(struct ps_text *text, const struct ps_s3_failure *failure)
{
    char origin[sizeof failure->place->authority + 16];
    ps_s3_place_origin(place_of(failure), origin, sizeof origin);
    ps_text_addf(text, " [%s", origin);
    if (*failure->remote_ip)
        ps_text_addf(text, ", IP %s", failure->remote_ip);
    if (*failure->request_id)
        ps_text_addf(text, ", request id %s", failure->request_id);
    ps_text_add(text, "]");
}

static void advise_denied(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const struct ps_credentials *credentials = &failure->site->account->credentials;
    const char *id = credentials->keys.access_key_id, *origin = credentials->origin;
    const char *bucket = failure->site->bucket;

    if (code_is(failure, "SignatureDoesNotMatch"))
        ps_text_addf(text, ": the secret key does not belong to access key %s (from %s)", id,
                     origin);
    else if (code_is(failure, "InvalidAccessKeyId"))
        ps_text_addf(text, ": access key %s (from %s) is unknown to this server", id, origin);
    else if (code_is(failure, "RequestTimeTooSkewed"))
        ps_text_add(text, ": this machine's clock is wrong: set it");
    else if (credentials->anonymous)
        ps_text_addf(text, ": bucket %s is not public: use credentials", bucket);
    else if (failure->site->directory)
        ps_text_addf(text, ": access key %s (from %s) needs s3express:CreateSession on bucket %s",
                     id, origin, bucket);
    else if (failure->listing)
        ps_text_addf(text, ": access key %s (from %s) needs s3:ListBucket on arn:aws:s3:::%s", id,
                     origin, bucket);
    else
        ps_text_addf(text, ": access key %s (from %s) needs s3:GetObject on arn:aws:s3:::%s/%s", id,
                     origin, bucket, failure->key);
}

static void advise_credentials(struct ps_text *text, const struct ps_s3_account *account)
{
    char trouble[600];

    ps_keyring_trouble(account->keyring, trouble, sizeof trouble);
    ps_text_addf(text, ": the credentials from %s are no longer valid: renew them",
                 account->credentials.origin);
    if (*trouble)
        ps_text_addf(text, " (tried: %s)", trouble);
}

static void advise_network(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const struct ps_s3_account *account = failure->site->account;
    switch (failure->outcome.transfer) {
    case PS_TRANSFER_RESOLVE:
    case PS_TRANSFER_CONNECT:
        if (*account->endpoint_url)
            ps_text_addf(text, ": check the endpoint URL %s (from %s) and that the server runs",
                         account->endpoint_url, account->endpoint_origin);
        else
            ps_text_addf(text, ": check region %s and the way to the network (proxy, VPC endpoint)",
                         place_of(failure)->region);
        break;
    case PS_TRANSFER_CERTIFICATE:
        ps_text_add(text, ": name the file of a private CA by AWS_CA_BUNDLE");
        break;
    case PS_TRANSFER_TLS:
        if (*account->endpoint_url)
            ps_text_addf(text, ": check that %s (from %s) speaks TLS, else write http://",
                         account->endpoint_url, account->endpoint_origin);
        break;
    case PS_TRANSFER_OK:
    case PS_TRANSFER_RESET:
    case PS_TRANSFER_STALL:
    case PS_TRANSFER_BAD_ANSWER:
    case PS_TRANSFER_NO_MEMORY:
    case PS_TRANSFER_LOCAL_FAILURE:
        break;
    }
}

static void advise_not_found(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const struct ps_s3_account *account = failure->site->account;
    if (!failure->listing && !failure->session && !code_is(failure, "NoSuchBucket"))
        ps_text_add(text, ": the object was deleted after it was listed");
    else if (*account->endpoint_url)
        ps_text_addf(text, ": check that bucket %s exists at %s (from %s)", failure->site->bucket,
                     account->endpoint_url, account->endpoint_origin);
    else
        ps_text_addf(text, ": check that bucket %s exists in region %s", failure->site->bucket,
                     place_of(failure)->region);
}

static void advise_http(struct ps_text *text, const struct ps_s3_failure *failure)
{
    const struct ps_s3_account *account = failure->site->account;
    int status = failure->outcome.http_status;
    if (ps_retry_classify(&failure->outcome).throttle)
        ps_text_add(text, ": the server asks for fewer requests: use fewer connections");
    else if (status >= 300 && status < 400 && *account->endpoint_url)
        ps_text_addf(text, ": the server redirects, check the endpoint URL %s (from %s)",
                     account->endpoint_url, account->endpoint_origin);
}

static void add_advice(struct ps_text *text, const struct ps_s3_failure *failure, int rc)
{
    const struct ps_s3_account *account = failure->site->account;
    if (rc == PENSTOCK_E_NETWORK)
        advise_network(text, failure);
    else if (rc == PENSTOCK_E_NOT_FOUND)
        advise_not_found(text, failure);
    else if (rc == PENSTOCK_E_CREDENTIALS)
        advise_credentials(text, account);
    else if (rc == PENSTOCK_E_CHANGED)
        ps_text_add(text, ": the object was replaced after it was listed: start again");
    else if (is_redirect(failure) &&
             ps_s3_redirect_fault(failure->site, place_of(failure), failure->s3_region,
                                  failure->s3_location, text))
        return;
    else if (is_wrong_region(failure) && *failure->s3_region)
        ps_text_addf(text, ": the bucket is in region %s, not %s: set AWS_REGION=%s",
                     failure->s3_region, place_of(failure)->region, failure->s3_region);
    else if (is_wrong_region(failure))
        ps_text_addf(text, ": the bucket is not in region %s: set AWS_REGION",
                     place_of(failure)->region);
    else if (rc == PENSTOCK_E_DENIED)
        advise_denied(text, failure);
    else if (rc == PENSTOCK_E_HTTP)
        advise_http(text, failure);
}

int ps_s3_explain(const struct ps_s3_failure *failure, struct penstock_error *error)
{
    const struct ps_attempt_outcome *outcome = &failure->outcome;
    int rc = ps_retry_classify(outcome).rc;
    char message[sizeof error->message];
    struct ps_text text = ps_text_in(message, sizeof message);

    add_what(&text, failure);
    add_why(&text, failure);
    ps_keyring_lock(failure->site->account->keyring);
    add_advice(&text, failure, rc);
    ps_keyring_unlock(failure->site->account->keyring);
    add_where(&text, failure);
    ps_fail(error, rc, "%s", message);
    ps_error_object(error, failure->site->bucket, failure->key, failure->offset_bytes);
    ps_error_answer(error, outcome->http_status, outcome->s3_code, failure->request_id,
                    failure->remote_ip, failure->attempts);
    return rc;
}
