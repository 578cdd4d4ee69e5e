/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_faults.c - every allocation that a job asks for is refused once: there is an
 * error that says so, or nothing is missing; and nothing is left behind (AddressSanitizer looks).
 *
 * The Makefile links this program with --wrap for the functions below; jansson has hooks of its
 * own.
 */
#include "tests/unit/job_fixture.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>

static long fail_call; /* this one is refused, from 1 on; 0: none */
static long calls;

static bool refused(void)
{
    return fail_call > 0 && ++calls == fail_call;
}

#include "tests/unit/wrap.h"

WRAP(char *, strndup, (const char *text, size_t len), (text, len), NULL, ENOMEM)

static const char api[] =
    "{\"TrainingJobName\": \"n\", \"TrainingJobArn\": \"arn:aws:sagemaker:eu-west-1:1:x\","
    " \"AlgorithmSpecification\": {\"TrainingInputMode\": \"Pipe\", \"ContainerEntrypoint\": "
    "[\"a\"]},"
    " \"InputDataConfig\": [{\"ChannelName\": \"a\", \"ContentType\": \"a/b\", \"DataSource\": "
    "{\"S3DataSource\": {\"S3DataType\": \"AugmentedManifestFile\","
    " \"S3Uri\": \"https://bucket.s3.amazonaws.com/k\", \"AttributeNames\": [\"x\", \"y\"],"
    " \"InstanceGroupNames\": [\"g\"]}}}],"
    " \"HyperParameters\": {\"sagemaker_program\": \"\\\"t.py\\\"\", \"e\": \"5\", \"t\": \"x y\"},"
    " \"Environment\": {\"E\": \"x\"}, \"CheckpointConfig\": {\"S3Uri\": \"s3://x/y\"},"
    " \"ResourceConfig\": {\"InstanceGroups\": [{\"InstanceGroupName\": \"g\", \"InstanceType\": "
    "\"t\","
    " \"InstanceCount\": 2}]}}";

static const char native[] =
    "{\"channels\": {\"a\": \"x\", \"b\": {\"uri\": \"y\", \"mode\": \"file\"}}, \"name\": \"n\","
    " \"hyperparameters\": {\"e\": 5, \"r\": 0.5, \"s\": \"t\"}, \"hosts\": [\"p\", \"q\"],"
    " \"current_host\": \"q\", \"groups\": {\"g\": 1, \"h\": 1}, \"instance_type\": \"t\"}";

/* Does all that can be done with a job; SM_TRAINING_ENV goes to *told, which the caller frees. */
static int whole(struct ps_job *job, const char *json, const char *base, char **told,
                 struct penstock_error *error)
{
    char **envp = NULL;
    int rc = ps_job_parse(json, strlen(json), "job", job, error);

    if (rc == PENSTOCK_OK)
        rc = ps_job_add_channel(job, "c=z;shuffle=3;content_type=t/u", error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_set_hyperparameter(job, "e", "6", error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_check(job, error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_write_tree(job, base, error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_environment(job, base, &envp, error);
    fail_call = 0;
    for (char **item = envp; item && *item; item++)
        if (strncmp(*item, "SM_TRAINING_ENV=", 16) == 0)
            *told = strdup(*item);
    ps_job_environment_free(envp);
    return rc;
}

/* Refuses allocation `call`, if it comes to that; 0: none. Returns how many were asked for. */
static long refuse(long call, const char *json, const char *base, char **expected)
{
    struct penstock_error error = {.rc = PENSTOCK_OK};
    struct ps_job job;
    char *told = NULL;
    int rc;

    ps_job_init(&job);
    calls = 0;
    fail_call = call > 0 ? call : LONG_MAX;
    rc = whole(&job, json, base, &told, &error);
    ps_job_free(&job);
    if (rc != PENSTOCK_OK)
        assert_true(rc == error.rc && *error.message && call > 0);
    else if (call > 0)
        assert_string_equal(told, *expected);
    if (call > 0)
        free(told);
    else
        *expected = told;
    return calls;
}

static void refuse_each_in_turn(const char *json)
{
    struct scratch scratch = scratch_open();
    char *expected = NULL;
    long call = 1;

    assert_true(refuse(0, json, scratch.path, &expected) > 100);
    while (refuse(call, json, scratch.path, &expected) >= call)
        call++;
    assert_true(call > 100);
    free(expected);
    scratch_close(&scratch);
}

static void test_a_job_survives_each_refusal(void **state)
{
    (void)state;
    refuse_each_in_turn(api);
    refuse_each_in_turn(native);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_survives_each_refusal),
    };

    unsetenv("PENSTOCK_CURRENT_HOST");
    json_set_alloc_funcs(__wrap_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
