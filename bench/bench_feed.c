/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_feed.c - see bench_feed.h. */
#include "bench/bench_feed.h"

#include "bench/bench_download.h"
#include "pipe/delivery.h"
#include "pipe/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOK_NS = 200000 };

/* What goes wrong in the stream, its readers are told by its counters and by their own streams. */
static void say(void *cookie, int level, const char *line)
{
    (void)cookie;
    if (level > 1)
        fprintf(stderr, "penstock bench: %s\n", line);
}

static void told(void *cookie)
{
    (void)cookie;
}

int bench_feed_open(struct bench_feed *feed, const char *wished,
                    const struct penstock_config *config, bool no_splice,
                    struct penstock_error *error)
{
    const char *name = config->channels[0].name;

    *feed = (struct bench_feed){.delivery = NULL};
    int rc = bench_directory_make(wished, feed->dir, sizeof feed->dir, error);

    if (rc != PENSTOCK_OK) {
        feed->dir[0] = '\0';
        return rc;
    }
    snprintf(feed->uri, sizeof feed->uri, "pipe://%s/%s", feed->dir, name);
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    feed->began_s = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    rc = penstock_open(config, &feed->stream, error);
    if (rc != PENSTOCK_OK)
        return rc;
    const struct ps_delivery_config delivery = {.stream = feed->stream,
                                                .channel = name,
                                                .dir = feed->dir,
                                                .no_splice = no_splice,
                                                .log = say,
                                                .told = told};

    feed->delivery = calloc(1, sizeof *feed->delivery);
    if (!feed->delivery) {
        snprintf(error->message, sizeof error->message, "out of memory");
        return error->rc = PENSTOCK_E_MEMORY;
    }
    return ps_delivery_start(feed->delivery, &delivery, error);
}

int bench_feed_wait(struct bench_feed *feed, struct penstock_error *error)
{
    int state;

    while ((state = atomic_load(&feed->delivery->state)) == PS_DELIVERY_STARTING &&
           !ps_stop_signal())
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
    if (state != PS_DELIVERY_FAILED)
        return PENSTOCK_OK;
    *error = feed->delivery->error;
    return error->rc;
}

void bench_feed_close(struct bench_feed *feed)
{
    if (feed->stream)
        penstock_stop(feed->stream);
    if (feed->delivery && feed->delivery->started)
        ps_delivery_stop(feed->delivery);
    penstock_close(&feed->stream);
    free(feed->delivery);
    feed->delivery = NULL;
    if (feed->dir[0])
        bench_directory_remove(feed->dir);
}
