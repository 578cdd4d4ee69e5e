/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/addresses.h - the addresses of one host, and which of them the next connection goes to.
 *
 * Connections are spread evenly over addresses that serve about equally well. One that serves at
 * less than half the rate of the best, or fails often, gets fewer in proportion. One that did not
 * answer gets none for a while, and then a single one to see whether it does again.
 *
 * Owner: the resolver. Threads: none of its own; pure but for its memory. Units: bytes, ns.
 */
#ifndef PIPE_ADDRESSES_H
#define PIPE_ADDRESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define PS_ADDRESSES_MAX 32

struct ps_address {
    struct sockaddr_storage sockaddr;
    socklen_t len_bytes;
    char text[64];    /* numeric, for messages */
    uint32_t host_no; /* the resolver's: several hosts may have the same address */
};

struct ps_known_address {
    struct ps_address address;
    bool listed;    /* in the latest answer; the others have connections, or a bad name */
    bool dead;      /* no connection could be made, and nothing has come from it since */
    uint32_t open;  /* connections to it */
    double rate;    /* bytes a second of one request, moving mean; 0: not known */
    double failing; /* share of requests that failed, moving mean */
    uint64_t told_ns;
    uint64_t avoid_until_ns;
};

/* All zero: none is known. */
struct ps_addresses {
    struct ps_known_address known[PS_ADDRESSES_MAX];
    uint32_t count;
    uint32_t turn;
};

/* The host has these addresses now. What is known of those it had already stays. */
void ps_addresses_update(struct ps_addresses *list, const struct ps_address *found, uint32_t count,
                         uint64_t now_ns);

/* The address for a new connection, which counts as open until it is given back; another one than
 * `unlike` (text, or NULL) if there is one. NULL when none is known. */
const struct ps_address *ps_addresses_take(struct ps_addresses *list, const char *unlike,
                                           uint64_t now_ns);
void ps_addresses_give_back(struct ps_addresses *list, const struct ps_address *address);

/* No connection to it could be made. */
void ps_addresses_dead(struct ps_addresses *list, const struct ps_address *address,
                       uint64_t now_ns);

/* Whether there is another one that is not being avoided. */
bool ps_addresses_has_other(const struct ps_addresses *list, const struct ps_address *address,
                            uint64_t now_ns);

/* It answered a request with `len_bytes` in `took_ns`. False if it serves so much worse than others
 * that the connection is not worth keeping. */
bool ps_addresses_served(struct ps_addresses *list, const struct ps_address *address,
                         uint64_t len_bytes, uint64_t took_ns, uint64_t now_ns);

/* A connection to it broke or fell silent. */
void ps_addresses_failed(struct ps_addresses *list, const struct ps_address *address,
                         uint64_t now_ns);

#endif
