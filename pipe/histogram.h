/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/histogram.h - how a number is distributed, in buckets a 64th of an octave wide: quantiles to
 * within 1 %, in 10 KiB, without a lock.
 *
 * As in HdrHistogram: values below 64 have buckets of their own, each octave from there to 2^44 has
 * 64; what is larger goes into the last bucket. The largest value is kept as it is.
 *
 * Owner: the caller; zero it before its first use. Threads: any may add and ask; a histogram that
 * forgets has one thread that adds, for others' additions might be lost meanwhile.
 */
#ifndef PIPE_HISTOGRAM_H
#define PIPE_HISTOGRAM_H

#include "pipe/penstock.h"

#include <stdatomic.h>

#define PS_HISTOGRAM_OCTAVES (PENSTOCK_LATENCY_BUCKETS / 64)

struct ps_histogram {
    _Atomic uint32_t counts[PENSTOCK_LATENCY_BUCKETS];
    _Atomic uint32_t octaves[PS_HISTOGRAM_OCTAVES]; /* sums of 64 counts: quantiles skip by them */
    _Atomic uint32_t total;
    _Atomic uint64_t max;
    uint32_t forget_at; /* halve all counts at this total, so that old values fade; 0: never */
};

void ps_histogram_add(struct ps_histogram *histogram, uint64_t value);

/* The middle of the bucket that the value which `per_mille` of those added do not exceed lies in,
 * and not more than the largest; 0 if none was added. */
uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, unsigned per_mille);

/* How many it remembers. */
uint32_t ps_histogram_count(const struct ps_histogram *histogram);

/* Copies it. */
void ps_histogram_tell(const struct ps_histogram *histogram, struct penstock_latencies *out);

#endif
