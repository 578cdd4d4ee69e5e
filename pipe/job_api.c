/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_api.c - a job from the JSON of CreateTrainingJob, or of DescribeTrainingJob's answer.
 *
 * What says how data reaches the container is taken strictly: a field of a channel that is not in
 * the API is an error. What is the service's own business (roles, networks, limits of time, what
 * DescribeTrainingJob adds) is passed over, whatever it is.
 */
#include "pipe/job_parts.h"

#include "pipe/error.h"

#include <stdlib.h>
#include <string.h>

const char *const ps_job_api_keys[] = {
    "InputDataConfig", "AlgorithmSpecification", "TrainingJobName",
    "TrainingJobArn",  "HyperParameters",        "ResourceConfig",
    "Environment",     "CheckpointConfig",       NULL};

static int take_file_system(const struct ps_place *source)
{
    return ps_place_fail(source, "file systems are not mounted here: mount it, and name its "
                                 "directory in the short form of a job, \"uri\": \"file:///dir\"");
}

/* The value of a field that must be there. */
static struct ps_place required(const struct ps_place *object, const char *name, int *rc)
{
    struct ps_place place = ps_place_member(object, name);

    if (*rc == PENSTOCK_OK && !place.value)
        *rc = ps_place_fail(&place, "is missing");
    return place;
}

static int take_s3(const struct ps_place *source, struct ps_job_channel *channel)
{
    static const char *const names[] = {"S3DataType",
                                        "S3Uri",
                                        "S3DataDistributionType",
                                        "AttributeNames",
                                        "InstanceGroupNames",
                                        "ModelAccessConfig",
                                        "HubAccessConfig",
                                        NULL};
    static const char *const types[] = {"S3Prefix", "ManifestFile", "AugmentedManifestFile",
                                        "Converse", NULL};
    static const char *const distributions[] = {"FullyReplicated", "ShardedByS3Key", NULL};
    int rc = ps_place_object(source, names);
    struct ps_place type = required(source, "S3DataType", &rc);
    struct ps_place uri = required(source, "S3Uri", &rc);
    struct ps_place distribution = ps_place_member(source, "S3DataDistributionType");
    struct ps_place attributes = ps_place_member(source, "AttributeNames");
    struct ps_place groups = ps_place_member(source, "InstanceGroupNames");
    int type_no = 0;
    int distribution_no = 0;

    if (rc == PENSTOCK_OK)
        rc = ps_place_choice(&type, types, &type_no);
    if (rc == PENSTOCK_OK && type_no == 3)
        rc = ps_place_fail(&type, "Converse names conversations for tuning a foundation model, "
                                  "which is no stream: use S3Prefix");
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&uri, &channel->uri);
    if (rc == PENSTOCK_OK)
        rc = ps_place_choice(&distribution, distributions, &distribution_no);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&attributes, &channel->attribute_names, &channel->attribute_count);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&groups, &channel->group_names, &channel->group_count);
    channel->data_type = (enum ps_data_type)type_no;
    channel->sharded = distribution_no == 1;
    return rc;
}

static int take_source(const struct ps_place *source, struct ps_job_channel *channel)
{
    static const char *const names[] = {"S3DataSource", "FileSystemDataSource", "DatasetSource",
                                        NULL};
    struct ps_place s3 = ps_place_member(source, "S3DataSource");
    struct ps_place file_system = ps_place_member(source, "FileSystemDataSource");
    struct ps_place dataset = ps_place_member(source, "DatasetSource");
    int rc = ps_place_object(source, names);

    if (rc != PENSTOCK_OK)
        return rc;
    if (file_system.value)
        return take_file_system(&file_system);
    if (dataset.value)
        return ps_place_fail(&dataset, "data sets of a hub are not looked up here: give their "
                                       "objects by S3DataSource");
    if (!s3.value)
        return ps_place_fail(&s3, "is missing");
    return take_s3(&s3, channel);
}

static void set_mode(struct ps_job_channel *channel, int mode_no)
{
    channel->mode = mode_no == 0 ? PS_MODE_PIPE : PS_MODE_FILE;
    channel->fast_file = mode_no == 2;
}

static const char *const modes[] = {"Pipe", "File", "FastFile", NULL};

static int take_shuffle(const struct ps_place *place, struct ps_job_channel *channel)
{
    static const char *const names[] = {"Seed", NULL};
    int rc = ps_place_object(place, names);
    struct ps_place seed = required(place, "Seed", &rc);
    int64_t value = 0;

    if (rc == PENSTOCK_OK)
        rc = ps_place_integer(&seed, INT64_MIN, INT64_MAX, &value);
    channel->shuffle = true;
    channel->seed = (uint64_t)value;
    return rc;
}

/* `index` is its place in InputDataConfig, `mode_no` the job's TrainingInputMode. */
static int take_channel(const struct ps_place *place, struct ps_job *job, size_t index, int mode_no)
{
    static const char *const names[] = {"ChannelName",     "DataSource", "ContentType",
                                        "CompressionType", "InputMode",  "RecordWrapperType",
                                        "ShuffleConfig",   NULL};
    static const char *const compressions[] = {"None", "Gzip", NULL};
    static const char *const wrappers[] = {"None", "RecordIO", NULL};
    struct ps_job_channel *channel;
    int rc = ps_place_object(place, names);
    struct ps_place name = required(place, "ChannelName", &rc);
    struct ps_place source = required(place, "DataSource", &rc);
    struct ps_place content_type = ps_place_member(place, "ContentType");
    struct ps_place compression = ps_place_member(place, "CompressionType");
    struct ps_place wrapper = ps_place_member(place, "RecordWrapperType");
    struct ps_place mode = ps_place_member(place, "InputMode");
    struct ps_place shuffle = ps_place_member(place, "ShuffleConfig");
    int compression_no = 0;
    int wrapper_no = 0;

    if (rc == PENSTOCK_OK)
        rc = ps_job_new_channel(job, PS_FORM_API, &channel, place->error);
    if (rc != PENSTOCK_OK)
        return rc;
    channel->form_no = index;
    rc = ps_place_text(&name, &channel->name);
    if (rc == PENSTOCK_OK)
        rc = take_source(&source, channel);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&content_type, &channel->content_type);
    if (rc == PENSTOCK_OK)
        rc = ps_place_choice(&compression, compressions, &compression_no);
    if (rc == PENSTOCK_OK)
        rc = ps_place_choice(&wrapper, wrappers, &wrapper_no);
    if (rc == PENSTOCK_OK)
        rc = ps_place_choice(&mode, modes, &mode_no);
    if (rc == PENSTOCK_OK && shuffle.value)
        rc = take_shuffle(&shuffle, channel);
    channel->compression = compression_no == 1 ? PS_COMPRESSION_GZIP : PS_COMPRESSION_NONE;
    channel->wrap_recordio = wrapper_no == 1;
    set_mode(channel, mode_no);
    return rc;
}

static int take_channels(const struct ps_place *root, struct ps_job *job, int mode_no)
{
    struct ps_place channels = ps_place_member(root, "InputDataConfig");
    int rc = PENSTOCK_OK;

    if (channels.value && !json_is_array(channels.value))
        return ps_place_fail(&channels, "must be an array of channels");
    for (size_t i = 0; i < json_array_size(channels.value) && rc == PENSTOCK_OK; i++) {
        struct ps_place item = ps_place_item(&channels, i);

        rc = take_channel(&item, job, i, mode_no);
    }
    return rc;
}

/* `pairs` and `count` receive the members of an object of strings. */
static int take_pairs(const struct ps_place *place, struct ps_job_pair **pairs, size_t *count)
{
    const char *name;
    json_t *value;
    int rc = PENSTOCK_OK;

    if (!place->value)
        return PENSTOCK_OK;
    if (!json_is_object(place->value))
        return ps_place_fail(place, "must be an object of strings");
    json_object_foreach((json_t *)place->value, name, value)
    {
        struct ps_place member = ps_place_member(place, name);

        if (!json_is_string(value))
            return ps_place_fail(&member, "must be a string, as every value here");
        rc = ps_job_add_pair(pairs, count, name, json_string_value(value), place->error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return rc;
}

static int take_algorithm(const struct ps_place *root, struct ps_job *job, int *mode_no)
{
    struct ps_place algorithm = ps_place_member(root, "AlgorithmSpecification");
    struct ps_place mode = ps_place_member(&algorithm, "TrainingInputMode");
    struct ps_place entrypoint = ps_place_member(&algorithm, "ContainerEntrypoint");
    struct ps_place arguments = ps_place_member(&algorithm, "ContainerArguments");
    int rc;

    if (algorithm.value && !json_is_object(algorithm.value))
        return ps_place_fail(&algorithm, "must be an object");
    rc = ps_place_choice(&mode, modes, mode_no);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&entrypoint, &job->entrypoint, &job->entrypoint_count);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&arguments, &job->arguments, &job->argument_count);
    return rc;
}

static int take_group(const struct ps_place *place, struct ps_job_group *group)
{
    int rc = json_is_object(place->value) ? PENSTOCK_OK : ps_place_fail(place, "must be an object");
    struct ps_place name = required(place, "InstanceGroupName", &rc);
    struct ps_place count = required(place, "InstanceCount", &rc);
    struct ps_place type = ps_place_member(place, "InstanceType");
    int64_t host_count = 0;

    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&name, &group->name);
    if (rc == PENSTOCK_OK)
        rc = ps_place_integer(&count, 1, PS_JOB_HOSTS_MAX, &host_count);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&type, &group->instance_type);
    group->host_count = (size_t)host_count;
    return rc;
}

static int take_groups(const struct ps_place *groups, struct ps_job *job)
{
    size_t count = json_array_size(groups->value);
    int rc = PENSTOCK_OK;

    if (groups->value && !json_is_array(groups->value))
        return ps_place_fail(groups, "must be an array");
    if (count > 0 && !(job->groups = calloc(count, sizeof *job->groups)))
        return ps_fail(groups->error, PENSTOCK_E_MEMORY, "out of memory for %zu groups", count);
    for (job->group_count = 0; job->group_count < count && rc == PENSTOCK_OK;) {
        struct ps_place item = ps_place_item(groups, job->group_count);

        rc = take_group(&item, &job->groups[job->group_count++]);
    }
    return rc;
}

/* Where instances are counted elsewhere (groups, serverless jobs), InstanceCount may be 0. */
static int take_resources(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place resources = ps_place_member(root, "ResourceConfig");
    struct ps_place groups = ps_place_member(&resources, "InstanceGroups");
    struct ps_place count = ps_place_member(&resources, "InstanceCount");
    struct ps_place selected = ps_place_member(&resources, "SelectedInstanceCount");
    struct ps_place type = ps_place_member(&resources, "InstanceType");
    struct ps_place selected_type = ps_place_member(&resources, "SelectedInstanceType");
    int64_t host_count = 0;
    int rc;

    if (resources.value && !json_is_object(resources.value))
        return ps_place_fail(&resources, "must be an object");
    rc = take_groups(&groups, job);
    if (rc == PENSTOCK_OK)
        rc = ps_place_integer(&count, 0, PS_JOB_HOSTS_MAX, &host_count);
    if (rc == PENSTOCK_OK && host_count == 0)
        rc = ps_place_integer(&selected, 0, PS_JOB_HOSTS_MAX, &host_count);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(type.value ? &type : &selected_type, &job->instance_type);
    if (!job->hosts_given)
        job->host_count = (size_t)host_count;
    return rc;
}

static int take_checkpoints(const struct ps_place *root, struct ps_job *job)
{
    static const char *const names[] = {"S3Uri", "LocalPath", NULL};
    struct ps_place config = ps_place_member(root, "CheckpointConfig");
    struct ps_place local_path = ps_place_member(&config, "LocalPath");
    int rc = config.value ? ps_place_object(&config, names) : PENSTOCK_OK;
    struct ps_place uri = ps_place_member(&config, "S3Uri");

    if (rc == PENSTOCK_OK && config.value && !uri.value)
        rc = ps_place_fail(&uri, "is missing");
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&uri, &job->checkpoint_s3_uri);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&local_path, &job->checkpoint_local_path);
    return rc;
}

/* Fields that are not read here are accepted, but not those that look like one that is. */
static int check_spelling(const struct ps_place *root)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)root->value, name, value)
    {
        const char *meant = ps_job_meant(name, ps_job_api_keys);

        if (meant)
            return ps_fail(root->error, PENSTOCK_E_ARGUMENT,
                           "%s: there is no such field (is it to be %s?)", name, meant);
    }
    return PENSTOCK_OK;
}

int ps_job_take_api(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place name = ps_place_member(root, "TrainingJobName");
    struct ps_place arn = ps_place_member(root, "TrainingJobArn");
    struct ps_place hyperparameters = ps_place_member(root, "HyperParameters");
    struct ps_place environment = ps_place_member(root, "Environment");
    int mode_no = 1; /* File */
    int rc = check_spelling(root);

    job->form = PS_FORM_API;
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&name, &job->name);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&arn, &job->arn);
    if (rc == PENSTOCK_OK)
        rc = take_algorithm(root, job, &mode_no);
    if (rc == PENSTOCK_OK)
        rc = take_channels(root, job, mode_no);
    if (rc == PENSTOCK_OK)
        rc = take_pairs(&hyperparameters, &job->hyperparameters, &job->hyperparameter_count);
    if (rc == PENSTOCK_OK)
        rc = take_pairs(&environment, &job->environment, &job->environment_count);
    if (rc == PENSTOCK_OK)
        rc = take_resources(root, job);
    if (rc == PENSTOCK_OK)
        rc = take_checkpoints(root, job);
    return rc;
}
