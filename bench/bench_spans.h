/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_spans.h - one pass over the bytes of a channel's objects.
 *
 * Threads: one; a signal to stop ends the pass.
 */
#ifndef BENCH_BENCH_SPANS_H
#define BENCH_BENCH_SPANS_H

#include "pipe/penstock.h"

/* What becomes of a span: PENSTOCK_OK, or what ends the pass, with *error. */
typedef int bench_take_span(void *cookie, const struct penstock_span *span,
                            struct penstock_error *error);

/* Gives `take` every span of an epoch of `channel`, with the settings of `base` otherwise, and
 * leaves the stream's counters unless `counters` is NULL. Returns as penstock_open or `take`;
 * PENSTOCK_E_STOPPED after a signal. */
int bench_spans(const struct penstock_config *base, const struct penstock_channel_config *channel,
                bench_take_span *take, void *cookie, struct penstock_counters *counters,
                struct penstock_error *error);

#endif
