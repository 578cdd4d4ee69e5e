/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_toolkit.c - SM_* that come of hyperparameters, as SageMaker's training toolkit makes
 * them (aws/sagemaker-training-toolkit, environment.py).
 *
 * It reads each hyperparameter's value as JSON where it is JSON. Such a value is passed on as it is
 * written, so numbers keep their digits.
 */
#include "pipe/job_parts.h"
#include "pipe/job_variables.h"

#include "formats/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Finds the one JSON value that `text`, which is put into brackets, holds. */
static bool find_value(const char *text, struct fmt_json_value *value)
{
    struct fmt_json json;
    struct fmt_json_value name;
    struct fmt_json_value none;
    struct fmt_error error;

    fmt_json_begin(&json, (const uint8_t *)text, strlen(text));
    return fmt_json_enter(&json, '[', &error) == FMT_OK &&
           fmt_json_next(&json, &name, value, &error) == FMT_OK && value->kind != FMT_JSON_NONE &&
           fmt_json_next(&json, &name, &none, &error) == FMT_OK && none.kind == FMT_JSON_NONE &&
           fmt_json_end(&json, &error) == FMT_OK;
}

static char *unescaped(const struct fmt_json_value *value)
{
    char *text = malloc(value->len_bytes + 1);

    if (text)
        text[fmt_json_unescape(value, (uint8_t *)text)] = '\0';
    return text;
}

/* Reads `value`: JSON where it is JSON, else a string. Either text is NULL when memory is out. */
static struct reading read_value(const char *value)
{
    struct reading reading = {.json = NULL};
    struct fmt_json_value found;
    char *whole = NULL;

    if (asprintf(&whole, "[%s]", value) < 0)
        return reading;
    if (!find_value(whole, &found)) {
        reading.json = ps_json_quoted(value);
        reading.text = strdup(value);
    } else if (found.kind == FMT_JSON_STRING) {
        reading.text = unescaped(&found);
        reading.json = strndup((const char *)found.bytes - 1, found.len_bytes + 2);
    } else {
        reading.json = strndup((const char *)found.bytes, found.len_bytes);
        reading.text = found.kind == FMT_JSON_NULL
                           ? strdup("")
                           : strndup((const char *)found.bytes, found.len_bytes);
    }
    free(whole);
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

static void add_argument(struct ps_growing *arguments, const char *name, const char *value)
{
    struct ps_growing option = {.bytes = NULL};

    ps_growing_add(&option, strlen(name) > 1 ? "--" : "-");
    ps_growing_add(&option, name);
    ps_growing_next(arguments, '[', NULL);
    if (option.failed)
        arguments->failed = true;
    else
        ps_growing_quoted(arguments, option.bytes);
    ps_growing_next(arguments, '[', NULL);
    ps_growing_quoted(arguments, value);
    free(option.bytes);
}

/* SM_HP_A-B is the toolkit's name, SM_HP_A_B ModelTrainer's, which a shell can read. */
static void put_both(struct ps_variables *env, const char *name, const char *value)
{
    char *plain = strdup(name);

    ps_variables_put_sm(env, "HP_", name, value);
    if (!plain) {
        env->failed = true;
        return;
    }
    for (char *c = plain; *c; c++)
        if (*c == '-')
            *c = '_';
    ps_variables_put_sm(env, "HP_", plain, value);
    free(plain);
}

void ps_job_tell_hyperparameters(const struct ps_job *job, struct ps_variables *env)
{
    const struct ps_job_pair **sorted = calloc(job->hyperparameter_count + 1, sizeof *sorted);
    struct ps_growing own = {.bytes = NULL};
    struct ps_growing frameworks = {.bytes = NULL};
    struct ps_growing arguments = {.bytes = NULL};
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
            put_both(env, name, reading.text);
            ps_growing_next(&own, '{', name);
            ps_growing_add(&own, reading.json);
            add_argument(&arguments, name, argument(&reading));
        } else if (is_frameworks(name)) {
            ps_growing_next(&frameworks, '{', name);
            ps_growing_add(&frameworks, reading.json);
        }
        free_reading(&reading);
    }
    env->failed = env->failed || !sorted;
    free(sorted);
    json = ps_growing_finish(&own, "{", "}");
    ps_variables_put_sm(env, "", "HPS", json ? json : "");
    ps_variables_tell_only(env, "hyperparameters", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    json = ps_growing_finish(&frameworks, "{", "}");
    ps_variables_put_sm(env, "", "FRAMEWORK_PARAMS", json ? json : "");
    ps_variables_tell_only(env, "additional_framework_parameters", json ? json : "{}");
    env->failed = env->failed || !json;
    free(json);
    json = ps_growing_finish(&arguments, "[", "]");
    ps_variables_put_sm(env, "", "USER_ARGS", json ? json : "");
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
void ps_job_tell_module(const struct ps_job *job, const char *base, struct ps_variables *env)
{
    const char *named = ps_variables_get(env, "SAGEMAKER_PROGRAM");
    char *program = named ? strdup(named) : hyperparameter(job, "sagemaker_program", "");
    char *level = hyperparameter(job, "sagemaker_container_log_level", "20");
    char *code = NULL;
    char *directory = NULL;
    size_t len = program ? strlen(program) : 0;

    if (asprintf(&code, "%s/code", base) < 0)
        code = NULL;
    directory = code ? hyperparameter(job, "sagemaker_submit_directory", code) : NULL;
    if (program && level && directory) {
        ps_variables_tell(env, "user_entry_point", program);
        if (len > 3 && strcmp(program + len - 3, ".py") == 0)
            program[len - 3] = '\0';
        ps_variables_tell(env, "module_name", program);
        ps_variables_tell(env, "module_dir", directory);
        if (strspn(level, "0123456789") == strlen(level) && *level)
            ps_variables_tell_json(env, "log_level", level);
        else
            ps_variables_tell(env, "log_level", level);
    } else {
        env->failed = true;
    }
    free(program);
    free(level);
    free(code);
    free(directory);
}
