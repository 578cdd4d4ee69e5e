/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_listen.h - listening sockets on loopback addresses.
 *
 * Owner: the caller owns what it is given. Threads: any.
 */
#ifndef BENCH_SERVE_LISTEN_H
#define BENCH_SERVE_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union serve_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Reads an address, or "localhost". False for what is not loopback: the server is for tests, and
 * whoever reaches it reads every file it serves. */
bool serve_address_parse(const char *host, union serve_address *address);

/* Returns a socket that listens at *port (0: any that is free; receives which), or -1 with errno.
 */
int serve_listen(union serve_address *address, uint16_t *port);

/* A socket at *port that never answers: nobody gets a connection, nor a refusal. -1 with errno. The
 * two connections that fill its queue go to `fillers`. */
int serve_listen_dead(union serve_address *address, uint16_t *port, int fillers[2]);

/* "http://127.0.0.1:9000" */
void serve_address_url(const union serve_address *address, uint16_t port, bool tls, char *out,
                       size_t out_bytes);

#endif
