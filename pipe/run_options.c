/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run_options.c - see run_options.h. */
#include "pipe/run_options.h"

#include "pipe/error.h"
#include "pipe/uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_S 120
#define GRACE_S_MAX 86400

enum {
    OPTION_CHANNEL = 1000,
    OPTION_CONFIG,
    OPTION_BASE,
    OPTION_HYPERPARAMETER,
    OPTION_HOSTS,
    OPTION_CURRENT_HOST,
    OPTION_GRACE,
    OPTION_METRICS,
    OPTION_STATUS,
    OPTION_NO_VMSPLICE,
    OPTION_DRY_RUN,
    OPTION_VERBOSE,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"channel", required_argument, NULL, OPTION_CHANNEL},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"base", required_argument, NULL, OPTION_BASE},
    {"hyperparameter", required_argument, NULL, OPTION_HYPERPARAMETER},
    {"hosts", required_argument, NULL, OPTION_HOSTS},
    {"current-host", required_argument, NULL, OPTION_CURRENT_HOST},
    {"grace", required_argument, NULL, OPTION_GRACE},
    {"metrics", required_argument, NULL, OPTION_METRICS},
    {"status", no_argument, NULL, OPTION_STATUS},
    {"no-vmsplice", no_argument, NULL, OPTION_NO_VMSPLICE},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    PS_STREAM_LONG_OPTIONS,
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static int take_hyperparameter(struct ps_job *job, const char *text, struct penstock_error *error)
{
    const char *equals = strchr(text, '=');
    char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;
    int rc = PENSTOCK_OK;

    if (!equals)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "--hyperparameter: '%s' is not NAME=VALUE",
                       text);
    rc = name ? ps_job_set_hyperparameter(job, name, equals + 1, error)
              : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    free(name);
    return rc;
}

static int take_option(struct ps_run_options *o, int id, const char *name, char *value,
                       struct penstock_error *error)
{
    uint64_t number = o->grace_s;
    int rc = PENSTOCK_OK;

    switch (id) {
    case OPTION_CHANNEL:
        return ps_job_add_channel(&o->job, value, error);
    case OPTION_CONFIG:
        return ps_job_read(value, &o->job, error);
    case OPTION_BASE:
        o->base = value;
        return PENSTOCK_OK;
    case OPTION_HYPERPARAMETER:
        return take_hyperparameter(&o->job, value, error);
    case OPTION_HOSTS:
        return ps_job_set_hosts(&o->job, value, error);
    case OPTION_CURRENT_HOST:
        return ps_job_set_current_host(&o->job, value, error);
    case OPTION_GRACE:
        rc = ps_option_number(name, value, 0, GRACE_S_MAX, &number, error);
        o->grace_s = (uint32_t)number;
        return rc;
    case OPTION_METRICS:
        o->metrics = value;
        return PENSTOCK_OK;
    case OPTION_STATUS:
        o->write_status = true;
        return PENSTOCK_OK;
    case OPTION_NO_VMSPLICE:
        o->no_splice = true;
        return PENSTOCK_OK;
    case OPTION_DRY_RUN:
        o->dry_run = true;
        return PENSTOCK_OK;
    case OPTION_VERBOSE:
        o->verbose = true;
        return PENSTOCK_OK;
    case OPTION_HELP:
        o->help = true;
        return PENSTOCK_OK;
    default:
        rc = ps_stream_options_take(&o->stream, id, name, value, error);
        return rc < 0 ? rc : PENSTOCK_OK;
    }
}

int ps_run_options_parse(struct ps_run_options *o, int argc, char **argv,
                         struct penstock_error *error)
{
    const char *base = getenv("SAGEMAKER_BASE_DIR");
    int index = 0;
    int id;

    memset(o, 0, sizeof *o);
    ps_stream_options_init(&o->stream);
    ps_job_init(&o->job);
    o->base = base && *base ? base : "/opt/ml";
    o->grace_s = GRACE_S;
    optind = 0; /* GNU getopt: afresh */
    while ((id = getopt_long(argc, argv, "+", long_options, &index)) != -1) { /* up to CMD */
        if (id == '?')
            return 2;
        int rc = take_option(o, id, long_options[index].name, optarg, error);

        if (rc != PENSTOCK_OK || o->help)
            return rc;
    }
    if (optind < argc)
        o->command = argv + optind;
    return PENSTOCK_OK;
}

/* ---- the job as a run's channels ---- */

/* Fields that the job leaves open are the command line's. */
static void order_channel(const struct ps_run_options *o, const struct ps_job_channel *from,
                          struct penstock_channel_config *to)
{
    ps_stream_options_order(&o->stream, to);
    if (from->shuffle) {
        to->shuffle = true;
        to->seed = from->seed;
    }
    if (from->sharded) {
        to->shard_index = from->shard_index;
        to->shard_count = from->shard_count;
    }
}

static const char *compression_of(enum ps_job_compression compression)
{
    switch (compression) {
    case PS_COMPRESSION_GZIP:
        return "gzip";
    case PS_COMPRESSION_AUTO:
        return "auto";
    case PS_COMPRESSION_NONE:
        break;
    }
    return "none";
}

static const char *data_type_of(enum ps_data_type type)
{
    switch (type) {
    case PS_DATA_MANIFEST:
        return "manifest";
    case PS_DATA_AUGMENTED:
        return "augmented-manifest";
    case PS_DATA_PREFIX:
        break;
    }
    return "prefix";
}

static bool is_recordio(const struct ps_job_channel *channel)
{
    return channel->content_type && strstr(channel->content_type, "recordio");
}

static int resolve_channel(struct ps_run_options *o, const struct ps_job_channel *from, size_t at,
                           struct penstock_error *error)
{
    struct ps_run_channel *to = &o->channels[at];
    struct ps_uri uri;
    int rc = ps_uri_parse(from->uri, &uri, error);

    if (rc != PENSTOCK_OK)
        return rc;
    o->uris[at] = from->uri;
    o->prefixes[at] = strdup(uri.prefix);
    o->buckets[at] = strdup(uri.bucket);
    if (!o->prefixes[at] || !o->buckets[at])
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    penstock_channel_config_init(&to->config);
    to->config.name = from->name;
    to->config.uris = &o->uris[at];
    to->config.uri_count = 1;
    to->config.data_type = data_type_of(from->data_type);
    to->config.attribute_names = (const char *const *)from->attribute_names;
    to->config.attribute_count = from->attribute_count;
    if (from->mode == PS_MODE_PIPE) /* File mode leaves objects as they are */
        to->config.compression = compression_of(from->compression);
    order_channel(o, from, &to->config);
    to->file_mode = from->mode == PS_MODE_FILE;
    to->fast_file = from->fast_file;
    to->bucket = o->buckets[at];
    to->prefix = o->prefixes[at];
    to->wrap_recordio = from->wrap_recordio;
    to->count_recordio = !from->wrap_recordio && is_recordio(from);
    return PENSTOCK_OK;
}

static char *path_below(const char *base, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", base, name) < 0 ? NULL : path;
}

int ps_run_options_resolve(struct ps_run_options *o, struct ps_run_config *config,
                           struct penstock_error *error)
{
    size_t count = 0;
    int rc = ps_job_check(&o->job, error);

    for (size_t c = 0; c < o->job.channel_count && rc == PENSTOCK_OK; c++)
        if (o->job.channels[c].here)
            rc = resolve_channel(o, &o->job.channels[c], count++, error);
    if (rc != PENSTOCK_OK)
        return rc;
    o->data_dir = path_below(o->base, "input/data");
    o->failure_path = path_below(o->base, "output/failure");
    if (!o->data_dir || !o->failure_path)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    if (!o->stream.config.region)
        o->stream.config.region = o->job.region;
    config->stream = o->stream.config;
    config->channels = o->channels;
    config->channel_count = count;
    config->data_dir = o->data_dir;
    config->failure_path = o->failure_path;
    config->grace_s = o->grace_s;
    config->metrics = o->metrics;
    config->write_status = o->write_status;
    config->no_splice = o->no_splice;
    config->verbose = o->verbose;
    return PENSTOCK_OK;
}

int ps_run_options_make_tree(struct ps_run_options *o, struct ps_run_config *config,
                             struct penstock_error *error)
{
    int rc = ps_job_write_tree(&o->job, o->base, error);

    if (rc == PENSTOCK_OK)
        rc = ps_job_environment(&o->job, o->base, &o->environment, error);
    config->environment = o->environment;
    return rc;
}

void ps_run_options_free(struct ps_run_options *o)
{
    for (size_t c = 0; c < PS_RUN_CHANNELS_MAX; c++) {
        free(o->prefixes[c]);
        free(o->buckets[c]);
    }
    free(o->data_dir);
    free(o->failure_path);
    ps_job_environment_free(o->environment);
    ps_job_free(&o->job);
}
