/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/connection_hedge.c - two requests for the same slow part: see connection.h. */
#include "pipe/clock.h"
#include "pipe/connection.h"
#include "pipe/engine.h"

#include <string.h>

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Bytes that were asked for once too often. */
static void count_twice(struct ps_connection *c, uint64_t len_bytes)
{
    c->all->hedge.twice_bytes += len_bytes;
    count(&c->part->channel->counts.refetched_bytes, len_bytes);
}

/* ---- the start ---- */

struct ps_connection *ps_connection_choose(struct ps_connections *all,
                                           const struct ps_s3_site *site,
                                           const struct ps_connection *rival)
{
    const struct ps_s3_place *place = ps_s3_site_place(site);
    struct ps_connection *best = NULL;

    for (uint32_t i = 0; i < all->used; i++) {
        struct ps_connection *c = &all->items[i];

        if (c->state == PS_CONN_IDLE && c->site == site && c->sent.place == place) {
            if (!ps_connection_is_open(c))
                ps_connection_close(c);
            else if (!rival || strcmp(c->address.text, rival->address.text) != 0)
                return c;
        }
        if (c->state == PS_CONN_FREE && !c->part)
            best = c;
        else if (c->state == PS_CONN_IDLE &&
                 (!best || (best->state == PS_CONN_IDLE && c->since_ns < best->since_ns)))
            best = c;
    }
    if ((!best || best->state != PS_CONN_FREE) && all->used < all->count)
        return &all->items[all->used++];
    if (best && best->state == PS_CONN_IDLE)
        ps_connection_close(best);
    return best;
}

/* Connections that carry no part of their own, but for those that may be used. */
static uint32_t busy_spares(const struct ps_connections *all)
{
    uint32_t busy = 0;

    for (uint32_t i = 0; i < all->used; i++) {
        const struct ps_connection *c = &all->items[i];

        busy += c->is_hedge || (c->state == PS_CONN_ENDING && (!c->part || c->heir));
    }
    return busy;
}

static void start(struct ps_connection *slow)
{
    struct ps_connection *c = ps_connection_choose(slow->all, slow->site, slow);

    if (!c)
        return;
    c->all->hedge.hedges++;
    count(&slow->part->channel->counts.hedges, 1);
    count(&slow->part->channel->counts.get_requests, 1);
    c->is_hedge = true;
    c->rival = slow;
    slow->rival = c;
    ps_connection_start(c, slow->part);
}

static enum ps_hedge_pace body_pace(struct ps_connection *c, uint64_t now_ns)
{
    uint64_t took_ns = now_ns - c->pace_ns;
    uint64_t got_bytes = c->seen_bytes - c->pace_bytes;

    c->pace_ns = now_ns;
    c->pace_bytes = c->seen_bytes;
    return ps_hedge_pace(&c->all->hedge, got_bytes, took_ns, ps_part_left_bytes(c->part));
}

static enum ps_hedge_pace pace_of(struct ps_connection *c, uint64_t now_ns)
{
    if (now_ns < c->pace_ns + ps_hedge_patience_ns(&c->all->hedge))
        return PS_HEDGE_GOOD;
    switch (c->state) {
    case PS_CONN_RESOLVING:
    case PS_CONN_CONNECTING:
    case PS_CONN_HANDSHAKING:
    case PS_CONN_SENDING:
    case PS_CONN_HEAD:
        return PS_HEDGE_SILENT;
    case PS_CONN_BODY:
        return body_pace(c, now_ns);
    case PS_CONN_FREE:
    case PS_CONN_ERROR_BODY:
    case PS_CONN_IDLE:
    case PS_CONN_TAKING:
    case PS_CONN_ENDING:
        break;
    }
    return PS_HEDGE_GOOD;
}

void ps_hedge_consider(struct ps_connection *c, uint64_t now_ns, uint64_t held_ns)
{
    if (!c->part || c->rival || c->part->unpinned)
        return;
    c->pace_ns += held_ns;
    if (ps_hedge_is_affordable(&c->all->hedge, pace_of(c, now_ns)) &&
        busy_spares(c->all) < c->all->spare)
        start(c);
}

/* ---- the end ---- */

static void part_company(struct ps_connection *c)
{
    if (c->rival)
        c->rival->rival = NULL;
    c->rival = NULL;
    c->is_hedge = false;
}

void ps_hedge_forget(struct ps_connection *c)
{
    part_company(c);
    c->part = NULL;
}

/* Ends a hedge whose part needs it no more. */
static void drop(struct ps_connection *c)
{
    if (c->fd >= 0 &&
        (c->state == PS_CONN_SENDING || c->state == PS_CONN_HEAD || c->state == PS_CONN_ERROR_BODY))
        count_twice(c, ps_connection_received_bytes(c) - c->asked_bytes);
    ps_hedge_forget(c);
    if (c->state != PS_CONN_ENDING)
        ps_connection_end(c, PS_TRANSFER_OK, "");
}

bool ps_hedge_goes_on(struct ps_connection *c, struct ps_retry_decision decision)
{
    struct ps_connection *rival = c->rival;
    bool was_hedge = c->is_hedge;

    part_company(c);
    if (was_hedge) { /* the next one, if any, not before the part has been slow for as long again */
        rival->pace_ns = ps_now_ns();
        rival->pace_bytes = rival->seen_bytes;
    }
    if (was_hedge || !rival)
        return was_hedge;
    rival->is_hedge = false;
    if (decision.verdict == PS_RETRY_AGAIN)
        return true; /* the hedge is the attempt now */
    drop(rival);
    return false;
}

void ps_hedge_won(struct ps_connection *c)
{
    struct ps_connection *loser = c->rival;

    part_company(c);
    count(&c->part->channel->counts.hedge_wins, 1);
    if (loser->receiving && loser->into_ring) {
        loser->heir = c;
        ps_connection_watch(c, 0);
        ps_connection_enter(c, PS_CONN_TAKING);
        ps_connection_end(loser, PS_TRANSFER_STALL, "another connection was faster");
        return;
    }
    loser->part = NULL;
    if (loser->state != PS_CONN_ENDING)
        ps_connection_end(loser, PS_TRANSFER_STALL, "");
    count_twice(c, c->part->filled_bytes - c->from_bytes);
    ps_answer_begin_body(c);
}

void ps_hedge_take_over(struct ps_connection *heir)
{
    if (!heir->part)
        return; /* all is being dropped */
    count_twice(heir, heir->part->filled_bytes - heir->from_bytes);
    ps_answer_begin_body(heir);
    if (heir->ssl && heir->state == PS_CONN_BODY)
        ps_answer_read_tls(heir);
}
