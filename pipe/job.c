/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job.c - a job's memory: see job.h and job_parts.h. */
#include "pipe/job_parts.h"

#include "pipe/error.h"

#include <stdlib.h>
#include <string.h>

void ps_job_init(struct ps_job *job)
{
    *job = (struct ps_job){.form = PS_FORM_OPTION};
}

static void free_pairs(struct ps_job_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

void ps_job_free(struct ps_job *job)
{
    for (size_t i = 0; i < job->channel_count; i++) {
        struct ps_job_channel *channel = &job->channels[i];

        free(channel->name);
        free(channel->uri);
        free(channel->content_type);
        ps_job_free_list(&channel->attribute_names, &channel->attribute_count);
        ps_job_free_list(&channel->group_names, &channel->group_count);
    }
    free(job->channels);
    free_pairs(job->hyperparameters, job->hyperparameter_count);
    free_pairs(job->environment, job->environment_count);
    for (size_t i = 0; i < job->group_count; i++) {
        free(job->groups[i].name);
        free(job->groups[i].instance_type);
    }
    free(job->groups);
    free(job->hosts);
    if (job->hosts_given)
        ps_job_free_list(&job->hosts_given, &job->host_count);
    free(job->name);
    free(job->arn);
    free(job->region);
    free(job->current_host);
    free(job->instance_type);
    free(job->network_interface);
    free(job->checkpoint_s3_uri);
    free(job->checkpoint_local_path);
    ps_job_free_list(&job->entrypoint, &job->entrypoint_count);
    ps_job_free_list(&job->arguments, &job->argument_count);
    ps_job_init(job);
}

static int out_of_memory(struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for the job's description");
}

int ps_job_copy(char **slot, const char *text, struct penstock_error *error)
{
    char *copy = NULL;

    if (text && !(copy = strdup(text)))
        return out_of_memory(error);
    free(*slot);
    *slot = copy;
    return PENSTOCK_OK;
}

int ps_job_append(char ***list, size_t *count, const char *text, size_t len_bytes,
                  struct penstock_error *error)
{
    char **longer = realloc(*list, (*count + 2) * sizeof *longer);

    if (!longer)
        return out_of_memory(error);
    *list = longer;
    longer[*count] = strndup(text, len_bytes);
    if (!longer[*count])
        return out_of_memory(error);
    longer[++*count] = NULL;
    return PENSTOCK_OK;
}

void ps_job_free_list(char ***list, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*list)[i]);
    free(*list);
    *list = NULL;
    *count = 0;
}

static struct ps_job_pair *find_pair(struct ps_job_pair *pairs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return &pairs[i];
    return NULL;
}

int ps_job_set_pair(struct ps_job_pair **pairs, size_t *count, const char *name, const char *value,
                    struct penstock_error *error)
{
    struct ps_job_pair *pair = find_pair(*pairs, *count, name);

    if (pair)
        return ps_job_copy(&pair->value, value, error);
    return ps_job_add_pair(pairs, count, name, value, error);
}

int ps_job_add_pair(struct ps_job_pair **pairs, size_t *count, const char *name, const char *value,
                    struct penstock_error *error)
{
    struct ps_job_pair *longer;
    struct ps_job_pair fresh;

    if (find_pair(*pairs, *count, name))
        return PENSTOCK_OK;
    longer = realloc(*pairs, (*count + 1) * sizeof *longer);
    if (!longer)
        return out_of_memory(error);
    *pairs = longer;
    fresh = (struct ps_job_pair){.name = strdup(name), .value = strdup(value)};
    if (!fresh.name || !fresh.value) {
        free(fresh.name);
        free(fresh.value);
        return out_of_memory(error);
    }
    longer[(*count)++] = fresh;
    return PENSTOCK_OK;
}

int ps_job_new_channel(struct ps_job *job, enum ps_job_form form, struct ps_job_channel **out,
                       struct penstock_error *error)
{
    struct ps_job_channel *longer =
        realloc(job->channels, (job->channel_count + 1) * sizeof *longer);

    if (!longer)
        return out_of_memory(error);
    job->channels = longer;
    *out = &longer[job->channel_count];
    **out = (struct ps_job_channel){
        .mode = form == PS_FORM_API ? PS_MODE_FILE : PS_MODE_PIPE, .shard_count = 1, .form = form};
    job->channel_count++;
    return PENSTOCK_OK;
}

int ps_job_split(const char *text, const char *field, char ***list, size_t *count,
                 struct penstock_error *error)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        int rc;

        if (len == 0)
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "%s: a name is empty: write names with a comma between two", field);
        rc = ps_job_append(list, count, text, len, error);
        if (rc != PENSTOCK_OK || !text[len])
            return rc;
        text += len + 1;
    }
}

int ps_job_set_hyperparameter(struct ps_job *job, const char *name, const char *value,
                              struct penstock_error *error)
{
    return ps_job_set_pair(&job->hyperparameters, &job->hyperparameter_count, name, value, error);
}

int ps_job_set_hosts(struct ps_job *job, const char *list, struct penstock_error *error)
{
    if (job->hosts_given)
        ps_job_free_list(&job->hosts_given, &job->host_count);
    job->host_count = 0;
    return ps_job_split(list, "--hosts", &job->hosts_given, &job->host_count, error);
}

int ps_job_set_current_host(struct ps_job *job, const char *name, struct penstock_error *error)
{
    job->current_host_set = true;
    return ps_job_copy(&job->current_host, name, error);
}

const char *ps_job_mode_name(enum ps_job_mode mode)
{
    return mode == PS_MODE_PIPE ? "Pipe" : "File";
}

const char *ps_data_type_name(enum ps_data_type data_type)
{
    static const char *const names[] = {"S3Prefix", "ManifestFile", "AugmentedManifestFile"};

    return names[data_type];
}
