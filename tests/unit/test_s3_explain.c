/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_s3_explain.c - pipe/s3_explain.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/s3_explain.h"

static const struct ps_s3_account aws = {
    .credentials = {.keys = {.access_key_id = "AKID",
                             .secret_access_key = "HUSH",
                             .session_token = "HUSHHUSH"},
                    .origin = "the environment"},
    .region = "us-east-1",
};
static const struct ps_s3_account local = {
    .credentials = {.keys = {.access_key_id = "AKID", .secret_access_key = "HUSH"},
                    .origin = "profile 'p' in /c"},
    .region = "us-east-1",
    .endpoint_url = "http://h:1",
    .endpoint_origin = "AWS_ENDPOINT_URL",
};
static const struct ps_s3_account anonymous = {
    .credentials = {.anonymous = true, .origin = "anonymous access"},
    .region = "us-east-1",
};

struct example {
    const struct ps_s3_account *account;
    bool listing;
    struct ps_attempt_outcome outcome;
    const char *region, *detail, *s3_message;
    uint32_t attempts;
    int rc;
    const char *message; /* the whole of it */
};

#define AWS_WHERE " [https://b-1.s3.us-east-1.amazonaws.com, IP 192.0.2.1, request id RID]"
#define LOCAL_WHERE " [http://h:1, IP 192.0.2.1, request id RID]"

static const struct example examples[] = {
    {&aws,
     true,
     {PS_TRANSFER_OK, 404, "NoSuchBucket"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_NOT_FOUND,
     "listing s3://b-1/a/k failed: HTTP status 404 NoSuchBucket: check that bucket b-1 exists in "
     "region us-east-1" AWS_WHERE},
    {&local,
     true,
     {PS_TRANSFER_OK, 404, "NoSuchBucket"},
     "",
     "",
     "none",
     1,
     PENSTOCK_E_NOT_FOUND,
     "listing s3://b-1/a/k failed: HTTP status 404 NoSuchBucket (none): check that bucket b-1 "
     "exists at http://h:1 (from AWS_ENDPOINT_URL)" LOCAL_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 404, "NoSuchKey"},
     "us-east-1",
     "",
     "",
     1,
     PENSTOCK_E_NOT_FOUND,
     "GET s3://b-1/a/k at byte 17 failed: HTTP status 404 NoSuchKey: the object was deleted after "
     "it was listed" AWS_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_OK, 403, "AccessDenied"},
     "us-east-1",
     "",
     "Access Denied",
     1,
     PENSTOCK_E_DENIED,
     "listing s3://b-1/a/k failed: HTTP status 403 AccessDenied (Access Denied): access key AKID "
     "(from the environment) needs s3:ListBucket on arn:aws:s3:::b-1" AWS_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 403, ""},
     "",
     "",
     "",
     1,
     PENSTOCK_E_DENIED,
     "GET s3://b-1/a/k at byte 17 failed: HTTP status 403: access key AKID (from the environment) "
     "needs s3:GetObject on arn:aws:s3:::b-1/a/k" AWS_WHERE},
    {&anonymous,
     false,
     {PS_TRANSFER_OK, 403, "AccessDenied"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_DENIED,
     "GET s3://b-1/a/k at byte 17 failed: HTTP status 403 AccessDenied: bucket b-1 is not public: "
     "use credentials" AWS_WHERE},
    {&local,
     true,
     {PS_TRANSFER_OK, 403, "SignatureDoesNotMatch"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_DENIED,
     "listing s3://b-1/a/k failed: HTTP status 403 SignatureDoesNotMatch: the secret key does not "
     "belong to access key AKID (from profile 'p' in /c)" LOCAL_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_OK, 403, "InvalidAccessKeyId"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_DENIED,
     "listing s3://b-1/a/k failed: HTTP status 403 InvalidAccessKeyId: access key AKID (from the "
     "environment) is unknown to this server" AWS_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_OK, 403, "RequestTimeTooSkewed"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_DENIED,
     "listing s3://b-1/a/k failed: HTTP status 403 RequestTimeTooSkewed: this machine's clock is "
     "wrong: set it" AWS_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 400, "ExpiredToken"},
     "",
     "",
     "",
     2,
     PENSTOCK_E_CREDENTIALS,
     "GET s3://b-1/a/k at byte 17 failed after 2 attempts: HTTP status 400 ExpiredToken: the "
     "credentials from the environment are no longer valid: renew them" AWS_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_OK, 301, "PermanentRedirect"},
     "eu-west-1",
     "",
     "use the other",
     1,
     PENSTOCK_E_HTTP,
     "listing s3://b-1/a/k failed: HTTP status 301 PermanentRedirect: the bucket is in region "
     "eu-west-1, not us-east-1: set AWS_REGION=eu-west-1" AWS_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_OK, 400, "AuthorizationHeaderMalformed"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_HTTP,
     "listing s3://b-1/a/k failed: HTTP status 400 AuthorizationHeaderMalformed: the bucket is not "
     "in region us-east-1: set AWS_REGION" AWS_WHERE},
    {&local,
     true,
     {PS_TRANSFER_OK, 302, ""},
     "",
     "",
     "",
     1,
     PENSTOCK_E_HTTP,
     "listing s3://b-1/a/k failed: HTTP status 302: the server redirects, check the endpoint URL "
     "http://h:1 (from AWS_ENDPOINT_URL)" LOCAL_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 412, "PreconditionFailed"},
     "",
     "",
     "",
     1,
     PENSTOCK_E_CHANGED,
     "GET s3://b-1/a/k at byte 17 failed: HTTP status 412 PreconditionFailed: the object was "
     "replaced after it was listed: start again" AWS_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 503, "SlowDown"},
     "",
     "",
     "",
     10,
     PENSTOCK_E_HTTP,
     "GET s3://b-1/a/k at byte 17 failed after 10 attempts: HTTP status 503 SlowDown: the server "
     "asks for fewer requests: use fewer connections" AWS_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_OK, 500, "InternalError"},
     "",
     "",
     "We erred",
     10,
     PENSTOCK_E_HTTP,
     "GET s3://b-1/a/k at byte 17 failed after 10 attempts: HTTP status 500 InternalError (We "
     "erred)" AWS_WHERE},
    {&aws,
     false,
     {PS_TRANSFER_RESET, 206, ""},
     "",
     "1 byte missing",
     "",
     10,
     PENSTOCK_E_NETWORK,
     "GET s3://b-1/a/k at byte 17 failed after 10 attempts: the connection ended before the whole "
     "answer had arrived (1 byte missing): HTTP status 206" AWS_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_CONNECT, 0, ""},
     "",
     "",
     "",
     10,
     PENSTOCK_E_NETWORK,
     "listing s3://b-1/a/k failed after 10 attempts: no connection: check region us-east-1 and the "
     "way to the network (proxy, VPC endpoint)" AWS_WHERE},
    {&local,
     true,
     {PS_TRANSFER_RESOLVE, 0, ""},
     "",
     "no h",
     "",
     10,
     PENSTOCK_E_NETWORK,
     "listing s3://b-1/a/k failed after 10 attempts: the host name cannot be resolved (no h): "
     "check "
     "the endpoint URL http://h:1 (from AWS_ENDPOINT_URL) and that the server runs" LOCAL_WHERE},
    {&local,
     true,
     {PS_TRANSFER_TLS, 0, ""},
     "",
     "",
     "",
     10,
     PENSTOCK_E_NETWORK,
     "listing s3://b-1/a/k failed after 10 attempts: TLS failed: check that http://h:1 (from "
     "AWS_ENDPOINT_URL) speaks TLS, else write http://" LOCAL_WHERE},
    {&aws,
     true,
     {PS_TRANSFER_CERTIFICATE, 0, ""},
     "",
     "",
     "",
     1,
     PENSTOCK_E_NETWORK,
     "listing s3://b-1/a/k failed: the server's certificate is not trusted: name the file of a "
     "private CA by AWS_CA_BUNDLE" AWS_WHERE},
};

static void test_whole_sentences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        const struct example *example = &examples[i];
        struct ps_s3_site site;
        struct penstock_error error;
        assert_int_equal(ps_s3_site_init(example->account, "b-1", &site, NULL), PENSTOCK_OK);
        const struct ps_s3_failure failure = {
            .site = &site,
            .key = "a/k",
            .listing = example->listing,
            .offset_bytes = example->listing ? 0 : 17,
            .attempts = example->attempts,
            .outcome = example->outcome,
            .detail = example->detail,
            .s3_message = example->s3_message,
            .s3_region = example->region,
            .s3_location = "",
            .request_id = "RID",
            .remote_ip = "192.0.2.1",
        };
        assert_int_equal(ps_s3_explain(&failure, &error), example->rc);
        assert_string_equal(error.message, example->message);
        assert_int_equal(error.rc, example->rc);
        assert_string_equal(error.bucket, "b-1");
        assert_string_equal(error.key, "a/k");
        assert_int_equal(error.offset_bytes, example->listing ? 0 : 17);
        assert_int_equal(error.http_status, example->outcome.http_status);
        assert_string_equal(error.s3_code, example->outcome.s3_code);
        assert_string_equal(error.request_id, "RID");
        assert_string_equal(error.remote_ip, "192.0.2.1");
        assert_int_equal(error.attempts, example->attempts);
        assert_null(strstr(error.message, "HUSH"));
    }
}

static void test_unknown_places_are_left_out(void **state)
{
    (void)state;
    struct ps_s3_site site;
    struct penstock_error error;
    assert_int_equal(ps_s3_site_init(&local, "b-1", &site, NULL), PENSTOCK_OK);
    const struct ps_s3_failure failure = {.site = &site,
                                          .key = "",
                                          .listing = true,
                                          .attempts = 1,
                                          .outcome = {PS_TRANSFER_STALL, 0, ""},
                                          .detail = "",
                                          .s3_message = "",
                                          .s3_region = "",
                                          .s3_location = "",
                                          .request_id = "",
                                          .remote_ip = ""};
    ps_s3_explain(&failure, &error);
    assert_string_equal(error.message,
                        "listing s3://b-1/ failed: no data arrived for too long [http://h:1]");
    ps_s3_explain(&failure, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_sentences),
        cmocka_unit_test(test_unknown_places_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
