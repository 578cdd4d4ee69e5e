/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_environment.c - the variables of the training program: the service's, and SM_* of hosts,
 * channels and directories, by both of SageMaker's own programs that set them: its training toolkit
 * and the drivers of its SDK's ModelTrainer (sagemaker.modules.train.container_drivers).
 */
#include "pipe/job_parts.h"
#include "pipe/job_variables.h"

#include "pipe/error.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *json_of_hosts(char *const *hosts, size_t count)
{
    struct ps_growing list = {.bytes = NULL};

    for (size_t i = 0; i < count; i++) {
        ps_growing_next(&list, '[', NULL);
        ps_growing_quoted(&list, hosts[i]);
    }
    return ps_growing_finish(&list, "[", "]");
}

static char *json_of_groups(const struct ps_job *job)
{
    struct ps_growing list = {.bytes = NULL};

    for (size_t i = 0; i < job->group_count; i++) {
        ps_growing_next(&list, '[', NULL);
        ps_growing_quoted(&list, job->groups[i].name);
    }
    if (job->group_count == 0) {
        ps_growing_next(&list, '[', NULL);
        ps_growing_quoted(&list, ps_job_group_name(job));
    }
    return ps_growing_finish(&list, "[", "]");
}

/* The groups of resourceconfig.json, by their names. */
static char *json_of_groups_by_name(const json_t *resources)
{
    struct ps_growing all = {.bytes = NULL};
    const json_t *groups = json_object_get(resources, "instance_groups");

    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *group = json_array_get(groups, i);
        const char *name = json_string_value(json_object_get(group, "instance_group_name"));
        char *json = ps_json_text(group, JSON_COMPACT);

        if (name && json) {
            ps_growing_next(&all, '{', name);
            ps_growing_add(&all, json);
        } else {
            all.failed = true;
        }
        free(json);
    }
    return ps_growing_finish(&all, "{", "}");
}

static void tell_number(struct ps_variables *env, const char *name, long number)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", number);
    ps_variables_tell_json(env, name, text);
}

/* This host's place among the sorted ones. */
static long current_rank(const struct ps_job *job)
{
    long rank = 0;

    while (strcmp(job->hosts[rank], job->current_host) != 0)
        rank++;
    return rank;
}

/* resourceconfig.json, of which some members are told one by one. */
static void tell_hosts(const struct ps_job *job, struct ps_variables *env)
{
    const struct ps_job_group *group =
        job->group_count > 0 ? &job->groups[job->current_group_index] : NULL;
    char *resources = ps_job_resource_config(job);
    json_t *parsed = resources ? json_loads(resources, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(parsed, "current_instance_type"));

    env->failed = env->failed || !parsed;
    ps_variables_tell_taken(env, "hosts", json_of_hosts(job->hosts, job->host_count));
    ps_variables_tell(env, "current_host", job->current_host);
    ps_variables_tell(env, "current_instance_type", type ? type : "local");
    ps_variables_tell(env, "current_instance_group", ps_job_group_name(job));
    ps_variables_tell_taken(
        env, "current_instance_group_hosts",
        group ? json_of_hosts(job->hosts_given + group->host_first, group->host_count)
              : json_of_hosts(job->hosts, job->host_count));
    ps_variables_tell_taken(env, "instance_groups", json_of_groups(job));
    ps_variables_tell_json(env, "is_hetero", job->group_count > 1 ? "true" : "false");
    ps_variables_tell(env, "network_interface_name", job->network_interface);
    ps_variables_tell_taken(env, "instance_groups_dict", json_of_groups_by_name(parsed));
    ps_variables_tell_json(env, "distribution_instance_groups", "[]");
    ps_variables_tell_only(env, "distribution_hosts", "[]");
    ps_variables_put_sm(env, "", "FRAMEWORK_MODULE", "");
    ps_variables_tell_only(env, "framework_module", "null");
    ps_variables_tell_only(env, "is_master",
                           strcmp(job->current_host, job->hosts[0]) == 0 ? "true" : "false");
    ps_growing_next(&env->all, '{', "master_hostname");
    ps_growing_quoted(&env->all, job->hosts[0]);
    ps_variables_tell(env, "master_addr", job->hosts[0]);
    tell_number(env, "master_port", 7777);
    tell_number(env, "host_count", (long)job->host_count);
    tell_number(env, "current_host_rank", current_rank(job));
    json_decref(parsed);
    ps_variables_tell_taken(env, "resource_config", resources);
}

static void tell_channels(const struct ps_job *job, const char *base, struct ps_variables *env)
{
    struct ps_growing directories = {.bytes = NULL};
    char **sorted = calloc(job->channel_count + 1, sizeof *sorted);
    size_t count = 0;
    char *json;

    for (size_t i = 0; i < job->channel_count && sorted; i++) {
        char *path = NULL;

        if (!job->channels[i].here)
            continue;
        sorted[count++] = job->channels[i].name;
        if (asprintf(&path, "%s/input/data/%s", base, job->channels[i].name) < 0) {
            env->failed = true;
            continue;
        }
        ps_variables_put_sm(env, "CHANNEL_", job->channels[i].name, path);
        ps_growing_next(&directories, '{', job->channels[i].name);
        ps_growing_quoted(&directories, path);
        free(path);
    }
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && strcmp(sorted[j - 1], sorted[j]) > 0; j--) {
            char *swap = sorted[j];

            sorted[j] = sorted[j - 1];
            sorted[j - 1] = swap;
        }
    json = sorted ? json_of_hosts(sorted, count) : NULL;
    free(sorted);
    ps_variables_put_sm(env, "", "CHANNELS", json ? json : "");
    env->failed = env->failed || !json;
    free(json);
    json = ps_growing_finish(&directories, "{", "}");
    ps_variables_tell_only(env, "channel_input_dirs", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    ps_variables_tell_taken(env, "input_data_config", ps_job_input_data_config(job));
}

static void tell_directories(struct ps_variables *env, const char *base)
{
    static const char *const directories[][2] = {
        {"input_dir", "input"},
        {"input_data_dir", "input/data"},
        {"output_failure", "output/failure"},
        {"input_config_dir", "input/config"},
        {"model_dir", "model"},
        {"output_dir", "output"},
        {"output_data_dir", "output/data"},
        {"output_intermediate_dir", "output/intermediate"}};

    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s", base, directories[i][1]) < 0) {
            env->failed = true;
            return;
        }
        ps_variables_tell(env, directories[i][0], path);
        free(path);
    }
}

/* How many of /dev/<name>0, 1, ... there are. */
static long count_devices(const char *name)
{
    DIR *devices = opendir("/dev");
    size_t len = strlen(name);
    long count = 0;

    for (struct dirent *entry; devices && (entry = readdir(devices));) {
        const char *digits = entry->d_name + len;

        count += strncmp(entry->d_name, name, len) == 0 && *digits &&
                 strspn(digits, "0123456789") == strlen(digits);
    }
    if (devices)
        closedir(devices);
    return count;
}

static void tell_machine(struct ps_variables *env)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    tell_number(env, "num_cpus", cpus > 0 ? cpus : 1);
    tell_number(env, "num_gpus", count_devices("nvidia"));
    if (count_devices("neuron") ==
        0) /* a device has several cores: how many, only its tool knows */
        tell_number(env, "num_neurons", 0);
}

/* What the service itself sets. */
static void put_service(const struct ps_job *job, const char *base, struct ps_variables *env)
{
    for (size_t i = 0; i < job->environment_count; i++)
        ps_variables_put(env, job->environment[i].name, job->environment[i].value);
    ps_variables_put(env, "TRAINING_JOB_NAME", job->name);
    if (job->arn)
        ps_variables_put(env, "TRAINING_JOB_ARN", job->arn);
    if (job->region && !ps_variables_get(env, "AWS_REGION"))
        ps_variables_put(env, "AWS_REGION", job->region);
    if (strcmp(base, "/opt/ml") == 0)
        ps_variables_drop(env, "SAGEMAKER_BASE_DIR");
    else
        ps_variables_put(env, "SAGEMAKER_BASE_DIR", base);
}

static void compose(const struct ps_job *job, const char *base, struct ps_variables *env)
{
    char *json;

    for (char **item = environ; *item && !env->failed; item++) {
        char *copy = strdup(*item);

        if (copy)
            ps_variables_append(env, copy);
        else
            env->failed = true;
    }
    put_service(job, base, env);
    ps_job_tell_hyperparameters(job, env);
    ps_job_tell_module(job, base, env);
    tell_hosts(job, env);
    tell_channels(job, base, env);
    tell_directories(env, base);
    tell_machine(env);
    ps_growing_next(&env->all, '{', "job_name");
    ps_growing_quoted(&env->all, job->name);
    json = ps_growing_finish(&env->all, "{", "}");
    if (json)
        ps_variables_put(env, "SM_TRAINING_ENV", json);
    env->failed = env->failed || !json;
    free(json);
}

int ps_job_environment(const struct ps_job *job, const char *base, char ***envp,
                       struct penstock_error *error)
{
    struct ps_variables env = {.items = NULL};
    char *whole = ps_job_base(base);

    if (whole)
        compose(job, whole, &env);
    free(whole);
    if (!whole || env.failed) {
        ps_job_environment_free(env.items);
        return ps_fail(error, PENSTOCK_E_MEMORY,
                       "cannot compose the program's environment: memory is out, or %s is no UTF-8",
                       base);
    }
    *envp = env.items;
    return PENSTOCK_OK;
}

void ps_job_environment_free(char **envp)
{
    for (char **item = envp; item && *item; item++)
        free(*item);
    free(envp);
}
