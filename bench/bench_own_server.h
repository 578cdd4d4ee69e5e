/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_own_server.h - penstock serve on loopback with a bucket `bench` of random objects,
 * for measurements without a server. Another process, so that its CPU time is not counted.
 *
 * Owner: the caller; zero it; bench_own_server_end. Threads: one.
 */
#ifndef BENCH_BENCH_OWN_SERVER_H
#define BENCH_BENCH_OWN_SERVER_H

#include "pipe/penstock.h"

#include <sys/types.h>

struct bench_own_server {
    char dir[512]; /* of objects, port and log; "": there is none */
    char url[64];
    pid_t pid; /* 0: there is none */
};

/* The objects are made in `wished`, or /dev/shm, or where bench_directory_make does. Returns
 * PENSTOCK_OK or an error; end it in any case. */
int bench_own_server_start(struct bench_own_server *server, const char *wished,
                           struct penstock_error *error);

void bench_own_server_end(struct bench_own_server *server);

#endif
