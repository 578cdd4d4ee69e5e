/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_list.c - list the objects of a bucket, page after page, in key order; and open a session
 * with one. */
#include "pipe/s3_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipe/credentials_sources.h"
#include "pipe/curl_common.h"
#include "pipe/error.h"
#include "pipe/s3_again.h"
#include "pipe/s3_sorted.h"

#define POLL_MS 50 /* how often the stop flag is looked at */

struct ps_s3_lister {
    struct ps_s3_site *site;
    const atomic_bool *stop;
    char prefix[PS_KEY_BYTES_MAX + 1];
    char asked_prefix[PS_KEY_BYTES_MAX + 1]; /* a directory bucket knows those that end in "/" */
    char max_keys[16];                       /* "" for the server's own limit */
    char token[PS_S3_TOKEN_MAX + 1];
    char last_key[PS_KEY_BYTES_MAX + 1]; /* of the page before, "" at first */
    bool done;
    struct ps_credentials *session; /* CreateSession is asked for, into this; NULL: a listing */
    struct ps_s3_sorted *sorted;    /* for a server without an order; it holds the keys */
    uint64_t requests, retries;

    CURLM *multi;
    CURL *easy;
    char detail[CURL_ERROR_SIZE];
    struct ps_sigv4_cache cache;
    struct ps_s3_request request;
    char *body; /* of the answer at hand */
    size_t body_len, body_capacity;
};

static bool is_stopped(const struct ps_s3_lister *lister)
{
    return lister->stop && atomic_load_explicit(lister->stop, memory_order_relaxed);
}

static int stopped(const struct ps_s3_lister *lister, struct penstock_error *error)
{
    int rc = ps_fail(error, PENSTOCK_E_STOPPED, "listing s3://%s/%s was stopped",
                     lister->site->bucket, lister->prefix);
    ps_error_object(error, lister->site->bucket, lister->prefix, 0);
    return rc;
}

static size_t on_body(char *data, size_t one, size_t len, void *cookie)
{
    struct ps_s3_lister *lister = cookie;
    (void)one;
    if (len > PS_S3_PAGE_BYTES_MAX - lister->body_len)
        return 0; /* libcurl then fails with CURLE_WRITE_ERROR */
    if (lister->body_len + len > lister->body_capacity) {
        size_t capacity = 2 * (lister->body_len + len);
        char *body = realloc(lister->body, capacity);
        if (!body)
            return 0;
        lister->body = body;
        lister->body_capacity = capacity;
    }
    memcpy(lister->body + lister->body_len, data, len);
    lister->body_len += len;
    return len;
}

int ps_s3_list_open(struct ps_s3_site *site, const char *prefix, const atomic_bool *stop,
                    uint32_t max_keys, struct ps_s3_lister **out, struct penstock_error *error)
{
    struct ps_s3_lister *lister;
    int rc;

    *out = NULL;
    if (strlen(prefix) > PS_KEY_BYTES_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "prefix '%.100s...' has more than %d bytes",
                       prefix, PS_KEY_BYTES_MAX);
    rc = ps_curl_start(error);
    if (rc != PENSTOCK_OK)
        return rc;
    lister = calloc(1, sizeof *lister);
    if (!lister)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory to list s3://%s", site->bucket);
    lister->site = site;
    lister->stop = stop;
    ps_text_copy(lister->prefix, sizeof lister->prefix, prefix);
    ps_text_copy(lister->asked_prefix, sizeof lister->asked_prefix, prefix);
    if (site->directory) {
        char *slash = strrchr(lister->asked_prefix, '/');
        lister->asked_prefix[slash ? slash + 1 - lister->asked_prefix : 0] = '\0';
    }
    if (max_keys) {
        struct ps_text text = ps_text_in(lister->max_keys, sizeof lister->max_keys);
        ps_text_addf(&text, "%u", (unsigned)max_keys);
    }
    lister->multi = curl_multi_init();
    lister->easy = curl_easy_init();
    if (!lister->multi || !lister->easy)
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "no memory to list s3://%s", site->bucket);
    else
        rc = ps_curl_prepare(lister->easy, site, lister->detail, error);
    if (rc == PENSTOCK_OK) {
        curl_easy_setopt(lister->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(lister->easy, CURLOPT_WRITEDATA, lister);
        *out = lister;
    } else {
        ps_s3_list_close(&lister);
    }
    return rc;
}

static size_t fill_query(const struct ps_s3_lister *lister, struct ps_sigv4_pair *query)
{
    size_t count = 0;
    if (lister->session) {
        query[count++] = (struct ps_sigv4_pair){"session", ""};
        return count;
    }
    query[count++] = (struct ps_sigv4_pair){"list-type", "2"};
    query[count++] = (struct ps_sigv4_pair){"encoding-type", "url"};
    if (*lister->asked_prefix)
        query[count++] = (struct ps_sigv4_pair){"prefix", lister->asked_prefix};
    if (*lister->max_keys)
        query[count++] = (struct ps_sigv4_pair){"max-keys", lister->max_keys};
    if (*lister->token)
        query[count++] = (struct ps_sigv4_pair){"continuation-token", lister->token};
    return count;
}

static int build(struct ps_s3_lister *lister, struct ps_s3_request_spec *spec,
                 struct penstock_error *error)
{
    struct ps_sigv4_pair query[8];
    *spec = (struct ps_s3_request_spec){.method = "GET",
                                        .query = query,
                                        .query_count = fill_query(lister, query),
                                        .create_session = lister->session != NULL};
    int rc = ps_s3_request_build(lister->site, spec, time(NULL), &lister->cache, &lister->request,
                                 error);
    spec->query = NULL; /* it lives here */
    spec->query_count = 0;
    return rc;
}

/* Runs the transfer to its end, or until the stop flag is set, which *aborted tells. */
static CURLcode transfer(struct ps_s3_lister *lister, bool *aborted)
{
    CURLcode code = CURLE_OK;
    int running = 1;

    *aborted = false;
    lister->body_len = 0;
    lister->detail[0] = '\0';
    if (curl_multi_add_handle(lister->multi, lister->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (running && !*aborted) {
        if (curl_multi_perform(lister->multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(lister->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)) {
            code = CURLE_OUT_OF_MEMORY;
            break;
        }
        *aborted = running && is_stopped(lister);
    }
    if (!running) {
        int left;
        CURLMsg *message = curl_multi_info_read(lister->multi, &left);
        if (message && message->msg == CURLMSG_DONE)
            code = message->data.result;
    }
    curl_multi_remove_handle(lister->multi, lister->easy);
    return code;
}

/* The end is told by the server's clock: it becomes one of ours. */
static int read_session(struct ps_s3_lister *lister, struct penstock_error *error)
{
    static const char *const names[3] = {"AccessKeyId", "SecretAccessKey", "SessionToken"};
    struct ps_credentials *out = lister->session;
    struct ps_key_xml parse = {.out = out};

    memset(out, 0, sizeof *out);
    snprintf(out->origin, sizeof out->origin, "a session with bucket %s", lister->site->bucket);
    if (!ps_key_parse_xml(lister->body, lister->body_len, &parse))
        return ps_fail(error, PENSTOCK_E_HTTP,
                       "CreateSession for s3://%s: the answer holds no keys: check that %s is S3",
                       lister->site->bucket, lister->request.sent.place->host);
    out->expires_s -= lister->request.sent.clock_offset_s;
    return ps_key_check(out, names, error);
}

/* Reads the body of an answer of status 200. S3 may find out too late to send another status, so
 * the body may be an error document: then *answer tells. */
static int read_page(struct ps_s3_lister *lister, struct ps_s3_page *page,
                     struct ps_s3_answer *answer, struct penstock_error *error)
{
    const struct ps_s3_account *account = lister->site->account;
    struct penstock_error fault;
    struct ps_s3_answer late;
    int rc = ps_s3_xml_page(lister->body, lister->body_len, page, &fault);

    if (rc == PENSTOCK_OK)
        return rc;
    ps_s3_xml_answer(lister->body, lister->body_len, &late);
    if (*late.code) {
        ps_text_copy(answer->code, sizeof answer->code, late.code);
        ps_text_copy(answer->message, sizeof answer->message, late.message);
        return PENSTOCK_OK;
    }
    ps_fail(error, rc, "listing s3://%s/%s failed: %s: check that %s is an S3 server",
            lister->site->bucket, lister->prefix, fault.message,
            *account->endpoint_url ? account->endpoint_url : lister->request.sent.place->host);
    ps_error_object(error, lister->site->bucket, lister->prefix, 0);
    ps_error_answer(error, 200, "", answer->request_id, "", 1);
    return rc;
}

/* One attempt. Fills the failure, also when it succeeds; *page is filled if it does. Returns
 * PENSTOCK_OK if the failure's outcome tells the result, else an error that ends the listing. */
static int attempt(struct ps_s3_lister *lister, struct ps_s3_page *page,
                   struct ps_s3_failure *failure, struct ps_s3_answer *answer,
                   struct penstock_error *error)
{
    struct ps_s3_request_spec spec;
    struct curl_slist *headers;
    bool aborted;
    CURLcode code;
    int rc = build(lister, &spec, error);

    if (rc != PENSTOCK_OK)
        return rc;
    headers = ps_curl_request(lister->easy, &spec, &lister->request);
    if (!headers)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory to list s3://%s", lister->site->bucket);
    failure->place = lister->request.sent.place;
    lister->requests++;
    code = transfer(lister, &aborted);
    curl_slist_free_all(headers);
    if (aborted)
        return stopped(lister, error);

    ps_curl_answer(lister->easy, lister->body, lister->body_len, answer,
                   &failure->outcome.http_status, &failure->remote_ip);
    failure->outcome.transfer = ps_curl_transfer(code);
    failure->detail = lister->detail;
    if (code == CURLE_OK && failure->outcome.http_status == 200)
        rc = lister->session ? read_session(lister, error) : read_page(lister, page, answer, error);
    return rc;
}

/* Waits before the next attempt. Returns false if the listing is stopped meanwhile. */
static bool wait_ms(const struct ps_s3_lister *lister, uint32_t delay_ms)
{
    while (delay_ms && !is_stopped(lister)) {
        uint32_t slice_ms = delay_ms < POLL_MS ? delay_ms : POLL_MS;
        struct timespec pause = {.tv_nsec = (long)slice_ms * 1000000L};
        nanosleep(&pause, NULL);
        delay_ms -= slice_ms;
    }
    return !is_stopped(lister);
}

static int fetch(struct ps_s3_lister *lister, struct ps_s3_page *page, struct penstock_error *error)
{
    struct ps_s3_tries tries = {.attempts = 0};
    uint32_t delay_ms = 0;

    for (;;) {
        tries.attempts++;
        struct ps_s3_answer answer = {.code = ""};
        struct ps_s3_failure failure = {
            .site = lister->site,
            .key = lister->prefix,
            .listing = !lister->session,
            .session = lister->session != NULL,
            .attempts = tries.attempts,
            .s3_message = answer.message,
            .s3_region = answer.region,
            .s3_location = answer.location,
            .request_id = answer.request_id,
            .outcome = {.s3_code = answer.code},
        };
        if (is_stopped(lister))
            return stopped(lister, error);
        int rc = attempt(lister, page, &failure, &answer, error);
        if (rc != PENSTOCK_OK)
            return rc;
        switch (ps_s3_again(&tries, lister->site, &lister->request.sent, &failure, &answer,
                            &delay_ms)) {
        case PS_RETRY_DONE:
            return PENSTOCK_OK;
        case PS_RETRY_FATAL:
            return ps_s3_explain(&failure, error);
        case PS_RETRY_AGAIN:
            break;
        }
        lister->retries++;
        if (!wait_ms(lister, delay_ms))
            return stopped(lister, error);
    }
}

static int same_token(const struct ps_s3_lister *lister, struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_HTTP,
                   "listing s3://%s/%s: the server gave the same continuation token twice",
                   lister->site->bucket, lister->prefix);
}

/* The plan relies on key order, and pages that overlap would be streamed twice: neither may come
 * from a server unseen. */
static int check_order(struct ps_s3_lister *lister, const struct ps_s3_page *page,
                       struct penstock_error *error)
{
    const char *last = lister->last_key;
    size_t prefix_len = strlen(lister->prefix);
    const char *fault = NULL, *key = "";

    for (size_t i = 0; i < page->count && !fault; i++) {
        key = page->objects[i].key;
        if (strncmp(key, lister->prefix, prefix_len))
            fault = "a key does not begin with the prefix";
        else if (strcmp(last, key) >= 0)
            fault = "keys are not in UTF-8 byte order, or come twice";
        last = key;
    }
    if (fault) {
        int rc = ps_fail(error, PENSTOCK_E_HTTP,
                         "listing s3://%s/%s: %s, at key '%s': this server is not supported",
                         lister->site->bucket, lister->prefix, fault, key);
        ps_error_object(error, lister->site->bucket, key, 0);
        return rc;
    }
    if (page->truncated && !strcmp(page->token, lister->token))
        return same_token(lister, error);
    if (page->count)
        ps_text_copy(lister->last_key, sizeof lister->last_key, last);
    return PENSTOCK_OK;
}

/* A directory bucket lists in no order: fetches all pages and makes one of them, in order. */
static int fetch_all(struct ps_s3_lister *lister, struct ps_s3_page *page,
                     struct penstock_error *error)
{
    int rc = ps_s3_sorted_open(&lister->sorted, error);

    while (rc == PENSTOCK_OK) {
        rc = fetch(lister, page, error);
        if (rc == PENSTOCK_OK && page->truncated && !strcmp(page->token, lister->token))
            rc = same_token(lister, error);
        if (rc != PENSTOCK_OK || !page->truncated)
            break;
        ps_text_copy(lister->token, sizeof lister->token, page->token);
        rc = ps_s3_sorted_add(lister->sorted, page, error);
    }
    if (rc == PENSTOCK_OK)
        rc = ps_s3_sorted_add(lister->sorted, page, error);
    return rc == PENSTOCK_OK ? ps_s3_sorted_take(lister->sorted, lister->prefix, page, error) : rc;
}

int ps_s3_list_next(struct ps_s3_lister *lister, struct ps_s3_page *page,
                    struct penstock_error *error)
{
    int rc;
    if (lister->done) {
        ps_s3_page_free(page);
        return PENSTOCK_END;
    }
    rc = lister->site->directory ? fetch_all(lister, page, error) : fetch(lister, page, error);
    if (rc == PENSTOCK_OK)
        rc = check_order(lister, page, error);
    if (rc != PENSTOCK_OK) {
        ps_s3_page_free(page);
        return rc;
    }
    lister->done = !page->truncated;
    ps_text_copy(lister->token, sizeof lister->token, page->token);
    return PENSTOCK_OK;
}

void ps_s3_list_counters(const struct ps_s3_lister *lister, uint64_t *requests, uint64_t *retries)
{
    *requests = lister->requests;
    *retries = lister->retries;
}

void ps_s3_list_close(struct ps_s3_lister **lister)
{
    struct ps_s3_lister *gone = *lister;
    if (!gone)
        return;
    *lister = NULL;
    if (gone->easy)
        curl_easy_cleanup(gone->easy);
    if (gone->multi)
        curl_multi_cleanup(gone->multi);
    ps_s3_sorted_close(gone->sorted);
    if (gone->session && gone->body)
        explicit_bzero(gone->body, gone->body_capacity);
    free(gone->body);
    explicit_bzero(gone, sizeof *gone); /* request headers and signing key */
    free(gone);
}

int ps_s3_create_session(struct ps_s3_site *site, const atomic_bool *stop,
                         struct ps_credentials *out, struct penstock_error *error)
{
    struct ps_s3_lister *lister;
    struct ps_s3_page page = {.count = 0};
    int rc = ps_s3_list_open(site, "", stop, 0, &lister, error);

    if (rc != PENSTOCK_OK)
        return rc;
    lister->session = out;
    rc = fetch(lister, &page, error);
    ps_s3_list_close(&lister);
    return rc;
}
