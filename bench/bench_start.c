/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_start.c - penstock bench start: how soon there is something to train on, in Pipe
 * mode, in File mode, which downloads all of it first, and through a FIFO. In turn, so that all of
 * them meet the same weather. */
#include "bench/bench_commands.h"

#include "bench/bench_download.h"
#include "bench/bench_feed.h"
#include "pipe/stop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The plan's channel is this file's own, and anew in every run. */
static struct penstock_channel_config *channel_of(const struct bench_plan *plan)
{
    return (struct penstock_channel_config *)(uintptr_t)plan->config->channels;
}

/* What has been brought in the order and the shares that were asked for is read as it is. */
static void read_instead(struct penstock_channel_config *channel, const char *const *uri)
{
    channel->uris = uri;
    channel->uri_count = 1;
    channel->data_type = NULL;
    channel->shuffle = false;
    channel->shard_count = 1;
    channel->shard_index = 0;
}

/* The last run began so much later than what is measured; its objects came by another stream. */
static void come_later(const struct bench_variant *variant, double later_s, double first_object_s,
                       double first_connection_s)
{
    double *figures = variant->runs[variant->run_count - 1].figures;

    for (int f = BENCH_FIRST_BYTE; f <= BENCH_FIRST_STEP; f++)
        figures[f] += later_s;
    figures[BENCH_FIRST_OBJECT] = first_object_s;
    figures[BENCH_FIRST_CONNECTION] = first_connection_s > 0 ? first_connection_s : NAN;
}

/* File mode: what comes from the files, later by what the download took. */
static int run_file_mode(struct bench_result *result, struct bench_variant *variant,
                         struct bench_plan *plan, uint32_t repeat, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config *channel = channel_of(plan);
    struct bench_download d;
    int rc = bench_download_open(&d, o->dir, error);
    const char *uri = d.dir;

    if (rc != PENSTOCK_OK)
        return rc;
    bench_options_channel(o, repeat, channel);
    rc = bench_download(&d, plan->config, channel, error);
    if (rc == PENSTOCK_OK) {
        read_instead(channel, &uri);
        rc = bench_add_run(result, variant, plan, error);
    }
    if (rc == PENSTOCK_OK) {
        come_later(variant, d.took_s, d.first_object_s, d.first_connection_s);
        variant->runs[variant->run_count - 1].figures[BENCH_DOWNLOAD] = d.took_s;
    }
    bench_download_remove(&d);
    return rc;
}

/* As penstock run does: the reader begins when the first bytes are there. */
static int run_through_fifo(struct bench_result *result, struct bench_variant *variant,
                            struct bench_plan *plan, struct bench_feed *feed,
                            struct penstock_error *error)
{
    struct penstock_channel_config *channel = channel_of(plan);
    const char *uri = feed->uri;
    double began_s = feed->began_s;
    int rc = bench_feed_wait(feed, error);

    if (rc != PENSTOCK_OK)
        return rc;
    bench_options_channel(result->options, 0, channel);
    read_instead(channel, &uri);
    channel->compression = NULL;
    plan->feed = feed->stream;
    double later_s = seconds() - began_s;

    rc = bench_add_run(result, variant, plan, error);
    plan->feed = NULL;
    if (rc != PENSTOCK_OK)
        return rc;
    struct penstock_counters counters;

    penstock_get_counters(feed->stream, 0, &counters);
    come_later(variant, later_s, (double)counters.first_object_ns * 1e-9,
               (double)counters.first_connection_ns * 1e-9);
    return rc;
}

/* Pipe mode as a program has it that knows nothing of penstock: one stream fills a FIFO, another
 * decodes what comes from it. */
static int run_fifo_mode(struct bench_result *result, struct bench_variant *variant,
                         struct bench_plan *plan, uint32_t repeat, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config *channel = channel_of(plan);
    struct bench_feed feed;

    bench_options_channel(o, repeat, channel);
    channel->content_type = "application/octet-stream";
    channel->epochs = 0;
    int rc = bench_feed_open(&feed, o->dir, plan->config, false, error);

    if (rc == PENSTOCK_OK)
        rc = run_through_fifo(result, variant, plan, &feed, error);
    if (feed.stream && !ps_stop_signal() &&
        penstock_last_error(feed.stream, 0)->rc != PENSTOCK_OK) {
        *error = *penstock_last_error(feed.stream, 0);
        rc = error->rc;
    }
    bench_feed_close(&feed);
    return rc;
}

static const char *const modes[] = {"pipe", "file", "fifo"};

enum { MODES = sizeof modes / sizeof *modes };

bool bench_start_has(const char *list, const char *mode)
{
    bool has = false;

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t len = strcspn(at, ",");
        bool known = false;

        for (int m = 0; m < MODES; m++)
            if (strlen(modes[m]) == len && strncmp(at, modes[m], len) == 0) {
                known = true;
                has |= mode && strcmp(mode, modes[m]) == 0;
            }
        if (!known)
            return false;
    }
    return mode ? has : true;
}

static int run_mode(struct bench_result *result, struct bench_variant *variant,
                    struct bench_plan *plan, uint32_t repeat, struct penstock_error *error)
{
    if (strcmp(variant->name, "file") == 0)
        return run_file_mode(result, variant, plan, repeat, error);
    if (strcmp(variant->name, "fifo") == 0)
        return run_fifo_mode(result, variant, plan, repeat, error);
    bench_options_channel(result->options, repeat, channel_of(plan));
    return bench_add_run(result, variant, plan, error);
}

int bench_start(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct bench_plan plan = {.config = &config,
                              .first_batch_only = true,
                              .quiet = o->quiet,
                              .model = o->model.ops ? &o->model : NULL};
    int rc = PENSTOCK_OK;

    for (int m = 0; m < MODES; m++)
        if ((!o->modes || bench_start_has(o->modes, modes[m])) &&
            !bench_result_add(result, modes[m])) {
            snprintf(error->message, sizeof error->message, "out of memory");
            return error->rc = PENSTOCK_E_MEMORY;
        }
    config.channels = &channel;
    config.channel_count = 1;
    for (uint32_t repeat = 0; repeat < o->repeats; repeat++)
        for (size_t v = 0; rc == PENSTOCK_OK && v < result->variant_count; v++) {
            snprintf(plan.what, sizeof plan.what, "%.8s, repeat %u of %u", result->variants[v].name,
                     repeat + 1, o->repeats);
            rc = run_mode(result, &result->variants[v], &plan, repeat, error);
        }
    return rc;
}
