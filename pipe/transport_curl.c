/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/transport_curl.c - parts of S3 objects by libcurl's multi interface, driven by the reactor.
 *
 * libcurl tells which sockets it waits for and when it wants to be called; the reactor watches and
 * calls. The body comes in pieces of 16 KiB at most and is copied into the ring: that copy is
 * libcurl's price. Every request pins the entity tag that was listed, and every answer is checked
 * before its first byte enters the ring: status, range, total size.
 */
#include "pipe/clock.h"
#include "pipe/curl_common.h"
#include "pipe/error.h"
#include "pipe/get.h"
#include "pipe/io.h"
#include "pipe/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_BYTES (256L << 10) /* what one recv may bring; pieces stay 16 KiB */
#define ERROR_BODY_BYTES 4096
/* S3 closes connections that were idle for about 5 s: reusing one just then costs a retry. */
#define IDLE_S_MAX 4L

struct transfer {
    struct transport *transport;
    struct ps_part *part; /* NULL: free */
    CURL *easy;
    const struct ps_s3_site *prepared_for; /* whose options the handle has */
    struct curl_slist *headers;
    bool judged; /* the answer's head is known, and is: */
    enum ps_get_body body;
    char why[400];
    char detail[CURL_ERROR_SIZE];
    char error_body[ERROR_BODY_BYTES];
    size_t error_body_bytes;
    struct ps_s3_request request;
};

struct transport {
    struct ps_transport base;
    struct ps_io *io;
    CURLM *multi;
    uint64_t timer_ns; /* when libcurl wants to be called; UINT64_MAX for not at all */
    struct transfer *transfers;
    struct ps_watch *watches; /* one for each socket of a transfer */
    uint32_t transfer_count;
    uint32_t watch_count;
    struct ps_sigv4_cache signing;
};

/* ---- what libcurl calls ---- */

static void on_ready(struct ps_watch *watch, unsigned events);

static struct ps_watch *free_watch(struct transport *t)
{
    for (uint32_t i = 0; i < t->watch_count; i++)
        if (t->watches[i].fd < 0 && !t->watches[i].cookie)
            return &t->watches[i];
    return NULL;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *cookie, void *socket_cookie)
{
    struct transport *t = cookie;
    struct ps_reactor *reactor = t->io->reactor;
    struct ps_watch *watch = socket_cookie;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            reactor->ops->watch(reactor, watch, fd, 0);
            watch->cookie = NULL;
        }
        return 0;
    }
    if (!watch) {
        watch = free_watch(t);
        if (!watch)
            return -1;
        *watch = (struct ps_watch){.fd = -1, .ready = on_ready, .cookie = t};
        curl_multi_assign(t->multi, fd, watch);
    }
    reactor->ops->watch(reactor, watch, fd,
                        (what & CURL_POLL_IN ? PS_READABLE : 0u) |
                            (what & CURL_POLL_OUT ? PS_WRITABLE : 0u));
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *cookie)
{
    struct transport *t = cookie;

    (void)multi;
    t->timer_ns = timeout_ms < 0 ? UINT64_MAX : ps_now_ns() + (uint64_t)timeout_ms * PS_NS_PER_MS;
    return 0;
}

/* Judges the answer's head, once it is complete. */
static void judge(struct transfer *transfer)
{
    struct ps_get_head head = {.content_length = -1, .etag = ""};
    struct curl_header *range, *etag;
    curl_off_t content_length = -1;
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &content_length);
    head.status = (int)status;
    head.content_length = content_length;
    if (curl_easy_header(transfer->easy, "content-range", 0, CURLH_HEADER, -1, &range) == CURLHE_OK)
        head.has_range = ps_content_range_parse(range->value, strlen(range->value), &head.range);
    for (struct curl_header *h = NULL;
         (h = curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, h)) != NULL;)
        ps_checksum_take(&head.checksum, h->name, strlen(h->name), h->value, strlen(h->value));
    /* Last: a header found is lent until the next one is looked for. */
    if (curl_easy_header(transfer->easy, "etag", 0, CURLH_HEADER, -1, &etag) == CURLHE_OK)
        head.etag = etag->value;
    transfer->body = ps_get_judge(transfer->part, transfer->part->attempt_from, &head,
                                  transfer->why, sizeof transfer->why);
    if (transfer->body == PS_BODY_WANTED)
        ps_verify_answer(transfer->part, head.status, &head.checksum);
    transfer->judged = true;
}

static void keep_error_body(struct transfer *transfer, const char *bytes, size_t len)
{
    size_t room = ERROR_BODY_BYTES - transfer->error_body_bytes;

    if (len > room)
        len = room;
    memcpy(transfer->error_body + transfer->error_body_bytes, bytes, len);
    transfer->error_body_bytes += len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *cookie)
{
    struct transfer *transfer = cookie;
    size_t len = size * count;

    if (!transfer->judged)
        judge(transfer);
    switch (transfer->body) {
    case PS_BODY_WANTED:
        break;
    case PS_BODY_ERROR:
        keep_error_body(transfer, bytes, len);
        return len;
    case PS_BODY_WRONG:
    case PS_BODY_CHANGED:
        return 0; /* libcurl ends the transfer */
    }
    if (len > ps_part_left_bytes(transfer->part)) {
        snprintf(transfer->why, sizeof transfer->why, "more bytes came than were asked for");
        transfer->body = PS_BODY_WRONG;
        return 0;
    }
    memcpy(ps_part_into(transfer->part), bytes, len);
    atomic_fetch_add_explicit(&transfer->part->channel->counts.bytes_copied, len,
                              memory_order_relaxed);
    ps_part_advance(transfer->part, len);
    return len;
}

/* ---- a transfer's life ---- */

static void free_transfer(struct transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    transfer->part = NULL;
}

static void count_connections(struct transfer *transfer)
{
    long opened = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &opened);
    atomic_fetch_add_explicit(&transfer->part->channel->counts.connections, (uint64_t)opened,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&transfer->part->channel->counts.connections_reused, opened == 0,
                              memory_order_relaxed);
}

static void transfer_ended(struct transfer *transfer, CURLcode code)
{
    struct transport *t = transfer->transport;
    struct ps_part *part = transfer->part;
    struct ps_s3_answer said;
    struct ps_get_failure failure = {
        .transfer = ps_curl_transfer(code), .said = &said, .sent = transfer->request.sent};
    struct penstock_error error;

    if (code == CURLE_OK && !transfer->judged)
        judge(transfer); /* an answer without a body */
    ps_curl_answer(transfer->easy, transfer->error_body, transfer->error_body_bytes, &said,
                   &failure.status, &failure.remote_ip);
    failure.body = transfer->judged ? transfer->body : PS_BODY_ERROR;
    failure.why = transfer->why[0] ? transfer->why : transfer->detail;
    struct ps_retry_decision decision = ps_get_decide(part, &failure, &error);

    /* Only now: the address is a string of the handle's. */
    curl_multi_remove_handle(t->multi, transfer->easy);
    count_connections(transfer);
    free_transfer(transfer);
    ps_io_part_ended(t->io, part, decision, &error);
}

static void collect_ended(struct transport *t)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer_ended(transfer, code);
    }
}

static void on_ready(struct ps_watch *watch, unsigned events)
{
    struct transport *t = watch->cookie;
    int running;

    if (!t)
        return;
    curl_multi_socket_action(t->multi, watch->fd,
                             (events & PS_READABLE ? CURL_CSELECT_IN : 0) |
                                 (events & PS_WRITABLE ? CURL_CSELECT_OUT : 0),
                             &running);
    collect_ended(t);
}

static int prepare(struct transfer *transfer, const struct ps_s3_site *site,
                   struct penstock_error *error)
{
    CURL *easy = transfer->easy;

    if (transfer->prepared_for == site)
        return PENSTOCK_OK;
    curl_easy_reset(easy);
    int rc = ps_curl_prepare(easy, site, transfer->detail, error);

    if (rc != PENSTOCK_OK)
        return rc;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_S_MAX);
    transfer->prepared_for = site;
    return PENSTOCK_OK;
}

static int begin(struct transfer *transfer, struct penstock_error *error)
{
    struct transport *t = transfer->transport;
    const struct ps_part *part = transfer->part;
    const struct ps_s3_request_spec get = {.method = ps_get_method(part)};
    int rc = prepare(transfer, &ps_part_source(part)->site, error);

    if (rc == PENSTOCK_OK)
        rc = ps_get_build(part, NULL, part->attempt_from, &t->signing, &transfer->request, error);
    if (rc != PENSTOCK_OK)
        return rc;
    transfer->headers = ps_curl_request(transfer->easy, &get, &transfer->request);
    if (!transfer->headers || curl_multi_add_handle(t->multi, transfer->easy) != CURLM_OK)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    return PENSTOCK_OK;
}

static void transport_start(struct ps_transport *base, struct ps_part *part)
{
    struct transport *t = (struct transport *)base;
    struct transfer *transfer = t->transfers;
    struct penstock_error error;

    while (transfer->part)
        transfer++; /* the I/O thread never has more under way than there are transfers */
    transfer->part = part;
    transfer->judged = false;
    transfer->error_body_bytes = 0;
    transfer->why[0] = transfer->detail[0] = '\0';
    int rc = begin(transfer, &error);

    if (rc == PENSTOCK_OK)
        return;
    free_transfer(transfer);
    ps_io_part_ended(t->io, part, (struct ps_retry_decision){.verdict = PS_RETRY_FATAL, .rc = rc},
                     &error);
}

/* ---- the transport's life ---- */

static uint64_t transport_deadline_ns(const struct ps_transport *base)
{
    return ((const struct transport *)base)->timer_ns;
}

static void transport_tick(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;
    int running;

    t->timer_ns = UINT64_MAX;
    curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ended(t);
}

static void transport_close(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;

    for (uint32_t i = 0; t->transfers && i < t->transfer_count; i++) {
        struct transfer *transfer = &t->transfers[i];

        if (!transfer->easy)
            continue;
        if (transfer->part)
            curl_multi_remove_handle(t->multi, transfer->easy);
        free_transfer(transfer);
        curl_easy_cleanup(transfer->easy);
    }
    if (t->multi)
        curl_multi_cleanup(t->multi);
    explicit_bzero(&t->signing, sizeof t->signing);
    free(t->transfers);
    free(t->watches);
    free(t);
}

static bool open_handles(struct transport *t)
{
    for (uint32_t i = 0; i < t->transfer_count; i++) {
        t->transfers[i].transport = t;
        t->transfers[i].easy = curl_easy_init();
        if (!t->transfers[i].easy)
            return false;
    }
    for (uint32_t i = 0; i < t->watch_count; i++)
        t->watches[i].fd = -1;
    t->multi = curl_multi_init();
    if (!t->multi)
        return false;
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    /* Left to itself libcurl sizes its cache by the transfers of the moment, and drops connections
     * that the next ones would have used. */
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)t->transfer_count);
    return true;
}

static int transport_open(struct ps_io *io, struct ps_transport **out, struct penstock_error *error)
{
    struct transport *t = calloc(1, sizeof *t);

    if (!t)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    t->base.ops = &ps_transport_curl;
    t->io = io;
    t->timer_ns = UINT64_MAX;
    t->transfer_count = io->pace.most;
    /* A transfer may hold two sockets while it tries IPv6 and IPv4 at once; name resolution has one
     * of its own. */
    t->watch_count = 4 * t->transfer_count + 8;
    t->transfers = calloc(t->transfer_count, sizeof *t->transfers);
    t->watches = calloc(t->watch_count, sizeof *t->watches);
    if (!t->transfers || !t->watches || !open_handles(t)) {
        transport_close(&t->base);
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    }
    *out = &t->base;
    return PENSTOCK_OK;
}

const struct ps_transport_ops ps_transport_curl = {
    .name = "curl",
    .open = transport_open,
    .close = transport_close,
    .start = transport_start,
    .deadline_ns = transport_deadline_ns,
    .tick = transport_tick,
};
