/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_job_option.c - pipe/job_option.c: channels of the command line; and S3's https
 * form of URIs, pipe/job_uri.c.
 */
#include "tests/unit/job_fixture.h"

/* The one channel of a job that --channel `text` makes. */
static const struct ps_job_channel *option(struct ps_job *job, const char *text)
{
    struct penstock_error error;

    ps_job_init(job);
    if (ps_job_add_channel(job, text, &error) != PENSTOCK_OK ||
        ps_job_check(job, &error) != PENSTOCK_OK)
        fail_msg("%s: %s", text, error.message);
    assert_int_equal(job->channel_count, 1);
    return &job->channels[0];
}

static void refused(const char *text, const char *says)
{
    struct penstock_error error;
    struct ps_job job;
    int rc;

    ps_job_init(&job);
    rc = ps_job_add_channel(&job, text, &error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_check(&job, &error);
    assert_int_equal(rc, PENSTOCK_E_ARGUMENT);
    if (!strstr(error.message, says))
        fail_msg("%s\nsaid '%s', not '%s'", text, error.message, says);
    ps_job_free(&job);
}

static void test_defaults(void **state)
{
    struct ps_job job;
    const struct ps_job_channel *channel = option(&job, "train=s3://bucket/a=b/");

    (void)state;
    assert_string_equal(channel->name, "train");
    assert_string_equal(channel->uri, "s3://bucket/a=b/");
    assert_null(channel->content_type);
    assert_int_equal(channel->mode, PS_MODE_PIPE);
    assert_int_equal(channel->data_type, PS_DATA_PREFIX);
    assert_int_equal(channel->compression, PS_COMPRESSION_NONE);
    assert_false(channel->sharded || channel->shuffle || channel->wrap_recordio);
    assert_true(channel->here);
    ps_job_free(&job);
}

static void test_every_option(void **state)
{
    struct ps_job job;
    const struct ps_job_channel *channel =
        option(&job, "t=rel/x.manifest;content_type=text/csv;label_size=1;charset=utf-8;mode=PIPE;"
                     "type=augmented;attributes=a-ref,b;shuffle=18446744073709551615;sharded;"
                     "compression=auto;wrap=recordio");

    (void)state;
    assert_string_equal(channel->uri, "rel/x.manifest");
    assert_string_equal(channel->content_type, "text/csv;label_size=1;charset=utf-8");
    assert_int_equal(channel->data_type, PS_DATA_AUGMENTED);
    assert_int_equal(channel->attribute_count, 2);
    assert_string_equal(channel->attribute_names[0], "a-ref");
    assert_string_equal(channel->attribute_names[1], "b");
    assert_true(channel->shuffle && channel->seed == UINT64_MAX);
    assert_true(channel->sharded && channel->wrap_recordio);
    assert_int_equal(channel->compression, PS_COMPRESSION_AUTO);
    ps_job_free(&job);
    channel =
        option(&job, "t=x;content_type=text/csv;delimiter=tab;cat.1=a|b;header=present;mode=file");
    assert_string_equal(channel->content_type, "text/csv;delimiter=tab;cat.1=a|b;header=present");
    assert_int_equal(channel->mode, PS_MODE_FILE);
    ps_job_free(&job);
    channel =
        option(&job, "t=x;content_type=application/x-recordio;image_shape=3,8,8;min_random_area="
                     "0.5;type=manifest");
    assert_string_equal(channel->content_type,
                        "application/x-recordio;image_shape=3,8,8;min_random_area=0.5");
    assert_int_equal(channel->data_type, PS_DATA_MANIFEST);
    ps_job_free(&job);
    channel = option(&job, "t=x;content_type=\"application/x-recordio-protobuf;type=int32\"");
    assert_string_equal(channel->content_type, "application/x-recordio-protobuf;type=int32");
    ps_job_free(&job);
    channel = option(&job, "t=x;mode=file;shuffle=-9223372036854775808;content_type=a/b");
    assert_int_equal(channel->mode, PS_MODE_FILE);
    assert_true(channel->seed == (uint64_t)INT64_MIN);
    assert_string_equal(channel->content_type, "a/b");
    ps_job_free(&job);
}

static void test_quotes_hold_anything(void **state)
{
    struct ps_job job;
    const struct ps_job_channel *channel =
        option(&job, "t=\"s3://bucket/a;b\"\"c;mode=file\";content_type=\"x/y;mode=z\";sharded");

    (void)state;
    assert_string_equal(channel->uri, "s3://bucket/a;b\"c;mode=file");
    assert_string_equal(channel->content_type, "x/y;mode=z");
    assert_true(channel->sharded);
    assert_int_equal(channel->mode, PS_MODE_PIPE);
    ps_job_free(&job);
}

static void test_errors_name_the_option(void **state)
{
    static const char *const cases[][2] = {
        {"train", "--channel train: write NAME=URI"},
        {"=s3://b/", "write NAME=URI"},
        {"", "write NAME=URI"},
        {"a=", "--channel a: uri: is empty"},
        {"a=x;mode=slow", "--channel a: mode: 'slow' is none of pipe, file"},
        {"a=x;mode", "--channel a: mode needs a value"},
        {"a=x;sharded=1", "--channel a: sharded has no value"},
        {"a=x;shufle=1", "--channel a: there is no option 'shufle': is it to be shuffle?"},
        {"a=x;content_type=text/csv;shufle=1", "there is no option 'shufle'"},
        {"a=x;", "there is no option ''"},
        {"a=x;zebra", "there is no option 'zebra' ("},
        {"a=x;mode=pipe;mode=pipe", "--channel a: mode is given twice"},
        {"a=x;shuffle=", "--channel a: shuffle: '' is no whole number of 64 bits"},
        {"a=x;shuffle=1x", "'1x' is no whole number"},
        {"a=x;shuffle= 1", "' 1' is no whole number"},
        {"a=x;shuffle=+1", "'+1' is no whole number"},
        {"a=x;shuffle=18446744073709551616", "is no whole number of 64 bits"},
        {"a=x;shuffle=-9223372036854775809", "is no whole number of 64 bits"},
        {"a=x;type=augmented;attributes=a,,b", "--channel a: attributes: a name is empty"},
        {"a=\"x", "--channel a: a value that begins with '\"' does not end with one"},
        {"a=\"x\"y", "does not end with one"},
        {"a=x;wrap=recordio;mode=file", "--channel a: wrap: objects become RecordIO records in"},
        {"a=x;compression=gzip;mode=file", "--channel a: compression: objects are decompressed in"},
        {"a=x;attributes=y", "--channel a: attributes: is for AugmentedManifestFile only"},
        {"a=x;type=augmented", "--channel a: attributes: is missing"},
        {"a=s3://bbb/x/;type=manifest", "--channel a: uri: 's3://bbb/x/' names no object"},
        {"a b=x", "--channel a b: name: 'a b' may hold"},
        {"..=x", "--channel ..: name: '..' is no name for a directory"},
        {"a=x;groups=g", "--channel a: groups[0]: 'g' is no instance group of this job"},
        {"a=gs://b/c", "--channel a: uri: URI 'gs://b/c' has an unknown scheme"},
        {"a=x;content_type=\xFF", "--channel a: content_type: is not UTF-8"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i][0], cases[i][1]);
}

static void test_addresses_of_s3_become_uris(void **state)
{
    static const char *const cases[][2] = {
        {"https://bucket.s3.eu-west-1.amazonaws.com/k/l", "s3://bucket/k/l"},
        {"https://bucket.s3.amazonaws.com/", "s3://bucket/"},
        {"https://bucket.s3.amazonaws.com", "s3://bucket/"},
        {"https://my.s3.bucket.s3-us-west-2.amazonaws.com/k", "s3://my.s3.bucket/k"},
        {"https://bucket.s3.dualstack.eu-west-1.amazonaws.com/k", "s3://bucket/k"},
        {"https://bucket.S3.cn-north-1.amazonaws.com.cn/k", "s3://bucket/k"},
        {"https://s3.eu-west-1.amazonaws.com/bucket/k", "s3://bucket/k"},
        {"https://s3-eu-west-1.amazonaws.com/bucket", "s3://bucket"},
        {"https://s3.amazonaws.com/bucket/a%20b%2Fc+d%C3%A9//", "s3://bucket/a b/c+d\xC3\xA9//"},
        {"s3://bucket/a%20b", "s3://bucket/a%20b"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ps_job job;
        char *text = job_text("a=%s", cases[i][0]);

        assert_string_equal(option(&job, text)->uri, cases[i][1]);
        ps_job_free(&job);
        free(text);
    }
}

static void test_other_addresses_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"a=https://example.com/bucket/k", "is no address of S3: write s3://bucket/prefix"},
        {"a=https://s3.example.com/bucket/k", "is no address of S3"},
        {"a=https://ec2.amazonaws.com/bucket", "is no address of S3"},
        {"a=https://amazonaws.com/bucket", "is no address of S3"},
        {"a=https://s3x.amazonaws.com/bucket", "is no address of S3"},
        {"a=https://bucket-s3.amazonaws.com/k", "is no address of S3"},
        {"a=https://bucket.s3.amazonaws.com/k?versionId=1", "has a '?' or '#'"},
        {"a=https://bucket.s3.amazonaws.com/k%2", "is not percent-encoded"},
        {"a=https://bucket.s3.amazonaws.com/k%zz", "is not percent-encoded"},
        {"a=https://bucket.s3.amazonaws.com/k%00", "is not percent-encoded"},
        {"a=https://s3.amazonaws.com/", "names no bucket"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i][0], cases[i][1]);
}

static void test_channels_are_described(void **state)
{
    static const char *const cases[][2] = {
        {"a=s3://b-b/x", "a: Pipe, S3Prefix s3://b-b/x"},
        {"a=x;mode=file;sharded", "a: File, S3Prefix x, shard 0 of 1"},
        {"a=x;type=augmented;attributes=p,q;shuffle=-7;wrap=recordio;compression=gzip;"
         "content_type=t/u",
         "a: Pipe, AugmentedManifestFile x, shuffled by seed -7, attributes p q, Gzip, wrapped in "
         "RecordIO, t/u"},
        {"a=x;compression=auto", "a: Pipe, S3Prefix x, decompressed by extension"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ps_job job;
        char text[512];
        char little[8];

        ps_job_describe_channel(option(&job, cases[i][0]), text, sizeof text);
        assert_string_equal(text, cases[i][1]);
        ps_job_describe_channel(&job.channels[0], little, sizeof little);
        assert_memory_equal(little, cases[i][1], 7);
        ps_job_free(&job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_quotes_hold_anything),
        cmocka_unit_test(test_errors_name_the_option),
        cmocka_unit_test(test_addresses_of_s3_become_uris),
        cmocka_unit_test(test_other_addresses_are_refused),
        cmocka_unit_test(test_channels_are_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
