/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/metrics_port.c - see metrics_port.h. */
#include "pipe/metrics_port.h"

#include "pipe/clock.h"
#include "pipe/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 8192, CLIENT_S = 2, BACKLOG = 16, RETRY_MS = 100 };

static bool read_address(const char *text, struct sockaddr_in *address)
{
    const char *colon = strrchr(text, ':');
    char host[64] = "127.0.0.1";
    unsigned long number = colon ? strtoul(colon + 1, NULL, 10) : UINT16_MAX + 1UL;

    if (!colon || (size_t)(colon - text) >= sizeof host || number > UINT16_MAX)
        return false;
    if (colon > text)
        snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

int ps_metrics_listen(const char *text, int *fd, unsigned *port, struct penstock_error *error)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int on = 1;

    if (!read_address(text, &address))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "--metrics: '%s' is not [IPv4 ADDRESS]:PORT",
                       text);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(*fd, BACKLOG) != 0 || getsockname(*fd, (struct sockaddr *)&address, &len) != 0) {
        int sys_errno = errno;

        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "--metrics: cannot listen at %s",
                             text);
    }
    *port = ntohs(address.sin_port);
    return PENSTOCK_OK;
}

/* Waits for room or bytes until the client's time is over. */
static bool wait_for(int fd, short events, uint64_t end_ns)
{
    uint64_t now_ns = ps_now_ns();
    struct pollfd poll_fd = {.fd = fd, .events = events};

    return now_ns < end_ns && poll(&poll_fd, 1, (int)((end_ns - now_ns) / PS_NS_PER_MS) + 1) > 0;
}

static bool send_all(int fd, const char *text, size_t len_bytes, uint64_t end_ns)
{
    while (len_bytes > 0) {
        ssize_t sent = send(fd, text, len_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            text += sent;
            len_bytes -= (size_t)sent;
        } else if (sent == 0 || (errno != EAGAIN && errno != EINTR) ||
                   !wait_for(fd, POLLOUT, end_ns)) {
            return false;
        }
    }
    return true;
}

static void send_head(int fd, const char *status, size_t len_bytes, uint64_t end_ns)
{
    char head[256];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                       status, len_bytes);

    send_all(fd, head, (size_t)len, end_ns);
}

/* The request's head, as far as it comes in time. */
static void read_head(int fd, char *head, uint64_t end_ns)
{
    size_t have = 0;

    head[0] = '\0';
    while (have < HEAD_BYTES_MAX && !strstr(head, "\r\n\r\n")) {
        ssize_t got = recv(fd, head + have, HEAD_BYTES_MAX - have, MSG_DONTWAIT);

        if (got > 0)
            have += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !wait_for(fd, POLLIN, end_ns))
            return;
        head[have] = '\0';
    }
}

int ps_metrics_accept(int listen_fd)
{
    uint64_t end_ns = ps_now_ns() + CLIENT_S * PS_NS_PER_S;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    char head[HEAD_BYTES_MAX + 1];
    const char *status = NULL;

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            (void)poll(NULL, 0, RETRY_MS); /* the client is still there: no spinning meanwhile */
        return -1;
    }
    read_head(fd, head, end_ns);
    if (!strstr(head, "\r\n\r\n"))
        status = "400 Bad Request";
    else if (strncmp(head, "GET ", 4) != 0)
        status = "405 Method Not Allowed";
    else if (strncmp(head + 4, "/metrics ", 9) != 0 && strncmp(head + 4, "/ ", 2) != 0)
        status = "404 Not Found";
    if (!status)
        return fd;
    send_head(fd, status, 0, end_ns);
    close(fd);
    return -1;
}

void ps_metrics_answer(int fd, const char *text, size_t len_bytes)
{
    uint64_t end_ns = ps_now_ns() + CLIENT_S * PS_NS_PER_S;

    send_head(fd, "200 OK", len_bytes, end_ns);
    send_all(fd, text, len_bytes, end_ns);
    close(fd);
}
