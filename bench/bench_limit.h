/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_limit.h - which stage a run was limited by, from who waited for whom.
 *
 * Where the ring was full, or filled up, what is behind it is slower than what is before it: then
 * it is the stage behind it that waited least for others. Else it is what fills the ring: the I/O
 * threads, if they had no time to spare; the server, if it turned requests away or a request mostly
 * waits for its first byte, though no others were there to wait for; the network, if not.
 *
 * Threads: pure functions.
 */
#ifndef BENCH_BENCH_LIMIT_H
#define BENCH_BENCH_LIMIT_H

#include "bench/bench_run.h"

/* Sets run->limit and run->why, from the figures. `least_s` is the shortest wait for a first byte
 * of this run and of others of the same server: how long it takes when there is nobody to wait for.
 */
void bench_limit_find(struct bench_run *run, const char *uri, double least_s);

/* "network", ...; "unknown". */
const char *bench_limit_name(enum bench_limit limit);

#endif
