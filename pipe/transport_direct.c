/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/transport_direct.c - parts of S3 objects over our own HTTP/1.1 connections.
 *
 * The body of an answer goes from the socket to its place in the ring: one copy by the kernel on
 * plain connections (and not a byte more but what came in one piece with the head), OpenSSL's
 * decryption on TLS ones. A connection carries one part at a time:
 *
 *   FREE -> RESOLVING -> CONNECTING -> (HANDSHAKING) -> SENDING -> HEAD -> BODY -> IDLE -> SENDING
 * ...
 *                                                                    \-> ERROR_BODY -/
 *
 * While a receive is under way on a plain connection the kernel may write to its memory, so a
 * connection is only ever ended by shutting its socket down and waiting for the receive's end.
 */
#include "pipe/clock.h"
#include "pipe/error.h"
#include "pipe/get.h"
#include "pipe/http_head.h"
#include "pipe/io.h"
#include "pipe/resolver.h"
#include "pipe/text.h"
#include "pipe/tls.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_BYTES 28672      /* a request: URL, headers, session token */
#define IN_BYTES 32768       /* a head, and the error document after it */
#define HEAD_STEP_BYTES 2048 /* what is asked for before the head is known: little is copied */
#define TICK_NS (100 * PS_NS_PER_MS)
#define RESOLVE_POLL_NS (5 * PS_NS_PER_MS)
#define RESOLVE_NS_MAX (15 * PS_NS_PER_S)
#define CONNECT_NS_MAX (5 * PS_NS_PER_S)
#define STALL_NS_MAX (15 * PS_NS_PER_S)
/* S3 closes connections that were idle for about 5 s: reusing one just then costs a retry. */
#define IDLE_NS_MAX (4 * PS_NS_PER_S)

enum state {
    FREE,
    RESOLVING,
    CONNECTING,
    HANDSHAKING,
    SENDING,
    HEAD,
    BODY,
    ERROR_BODY,
    IDLE,
    ENDING, /* shut down; a receive has still to end */
};

struct connection {
    struct ps_watch watch;
    struct ps_receive receive;
    struct transport *transport;
    enum state state;
    bool receiving; /* the receive is under way */
    bool reused;    /* carried a part before: the server may have closed it meanwhile */
    int fd;
    SSL *ssl;
    const struct ps_s3_site *site;
    struct ps_address address;
    struct ps_part *part;
    uint64_t since_ns;   /* of the state, or of the last sign of life while receiving */
    uint64_t seen_bytes; /* what the kernel had received then */
    size_t out_bytes, out_sent;
    size_t in_bytes, in_scanned;
    struct ps_http_head head;
    enum ps_get_body body;
    enum ps_transfer transfer; /* how it ended, while ENDING */
    char why[256];
    char out[OUT_BYTES];
    char in[IN_BYTES];
};

struct site_tls {
    const struct ps_s3_site *site;
    struct ps_tls tls;
};

struct transport {
    struct ps_transport base;
    struct ps_io *io;
    struct connection *connections;
    uint32_t connection_count;
    uint64_t tick_ns; /* when connections are looked over next; UINT64_MAX: none needs it */
    struct site_tls *site_tls;
    size_t site_tls_count;
    struct ps_sigv4_cache signing;
    struct ps_s3_request request; /* being built */
};

static void go(struct connection *c);
static void end(struct connection *c, enum ps_transfer transfer, const char *why);

static void enter(struct connection *c, enum state state)
{
    c->state = state;
    c->since_ns = ps_now_ns();
    if (c->transport->tick_ns == UINT64_MAX)
        c->transport->tick_ns = c->since_ns + (state == RESOLVING ? RESOLVE_POLL_NS : TICK_NS);
}

static void watch(struct connection *c, unsigned wanted)
{
    struct ps_reactor *reactor = c->transport->io->reactor;

    if (wanted != c->watch.wanted || (wanted && c->watch.fd != c->fd))
        reactor->ops->watch(reactor, &c->watch, c->fd, wanted);
}

/* ---- the end of an attempt ---- */

static void disconnect(struct connection *c)
{
    watch(c, 0);
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->reused = false;
    c->state = FREE;
}

/* Reads the error document that came after the head, if one did. */
static void read_answer(struct connection *c, bool has_head, struct ps_s3_answer *said)
{
    size_t body_bytes = has_head ? c->in_bytes - c->head.len_bytes : 0;
    char *body = c->in + (has_head ? c->head.len_bytes : 0);

    *said = (struct ps_s3_answer){.code = ""};
    if (!has_head)
        return;
    if (c->body == PS_BODY_ERROR) {
        if (c->head.chunked && ps_http_unchunk(body, body_bytes, &body_bytes) != PS_HTTP_OK)
            body_bytes = 0;
        ps_s3_xml_answer(body, body_bytes, said);
    }
    if (!said->request_id[0])
        ps_text_copy(said->request_id, sizeof said->request_id, c->head.request_id);
    if (!said->region[0])
        ps_text_copy(said->region, sizeof said->region, c->head.region);
}

/* Tells the I/O thread what the attempt came to. The connection is FREE or IDLE by now. */
static void report(struct connection *c, bool has_head, enum ps_transfer transfer, const char *why)
{
    struct ps_part *part = c->part;
    struct ps_s3_answer said;
    struct penstock_error error;
    struct ps_get_failure failure = {.body = has_head ? c->body : PS_BODY_ERROR,
                                     .transfer = transfer,
                                     .status = has_head ? c->head.status : 0,
                                     .said = &said,
                                     .why = why,
                                     .remote_ip = c->address.text};

    read_answer(c, has_head, &said);
    c->part = NULL;
    struct ps_retry_decision decision = ps_get_decide(part, &failure, &error);

    ps_io_part_ended(c->transport->io, part, decision, &error);
}

static bool has_head(const struct connection *c)
{
    return c->head.status != 0;
}

/* Nothing is under way on the socket any more: forget it, and say why. */
static void ended(struct connection *c)
{
    bool stale = c->reused && c->in_bytes == 0 && c->transfer == PS_TRANSFER_RESET;

    disconnect(c);
    if (!c->part)
        return;
    if (stale) {
        /* The server closed it while it was idle: no attempt was made. */
        go(c);
        return;
    }
    report(c, has_head(c), c->transfer, c->why);
}

/* Ends the connection; `why` is kept for the report. */
static void end(struct connection *c, enum ps_transfer transfer, const char *why)
{
    c->transfer = transfer;
    ps_text_copy(c->why, sizeof c->why, why);
    if (!c->receiving) {
        ended(c);
        return;
    }
    enter(c, ENDING);
    shutdown(c->fd, SHUT_RDWR);
}

static void end_errno(struct connection *c, enum ps_transfer transfer, int sys_errno)
{
    end(c, transfer, strerror(sys_errno));
}

static void end_tls(struct connection *c, enum ps_transfer transfer)
{
    char words[200];
    bool untrusted = SSL_get_verify_result(c->ssl) != X509_V_OK;

    ps_tls_explain(c->ssl, words, sizeof words);
    end(c, untrusted ? PS_TRANSFER_CERTIFICATE : transfer, words);
}

/* The answer is whole and the connection in good order: keep it if the server does. */
static void answered(struct connection *c)
{
    if (c->head.keep_alive) {
        watch(c, 0);
        c->reused = true;
        enter(c, IDLE);
    } else {
        disconnect(c);
    }
    report(c, true, PS_TRANSFER_OK, c->why);
}

/* ---- the answer ---- */

static void receive(struct connection *c, uint8_t *into, size_t len_bytes, bool any)
{
    struct ps_reactor *reactor = c->transport->io->reactor;

    watch(c, 0);
    c->receive.fd = c->fd;
    c->receive.into = into;
    c->receive.len_bytes = len_bytes;
    c->receive.any = any;
    c->receiving = true;
    reactor->ops->receive(reactor, &c->receive);
}

/* Where an error document ends; 0 while it has not. */
static bool error_body_is_whole(struct connection *c)
{
    size_t body_bytes = c->in_bytes - c->head.len_bytes;
    size_t decoded_bytes;

    if (c->head.chunked) {
        /* On a copy's behalf: read_answer decodes it for good. */
        static _Thread_local char scratch[IN_BYTES];

        memcpy(scratch, c->in + c->head.len_bytes, body_bytes);
        return ps_http_unchunk(scratch, body_bytes, &decoded_bytes) == PS_HTTP_OK;
    }
    return c->head.content_length >= 0 && body_bytes >= (size_t)c->head.content_length;
}

/* The body is not what was asked for. Read it while it is short, for what it says. */
static void go_error_body(struct connection *c)
{
    if (c->body == PS_BODY_ERROR && error_body_is_whole(c)) {
        answered(c);
        return;
    }
    if (c->body != PS_BODY_ERROR || c->in_bytes == IN_BYTES) {
        end(c, PS_TRANSFER_OK, c->why);
        return;
    }
    enter(c, ERROR_BODY);
    if (!c->ssl)
        receive(c, (uint8_t *)c->in + c->in_bytes, IN_BYTES - c->in_bytes, true);
}

/* The head has come, perhaps with a first piece of the body behind it. */
static void on_head(struct connection *c)
{
    struct ps_part *part = c->part;
    const struct ps_get_head head = {.status = c->head.status,
                                     .content_length = c->head.content_length,
                                     .has_range = c->head.has_range,
                                     .range = c->head.range};
    size_t more_bytes = c->in_bytes - c->head.len_bytes;

    c->body = ps_get_judge(part, &head, c->why, sizeof c->why);
    if (c->body == PS_BODY_WANTED && (c->head.chunked || c->head.content_length < 0)) {
        ps_text_copy(c->why, sizeof c->why, "the answer's length is not known");
        c->body = PS_BODY_WRONG;
    }
    if (c->body != PS_BODY_WANTED) {
        go_error_body(c);
        return;
    }
    if (more_bytes > ps_part_left_bytes(part)) {
        ps_text_copy(c->why, sizeof c->why, "more bytes came than were announced");
        c->body = PS_BODY_WRONG;
        end(c, PS_TRANSFER_OK, c->why);
        return;
    }
    if (more_bytes > 0) {
        memcpy(ps_part_into(part), c->in + c->head.len_bytes, more_bytes);
        ps_part_advance(part, more_bytes);
    }
    enter(c, BODY);
    if (ps_part_left_bytes(part) == 0)
        answered(c);
    else if (!c->ssl)
        receive(c, ps_part_into(part), ps_part_left_bytes(part), false);
}

/* More of the head is in c->in. */
static void parse_head(struct connection *c)
{
    switch (ps_http_head_parse(c->in, c->in_bytes, &c->in_scanned, &c->head)) {
    case PS_HTTP_OK:
        if (c->head.status >= 200) {
            on_head(c);
            return;
        }
        /* An interim answer, e.g. 100 Continue: the real one follows. */
        c->in_bytes -= c->head.len_bytes;
        memmove(c->in, c->in + c->head.len_bytes, c->in_bytes);
        c->in_scanned = 0;
        c->head.status = 0;
        if (c->in_bytes > 0) {
            parse_head(c);
            return;
        }
        break;
    case PS_HTTP_MORE:
        break;
    case PS_HTTP_BAD:
        end(c, PS_TRANSFER_BAD_ANSWER, "the answer is not HTTP/1.1");
        return;
    }
    if (!c->ssl)
        receive(c, (uint8_t *)c->in + c->in_bytes, HEAD_STEP_BYTES, true);
}

static void on_progress(struct ps_receive *received, size_t more_bytes)
{
    struct connection *c = received->cookie;

    if (c->state == BODY)
        ps_part_advance(c->part, more_bytes);
    else if (c->state == HEAD || c->state == ERROR_BODY)
        c->in_bytes += more_bytes;
    c->since_ns = ps_now_ns();
}

static void on_received(struct ps_receive *received, int result)
{
    struct connection *c = received->cookie;

    c->receiving = false;
    if (c->state == ENDING) {
        ended(c);
    } else if (result == -ENODATA && c->state == ERROR_BODY) {
        end(c, PS_TRANSFER_OK, c->why); /* a body without a length ends with the connection */
    } else if (result == -ENODATA) {
        end(c, PS_TRANSFER_RESET, "the server closed the connection early");
    } else if (result < 0) {
        end_errno(c, PS_TRANSFER_RESET, -result);
    } else if (c->state == BODY) {
        answered(c);
    } else if (c->state == HEAD) {
        parse_head(c);
    } else {
        go_error_body(c);
    }
}

/* ---- the same over TLS ---- */

/* What a failed SSL call wants: false when the connection has been ended. */
static bool wait_tls(struct connection *c, int rc)
{
    switch (SSL_get_error(c->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        watch(c, PS_READABLE);
        return true;
    case SSL_ERROR_WANT_WRITE:
        watch(c, PS_WRITABLE);
        return true;
    case SSL_ERROR_ZERO_RETURN:
        end(c, c->state == ERROR_BODY ? PS_TRANSFER_OK : PS_TRANSFER_RESET,
            "the server closed the connection early");
        return false;
    case SSL_ERROR_SYSCALL:
        end(c, c->state == ERROR_BODY ? PS_TRANSFER_OK : PS_TRANSFER_RESET,
            "the connection was reset");
        return false;
    default:
        end_tls(c, c->state == HANDSHAKING ? PS_TRANSFER_TLS : PS_TRANSFER_RESET);
        return false;
    }
}

/* Reads what there is in the current state; the state may change, and the connection may end. */
static void read_tls(struct connection *c)
{
    while (c->state == HEAD || c->state == BODY || c->state == ERROR_BODY) {
        bool in_body = c->state == BODY;
        uint8_t *into = in_body ? ps_part_into(c->part) : (uint8_t *)c->in + c->in_bytes;
        uint64_t room = in_body ? ps_part_left_bytes(c->part) : IN_BYTES - c->in_bytes;
        size_t step = c->state == HEAD && room > HEAD_STEP_BYTES ? HEAD_STEP_BYTES : room;
        size_t got_bytes = 0;
        int rc = SSL_read_ex(c->ssl, into, step, &got_bytes);

        if (rc != 1) {
            wait_tls(c, rc);
            return;
        }
        c->since_ns = ps_now_ns();
        if (in_body) {
            ps_part_advance(c->part, got_bytes);
            if (ps_part_left_bytes(c->part) == 0)
                answered(c);
            continue;
        }
        c->in_bytes += got_bytes;
        if (c->state == HEAD)
            parse_head(c);
        else
            go_error_body(c);
    }
}

/* ---- connecting and asking ---- */

static void send_request(struct connection *c)
{
    while (c->out_sent < c->out_bytes) {
        size_t left = c->out_bytes - c->out_sent;
        size_t sent_bytes = 0;

        if (c->ssl) {
            int rc = SSL_write_ex(c->ssl, c->out + c->out_sent, left, &sent_bytes);

            if (rc != 1) {
                wait_tls(c, rc);
                return;
            }
        } else {
            ssize_t sent = send(c->fd, c->out + c->out_sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);

            if (sent < 0 && errno == EAGAIN) {
                watch(c, PS_WRITABLE);
                return;
            }
            if (sent < 0) {
                end_errno(c, PS_TRANSFER_RESET, errno);
                return;
            }
            sent_bytes = (size_t)sent;
        }
        c->out_sent += sent_bytes;
    }
    c->in_bytes = c->in_scanned = 0;
    enter(c, HEAD);
    if (c->ssl)
        read_tls(c);
    else
        receive(c, (uint8_t *)c->in, HEAD_STEP_BYTES, true);
}

static int write_request(struct connection *c, struct penstock_error *error)
{
    struct transport *t = c->transport;
    struct ps_text out = ps_text_in(c->out, sizeof c->out);
    int rc = ps_get_build(c->part, &t->signing, &t->request, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_text_addf(&out, "GET %s HTTP/1.1\r\n", t->request.target);
    for (size_t i = 0; i < t->request.header_count; i++) {
        ps_text_add(&out, t->request.headers[i]);
        ps_text_add(&out, "\r\n");
    }
    ps_text_add(&out, "\r\n");
    c->out_bytes = out.len;
    c->out_sent = 0;
    return out.cut ? ps_fail(error, PENSTOCK_E_ARGUMENT, "the request for %s is too long",
                             c->part->object->key)
                   : PENSTOCK_OK;
}

/* Asks for the part. Signed only now: a signature ages. */
static void ask(struct connection *c)
{
    struct penstock_error error;
    int rc = write_request(c, &error);

    if (rc == PENSTOCK_OK) {
        enter(c, SENDING);
        send_request(c);
        return;
    }
    struct ps_part *part = c->part;

    c->part = NULL;
    disconnect(c);
    ps_io_part_ended(c->transport->io, part,
                     (struct ps_retry_decision){.verdict = PS_RETRY_FATAL, .rc = rc}, &error);
}

static void handshake(struct connection *c)
{
    int rc = SSL_do_handshake(c->ssl);

    if (rc == 1)
        ask(c);
    else
        wait_tls(c, rc);
}

static struct ps_tls *tls_of(struct transport *t, const struct ps_s3_site *site)
{
    for (size_t i = 0; i < t->site_tls_count; i++)
        if (t->site_tls[i].site == site)
            return &t->site_tls[i].tls;
    return NULL;
}

static void connected(struct connection *c)
{
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len);
    if (sys_errno != 0) {
        ps_resolver_report(c->transport->io->stream->resolver, &c->address);
        end_errno(c, PS_TRANSFER_CONNECT, sys_errno);
        return;
    }
    if (!c->site->tls) {
        ask(c);
        return;
    }
    c->ssl = ps_tls_connect(tls_of(c->transport, c->site), c->site, c->fd);
    if (!c->ssl) {
        end(c, PS_TRANSFER_NO_MEMORY, "out of memory for TLS");
        return;
    }
    enter(c, HANDSHAKING);
    handshake(c);
}

static void connect_to(struct connection *c)
{
    const struct sockaddr *address = (const struct sockaddr *)&c->address.sockaddr;
    int on = 1;

    c->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        end_errno(c, PS_TRANSFER_CONNECT, errno);
        return;
    }
    atomic_fetch_add_explicit(&c->part->channel->counts.connections, 1, memory_order_relaxed);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    enter(c, CONNECTING);
    if (connect(c->fd, address, c->address.len_bytes) == 0)
        connected(c);
    else if (errno == EINPROGRESS)
        watch(c, PS_WRITABLE);
    else {
        ps_resolver_report(c->transport->io->stream->resolver, &c->address);
        end_errno(c, PS_TRANSFER_CONNECT, errno);
    }
}

/* Makes a connection for c->part. */
static void go(struct connection *c)
{
    const char *why = "";

    c->head.status = 0;
    c->in_bytes = 0;
    c->why[0] = '\0';
    switch (ps_resolver_find(c->transport->io->stream->resolver, c->site->host, c->site->port,
                             &c->address, &why)) {
    case PS_RESOLVED:
        connect_to(c);
        return;
    case PS_RESOLVE_WAIT:
        if (c->state != RESOLVING)
            enter(c, RESOLVING);
        return;
    case PS_RESOLVE_FAILED:
        c->address.text[0] = '\0';
        end(c, PS_TRANSFER_RESOLVE, why);
        return;
    }
}

static void on_ready(struct ps_watch *ready, unsigned events)
{
    struct connection *c = ready->cookie;

    (void)events;
    switch (c->state) {
    case CONNECTING:
        connected(c);
        return;
    case HANDSHAKING:
        handshake(c);
        return;
    case SENDING:
        send_request(c);
        return;
    case HEAD:
    case BODY:
    case ERROR_BODY:
        read_tls(c);
        return;
    case FREE:
    case RESOLVING:
    case IDLE:
    case ENDING:
        return;
    }
}

/* ---- parts ---- */

/* Whether an idle connection can be used: nothing has come, not even its end. */
static bool is_open(const struct connection *c)
{
    char byte;
    ssize_t got = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    /* On TLS a ticket may lie there, which is no end. */
    return got < 0 ? errno == EAGAIN : got > 0 && c->ssl;
}

/* An idle connection to the site if there is one, else a free one, else the longest idle. */
static struct connection *choose(struct transport *t, const struct ps_s3_site *site)
{
    struct connection *best = NULL;

    for (uint32_t i = 0; i < t->connection_count; i++) {
        struct connection *c = &t->connections[i];

        if (c->state == IDLE && c->site == site) {
            if (is_open(c))
                return c;
            disconnect(c);
        }
        if (c->state == FREE && !c->part)
            best = c;
        else if (c->state == IDLE &&
                 (!best || (best->state == IDLE && c->since_ns < best->since_ns)))
            best = c;
    }
    return best;
}

static void transport_start(struct ps_transport *base, struct ps_part *part)
{
    struct transport *t = (struct transport *)base;
    const struct ps_s3_site *site = &ps_part_source(part)->site;
    struct connection *c = choose(t, site);

    /* There are as many connections as parts may be under way. */
    c->part = part;
    if (c->state == IDLE && c->site == site) {
        c->head.status = 0;
        c->in_bytes = 0;
        c->why[0] = '\0';
        ask(c);
        return;
    }
    disconnect(c);
    c->site = site;
    go(c);
}

/* ---- time ---- */

/* What the kernel has received on the socket: a receive under way does not tell. */
static uint64_t received_bytes(const struct connection *c)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info.tcpi_bytes_received;
}

static void check_stall(struct connection *c, uint64_t now_ns)
{
    uint64_t bytes = received_bytes(c);

    if (bytes != c->seen_bytes) {
        c->seen_bytes = bytes;
        c->since_ns = now_ns;
    } else if (now_ns - c->since_ns > STALL_NS_MAX) {
        end(c, PS_TRANSFER_STALL, "no byte came for 15 s");
    }
}

static void look_over(struct connection *c, uint64_t now_ns)
{
    uint64_t age_ns = now_ns - c->since_ns;

    switch (c->state) {
    case RESOLVING:
        if (age_ns > RESOLVE_NS_MAX)
            end(c, PS_TRANSFER_RESOLVE, "the name server did not answer for 15 s");
        else
            go(c);
        return;
    case CONNECTING:
    case HANDSHAKING:
        if (age_ns > CONNECT_NS_MAX) {
            ps_resolver_report(c->transport->io->stream->resolver, &c->address);
            end(c, PS_TRANSFER_CONNECT, "no connection within 5 s");
        }
        return;
    case SENDING:
    case HEAD:
    case BODY:
    case ERROR_BODY:
        check_stall(c, now_ns);
        return;
    case IDLE:
        if (age_ns > IDLE_NS_MAX)
            disconnect(c);
        return;
    case FREE:
    case ENDING:
        return;
    }
}

static uint64_t transport_deadline_ns(const struct ps_transport *base)
{
    return ((const struct transport *)base)->tick_ns;
}

static void transport_tick(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;
    uint64_t now_ns = ps_now_ns();
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t i = 0; i < t->connection_count; i++) {
        struct connection *c = &t->connections[i];

        look_over(c, now_ns);
        if (c->state == RESOLVING)
            next_ns = now_ns + RESOLVE_POLL_NS;
        else if (c->state != FREE && next_ns == UINT64_MAX)
            next_ns = now_ns + TICK_NS;
    }
    t->tick_ns = next_ns;
}

/* ---- the transport's life ---- */

static void transport_cancel(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;

    for (uint32_t i = 0; i < t->connection_count; i++) {
        struct connection *c = &t->connections[i];

        c->part = NULL; /* nobody is told any more */
        if (c->receiving)
            end(c, PS_TRANSFER_LOCAL_FAILURE, "stopped");
    }
}

static void transport_close(struct ps_transport *base)
{
    struct transport *t = (struct transport *)base;

    for (uint32_t i = 0; t->connections && i < t->connection_count; i++) {
        explicit_bzero(t->connections[i].out, sizeof t->connections[i].out);
        disconnect(&t->connections[i]);
    }
    for (size_t i = 0; i < t->site_tls_count; i++)
        ps_tls_close(&t->site_tls[i].tls);
    explicit_bzero(&t->signing, sizeof t->signing);
    explicit_bzero(&t->request, sizeof t->request);
    free(t->site_tls);
    free(t->connections);
    free(t);
}

static int open_tls(struct transport *t, struct penstock_error *error)
{
    struct penstock *stream = t->io->stream;
    size_t source_count = 0;

    for (size_t i = 0; i < stream->channel_count; i++)
        source_count += stream->channels[i]->source_count;
    t->site_tls = calloc(source_count, sizeof *t->site_tls);
    if (!t->site_tls)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (size_t i = 0; i < stream->channel_count; i++)
        for (size_t s = 0; s < stream->channels[i]->source_count; s++) {
            const struct ps_source *source = &stream->channels[i]->sources[s];
            struct site_tls *place = &t->site_tls[t->site_tls_count];

            if (source->uri.kind != PS_URI_S3 || !source->site.tls)
                continue;
            int rc = ps_tls_open(&place->tls, &source->site, error);

            if (rc != PENSTOCK_OK)
                return rc;
            place->site = &source->site;
            t->site_tls_count++;
        }
    return PENSTOCK_OK;
}

static int transport_open(struct ps_io *io, struct ps_transport **out, struct penstock_error *error)
{
    struct transport *t = calloc(1, sizeof *t);

    if (!t)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    t->base.ops = &ps_transport_direct;
    t->io = io;
    t->tick_ns = UINT64_MAX;
    t->connection_count = io->stream->config.max_connections;
    t->connections = calloc(t->connection_count, sizeof *t->connections);
    int rc =
        t->connections ? open_tls(t, error) : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    for (uint32_t i = 0; t->connections && i < t->connection_count; i++) {
        struct connection *c = &t->connections[i];

        c->transport = t;
        c->fd = -1;
        c->watch = (struct ps_watch){.fd = -1, .ready = on_ready, .cookie = c};
        c->receive = (struct ps_receive){.progress = on_progress, .done = on_received, .cookie = c};
    }
    if (rc == PENSTOCK_OK)
        *out = &t->base;
    else
        transport_close(&t->base);
    return rc;
}

const struct ps_transport_ops ps_transport_direct = {
    .name = "direct",
    .open = transport_open,
    .cancel = transport_cancel,
    .close = transport_close,
    .start = transport_start,
    .deadline_ns = transport_deadline_ns,
    .tick = transport_tick,
};
