/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_environment.c - pipe/job_{environment,toolkit,variables}.c: the variables of
 * the training program.
 *
 * Expected values were printed by aws/sagemaker-training-toolkit 5.1.4 from the same files, but for
 * numbers, which it writes anew (0.001 for 1e-3).
 */
#include "tests/unit/job_fixture.h"

#include <jansson.h>
#include <unistd.h>

static const char job_json[] =
    "{\"TrainingJobName\": \"my-job\", \"AlgorithmSpecification\": {\"TrainingInputMode\": "
    "\"Pipe\"},"
    " \"TrainingJobArn\": \"arn:aws:sagemaker:eu-west-1:123456789012:training-job/my-job\","
    " \"InputDataConfig\": ["
    "  {\"ChannelName\": \"b-x\", \"DataSource\": {\"S3DataSource\": {\"S3DataType\": \"S3Prefix\","
    "   \"S3Uri\": \"s3://bucket/\"}}},"
    "  {\"ChannelName\": \"a.1\", \"DataSource\": {\"S3DataSource\": {\"S3DataType\": \"S3Prefix\","
    "   \"S3Uri\": \"s3://bucket/\"}}}],"
    " \"HyperParameters\": {\"sagemaker_program\": \"\\\"train.py\\\"\","
    "  \"sagemaker_container_log_level\": \"10\", \"sagemaker_foo\": \"{\\\"a\\\":1}\","
    "  \"sagemaker_submit_directory\": \"\\\"s3://x/y\\\"\", \"epochs\": \"5\", \"lr\": \"1e-3\","
    "  \"big\": \"123456789012345678901234567890\", \"flag\": \"true\", \"none\": \"null\","
    "  \"name\": \"x y\", \"uni\": \"\\u017elu\\u0165\", \"q\": \"\\\"q\\\\u00e9\\\"\","
    "  \"l\": \"[1, 2]\", \"sp\": \" 7 \", \"empty\": \"\", \"a=b\": \"1\", \"u-v\": \"2\"},"
    " \"Environment\": {\"MINE\": \"x=y\", \"PATH\": \"/job\"},"
    " \"ResourceConfig\": {\"InstanceGroups\": ["
    "   {\"InstanceGroupName\": \"g1\", \"InstanceType\": \"t1\", \"InstanceCount\": 2},"
    "   {\"InstanceGroupName\": \"g2\", \"InstanceType\": \"t2\", \"InstanceCount\": 1}]}}";

static const char *find(char **envp, const char *name)
{
    size_t len = strlen(name);
    const char *value = NULL;

    for (; *envp; envp++)
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=') {
            assert_null(value); /* each variable once */
            value = *envp + len + 1;
        }
    return value;
}

static char **compose(const char *json, const char *base)
{
    struct penstock_error error;
    struct ps_job job;
    char **envp = NULL;

    job_take_good(&job, json);
    if (ps_job_environment(&job, base, &envp, &error) != PENSTOCK_OK)
        fail_msg("%s", error.message);
    ps_job_free(&job);
    return envp;
}

static void check(char **envp, const char *name, const char *expected)
{
    const char *value = find(envp, name);

    if (!value || !expected ? value != expected : strcmp(value, expected) != 0)
        fail_msg("%s is '%s', not '%s'", name, value ? value : "unset",
                 expected ? expected : "unset");
}

static void test_variables_are_the_toolkits(void **state)
{
    static const char *const expected[][2] = {
        {"TRAINING_JOB_NAME", "my-job"},
        {"TRAINING_JOB_ARN", "arn:aws:sagemaker:eu-west-1:123456789012:training-job/my-job"},
        {"MINE", "x=y"},
        {"PATH", "/job"},
        {"KEPT", "kept"},
        {"AWS_REGION", "eu-west-1"},
        {"SAGEMAKER_BASE_DIR", NULL},
        {"SM_MODEL_DIR", "/opt/ml/model"},
        {"SM_INPUT_DIR", "/opt/ml/input"},
        {"SM_INPUT_CONFIG_DIR", "/opt/ml/input/config"},
        {"SM_OUTPUT_DIR", "/opt/ml/output"},
        {"SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"},
        {"SM_OUTPUT_INTERMEDIATE_DIR", "/opt/ml/output/intermediate"},
        {"SM_CHANNELS", "[\"a.1\",\"b-x\"]"},
        {"SM_CHANNEL_A.1", "/opt/ml/input/data/a.1"},
        {"SM_CHANNEL_B-X", "/opt/ml/input/data/b-x"},
        {"SM_HP_EPOCHS", "5"},
        {"SM_HP_LR", "1e-3"},
        {"SM_HP_BIG", "123456789012345678901234567890"},
        {"SM_HP_FLAG", "true"},
        {"SM_HP_NONE", ""},
        {"SM_HP_NAME", "x y"},
        {"SM_HP_UNI", "\xC5\xBElu\xC5\xA5"},
        {"SM_HP_Q", "q\xC3\xA9"},
        {"SM_HP_L", "[1, 2]"},
        {"SM_HP_SP", "7"},
        {"SM_HP_EMPTY", ""},
        {"SM_HP_SAGEMAKER_FOO", NULL},
        {"SM_HP_A", NULL},
        {"SM_HP_U-V", "2"},
        {"SM_HP_U_V", "2"},
        {"SM_HOST_COUNT", "3"},
        {"SM_CURRENT_HOST_RANK", "0"},
        {"SM_MASTER_ADDR", "algo-1"},
        {"SM_OUTPUT_FAILURE", "/opt/ml/output/failure"},
        {"SM_FRAMEWORK_PARAMS", "{\"sagemaker_foo\":{\"a\":1}}"},
        {"SM_USER_ENTRY_POINT", "train.py"},
        {"SM_MODULE_NAME", "train"},
        {"SM_MODULE_DIR", "s3://x/y"},
        {"SM_LOG_LEVEL", "10"},
        {"SM_HOSTS", "[\"algo-1\",\"algo-2\",\"algo-3\"]"},
        {"SM_CURRENT_HOST", "algo-1"},
        {"SM_CURRENT_INSTANCE_TYPE", "t1"},
        {"SM_CURRENT_INSTANCE_GROUP", "g1"},
        {"SM_CURRENT_INSTANCE_GROUP_HOSTS", "[\"algo-1\",\"algo-2\"]"},
        {"SM_INSTANCE_GROUPS", "[\"g1\",\"g2\"]"},
        {"SM_IS_HETERO", "true"},
        {"SM_USER_ARGS",
         "[\"--a=b\",\"1\",\"--big\",\"123456789012345678901234567890\",\"--empty\",\"\","
         "\"--epochs\",\"5\",\"--flag\",\"True\",\"-l\",\"[1, 2]\",\"--lr\",\"1e-3\","
         "\"--name\",\"x y\",\"--none\",\"\",\"-q\",\"q\\u00E9\",\"--sp\",\"7\","
         "\"--u-v\",\"2\",\"--uni\",\"\\u017Elu\\u0165\"]"},
        {"SM_HPS", "{\"a=b\":1,\"big\":123456789012345678901234567890,\"empty\":\"\",\"epochs\":5,"
                   "\"flag\":true,\"l\":[1, 2],\"lr\":1e-3,\"name\":\"x y\",\"none\":null,"
                   "\"q\":\"q\\u00e9\",\"sp\":7,\"u-v\":2,\"uni\":\"\\u017Elu\\u0165\"}"}};
    char **envp;

    (void)state;
    assert_int_equal(setenv("KEPT", "kept", 1), 0);
    assert_int_equal(setenv("MINE", "caller's", 1), 0);
    assert_int_equal(setenv("SAGEMAKER_BASE_DIR", "/elsewhere", 1), 0);
    assert_int_equal(unsetenv("AWS_REGION"), 0);
    envp = compose(job_json, "/opt/ml/");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        check(envp, expected[i][0], expected[i][1]);
    ps_job_environment_free(envp);
}

/* SM_TRAINING_ENV is one JSON object of all that. */
static void test_training_env_is_json(void **state)
{
    char **envp = compose(job_json, "/opt/ml");
    json_t *all = json_loads(find(envp, "SM_TRAINING_ENV"),
                             JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    json_t *hyperparameters = json_object_get(all, "hyperparameters");

    (void)state;
    assert_non_null(all);
    assert_string_equal(json_string_value(json_object_get(all, "job_name")), "my-job");
    assert_string_equal(json_string_value(json_object_get(all, "model_dir")), "/opt/ml/model");
    assert_int_equal(json_object_size(hyperparameters), 13);
    assert_true(json_real_value(json_object_get(hyperparameters, "lr")) == 1e-3);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(all, "channel_input_dirs"), "b-x")),
        "/opt/ml/input/data/b-x");
    assert_int_equal(json_object_size(json_object_get(all, "input_data_config")), 2);
    assert_int_equal(json_object_size(json_object_get(all, "instance_groups_dict")), 2);
    assert_true(json_is_true(json_object_get(all, "is_master")));
    json_decref(all);
    ps_job_environment_free(envp);
}

static void test_another_base_is_told(void **state)
{
    char here[4096];
    char *expected;
    char **envp;

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(setenv("AWS_REGION", "us-west-2", 1), 0);
    assert_int_equal(setenv("SAGEMAKER_PROGRAM", "env.py", 1), 0);
    envp = compose(job_json, "some/base");
    expected = job_text("%s/some/base", here);
    check(envp, "SAGEMAKER_BASE_DIR", expected);
    free(expected);
    expected = job_text("%s/some/base/input/data/a.1", here);
    check(envp, "SM_CHANNEL_A.1", expected);
    free(expected);
    check(envp, "AWS_REGION", "us-west-2");
    check(envp, "SM_MODULE_NAME", "env");
    ps_job_environment_free(envp);
    assert_int_equal(unsetenv("AWS_REGION"), 0);
    assert_int_equal(unsetenv("SAGEMAKER_PROGRAM"), 0);
}

/* No string in an environment may have 128 KiB: execve would fail. */
static void test_what_is_too_long_is_left_out(void **state)
{
    struct penstock_error error;
    struct ps_job job;
    char *value = job_letters(2400, "x");
    char **envp;

    (void)state;
    ps_job_init(&job);
    assert_int_equal(ps_job_add_channel(&job, "a=x", &error), PENSTOCK_OK);
    for (int i = 0; i < 60; i++) {
        char *name = job_text("h%d", i);

        assert_int_equal(ps_job_set_hyperparameter(&job, name, value, &error), PENSTOCK_OK);
        free(name);
    }
    assert_int_equal(ps_job_check(&job, &error), PENSTOCK_OK);
    assert_int_equal(ps_job_environment(&job, "/opt/ml", &envp, &error), PENSTOCK_OK);
    check(envp, "SM_HPS", NULL);
    check(envp, "SM_TRAINING_ENV", NULL);
    check(envp, "SM_HP_H59", value);
    ps_job_environment_free(envp);
    ps_job_free(&job);
    free(value);
}

static void test_a_base_that_is_no_text_is_refused(void **state)
{
    struct penstock_error error;
    struct ps_job job;
    char **envp;

    (void)state;
    job_take_good(&job, "{\"channels\": {\"a\": \"x\"}}");
    assert_int_equal(ps_job_environment(&job, "/\xFF", &envp, &error), PENSTOCK_E_MEMORY);
    assert_non_null(strstr(error.message, "is no UTF-8"));
    ps_job_free(&job);
    ps_job_environment_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables_are_the_toolkits),
        cmocka_unit_test(test_training_env_is_json),
        cmocka_unit_test(test_another_base_is_told),
        cmocka_unit_test(test_what_is_too_long_is_left_out),
        cmocka_unit_test(test_a_base_that_is_no_text_is_refused),
    };

    unsetenv("PENSTOCK_CURRENT_HOST");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
