/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/metrics_port.h - one page of text over HTTP, to one client at a time.
 *
 * Owner: the caller closes the descriptors. Threads: one.
 */
#ifndef PIPE_METRICS_PORT_H
#define PIPE_METRICS_PORT_H

#include "pipe/penstock.h"

/* Listens at "[IPv4 ADDRESS]:PORT"; *fd and *port receive the socket and its port. */
int ps_metrics_listen(const char *text, int *fd, unsigned *port, struct penstock_error *error);

/* Accepts a client and reads what it asks for, for two seconds at most. Returns its socket, or -1:
 * there is none, or it was refused and told so. */
int ps_metrics_accept(int listen_fd);

/* Sends the page and closes the socket. */
void ps_metrics_answer(int fd, const char *text, size_t len_bytes);

#endif
