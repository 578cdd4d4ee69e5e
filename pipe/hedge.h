/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/hedge.h - whether a part is so slow that its missing bytes are worth a second request.
 *
 * Slow is what takes three times as long for its first byte as nineteen of twenty requests did, and
 * 200 ms at least; or brings, over such a time, less than a quarter of what the middle part brings
 * (64 KiB/s while too few parts are known).
 * Second requests stay below 2 % of the requests, and the bytes that came twice below 2 % of the
 * bytes, but for a few at the start. Parts that still move may have half of that: that they are
 * slow may be our own fault, and one that does not move at all must not go without for it.
 * connection_hedge.c acts on it.
 *
 * Owner: a transport. Threads: its I/O thread. Units: bytes, nanoseconds.
 */
#ifndef PIPE_HEDGE_H
#define PIPE_HEDGE_H

#include "pipe/histogram.h"

#include <stdbool.h>

struct ps_hedge {
    struct ps_histogram first_byte_ns; /* from the attempt's start, connecting included */
    struct ps_histogram rate_bytes_s;  /* of bodies */
    uint64_t requests, bytes;          /* all but second requests and what came twice */
    uint64_t hedges, twice_bytes;
};

void ps_hedge_init(struct ps_hedge *hedge);

/* An answer's head came `wait_ns` after its attempt began. */
void ps_hedge_saw_head(struct ps_hedge *hedge, uint64_t wait_ns);

/* A body of `len_bytes` came to its end in `took_ns`. */
void ps_hedge_saw_body(struct ps_hedge *hedge, uint64_t len_bytes, uint64_t took_ns);

/* How long to wait for a head, or for news of a body. */
uint64_t ps_hedge_patience_ns(const struct ps_hedge *hedge);

enum ps_hedge_pace { PS_HEDGE_GOOD, PS_HEDGE_SLOW, PS_HEDGE_SILENT };

/* Of a body that brought `got_bytes` in `took_ns`, patience at least, and has `left_bytes` to go.
 */
enum ps_hedge_pace ps_hedge_pace(const struct ps_hedge *hedge, uint64_t got_bytes, uint64_t took_ns,
                                 uint64_t left_bytes);

/* Whether a part of such a pace may have a second request now. */
bool ps_hedge_is_affordable(const struct ps_hedge *hedge, enum ps_hedge_pace pace);

#endif
