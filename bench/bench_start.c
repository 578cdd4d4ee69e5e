/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_start.c - penstock bench start: how soon there is something to train on, in Pipe mode
 * and in File mode, which downloads all of it first. In turn, so that both meet the same weather.
 */
#include "bench/bench_commands.h"

#include "bench/bench_download.h"

#include <stdio.h>
#include <string.h>

/* Then what comes from the files, later by what the download took. */
static int run_file(struct bench_result *result, struct bench_variant *variant,
                    struct bench_plan *plan, struct penstock_channel_config *channel,
                    struct bench_download *d, struct penstock_error *error)
{
    const char *uri = d->dir;
    int rc = bench_download(d, plan->config, channel, error);

    if (rc != PENSTOCK_OK)
        return rc;
    channel->uris = &uri;
    channel->uri_count = 1;
    channel->data_type = NULL;
    channel->shuffle = false; /* the files are in the order that was asked for */
    channel->shard_count = 1;
    channel->shard_index = 0;
    rc = bench_add_run(result, variant, plan, error);
    if (rc != PENSTOCK_OK)
        return rc;
    double *figures = variant->runs[variant->run_count - 1].figures;

    for (int f = BENCH_FIRST_BYTE; f <= BENCH_FIRST_BATCH; f++)
        figures[f] += d->took_s;
    figures[BENCH_FIRST_OBJECT] = d->first_object_s;
    figures[BENCH_FIRST_CONNECTION] = d->first_connection_s;
    figures[BENCH_DOWNLOAD] = d->took_s;
    return PENSTOCK_OK;
}

static int run_file_mode(struct bench_result *result, struct bench_plan *plan, uint32_t repeat,
                         struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config *channel =
        (struct penstock_channel_config *)(uintptr_t)plan->config->channels;
    struct bench_download d;
    int rc = bench_download_open(&d, o->dir, error);

    if (rc != PENSTOCK_OK)
        return rc;
    bench_options_channel(o, repeat, channel);
    rc = run_file(result, &result->variants[result->variant_count - 1], plan, channel, &d, error);

    bench_download_remove(&d);
    return rc;
}

int bench_start(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct bench_plan plan = {.config = &config, .first_batch_only = true, .quiet = o->quiet};
    bool pipe = !o->modes || strncmp(o->modes, "pipe", 4) == 0;
    bool file = !o->modes || strstr(o->modes, "file") != NULL;
    int rc = PENSTOCK_OK;

    if ((pipe && !bench_result_add(result, "pipe")) ||
        (file && !bench_result_add(result, "file"))) {
        snprintf(error->message, sizeof error->message, "out of memory");
        return error->rc = PENSTOCK_E_MEMORY;
    }
    config.channels = &channel;
    config.channel_count = 1;
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < o->repeats; repeat++) {
        bench_options_channel(o, repeat, &channel);
        snprintf(plan.what, sizeof plan.what, "repeat %u of %u", repeat + 1, o->repeats);
        if (pipe)
            rc = bench_add_run(result, &result->variants[0], &plan, error);
        if (rc == PENSTOCK_OK && file)
            rc = run_file_mode(result, &plan, repeat, error);
    }
    return rc;
}
