/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_floor.c - see bench_floor.h. */
#include "bench/bench_floor.h"

#include "pipe/stop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, HEAD_BYTES = 2048, SILENCE_MS = 10000 };

struct lane {
    int fd;
    SSL *ssl;
    char head[HEAD_BYTES + 1];
    size_t head_bytes;
    uint8_t *into;
    uint64_t left_bytes; /* of the body, once the head has come */
    bool in_body;
};

struct floor {
    const struct bench_floor_job *job;
    struct penstock_error *error;
    SSL_CTX *tls;
    uint8_t *ring;
    uint64_t ring_at;
    size_t object; /* of the next part, */
    uint64_t offset;
    uint64_t taken_bytes;
    int epoll_fd;
    struct lane lanes[CONNECTIONS_MAX];
};

static double clock_s(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool fail(struct floor *f, const char *what, const char *why)
{
    f->error->rc = PENSTOCK_E_SYSTEM;
    snprintf(f->error->message, sizeof f->error->message, "floor: %s%s%.200s", what,
             *why ? ": " : "", why);
    return false;
}

static bool connect_lane(struct floor *f, struct lane *lane)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)f->job->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
    int on = 1;

    lane->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, lane->fd, &event) != 0)
        return fail(f, "cannot connect", strerror(errno));
    setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!f->tls)
        return true;
    lane->ssl = SSL_new(f->tls);
    if (!lane->ssl || SSL_set_fd(lane->ssl, lane->fd) != 1 || SSL_connect(lane->ssl) != 1)
        return fail(f, "the TLS handshake failed", "");
    return true;
}

/* A path as URLs have it. */
static void encode(const char *key, char *out, size_t size)
{
    size_t len = 0;

    for (; *key && len + 4 < size; key++) {
        unsigned char c = (unsigned char)*key;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("/-._~", c);

        len += (size_t)snprintf(out + len, size - len, plain ? "%c" : "%%%02X", c);
    }
    out[len] = '\0';
}

/* Asks for the next part of the objects. */
static bool ask(struct floor *f, struct lane *lane)
{
    const struct bench_floor_job *job = f->job;
    const struct bench_object *object = &job->objects->objects[f->object];
    char path[3200], request[4096];
    uint64_t end = f->offset + job->part_bytes < object->len_bytes ? f->offset + job->part_bytes
                                                                   : object->len_bytes;

    encode(object->key, path, sizeof path);
    int len = snprintf(request, sizeof request,
                       "GET /%s/%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nRange: bytes=%" PRIu64
                       "-%" PRIu64 "\r\n\r\n",
                       job->bucket, path, job->port, f->offset, end - 1);

    if (f->ring_at + job->part_bytes > job->ring_bytes)
        f->ring_at = 0;
    lane->into = f->ring + f->ring_at;
    lane->left_bytes = end - f->offset;
    lane->head_bytes = 0;
    lane->in_body = false;
    f->ring_at += job->part_bytes;
    f->offset = end;
    if (end == object->len_bytes) {
        f->offset = 0;
        f->object = (f->object + 1) % job->objects->count;
    }
    size_t sent = 0;

    if (lane->ssl ? SSL_write_ex(lane->ssl, request, (size_t)len, &sent) == 1
                  : send(lane->fd, request, (size_t)len, MSG_NOSIGNAL) == len)
        return true;
    return fail(f, "the request could not be sent", "");
}

static void took(struct floor *f, struct lane *lane, size_t got_bytes)
{
    lane->into += got_bytes;
    lane->left_bytes -= got_bytes;
    f->taken_bytes += got_bytes;
}

static bool look_for_body(struct floor *f, struct lane *lane)
{
    lane->head[lane->head_bytes] = '\0';
    char *body = strstr(lane->head, "\r\n\r\n");

    if (!body)
        return lane->head_bytes < HEAD_BYTES || fail(f, "an answer's head is too long", "");
    if (strncmp(lane->head, "HTTP/1.1 206", 12) != 0) {
        lane->head[strcspn(lane->head, "\r\n")] = '\0';
        return fail(f, "not a part", lane->head);
    }
    size_t more_bytes = lane->head_bytes - (size_t)(body + 4 - lane->head);

    memcpy(lane->into, body + 4, more_bytes);
    lane->in_body = true;
    took(f, lane, more_bytes);
    return true;
}

/* What the connection has now, at most len_bytes of it; *got 0: nothing more for the moment. */
static bool read_some(struct floor *f, struct lane *lane, void *into, size_t len_bytes, size_t *got)
{
    *got = 0;
    if (lane->ssl) {
        int rc = SSL_read_ex(lane->ssl, into, len_bytes, got);

        return rc == 1 || SSL_get_error(lane->ssl, rc) == SSL_ERROR_WANT_READ ||
               fail(f, "a TLS connection ended early", "");
    }
    ssize_t n = recv(lane->fd, into, len_bytes, MSG_DONTWAIT);

    if (n > 0)
        *got = (size_t)n;
    return n > 0 || (n < 0 && errno == EAGAIN) || fail(f, "a connection ended early", "");
}

/* One receive on a plain connection; on a TLS one, all that OpenSSL has: epoll does not know. */
static bool on_readable(struct floor *f, struct lane *lane)
{
    size_t got;

    do {
        if (lane->in_body) {
            if (!read_some(f, lane, lane->into, lane->left_bytes, &got))
                return false;
            took(f, lane, got);
        } else {
            if (!read_some(f, lane, lane->head + lane->head_bytes, HEAD_BYTES - lane->head_bytes,
                           &got))
                return false;
            lane->head_bytes += got;
            if (!look_for_body(f, lane))
                return false;
        }
        if (lane->in_body && lane->left_bytes == 0 && !ask(f, lane))
            return false;
    } while (got > 0 && lane->ssl);
    return true;
}

static bool open_tls(struct floor *f)
{
    f->tls = SSL_CTX_new(TLS_client_method());
    if (!f->tls || SSL_CTX_set_ciphersuites(f->tls, "TLS_AES_128_GCM_SHA256") != 1)
        return fail(f, "no TLS", "");
    SSL_CTX_set_read_ahead(f->tls, 1);
    SSL_CTX_set_default_read_buffer_len(f->tls, 64 << 10);
    return true;
}

static bool open_all(struct floor *f)
{
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (f->epoll_fd < 0 || (f->job->tls && !open_tls(f)))
        return false;
    f->ring = mmap(NULL, f->job->ring_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->ring == MAP_FAILED)
        return fail(f, "no memory", strerror(errno));
    madvise(f->ring, f->job->ring_bytes, MADV_HUGEPAGE);
    for (unsigned i = 0; i < f->job->connections; i++) {
        if (!connect_lane(f, &f->lanes[i]) || !ask(f, &f->lanes[i]))
            return false;
        fcntl(f->lanes[i].fd, F_SETFL, O_NONBLOCK);
    }
    return true;
}

static void close_all(struct floor *f)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        SSL_free(f->lanes[i].ssl);
        if (f->lanes[i].fd >= 0)
            close(f->lanes[i].fd);
    }
    SSL_CTX_free(f->tls);
    if (f->ring != MAP_FAILED)
        munmap(f->ring, f->job->ring_bytes);
    if (f->epoll_fd >= 0)
        close(f->epoll_fd);
}

static bool receive_until(struct floor *f, double end_s)
{
    struct epoll_event events[CONNECTIONS_MAX];

    while (clock_s(CLOCK_MONOTONIC) < end_s && !ps_stop_signal()) {
        int count = epoll_wait(f->epoll_fd, events, CONNECTIONS_MAX, SILENCE_MS);

        if (count == 0)
            return fail(f, "no byte came for 10 s", "");
        for (int i = 0; i < count; i++)
            if (!on_readable(f, events[i].data.ptr))
                return false;
    }
    return true;
}

int bench_floor(const struct bench_floor_job *job, struct bench_totals *totals,
                struct penstock_error *error)
{
    struct floor *f = calloc(1, sizeof *f);
    struct bench_usage before, after;

    if (!f || job->connections > CONNECTIONS_MAX) {
        free(f);
        snprintf(error->message, sizeof error->message, "floor: out of memory");
        return error->rc = PENSTOCK_E_MEMORY;
    }
    f->job = job;
    f->error = error;
    f->ring = MAP_FAILED;
    f->epoll_fd = -1;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        f->lanes[i].fd = -1;
    bool good = open_all(f) && receive_until(f, clock_s(CLOCK_MONOTONIC) + job->warmup_s);
    uint64_t from_bytes = f->taken_bytes;
    double began_s = clock_s(CLOCK_MONOTONIC);

    bench_usage_take(&before);
    good = good && receive_until(f, began_s + job->seconds);
    bench_usage_take(&after);
    *totals = (struct bench_totals){.bytes = f->taken_bytes - from_bytes,
                                    .wall_s = clock_s(CLOCK_MONOTONIC) - began_s,
                                    .user_s = after.user_s - before.user_s,
                                    .system_s = after.system_s - before.system_s};
    close_all(f);
    free(f);
    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
    return good ? PENSTOCK_OK : error->rc;
}
