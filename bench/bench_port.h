/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_port.h - counters of the stream that is being measured, for Prometheus to ask for:
 * `--metrics :9100`, on loopback; `--metrics 0.0.0.0:9100` for other machines.
 *
 * Owner: the caller. Threads: a thread of its own answers; the others are the caller's.
 */
#ifndef BENCH_BENCH_PORT_H
#define BENCH_BENCH_PORT_H

#include "pipe/penstock.h"

struct bench_port;

/* Whether what --metrics was given is an address and port, not a file: "[ADDRESS]:PORT". */
bool bench_port_is_one(const char *text);

/* NULL on failure; then `why` says why. Port 0 takes one that is free. */
struct bench_port *bench_port_open(const char *text, char *why, size_t why_size);

/* The port that it answers at. */
unsigned bench_port_number(const struct bench_port *port);

/* What is answered from now on. */
void bench_port_tell(struct bench_port *port, const struct penstock_counters *counters);

/* Accepts NULL. */
void bench_port_close(struct bench_port *port);

#endif
