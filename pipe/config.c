/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/config.c - see config.h; and the public functions that fill configurations with defaults. */
#include "pipe/config.h"

#include "pipe/error.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define MEMORY_LIMIT_BYTES (1024 * MIB)
#define CHANNEL_BYTES_LEAST (16 * MIB)
#define PART_BYTES_LEAST ((size_t)64 << 10)
#define PART_BYTES_MOST (1024 * MIB)
#define IO_THREADS_MAX 64
#define DECODE_THREADS_DEFAULT_MAX 8
#define DECODE_THREADS_MAX 256
#define BATCH_ROWS 1000
#define BATCH_ROWS_MAX (1u << 24)

void penstock_config_init(struct penstock_config *config)
{
    *config = (struct penstock_config){.memory_limit_bytes = MEMORY_LIMIT_BYTES};
}

void penstock_channel_config_init(struct penstock_channel_config *channel)
{
    *channel = (struct penstock_channel_config){.name = "train",
                                                .batch_rows = BATCH_ROWS,
                                                .epochs = 1,
                                                .shard_count = 1,
                                                .row_share_count = 1,
                                                .sample_to = 1};
}

/* SageMaker's rule for channel names: 1 to 64 of A-Z a-z 0-9 . - _ */
static bool name_is_good(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t len = strlen(name);

    return len >= 1 && len <= 64 && strspn(name, allowed) == len;
}

static int check_row_share(const struct penstock_channel_config *channel, const char *name,
                           struct penstock_error *error)
{
    uint32_t count = channel->row_share_count;

    if (count == 0 || channel->row_share_index >= count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: row_share_index %u of row_share_count %u: the index must be "
                       "less than the count",
                       name, channel->row_share_index, count);
    if (channel->batch_rows % count != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: batch_rows is %u, no multiple of row_share_count, which is %u",
                       name, channel->batch_rows, count);
    return PENSTOCK_OK;
}

static int check_channel(const struct penstock_channel_config *channel, size_t channel_no,
                         struct penstock_error *error)
{
    const char *name = channel->name ? channel->name : "train";

    if (!name_is_good(name))
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "channel %zu: name \"%s\" must be 1 to 64 letters, digits, \".\", \"-\" or \"_\"",
            channel_no, name);
    if (channel->uri_count == 0 || !channel->uris)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "channel %s: it has no URI", name);
    for (size_t i = 0; i < channel->uri_count; i++)
        if (!channel->uris[i])
            return ps_fail(error, PENSTOCK_E_ARGUMENT, "channel %s: uris[%zu] is NULL", name, i);
    if (!channel->content_type)
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "channel %s: content_type is not set: use application/x-recordio-protobuf or "
            "text/csv;label_size=K",
            name);
    if (channel->batch_rows < 1 || channel->batch_rows > BATCH_ROWS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "channel %s: batch_rows is %u, not 1 to %u",
                       name, channel->batch_rows, BATCH_ROWS_MAX);
    if (channel->shard_count == 0 || channel->shard_index >= channel->shard_count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: shard_index %u of shard_count %u: the index must be less than "
                       "the count",
                       name, channel->shard_index, channel->shard_count);
    return check_row_share(channel, name, error);
}

static uint32_t cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count < 1 ? 1 : (uint32_t)count;
}

static void put_defaults(struct penstock_config *config)
{
    uint32_t cpus = cpu_count();

    if (config->memory_limit_bytes == 0)
        config->memory_limit_bytes = MEMORY_LIMIT_BYTES;
    if (config->decode_threads == 0)
        config->decode_threads =
            cpus < DECODE_THREADS_DEFAULT_MAX ? cpus : DECODE_THREADS_DEFAULT_MAX;
    if (config->io_threads == 0)
        config->io_threads = 1;
    if (!config->io_backend)
        config->io_backend = getenv("PENSTOCK_IO");
}

static int check_range(const char *field, uint64_t value, uint64_t least, uint64_t most,
                       struct penstock_error *error)
{
    if (value >= least && value <= most)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s is %llu, not %llu to %llu", field,
                   (unsigned long long)value, (unsigned long long)least, (unsigned long long)most);
}

int ps_config_resolve(const struct penstock_config *config, struct penstock_config *out,
                      struct penstock_error *error)
{
    *out = *config;
    put_defaults(out);
    int rc = check_range("channel_count", out->channel_count, 1, PS_CHANNELS_MAX, error);

    if (rc == PENSTOCK_OK && !out->channels)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "channels is NULL");
    if (rc == PENSTOCK_OK)
        rc = check_range("memory_limit_bytes", out->memory_limit_bytes,
                         CHANNEL_BYTES_LEAST * out->channel_count, SIZE_MAX / 2, error);
    if (rc == PENSTOCK_OK)
        rc = check_range("decode_threads", out->decode_threads, 1, DECODE_THREADS_MAX, error);
    if (rc == PENSTOCK_OK)
        rc = check_range("io_threads", out->io_threads, 1, IO_THREADS_MAX, error);
    if (rc == PENSTOCK_OK && out->max_connections != 0)
        rc = check_range("max_connections", out->max_connections, 1, PS_CONNECTIONS_MAX, error);
    if (rc == PENSTOCK_OK && out->part_bytes != 0)
        rc = check_range("part_bytes", out->part_bytes, PART_BYTES_LEAST, PART_BYTES_MOST, error);
    for (size_t i = 0; rc == PENSTOCK_OK && i < out->channel_count; i++)
        rc = check_channel(&out->channels[i], i, error);
    return rc;
}

int ps_config_compression(const struct penstock_channel_config *channel, enum fmt_codec *out,
                          struct penstock_error *error)
{
    const char *name = channel->compression ? channel->compression : "none";

    if (fmt_codec_parse(name, out))
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "channel %s: compression is \"%s\": use none, gzip, lz4, zstd or auto",
                   channel->name ? channel->name : "train", name);
}

/* SageMaker's limit: 256 characters, which are not bytes. */
static bool attribute_is_good(const char *name)
{
    size_t characters = 0;

    for (const char *c = name; *c; c++)
        characters += ((unsigned char)*c & 0xc0) != 0x80;
    return characters >= 1 && characters <= 256;
}

static int check_attributes(const struct penstock_channel_config *channel, const char *name,
                            struct penstock_error *error)
{
    if (channel->attribute_count < 1 || channel->attribute_count > PS_ATTRIBUTES_MAX ||
        !channel->attribute_names)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: attribute_count is %zu: an augmented manifest needs the names "
                       "of 1 to %d attributes",
                       name, channel->attribute_count, PS_ATTRIBUTES_MAX);
    for (size_t i = 0; i < channel->attribute_count; i++) {
        if (!channel->attribute_names[i] || !attribute_is_good(channel->attribute_names[i]))
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "channel %s: attribute_names[%zu] does not have 1 to 256 characters",
                           name, i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(channel->attribute_names[i], channel->attribute_names[j]) == 0)
                return ps_fail(error, PENSTOCK_E_ARGUMENT,
                               "channel %s: attribute \"%s\" is named twice", name,
                               channel->attribute_names[i]);
    }
    return PENSTOCK_OK;
}

int ps_config_data_type(const struct penstock_channel_config *channel, const char *name,
                        enum ps_data_type *out, struct penstock_error *error)
{
    static const char *const names[] = {[PS_DATA_PREFIX] = "prefix",
                                        [PS_DATA_MANIFEST] = "manifest",
                                        [PS_DATA_AUGMENTED] = "augmented-manifest"};
    const char *type = channel->data_type ? channel->data_type : names[PS_DATA_PREFIX];
    const char *bad_lines = channel->bad_lines ? channel->bad_lines : "error";
    size_t no = 0;

    while (no < sizeof names / sizeof *names && strcmp(type, names[no]) != 0)
        no++;
    if (no == sizeof names / sizeof *names)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: data_type is \"%s\": use prefix, manifest or "
                       "augmented-manifest",
                       name, type);
    if (strcmp(bad_lines, "error") != 0 && strcmp(bad_lines, "skip") != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: bad_lines is \"%s\": use error or skip", name, bad_lines);
    *out = (enum ps_data_type)no;
    if (*out == PS_DATA_AUGMENTED)
        return check_attributes(channel, name, error);
    if (channel->attribute_count > 0 || strcmp(bad_lines, "skip") == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: %s is for augmented manifests, and data_type is %s", name,
                       channel->attribute_count > 0 ? "attribute_names" : "bad_lines=skip", type);
    return PENSTOCK_OK;
}

int ps_config_split(const struct penstock_channel_config *channel, const char *name,
                    enum ps_split *out, struct penstock_error *error)
{
    static const char *const names[] = {
        [PS_SPLIT_OFF] = "off", [PS_SPLIT_BYTES] = "bytes", [PS_SPLIT_INDEX] = "index"};
    const char *split = channel->split_objects ? channel->split_objects : names[PS_SPLIT_OFF];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(split, names[i]) == 0) {
            *out = channel->shard_count > 1 ? (enum ps_split)i : PS_SPLIT_OFF;
            return PENSTOCK_OK;
        }
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "channel %s: split_objects is \"%s\": use off, bytes or index", name, split);
}

int ps_config_verify(const struct penstock_config *config, enum ps_verify_mode *out,
                     struct penstock_error *error)
{
    static const char *const names[] = {
        [PS_VERIFY_AUTO] = "auto", [PS_VERIFY_ALWAYS] = "always", [PS_VERIFY_OFF] = "off"};
    const char *name = config->verify ? config->verify : names[PS_VERIFY_AUTO];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum ps_verify_mode)i;
            return PENSTOCK_OK;
        }
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "verify is \"%s\": use auto, always or off", name);
}
