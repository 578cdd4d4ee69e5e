/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_address.h - sockets and addresses of ranks: who is where, listening, connecting. All
 * sockets are non-blocking.
 *
 * Owner: the caller closes what it got. Threads: any.
 * Errors: functions that return a descriptor return -1 with errno.
 */
#ifndef TRAINER_MESH_ADDRESS_H
#define TRAINER_MESH_ADDRESS_H

#include "trainer/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define TR_ADDRESS_TEXT_BYTES 64U

struct tr_address {
    struct sockaddr_storage at;
    socklen_t len_bytes; /* 0: none */
};

/* An address of this host by name: of an interface, or the address itself. -1 with *error. */
int tr_address_local(const char *name, struct tr_address *address, struct tr_error *error);

/* Where a name is now, or each of several with commas between them: at most `room` addresses. Their
 * number, or -1 with *error. */
int tr_address_find(const char *hosts, uint16_t port, struct tr_address *addresses, int room,
                    struct tr_error *error);

/* Where other hosts may find this one: the address of the default route, if there is one, and those
 * of all interfaces that are up; loopback and link-local ones are not among them. Their number. */
int tr_address_of_host(struct tr_address *addresses, int room);

struct tr_address tr_address_of_peer(int fd);
struct tr_address tr_address_of_own(int fd);
uint16_t tr_address_port(const struct tr_address *address);
void tr_address_set_port(struct tr_address *address, uint16_t port);
bool tr_address_is_loopback(const struct tr_address *address);
/* Without the port: "10.0.0.2". Empty where there is none. */
const char *tr_address_text(const struct tr_address *address, char text[TR_ADDRESS_TEXT_BYTES]);

/* The same as bytes, for a table: 4, 6, or 0 where it is neither. */
uint8_t tr_address_bytes(const struct tr_address *address, uint8_t bytes[16]);
/* What bytes say; of a link-local address, on the link of `near`. */
struct tr_address tr_address_from_bytes(uint8_t family, const uint8_t bytes[16], uint16_t port,
                                        const struct tr_address *near);

int tr_address_listen(const struct tr_address *at);
/* At every address of this host, of both families where it has them. */
int tr_address_listen_anywhere(uint16_t port);
/* Connects, from the address `from` where that is not NULL, until the moment of tr_now_s. */
int tr_address_connect(const struct tr_address *to, const struct tr_address *from, double until_s);
/* The next connection, or -1. */
int tr_address_accept(int listener);

#endif
