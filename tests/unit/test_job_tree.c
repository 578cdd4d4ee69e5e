/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_tree.c - pipe/job_{tree,files}.c: the directories and files of a training
 * container.
 */
#include "tests/unit/job_fixture.h"
#include "tests/unit/scratch.h"

#include <errno.h>

/* As the developer guide shows these files; the network interface is given, since machines differ.
 */
static const char job_json[] =
    "{\"network_interface\": \"eth0\", \"instance_type\": \"ml.c5.xlarge\", \"hosts\": 2,"
    " \"channels\": {"
    "  \"train\": {\"uri\": \"s3://secret-bucket/\", \"content_type\": \"text/csv\","
    "   \"sharded\": true, \"shuffle\": 4711},"
    "  \"validation\": {\"uri\": \"x\", \"mode\": \"file\"},"
    "  \"records\": {\"uri\": \"x\", \"wrap\": \"recordio\"}},"
    " \"hyperparameters\": {\"epochs\": 5, \"sagemaker_program\": \"\\\"train.py\\\"\","
    "  \"caf\\u00e9\": \"\\ud83d\\ude00\"}}";

static void check_file(const struct scratch *scratch, const char *name, const char *text)
{
    char bytes[4096];
    int fd = open(scratch_path(scratch, name).text, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    assert_true(fd >= 0);
    len = read(fd, bytes, sizeof bytes - 1);
    assert_true(len >= 0);
    bytes[len] = '\0';
    close(fd);
    assert_string_equal(bytes, text);
}

static int write_tree(const char *json, const char *base, struct penstock_error *error)
{
    struct ps_job job;
    int rc;

    job_take_good(&job, json);
    rc = ps_job_write_tree(&job, base, error);
    ps_job_free(&job);
    return rc;
}

static void test_files_have_sagemakers_shapes(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;
    struct stat status;

    (void)state;
    assert_int_equal(write_tree(job_json, scratch_path(&scratch, "a/b//").text, &error),
                     PENSTOCK_OK);
    check_file(&scratch, "a/b/input/config/inputdataconfig.json",
               "{\"train\":{\"ContentType\":\"text/csv\",\"TrainingInputMode\":\"Pipe\","
               "\"S3DistributionType\":\"ShardedByS3Key\",\"RecordWrapperType\":\"None\"},"
               "\"validation\":{\"TrainingInputMode\":\"File\","
               "\"S3DistributionType\":\"FullyReplicated\",\"RecordWrapperType\":\"None\"},"
               "\"records\":{\"TrainingInputMode\":\"Pipe\","
               "\"S3DistributionType\":\"FullyReplicated\",\"RecordWrapperType\":\"RecordIO\"}}");
    check_file(&scratch, "a/b/input/config/resourceconfig.json",
               "{\"current_group_name\":\"homogeneousCluster\",\"current_host\":\"algo-1\","
               "\"current_instance_type\":\"ml.c5.xlarge\",\"hosts\":[\"algo-1\",\"algo-2\"],"
               "\"instance_groups\":[{\"instance_group_name\":\"homogeneousCluster\","
               "\"instance_type\":\"ml.c5.xlarge\",\"hosts\":[\"algo-1\",\"algo-2\"]}],"
               "\"network_interface_name\":\"eth0\"}");
    check_file(&scratch, "a/b/input/config/hyperparameters.json",
               "{\"epochs\":\"5\",\"sagemaker_program\":\"\\\"train.py\\\"\","
               "\"caf\xC3\xA9\":\"\xF0\x9F\x98\x80\"}");
    for (size_t i = 0; i < 3; i++) {
        static const char *const directories[] = {"a/b/input/data", "a/b/model", "a/b/output/data"};

        assert_int_equal(stat(scratch_path(&scratch, directories[i]).text, &status), 0);
        assert_true(S_ISDIR(status.st_mode));
    }
    assert_int_equal(
        access(scratch_path(&scratch, "a/b/input/config/checkpointconfig.json").text, F_OK), -1);
    scratch_close(&scratch);
}

static void test_groups_are_listed_with_their_hosts(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;

    (void)state;
    assert_int_equal(write_tree("{\"network_interface\": \"eth0\", \"instance_type\": \"t\","
                                " \"groups\": {\"g1\": 1, \"g2\": 2}, \"current_host\": \"algo-3\","
                                " \"channels\": {\"a\": {\"uri\": \"x\", \"groups\": [\"g1\"]},"
                                "  \"b\": {\"uri\": \"x\", \"groups\": [\"g2\"]}}}",
                                scratch.path, &error),
                     PENSTOCK_OK);
    check_file(&scratch, "input/config/resourceconfig.json",
               "{\"current_group_name\":\"g2\",\"current_host\":\"algo-3\","
               "\"current_instance_type\":\"t\",\"hosts\":[\"algo-1\",\"algo-2\",\"algo-3\"],"
               "\"instance_groups\":[{\"instance_group_name\":\"g1\",\"instance_type\":\"t\","
               "\"hosts\":[\"algo-1\"]},{\"instance_group_name\":\"g2\",\"instance_type\":\"t\","
               "\"hosts\":[\"algo-2\",\"algo-3\"]}],\"network_interface_name\":\"eth0\"}");
    check_file(&scratch, "input/config/inputdataconfig.json",
               "{\"b\":{\"TrainingInputMode\":\"Pipe\",\"S3DistributionType\":\"FullyReplicated\","
               "\"RecordWrapperType\":\"None\"}}");
    scratch_close(&scratch);
}

static void test_checkpoints_move_with_the_base(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;
    struct stat status;
    char *elsewhere = job_text("{\"channels\": {\"a\": \"x\"}, \"checkpoint\": "
                               "{\"uri\": \"s3://b/c\", \"path\": \"%s/far/away\"}}",
                               scratch.path);
    char *expected =
        job_text("{\"S3Uri\":\"s3://b/c\",\"LocalPath\":\"%s/checkpoints\"}", scratch.path);
    char *expected_far =
        job_text("{\"S3Uri\":\"s3://b/c\",\"LocalPath\":\"%s/far/away\"}", scratch.path);

    (void)state;
    assert_int_equal(write_tree("{\"channels\": {\"a\": \"x\"}, "
                                "\"checkpoint\": {\"uri\": \"s3://b/c\"}}",
                                scratch.path, &error),
                     PENSTOCK_OK);
    check_file(&scratch, "input/config/checkpointconfig.json", expected);
    assert_int_equal(stat(scratch_path(&scratch, "checkpoints").text, &status), 0);
    assert_int_equal(write_tree(elsewhere, scratch.path, &error), PENSTOCK_OK);
    check_file(&scratch, "input/config/checkpointconfig.json", expected_far);
    assert_int_equal(stat(scratch_path(&scratch, "far/away").text, &status), 0);
    free(elsewhere);
    free(expected);
    free(expected_far);
    scratch_close(&scratch);
}

/* A file that already says the same is not written: its directory may be read-only. Seen by the
 * inode, since root, as which containers run tests, may write anywhere. */
static void test_a_tree_that_is_there_is_left_alone(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;
    struct stat before;
    struct stat after;
    const char *name = "input/config/resourceconfig.json";

    (void)state;
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_OK);
    assert_int_equal(stat(scratch_path(&scratch, name).text, &before), 0);
    assert_int_equal(chmod(scratch_path(&scratch, "input/config").text, 0555), 0);
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_OK);
    assert_int_equal(stat(scratch_path(&scratch, name).text, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(chmod(scratch_path(&scratch, "input/config").text, 0755), 0);
    scratch_file(&scratch, name, "{}", 2);
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_OK);
    assert_int_equal(stat(scratch_path(&scratch, name).text, &after), 0);
    assert_true(before.st_size == after.st_size);
    scratch_close(&scratch);
}

/* Links are replaced, never written through; directories may be behind links. */
static void test_links_are_not_written_through(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;
    struct stat status;
    const char *name = "input/config/hyperparameters.json";

    (void)state;
    scratch_file(&scratch, "precious", "{}", 2);
    scratch_directory(&scratch, "elsewhere");
    scratch_directory(&scratch, "input");
    scratch_directory(&scratch, "input/config");
    scratch_link(&scratch, "input/data", "../elsewhere");
    scratch_link(&scratch, name, "../../precious");
    scratch_link(&scratch, "input/config/resourceconfig.json", "../../nowhere");
    assert_int_equal(mkfifo(scratch_path(&scratch, "input/config/inputdataconfig.json").text, 0600),
                     0);
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_OK);
    check_file(&scratch, "precious", "{}");
    assert_int_equal(lstat(scratch_path(&scratch, name).text, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(lstat(scratch_path(&scratch, "nowhere").text, &status), -1);
    assert_int_equal(
        lstat(scratch_path(&scratch, "input/config/inputdataconfig.json").text, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    scratch_close(&scratch);
}

static void test_what_is_in_the_way_is_named(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock_error error;
    char *deep = job_letters(5000, "x");

    (void)state;
    scratch_file(&scratch, "model", "", 0);
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "/model is in the way: it is no directory"));
    assert_int_equal(unlink(scratch_path(&scratch, "model").text), 0);
    scratch_link(&scratch, "model", "nowhere");
    assert_int_equal(write_tree(job_json, scratch.path, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "/model is in the way: it is a link to something that"));
    assert_int_equal(write_tree(job_json, "/proc/nothing/here", &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "cannot make directory /proc/nothing"));
    assert_int_equal(write_tree(job_json, deep, &error), PENSTOCK_E_ARGUMENT);
    free(deep);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_have_sagemakers_shapes),
        cmocka_unit_test(test_groups_are_listed_with_their_hosts),
        cmocka_unit_test(test_checkpoints_move_with_the_base),
        cmocka_unit_test(test_a_tree_that_is_there_is_left_alone),
        cmocka_unit_test(test_links_are_not_written_through),
        cmocka_unit_test(test_what_is_in_the_way_is_named),
    };

    unsetenv("PENSTOCK_CURRENT_HOST");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
