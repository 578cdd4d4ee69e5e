/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/histogram.c - see histogram.h. */
#include "pipe/histogram.h"

/* Values below 8 have buckets of their own; from there each octave has eight. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 8)
        return (unsigned)value;
    unsigned octave = 63 - (unsigned)__builtin_clzll(value);

    return 8 * (octave - 2) + (unsigned)(value >> (octave - 3) & 7);
}

static uint64_t largest_in(unsigned bucket)
{
    if (bucket < 8)
        return bucket;
    unsigned octave = bucket / 8 + 2;

    return (UINT64_C(1) << octave) + (((uint64_t)bucket % 8 + 1) << (octave - 3)) - 1;
}

static void forget(struct ps_histogram *histogram)
{
    uint32_t total = 0;

    for (unsigned i = 0; i < PS_HISTOGRAM_BUCKETS; i++) {
        uint32_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed) / 2;

        atomic_store_explicit(&histogram->counts[i], count, memory_order_relaxed);
        total += count;
    }
    atomic_store_explicit(&histogram->total, total, memory_order_relaxed);
}

void ps_histogram_add(struct ps_histogram *histogram, uint64_t value)
{
    atomic_fetch_add_explicit(&histogram->counts[bucket_of(value)], 1, memory_order_relaxed);
    uint32_t total = atomic_fetch_add_explicit(&histogram->total, 1, memory_order_relaxed) + 1;

    if (histogram->forget_at > 0 && total >= histogram->forget_at)
        forget(histogram);
}

uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, unsigned percent)
{
    uint64_t total = ps_histogram_count(histogram);
    uint64_t wanted = (total * percent + 99) / 100;
    uint64_t seen = 0;
    unsigned last = 0;

    for (unsigned i = 0; i < PS_HISTOGRAM_BUCKETS && seen < wanted; i++) {
        uint32_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);

        seen += count;
        if (count > 0)
            last = i;
    }
    return total == 0 ? 0 : largest_in(last);
}

uint32_t ps_histogram_count(const struct ps_histogram *histogram)
{
    return atomic_load_explicit(&histogram->total, memory_order_relaxed);
}
