/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_uri.c - pipe/uri.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/uri.h"

static void test_good_uris(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ps_uri_kind kind;
        const char *bucket, *prefix;
    } table[] = {
        {"s3://bucket", PS_URI_S3, "bucket", ""},
        {"s3://bucket/", PS_URI_S3, "bucket", ""},
        {"S3://bucket/a", PS_URI_S3, "bucket", "a"},
        {"s3://bucket//a", PS_URI_S3, "bucket", "/a"},
        {"s3://my.bucket-1/a//b/./../c?d#e%20f+g h\n", PS_URI_S3, "my.bucket-1",
         "a//b/./../c?d#e%20f+g h\n"},
        {"s3://bucket/caf\xc3\xa9", PS_URI_S3, "bucket", "caf\xc3\xa9"},
        {"s3://Old_Bucket/x", PS_URI_S3, "Old_Bucket", "x"},
        {"s3://arn:aws:s3:us-west-2:123456789012:accesspoint/my-point/a/b", PS_URI_S3,
         "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point", "a/b"},
        {"s3://arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:p1x", PS_URI_S3,
         "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:p1x", ""},
        {"file:///data/x%20y", PS_URI_FILE, "", "/data/x%20y"},
        {"file:///", PS_URI_FILE, "", "/"},
        {"pipe:///opt/ml/input/data/train", PS_URI_PIPE, "", "/opt/ml/input/data/train"},
        {"PIPE:///a b%20", PS_URI_PIPE, "", "/a b%20"},
        {"/data", PS_URI_FILE, "", "/data"},
        {"./data", PS_URI_FILE, "", "./data"},
        {"data/train", PS_URI_FILE, "", "data/train"},
        {"data", PS_URI_FILE, "", "data"},
        {"./s3://x", PS_URI_FILE, "", "./s3://x"},
        {"/a://b", PS_URI_FILE, "", "/a://b"},
        {"a:b", PS_URI_FILE, "", "a:b"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ps_uri uri;
        struct penstock_error error = {.message = ""};
        if (ps_uri_parse(table[i].text, &uri, &error) != PENSTOCK_OK)
            fail_msg("%s: %s", table[i].text, error.message);
        assert_int_equal(uri.kind, table[i].kind);
        assert_string_equal(uri.bucket, table[i].bucket);
        assert_string_equal(uri.prefix, table[i].prefix);
    }
}

static void test_bad_uris(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message; /* a part of it */
    } table[] = {
        {"", "is empty"},
        {"s3://", "names no bucket"},
        {"pipe:///", "names a directory"},
        {"pipe:///data/", "names a directory: write pipe:///directory/channel"},
        {"pipe://data/train", "names no FIFOs: write pipe:///absolute/path"},
        {"pipe:/data", "names no FIFOs"},
        {"s3:///key", "names no bucket"},
        {"s3://arn:aws:s3:us-west-2:123456789012:accesspoint", "names no access point"},
        {"s3://arn:aws:s3:us-west-2:123456789012:accesspoint/ab", "names no access point"},
        {"s3://arn:aws:s3:us-west-2:12345678901:accesspoint/abc", "names no access point"},
        {"s3://arn:aws:s3:us-west-2:1234567890123:accesspoint/abc", "names no access point"},
        {"s3://arn:aws:s3::123456789012:accesspoint/m.mrap", "names no access point"},
        {"s3://arn:aws:s3-outposts:us-west-2:123456789012:accesspoint/abc", "no access point"},
        {"s3://arn:aws:s3:us-west-2:123456789012:accesspoint/a.example/k", "no access point"},
        {"s3://arn:aws:s3:x@y/:123456789012:accesspoint/abc", "names no access point"},
        {"s3://arn:aws:s3:::bucket/key", "names no access point"},
        {"s3://ab/key", "'ab' is shorter than 3"},
        {"s3://b\xc3\xbc"
         "cket/key",
         "letters, digits"},
        {"s3://buck et/key", "letters, digits"},
        {"s3://bucket?x/key", "letters, digits"},
        {"s3://-bucket/key", "begin and end"},
        {"s3://bucket./key", "begin and end"},
        {"s3://buc..ket/key", "two dots"},
        {"s3://192.168.0.1/key", "IP address"},
        {"s3:/bucket/key", "write s3://bucket/prefix"},
        {"s3a://bucket/key", "write s3://bucket/prefix"},
        {"arn:aws:s3:::bucket", "write s3://bucket/prefix"},
        {"gs://bucket/key", "unknown scheme"},
        {"file://host/path", "not a local file"},
        {"file:path", "not a local file"},
        {"https://my.bucket.s3.eu-west-1.amazonaws.com/a/b", "write s3://my.bucket/a/b"},
        {"https://bucket.s3-us-west-2.amazonaws.com/a", "write s3://bucket/a"},
        {"https://s3.eu-west-1.amazonaws.com/bucket/a", "write s3://bucket/a"},
        {"http://localhost:9000/bucket", "AWS_ENDPOINT_URL_S3"},
        {"https://evil.example/x.s3.y.amazonaws.com/", "AWS_ENDPOINT_URL_S3"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ps_uri uri;
        struct penstock_error error;
        assert_int_equal(ps_uri_parse(table[i].text, &uri, &error), PENSTOCK_E_ARGUMENT);
        assert_int_equal(error.rc, PENSTOCK_E_ARGUMENT);
        if (!strstr(error.message, table[i].message))
            fail_msg("%s: '%s' does not say '%s'", table[i].text, error.message, table[i].message);
    }
    struct ps_uri uri;
    assert_int_equal(ps_uri_parse(NULL, &uri, NULL), PENSTOCK_E_ARGUMENT);
}

/* `head` and then `count` letters. */
static int parse_long(const char *head, size_t count, struct ps_uri *uri)
{
    static char text[8192];
    size_t len = strlen(head);
    memcpy(text, head, len);
    memset(text + len, 'k', count);
    text[len + count] = '\0';
    return ps_uri_parse(text, uri, NULL);
}

static void test_length_limits(void **state)
{
    (void)state;
    struct ps_uri uri;
    assert_int_equal(parse_long("s3://bucket/", 1024, &uri), PENSTOCK_OK);
    assert_int_equal(strlen(uri.prefix), 1024);
    assert_int_equal(parse_long("s3://bucket/", 1025, &uri), PENSTOCK_E_ARGUMENT);
    assert_int_equal(parse_long("s3://", 255, &uri), PENSTOCK_OK);
    assert_int_equal(parse_long("s3://", 256, &uri), PENSTOCK_E_ARGUMENT);
    assert_int_equal(parse_long("/", 4094, &uri), PENSTOCK_OK);
    assert_int_equal(strlen(uri.prefix), 4095);
    assert_int_equal(parse_long("/", 4095, &uri), PENSTOCK_E_ARGUMENT);
}

static void test_dns_names(void **state)
{
    (void)state;
    assert_true(ps_bucket_is_dns("bucket-1.x"));
    assert_false(ps_bucket_is_dns("Bucket"));
    assert_false(ps_bucket_is_dns("buc_ket"));
    assert_false(ps_bucket_is_dns("buc.-ket"));
    assert_false(ps_bucket_is_dns("ab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_uris),
        cmocka_unit_test(test_bad_uris),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_dns_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
