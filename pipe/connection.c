/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/connection.c - a connection's life but for its answers: see connection.h. */
#include "pipe/connection.h"

#include "pipe/clock.h"
#include "pipe/error.h"
#include "pipe/text.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_NS (50 * PS_NS_PER_MS)
#define RESOLVE_POLL_NS (5 * PS_NS_PER_MS)
#define RESOLVE_NS_MAX (15 * PS_NS_PER_S)
#define CONNECT_NS_MAX (5 * PS_NS_PER_S)
#define CONNECT_NS_SHORT (500 * PS_NS_PER_MS) /* while there are other addresses to try */
#define STALL_NS_MAX (15 * PS_NS_PER_S)
#define FLOOR_NS (15 * PS_NS_PER_S) /* a connection has to bring ... */
#define FLOOR_BYTES (15 << 10)      /* ... so much in that time: 1 KiB/s */
/* S3 closes connections that were idle for about 5 s: reusing one just then costs a retry. */
#define IDLE_NS_MAX (4 * PS_NS_PER_S)

uint64_t ps_connection_due_ns(const struct ps_connection *c, uint64_t now_ns)
{
    switch (c->state) {
    case PS_CONN_FREE:
    case PS_CONN_TAKING:
    case PS_CONN_ENDING:
        return UINT64_MAX;
    case PS_CONN_RESOLVING:
        return now_ns + RESOLVE_POLL_NS;
    case PS_CONN_CONNECTING:
    case PS_CONN_HANDSHAKING:
    case PS_CONN_SENDING:
    case PS_CONN_HEAD:
    case PS_CONN_BODY:
    case PS_CONN_ERROR_BODY:
    case PS_CONN_IDLE:
        break;
    }
    return now_ns + TICK_NS;
}

void ps_connection_enter(struct ps_connection *c, enum ps_connection_state state)
{
    c->state = state;
    c->since_ns = ps_now_ns();
    uint64_t due_ns = ps_connection_due_ns(c, c->since_ns);

    if (due_ns < c->all->tick_ns)
        c->all->tick_ns = due_ns;
}

void ps_connection_watch(struct ps_connection *c, unsigned wanted)
{
    struct ps_reactor *reactor = c->all->io->reactor;

    if (wanted)
        reactor->ops->forget(reactor, &c->receive);
    if (wanted != c->watch.wanted || (wanted && c->watch.fd != c->fd))
        reactor->ops->watch(reactor, &c->watch, c->fd, wanted);
}

void ps_connection_close(struct ps_connection *c)
{
    struct ps_reactor *reactor = c->all->io->reactor;

    ps_connection_watch(c, 0);
    reactor->ops->forget(reactor, &c->receive);
    ps_tls_end(c->ssl, c->state == PS_CONN_IDLE);
    c->ssl = NULL;
    if (c->reader)
        ps_tls_reader_end(c->reader);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->has_address)
        ps_resolver_give_back(c->all->io->stream->resolver, &c->address);
    c->has_address = false;
    c->reused = false;
    c->state = PS_CONN_FREE;
}

uint64_t ps_connection_received_bytes(const struct ps_connection *c)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info.tcpi_bytes_received;
}

static struct ps_tls *tls_of(struct ps_connections *all, const struct ps_s3_site *site)
{
    for (size_t i = 0; i < all->site_tls_count; i++)
        if (all->site_tls[i].site == site)
            return &all->site_tls[i].tls;
    /* A bucket that a manifest named. */
    struct ps_site_tls *place = &all->site_tls[all->site_tls_count];

    if (all->site_tls_count == all->site_tls_room ||
        ps_tls_open(&place->tls, site, NULL) != PENSTOCK_OK)
        return NULL;
    place->site = site;
    all->site_tls_count++;
    return &place->tls;
}

static void send_request(struct ps_connection *c)
{
    ERR_clear_error();
    while (c->out_sent < c->out_bytes) {
        size_t left = c->out_bytes - c->out_sent;
        size_t sent_bytes = 0;

        if (c->ssl) {
            int failure = ps_tls_write(&c->reader->writer, c->out + c->out_sent, left, &sent_bytes);

            if (failure != SSL_ERROR_NONE) {
                ps_connection_wait_tls(c, failure);
                return;
            }
        } else {
            ssize_t sent = send(c->fd, c->out + c->out_sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);

            if (sent < 0 && errno == EAGAIN) {
                ps_connection_watch(c, PS_WRITABLE);
                return;
            }
            if (sent < 0) {
                ps_connection_end(c, PS_TRANSFER_RESET, strerror(errno));
                return;
            }
            sent_bytes = (size_t)sent;
        }
        c->out_sent += sent_bytes;
    }
    ps_answer_begin(c);
}

static int write_request(struct ps_connection *c, struct penstock_error *error)
{
    struct ps_connections *t = c->all;
    struct ps_text out = ps_text_in(c->out, PS_REQUEST_BYTES);

    c->from_bytes = c->part->filled_bytes;
    int rc = ps_get_build(c->part, c->sent.place, c->from_bytes, &t->signing, &t->request, error);

    if (rc != PENSTOCK_OK)
        return rc;
    c->sent = t->request.sent;
    ps_text_add(&out, ps_get_method(c->part));
    ps_text_add(&out, " ");
    ps_text_add(&out, t->request.target);
    ps_text_add(&out, " HTTP/1.1\r\n");
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
static void ask(struct ps_connection *c)
{
    struct penstock_error error;
    int rc = write_request(c, &error);

    if (rc == PENSTOCK_OK) {
        struct ps_counts *counts = &c->part->channel->counts;

        ps_connection_enter(c, PS_CONN_SENDING);
        if (atomic_load_explicit(&counts->first_connection_ns, memory_order_relaxed) == 0)
            atomic_store(&counts->first_connection_ns, c->since_ns - c->all->io->stream->opened_ns);
        if (c->reused)
            atomic_fetch_add_explicit(&counts->connections_reused, 1, memory_order_relaxed);
        c->floor_ns = c->asked_ns = c->since_ns;
        c->floor_bytes = c->seen_bytes = c->asked_bytes = ps_connection_received_bytes(c);
        c->got_bytes = 0;
        send_request(c);
        return;
    }
    struct ps_part *part = c->part;

    if (c->is_hedge) {
        ps_hedge_forget(c);
        ps_connection_close(c);
        return;
    }
    c->part = NULL;
    ps_connection_close(c);
    ps_io_part_ended(c->all->io, part,
                     (struct ps_retry_decision){.verdict = PS_RETRY_FATAL, .rc = rc}, &error);
}

static void handshake(struct ps_connection *c)
{
    ERR_clear_error(); /* SSL_get_error looks at what is left of older calls, too */
    int rc = SSL_do_handshake(c->ssl);

    if (rc != 1) {
        ps_connection_wait_tls(c, SSL_get_error(c->ssl, rc));
        return;
    }
    ps_tls_reader_begin(c->reader);
    struct ps_counts *counts = &c->part->channel->counts;

    atomic_fetch_add_explicit(&counts->tls_handshakes, 1, memory_order_relaxed);
    if (SSL_session_reused(c->ssl))
        atomic_fetch_add_explicit(&counts->tls_resumed, 1, memory_order_relaxed);
    ask(c);
}

/* No connection to the address: the attempt goes on with another one, if the host has any. */
static void refused(struct ps_connection *c, const char *why)
{
    struct ps_resolver *resolver = c->all->io->stream->resolver;

    ps_resolver_dead(resolver, &c->address);
    if (!ps_resolver_has_other(resolver, &c->address)) {
        ps_connection_end(c, PS_TRANSFER_CONNECT, why);
        return;
    }
    ps_connection_close(c);
    ps_connection_open(c);
}

static bool connect_tls(struct ps_connection *c)
{
    if (!c->reader)
        c->reader = calloc(1, sizeof *c->reader);
    if (!c->reader)
        return false;
    c->reader->staging = c->all->staging;
    struct ps_tls *tls = tls_of(c->all, c->site);

    c->ssl = tls ? ps_tls_connect(tls, c->sent.place, c->fd, c->reader) : NULL;
    return c->ssl != NULL;
}

static void connected(struct ps_connection *c)
{
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len);
    if (sys_errno != 0) {
        refused(c, strerror(sys_errno));
        return;
    }
    if (!c->sent.place->tls) {
        ask(c);
        return;
    }
    if (!connect_tls(c)) {
        ps_connection_end(c, PS_TRANSFER_NO_MEMORY, "out of memory for TLS");
        return;
    }
    ps_connection_enter(c, PS_CONN_HANDSHAKING);
    handshake(c);
}

static void connect_to(struct ps_connection *c)
{
    const struct sockaddr *address = (const struct sockaddr *)&c->address.sockaddr;
    int on = 1;

    c->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        ps_connection_end(c, PS_TRANSFER_CONNECT, strerror(errno));
        return;
    }
    atomic_fetch_add_explicit(&c->part->channel->counts.connections, 1, memory_order_relaxed);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ps_connection_enter(c, PS_CONN_CONNECTING);
    if (connect(c->fd, address, c->address.len_bytes) == 0)
        connected(c);
    else if (errno == EINPROGRESS)
        ps_connection_watch(c, PS_WRITABLE);
    else
        refused(c, strerror(errno));
}

static void forget_answer(struct ps_connection *c)
{
    c->head.status = 0;
    c->in_bytes = 0;
    c->why[0] = '\0';
}

/* For a hedge another one than its rival's, if the host has several. */
static enum ps_resolve_rc find_address(struct ps_connection *c, const char **why)
{
    const char *unlike = c->is_hedge ? c->rival->address.text : NULL;
    enum ps_resolve_rc rc = ps_resolver_take(c->all->io->stream->resolver, c->sent.place->host,
                                             c->sent.place->port, unlike, &c->address, why);

    c->has_address = rc == PS_RESOLVED;
    return rc;
}

void ps_connection_open(struct ps_connection *c)
{
    const char *why = "";

    forget_answer(c);
    if (c->state == PS_CONN_FREE)
        c->sent.place = ps_s3_site_place(c->site);
    switch (find_address(c, &why)) {
    case PS_RESOLVED:
        connect_to(c);
        return;
    case PS_RESOLVE_WAIT:
        if (c->state != PS_CONN_RESOLVING)
            ps_connection_enter(c, PS_CONN_RESOLVING);
        return;
    case PS_RESOLVE_FAILED:
        c->address.text[0] = '\0';
        ps_connection_end(c, PS_TRANSFER_RESOLVE, why);
        return;
    }
}

static void on_ready(struct ps_watch *ready, unsigned events)
{
    struct ps_connection *c = ready->cookie;

    (void)events;
    switch (c->state) {
    case PS_CONN_CONNECTING:
        connected(c);
        return;
    case PS_CONN_HANDSHAKING:
        handshake(c);
        return;
    case PS_CONN_SENDING:
        send_request(c);
        return;
    case PS_CONN_HEAD:
    case PS_CONN_BODY:
    case PS_CONN_ERROR_BODY:
        ps_answer_read_tls(c);
        return;
    case PS_CONN_FREE:
    case PS_CONN_RESOLVING:
    case PS_CONN_IDLE:
    case PS_CONN_TAKING:
    case PS_CONN_ENDING:
        return;
    }
}

bool ps_connection_is_open(const struct ps_connection *c)
{
    char byte;

    if (c->ssl)
        return ps_tls_is_open(c->reader);
    ssize_t got = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return got < 0 && errno == EAGAIN;
}

static void check_stall(struct ps_connection *c, uint64_t now_ns)
{
    uint64_t bytes = c->asked_bytes + c->got_bytes;

    if (bytes <= c->seen_bytes) /* a receive under way may have brought some all the same */
        bytes = ps_connection_received_bytes(c);
    if (bytes > c->seen_bytes) {
        c->seen_bytes = bytes;
        c->since_ns = now_ns;
    } else if (now_ns > c->since_ns + STALL_NS_MAX) {
        ps_connection_end(c, PS_TRANSFER_STALL, "no byte came for 15 s");
        return;
    }
    /* In a body a count of 0 is that of a kernel which does not count (gVisor). */
    if (now_ns < c->floor_ns + FLOOR_NS || (bytes == 0 && c->state == PS_CONN_BODY))
        return;
    if (bytes - c->floor_bytes < FLOOR_BYTES) {
        ps_connection_end(c, PS_TRANSFER_STALL, "less than 1 KiB/s came for 15 s");
        return;
    }
    c->floor_ns = now_ns;
    c->floor_bytes = bytes;
}

void ps_connection_look_over(struct ps_connection *c, uint64_t now_ns)
{
    /* One that was opened while others were looked over is younger than that. */
    uint64_t age_ns = now_ns > c->since_ns ? now_ns - c->since_ns : 0;

    switch (c->state) {
    case PS_CONN_RESOLVING:
        if (age_ns > RESOLVE_NS_MAX)
            ps_connection_end(c, PS_TRANSFER_RESOLVE, "the name server did not answer for 15 s");
        else
            ps_connection_open(c);
        return;
    case PS_CONN_CONNECTING:
        if (age_ns > CONNECT_NS_MAX ||
            (age_ns > CONNECT_NS_SHORT &&
             ps_resolver_has_other(c->all->io->stream->resolver, &c->address)))
            refused(c, "no connection within 5 s");
        return;
    case PS_CONN_HANDSHAKING:
        if (age_ns > CONNECT_NS_MAX)
            refused(c, "no connection within 5 s");
        return;
    case PS_CONN_SENDING:
    case PS_CONN_HEAD:
    case PS_CONN_BODY:
    case PS_CONN_ERROR_BODY:
        check_stall(c, now_ns);
        return;
    case PS_CONN_IDLE:
        if (age_ns > IDLE_NS_MAX)
            ps_connection_close(c);
        return;
    case PS_CONN_FREE:
    case PS_CONN_TAKING:
    case PS_CONN_ENDING:
        return;
    }
}

void ps_connection_init(struct ps_connection *c, struct ps_connections *all)
{
    c->all = all;
    c->fd = -1;
    c->watch = (struct ps_watch){.fd = -1, .ready = on_ready, .cookie = c};
    c->receive = (struct ps_receive){
        .progress = ps_answer_progress, .done = ps_answer_received, .cookie = c};
}

void ps_connection_free(struct ps_connection *c)
{
    if (c->out)
        explicit_bzero(c->out, PS_REQUEST_BYTES);
    free(c->out);
    free(c->in);
    free(c->reader);
    c->out = c->in = NULL;
    c->reader = NULL;
}

/* Buffers stay with a connection: nothing is allocated for a part. */
static bool equip(struct ps_connection *c)
{
    if (!c->out)
        c->out = malloc(PS_REQUEST_BYTES);
    if (!c->in)
        c->in = malloc(PS_ANSWER_BYTES);
    return c->out && c->in;
}

void ps_connection_start(struct ps_connection *c, struct ps_part *part)
{
    bool equipped = equip(c);

    if (!equipped && c->is_hedge) {
        ps_hedge_forget(c);
        return;
    }
    if (!equipped) {
        struct penstock_error error;
        int rc = ps_fail(&error, PENSTOCK_E_MEMORY, "out of memory for a connection");

        ps_io_part_ended(c->all->io, part,
                         (struct ps_retry_decision){.verdict = PS_RETRY_FATAL, .rc = rc}, &error);
        return;
    }
    c->part = part;
    c->started_ns = c->pace_ns = ps_now_ns();
    c->skip_bytes = 0;
    if (c->state == PS_CONN_IDLE) {
        forget_answer(c);
        ask(c);
        return;
    }
    c->site = &ps_part_source(part)->site;
    ps_connection_open(c);
}

void ps_connection_cancel(struct ps_connection *c)
{
    c->part = NULL;
    c->rival = NULL;
    c->is_hedge = false;
    if (c->receiving)
        ps_connection_end(c, PS_TRANSFER_LOCAL_FAILURE, "stopped");
    else
        ps_connection_close(c); /* what is ready meanwhile has no part to go to */
}
