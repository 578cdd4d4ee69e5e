/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_job.c - any bytes as a job: JSON, or a channel of the command line.
 *
 * What is refused says why. What is accepted keeps the promises that its users build on: names that
 * are safe in paths, URIs that open, shares that fit, and files and an environment that can be
 * written.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/job_parts.h"
#include "pipe/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* Takes `text`, which must be a JSON object. */
static void require_object(char *text)
{
    json_t *object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

    require(json_is_object(object));
    json_decref(object);
    free(text);
}

static void check_channel(const struct ps_job *job, const struct ps_job_channel *channel)
{
    char line[64];
    struct ps_uri uri;

    require(*channel->name && strlen(channel->name) <= 64 && !strchr(channel->name, '/'));
    require(strcmp(channel->name, ".") != 0 && strcmp(channel->name, "..") != 0);
    require(ps_uri_parse(channel->uri, &uri, NULL) == PENSTOCK_OK);
    require(channel->form != PS_FORM_API || uri.kind == PS_URI_S3);
    require(channel->shard_index < channel->shard_count && channel->shard_count <= job->host_count);
    require((channel->data_type == PS_DATA_AUGMENTED) == (channel->attribute_count > 0));
    require(channel->mode == PS_MODE_PIPE || channel->data_type != PS_DATA_AUGMENTED);
    ps_job_describe_channel(channel, line, sizeof line);
    require(strlen(line) < sizeof line);
}

static void check_good(const struct ps_job *job)
{
    char **envp = NULL;

    require(job->channel_count >= 1 && job->channel_count <= 20 && job->host_count >= 1);
    for (size_t i = 0; i < job->channel_count; i++)
        check_channel(job, &job->channels[i]);
    for (size_t i = 1; i < job->host_count; i++)
        require(strcmp(job->hosts[i - 1], job->hosts[i]) < 0);
    require_object(ps_job_input_data_config(job));
    require_object(ps_job_resource_config(job));
    require_object(ps_job_hyperparameters_json(job));
    if (job->checkpoint_s3_uri)
        require_object(ps_job_checkpoint_config(job, "/base"));
    require(ps_job_environment(job, "/base", &envp, NULL) == PENSTOCK_OK);
    for (char **item = envp; *item; item++)
        require(strchr(*item, '=') != NULL);
    ps_job_environment_free(envp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct penstock_error error = {.rc = PENSTOCK_OK};
    struct ps_job job;
    char *text = malloc(size + 1);
    int rc;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    ps_job_init(&job);
    if (size > 0 && (data[0] == '{' || data[0] == '[' || data[0] == ' '))
        rc = ps_job_parse(text, size, "job", &job, &error);
    else
        rc = ps_job_add_channel(&job, text, &error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_check(&job, &error);
    if (rc == PENSTOCK_OK)
        check_good(&job);
    else
        require(rc == error.rc && *error.message);
    ps_job_free(&job);
    free(text);
    return 0;
}
