/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/histogram.h - how a number is distributed, in buckets an eighth of an octave wide: quantiles
 * to within 13 %, in 2 KiB, without a lock.
 *
 * Owner: the caller; zero it before its first use. Threads: any may add and ask; a histogram that
 * forgets has one thread that adds, for others' additions might be lost meanwhile.
 */
#ifndef PIPE_HISTOGRAM_H
#define PIPE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define PS_HISTOGRAM_BUCKETS 496

struct ps_histogram {
    _Atomic uint32_t counts[PS_HISTOGRAM_BUCKETS];
    _Atomic uint32_t total;
    uint32_t forget_at; /* halve all counts at this total, so that old values fade; 0: never */
};

void ps_histogram_add(struct ps_histogram *histogram, uint64_t value);

/* A value that `percent` of those added do not exceed, by at most a bucket's width; 0 if none was.
 */
uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, unsigned percent);

/* How many it remembers. */
uint32_t ps_histogram_count(const struct ps_histogram *histogram);

#endif
