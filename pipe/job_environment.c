/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_environment.c - the variables of the training program.
 *
 * SM_* are those of SageMaker's training toolkit (aws/sagemaker-training-toolkit, environment.py),
 * which reads each hyperparameter's value as JSON where it is JSON. Such a value is passed on as it
 * is written, so numbers keep their digits.
 */
#include "pipe/job_parts.h"

#include "pipe/error.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Linux takes no longer string in an environment (MAX_ARG_STRLEN): what needs one is left out. */
#define VARIABLE_BYTES_MAX ((size_t)128 << 10)

/* A text that grows. */
struct growing {
    char *bytes;
    size_t len;
    size_t size;
    bool failed;
};

/* What is being composed. */
struct environment {
    const struct ps_job *job;
    char **items;
    size_t count;
    struct growing all; /* SM_TRAINING_ENV: the same once more, as one JSON object */
    bool failed;
};

static void add_bytes(struct growing *text, const char *more, size_t len)
{
    if (text->len + len + 1 > text->size) {
        size_t size = (text->len + len + 1) * 2;
        char *longer = text->failed ? NULL : realloc(text->bytes, size);

        if (!longer) {
            text->failed = true;
            return;
        }
        text->bytes = longer;
        text->size = size;
    }
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

static void add(struct growing *text, const char *more)
{
    add_bytes(text, more, strlen(more));
}

/* `text` as a JSON string; NULL: memory is out. */
static char *quoted(const char *text)
{
    json_t *string = json_string(text);
    char *json = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    json_decref(string);
    return json;
}

static void add_quoted(struct growing *text, const char *more)
{
    char *json = quoted(more);

    if (json)
        add(text, json);
    else
        text->failed = true;
    free(json);
}

/* Begins the next member of an object, or item of an array (name NULL). */
static void add_next(struct growing *text, char open, const char *name)
{
    add_bytes(text, text->len == 0 ? &open : ",", 1);
    if (name) {
        add_quoted(text, name);
        add(text, ":");
    }
}

/* Closes it; an empty one is made of nothing. */
static char *finish(struct growing *text, const char *open, const char *close)
{
    if (text->len == 0)
        add(text, open);
    add(text, close);
    if (text->failed) {
        free(text->bytes);
        text->bytes = NULL;
    }
    return text->bytes;
}

/* The place of variable `name`, or env->count. */
static size_t find(const struct environment *env, const char *name)
{
    size_t len = strlen(name);
    size_t i = 0;

    while (i < env->count && (strncmp(env->items[i], name, len) != 0 || env->items[i][len] != '='))
        i++;
    return i;
}

static const char *get(const struct environment *env, const char *name)
{
    size_t i = find(env, name);

    return i < env->count ? env->items[i] + strlen(name) + 1 : NULL;
}

/* Appends `item`, which is taken, or puts it in place of item i. */
static void place(struct environment *env, size_t i, char *item)
{
    char **longer;

    if (i < env->count) {
        free(env->items[i]);
        env->items[i] = item;
        return;
    }
    longer = realloc(env->items, (env->count + 2) * sizeof *longer);
    if (!longer) {
        free(item);
        env->failed = true;
        return;
    }
    env->items = longer;
    longer[env->count++] = item;
    longer[env->count] = NULL;
}

static void put(struct environment *env, const char *name, const char *value)
{
    char *item = NULL;

    if (strlen(name) + strlen(value) + 2 > VARIABLE_BYTES_MAX)
        return;
    if (asprintf(&item, "%s=%s", name, value) < 0)
        env->failed = true;
    else
        place(env, find(env, name), item);
}

static void drop(struct environment *env, const char *name)
{
    size_t i = find(env, name);

    if (i == env->count)
        return;
    free(env->items[i]);
    env->items[i] = env->items[--env->count];
    env->items[env->count] = NULL;
}

/* Sets SM_<NAME>, the name in capitals (of ASCII: others stay). */
static void put_sm(struct environment *env, const char *prefix, const char *name, const char *value)
{
    char *variable = NULL;

    if (asprintf(&variable, "SM_%s%s", prefix, name) < 0) {
        env->failed = true;
        return;
    }
    for (char *c = variable; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (!strchr(variable, '='))
        put(env, variable, value);
    free(variable);
}

/* Adds a member to SM_TRAINING_ENV. */
static void tell_only(struct environment *env, const char *name, const char *json)
{
    add_next(&env->all, '{', name);
    add(&env->all, json);
}

/* Sets SM_<NAME> to a JSON value that is no string, and adds it to SM_TRAINING_ENV. */
static void tell_json(struct environment *env, const char *name, const char *json)
{
    put_sm(env, "", name, json);
    tell_only(env, name, json);
}

static void tell(struct environment *env, const char *name, const char *text)
{
    char *json = quoted(text);

    put_sm(env, "", name, text);
    if (json)
        tell_only(env, name, json);
    else
        env->failed = true;
    free(json);
}

static void tell_number(struct environment *env, const char *name, long number)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", number);
    tell_json(env, name, text);
}

/* Takes `json`: NULL when memory ran out. */
static void tell_taken(struct environment *env, const char *name, char *json)
{
    if (json)
        tell_json(env, name, json);
    else
        env->failed = true;
    free(json);
}

/* --- hyperparameters --- */

/* A hyperparameter as the toolkit understands it. */
struct reading {
    char *json; /* its value as JSON */
    char *text; /* the value of its variable */
};

static void free_reading(struct reading *reading)
{
    free(reading->json);
    free(reading->text);
}

/* Reads `value`: JSON where it is JSON, else a string. Numbers of any size are JSON. */
static struct reading read_value(const char *value)
{
    struct reading reading = {.json = NULL};
    size_t skip = strspn(value, " \t\r\n");
    size_t len = strlen(value + skip);
    json_t *parsed = json_loads(value, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

    while (len > 0 && strchr(" \t\r\n", value[skip + len - 1]))
        len--;
    if (!parsed) {
        reading.json = quoted(value);
        reading.text = strdup(value);
    } else {
        const char *string = json_string_value(parsed);

        reading.json = strndup(value + skip, len);
        reading.text = string                 ? strdup(string)
                       : json_is_null(parsed) ? strdup("")
                                              : strndup(value + skip, len);
    }
    json_decref(parsed);
    return reading;
}

/* Those that tell the toolkit itself what to do; the program does not see them as its own. */
static bool is_toolkits(const char *name)
{
    return strncmp(name, "sagemaker_", 10) == 0 || strcmp(name, "default_user_module_name") == 0 ||
           strcmp(name, "_tuning_objective_metric") == 0;
}

/* Of those, the ones that are for frameworks. */
static bool is_frameworks(const char *name)
{
    static const char *const own[] = {
        "sagemaker_program",       "sagemaker_submit_directory",
        "sagemaker_region",        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_job_name",      "sagemaker_container_log_level",
        "sagemaker_s3_output",     "default_user_module_name",
        "_tuning_objective_metric"};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return false;
    return is_toolkits(name);
}

/* How Python writes a value in a command line. */
static const char *argument(const struct reading *reading)
{
    if (strcmp(reading->json, "true") == 0)
        return "True";
    return strcmp(reading->json, "false") == 0 ? "False" : reading->text;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct ps_job_pair *const *)a)->name,
                  (*(const struct ps_job_pair *const *)b)->name);
}

static void add_argument(struct growing *arguments, const char *name, const char *value)
{
    struct growing option = {.bytes = NULL};

    add(&option, strlen(name) > 1 ? "--" : "-");
    add(&option, name);
    add_next(arguments, '[', NULL);
    if (option.failed)
        arguments->failed = true;
    else
        add_quoted(arguments, option.bytes);
    add_next(arguments, '[', NULL);
    add_quoted(arguments, value);
    free(option.bytes);
}

static void tell_hyperparameters(struct environment *env)
{
    const struct ps_job *job = env->job;
    const struct ps_job_pair **sorted = calloc(job->hyperparameter_count + 1, sizeof *sorted);
    struct growing own = {.bytes = NULL};
    struct growing frameworks = {.bytes = NULL};
    struct growing arguments = {.bytes = NULL};
    char *json;

    for (size_t i = 0; i < job->hyperparameter_count && sorted; i++)
        sorted[i] = &job->hyperparameters[i];
    if (sorted)
        qsort(sorted, job->hyperparameter_count, sizeof *sorted, compare_names);
    for (size_t i = 0; i < job->hyperparameter_count && sorted; i++) {
        const char *name = sorted[i]->name;
        struct reading reading = read_value(sorted[i]->value);

        if (!reading.json || !reading.text) {
            env->failed = true;
        } else if (!is_toolkits(name)) {
            put_sm(env, "HP_", name, reading.text);
            add_next(&own, '{', name);
            add(&own, reading.json);
            add_argument(&arguments, name, argument(&reading));
        } else if (is_frameworks(name)) {
            add_next(&frameworks, '{', name);
            add(&frameworks, reading.json);
        }
        free_reading(&reading);
    }
    env->failed = env->failed || !sorted;
    free(sorted);
    json = finish(&own, "{", "}");
    put_sm(env, "", "HPS", json ? json : "");
    tell_only(env, "hyperparameters", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    json = finish(&frameworks, "{", "}");
    put_sm(env, "", "FRAMEWORK_PARAMS", json ? json : "");
    tell_only(env, "additional_framework_parameters", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    json = finish(&arguments, "[", "]");
    put_sm(env, "", "USER_ARGS", json ? json : "");
    env->failed = env->failed || !json;
    free(json);
}

/* What hyperparameter `name` says, or `otherwise`. The caller frees it. */
static char *hyperparameter(const struct ps_job *job, const char *name, const char *otherwise)
{
    for (size_t i = 0; i < job->hyperparameter_count; i++)
        if (strcmp(job->hyperparameters[i].name, name) == 0) {
            struct reading reading = read_value(job->hyperparameters[i].value);

            free(reading.json);
            return reading.text;
        }
    return strdup(otherwise);
}

/* The user's program, as the SageMaker SDK names it. */
static void tell_module(struct environment *env, const char *base)
{
    const char *named = get(env, "SAGEMAKER_PROGRAM");
    char *program = named ? strdup(named) : hyperparameter(env->job, "sagemaker_program", "");
    char *level = hyperparameter(env->job, "sagemaker_container_log_level", "20");
    char *code = NULL;
    char *directory = NULL;
    size_t len = program ? strlen(program) : 0;

    if (asprintf(&code, "%s/code", base) < 0)
        code = NULL;
    directory = code ? hyperparameter(env->job, "sagemaker_submit_directory", code) : NULL;
    if (program && level && directory) {
        tell(env, "user_entry_point", program);
        if (len > 3 && strcmp(program + len - 3, ".py") == 0)
            program[len - 3] = '\0';
        tell(env, "module_name", program);
        tell(env, "module_dir", directory);
        if (strspn(level, "0123456789") == strlen(level) && *level)
            tell_json(env, "log_level", level);
        else
            tell(env, "log_level", level);
    } else {
        env->failed = true;
    }
    free(program);
    free(level);
    free(code);
    free(directory);
}

/* --- hosts, channels and directories --- */

static char *json_of_hosts(char *const *hosts, size_t count)
{
    struct growing list = {.bytes = NULL};

    for (size_t i = 0; i < count; i++) {
        add_next(&list, '[', NULL);
        add_quoted(&list, hosts[i]);
    }
    return finish(&list, "[", "]");
}

static char *json_of_groups(const struct ps_job *job)
{
    struct growing list = {.bytes = NULL};

    for (size_t i = 0; i < job->group_count; i++) {
        add_next(&list, '[', NULL);
        add_quoted(&list, job->groups[i].name);
    }
    if (job->group_count == 0) {
        add_next(&list, '[', NULL);
        add_quoted(&list, ps_job_group_name(job));
    }
    return finish(&list, "[", "]");
}

/* resourceconfig.json, of which some members are told one by one. */
static void tell_hosts(struct environment *env)
{
    const struct ps_job *job = env->job;
    const struct ps_job_group *group =
        job->group_count > 0 ? &job->groups[job->current_group_index] : NULL;
    char *resources = ps_job_resource_config(job);
    json_t *parsed = resources ? json_loads(resources, 0, NULL) : NULL;
    const char *type = json_string_value(json_object_get(parsed, "current_instance_type"));

    tell_taken(env, "hosts", json_of_hosts(job->hosts, job->host_count));
    tell(env, "current_host", job->current_host);
    tell(env, "current_instance_type", type ? type : "local");
    tell(env, "current_instance_group", ps_job_group_name(job));
    tell_taken(env, "current_instance_group_hosts",
               group ? json_of_hosts(job->hosts_given + group->host_first, group->host_count)
                     : json_of_hosts(job->hosts, job->host_count));
    tell_taken(env, "instance_groups", json_of_groups(job));
    tell_json(env, "is_hetero", job->group_count > 1 ? "true" : "false");
    tell(env, "network_interface_name", job->network_interface);
    tell_only(env, "is_master", strcmp(job->current_host, job->hosts[0]) == 0 ? "true" : "false");
    json_decref(parsed);
    tell_taken(env, "resource_config", resources);
}

static void tell_channels(struct environment *env, const char *base)
{
    const struct ps_job *job = env->job;
    struct growing names = {.bytes = NULL};
    struct growing directories = {.bytes = NULL};
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
        put_sm(env, "CHANNEL_", job->channels[i].name, path);
        add_next(&directories, '{', job->channels[i].name);
        add_quoted(&directories, path);
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
    free(names.bytes);
    put_sm(env, "", "CHANNELS", json ? json : "");
    env->failed = env->failed || !json;
    free(json);
    json = finish(&directories, "{", "}");
    tell_only(env, "channel_input_dirs", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    tell_taken(env, "input_data_config", ps_job_input_data_config(job));
}

static void tell_directories(struct environment *env, const char *base)
{
    static const char *const directories[][2] = {
        {"input_dir", "input"},
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
        tell(env, directories[i][0], path);
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

static void tell_machine(struct environment *env)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    tell_number(env, "num_cpus", cpus > 0 ? cpus : 1);
    tell_number(env, "num_gpus", count_devices("nvidia"));
    if (count_devices("neuron") ==
        0) /* a device has several cores: how many, only its tool knows */
        tell_number(env, "num_neurons", 0);
}

/* What the service itself sets. */
static void put_service(struct environment *env, const char *base)
{
    const struct ps_job *job = env->job;

    for (size_t i = 0; i < job->environment_count; i++)
        put(env, job->environment[i].name, job->environment[i].value);
    put(env, "TRAINING_JOB_NAME", job->name);
    if (job->arn)
        put(env, "TRAINING_JOB_ARN", job->arn);
    if (job->region && !get(env, "AWS_REGION"))
        put(env, "AWS_REGION", job->region);
    if (strcmp(base, "/opt/ml") == 0)
        drop(env, "SAGEMAKER_BASE_DIR");
    else
        put(env, "SAGEMAKER_BASE_DIR", base);
}

static void compose(struct environment *env, const char *base)
{
    char *json;

    for (char **item = environ; *item && !env->failed; item++) {
        char *copy = strdup(*item);

        if (copy)
            place(env, env->count, copy);
        else
            env->failed = true;
    }
    put_service(env, base);
    tell_hyperparameters(env);
    tell_module(env, base);
    tell_hosts(env);
    tell_channels(env, base);
    tell_directories(env, base);
    tell_machine(env);
    add_next(&env->all, '{', "job_name");
    add_quoted(&env->all, env->job->name);
    json = finish(&env->all, "{", "}");
    if (json)
        put(env, "SM_TRAINING_ENV", json);
    env->failed = env->failed || !json;
    free(json);
}

int ps_job_environment(const struct ps_job *job, const char *base, char ***envp,
                       struct penstock_error *error)
{
    struct environment env = {.job = job};
    char *whole = ps_job_base(base);

    if (whole)
        compose(&env, whole);
    free(whole);
    if (!whole || env.failed) {
        ps_job_environment_free(env.items);
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for the program's environment");
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
