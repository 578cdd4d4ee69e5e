/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/addresses.c - see addresses.h. */
#include "pipe/addresses.h"

#include "pipe/clock.h"

#include <stddef.h>
#include <string.h>

#define AVOIDED_NS (30 * PS_NS_PER_S) /* after a failed connection */
#define STALE_NS (10 * PS_NS_PER_S)   /* then a bad address is tried again */
#define JUDGED_BYTES (256u << 10)     /* smaller answers tell of latency, not of the rate */
#define NEW_SHARE 0.25                /* of the latest request in a moving mean */
#define EQUAL_SHARE 0.5               /* of the best rate: as good as it */
#define FAILING_MIN 0.25              /* less is the network's doing, or everybody's */
#define WEIGHT_MIN 0.0625
#define WEIGHT_KEPT 0.5 /* a connection to a worse address is not kept */

static struct ps_known_address *find(struct ps_addresses *list, const struct ps_address *address)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct ps_known_address *known = &list->known[i];

        if (known->address.len_bytes == address->len_bytes &&
            memcmp(&known->address.sockaddr, &address->sockaddr, address->len_bytes) == 0)
            return known;
    }
    return NULL;
}

static bool is_avoided(const struct ps_known_address *known, uint64_t now_ns)
{
    return known->dead && now_ns < known->avoid_until_ns;
}

void ps_addresses_update(struct ps_addresses *list, const struct ps_address *found, uint32_t count,
                         uint64_t now_ns)
{
    struct ps_addresses now = {.turn = list->turn};

    for (uint32_t i = 0; i < count && now.count < PS_ADDRESSES_MAX; i++) {
        const struct ps_known_address *before = find(list, &found[i]);

        if (find(&now, &found[i]))
            continue;
        struct ps_known_address *known = &now.known[now.count++];

        *known = before ? *before : (struct ps_known_address){.address = found[i]};
        known->listed = true;
    }
    for (uint32_t i = 0; i < list->count && now.count < PS_ADDRESSES_MAX; i++) {
        struct ps_known_address *before = &list->known[i];

        if (find(&now, &before->address) || (before->open == 0 && !is_avoided(before, now_ns)))
            continue;
        before->listed = false;
        now.known[now.count++] = *before;
    }
    *list = now;
}

/* ---- how good an address is ---- */

static double best_rate(const struct ps_addresses *list, uint64_t now_ns)
{
    double best = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct ps_known_address *known = &list->known[i];

        if (known->listed && !known->dead && now_ns < known->told_ns + STALE_NS &&
            known->rate > best)
            best = known->rate;
    }
    return best;
}

/* Between WEIGHT_MIN and 1: the share of connections it gets of those that a good one gets. */
static double weight_of(const struct ps_known_address *known, double best)
{
    double weight = 1;

    if (known->dead)
        return WEIGHT_MIN;
    if (known->rate > 0 && known->rate < best * EQUAL_SHARE)
        weight = known->rate / (best * EQUAL_SHARE);
    if (known->failing >= FAILING_MIN)
        weight *= 1 - known->failing;
    return weight > WEIGHT_MIN ? weight : WEIGHT_MIN;
}

static double cost_of(const struct ps_known_address *known, double best, uint64_t now_ns)
{
    /* What was bad long ago is probed by one connection, before it gets more. */
    if (known->open == 0 && now_ns >= known->told_ns + STALE_NS)
        return 1;
    return (known->open + 1) / weight_of(known, best);
}

/* NULL if every listed address is ruled out. */
static struct ps_known_address *cheapest(struct ps_addresses *list, const char *unlike,
                                         bool even_avoided, uint64_t now_ns)
{
    double best = best_rate(list, now_ns);
    struct ps_known_address *choice = NULL;
    double choice_cost = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        struct ps_known_address *known = &list->known[(list->turn + i) % list->count];
        double cost = cost_of(known, best, now_ns);

        if (!known->listed || (!even_avoided && is_avoided(known, now_ns)) ||
            (unlike && strcmp(known->address.text, unlike) == 0))
            continue;
        if (!choice || cost < choice_cost) {
            choice = known;
            choice_cost = cost;
        }
    }
    return choice;
}

const struct ps_address *ps_addresses_take(struct ps_addresses *list, const char *unlike,
                                           uint64_t now_ns)
{
    struct ps_known_address *choice = cheapest(list, unlike, false, now_ns);

    if (!choice && unlike)
        choice = cheapest(list, NULL, false, now_ns);
    if (!choice)
        choice = cheapest(list, NULL, true, now_ns);
    if (!choice)
        return NULL;
    list->turn = (uint32_t)(choice - list->known) + 1;
    choice->open++;
    return &choice->address;
}

void ps_addresses_give_back(struct ps_addresses *list, const struct ps_address *address)
{
    struct ps_known_address *known = find(list, address);

    if (known && known->open > 0)
        known->open--;
}

bool ps_addresses_has_other(const struct ps_addresses *list, const struct ps_address *address,
                            uint64_t now_ns)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const struct ps_known_address *known = &list->known[i];

        if (known->listed && !is_avoided(known, now_ns) &&
            strcmp(known->address.text, address->text) != 0)
            return true;
    }
    return false;
}

/* ---- what is told of them ---- */

void ps_addresses_dead(struct ps_addresses *list, const struct ps_address *address, uint64_t now_ns)
{
    struct ps_known_address *known = find(list, address);

    if (!known)
        return;
    known->dead = true;
    known->told_ns = now_ns;
    known->avoid_until_ns = now_ns + AVOIDED_NS;
}

bool ps_addresses_served(struct ps_addresses *list, const struct ps_address *address,
                         uint64_t len_bytes, uint64_t took_ns, uint64_t now_ns)
{
    struct ps_known_address *known = find(list, address);

    if (!known)
        return true;
    known->dead = false;
    known->failing *= 1 - NEW_SHARE;
    if (len_bytes < JUDGED_BYTES || took_ns == 0)
        return true;
    double rate = (double)len_bytes * PS_NS_PER_S / (double)took_ns;

    /* What it was long ago does not weigh on what it is now. */
    if (known->rate <= 0 || now_ns >= known->told_ns + STALE_NS)
        known->rate = rate;
    else
        known->rate += NEW_SHARE * (rate - known->rate);
    known->told_ns = now_ns;
    return !known->listed || weight_of(known, best_rate(list, now_ns)) >= WEIGHT_KEPT;
}

void ps_addresses_failed(struct ps_addresses *list, const struct ps_address *address,
                         uint64_t now_ns)
{
    struct ps_known_address *known = find(list, address);

    if (!known)
        return;
    known->failing += NEW_SHARE * (1 - known->failing);
    known->told_ns = now_ns;
}
