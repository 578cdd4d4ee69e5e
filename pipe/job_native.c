/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_native.c - a job from the short form, penstock's own: see penstock-job(5).
 *
 *     {"channels": {"train": "s3://bucket/train/",
 *                   "validation": {"uri": "file:///data/validation", "mode": "file"}},
 *      "hyperparameters": {"epochs": 5}}
 */
#include "pipe/job_parts.h"
#include "pipe/job_variables.h"

#include "pipe/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ps_job_native_keys[] = {
    "channels", "name",   "region",       "mode",          "hyperparameters",   "environment",
    "hosts",    "groups", "current_host", "instance_type", "network_interface", "checkpoint",
    "command",  NULL};

/* Words of the short form that are also those of --channel. */
static int take_words(const struct ps_place *place, struct ps_job_channel *channel)
{
    static const char *const names[] = {"mode", "type", "compression", "wrap"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct ps_place word = ps_place_member(place, names[i]);
        int rc;

        if (!word.value)
            continue;
        if (!json_is_string(word.value))
            return ps_place_fail(&word, "must be a string");
        rc = ps_job_set_word(channel, names[i], json_string_value(word.value), word.path,
                             place->error);
        if (rc < 0)
            return rc;
    }
    return PENSTOCK_OK;
}

static int take_members(const struct ps_place *place, struct ps_job_channel *channel)
{
    static const char *const names[] = {"uri",     "content_type", "mode", "type",
                                        "sharded", "compression",  "wrap", "shuffle",
                                        "groups",  "attributes",   NULL};
    int rc = ps_place_object(place, names);
    struct ps_place uri = ps_place_member(place, "uri");
    struct ps_place content_type = ps_place_member(place, "content_type");
    struct ps_place sharded = ps_place_member(place, "sharded");
    struct ps_place shuffle = ps_place_member(place, "shuffle");
    struct ps_place groups = ps_place_member(place, "groups");
    struct ps_place attributes = ps_place_member(place, "attributes");
    int64_t seed = 0;

    if (rc == PENSTOCK_OK && !uri.value)
        rc = ps_place_fail(&uri, "is missing");
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&uri, &channel->uri);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&content_type, &channel->content_type);
    if (rc == PENSTOCK_OK)
        rc = take_words(place, channel);
    if (rc == PENSTOCK_OK)
        rc = ps_place_flag(&sharded, &channel->sharded);
    if (rc == PENSTOCK_OK)
        rc = ps_place_integer(&shuffle, INT64_MIN, INT64_MAX, &seed);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&groups, &channel->group_names, &channel->group_count);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&attributes, &channel->attribute_names, &channel->attribute_count);
    channel->shuffle = shuffle.value != NULL;
    channel->seed = (uint64_t)seed;
    return rc;
}

static int take_channels(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place channels = ps_place_member(root, "channels");
    struct ps_place mode = ps_place_member(root, "mode");
    const char *name;
    json_t *value;

    if (channels.value && !json_is_object(channels.value))
        return ps_place_fail(&channels, "must be an object of channels, by their names");
    if (mode.value && !json_is_string(mode.value))
        return ps_place_fail(&mode, "must be a string");
    json_object_foreach((json_t *)channels.value, name, value)
    {
        struct ps_place place = ps_place_member(&channels, name);
        struct ps_job_channel *channel;
        int rc = ps_job_new_channel(job, PS_FORM_NATIVE, &channel, root->error);

        if (rc == PENSTOCK_OK)
            rc = ps_job_copy(&channel->name, name, root->error);
        if (rc == PENSTOCK_OK && mode.value)
            rc = ps_job_set_word(channel, "mode", json_string_value(mode.value), mode.path,
                                 root->error);
        if (rc < 0)
            return rc;
        if (json_is_string(value))
            rc = ps_place_text(&place, &channel->uri);
        else if (json_is_object(value))
            rc = take_members(&place, channel);
        else
            rc = ps_place_fail(&place, "must be a URI, or an object with one");
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

/* The shortest decimal that reads back as `value`. */
static void real_text(double value, char *text, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

/* Every hyperparameter is a string to the program; numbers, flags and lists become their JSON. */
static int take_value(const json_t *value, struct ps_job_pair **pairs, size_t *count,
                      const char *name, struct penstock_error *error)
{
    char number[40];
    char *text = NULL;
    int rc;

    if (json_is_string(value))
        return ps_job_add_pair(pairs, count, name, json_string_value(value), error);
    if (json_is_real(value)) {
        real_text(json_real_value(value), number, sizeof number);
        return ps_job_add_pair(pairs, count, name, number, error);
    }
    text = ps_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s", name);
    rc = ps_job_add_pair(pairs, count, name, text, error);
    free(text);
    return rc;
}

static int take_pairs(const struct ps_place *root, const char *of, struct ps_job_pair **pairs,
                      size_t *count)
{
    struct ps_place place = ps_place_member(root, of);
    const char *name;
    json_t *value;

    if (place.value && !json_is_object(place.value))
        return ps_place_fail(&place, "must be an object");
    json_object_foreach((json_t *)place.value, name, value)
    {
        int rc = take_value(value, pairs, count, name, root->error);

        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

/* "groups": {"name": number of hosts}, in the order of the hosts. */
static int take_groups(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place groups = ps_place_member(root, "groups");
    size_t count = json_object_size(groups.value);
    const char *name;
    json_t *value;

    if (groups.value && !json_is_object(groups.value))
        return ps_place_fail(&groups, "must be an object: for each name a number of hosts");
    if (count > 0 && !(job->groups = calloc(count, sizeof *job->groups)))
        return ps_fail(root->error, PENSTOCK_E_MEMORY, "out of memory for %zu groups", count);
    json_object_foreach((json_t *)groups.value, name, value)
    {
        struct ps_place place = ps_place_member(&groups, name);
        struct ps_job_group *group = &job->groups[job->group_count++];
        int64_t host_count = 1;
        int rc = ps_place_integer(&place, 1, PS_JOB_HOSTS_MAX, &host_count);

        group->host_count = (size_t)host_count;
        if (rc == PENSTOCK_OK)
            rc = ps_job_copy(&group->name, name, root->error);
        if (rc == PENSTOCK_OK)
            rc = ps_job_copy(&group->instance_type, job->instance_type, root->error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

/* What options said of hosts before counts for more. */
static int take_hosts(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place hosts = ps_place_member(root, "hosts");
    struct ps_place current = ps_place_member(root, "current_host");
    char **names = NULL;
    size_t name_count = 0;
    int64_t host_count = 0;
    int rc;

    if (json_is_array(hosts.value))
        rc = ps_place_list(&hosts, &names, &name_count);
    else if (!hosts.value || json_is_integer(hosts.value))
        rc = ps_place_integer(&hosts, 1, PS_JOB_HOSTS_MAX, &host_count);
    else
        rc = ps_place_fail(&hosts, "must be a number, or an array of names");
    if (rc == PENSTOCK_OK && !job->hosts_given) {
        job->hosts_given = names;
        job->host_count = names ? name_count : (size_t)host_count;
    } else {
        ps_job_free_list(&names, &name_count);
    }
    if (rc == PENSTOCK_OK && !job->current_host_set)
        rc = ps_place_text(&current, &job->current_host);
    return rc;
}

static int take_machine(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place type = ps_place_member(root, "instance_type");
    struct ps_place network = ps_place_member(root, "network_interface");
    int rc = ps_place_text(&type, &job->instance_type);

    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&network, &job->network_interface);
    if (rc == PENSTOCK_OK)
        rc = take_groups(root, job);
    return rc;
}

static int take_checkpoint(const struct ps_place *root, struct ps_job *job)
{
    static const char *const names[] = {"uri", "path", NULL};
    struct ps_place checkpoint = ps_place_member(root, "checkpoint");
    struct ps_place path = ps_place_member(&checkpoint, "path");
    int rc = checkpoint.value ? ps_place_object(&checkpoint, names) : PENSTOCK_OK;
    struct ps_place uri = ps_place_member(&checkpoint, "uri");

    if (rc == PENSTOCK_OK && checkpoint.value && !uri.value)
        rc = ps_place_fail(&uri, "is missing");
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&uri, &job->checkpoint_s3_uri);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&path, &job->checkpoint_local_path);
    return rc;
}

int ps_job_take_native(const struct ps_place *root, struct ps_job *job)
{
    struct ps_place name = ps_place_member(root, "name");
    struct ps_place region = ps_place_member(root, "region");
    struct ps_place command = ps_place_member(root, "command");
    int rc = ps_place_object(root, ps_job_native_keys);

    job->form = PS_FORM_NATIVE;
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&name, &job->name);
    if (rc == PENSTOCK_OK)
        rc = ps_place_text(&region, &job->region);
    if (rc == PENSTOCK_OK)
        rc = take_channels(root, job);
    if (rc == PENSTOCK_OK)
        rc = take_pairs(root, "hyperparameters", &job->hyperparameters, &job->hyperparameter_count);
    if (rc == PENSTOCK_OK)
        rc = take_pairs(root, "environment", &job->environment, &job->environment_count);
    if (rc == PENSTOCK_OK)
        rc = take_hosts(root, job);
    if (rc == PENSTOCK_OK)
        rc = take_machine(root, job);
    if (rc == PENSTOCK_OK)
        rc = take_checkpoint(root, job);
    if (rc == PENSTOCK_OK)
        rc = ps_place_list(&command, &job->entrypoint, &job->entrypoint_count);
    return rc;
}
