/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/transport_direct.c - parts of S3 objects over our own connections: the pool of them. */
#include "pipe/clock.h"
#include "pipe/connection.h"
#include "pipe/error.h"
#include "pipe/references.h"

#include <stdlib.h>
#include <string.h>

static void transport_start(struct ps_transport *base, struct ps_part *part)
{
    struct ps_connections *t = (struct ps_connections *)base;

    t->hedge.requests++;
    /* There are as many connections as parts may be under way, and the spare ones. */
    ps_connection_start(ps_connection_choose(t, &ps_part_source(part)->site, NULL), part);
}

static uint64_t transport_deadline_ns(const struct ps_transport *base)
{
    return ((const struct ps_connections *)base)->tick_ns;
}

static void transport_tick(struct ps_transport *base)
{
    struct ps_connections *t = (struct ps_connections *)base;
    uint64_t now_ns = ps_now_ns();
    uint64_t next_ns = UINT64_MAX;
    /* While this thread was held up nothing can be told of the network. */
    uint64_t held_ns = t->tick_ns < now_ns ? now_ns - t->tick_ns : 0;

    for (uint32_t i = 0; i < t->used; i++) {
        struct ps_connection *c = &t->items[i];

        ps_connection_look_over(c, now_ns);
        uint64_t due_ns = ps_connection_due_ns(c, now_ns);

        if (due_ns < next_ns)
            next_ns = due_ns;
    }
    now_ns = ps_now_ns();
    for (uint32_t i = 0; t->spare > 0 && i < t->used; i++)
        ps_hedge_consider(&t->items[i], now_ns, held_ns);
    t->tick_ns = next_ns;
}

/* ---- the transport's life ---- */

static void transport_cancel(struct ps_transport *base)
{
    struct ps_connections *t = (struct ps_connections *)base;

    for (uint32_t i = 0; i < t->used; i++)
        ps_connection_cancel(&t->items[i]);
}

static void transport_close(struct ps_transport *base)
{
    struct ps_connections *t = (struct ps_connections *)base;

    for (uint32_t i = 0; i < t->used; i++) {
        ps_connection_close(&t->items[i]);
        ps_connection_free(&t->items[i]);
    }
    for (size_t i = 0; i < t->site_tls_count; i++)
        ps_tls_close(&t->site_tls[i].tls);
    explicit_bzero(&t->signing, sizeof t->signing);
    explicit_bzero(&t->request, sizeof t->request);
    if (t->staging)
        OPENSSL_cleanse(t->staging, sizeof *t->staging);
    free(t->staging);
    free(t->site_tls);
    free(t->items);
    free(t);
}

static int open_tls(struct ps_connections *t, struct penstock_error *error)
{
    struct penstock *stream = t->io->stream;

    for (size_t i = 0; i < stream->channel_count; i++)
        t->site_tls_room += ps_references_room(stream->channels[i]);
    t->site_tls = calloc(t->site_tls_room, sizeof *t->site_tls);
    if (!t->site_tls)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (size_t i = 0; i < stream->channel_count; i++)
        for (size_t s = 0; s < stream->channels[i]->source_count; s++) {
            const struct ps_source *source = &stream->channels[i]->sources[s];
            struct ps_site_tls *place = &t->site_tls[t->site_tls_count];

            if (source->uri.kind != PS_URI_S3 || !ps_s3_site_place(&source->site)->tls)
                continue;
            int rc = ps_tls_open(&place->tls, &source->site, error);

            if (rc != PENSTOCK_OK)
                return rc;
            place->site = &source->site;
            t->site_tls_count++;
        }
    if (t->site_tls_count == 0)
        return PENSTOCK_OK;
    t->staging = malloc(sizeof *t->staging);
    if (!t->staging)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for TLS");
    t->staging->owner = NULL;
    return PENSTOCK_OK;
}

static int transport_open(struct ps_io *io, struct ps_transport **out, struct penstock_error *error)
{
    struct ps_connections *t = calloc(1, sizeof *t);

    if (!t)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    t->base.ops = &ps_transport_direct;
    t->io = io;
    t->tick_ns = UINT64_MAX;
    t->spare = io->stream->config.no_hedging ? 0 : 2 + io->pace.most / 8;
    t->count = io->pace.most + t->spare;
    ps_hedge_init(&t->hedge);
    t->items = calloc(t->count, sizeof *t->items);
    int rc = t->items ? open_tls(t, error) : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    for (uint32_t i = 0; t->items && i < t->count; i++)
        ps_connection_init(&t->items[i], t);
    if (rc == PENSTOCK_OK)
        *out = &t->base;
    else
        transport_close(&t->base);
    return rc;
}

const struct ps_transport_ops ps_transport_direct = {
    .name = "direct",
    .open = transport_open,
    .cancel = transport_cancel,
    .close = transport_close,
    .start = transport_start,
    .deadline_ns = transport_deadline_ns,
    .tick = transport_tick,
};
