/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stream_options.c - see stream_options.h. */
#include "pipe/stream_options.h"

#include "pipe/error.h"
#include "pipe/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MOST 65535

static bool parse_number(const char *text, uint64_t most, const char **end, uint64_t *out)
{
    char *stop;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0 && *out <= most;
}

int ps_option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                     uint64_t *out, struct penstock_error *error)
{
    const char *end = text;

    if (parse_number(text, most, &end, out) && *end == '\0' && *out >= least)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "--%s: '%s' is not a whole number from %llu to %llu",
                   name, text, (unsigned long long)least, (unsigned long long)most);
}

/* A decimal number from 0 to 1, without sign. */
static bool parse_fraction(const char *text, const char **end, double *out)
{
    char *stop;

    if ((*text < '0' || *text > '9') && *text != '.')
        return false;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && *out >= 0 && *out <= 1;
}

static int set_fraction(const char *name, const char *text, double *out,
                        struct penstock_error *error)
{
    const char *end = text;

    if (parse_fraction(text, &end, out) && *end == '\0')
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "--%s: '%s' is not a number from 0 to 1", name,
                   text);
}

int ps_option_range(const char *name, const char *text, double *from, double *to,
                    struct penstock_error *error)
{
    const char *end = text;

    if (parse_fraction(text, &end, from) && *end == '-' && parse_fraction(end + 1, &end, to) &&
        *end == '\0' && *from < *to)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "--%s: '%s' is not FROM-TO with 0 <= FROM < TO <= 1, such as 0-0.9", name, text);
}

static int set_last_batch(struct ps_stream_options *options, const char *text,
                          struct penstock_error *error)
{
    options->last_batch = text;
    if (strcmp(text, "keep") == 0 || strcmp(text, "drop") == 0)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "--last-batch: '%s' is not keep or drop", text);
}

static int set_count(const char *name, const char *text, uint32_t *out,
                     struct penstock_error *error)
{
    uint64_t number = 0;
    int rc = ps_option_number(name, text, 1, COUNT_MOST, &number, error);

    *out = (uint32_t)number;
    return rc;
}

static int set_size(const char *name, const char *text, size_t *out, struct penstock_error *error)
{
    if (ps_parse_size(text, out) && *out > 0)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "--%s: '%s' is not a size such as 64MiB or 1GiB",
                   name, text);
}

static int set_shard(struct ps_stream_options *options, const char *text,
                     struct penstock_error *error)
{
    uint64_t index;
    uint64_t count;
    const char *end;

    if (!parse_number(text, UINT32_MAX, &end, &index) || *end != '/' ||
        !parse_number(end + 1, UINT32_MAX, &end, &count) || *end != '\0' || index >= count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "--shard: '%s' is not H/N with H from 0 to N - 1", text);
    options->shard_index = (uint32_t)index;
    options->shard_count = (uint32_t)count;
    return PENSTOCK_OK;
}

void ps_stream_options_init(struct ps_stream_options *options)
{
    *options = (struct ps_stream_options){.shard_count = 1, .sample_to = 1};
    penstock_config_init(&options->config);
}

static int take_of_batches(struct ps_stream_options *options, int id, const char *name,
                           const char *value, struct penstock_error *error)
{
    switch (id) {
    case PS_OPTION_KEY_SUFFIX:
        options->key_suffix = value;
        return PENSTOCK_OK;
    case PS_OPTION_SPLIT_OBJECTS:
        options->split_objects = value;
        return PENSTOCK_OK;
    case PS_OPTION_BAD_RECORDS:
        options->bad_records = value;
        return PENSTOCK_OK;
    case PS_OPTION_MAX_BAD:
        return ps_option_number(name, value, 1, UINT64_MAX, &options->bad_records_max, error);
    case PS_OPTION_MAX_BAD_FRACTION:
        return set_fraction(name, value, &options->bad_fraction_max, error);
    case PS_OPTION_LAST_BATCH:
        return set_last_batch(options, value, error);
    case PS_OPTION_SHUFFLE_ROWS:
        return ps_option_number(name, value, 1, UINT64_MAX, &options->shuffle_rows, error);
    case PS_OPTION_SAMPLE:
        return ps_option_range(name, value, &options->sample_from, &options->sample_to, error);
    default:
        return ps_option_number(name, value, 0, UINT64_MAX, &options->sample_seed, error);
    }
}

static int take(struct ps_stream_options *options, enum ps_stream_option id, const char *name,
                const char *value, struct penstock_error *error)
{
    struct penstock_config *config = &options->config;

    switch (id) {
    case PS_OPTION_SHUFFLE_SEED:
        options->shuffle = true;
        return ps_option_number(name, value, 0, UINT64_MAX, &options->seed, error);
    case PS_OPTION_SHARD:
        return set_shard(options, value, error);
    case PS_OPTION_MEMORY_LIMIT:
        return set_size(name, value, &config->memory_limit_bytes, error);
    case PS_OPTION_CONNECTIONS:
        return set_count(name, value, &config->max_connections, error);
    case PS_OPTION_PART_SIZE:
        return set_size(name, value, &config->part_bytes, error);
    case PS_OPTION_IO:
        config->io_backend = value;
        return PENSTOCK_OK;
    case PS_OPTION_VERIFY:
        config->verify = value;
        return PENSTOCK_OK;
    case PS_OPTION_ENDPOINT_URL:
        config->endpoint_url = value;
        return PENSTOCK_OK;
    case PS_OPTION_REGION:
        config->region = value;
        return PENSTOCK_OK;
    case PS_OPTION_REQUESTER_PAYS:
        config->requester_pays = true;
        return PENSTOCK_OK;
    case PS_OPTION_ADDRESSING_STYLE:
        config->addressing_style = value;
        return PENSTOCK_OK;
    case PS_OPTION_SSE_C_KEY_FILE:
        config->sse_customer_key_file = value;
        return PENSTOCK_OK;
    case PS_OPTION_BUCKET_OWNER:
        config->expected_bucket_owner = value;
        return PENSTOCK_OK;
    case PS_OPTION_ANONYMOUS:
        config->anonymous = true;
        return PENSTOCK_OK;
    case PS_OPTION_BAD_RECORDS:
    case PS_OPTION_KEY_SUFFIX:
    case PS_OPTION_SPLIT_OBJECTS:
    case PS_OPTION_MAX_BAD:
    case PS_OPTION_MAX_BAD_FRACTION:
    case PS_OPTION_LAST_BATCH:
    case PS_OPTION_SHUFFLE_ROWS:
    case PS_OPTION_SAMPLE:
    case PS_OPTION_SAMPLE_SEED:
        break;
    }
    return take_of_batches(options, id, name, value, error);
}

int ps_stream_options_take(struct ps_stream_options *options, int id, const char *name,
                           const char *value, struct penstock_error *error)
{
    if ((id < PS_OPTION_SHUFFLE_SEED || id > PS_OPTION_ANONYMOUS) &&
        (id < PS_OPTION_BAD_RECORDS || id > PS_OPTION_SAMPLE_SEED))
        return 0;
    int rc = take(options, (enum ps_stream_option)id, name, value, error);

    return rc == PENSTOCK_OK ? 1 : rc;
}

void ps_stream_options_order(const struct ps_stream_options *options,
                             struct penstock_channel_config *channel)
{
    channel->shuffle = options->shuffle;
    channel->seed = options->seed;
    channel->shard_index = options->shard_index;
    channel->shard_count = options->shard_count;
}

void ps_stream_options_bad(const struct ps_stream_options *options,
                           struct penstock_channel_config *channel)
{
    channel->key_suffix = options->key_suffix;
    channel->bad_records = options->bad_records;
    channel->bad_records_max = options->bad_records_max;
    channel->bad_fraction_max = options->bad_fraction_max;
}

void ps_stream_options_batches(const struct ps_stream_options *options,
                               struct penstock_channel_config *channel)
{
    channel->split_objects = options->split_objects;
    channel->last_batch = options->last_batch;
    channel->seed = options->seed;
    channel->shuffle_rows = options->shuffle_rows;
    channel->sample_from = options->sample_from;
    channel->sample_to = options->sample_to;
    channel->sample_seed = options->sample_seed;
}
