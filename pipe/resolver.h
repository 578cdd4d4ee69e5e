/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/resolver.h - addresses of the hosts that are being streamed from, looked up off the I/O
 * threads.
 *
 * Connections are spread over the addresses by how they serve: see addresses.h. Addresses are
 * looked up anew while they are in use, since S3 hands out a few of many at a time.
 *
 * Owner: struct penstock. Threads: any thread finds and reports; the resolver has one of its own.
 */
#ifndef PIPE_RESOLVER_H
#define PIPE_RESOLVER_H

#include "pipe/addresses.h"
#include "pipe/penstock.h"

struct ps_resolver;

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

/* An address of host:port for a new connection, which has to be given back; another one than
 * `unlike` (text, or NULL) if there is one. WAIT: a look-up has been asked for, ask again later.
 * FAILED: *why receives the reason, and the next call tries again. */
enum ps_resolve_rc ps_resolver_take(struct ps_resolver *resolver, const char *host, uint16_t port,
                                    const char *unlike, struct ps_address *address,
                                    const char **why);

/* The connection is closed. */
void ps_resolver_give_back(struct ps_resolver *resolver, const struct ps_address *address);

/* No connection to the address could be made. */
void ps_resolver_dead(struct ps_resolver *resolver, const struct ps_address *address);

/* Whether its host has another address that is worth a try. */
bool ps_resolver_has_other(struct ps_resolver *resolver, const struct ps_address *address);

/* See addresses.h. */
bool ps_resolver_served(struct ps_resolver *resolver, const struct ps_address *address,
                        uint64_t len_bytes, uint64_t took_ns);
void ps_resolver_failed(struct ps_resolver *resolver, const struct ps_address *address);

#endif
