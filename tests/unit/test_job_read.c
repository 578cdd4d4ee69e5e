/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_read.c - pipe/job_{read,api,native,json}.c: both forms of a job, and messages
 * that name the field.
 */
#include "tests/unit/job_fixture.h"
#include "tests/unit/scratch.h"

/* Everything that a channel may have, as `aws sagemaker describe-training-job` prints a job. */
static const char full[] =
    "{\"TrainingJobName\": \"xgboost-2026-11-21\","
    " \"TrainingJobArn\": \"arn:aws:sagemaker:eu-west-1:123456789012:training-job/xgboost\","
    " \"ModelArtifacts\": {\"S3ModelArtifacts\": \"s3://out/model.tar.gz\"},"
    " \"TrainingJobStatus\": \"Completed\", \"SecondaryStatus\": \"Completed\","
    " \"HyperParameters\": {\"epochs\": \"5\", \"lr\": \"1e-3\", \"caf\\u00e9\": "
    "\"\\ud83d\\ude00\"},"
    " \"AlgorithmSpecification\": {\"TrainingImage\": \"123.dkr.ecr.eu-west-1.amazonaws.com/x:1\","
    "   \"TrainingInputMode\": \"Pipe\", \"MetricDefinitions\": [{\"Name\": \"a\", \"Regex\": "
    "\"b\"}],"
    "   \"ContainerEntrypoint\": [\"python\", \"-m\", \"train\"], \"ContainerArguments\": "
    "[\"--x\"]},"
    " \"RoleArn\": \"arn:aws:iam::123456789012:role/r\","
    " \"InputDataConfig\": ["
    "  {\"ChannelName\": \"train\","
    "   \"DataSource\": {\"S3DataSource\": {\"S3DataType\": \"AugmentedManifestFile\","
    "     \"S3Uri\": \"s3://bucket/list.manifest\", \"S3DataDistributionType\": \"ShardedByS3Key\","
    "     \"AttributeNames\": [\"source-ref\", \"label\"], \"InstanceGroupNames\": [\"g2\"]}},"
    "   \"ContentType\": \"application/x-recordio\", \"CompressionType\": \"Gzip\","
    "   \"RecordWrapperType\": \"RecordIO\", \"InputMode\": \"Pipe\","
    "   \"ShuffleConfig\": {\"Seed\": 9223372036854775807}},"
    "  {\"ChannelName\": \"vocab\", \"InputMode\": \"FastFile\","
    "   \"DataSource\": {\"S3DataSource\": {\"S3DataType\": \"S3Prefix\", \"S3Uri\": "
    "\"s3://bucket/v\","
    "     \"ModelAccessConfig\": {\"AcceptEula\": true}}}, \"CompressionType\": \"None\","
    "   \"ContentType\": null},"
    "  {\"ChannelName\": \"test\", \"ShuffleConfig\": {\"Seed\": -9223372036854775808},"
    "   \"DataSource\": {\"S3DataSource\": {\"S3DataType\": \"ManifestFile\","
    "     \"S3Uri\": \"s3://bucket/test.manifest\"}}}],"
    " \"OutputDataConfig\": {\"S3OutputPath\": \"s3://out/\", \"KmsKeyId\": \"\"},"
    " \"ResourceConfig\": {\"VolumeSizeInGB\": 30, \"InstanceCount\": 0, \"InstanceGroups\": ["
    "   {\"InstanceType\": \"ml.c5.xlarge\", \"InstanceCount\": 2, \"InstanceGroupName\": \"g1\"},"
    "   {\"InstanceType\": \"ml.p3.2xlarge\", \"InstanceCount\": 3, \"InstanceGroupName\": "
    "\"g2\"}]},"
    " \"StoppingCondition\": {\"MaxRuntimeInSeconds\": 86400},"
    " \"CreationTime\": 1518217800.123, \"EnableNetworkIsolation\": false,"
    " \"Environment\": {\"LOG\": \"debug\\nmore\"},"
    " \"CheckpointConfig\": {\"S3Uri\": \"s3://out/c\", \"LocalPath\": \"/opt/ml/c\"}}";

static void test_a_described_job_is_read_whole(void **state)
{
    struct ps_job job;
    const struct ps_job_channel *channel;

    (void)state;
    job_take_good(&job, full);
    assert_string_equal(job.name, "xgboost-2026-11-21");
    assert_string_equal(job.region, "eu-west-1");
    assert_int_equal(job.channel_count, 3);
    channel = &job.channels[0];
    assert_string_equal(channel->name, "train");
    assert_string_equal(channel->uri, "s3://bucket/list.manifest");
    assert_string_equal(channel->content_type, "application/x-recordio");
    assert_int_equal(channel->mode, PS_MODE_PIPE);
    assert_int_equal(channel->data_type, PS_DATA_AUGMENTED);
    assert_true(channel->sharded && channel->wrap_recordio && channel->shuffle);
    assert_int_equal(channel->compression, PS_COMPRESSION_GZIP);
    assert_true(channel->seed == INT64_MAX);
    assert_int_equal(channel->attribute_count, 2);
    assert_string_equal(channel->attribute_names[0], "source-ref");
    assert_string_equal(channel->attribute_names[1], "label");
    assert_string_equal(channel->group_names[0], "g2");
    assert_false(channel->here); /* algo-1 is in g1 */
    channel = &job.channels[1];
    assert_int_equal(channel->mode, PS_MODE_FILE);
    assert_true(channel->fast_file && channel->here);
    assert_null(channel->content_type);
    assert_false(channel->shuffle || channel->sharded || channel->wrap_recordio);
    channel = &job.channels[2];
    assert_int_equal(channel->mode, PS_MODE_PIPE); /* the job's */
    assert_int_equal(channel->data_type, PS_DATA_MANIFEST);
    assert_true(channel->shuffle && channel->seed == (uint64_t)INT64_MIN);
    assert_int_equal(job.hyperparameter_count, 3);
    assert_string_equal(job.hyperparameters[1].value, "1e-3");
    assert_string_equal(job.hyperparameters[2].name, "caf\xC3\xA9");
    assert_string_equal(job.hyperparameters[2].value, "\xF0\x9F\x98\x80");
    assert_string_equal(job.environment[0].value, "debug\nmore");
    assert_int_equal(job.host_count, 5);
    assert_string_equal(job.groups[1].name, "g2");
    assert_string_equal(job.groups[1].instance_type, "ml.p3.2xlarge");
    assert_string_equal(job.checkpoint_s3_uri, "s3://out/c");
    assert_string_equal(job.entrypoint[2], "train");
    assert_null(job.entrypoint[3]);
    assert_string_equal(job.arguments[0], "--x");
    ps_job_free(&job);
}

static void test_the_short_form_is_read_whole(void **state)
{
    struct ps_job job;
    const struct ps_job_channel *channel;

    (void)state;
    job_take_good(&job, "{\"name\": \"n\", \"region\": \"eu-west-1\", \"mode\": \"file\","
                        " \"channels\": {\"v\": \"file:///data/v\", \"train\": {\"uri\": \"rel/t\","
                        "  \"content_type\": \"text/csv;label_size=1\", \"mode\": \"pipe\","
                        "  \"type\": \"augmented\", \"attributes\": [\"a\"], \"sharded\": true,"
                        "  \"compression\": \"auto\", \"wrap\": \"recordio\", \"shuffle\": -3,"
                        "  \"groups\": [\"g\"]}},"
                        " \"hyperparameters\": {\"i\": 9007199254740993, \"r\": 0.1, \"e\": 1e-4,"
                        "  \"t\": true, \"l\": [1, \"x\"], \"s\": \"text\"},"
                        " \"environment\": {\"N\": 3}, \"hosts\": [\"b\", \"a\"],"
                        " \"current_host\": \"a\", \"groups\": {\"f\": 1, \"g\": 1},"
                        " \"instance_type\": \"t\", \"network_interface\": \"ib0\","
                        " \"checkpoint\": {\"uri\": \"s3://c/d\"}, \"command\": [\"sh\", \"-c\"]}");
    assert_int_equal(job.channel_count, 2);
    assert_string_equal(job.channels[0].name, "v"); /* in the order of the file */
    assert_int_equal(job.channels[0].mode, PS_MODE_FILE);
    channel = &job.channels[1];
    assert_int_equal(channel->mode, PS_MODE_PIPE);
    assert_string_equal(channel->uri, "rel/t");
    assert_string_equal(channel->content_type, "text/csv;label_size=1");
    assert_int_equal(channel->data_type, PS_DATA_AUGMENTED);
    assert_int_equal(channel->compression, PS_COMPRESSION_AUTO);
    assert_true(channel->sharded && channel->wrap_recordio && channel->here);
    assert_true(channel->shuffle && channel->seed == (uint64_t)-3);
    assert_int_equal(channel->shard_count, 1);
    assert_string_equal(job.hyperparameters[0].value, "9007199254740993");
    assert_string_equal(job.hyperparameters[1].value, "0.1");
    assert_string_equal(job.hyperparameters[2].value, "0.0001");
    assert_string_equal(job.hyperparameters[3].value, "true");
    assert_string_equal(job.hyperparameters[4].value, "[1,\"x\"]");
    assert_string_equal(job.hyperparameters[5].value, "text");
    assert_string_equal(job.environment[0].value, "3");
    assert_string_equal(job.hosts[0], "a");
    assert_string_equal(job.current_host, "a");
    assert_int_equal(job.current_group_index, 1);
    assert_string_equal(job.network_interface, "ib0");
    assert_string_equal(job.checkpoint_local_path, "/opt/ml/checkpoints");
    assert_string_equal(job.entrypoint[1], "-c");
    ps_job_free(&job);
}

/* A channel in CreateTrainingJob with something put into it. */
#define S3 "\"S3DataType\": \"S3Prefix\", \"S3Uri\": \"s3://bucket/\""
#define SOURCE "\"DataSource\": {\"S3DataSource\": {" S3 "}}"
#define API(channel) "{\"InputDataConfig\": [{" channel "}]}"
#define API_S3(more)                                                                               \
    API("\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSource\": {" S3 more "}}")
#define AT "InputDataConfig[0]."
#define AT_S3 AT "DataSource.S3DataSource."

static void test_api_errors_name_the_field(void **state)
{
    static const char *const cases[][2] = {
        {API(SOURCE), "job.json: " AT "ChannelName: is missing"},
        {API("\"ChannelName\": \"a\""), AT "DataSource: is missing"},
        {API("\"ChannelName\": 5, " SOURCE), AT "ChannelName: must be a string, not a number"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {}"),
         AT "DataSource.S3DataSource: is missing"},
        {API("\"ChannelName\": \"a\", \"DataSource\": []"), AT "DataSource: must be an object"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"FileSystemDataSource\": {}}"),
         AT "DataSource.FileSystemDataSource: file systems are not mounted here"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"DatasetSource\": {}}"),
         AT "DataSource.DatasetSource: "},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSorce\": {}}"),
         AT "DataSource.S3DataSorce: there is no such field (is it to be S3DataSource?)"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"CompresionType\": \"Gzip\""),
         AT "CompresionType: there is no such field (is it to be CompressionType?)"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"Zebra\": 1"),
         AT "Zebra: there is no such field"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"CompressionType\": \"Bzip2\""),
         AT "CompressionType: is 'Bzip2', which is none of None, Gzip"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"RecordWrapperType\": \"recordio\""),
         AT "RecordWrapperType: is 'recordio', which is none of None, RecordIO"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"InputMode\": \"pipe\""),
         AT "InputMode: is 'pipe', which is none of Pipe, File, FastFile"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"ShuffleConfig\": {}"),
         AT "ShuffleConfig.Seed: is missing"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"ShuffleConfig\": {\"Seed\": 1.5}"),
         AT "ShuffleConfig.Seed: must be a whole number, not a fraction"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"ShuffleConfig\": {\"Seed\": \"1\"}"),
         AT "ShuffleConfig.Seed: must be a whole number, not a string"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"ShuffleConfig\": {\"Sead\": 1}"),
         AT "ShuffleConfig.Sead: there is no such field (is it to be Seed?)"},
        {API("\"ChannelName\": \"a\", " SOURCE ", \"ShuffleConfig\": 7"),
         AT "ShuffleConfig: must be an object, not a number"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSource\": {\"S3Uri\": "
             "\"s3://b/\"}}"),
         AT_S3 "S3DataType: is missing"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSource\": "
             "{\"S3DataType\": \"S3Prefix\"}}"),
         AT_S3 "S3Uri: is missing"},
        {API("\"ChannelName\": \"a\", \"DataSource\": {\"S3DataSource\": "
             "{\"S3DataType\": \"Converse\", \"S3Uri\": \"s3://b/\"}}"),
         AT_S3 "S3DataType: Converse "},
        {API_S3(", \"S3DataDistributionType\": \"Sharded\""),
         AT_S3 "S3DataDistributionType: is 'Sharded'"},
        {API_S3(", \"S3DataDistribution\": \"x\""), AT_S3 "S3DataDistribution: there is no such"},
        {API_S3(", \"AttributeNames\": \"a\""), AT_S3 "AttributeNames: must be an array"},
        {API_S3(", \"AttributeNames\": [\"a\", 1]"), AT_S3 "AttributeNames[1]: must be a string"},
        {API_S3(", \"InstanceGroupNames\": [true]"), AT_S3 "InstanceGroupNames[0]: must be"},
        {"{\"InputDataConfig\": {}}", "InputDataConfig: must be an array"},
        {"{\"InputDataConfig\": [7]}", "InputDataConfig[0]: must be an object, not a number"},
        {"{\"InputDataConfg\": []}", "InputDataConfg: there is no such field (is it to be Input"},
        {"{\"inputdataconfig\": []}", "inputdataconfig: there is no such field (is it to be Input"},
        {"{\"InputDataConfig\": [], \"HyperParametrs\": {}}", "HyperParametrs: there is no such"},
        {"{\"InputDataConfig\": [], \"HyperParameters\": {\"a\": 5}}",
         "HyperParameters.a: must be a string"},
        {"{\"InputDataConfig\": [], \"Environment\": []}", "Environment: must be an object"},
        {"{\"TrainingJobName\": 5}", "TrainingJobName: must be a string"},
        {"{\"AlgorithmSpecification\": {\"TrainingInputMode\": \"Tape\"}}",
         "AlgorithmSpecification.TrainingInputMode: is 'Tape'"},
        {"{\"AlgorithmSpecification\": {\"ContainerArguments\": [1]}}",
         "AlgorithmSpecification.ContainerArguments[0]: must be a string"},
        {"{\"AlgorithmSpecification\": 1}", "AlgorithmSpecification: must be an object"},
        {"{\"ResourceConfig\": {\"InstanceCount\": -1}}", "ResourceConfig.InstanceCount: is -1"},
        {"{\"ResourceConfig\": {\"InstanceGroups\": [{\"InstanceCount\": 1}]}}",
         "ResourceConfig.InstanceGroups[0].InstanceGroupName: is missing"},
        {"{\"ResourceConfig\": {\"InstanceGroups\": [5]}}", "ResourceConfig.InstanceGroups[0]: "},
        {"{\"ResourceConfig\": {\"InstanceGroups\": 5}}", "ResourceConfig.InstanceGroups: must be"},
        {"{\"CheckpointConfig\": {\"LocalPath\": \"/x\"}}", "CheckpointConfig.S3Uri: is missing"},
        {"{\"InputDataConfig\": [], \"channels\": {}}", "are mixed"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        job_refuses(cases[i][0], cases[i][1]);
}

static void test_short_form_errors_name_the_field(void **state)
{
    static const char *const cases[][2] = {
        {"{\"channels\": []}", "channels: must be an object of channels, by their names"},
        {"{\"channels\": {\"a\": 5}}", "channels.a: must be a URI, or an object with one"},
        {"{\"channels\": {\"a\": {}}}", "channels.a.uri: is missing"},
        {"{\"channels\": {\"a\": {\"url\": \"x\"}}}",
         "channels.a.url: there is no such field (is it to be uri?)"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"mode\": \"fast\"}}}",
         "channels.a.mode: 'fast' is none of pipe, file"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"mode\": 1}}}",
         "channels.a.mode: must be a string"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"type\": \"S3\"}}}",
         "channels.a.type: 'S3' is none of prefix, manifest, augmented"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"compression\": \"rar\"}}}",
         "channels.a.compression: 'rar' is none of none, gzip, auto"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"wrap\": \"x\"}}}",
         "channels.a.wrap: 'x' is none of none, recordio"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"sharded\": 1}}}",
         "channels.a.sharded: must be true or false, not a number"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"shuffle\": true}}}",
         "channels.a.shuffle: must be a whole number, not true"},
        {"{\"channels\": {\"a\": {\"uri\": \"x\", \"attributes\": {}}}}",
         "channels.a.attributes: must be an array of strings, not an object"},
        {"{\"channels\": {\"a\": \"x\"}, \"mode\": \"both\"}", "mode: 'both' is none of"},
        {"{\"channels\": {}, \"hyperparameter\": {}}",
         "hyperparameter: there is no such field (is it to be hyperparameters?)"},
        {"{\"chanels\": {}}", "chanels: there is no such field (is it to be channels?)"},
        {"{\"channels\": {}, \"hosts\": 0}", "hosts: is 0, which is not from 1 to 10000"},
        {"{\"channels\": {}, \"hosts\": true}", "hosts: must be a number, or an array of names"},
        {"{\"channels\": {}, \"groups\": {\"g\": 0}}", "groups.g: is 0"},
        {"{\"channels\": {}, \"groups\": []}", "groups: must be an object"},
        {"{\"channels\": {}, \"checkpoint\": {}}", "checkpoint.uri: is missing"},
        {"{\"channels\": {}, \"command\": \"sh\"}", "command: must be an array of strings"},
        {"{\"channels\": {}, \"hyperparameters\": []}", "hyperparameters: must be an object"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        job_refuses(cases[i][0], cases[i][1]);
}

static void test_what_is_no_job_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "job.json, line 1, column 0: "},
        {"[]", "job.json: this is no JSON object"},
        {"{}", "this is no job: there is neither InputDataConfig"},
        {"{\"Zebra\": 1}", "this is no job"},
        {"{\"channels\": {\"a\": \"x\", \"a\": \"y\"}}", "duplicate object key"},
        {"{\"channels\": {\"a\": \"x\"},\n \"b\" }", "line 2"},
        {"{\"channels\": {\"a\": \"\xFF\"}}", "unable to decode byte 0xff"},
        {"{\"channels\": {\"a\": \"x\\u0000y\"}}", "\\u0000 is not allowed"},
        {"{\"channels\": {}} x", "job.json, line 1"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        job_refuses(cases[i][0], cases[i][1]);
}

static void test_a_file_is_read(void **state)
{
    static const char text[] = "\xEF\xBB\xBF{\"channels\": {\"a\": \"x\"}}";
    struct scratch scratch = scratch_open();
    struct scratch_name path = scratch_path(&scratch, "job.json");
    struct penstock_error error;
    struct ps_job job;
    char *spaces = job_letters(600000, " ");

    (void)state;
    ps_job_init(&job);
    assert_int_equal(ps_job_read(path.text, &job, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, path.text));
    scratch_file(&scratch, "job.json", text, sizeof text - 1);
    assert_int_equal(ps_job_read(path.text, &job, &error), PENSTOCK_OK);
    assert_string_equal(job.channels[0].uri, "x");
    ps_job_free(&job);
    memcpy(spaces + 599000, text + 3, sizeof text - 4);
    scratch_file(&scratch, "job.json", spaces, 600000);
    assert_int_equal(ps_job_read(path.text, &job, &error), PENSTOCK_OK);
    assert_int_equal(job.channel_count, 1);
    ps_job_free(&job);
    assert_int_equal(ps_job_read(scratch.path, &job, &error), PENSTOCK_E_SYSTEM);
    ps_job_free(&job);
    assert_int_equal(ps_job_read("/dev/zero", &job, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "too long"));
    ps_job_free(&job);
    free(spaces);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_described_job_is_read_whole),
        cmocka_unit_test(test_the_short_form_is_read_whole),
        cmocka_unit_test(test_api_errors_name_the_field),
        cmocka_unit_test(test_short_form_errors_name_the_field),
        cmocka_unit_test(test_what_is_no_job_is_refused),
        cmocka_unit_test(test_a_file_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
