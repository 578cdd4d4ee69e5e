/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/hedge.c - see hedge.h. */
#include "pipe/hedge.h"

#include "pipe/clock.h"

#define REMEMBERED 512 /* values after which the old half fades */
#define KNOWN_LEAST 16 /* values that make a distribution */
#define PATIENCE_NS_MIN (200 * PS_NS_PER_MS)
#define PATIENCE_NS_MAX (5 * PS_NS_PER_S)
#define PATIENCE_NS_UNKNOWN PS_NS_PER_S
#define SLOWER_BY 4
#define RATE_UNKNOWN (256 << 10) /* the median, while there is none: a quarter is slow anywhere */
/* A shorter body's rate says more about the clock than about the server. */
#define RATED_BYTES_LEAST (64 << 10)
#define SHARE 50 /* one of so many requests and bytes, 2 % */
#define FREE_HEDGES 4
#define FREE_BYTES (4 << 20)

void ps_hedge_init(struct ps_hedge *hedge)
{
    hedge->first_byte_ns.forget_at = hedge->rate_bytes_s.forget_at = REMEMBERED;
}

void ps_hedge_saw_head(struct ps_hedge *hedge, uint64_t wait_ns)
{
    ps_histogram_add(&hedge->first_byte_ns, wait_ns);
}

void ps_hedge_saw_body(struct ps_hedge *hedge, uint64_t len_bytes, uint64_t took_ns)
{
    hedge->bytes += len_bytes;
    if (len_bytes >= RATED_BYTES_LEAST && took_ns > 0)
        ps_histogram_add(&hedge->rate_bytes_s,
                         (uint64_t)((double)len_bytes * 1e9 / (double)took_ns));
}

uint64_t ps_hedge_patience_ns(const struct ps_hedge *hedge)
{
    if (ps_histogram_count(&hedge->first_byte_ns) < KNOWN_LEAST)
        return PATIENCE_NS_UNKNOWN;
    uint64_t patience_ns = 3 * ps_histogram_quantile(&hedge->first_byte_ns, 950);

    if (patience_ns < PATIENCE_NS_MIN)
        return PATIENCE_NS_MIN;
    return patience_ns < PATIENCE_NS_MAX ? patience_ns : PATIENCE_NS_MAX;
}

enum ps_hedge_pace ps_hedge_pace(const struct ps_hedge *hedge, uint64_t got_bytes, uint64_t took_ns,
                                 uint64_t left_bytes)
{
    if (got_bytes == 0)
        return PS_HEDGE_SILENT;
    if (got_bytes >= left_bytes)
        return PS_HEDGE_GOOD; /* it will be there sooner than an answer to another request */
    double rate_bytes_s = (double)got_bytes * 1e9 / (double)took_ns;

    double median_bytes_s = ps_histogram_count(&hedge->rate_bytes_s) < KNOWN_LEAST
                                ? RATE_UNKNOWN
                                : (double)ps_histogram_quantile(&hedge->rate_bytes_s, 500);

    return rate_bytes_s * SLOWER_BY < median_bytes_s ? PS_HEDGE_SLOW : PS_HEDGE_GOOD;
}

bool ps_hedge_is_affordable(const struct ps_hedge *hedge, enum ps_hedge_pace pace)
{
    uint64_t used = pace == PS_HEDGE_SLOW ? 2 : 1;

    return pace != PS_HEDGE_GOOD && used * hedge->hedges < FREE_HEDGES + hedge->requests / SHARE &&
           used * hedge->twice_bytes < FREE_BYTES + hedge->bytes / SHARE;
}
