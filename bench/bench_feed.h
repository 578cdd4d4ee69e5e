/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_feed.h - a channel delivered into FIFOs of a new directory, as penstock run does it.
 *
 * Owner: the caller; bench_feed_close. Threads: the delivery's; the functions are one caller's.
 */
#ifndef BENCH_BENCH_FEED_H
#define BENCH_BENCH_FEED_H

#include "pipe/penstock.h"

struct ps_delivery;

struct bench_feed {
    char dir[512];
    char uri[560]; /* "pipe://DIR/NAME" */
    struct penstock *stream;
    struct ps_delivery *delivery;
    double began_s; /* by the monotonic clock */
};

/* `config` has one channel of plain bytes. The directory is made in `wished`, or $TMPDIR, or /tmp.
 * Returns as penstock_open; close it in any case. */
int bench_feed_open(struct bench_feed *feed, const char *wished,
                    const struct penstock_config *config, bool no_splice,
                    struct penstock_error *error);

/* Waits for the first bytes. PENSTOCK_E_STOPPED after a signal; else as penstock_next. */
int bench_feed_wait(struct bench_feed *feed, struct penstock_error *error);

void bench_feed_close(struct bench_feed *feed);

#endif
