/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_ask.c - see s3_ask.h. */
#include "pipe/s3_ask.h"

#include "pipe/clock.h"
#include "pipe/curl_common.h"
#include "pipe/error.h"
#include "pipe/s3_again.h"

#include <stdlib.h>
#include <string.h>

#define ERROR_BODY_BYTES_MAX ((size_t)64 << 10)
#define STOP_POLL_MS 50

/* One request; its handle is used for one after another. */
struct ask {
    struct ps_s3_asker *asker;
    struct ask *next; /* free, or waiting for due_ns */
    CURL *easy;
    const struct ps_s3_site *prepared_for; /* whose options the handle has */
    char detail[CURL_ERROR_SIZE];
    struct curl_slist *headers;
    bool running;

    struct ps_s3_site *site;
    const char *key;
    uint64_t tag;
    uint64_t body_most; /* 0: HEAD */
    struct ps_s3_sent sent;
    struct ps_s3_tries tries;
    bool asks_why; /* the attempt is a GET of a byte, for HEAD was refused without a word */
    uint64_t due_ns;
    uint8_t *body;
    size_t body_bytes, body_room;
    bool too_long; /* there was more than body_most */
};

struct ps_s3_asker {
    ps_s3_told_fn told;
    void *cookie;
    CURLM *multi;
    struct ask *asks;
    uint32_t slots;
    uint32_t room;
    struct ask *unused;
    struct ask *waiting;
    uint64_t requests, retries;
    struct ps_sigv4_cache signing;
    struct ps_s3_request request; /* being built */
};

/* Makes room for `len` more bytes: for all of the body, `length` bytes, if that is known. */
static bool make_room(struct ask *ask, size_t len, curl_off_t length)
{
    size_t need = ask->body_bytes + len;
    size_t room = length >= (curl_off_t)need ? (size_t)length : 2 * need;

    if (need <= ask->body_room)
        return true;
    uint8_t *body = realloc(ask->body, room);

    if (!body)
        return false;
    ask->body = body;
    ask->body_room = room;
    return true;
}

/* Keeps what comes: the object, or as much of an error document as is worth reading. */
static size_t on_body(char *data, size_t one, size_t len, void *cookie)
{
    struct ask *ask = cookie;
    curl_off_t length = -1;
    long status = 0;

    (void)one;
    curl_easy_getinfo(ask->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(ask->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t most = status == 200 ? ask->body_most : ERROR_BODY_BYTES_MAX;

    if (len > most - ask->body_bytes || length > (curl_off_t)most) {
        ask->too_long = status == 200 && ask->body_most > 0;
        return 0; /* libcurl then fails with CURLE_WRITE_ERROR */
    }
    if (!make_room(ask, len, length))
        return 0;
    memcpy(ask->body + ask->body_bytes, data, len);
    ask->body_bytes += len;
    return len;
}

int ps_s3_asker_open(uint32_t slots, ps_s3_told_fn told, void *cookie, struct ps_s3_asker **out,
                     struct penstock_error *error)
{
    struct ps_s3_asker *asker = calloc(1, sizeof *asker);

    *out = asker;
    if (asker) {
        asker->told = told;
        asker->cookie = cookie;
        asker->multi = curl_multi_init();
        asker->asks = calloc(slots, sizeof *asker->asks);
    }
    for (uint32_t i = 0; asker && asker->asks && i < slots; i++) {
        struct ask *ask = &asker->asks[i];

        ask->easy = curl_easy_init();
        if (!ask->easy)
            break;
        ask->asker = asker;
        ask->next = asker->unused;
        asker->unused = ask;
        asker->slots = asker->room = i + 1;
    }
    if (asker && asker->multi && asker->slots == slots) {
        curl_multi_setopt(asker->multi, CURLMOPT_MAXCONNECTS, (long)slots);
        return PENSTOCK_OK;
    }
    ps_s3_asker_close(out);
    return ps_fail(error, PENSTOCK_E_MEMORY, "no memory to ask for objects");
}

uint32_t ps_s3_asker_room(const struct ps_s3_asker *asker)
{
    return asker->room;
}

/* ---- one attempt ---- */

static void tell(struct ask *ask, const struct penstock_error *error, uint64_t size_bytes,
                 const char *etag)
{
    struct ps_s3_asker *asker = ask->asker;
    const struct ps_s3_told told = {.tag = ask->tag,
                                    .rc = error ? error->rc : PENSTOCK_OK,
                                    .error = error,
                                    .size_bytes = size_bytes,
                                    .etag = etag,
                                    .site = ask->site,
                                    .key = ask->key};

    asker->told(asker->cookie, &told);
    ask->next = asker->unused;
    asker->unused = ask;
    asker->room++;
}

static int prepare(struct ask *ask, struct penstock_error *error)
{
    if (ask->prepared_for == ask->site)
        return PENSTOCK_OK;
    curl_easy_reset(ask->easy);
    int rc = ps_curl_prepare(ask->easy, ask->site, ask->detail, error);

    if (rc != PENSTOCK_OK)
        return rc;
    curl_easy_setopt(ask->easy, CURLOPT_PRIVATE, ask);
    curl_easy_setopt(ask->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(ask->easy, CURLOPT_WRITEDATA, ask);
    ask->prepared_for = ask->site;
    return PENSTOCK_OK;
}

static int begin(struct ask *ask, struct penstock_error *error)
{
    struct ps_s3_asker *asker = ask->asker;
    bool head = ask->body_most == 0 && !ask->asks_why;
    const struct ps_s3_request_spec spec = {
        .method = head ? "HEAD" : "GET", .key = ask->key, .ranged = ask->asks_why};
    int rc = prepare(ask, error);

    if (rc == PENSTOCK_OK)
        rc = ps_s3_request_build(ask->site, &spec, time(NULL), &asker->signing, &asker->request,
                                 error);
    if (rc != PENSTOCK_OK)
        return rc;
    ask->sent = asker->request.sent;
    ask->detail[0] = '\0';
    ask->body_bytes = 0;
    ask->too_long = false;
    ask->tries.attempts++;
    ask->headers = ps_curl_request(ask->easy, &spec, &asker->request);
    ask->running = ask->headers && curl_multi_add_handle(asker->multi, ask->easy) == CURLM_OK;
    if (!ask->running)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory to ask for s3://%s/%s",
                       ask->site->bucket, ask->key);
    asker->requests++;
    return PENSTOCK_OK;
}

static void start(struct ask *ask)
{
    struct penstock_error error;

    if (begin(ask, &error) != PENSTOCK_OK) {
        curl_slist_free_all(ask->headers);
        ask->headers = NULL;
        tell(ask, &error, 0, "");
    }
}

void ps_s3_ask(struct ps_s3_asker *asker, struct ps_s3_site *site, const char *key, uint64_t tag)
{
    struct ask *ask = asker->unused;

    asker->unused = ask->next;
    asker->room--;
    ask->site = site;
    ask->key = key;
    ask->tag = tag;
    ask->tries = (struct ps_s3_tries){.attempts = 0};
    ask->asks_why = false;
    start(ask);
}

/* ---- its end ---- */

static void end_attempt(struct ask *ask)
{
    curl_multi_remove_handle(ask->asker->multi, ask->easy);
    curl_slist_free_all(ask->headers);
    ask->headers = NULL;
    ask->running = false;
}

/* The value of a header of the answer, "" if it has none. */
static const char *header_of(const struct ask *ask, const char *name)
{
    struct curl_header *header;

    return curl_easy_header(ask->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : "";
}

/* A whole answer of status 200. Returns what is wrong with it, or PS_TRANSFER_OK. */
static enum ps_transfer read_answer(struct ask *ask, uint64_t *size_bytes, const char **etag)
{
    curl_off_t length = -1;

    curl_easy_getinfo(ask->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    *size_bytes = ask->body_most ? ask->body_bytes : (uint64_t)length;
    *etag = header_of(ask, "etag");
    return length < 0 && !ask->body_most ? PS_TRANSFER_BAD_ANSWER : PS_TRANSFER_OK;
}

/* Whether the object is in an archive, where HEAD finds it and GET does not. Source: Amazon S3 API
 * Reference, HeadObject: x-amz-storage-class, x-amz-archive-status, x-amz-restore. */
static bool is_archived(const struct ask *ask)
{
    const char *storage_class = header_of(ask, "x-amz-storage-class");

    return (strcmp(storage_class, "GLACIER") == 0 || strcmp(storage_class, "DEEP_ARCHIVE") == 0 ||
            *header_of(ask, "x-amz-archive-status")) &&
           !strstr(header_of(ask, "x-amz-restore"), "ongoing-request=\"false\"");
}

static void tell_archived(struct ask *ask)
{
    struct penstock_error error;

    ps_fail(&error, PENSTOCK_E_DENIED,
            "s3://%s/%s is in an archive (storage class %s): restore it, then start again",
            ask->site->bucket, ask->key, header_of(ask, "x-amz-storage-class"));
    ps_error_object(&error, ask->site->bucket, ask->key, 0);
    tell(ask, &error, 0, "");
}

static void ask_again(struct ask *ask, uint32_t delay_ms)
{
    struct ps_s3_asker *asker = ask->asker;

    asker->retries++;
    ask->due_ns = ps_now_ns() + delay_ms * PS_NS_PER_MS;
    ask->next = asker->waiting;
    asker->waiting = ask;
}

/* A refusal of HEAD has no body, so that nobody knows whether the keys have expired or the object
 * is not for us: a GET is refused with a reason. */
static bool wants_reason(const struct ask *ask, const struct ps_attempt_outcome *outcome)
{
    return ask->body_most == 0 && !ask->asks_why && outcome->transfer == PS_TRANSFER_OK &&
           (outcome->http_status == 400 || outcome->http_status == 403) &&
           ask->tries.attempts < PS_ATTEMPTS_MAX;
}

/* The GET of a byte was not refused: so HEAD is worth another try. */
static bool finds_none(const struct ask *ask, const struct ps_attempt_outcome *outcome)
{
    int status = outcome->http_status;

    /* Of a whole object, 200, no more is taken than wanted, which ends the transfer. */
    return ask->asks_why && ask->tries.attempts < PS_ATTEMPTS_MAX &&
           (status == 200 ||
            (outcome->transfer == PS_TRANSFER_OK && (status == 206 || status == 416)));
}

static void take_answer(struct ask *ask, CURLcode code)
{
    struct ps_s3_answer answer = {.code = ""};
    struct ps_s3_failure failure = {.site = ask->site,
                                    .place = ask->sent.place,
                                    .key = ask->key,
                                    .head = ask->body_most == 0 && !ask->asks_why,
                                    .attempts = ask->tries.attempts,
                                    .detail = ask->detail,
                                    .s3_message = answer.message,
                                    .s3_region = answer.region,
                                    .s3_location = answer.location,
                                    .request_id = answer.request_id,
                                    .outcome = {.s3_code = answer.code}};
    struct penstock_error error;
    const char *etag = "";
    uint64_t size_bytes = 0;
    uint32_t delay_ms;

    ps_curl_answer(ask->easy, (const char *)ask->body, ask->body_bytes, &answer,
                   &failure.outcome.http_status, &failure.remote_ip);
    failure.outcome.transfer = ps_curl_transfer(code);
    if (ask->too_long) {
        ps_fail(&error, PENSTOCK_E_ARGUMENT, "s3://%s/%s has more than %llu bytes",
                ask->site->bucket, ask->key, (unsigned long long)ask->body_most);
        ps_error_object(&error, ask->site->bucket, ask->key, 0);
        tell(ask, &error, 0, "");
        return;
    }
    if (code == CURLE_OK && failure.outcome.http_status == 200)
        failure.outcome.transfer = read_answer(ask, &size_bytes, &etag);
    if (finds_none(ask, &failure.outcome)) {
        ask->asks_why = false;
        ask_again(ask, 0);
        return;
    }
    switch (ps_s3_again(&ask->tries, ask->site, &ask->sent, &failure, &answer, &delay_ms)) {
    case PS_RETRY_DONE:
        if (is_archived(ask))
            tell_archived(ask);
        else
            tell(ask, NULL, size_bytes, etag);
        return;
    case PS_RETRY_FATAL:
        if (wants_reason(ask, &failure.outcome)) {
            ask->asks_why = true;
            ask_again(ask, 0);
            return;
        }
        ps_s3_explain(&failure, &error);
        tell(ask, &error, 0, "");
        return;
    case PS_RETRY_AGAIN:
        break;
    }
    ask->asks_why = false;
    ask_again(ask, delay_ms);
}

static void start_due(struct ps_s3_asker *asker)
{
    struct ask *waiting = asker->waiting;
    uint64_t now_ns = ps_now_ns();

    asker->waiting = NULL;
    while (waiting) {
        struct ask *ask = waiting;

        waiting = ask->next;
        if (ask->due_ns > now_ns) {
            ask->next = asker->waiting;
            asker->waiting = ask;
        } else {
            start(ask);
        }
    }
}

/* Tells of what has ended; returns whether anything has. */
static bool collect(struct ps_s3_asker *asker)
{
    const CURLMsg *message;
    bool ended = false;
    int left;

    while ((message = curl_multi_info_read(asker->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        struct ask *ask = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&ask);
        end_attempt(ask);
        take_answer(ask, code);
        ended = true;
    }
    return ended;
}

static int wait_ms(const struct ps_s3_asker *asker, int timeout_ms)
{
    uint64_t now_ns = ps_now_ns();

    for (const struct ask *ask = asker->waiting; ask; ask = ask->next) {
        uint64_t left_ms = ask->due_ns > now_ns ? (ask->due_ns - now_ns) / PS_NS_PER_MS + 1 : 0;

        if (left_ms < (uint64_t)timeout_ms)
            timeout_ms = (int)left_ms;
    }
    return timeout_ms;
}

void ps_s3_asker_run(struct ps_s3_asker *asker, int timeout_ms)
{
    int running;

    start_due(asker);
    curl_multi_perform(asker->multi, &running);
    if (collect(asker))
        return;
    curl_multi_poll(asker->multi, NULL, 0, wait_ms(asker, timeout_ms), NULL);
    curl_multi_perform(asker->multi, &running);
    collect(asker);
}

void ps_s3_asker_counters(const struct ps_s3_asker *asker, uint64_t *requests, uint64_t *retries)
{
    *requests = asker->requests;
    *retries = asker->retries;
}

void ps_s3_asker_close(struct ps_s3_asker **asker)
{
    struct ps_s3_asker *gone = *asker;

    *asker = NULL;
    if (!gone)
        return;
    for (uint32_t i = 0; i < gone->slots; i++) {
        if (gone->asks[i].running)
            end_attempt(&gone->asks[i]);
        curl_easy_cleanup(gone->asks[i].easy);
        free(gone->asks[i].body);
    }
    if (gone->multi)
        curl_multi_cleanup(gone->multi);
    free(gone->asks);
    explicit_bzero(gone, sizeof *gone); /* request headers and signing key */
    free(gone);
}

/* ---- one whole object ---- */

struct reading {
    bool done;
    int rc;
    struct penstock_error *error;
};

static void object_read(void *cookie, const struct ps_s3_told *told)
{
    struct reading *reading = cookie;

    reading->done = true;
    reading->rc = told->rc;
    if (told->error && reading->error)
        *reading->error = *told->error;
}

int ps_s3_read_object(struct ps_s3_site *site, const char *key, uint64_t size_most,
                      const atomic_bool *stop, uint8_t **out, size_t *len_bytes, uint64_t *requests,
                      struct penstock_error *error)
{
    struct reading reading = {.error = error};
    struct ps_s3_asker *asker;
    uint64_t retries;
    int rc = ps_s3_asker_open(1, object_read, &reading, &asker, error);

    if (rc != PENSTOCK_OK)
        return rc;
    asker->asks[0].body_most = size_most;
    ps_s3_ask(asker, site, key, 0);
    while (!reading.done && !atomic_load(stop))
        ps_s3_asker_run(asker, STOP_POLL_MS);
    rc = reading.done ? reading.rc
                      : ps_fail(error, PENSTOCK_E_STOPPED, "reading s3://%s/%s was stopped",
                                site->bucket, key);
    if (rc == PENSTOCK_OK) {
        *out = asker->asks[0].body;
        *len_bytes = asker->asks[0].body_bytes;
        asker->asks[0].body = NULL;
    }
    ps_s3_asker_counters(asker, requests, &retries);
    ps_s3_asker_close(&asker);
    return rc;
}
