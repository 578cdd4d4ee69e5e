/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_check.c - pipe/job_{check,hosts}.c: limits, clashing names, and who receives
 * what.
 */
#include "tests/unit/job_fixture.h"

#define S3(type, uri) "{\"S3DataSource\": {\"S3DataType\": \"" type "\", \"S3Uri\": \"" uri "\"}}"
#define CHANNEL(name, more)                                                                        \
    "{\"ChannelName\": \"" name "\", \"DataSource\": " S3("S3Prefix", "s3://bucket/") more "}"
#define JOB(channels, more) "{\"InputDataConfig\": [" channels "]" more "}"
#define SMALL JOB(CHANNEL("a", ""), "")

/* A pattern with "%s" for a text of some letters: `most` are good, one more is not. */
static void check_limit(const char *pattern, size_t most, const char *letter, const char *field)
{
    for (size_t count = most; count <= most + 1; count++) {
        char *letters = job_letters(count, letter);
        const char *hole = strstr(pattern, "%s");
        char *json = job_text("%.*s%s%s", (int)(hole - pattern), pattern, letters, hole + 2);
        struct ps_job job;
        const char *message = job_take(&job, json);

        if (count == most ? *message != '\0' : !strstr(message, field))
            fail_msg("%s with %zu characters: '%s'", field, count, message);
        if (count > most && !strstr(message, " characters, at most "))
            fail_msg("'%s' does not tell the limit", message);
        ps_job_free(&job);
        free(json);
        free(letters);
    }
}

static void test_lengths_are_limited_in_characters(void **state)
{
    (void)state;
    check_limit(JOB(CHANNEL("%s", ""), ""), 64, "x", "InputDataConfig[0].ChannelName: ");
    check_limit(JOB(CHANNEL("a", ", \"ContentType\": \"%s\""), ""), 256, "\xC3\xA9",
                "InputDataConfig[0].ContentType: ");
    check_limit(
        JOB("{\"ChannelName\": \"a\", \"DataSource\": " S3("S3Prefix", "s3://bucket/%s") "}", ""),
        1024 - 12, "k", "InputDataConfig[0].DataSource.S3DataSource.S3Uri: ");
    check_limit(JOB("{\"ChannelName\": \"a\", \"InputMode\": \"Pipe\", \"DataSource\": "
                    "{\"S3DataSource\": {\"S3DataType\": \"AugmentedManifestFile\", "
                    "\"S3Uri\": \"s3://bucket/m\", \"AttributeNames\": [\"b\", \"%s\"]}}}",
                    ""),
                256, "\xF0\x9F\x98\x80",
                "InputDataConfig[0].DataSource.S3DataSource.AttributeNames[1]: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"HyperParameters\": {\"%s\": \"\"}"), 256, "x",
                "HyperParameters");
    check_limit(JOB(CHANNEL("a", ""), ", \"HyperParameters\": {\"h\": \"%s\"}"), 2500, "\xC3\xA9",
                "HyperParameters.h: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"Environment\": {\"%s\": \"\"}"), 512, "X",
                "Environment");
    check_limit(JOB(CHANNEL("a", ""), ", \"Environment\": {\"E\": \"%s\"}"), 512, "x",
                "Environment.E: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"TrainingJobName\": \"%s\""), 63, "x",
                "TrainingJobName: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"CheckpointConfig\": {\"S3Uri\": \"s3://b/%s\"}"), 1017,
                "x", "CheckpointConfig.S3Uri: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"AlgorithmSpecification\": "
                                      "{\"ContainerEntrypoint\": [\"%s\"]}"),
                256, "x", "AlgorithmSpecification.ContainerEntrypoint[0]: ");
    check_limit(JOB(CHANNEL("a", ""), ", \"ResourceConfig\": {\"InstanceGroups\": "
                                      "[{\"InstanceGroupName\": \"%s\", \"InstanceCount\": 1}]}"),
                64, "x", "ResourceConfig.InstanceGroups: ");
}

/* `count` of `item`, in which "%zu" is its number, within a job of `pattern`. */
static char *many(const char *pattern, const char *item, size_t count)
{
    char *list = job_text("%s", "");

    for (size_t i = 0; i < count; i++) {
        const char *hole = strstr(item, "%zu");
        char *longer = job_text("%s%s%.*s%zu%s", list, i > 0 ? ", " : "", (int)(hole - item), item,
                                i, hole + 3);

        free(list);
        list = longer;
    }
    {
        const char *hole = strstr(pattern, "%s");
        char *json = job_text("%.*s%s%s", (int)(hole - pattern), pattern, list, hole + 2);

        free(list);
        return json;
    }
}

static void check_count(const char *pattern, const char *item, size_t most, const char *says)
{
    char *good = many(pattern, item, most);
    char *bad = many(pattern, item, most + 1);
    struct ps_job job;

    job_take_good(&job, good);
    ps_job_free(&job);
    job_refuses(bad, says);
    free(good);
    free(bad);
}

static void test_counts_are_limited(void **state)
{
    (void)state;
    check_count(JOB("%s", ""), CHANNEL("c%zu", ""), 20,
                "InputDataConfig: a job has 1 to 20 channels, not 21");
    job_refuses(JOB("", ""), "InputDataConfig: a job has 1 to 20 channels, not 0");
    job_refuses("{\"channels\": {}}", "channels: a job has 1 to 20 channels, not 0");
    check_count(JOB(CHANNEL("a", ""), ", \"HyperParameters\": {%s}"), "\"h%zu\": \"\"", 100,
                "HyperParameters: has 101 entries, at most 100 may be");
    check_count(JOB(CHANNEL("a", ""), ", \"Environment\": {%s}"), "\"E%zu\": \"\"", 100,
                "Environment: has 101 entries, at most 100 may be");
    check_count(JOB("{\"ChannelName\": \"a\", \"InputMode\": \"Pipe\", \"DataSource\": "
                    "{\"S3DataSource\": {\"S3DataType\": \"AugmentedManifestFile\", "
                    "\"S3Uri\": \"s3://bucket/m\", \"AttributeNames\": [%s]}}}",
                    ""),
                "\"b%zu\"", 16, "AttributeNames: has 17 entries, at most 16 may be");
    check_count(JOB(CHANNEL("a", ""), ", \"ResourceConfig\": {\"InstanceGroups\": [%s]}"),
                "{\"InstanceGroupName\": \"g%zu\", \"InstanceCount\": 1}", 5,
                "ResourceConfig.InstanceGroups: has 6 entries, at most 5 may be");
    check_count(JOB(CHANNEL("a", ""), ", \"AlgorithmSpecification\": "
                                      "{\"ContainerArguments\": [%s]}"),
                "\"x%zu\"", 100, "ContainerArguments: has 101 entries, at most 100 may be");
}

static void test_values_are_checked(void **state)
{
    static const char *const cases[][2] = {
        {JOB(CHANNEL("", ""), ""), "InputDataConfig[0].ChannelName: is empty"},
        {JOB(CHANNEL("a/b", ""), ""), "InputDataConfig[0].ChannelName: 'a/b' may hold"},
        {JOB(CHANNEL("..", ""), ""), "InputDataConfig[0].ChannelName: '..' is no name"},
        {JOB(CHANNEL("a", "") "," CHANNEL("a", ""), ""),
         "InputDataConfig[1].ChannelName: 'a' is the name of two channels"},
        {JOB("{\"ChannelName\": \"a\", \"DataSource\": " S3("S3Prefix", "file:///x") "}", ""),
         "S3Uri: 'file:///x' does not begin with s3:// or https:// (the short form"},
        {JOB("{\"ChannelName\": \"a\", \"DataSource\": " S3("S3Prefix", "") "}", ""),
         "S3Uri: is empty"},
        {JOB("{\"ChannelName\": \"a\", \"DataSource\": " S3("S3Prefix", "s3://b") "}", ""),
         "S3Uri: URI 's3://b': the bucket name 'b' is shorter"},
        {JOB("{\"ChannelName\": \"a\", \"DataSource\": " S3("ManifestFile", "s3://bbb") "}", ""),
         "S3Uri: 's3://bbb' names no object, but ManifestFile needs one"},
        {JOB("{\"ChannelName\": \"a\", \"InputMode\": \"FastFile\", \"DataSource\": " S3(
                 "ManifestFile", "s3://bbb/m") "}",
             ""),
         "S3DataType: FastFile mode takes S3Prefix only"},
        {JOB("{\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSource\": {\"S3DataType\": "
             "\"AugmentedManifestFile\", \"S3Uri\": \"s3://bbb/m\", \"AttributeNames\": [\"x\"]}}}",
             ""),
         "S3DataType: AugmentedManifestFile needs Pipe mode"},
        {JOB(CHANNEL("a", ", \"CompressionType\": \"Gzip\""), ""),
         "InputDataConfig[0].CompressionType: objects are decompressed in Pipe mode only"},
        {JOB(CHANNEL("a", ", \"RecordWrapperType\": \"RecordIO\""), ""),
         "InputDataConfig[0].RecordWrapperType: objects become RecordIO records in Pipe mode only"},
        {JOB(CHANNEL("a", ""), ", \"Environment\": {\"a-b\": \"\"}"), "Environment.a-b: "},
        {JOB(CHANNEL("a", ""), ", \"Environment\": {\"1a\": \"\"}"), "Environment.1a: "},
        {JOB(CHANNEL("a", ""), ", \"Environment\": {\"\": \"\"}"), "Environment.: "},
        {JOB(CHANNEL("a", ""), ", \"TrainingJobName\": \"-a\""), "TrainingJobName: '-a' must be"},
        {JOB(CHANNEL("a", ""), ", \"TrainingJobName\": \"a-\""), "TrainingJobName: 'a-' must be"},
        {JOB(CHANNEL("a", ""), ", \"TrainingJobName\": \"a_b\""), "TrainingJobName: 'a_b' must"},
        {JOB(CHANNEL("a", ""), ", \"TrainingJobName\": \"\""), "TrainingJobName: is empty"},
        {JOB(CHANNEL("a", ""), ", \"CheckpointConfig\": {\"S3Uri\": \"s3://b/\", "
                               "\"LocalPath\": \"rel\"}"),
         "CheckpointConfig.LocalPath: 'rel' is no absolute path"},
        {JOB(CHANNEL("a", ""), ", \"ResourceConfig\": {\"InstanceGroups\": ["
                               "{\"InstanceGroupName\": \"g\", \"InstanceCount\": 1},"
                               "{\"InstanceGroupName\": \"g\", \"InstanceCount\": 1}]}"),
         "ResourceConfig.InstanceGroups: 'g' is the name of two groups"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        job_refuses(cases[i][0], cases[i][1]);
}

#define PIPE ", \"InputMode\": \"Pipe\""

static void test_names_that_want_the_same_path_are_refused(void **state)
{
    static const char *const bad[] = {JOB(CHANNEL("a", PIPE) "," CHANNEL("a_1", ""), ""),
                                      JOB(CHANNEL("a_0", "") "," CHANNEL("a", PIPE), ""),
                                      JOB(CHANNEL("a_1", PIPE) "," CHANNEL("a_1_12", ""), ""),
                                      JOB(CHANNEL("a", PIPE) "," CHANNEL("a_7.status", ""), ""),
                                      JOB(CHANNEL("a", "") "," CHANNEL("a-manifest", ""), "")};
    static const char *const good[] = {
        JOB(CHANNEL("a", PIPE) "," CHANNEL("a_1", PIPE), ""), /* a_1_0, never a_1 */
        JOB(CHANNEL("a", "") "," CHANNEL("a_1", ""), ""),
        JOB(CHANNEL("a", PIPE) "," CHANNEL("a_01", ""), ""), /* epochs have no leading zeros */
        JOB(CHANNEL("a", PIPE) "," CHANNEL("a_", ""), ""),
        JOB(CHANNEL("a", PIPE) "," CHANNEL("a_1x", ""), ""),
        JOB(CHANNEL("a", PIPE) "," CHANNEL("ab_1", ""), ""),
        JOB(CHANNEL("a", "") "," CHANNEL("a-manifest", PIPE), "")};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        job_refuses(bad[i], "rename one of them");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ps_job job;

        job_take_good(&job, good[i]);
        ps_job_free(&job);
    }
}

static void test_hosts_are_counted_and_sorted(void **state)
{
    struct ps_job job;

    (void)state;
    job_take_good(&job, SMALL);
    assert_int_equal(job.host_count, 1);
    assert_string_equal(job.hosts[0], "algo-1");
    assert_string_equal(job.current_host, "algo-1");
    assert_string_equal(job.name, "penstock");
    ps_job_free(&job);
    job_take_good(&job, JOB(CHANNEL("a", ""), ", \"ResourceConfig\": {\"InstanceCount\": 10}"));
    assert_int_equal(job.host_count, 10);
    assert_string_equal(job.hosts[1], "algo-10");
    assert_string_equal(job.hosts[2], "algo-2");
    ps_job_free(&job);
    job_refuses(JOB(CHANNEL("a", ""), ", \"ResourceConfig\": {\"InstanceCount\": 10001}"),
                "ResourceConfig.InstanceCount: is 10001");
}

/* Settles `json` with --hosts and --current-host; returns the message. */
static const char *settle(struct ps_job *job, const char *json, const char *hosts,
                          const char *current)
{
    static struct penstock_error error;
    int rc;

    error = (struct penstock_error){.rc = PENSTOCK_OK};
    ps_job_init(job);
    rc = ps_job_parse(json, strlen(json), "job.json", job, &error);
    if (rc == PENSTOCK_OK && hosts)
        rc = ps_job_set_hosts(job, hosts, &error);
    if (rc == PENSTOCK_OK && current)
        rc = ps_job_set_current_host(job, current, &error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_check(job, &error);
    assert_int_equal(rc, error.rc);
    return error.message;
}

static void test_options_say_who_this_is(void **state)
{
    static const char *const cases[][3] = {
        {"x,y", NULL, "current_host: algo-1 is none of the job's 2 hosts, x and others"},
        {"x,y", "z", "--current-host: z is none of the job's 2 hosts"},
        {"x,x", "x", "hosts: x is named twice"},
        {"x,,y", "x", "--hosts: a name is empty"},
        {"", "x", "--hosts: a name is empty"},
        {"x y", "x", "hosts: 'x y' is no host's name"}};
    struct ps_job job;

    (void)state;
    assert_string_equal(settle(&job, SMALL, "y,x", "y"), "");
    assert_string_equal(job.hosts[0], "x");
    assert_string_equal(job.current_host, "y");
    ps_job_free(&job);
    assert_string_equal(settle(&job, SMALL, "only", NULL), "");
    assert_string_equal(job.current_host, "only");
    ps_job_free(&job);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *message = settle(&job, SMALL, cases[i][0], cases[i][1]);

        if (!strstr(message, cases[i][2]))
            fail_msg("--hosts %s said '%s'", cases[i][0], message);
        ps_job_free(&job);
    }
}

static void test_the_environment_says_who_this_is(void **state)
{
    static const char two[] = "{\"channels\": {\"a\": \"x\"}, \"hosts\": 3, "
                              "\"current_host\": \"algo-3\"}";
    struct ps_job job;

    (void)state;
    job_take_good(&job, two);
    assert_string_equal(job.current_host, "algo-3");
    ps_job_free(&job);
    assert_int_equal(setenv("PENSTOCK_CURRENT_HOST", "algo-2", 1), 0);
    job_take_good(&job, two);
    assert_string_equal(job.current_host, "algo-2");
    ps_job_free(&job);
    assert_string_equal(settle(&job, two, NULL, "algo-1"), "");
    assert_string_equal(job.current_host, "algo-1");
    ps_job_free(&job);
    assert_int_equal(setenv("PENSTOCK_CURRENT_HOST", "algo-9", 1), 0);
    job_refuses(two, "PENSTOCK_CURRENT_HOST: algo-9 is none of the job's 3 hosts");
    assert_int_equal(unsetenv("PENSTOCK_CURRENT_HOST"), 0);
}

#define GROUPS                                                                                     \
    ", \"ResourceConfig\": {\"InstanceGroups\": ["                                                 \
    "{\"InstanceGroupName\": \"g1\", \"InstanceCount\": 2},"                                       \
    "{\"InstanceGroupName\": \"g2\", \"InstanceCount\": 9}]}"
#define FOR_GROUPS(name, groups)                                                                   \
    "{\"ChannelName\": \"" name "\", \"DataSource\": {\"S3DataSource\": {\"S3DataType\": "         \
    "\"S3Prefix\", \"S3Uri\": \"s3://bucket/\", \"S3DataDistributionType\": \"ShardedByS3Key\", "  \
    "\"InstanceGroupNames\": [" groups "]}}}"

/* Every receiving host has its own share, and no other has one. */
static void test_shares_are_disjoint_and_complete(void **state)
{
    static const char json[] =
        JOB(FOR_GROUPS("one", "\"g1\"") "," FOR_GROUPS("two", "\"g2\"") "," FOR_GROUPS(
                "both", "\"g2\", \"g1\"") "," FOR_GROUPS("all", "") "," CHANNEL("whole", ""),
            GROUPS);
    static const uint32_t receivers[] = {2, 9, 11, 11, 11};
    bool taken[4][11] = {{false}};
    uint32_t hosts[5] = {0};

    (void)state;
    for (int host = 1; host <= 11; host++) {
        struct ps_job job;
        char name[32];

        snprintf(name, sizeof name, "algo-%d", host);
        assert_string_equal(settle(&job, json, NULL, name), "");
        assert_int_equal(job.current_group_index, host <= 2 ? 0 : 1);
        for (size_t c = 0; c < 5; c++) {
            const struct ps_job_channel *channel = &job.channels[c];

            assert_int_equal(channel->shard_count, channel->here && c < 4 ? receivers[c] : 1);
            if (!channel->here)
                continue;
            hosts[c]++;
            if (c == 4)
                continue;
            assert_in_range(channel->shard_index, 0, receivers[c] - 1);
            assert_false(taken[c][channel->shard_index]);
            taken[c][channel->shard_index] = true;
        }
        ps_job_free(&job);
    }
    for (size_t c = 0; c < 5; c++)
        assert_int_equal(hosts[c], receivers[c]);
}

static void test_groups_must_fit(void **state)
{
    struct ps_job job;

    (void)state;
    job_refuses(JOB(FOR_GROUPS("a", "\"g1\", \"g3\""), GROUPS),
                "InputDataConfig[0].DataSource.S3DataSource.InstanceGroupNames[1]: 'g3' is no "
                "instance group of this job");
    job_refuses(JOB(FOR_GROUPS("a", "\"g1\""), ""), "InstanceGroupNames[0]: 'g1' is no instance");
    assert_non_null(strstr(settle(&job, JOB(CHANNEL("a", ""), GROUPS), "x,y", "x"),
                           "hosts: 2 are named, but the instance groups have 11"));
    ps_job_free(&job);
}

/* Options count for more than a file, whichever comes first. */
static void test_options_come_before_or_after_the_file(void **state)
{
    static const char json[] =
        "{\"channels\": {\"a\": \"x\"}, \"hyperparameters\": {\"b\": 1, \"c\": 1},"
        " \"hosts\": [\"p\", \"q\"], \"current_host\": \"q\"}";

    (void)state;
    for (int file_first = 0; file_first <= 1; file_first++) {
        struct penstock_error error = {.rc = PENSTOCK_OK};
        struct ps_job job;

        ps_job_init(&job);
        if (file_first)
            assert_int_equal(ps_job_parse(json, sizeof json - 1, "j", &job, &error), PENSTOCK_OK);
        assert_int_equal(ps_job_add_channel(&job, "z=x", &error), PENSTOCK_OK);
        assert_int_equal(ps_job_set_hosts(&job, "s,t,u", &error), PENSTOCK_OK);
        assert_int_equal(ps_job_set_current_host(&job, "t", &error), PENSTOCK_OK);
        assert_int_equal(ps_job_set_hyperparameter(&job, "b", "2", &error), PENSTOCK_OK);
        if (!file_first)
            assert_int_equal(ps_job_parse(json, sizeof json - 1, "j", &job, &error), PENSTOCK_OK);
        assert_int_equal(ps_job_parse(json, sizeof json - 1, "j", &job, &error),
                         PENSTOCK_E_ARGUMENT);
        assert_non_null(strstr(error.message, "the job has a description already"));
        assert_int_equal(ps_job_check(&job, &error), PENSTOCK_OK);
        assert_int_equal(job.channel_count, 2);
        assert_int_equal(job.host_count, 3);
        assert_string_equal(job.current_host, "t");
        assert_int_equal(job.hyperparameter_count, 2);
        assert_string_equal(job.hyperparameters[0].name, "b");
        assert_string_equal(job.hyperparameters[0].value, "2");
        assert_string_equal(job.hyperparameters[1].value, "1");
        ps_job_free(&job);
    }
}

static void test_hyperparameters_can_be_replaced(void **state)
{
    struct penstock_error error;
    struct ps_job job;
    static const char json[] = "{\"channels\": {\"a\": \"x\"}, \"hyperparameters\": {\"b\": 1}}";

    (void)state;
    ps_job_init(&job);
    assert_int_equal(ps_job_parse(json, sizeof json - 1, "j", &job, &error), PENSTOCK_OK);
    assert_int_equal(ps_job_set_hyperparameter(&job, "b", "2", &error), PENSTOCK_OK);
    assert_int_equal(ps_job_set_hyperparameter(&job, "c", "3", &error), PENSTOCK_OK);
    assert_int_equal(ps_job_check(&job, &error), PENSTOCK_OK);
    assert_int_equal(job.hyperparameter_count, 2);
    assert_string_equal(job.hyperparameters[0].value, "2");
    assert_string_equal(job.hyperparameters[1].value, "3");
    assert_int_equal(ps_job_set_hyperparameter(&job, "d", "\xFF", &error), PENSTOCK_OK);
    assert_int_equal(ps_job_check(&job, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "hyperparameters.d: is not UTF-8"));
    ps_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_are_limited_in_characters),
        cmocka_unit_test(test_counts_are_limited),
        cmocka_unit_test(test_values_are_checked),
        cmocka_unit_test(test_names_that_want_the_same_path_are_refused),
        cmocka_unit_test(test_hosts_are_counted_and_sorted),
        cmocka_unit_test(test_options_say_who_this_is),
        cmocka_unit_test(test_the_environment_says_who_this_is),
        cmocka_unit_test(test_shares_are_disjoint_and_complete),
        cmocka_unit_test(test_groups_must_fit),
        cmocka_unit_test(test_options_come_before_or_after_the_file),
        cmocka_unit_test(test_hyperparameters_can_be_replaced),
    };

    unsetenv("PENSTOCK_CURRENT_HOST");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
