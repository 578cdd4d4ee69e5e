/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_transport.c - one measurement of moving an object store's bytes into memory.
 *
 *     perf_transport engine [-p PART] [-e EPOCHS] [-m RING_MIB] [-i IO_THREADS]
 *                           -o OBJECTS -s OBJECT_BYTES URI
 *     perf_transport floor  [-p PART] [-e EPOCHS] [-m RING_MIB] [-c CONNECTIONS] [-t]
 *                           -P PORT -o OBJECTS -s OBJECT_BYTES PATH
 *
 * `engine` reads the URI with the library as plain bytes; $PENSTOCK_IO, $PENSTOCK_TRANSPORT and
 * $AWS_* choose how, as ever. `floor` is what no client can do without: ranged GETs of PATH0000,
 * PATH0001, ... from 127.0.0.1 over keep-alive connections (-t: TLS), each received to its place in
 * a ring of the same size and pages, recv of all that remains when epoll says so, and nothing else.
 *
 * Prints one line of JSON: wall and CPU seconds of this process from open to close, system calls
 * (-1: the kernel does not let us count), bytes copied beside the ring's own receives, and calls of
 * malloc and its kin in steady state: the second half of the stream, from 32 MiB after the last
 * connection was opened. bench/transport.py runs and compares them.
 */
#include "pipe/penstock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, HEAD_BYTES = 2048, SETTLE_BYTES = 32 << 20 };

static struct {
    const char *what, *where;
    uint64_t part_bytes, ring_bytes, epochs, objects, object_bytes;
    unsigned connections, port, io_threads;
    bool tls;
} job = {.part_bytes = 8 << 20, .ring_bytes = 128 << 20, .epochs = 1, .connections = 16};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "perf_transport: %s: %s\n", what, why);
    exit(1);
}

/* ---- counting ---- */

static _Atomic uint64_t allocations;

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                             \
    !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
/* The program's own definitions are those of every library in it, OpenSSL's and libcurl's too. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

PENSTOCK_API void *malloc(size_t len_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(len_bytes);
}

PENSTOCK_API void *calloc(size_t count, size_t each_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, each_bytes);
}

PENSTOCK_API void *realloc(void *old, size_t len_bytes)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(old, len_bytes);
}
#endif

struct tally {
    double wall_s, cpu_s;
    uint64_t bytes, parts_late, allocations_late, copied_bytes, connections, retries;
    uint64_t steady_from_bytes, allocations_then, connections_then;
    int syscalls_fd;
};

/* The kernel's own count of system calls entered by this process, threads to come included. */
static int count_syscalls(void)
{
    static const char *const ids[] = {"/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
                                      "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"};
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .inherit = 1};
    FILE *in = NULL;

    if (!getenv("PERF_COUNT_SYSCALLS"))
        return -1;
    for (size_t i = 0; !in && i < 2; i++)
        in = fopen(ids[i], "r");
    bool known = in && fscanf(in, "%" SCNu64, (uint64_t *)&attr.config) == 1;

    if (in)
        fclose(in);
    return known ? (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) : -1;
}

static double clock_s(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void begin(struct tally *t)
{
    *t = (struct tally){.syscalls_fd = count_syscalls()};
    t->wall_s = -clock_s(CLOCK_MONOTONIC);
    t->cpu_s = -clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

/* So many bytes have come, and so many connections have been opened by now. */
static void add_bytes(struct tally *t, uint64_t more_bytes, uint64_t connections)
{
    t->bytes += more_bytes;
    if (t->steady_from_bytes == 0)
        t->steady_from_bytes = job.epochs * job.objects * job.object_bytes / 2;
    if (connections != t->connections_then && t->bytes + SETTLE_BYTES > t->steady_from_bytes)
        t->steady_from_bytes = t->bytes + SETTLE_BYTES;
    t->connections_then = connections;
    if (t->bytes <= t->steady_from_bytes) {
        t->allocations_then = atomic_load(&allocations);
        return;
    }
    t->parts_late = (t->bytes - t->steady_from_bytes) / job.part_bytes;
    t->allocations_late = atomic_load(&allocations) - t->allocations_then;
}

static void print(struct tally *t)
{
    uint64_t syscalls = 0;
    bool counted = t->syscalls_fd >= 0 && read(t->syscalls_fd, &syscalls, sizeof syscalls) > 0;

    t->wall_s += clock_s(CLOCK_MONOTONIC);
    t->cpu_s += clock_s(CLOCK_PROCESS_CPUTIME_ID);
    printf("{\"bytes\": %" PRIu64 ", \"wall_s\": %.6f, \"cpu_s\": %.6f, \"syscalls\": %" PRId64
           ", \"copied\": %" PRIu64 ", \"late_parts\": %" PRIu64 ", \"late_allocations\": %" PRIu64
           ", \"connections\": %" PRIu64 ", \"retries\": %" PRIu64 "}\n",
           t->bytes, t->wall_s, t->cpu_s, counted ? (int64_t)syscalls : -1, t->copied_bytes,
           t->parts_late, t->allocations_late, t->connections, t->retries);
}

/* ---- the engine ---- */

static void run_engine(struct tally *t)
{
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock *stream;
    static struct penstock_error error;
    const struct penstock_span *span;
    struct penstock_counters counters;
    int rc;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = job.ring_bytes;
    config.part_bytes = job.part_bytes;
    config.io_threads = job.io_threads;
    channel.uris = &job.where;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.epochs = (uint32_t)job.epochs;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        die(job.where, error.message);
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END) {
        if (!span)
            continue;
        penstock_get_counters(stream, 0, &counters);
        add_bytes(t, span->len_bytes, counters.connections);
        penstock_release_span(stream, span);
    }
    if (rc < 0)
        die(job.where, penstock_last_error(stream, 0)->message);
    penstock_get_counters(stream, 0, &counters);
    t->copied_bytes = counters.bytes_carried + counters.bytes_copied;
    t->connections = counters.connections;
    t->retries = counters.retries;
    penstock_close(&stream);
}

/* ---- the floor ---- */

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
    struct tally *tally;
    SSL_CTX *tls;
    uint8_t *ring;
    uint64_t next_part, part_count, ended_count;
    struct lane lanes[CONNECTIONS_MAX];
    int epoll_fd;
};

static void connect_lane(struct floor *f, struct lane *lane)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)job.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = lane};
    int on = 1;

    lane->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, lane->fd, &event) != 0)
        die("floor: cannot connect", strerror(errno));
    setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    f->tally->connections++;
    if (!f->tls)
        return;
    lane->ssl = SSL_new(f->tls);
    if (!lane->ssl || SSL_set_fd(lane->ssl, lane->fd) != 1 || SSL_connect(lane->ssl) != 1)
        die("floor", "the TLS handshake failed");
}

/* Asks for the next part of the stream; false when there is none. */
static bool ask(struct floor *f, struct lane *lane)
{
    char request[512];
    uint64_t parts_each = (job.object_bytes + job.part_bytes - 1) / job.part_bytes;

    if (f->next_part == f->part_count)
        return false;
    uint64_t part = f->next_part++;
    uint64_t first = part % parts_each * job.part_bytes;
    uint64_t end =
        first + job.part_bytes < job.object_bytes ? first + job.part_bytes : job.object_bytes;
    int len = snprintf(request, sizeof request,
                       "GET %s%04" PRIu64 " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nRange: bytes=%" PRIu64
                       "-%" PRIu64 "\r\n\r\n",
                       job.where, part / parts_each % job.objects, job.port, first, end - 1);

    lane->into = f->ring + part * job.part_bytes % job.ring_bytes;
    lane->left_bytes = end - first;
    lane->head_bytes = 0;
    lane->in_body = false;
    size_t sent = 0;

    if (lane->ssl ? SSL_write_ex(lane->ssl, request, (size_t)len, &sent) != 1
                  : send(lane->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        die("floor", "the request could not be sent");
    return true;
}

static void took(struct floor *f, struct lane *lane, size_t got_bytes)
{
    lane->into += got_bytes;
    lane->left_bytes -= got_bytes;
    add_bytes(f->tally, got_bytes, f->tally->connections);
}

static void look_for_body(struct floor *f, struct lane *lane)
{
    lane->head[lane->head_bytes] = '\0';
    char *body = strstr(lane->head, "\r\n\r\n");

    if (!body)
        return;
    if (strncmp(lane->head, "HTTP/1.1 206", 12) != 0)
        die("floor: not a part", lane->head);
    size_t more_bytes = lane->head_bytes - (size_t)(body + 4 - lane->head);

    memcpy(lane->into, body + 4, more_bytes);
    f->tally->copied_bytes += more_bytes;
    lane->in_body = true;
    took(f, lane, more_bytes);
}

/* What the connection has now, at most len_bytes of it; 0: nothing more for the moment. */
static size_t read_some(struct lane *lane, void *into, size_t len_bytes)
{
    size_t got = 0;

    if (lane->ssl) {
        int rc = SSL_read_ex(lane->ssl, into, len_bytes, &got);

        if (rc != 1 && SSL_get_error(lane->ssl, rc) != SSL_ERROR_WANT_READ)
            die("floor", "a TLS connection ended early");
        return got;
    }
    ssize_t n = recv(lane->fd, into, len_bytes, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        die("floor", "a connection ended early");
    return (size_t)n;
}

/* One receive on a plain connection; on a TLS one, all that OpenSSL has: epoll does not know. */
static void on_readable(struct floor *f, struct lane *lane)
{
    size_t got;

    do {
        if (lane->in_body) {
            got = read_some(lane, lane->into, lane->left_bytes);
            took(f, lane, got);
        } else {
            got = read_some(lane, lane->head + lane->head_bytes, HEAD_BYTES - lane->head_bytes);
            lane->head_bytes += got;
            look_for_body(f, lane);
        }
        if (lane->in_body && lane->left_bytes == 0) {
            f->ended_count++;
            if (!ask(f, lane))
                return;
        }
    } while (got > 0 && lane->ssl);
}

static SSL_CTX *open_tls(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (!tls || SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1)
        die("floor", "no TLS");
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, 64 << 10);
    return tls;
}

static void run_floor(struct tally *t)
{
    static struct floor f;
    struct epoll_event events[CONNECTIONS_MAX];

    f.tally = t;
    f.tls = job.tls ? open_tls() : NULL;
    f.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    f.part_count =
        job.epochs * job.objects * ((job.object_bytes + job.part_bytes - 1) / job.part_bytes);
    f.ring = mmap(NULL, job.ring_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f.ring == MAP_FAILED)
        die("floor: no memory", strerror(errno));
    madvise(f.ring, job.ring_bytes, MADV_HUGEPAGE);
    for (unsigned i = 0; i < job.connections; i++) {
        connect_lane(&f, &f.lanes[i]);
        ask(&f, &f.lanes[i]);
        fcntl(f.lanes[i].fd, F_SETFL, O_NONBLOCK);
    }
    while (f.ended_count < f.part_count) {
        int count = epoll_wait(f.epoll_fd, events, CONNECTIONS_MAX, 10000);

        if (count == 0)
            die("floor", "no byte came for 10 s");
        for (int i = 0; i < count; i++)
            on_readable(&f, events[i].data.ptr);
    }
    for (unsigned i = 0; i < job.connections; i++) {
        SSL_free(f.lanes[i].ssl);
        close(f.lanes[i].fd);
    }
    SSL_CTX_free(f.tls);
    munmap(f.ring, job.ring_bytes);
    close(f.epoll_fd);
}

/* ---- the command line ---- */

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*end != '\0' || value < least || value > most)
        die(text, "is no usable number");
    return value;
}

int main(int argc, char **argv)
{
    struct tally tally;
    int option;

    while ((option = getopt(argc, argv, "p:e:m:i:c:tP:o:s:")) != -1)
        switch (option) {
        case 'p':
            job.part_bytes = number(optarg, 1, 1 << 30);
            break;
        case 'e':
            job.epochs = number(optarg, 1, 1000000);
            break;
        case 'm':
            job.ring_bytes = number(optarg, 1, 65536) << 20;
            break;
        case 'i':
            job.io_threads = (unsigned)number(optarg, 0, 64);
            break;
        case 'c':
            job.connections = (unsigned)number(optarg, 1, CONNECTIONS_MAX);
            break;
        case 't':
            job.tls = true;
            break;
        case 'P':
            job.port = (unsigned)number(optarg, 1, 65535);
            break;
        case 'o':
            job.objects = number(optarg, 1, 10000);
            break;
        case 's':
            job.object_bytes = number(optarg, 1, UINT64_C(1) << 40);
            break;
        default:
            return 2;
        }
    if (argc - optind != 2)
        die("usage", "perf_transport OPTION... engine|floor URI|PATH");
    job.what = argv[optind];
    job.where = argv[optind + 1];
    begin(&tally);
    if (strcmp(job.what, "floor") == 0)
        run_floor(&tally);
    else
        run_engine(&tally);
    print(&tally);
    return 0;
}
