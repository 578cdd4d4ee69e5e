/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/histogram.c - see histogram.h; and what the public header says of latencies. */
#include "pipe/histogram.h"

#define EACH 64 /* buckets of an octave */
#define EACH_BITS 6
#define LAST (PENSTOCK_LATENCY_BUCKETS - 1)

static unsigned bucket_of(uint64_t value)
{
    if (value < EACH)
        return (unsigned)value;
    unsigned octave = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket =
        EACH * (octave - EACH_BITS + 1) + (unsigned)(value >> (octave - EACH_BITS) & (EACH - 1));

    return bucket < LAST ? bucket : LAST;
}

uint64_t penstock_latency_bucket_ns(unsigned bucket)
{
    if (bucket < EACH)
        return bucket;
    unsigned shift = bucket / EACH - 1;

    return ((uint64_t)EACH + bucket % EACH) << shift;
}

static uint64_t middle_of(unsigned bucket)
{
    uint64_t least = penstock_latency_bucket_ns(bucket);

    return least + (penstock_latency_bucket_ns(bucket + 1) - least) / 2;
}

static uint32_t load(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void forget(struct ps_histogram *histogram)
{
    uint32_t total = 0;

    for (unsigned octave = 0; octave < PS_HISTOGRAM_OCTAVES; octave++) {
        uint32_t sum = 0;

        if (load(&histogram->octaves[octave]) == 0)
            continue;
        for (unsigned i = octave * EACH; i < (octave + 1) * EACH; i++) {
            uint32_t count = load(&histogram->counts[i]) / 2;

            atomic_store_explicit(&histogram->counts[i], count, memory_order_relaxed);
            sum += count;
        }
        atomic_store_explicit(&histogram->octaves[octave], sum, memory_order_relaxed);
        total += sum;
    }
    atomic_store_explicit(&histogram->total, total, memory_order_relaxed);
}

void ps_histogram_add(struct ps_histogram *histogram, uint64_t value)
{
    unsigned bucket = bucket_of(value);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

    while (value > max &&
           !atomic_compare_exchange_weak_explicit(&histogram->max, &max, value,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->octaves[bucket / EACH], 1, memory_order_relaxed);
    uint32_t total = atomic_fetch_add_explicit(&histogram->total, 1, memory_order_relaxed) + 1;

    if (histogram->forget_at > 0 && total >= histogram->forget_at)
        forget(histogram);
}

/* How many of `total` values the quantile is not to be less than. */
static uint64_t wanted_of(uint64_t total, unsigned per_mille)
{
    return (total * per_mille + 999) / 1000;
}

static uint64_t quantile_in(unsigned bucket, unsigned per_mille, uint64_t max)
{
    bool is_max = bucket == LAST || per_mille >= 1000 || middle_of(bucket) > max;

    return is_max ? max : middle_of(bucket);
}

uint64_t ps_histogram_quantile(const struct ps_histogram *histogram, unsigned per_mille)
{
    uint64_t wanted = wanted_of(ps_histogram_count(histogram), per_mille);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    uint64_t seen = 0;
    unsigned octave = 0;
    unsigned last = 0;

    if (wanted == 0)
        return 0;
    while (octave < PS_HISTOGRAM_OCTAVES - 1 && seen + load(&histogram->octaves[octave]) < wanted)
        seen += load(&histogram->octaves[octave++]);
    for (unsigned i = octave * EACH; i < (octave + 1) * EACH && seen < wanted; i++) {
        uint32_t count = load(&histogram->counts[i]);

        seen += count;
        if (count > 0)
            last = i;
    }
    return quantile_in(last, per_mille, max);
}

uint32_t ps_histogram_count(const struct ps_histogram *histogram)
{
    return load(&histogram->total);
}

void ps_histogram_tell(const struct ps_histogram *histogram, struct penstock_latencies *out)
{
    out->count = 0;
    out->max_ns = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    for (unsigned i = 0; i < PENSTOCK_LATENCY_BUCKETS; i++) {
        out->counts[i] = load(&histogram->counts[i]);
        out->count += out->counts[i];
    }
}

void penstock_latencies_merge(struct penstock_latencies *into,
                              const struct penstock_latencies *from)
{
    into->count += from->count;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    for (unsigned i = 0; i < PENSTOCK_LATENCY_BUCKETS; i++)
        into->counts[i] += from->counts[i];
}

uint64_t penstock_latencies_quantile_ns(const struct penstock_latencies *latencies,
                                        unsigned per_mille)
{
    uint64_t wanted = wanted_of(latencies->count, per_mille);
    uint64_t seen = 0;
    unsigned last = 0;

    if (wanted == 0)
        return 0;
    while (last < LAST && (seen += latencies->counts[last]) < wanted)
        last++;
    return quantile_in(last, per_mille, latencies->max_ns);
}
