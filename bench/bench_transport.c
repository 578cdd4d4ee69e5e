/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_transport.c - penstock bench transport: the library's own transport and libcurl, by
 * io_uring and by epoll, in parts of several sizes, beside a bare receive loop where the server is
 * on loopback and wants no signatures. All in turn. */
#include "bench/bench_commands.h"

#include "bench/bench_floor.h"
#include "bench/bench_own_server.h"
#include "pipe/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

enum { SIZES_MAX = 16, CONNECTIONS = 16, WAYS = 4, RING_MIB = 128 };

static const struct way {
    const char *name, *transport, *backend;
} ways[WAYS] = {
    {"direct, uring", "direct", "uring"},
    {"direct, epoll", "direct", "epoll"},
    {"curl, uring", "curl", "uring"},
    {"curl, epoll", "curl", "epoll"},
};

struct transport {
    struct bench_result *result;
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct bench_plan plan;
    struct bench_survey survey;
    struct bench_floor_job floor; /* port 0: none */
    char bucket[128];
    uint64_t sizes[SIZES_MAX];
    size_t size_count;
    bool refused[WAYS]; /* has failed, and is left out */
};

static int fail(struct penstock_error *error, int rc, const char *what)
{
    snprintf(error->message, sizeof error->message, "%s", what);
    return error->rc = rc;
}

/* ---- what is measured ---- */

size_t bench_transport_sizes(const char *list, uint64_t *sizes, size_t room)
{
    size_t count = 0;

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        uint64_t bytes;

        if (count == room || !bench_parse_size(at, strcspn(at, ","), &bytes) || bytes < 64 << 10 ||
            bytes > 1 << 30)
            return 0;
        sizes[count++] = bytes;
    }
    return count;
}

/* Whether a bare receive loop can read from there: unsigned, from 127.0.0.1. */
static void prepare_floor(struct transport *t)
{
    const struct bench_options *o = t->result->options;
    const char *url = t->config.endpoint_url;
    struct bench_floor_job *floor = &t->floor;
    const char *host = url ? strstr(url, "://") : NULL;

    if (!t->config.anonymous || !host || strncmp(host, "://127.0.0.1:", 13) != 0)
        return;
    floor->port = (unsigned)strtoul(host + 13, NULL, 10);
    floor->tls = strncmp(url, "https", 5) == 0;
    floor->bucket = t->bucket;
    floor->objects = &t->survey;
    floor->ring_bytes = t->config.memory_limit_bytes;
    floor->connections = t->config.max_connections;
    floor->warmup_s = o->warmup_s;
    floor->seconds = o->seconds;
}

/* Of each size the floor comes first, if there is one. */
static size_t floors(const struct transport *t)
{
    return t->floor.port > 0 ? 1 : 0;
}

static struct bench_variant *floor_of(struct transport *t, size_t size)
{
    return &t->result->variants[size * (WAYS + floors(t))];
}

static struct bench_variant *variant_of(struct transport *t, size_t size, size_t way)
{
    return &t->result->variants[size * (WAYS + floors(t)) + floors(t) + way];
}

static bool add_variant(struct transport *t, const char *what, uint64_t part_bytes)
{
    bool mib = part_bytes >= MIB;
    char name[64];

    snprintf(name, sizeof name, "%s, %g %s", what, (double)part_bytes / (mib ? 1 << 20 : 1 << 10),
             mib ? "MiB" : "KiB");
    struct bench_variant *variant = bench_result_add(t->result, name);

    if (!variant)
        return false;
    variant->part_bytes = part_bytes;
    variant->connections = t->config.max_connections;
    return true;
}

static bool add_variants(struct transport *t)
{
    for (size_t s = 0; s < t->size_count; s++) {
        if (floors(t) > 0 && !add_variant(t, "floor", t->sizes[s]))
            return false;
        for (size_t w = 0; w < WAYS; w++)
            if (!add_variant(t, ways[w].name, t->sizes[s]))
                return false;
    }
    return true;
}

/* ---- runs ---- */

static int run_way(struct transport *t, size_t size, size_t way, struct penstock_error *error)
{
    struct bench_variant *variant = variant_of(t, size, way);

    if (t->refused[way])
        return PENSTOCK_OK;
    setenv("PENSTOCK_TRANSPORT", ways[way].transport, 1);
    t->config.io_backend = ways[way].backend;
    t->config.part_bytes = t->sizes[size];
    snprintf(t->plan.what, sizeof t->plan.what, "%s", variant->name);
    int rc = bench_add_run(t->result, variant, &t->plan, error);

    if (rc == PENSTOCK_OK || rc == PENSTOCK_E_STOPPED || variant->run_count > 0 || size > 0)
        return rc;
    /* A kernel without io_uring has the other ways. */
    t->refused[way] = true;
    bench_result_note(t->result, "%s: %s", ways[way].name, error->message);
    return PENSTOCK_OK;
}

static int run_floor(struct transport *t, size_t size, struct penstock_error *error)
{
    struct bench_totals totals;

    t->floor.part_bytes = t->sizes[size];
    int rc = bench_floor(&t->floor, &totals, error);

    return rc == PENSTOCK_OK ? bench_add_totals(floor_of(t, size), &totals, error) : rc;
}

static int run_rounds(struct transport *t, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    for (uint32_t repeat = 0; repeat < t->result->options->repeats; repeat++)
        for (size_t s = 0; rc == PENSTOCK_OK && s < t->size_count; s++) {
            if (floors(t) > 0)
                rc = run_floor(t, s, error);
            for (size_t w = 0; rc == PENSTOCK_OK && w < WAYS; w++)
                rc = run_way(t, s, w, error);
        }
    return rc;
}

static int compare(struct transport *t, struct penstock_error *error)
{
    const char *uri = t->channel.uris[0];
    size_t len = strlen("s3://");

    if (strncmp(uri, "s3://", len) != 0)
        return fail(error, PENSTOCK_E_ARGUMENT, "transport reads from S3: s3://BUCKET/PREFIX");
    snprintf(t->bucket, sizeof t->bucket, "%.*s", (int)strcspn(uri + len, "/"), uri + len);
    int rc = bench_survey(&t->survey, &t->config, error);

    if (rc != PENSTOCK_OK)
        return rc;
    prepare_floor(t);
    if (!add_variants(t))
        return fail(error, PENSTOCK_E_MEMORY, "out of memory");
    return run_rounds(t, error);
}

static void configure(struct transport *t)
{
    const struct bench_options *o = t->result->options;
    const char *before = getenv("AWS_ENDPOINT_URL");

    bench_options_channel(o, 0, &t->channel);
    t->config = o->stream.config;
    t->config.channels = &t->channel;
    t->config.channel_count = 1;
    if (!t->config.endpoint_url)
        t->config.endpoint_url = before && *before ? before : NULL;
    if (t->config.max_connections == 0)
        t->config.max_connections = CONNECTIONS;
    if (!o->has_memory_limit)
        t->config.memory_limit_bytes = RING_MIB * MIB;
    t->plan = (struct bench_plan){
        .config = &t->config, .warmup_s = o->warmup_s, .seconds = o->seconds, .quiet = o->quiet};
    t->size_count = bench_transport_sizes(o->part_sizes ? o->part_sizes : "8MiB,1MiB,256KiB",
                                          t->sizes, SIZES_MAX);
}

int bench_transport(struct bench_result *result, struct penstock_error *error)
{
    static const char *const own_uri = "s3://bench/";
    struct transport *t = calloc(1, sizeof *t);
    struct bench_own_server server = {.pid = 0};
    int rc = PENSTOCK_OK;

    if (!t)
        return fail(error, PENSTOCK_E_MEMORY, "out of memory");
    t->result = result;
    configure(t);
    if (result->options->uri_count == 0) {
        rc = bench_own_server_start(&server, result->options->dir, error);
        t->channel.uris = &own_uri;
        t->channel.uri_count = 1;
        t->config.endpoint_url = server.url;
        t->config.anonymous = true;
    }
    if (rc == PENSTOCK_OK)
        rc = compare(t, error);
    unsetenv("PENSTOCK_TRANSPORT");
    bench_own_server_end(&server);
    bench_survey_free(&t->survey);
    free(t);
    return rc;
}
