/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_floor.h - what no client can do without: ranged GETs of objects from 127.0.0.1 over
 * keep-alive connections (TLS, if asked for), each received to its place in a ring of the same size
 * and pages as a stream's, recv of all that remains when epoll says so, and nothing else. No
 * listing, no signature, no certificate looked at, no error handled but by giving up.
 *
 * Owner: the caller. Threads: one. Units: bytes, seconds.
 */
#ifndef BENCH_BENCH_FLOOR_H
#define BENCH_BENCH_FLOOR_H

#include "bench/bench_sums.h"
#include "bench/bench_survey.h"

struct bench_floor_job {
    unsigned port;
    bool tls;
    const char *bucket;
    const struct bench_survey *objects; /* over and over */
    uint64_t part_bytes, ring_bytes;
    unsigned connections; /* at most 256 */
    double warmup_s, seconds;
};

/* Returns PENSTOCK_OK with *totals; PENSTOCK_E_STOPPED after a signal; PENSTOCK_E_SYSTEM. */
int bench_floor(const struct bench_floor_job *job, struct bench_totals *totals,
                struct penstock_error *error);

#endif
