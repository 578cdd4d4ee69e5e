/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_check.c - the API's limits, and what cannot be delivered.
 *
 * The limits are the API model's (boto/botocore, sagemaker/2017-07-24/service-2.json), in
 * characters; tests/integration/test_job_model.py compares them with it.
 */
#include "pipe/job_parts.h"

#include "pipe/config.h"
#include "pipe/error.h"
#include "pipe/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOB_NAME_MAX = 63,
    CHANNEL_NAME_MAX = 64,
    CONTENT_TYPE_MAX = 256,
    ATTRIBUTES_MAX = 16,
    ATTRIBUTE_MAX = 256,
    GROUPS_MAX = 5,
    GROUP_NAME_MAX = 64,
    PAIRS_MAX = 100,
    HYPERPARAMETER_NAME_MAX = 256,
    HYPERPARAMETER_VALUE_MAX = 2500,
    ENVIRONMENT_MAX = 512,
    COMMAND_MAX = 100,
    COMMAND_WORD_MAX = 256,
    LOCAL_PATH_MAX = 4096
};

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

size_t ps_job_characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

const char *ps_job_field_name(const struct ps_job_channel *channel, enum ps_job_field field,
                              char *text)
{
    static const char *const api[] = {"ChannelName",
                                      "DataSource.S3DataSource.S3Uri",
                                      "DataSource.S3DataSource.S3DataType",
                                      "DataSource.S3DataSource.AttributeNames",
                                      "DataSource.S3DataSource.InstanceGroupNames",
                                      "ContentType",
                                      "CompressionType",
                                      "RecordWrapperType",
                                      "InputMode"};
    static const char *const ours[] = {"name",        "uri",    "type",
                                       "attributes",  "groups", "content_type",
                                       "compression", "wrap",   "mode"};
    struct ps_text out = ps_text_in(text, PS_FIELD_BYTES_MAX);

    if (channel->form == PS_FORM_API)
        ps_text_addf(&out, "InputDataConfig[%zu].%s", channel->form_no, api[field]);
    else if (channel->form == PS_FORM_NATIVE)
        ps_text_addf(&out, "channels.%s.%s", channel->name, ours[field]);
    else
        ps_text_addf(&out, "--channel %s: %s", channel->name, ours[field]);
    return text;
}

/* "field: has 65 characters, at most 64 may be", unless it has from `least` to `most`. */
static int check_length(const char *field, const char *text, size_t least, size_t most,
                        struct penstock_error *error)
{
    size_t count = ps_job_characters(text);
    json_t *probe = json_string(text);

    if (!probe)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: is not UTF-8", field);
    json_decref(probe);
    if (count > most)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: has %zu characters, at most %zu may be",
                       field, count, most);
    if (count < least)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: is empty", field);
    return PENSTOCK_OK;
}

static int check_list(const char *field, char *const *list, size_t count, size_t count_most,
                      size_t least, size_t most, struct penstock_error *error)
{
    if (count > count_most)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: has %zu entries, at most %zu may be", field,
                       count, count_most);
    for (size_t i = 0; i < count; i++) {
        char item[PS_FIELD_BYTES_MAX];
        struct ps_text out = ps_text_in(item, sizeof item);
        int rc;

        ps_text_addf(&out, "%s[%zu]", field, i);
        rc = check_length(item, list[i], least, most, error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

static int refuse(const struct ps_job_channel *channel, enum ps_job_field field, const char *why,
                  struct penstock_error *error)
{
    char name[PS_FIELD_BYTES_MAX];

    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: %s", ps_job_field_name(channel, field, name),
                   why);
}

static int check_name(const struct ps_job_channel *channel, struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    const char *name = channel->name;
    int rc = check_length(ps_job_field_name(channel, PS_FIELD_NAME, field), name, 1,
                          CHANNEL_NAME_MAX, error);

    if (rc != PENSTOCK_OK)
        return rc;
    if (strspn(name, ALPHANUMERIC ".-_") != strlen(name))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%s' may hold letters, digits, '.', '-' and '_' only", field, name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%s' is no name for a directory", field,
                       name);
    return PENSTOCK_OK;
}

static int check_group_names(const struct ps_job *job, const struct ps_job_channel *channel,
                             struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    int rc = check_list(ps_job_field_name(channel, PS_FIELD_GROUPS, field), channel->group_names,
                        channel->group_count, GROUPS_MAX, 1, GROUP_NAME_MAX, error);

    for (size_t i = 0; i < channel->group_count && rc == PENSTOCK_OK; i++) {
        size_t j = 0;

        while (j < job->group_count && strcmp(job->groups[j].name, channel->group_names[i]) != 0)
            j++;
        if (j == job->group_count)
            rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                         "%s[%zu]: '%s' is no instance group of this job", field, i,
                         channel->group_names[i]);
    }
    return rc;
}

/* What each mode can deliver. Source: API reference of Channel and S3DataSource. */
static int check_mode(const struct ps_job_channel *channel, struct penstock_error *error)
{
    if (channel->fast_file && channel->data_type != PS_DATA_PREFIX)
        return refuse(channel, PS_FIELD_TYPE, "FastFile mode takes S3Prefix only", error);
    if (channel->mode == PS_MODE_PIPE)
        return PENSTOCK_OK;
    if (channel->data_type == PS_DATA_AUGMENTED)
        return refuse(channel, PS_FIELD_TYPE, "AugmentedManifestFile needs Pipe mode", error);
    if (channel->compression != PS_COMPRESSION_NONE)
        return refuse(channel, PS_FIELD_COMPRESSION, "objects are decompressed in Pipe mode only",
                      error);
    if (channel->wrap_recordio)
        return refuse(channel, PS_FIELD_WRAP, "objects become RecordIO records in Pipe mode only",
                      error);
    return PENSTOCK_OK;
}

static int check_attributes(const struct ps_job_channel *channel, struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    bool augmented = channel->data_type == PS_DATA_AUGMENTED;

    if (augmented && channel->attribute_count == 0)
        return refuse(channel, PS_FIELD_ATTRIBUTES,
                      "is missing: names what is delivered of each line of the manifest", error);
    if (!augmented && channel->attribute_count > 0)
        return refuse(channel, PS_FIELD_ATTRIBUTES, "is for AugmentedManifestFile only", error);
    return check_list(ps_job_field_name(channel, PS_FIELD_ATTRIBUTES, field),
                      channel->attribute_names, channel->attribute_count, ATTRIBUTES_MAX, 1,
                      ATTRIBUTE_MAX, error);
}

static int check_channel(const struct ps_job *job, struct ps_job_channel *channel,
                         struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    int rc = check_name(channel, error);

    if (rc == PENSTOCK_OK)
        rc = ps_job_check_uri(channel, error);
    if (rc == PENSTOCK_OK && channel->content_type)
        rc = check_length(ps_job_field_name(channel, PS_FIELD_CONTENT_TYPE, field),
                          channel->content_type, 0, CONTENT_TYPE_MAX, error);
    if (rc == PENSTOCK_OK)
        rc = check_mode(channel, error);
    if (rc == PENSTOCK_OK)
        rc = check_attributes(channel, error);
    if (rc == PENSTOCK_OK)
        rc = check_group_names(job, channel, error);
    return rc;
}

/* Whether `path` is a path that a Pipe channel `pipe` uses: <pipe>_<n> or <pipe>_<n>.status, n
 * without leading zeros. */
static bool is_path_of(const char *path, const char *pipe)
{
    size_t len = strlen(pipe);
    const char *digits = path + len + 1;
    size_t count;

    if (strncmp(path, pipe, len) != 0 || path[len] != '_')
        return false;
    count = strspn(digits, "0123456789");
    return count > 0 && (count == 1 || *digits != '0') &&
           (!digits[count] || strcmp(digits + count, ".status") == 0);
}

/* A File channel's directory has the channel's name, and its list of objects <name>-manifest. */
static int check_clash(const struct ps_job_channel *a, const struct ps_job_channel *b,
                       struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    size_t len = strlen(b->name);

    ps_job_field_name(a, PS_FIELD_NAME, field);
    if (strcmp(a->name, b->name) == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%s' is the name of two channels", field,
                       a->name);
    if (a->mode == PS_MODE_PIPE)
        return PENSTOCK_OK;
    if (b->mode == PS_MODE_PIPE && is_path_of(a->name, b->name))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%s' is also a path of Pipe channel '%s': rename one of them", field,
                       a->name, b->name);
    if (strncmp(a->name, b->name, len) == 0 && strcmp(a->name + len, "-manifest") == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%s' is also the manifest of channel '%s': rename one of them", field,
                       a->name, b->name);
    return PENSTOCK_OK;
}

static int check_channels(struct ps_job *job, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    if (job->channel_count < 1 || job->channel_count > PS_CHANNELS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: a job has 1 to %d channels, not %zu",
                       job->form == PS_FORM_API ? "InputDataConfig" : "channels", PS_CHANNELS_MAX,
                       job->channel_count);
    for (size_t i = 0; i < job->channel_count && rc == PENSTOCK_OK; i++) {
        rc = check_channel(job, &job->channels[i], error);
        for (size_t j = 0; j < i && rc == PENSTOCK_OK; j++) {
            rc = check_clash(&job->channels[i], &job->channels[j], error);
            if (rc == PENSTOCK_OK)
                rc = check_clash(&job->channels[j], &job->channels[i], error);
        }
    }
    return rc;
}

static int check_pair_lengths(const char *field, const struct ps_job_pair *pair, size_t name_most,
                              size_t value_most, struct penstock_error *error)
{
    char text[PS_FIELD_BYTES_MAX];
    struct ps_text out = ps_text_in(text, sizeof text);
    int rc;

    ps_text_addf(&out, "%s, the name '%.60s...'", field, pair->name);
    rc = check_length(text, pair->name, 0, name_most, error);
    out = ps_text_in(text, sizeof text);
    ps_text_addf(&out, "%s.%s", field, pair->name);
    return rc == PENSTOCK_OK ? check_length(text, pair->value, 0, value_most, error) : rc;
}

static int check_count(const char *field, size_t count, struct penstock_error *error)
{
    if (count <= PAIRS_MAX)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: has %zu entries, at most %d may be", field,
                   count, PAIRS_MAX);
}

static int check_hyperparameters(const struct ps_job *job, struct penstock_error *error)
{
    const char *field = job->form == PS_FORM_API ? "HyperParameters" : "hyperparameters";
    int rc = check_count(field, job->hyperparameter_count, error);

    for (size_t i = 0; i < job->hyperparameter_count && rc == PENSTOCK_OK; i++)
        rc = check_pair_lengths(field, &job->hyperparameters[i], HYPERPARAMETER_NAME_MAX,
                                HYPERPARAMETER_VALUE_MAX, error);
    return rc;
}

static int check_environment(const struct ps_job *job, struct penstock_error *error)
{
    const char *field = job->form == PS_FORM_API ? "Environment" : "environment";
    int rc = check_count(field, job->environment_count, error);

    for (size_t i = 0; i < job->environment_count && rc == PENSTOCK_OK; i++) {
        const char *name = job->environment[i].name;

        rc = check_pair_lengths(field, &job->environment[i], ENVIRONMENT_MAX, ENVIRONMENT_MAX,
                                error);
        if (rc == PENSTOCK_OK && (!*name || strspn(name, ALPHANUMERIC "_") != strlen(name) ||
                                  (*name >= '0' && *name <= '9')))
            rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                         "%s.%s: a variable's name is made of letters, digits and '_', and does "
                         "not begin with a digit",
                         field, name);
    }
    return rc;
}

static int check_groups(const struct ps_job *job, struct penstock_error *error)
{
    const char *field = job->form == PS_FORM_API ? "ResourceConfig.InstanceGroups" : "groups";

    if (job->group_count > GROUPS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: has %zu entries, at most %d may be", field,
                       job->group_count, GROUPS_MAX);
    for (size_t i = 0; i < job->group_count; i++) {
        int rc = check_length(field, job->groups[i].name, 1, GROUP_NAME_MAX, error);

        if (rc != PENSTOCK_OK)
            return rc;
        for (size_t j = 0; j < i; j++)
            if (strcmp(job->groups[i].name, job->groups[j].name) == 0)
                return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%s' is the name of two groups",
                               field, job->groups[i].name);
    }
    return PENSTOCK_OK;
}

/* [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62} */
static int check_job_name(struct ps_job *job, struct penstock_error *error)
{
    const char *field = job->form == PS_FORM_API ? "TrainingJobName" : "name";
    const char *name;
    size_t len;
    int rc;

    if (!job->name && (rc = ps_job_copy(&job->name, "penstock", error)) != PENSTOCK_OK)
        return rc;
    name = job->name;
    rc = check_length(field, name, 1, JOB_NAME_MAX, error);
    if (rc != PENSTOCK_OK)
        return rc;
    len = strlen(name);
    if (strspn(name, ALPHANUMERIC "-") != len || name[0] == '-' || name[len - 1] == '-')
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%s' must be of letters, digits and, between them, '-'", field, name);
    return PENSTOCK_OK;
}

/* arn:aws:sagemaker:REGION:... */
static int take_region(struct ps_job *job, struct penstock_error *error)
{
    const char *at = job->arn;
    char region[64];
    size_t len;

    for (int i = 0; i < 3 && at; i++) {
        at = strchr(at, ':');
        at = at ? at + 1 : NULL;
    }
    len = at ? strcspn(at, ":") : 0;
    if (job->region || len == 0 || len >= sizeof region || !at[len])
        return PENSTOCK_OK;
    memcpy(region, at, len);
    region[len] = '\0';
    return ps_job_copy(&job->region, region, error);
}

static int check_checkpoints(struct ps_job *job, struct penstock_error *error)
{
    bool api = job->form == PS_FORM_API;
    const char *uri_field = api ? "CheckpointConfig.S3Uri" : "checkpoint.uri";
    const char *path_field = api ? "CheckpointConfig.LocalPath" : "checkpoint.path";
    int rc;

    if (!job->checkpoint_s3_uri)
        return PENSTOCK_OK;
    rc = check_length(uri_field, job->checkpoint_s3_uri, 1, 1024, error);
    if (rc == PENSTOCK_OK && !job->checkpoint_local_path)
        rc = ps_job_copy(&job->checkpoint_local_path, "/opt/ml/checkpoints", error);
    if (rc == PENSTOCK_OK)
        rc = check_length(path_field, job->checkpoint_local_path, 1, LOCAL_PATH_MAX, error);
    if (rc == PENSTOCK_OK && job->checkpoint_local_path[0] != '/')
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%.200s' is no absolute path", path_field,
                     job->checkpoint_local_path);
    return rc;
}

static int check_command(const struct ps_job *job, struct penstock_error *error)
{
    bool api = job->form == PS_FORM_API;
    int rc =
        check_list(api ? "AlgorithmSpecification.ContainerEntrypoint" : "command", job->entrypoint,
                   job->entrypoint_count, COMMAND_MAX, 0, COMMAND_WORD_MAX, error);

    if (rc == PENSTOCK_OK)
        rc = check_list("AlgorithmSpecification.ContainerArguments", job->arguments,
                        job->argument_count, COMMAND_MAX, 0, COMMAND_WORD_MAX, error);
    return rc;
}

int ps_job_check(struct ps_job *job, struct penstock_error *error)
{
    int rc = check_job_name(job, error);

    if (rc == PENSTOCK_OK)
        rc = take_region(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_groups(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_channels(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_hyperparameters(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_environment(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_checkpoints(job, error);
    if (rc == PENSTOCK_OK)
        rc = check_command(job, error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_settle_hosts(job, error);
    return rc;
}

void ps_job_describe_channel(const struct ps_job_channel *channel, char *text, size_t size_bytes)
{
    struct ps_text out = ps_text_in(text, size_bytes);

    ps_text_addf(&out, "%s: %s%s, %s %s", channel->name, ps_job_mode_name(channel->mode),
                 channel->fast_file ? " (for FastFile)" : "", ps_data_type_name(channel->data_type),
                 channel->uri);
    if (!channel->here) {
        ps_text_add(&out, ", not for this host's group");
        return;
    }
    if (channel->sharded)
        ps_text_addf(&out, ", shard %" PRIu32 " of %" PRIu32, channel->shard_index,
                     channel->shard_count);
    if (channel->shuffle)
        ps_text_addf(&out, ", shuffled by seed %" PRId64, (int64_t)channel->seed);
    for (size_t i = 0; i < channel->attribute_count; i++)
        ps_text_addf(&out, "%s%s", i > 0 ? " " : ", attributes ", channel->attribute_names[i]);
    if (channel->compression != PS_COMPRESSION_NONE)
        ps_text_addf(&out, ", %s",
                     channel->compression == PS_COMPRESSION_GZIP ? "Gzip"
                                                                 : "decompressed by extension");
    if (channel->wrap_recordio)
        ps_text_add(&out, ", wrapped in RecordIO");
    if (channel->content_type)
        ps_text_addf(&out, ", %s", channel->content_type);
}
