/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/resolver.h - addresses of the hosts that are being streamed from, looked up off the I/O
 * threads.
 *
 * Connections are spread: each asks for the next address in turn. Addresses are looked up anew
 * while they are in use, since S3 hands out a few of many at a time; one that failed is passed over
 * for a while unless all have.
 *
 * Owner: struct penstock. Threads: any thread finds and reports; the resolver has one of its own.
 */
#ifndef PIPE_RESOLVER_H
#define PIPE_RESOLVER_H

#include "pipe/penstock.h"

#include <sys/socket.h>

struct ps_resolver;

struct ps_address {
    struct sockaddr_storage sockaddr;
    socklen_t len_bytes;
    char text[64]; /* numeric, for messages */
};

enum ps_resolve_rc { PS_RESOLVED, PS_RESOLVE_WAIT, PS_RESOLVE_FAILED };

/* Makes a resolver and starts its thread. `changed(cookie)` is called on it after each look-up.
 * Returns PENSTOCK_OK, PENSTOCK_E_MEMORY or PENSTOCK_E_SYSTEM. */
int ps_resolver_open(struct ps_resolver **out, void (*changed)(void *cookie), void *cookie,
                     struct penstock_error *error);

/* Ends the thread: `changed` is not called any more, and look-ups are answered from what is known.
 * Does not wait for a look-up under way: its thread goes on alone. Accepts NULL. */
void ps_resolver_stop(struct ps_resolver *resolver);

/* Stops and frees; nobody uses it any more. A thread that was left alone frees it in the end.
 * Accepts NULL. */
void ps_resolver_close(struct ps_resolver *resolver);

/* The next address of host:port. WAIT: a look-up has been asked for, ask again later. FAILED: *why
 * receives the reason, and the next call tries again. */
enum ps_resolve_rc ps_resolver_find(struct ps_resolver *resolver, const char *host, uint16_t port,
                                    struct ps_address *address, const char **why);

/* No connection to the address could be made. */
void ps_resolver_report(struct ps_resolver *resolver, const struct ps_address *address);

#endif
