/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_connection.c - a connection of the direct transport, driven by hand. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "pipe/connection.h"
#include "tests/unit/reactor_fixture.h"

/* As much of a stream as a connection needs to reach out to a server. */
struct world {
    struct penstock stream;
    struct ps_channel channel;
    struct ps_source source;
    struct ps_object object;
    struct ps_part part;
    struct ps_io io;
    struct ps_connections all;
    struct ps_connection connection;
    int listener;
};

static void on_change(void *cookie)
{
    (void)cookie;
}

static struct world *open_world(struct fixture *f)
{
    struct world *w = calloc(1, sizeof *w);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    struct penstock_error error;

    assert_non_null(w);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&here, len), 0);
    assert_int_equal(listen(w->listener, 1), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&here, &len), 0);
    assert_int_equal(ps_resolver_open(&w->stream.resolver, on_change, NULL, &error), PENSTOCK_OK);
    w->source.uri.kind = PS_URI_S3;
    w->source.site.places[0] =
        (struct ps_s3_place){.host = "127.0.0.1", .authority = "h", .port = ntohs(here.sin_port)};
    w->channel.sources = &w->source;
    w->channel.stream = &w->stream;
    w->part = (struct ps_part){.channel = &w->channel, .object = &w->object, .len_bytes = 10};
    w->io.stream = &w->stream;
    w->io.reactor = f->reactor;
    w->all = (struct ps_connections){
        .io = &w->io, .items = &w->connection, .count = 1, .used = 1, .tick_ns = UINT64_MAX};
    ps_connection_init(&w->connection, &w->all);
    return w;
}

static void close_world(struct world *w)
{
    ps_connection_close(&w->connection);
    ps_connection_free(&w->connection);
    ps_resolver_close(w->stream.resolver);
    close(w->listener);
    free(w);
}

/* A stream that stops waits for receives under way, and hears of other connections meanwhile. */
static void test_a_cancelled_connection_is_deaf(void **state)
{
    struct fixture *f = begin(state);
    struct world *w = open_world(f);

    ps_connection_start(&w->connection, &w->part);
    assert_int_equal(w->connection.state, PS_CONN_CONNECTING);
    ps_connection_cancel(&w->connection);
    settle(f); /* it is connected by now */
    assert_int_equal(w->connection.state, PS_CONN_FREE);
    assert_int_equal(w->connection.fd, -1);
    close_world(w);
}

/* The first look at a connection that waits for a name is not put off by those of others. */
static void test_the_earliest_look_counts(void **state)
{
    struct fixture *f = begin(state);
    struct world *w = open_world(f);
    const uint64_t others_ns = ps_now_ns() + PS_NS_PER_S;

    w->all.tick_ns = others_ns;
    ps_connection_enter(&w->connection, PS_CONN_RESOLVING);
    assert_true(w->all.tick_ns < others_ns);
    close_world(w);
}

int main(void)
{
    static const struct test_on_backend tests[] = {
        ON_BOTH(test_a_cancelled_connection_is_deaf),
        ON_BOTH(test_the_earliest_look_counts),
    };

    return run_on_both(tests, sizeof tests / sizeof *tests);
}
