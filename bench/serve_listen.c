/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_listen.c - see serve_listen.h. */
#include "bench/serve_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

bool serve_address_parse(const char *host, union serve_address *address)
{
    memset(address, 0, sizeof *address);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    }
    return false;
}

static int listen_with(union serve_address *address, uint16_t *port, int backlog)
{
    bool is_v6 = address->any.sa_family == AF_INET6;
    socklen_t len_bytes = is_v6 ? sizeof address->v6 : sizeof address->v4;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    in_port_t *place = is_v6 ? &address->v6.sin6_port : &address->v4.sin_port;
    int on = 1, saved;

    if (fd < 0)
        return -1;
    *place = htons(*port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address->any, len_bytes) == 0 && listen(fd, backlog) == 0 &&
        getsockname(fd, &address->any, &len_bytes) == 0) {
        *port = ntohs(*place);
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int serve_listen(union serve_address *address, uint16_t *port)
{
    return listen_with(address, port, BACKLOG);
}

int serve_listen_dead(union serve_address *address, uint16_t *port, int fillers[2])
{
    int fd = listen_with(address, port, 0);

    /* A queue of length 0 takes one; further SYNs are dropped without a word. */
    for (int i = 0; i < 2; i++) {
        fillers[i] = -1;
        if (fd < 0)
            continue;
        fillers[i] = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fillers[i] >= 0)
            (void)connect(fillers[i], &address->any,
                          address->any.sa_family == AF_INET6 ? sizeof address->v6
                                                             : sizeof address->v4);
    }
    return fd;
}

void serve_address_url(const union serve_address *address, uint16_t port, bool tls, char *out,
                       size_t out_bytes)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool is_v6 = address->any.sa_family == AF_INET6;

    inet_ntop(address->any.sa_family,
              is_v6 ? (const void *)&address->v6.sin6_addr : (const void *)&address->v4.sin_addr,
              host, sizeof host);
    snprintf(out, out_bytes, is_v6 ? "%s://[%s]:%u" : "%s://%s:%u", tls ? "https" : "http", host,
             port);
}
