/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_files.c - the texts of a job's configuration files, in SageMaker's shapes.
 *
 * What a program may read there is public ("How Amazon SageMaker Provides Training Information");
 * it never holds URIs, seeds or names of attributes.
 */
#include "pipe/job_parts.h"
#include "pipe/job_variables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char root[] = "/opt/ml";
static const char only_group[] = "homogeneousCluster";

/* Takes `object`, and is NULL when building it ran out of memory. */
static char *dump(json_t *object, bool built)
{
    char *text = built ? ps_json_text(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

static bool set_text(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text)) == 0;
}

char *ps_job_input_data_config(const struct ps_job *job)
{
    json_t *all = json_object();
    bool built = all != NULL;

    for (size_t i = 0; i < job->channel_count && built; i++) {
        const struct ps_job_channel *channel = &job->channels[i];
        json_t *one;

        if (!channel->here)
            continue;
        one = json_object();
        if (channel->content_type)
            built = set_text(one, "ContentType", channel->content_type);
        built = built && set_text(one, "TrainingInputMode", ps_job_mode_name(channel->mode)) &&
                set_text(one, "S3DistributionType",
                         channel->sharded ? "ShardedByS3Key" : "FullyReplicated") &&
                set_text(one, "RecordWrapperType", channel->wrap_recordio ? "RecordIO" : "None");
        if (json_object_set_new(all, channel->name, one) != 0)
            built = false;
    }
    return dump(all, built);
}

const char *ps_job_group_name(const struct ps_job *job)
{
    return job->group_count > 0 ? job->groups[job->current_group_index].name : only_group;
}

static const char *type_of(const struct ps_job *job, const struct ps_job_group *group)
{
    if (group && group->instance_type)
        return group->instance_type;
    return job->instance_type ? job->instance_type : "local";
}

static json_t *host_list(char *const *hosts, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_string(hosts[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static bool add_group(json_t *list, const char *name, const char *type, char *const *hosts,
                      size_t count)
{
    json_t *group = json_object();
    bool built = json_object_set_new(group, "instance_group_name", json_string(name)) == 0 &&
                 set_text(group, "instance_type", type) &&
                 json_object_set_new(group, "hosts", host_list(hosts, count)) == 0;

    return json_array_append_new(list, group) == 0 && built;
}

char *ps_job_resource_config(const struct ps_job *job)
{
    const struct ps_job_group *current =
        job->group_count > 0 ? &job->groups[job->current_group_index] : NULL;
    json_t *all = json_object();
    json_t *groups = json_array();
    bool built = true;

    for (size_t i = 0; i < job->group_count && built; i++) {
        const struct ps_job_group *group = &job->groups[i];

        built = add_group(groups, group->name, type_of(job, group),
                          job->hosts_given + group->host_first, group->host_count);
    }
    if (job->group_count == 0)
        built = add_group(groups, only_group, type_of(job, NULL), job->hosts, job->host_count);
    built = built && set_text(all, "current_group_name", ps_job_group_name(job)) &&
            set_text(all, "current_host", job->current_host) &&
            set_text(all, "current_instance_type", type_of(job, current)) &&
            json_object_set_new(all, "hosts", host_list(job->hosts, job->host_count)) == 0;
    if (json_object_set_new(all, "instance_groups", groups) != 0)
        built = false;
    built = built && set_text(all, "network_interface_name", job->network_interface);
    return dump(all, built);
}

char *ps_job_hyperparameters_json(const struct ps_job *job)
{
    json_t *all = json_object();
    bool built = all != NULL;

    for (size_t i = 0; i < job->hyperparameter_count && built; i++)
        built = set_text(all, job->hyperparameters[i].name, job->hyperparameters[i].value);
    return dump(all, built);
}

char *ps_job_base(const char *base)
{
    char *text = NULL;
    char *here = NULL;
    size_t len = strlen(base);

    while (len > 1 && base[len - 1] == '/')
        len--;
    if (base[0] == '/')
        return strndup(base, len);
    here = getcwd(NULL, 0);
    if (here && asprintf(&text, "%s/%.*s", strcmp(here, "/") == 0 ? "" : here, (int)len, base) < 0)
        text = NULL;
    free(here);
    return text;
}

char *ps_job_checkpoint_path(const struct ps_job *job, const char *base)
{
    const char *path = job->checkpoint_local_path;
    size_t len = sizeof root - 1;
    char *whole = ps_job_base(base);
    char *text = NULL;

    if (whole && strncmp(path, root, len) == 0 && (!path[len] || path[len] == '/')) {
        if (asprintf(&text, "%s%s", whole, path + len) < 0)
            text = NULL;
    } else if (whole) {
        text = strdup(path);
    }
    free(whole);
    return text;
}

char *ps_job_checkpoint_config(const struct ps_job *job, const char *base)
{
    json_t *all = json_object();
    char *path = ps_job_checkpoint_path(job, base);
    bool built =
        path && set_text(all, "S3Uri", job->checkpoint_s3_uri) && set_text(all, "LocalPath", path);

    free(path);
    return dump(all, built);
}
