/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_s3.c - pipe/s3_account.c, s3_site.c and s3_request.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipe/s3.h"

#define NOW 1369353600 /* 2013-05-24T00:00:00Z */

/* Signatures of the requests below by botocore 1.43.11: S3SigV4Auth("s3", "us-east-1") with
 * payload_signing_enabled, its clock held at NOW. */
#define AUTHORIZATION(names, signature)                                                            \
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "        \
    "SignedHeaders=" names ", Signature=" signature
#define GET_AUTHORIZATION                                                                          \
    AUTHORIZATION("host;range;x-amz-content-sha256;x-amz-date",                                    \
                  "67c3447de14a15c291684e65bc7b6f20441fa43a8cfdc3faf3420996fae1a205")
#define LIST_AUTHORIZATION                                                                         \
    AUTHORIZATION("host;x-amz-content-sha256;x-amz-date;x-amz-security-token",                     \
                  "3e0a859090b1baa304d8ed114012141837897e0dcad260bbcba73a8f5e63c504")
#define GET_ODD_AUTHORIZATION                                                                      \
    AUTHORIZATION("host;if-match;x-amz-content-sha256;x-amz-date;x-amz-security-token",            \
                  "32cefa67b435ad4e20c80cf2128a96a5b5c6ff1229616c55d3c5216df61fba6b")

static int fresh(void **state)
{
    static const char *const names[] = {"AWS_SESSION_TOKEN",   "AWS_PROFILE", "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_S3", "AWS_REGION",  "AWS_DEFAULT_REGION",
                                        "AWS_CA_BUNDLE"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 1);
    return 0;
}

static const struct penstock_config plain;

static struct ps_s3_account load(const struct penstock_config *config)
{
    struct ps_s3_account account;
    struct penstock_error error;
    if (ps_s3_account_load(config, &account, &error) != PENSTOCK_OK)
        fail_msg("%s", error.message);
    return account;
}

static void test_region_order(void **state)
{
    (void)state;
    const struct penstock_config config = {.region = "ap-south-1"};
    assert_string_equal(load(&plain).region, "us-east-1");
    assert_false(load(&plain).region_given);
    setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    assert_string_equal(load(&plain).region, "eu-west-1");
    assert_true(load(&plain).region_given);
    setenv("AWS_REGION", "eu-west-2", 1);
    assert_string_equal(load(&plain).region, "eu-west-2");
    assert_string_equal(load(&config).region, "ap-south-1");
    setenv("AWS_REGION", "", 1);
    assert_string_equal(load(&plain).region, "eu-west-1");

    const struct penstock_config bad = {.region = "x.evil.example/"};
    struct ps_s3_account account;
    struct penstock_error error;
    assert_int_equal(ps_s3_account_load(&bad, &account, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "is no region"));
}

static void test_endpoint_order(void **state)
{
    (void)state;
    const struct penstock_config config = {.endpoint_url = "http://given:1"};
    assert_string_equal(load(&plain).endpoint_url, "");
    setenv("AWS_ENDPOINT_URL", "http://general:2", 1);
    assert_string_equal(load(&plain).endpoint_url, "http://general:2");
    setenv("AWS_ENDPOINT_URL_S3", "http://s3:3", 1);
    assert_string_equal(load(&plain).endpoint_url, "http://s3:3");
    assert_string_equal(load(&plain).endpoint_origin, "AWS_ENDPOINT_URL_S3");
    assert_string_equal(load(&config).endpoint_url, "http://given:1");
    setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
    assert_string_equal(load(&plain).ca_bundle, "/ca.pem");
}

static void test_keys_in_the_environment_do_not_need_the_home_directory(void **state)
{
    struct ps_s3_account account;
    struct penstock_error error;
    (void)state;
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    char home[] = "/tmp/penstock-s3-XXXXXX", path[64], config[64];
    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/.aws", home);
    snprintf(config, sizeof config, "%s/.aws/config", home);
    char command[256]; /* a directory in the place of the file: reading it fails, for root too */
    snprintf(command, sizeof command, "mkdir -p %s", config);
    assert_int_equal(system(command), 0);
    setenv("HOME", home, 1);
    assert_int_equal(ps_s3_account_load(&plain, &account, &error), PENSTOCK_OK);
    setenv("AWS_CONFIG_FILE", config, 1);
    assert_int_equal(ps_s3_account_load(&plain, &account, &error), PENSTOCK_E_CREDENTIALS);
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_int_equal(ps_s3_account_load(&plain, &account, &error), PENSTOCK_E_CREDENTIALS);
    assert_non_null(strstr(error.message, config));
    snprintf(command, sizeof command, "rm -r %s", home);
    assert_int_equal(system(command), 0);
}

static void test_sites(void **state)
{
    (void)state;
    static const struct {
        const char *region, *endpoint, *bucket;
        const char *origin, *host;
        int port;
        bool path_style;
    } table[] = {
        {"us-east-1", "", "b-1", "https://b-1.s3.us-east-1.amazonaws.com",
         "b-1.s3.us-east-1.amazonaws.com", 443, false},
        {"eu-west-1", "", "my.bucket", "https://s3.eu-west-1.amazonaws.com",
         "s3.eu-west-1.amazonaws.com", 443, true},
        {"us-east-1", "", "Old_Bucket", "https://s3.us-east-1.amazonaws.com",
         "s3.us-east-1.amazonaws.com", 443, true},
        {"cn-north-1", "", "bucket", "https://bucket.s3.cn-north-1.amazonaws.com.cn",
         "bucket.s3.cn-north-1.amazonaws.com.cn", 443, false},
        {"us-east-1", "http://localhost:9000", "bucket", "http://localhost:9000", "localhost", 9000,
         true},
        {"us-east-1", "http://localhost:80/", "bucket", "http://localhost", "localhost", 80, true},
        {"us-east-1", "HTTPS://Minio.example", "bucket", "https://Minio.example", "Minio.example",
         443, true},
        {"us-east-1", "https://10.0.0.1:443", "bucket", "https://10.0.0.1", "10.0.0.1", 443, true},
        {"us-east-1", "https://h:80", "bucket", "https://h:80", "h", 80, true},
        {"us-east-1", "http://[::1]:8080", "bucket", "http://[::1]:8080", "::1", 8080, true},
        {"us-east-1", "http://[fd00::2]", "bucket", "http://[fd00::2]", "fd00::2", 80, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct penstock_config config = {.region = table[i].region,
                                               .endpoint_url = table[i].endpoint};
        struct ps_s3_account account = load(&config);
        struct ps_s3_site site;
        struct penstock_error error = {.message = ""};
        char origin[512];
        if (ps_s3_site_init(&account, table[i].bucket, &site, &error) != PENSTOCK_OK)
            fail_msg("%s", error.message);
        ps_s3_place_origin(&site.places[0], origin, sizeof origin);
        assert_string_equal(origin, table[i].origin);
        assert_string_equal(site.places[0].host, table[i].host);
        assert_int_equal(site.places[0].port, table[i].port);
        assert_int_equal(site.places[0].path_style, table[i].path_style);
    }
}

static void test_bad_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *part;
    } table[] = {
        {"localhost:9000", "does not begin with http"},
        {"ftp://h", "does not begin with http"},
        {"http://", "names no host"},
        {"http://:80", "names no host"},
        {"http://h/path", "has a path"},
        {"http://h?x", "has a path"},
        {"http://user:pw@h", "holds a user name"},
        {"http://h:0", "a port that is no number"},
        {"http://h:65536", "a port that is no number"},
        {"http://h:8x", "a port that is no number"},
        {"http://h:+8", "a port that is no number"},
        {"http://h:", "a port that is no number"},
        {"http://[::1", "unclosed"},
        {"http://[::1]x", "something other than a port"},
        {"http://a b", "characters"},
        {"http://a\nb", "characters"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct penstock_config config = {.endpoint_url = table[i].endpoint};
        struct ps_s3_account account = load(&config);
        struct ps_s3_site site;
        struct penstock_error error = {.message = ""};
        assert_int_equal(ps_s3_site_init(&account, "bucket", &site, &error), PENSTOCK_E_ARGUMENT);
        if (!strstr(error.message, table[i].part) ||
            !strstr(error.message, "(from the configuration)"))
            fail_msg("%s: %s", table[i].endpoint, error.message);
    }
}

/* The header line that begins with `name`, without the name; NULL if there is none. */
static const char *header(const struct ps_s3_request *request, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;
    for (size_t i = 0; i < request->header_count; i++)
        if (!strncmp(request->headers[i], name, len) &&
            !strncmp(request->headers[i] + len, ": ", 2)) {
            assert_null(found);
            found = request->headers[i] + len + 2;
        }
    return found;
}

static struct ps_s3_request request;

static void build(const struct penstock_config *config, const char *bucket,
                  const struct ps_s3_request_spec *spec)
{
    struct ps_s3_account account = load(config);
    struct ps_s3_site site;
    struct ps_sigv4_cache cache = {.scope = ""};
    struct penstock_error error = {.message = ""};
    assert_int_equal(ps_s3_site_init(&account, bucket, &site, &error), PENSTOCK_OK);
    if (ps_s3_request_build(&site, spec, NOW, &cache, &request, &error) != PENSTOCK_OK)
        fail_msg("%s", error.message);
}

/* Hosts as boto3 1.44 presigns them. */
static void test_addressing_styles(void **state)
{
    (void)state;
    static const char point[] = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point";
    static const struct {
        const char *region, *endpoint, *style, *bucket;
        const char *origin, *target;
    } table[] = {
        {"us-west-2", "", "auto", point,
         "https://my-point-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "/k"},
        {"eu-west-1", "", "path", point,
         "https://my-point-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "/k"},
        {"cn-north-1", "", NULL, "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:p1x",
         "https://p1x-123456789012.s3-accesspoint.cn-north-1.amazonaws.com.cn", "/k"},
        {"eu-west-1", "", "path", "xs3", "https://s3.eu-west-1.amazonaws.com", "/xs3/k"},
        {"eu-west-1", "", "virtual", "xs3", "https://xs3.s3.eu-west-1.amazonaws.com", "/k"},
        {"us-east-1", "http://minio.example:9000", "virtual", "bucket",
         "http://bucket.minio.example:9000", "/k"},
        {"us-east-1", "https://minio.example", "auto", "bucket", "https://minio.example",
         "/bucket/k"},
        {"us-west-2", "", "path", "base--usw2-az1--x-s3",
         "https://base--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com", "/k"},
        {"us-west-2", "", NULL, "a--b--usw2-lax1-az1--x-s3",
         "https://a--b--usw2-lax1-az1--x-s3.s3express-usw2-lax1-az1.us-west-2.amazonaws.com", "/k"},
        {"us-west-2", "", NULL, "point--usw2-az1--xa-s3",
         "https://point--usw2-az1--xa-s3.s3express-usw2-az1.us-west-2.amazonaws.com", "/k"},
        {"us-west-2", "http://localhost:9000", NULL, "base--usw2-az1--x-s3",
         "http://localhost:9000", "/base--usw2-az1--x-s3/k"},
        {"us-west-2", "", NULL, "base--x-s3", "https://base--x-s3.s3.us-west-2.amazonaws.com",
         "/k"},
    };
    const struct ps_s3_request_spec spec = {.method = "GET", .key = "k"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct penstock_config config = {.region = table[i].region,
                                               .endpoint_url = table[i].endpoint,
                                               .addressing_style = table[i].style};
        struct ps_s3_account account = load(&config);
        struct ps_sigv4_cache cache = {.scope = ""};
        struct ps_s3_site site;
        struct penstock_error error = {.message = ""};
        char origin[512];
        assert_int_equal(ps_s3_site_init(&account, table[i].bucket, &site, &error), PENSTOCK_OK);
        ps_s3_place_origin(&site.places[0], origin, sizeof origin);
        assert_string_equal(origin, table[i].origin);
        assert_int_equal(ps_s3_request_build(&site, &spec, NOW, &cache, &request, &error),
                         PENSTOCK_OK);
        assert_string_equal(request.target, table[i].target);
        if (table[i].bucket == point) /* signed for the region of the ARN */
            assert_non_null(strstr(header(&request, "Authorization"), "/us-west-2/s3/"));
    }
}

static void refuse_site(const struct penstock_config *config, const char *bucket, const char *why)
{
    struct ps_s3_account account = load(config);
    struct ps_s3_site site;
    struct penstock_error error;
    assert_int_equal(ps_s3_site_init(&account, bucket, &site, &error), PENSTOCK_E_ARGUMENT);
    if (!strstr(error.message, why))
        fail_msg("%s", error.message);
}

static void test_addresses_that_cannot_be(void **state)
{
    (void)state;
    const struct penstock_config virtual = {.endpoint_url = "http://h:1",
                                            .addressing_style = "virtual"};
    const struct penstock_config wrong = {.addressing_style = "round"};
    struct ps_s3_account account;
    struct penstock_error error;
    refuse_site(&virtual, "Old_Bucket", "cannot stand in a host name");
    refuse_site(&virtual, "arn:aws:s3:us-west-2:123456789012:accesspoint/abc", "at AWS itself");
    assert_int_equal(ps_s3_account_load(&wrong, &account, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "'round' is not auto, path or virtual"));
}

static void write_key(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Headers as boto3 1.44 sends them for the key 00 01 .. 1f. */
static void test_customers_encryption_key(void **state)
{
    (void)state;
    static const char text[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    char path[] = "/tmp/penstock-sse-XXXXXX";
    unsigned char key[32];
    const struct penstock_config config = {.sse_customer_key_file = path};
    const struct penstock_config bare = {.sse_customer_key_file = path,
                                         .endpoint_url = "http://h:1"};
    const struct ps_s3_request_spec spec = {
        .method = "GET", .key = "k", .ranged = true, .if_match = "\"e\"", .checksum = true};
    const struct ps_s3_request_spec listing = {.method = "GET"};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)i;
    for (int form = 0; form < 3; form++) { /* bytes; base64; base64 and a line end */
        char line[sizeof text + 1];
        snprintf(line, sizeof line, "%s\n", text);
        write_key(path, form == 0 ? (const void *)key : line,
                  form == 0 ? sizeof key : strlen(line) - (form == 1));
        setenv("AWS_SESSION_TOKEN", "T", 1);
        build(&config, "bucket", &spec);
        assert_string_equal(header(&request, "x-amz-server-side-encryption-customer-algorithm"),
                            "AES256");
        assert_string_equal(header(&request, "x-amz-server-side-encryption-customer-key"), text);
        assert_string_equal(header(&request, "x-amz-server-side-encryption-customer-key-MD5"),
                            "tP/LI3N87DFaSk0aoqYgzg==");
        assert_non_null(strstr(header(&request, "Authorization"),
                               "x-amz-server-side-encryption-customer-algorithm;"
                               "x-amz-server-side-encryption-customer-key;"
                               "x-amz-server-side-encryption-customer-key-md5,"));
    }
    build(&config, "bucket", &listing); /* a listing has no bytes to decrypt */
    assert_null(header(&request, "x-amz-server-side-encryption-customer-key"));
    refuse_site(&bare, "bucket", "goes over https only");
    write_key(path, text, 43);
    struct ps_s3_account account;
    struct penstock_error error;
    assert_int_equal(ps_s3_account_load(&config, &account, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "neither 32 bytes nor 44 characters"));
    assert_null(strstr(error.message, "AAEC"));
    unlink(path);
    assert_int_equal(ps_s3_account_load(&config, &account, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "No such file"));
}

static void test_ranged_get(void **state)
{
    (void)state;
    const struct penstock_config config = {.region = "us-east-1"};
    const struct ps_s3_request_spec spec = {
        .method = "GET", .key = "test.txt", .ranged = true, .first = 0, .last = 9};
    build(&config, "examplebucket", &spec);
    assert_string_equal(request.url, "https://examplebucket.s3.us-east-1.amazonaws.com/test.txt");
    assert_string_equal(request.target, "/test.txt");
    assert_string_equal(header(&request, "Host"), "examplebucket.s3.us-east-1.amazonaws.com");
    assert_string_equal(header(&request, "Range"), "bytes=0-9");
    assert_string_equal(header(&request, "x-amz-date"), "20130524T000000Z");
    assert_string_equal(header(&request, "x-amz-content-sha256"), PS_SIGV4_EMPTY_SHA256);
    assert_string_equal(header(&request, "User-Agent"), "penstock/" PENSTOCK_VERSION);
    assert_null(header(&request, "If-Match"));
    assert_null(header(&request, "x-amz-security-token"));
    assert_string_equal(header(&request, "Authorization"), GET_AUTHORIZATION);
}

static void test_list_with_token_and_if_match(void **state)
{
    (void)state;
    const struct penstock_config config = {.endpoint_url = "http://127.0.0.1:9000"};
    const struct ps_sigv4_pair query[] = {{"prefix", "a b/+%\xc3\xa9"},
                                          {"list-type", "2"},
                                          {"continuation-token", "1/x=="},
                                          {"encoding-type", "url"}};
    const struct ps_s3_request_spec list = {.method = "GET", .query = query, .query_count = 4};
    setenv("AWS_SESSION_TOKEN", "SESSION", 1);
    build(&config, "bucket", &list);
    assert_string_equal(request.target,
                        "/bucket?continuation-token=1%2Fx%3D%3D&encoding-type=url&list-type=2&"
                        "prefix=a%20b%2F%2B%25%C3%A9");
    assert_string_equal(header(&request, "Host"), "127.0.0.1:9000");
    assert_string_equal(header(&request, "x-amz-security-token"), "SESSION");
    assert_string_equal(header(&request, "Authorization"), LIST_AUTHORIZATION);

    const struct ps_s3_request_spec get = {
        .method = "GET", .key = "//a b?#%2F\n", .if_match = "\"etag-1\""};
    build(&config, "bucket", &get);
    assert_string_equal(request.url, "http://127.0.0.1:9000/bucket///a%20b%3F%23%252F%0A");
    assert_string_equal(header(&request, "If-Match"), "\"etag-1\"");
    assert_null(header(&request, "Range"));
    assert_string_equal(header(&request, "Authorization"), GET_ODD_AUTHORIZATION);
}

static void test_checksum_mode_is_signed(void **state)
{
    (void)state;
    const struct penstock_config config = {.region = "us-east-1"};
    struct ps_s3_request_spec spec = {.method = "HEAD", .key = "k"};
    build(&config, "bucket", &spec);
    assert_null(header(&request, "x-amz-checksum-mode"));
    spec.checksum = true;
    build(&config, "bucket", &spec);
    assert_string_equal(header(&request, "x-amz-checksum-mode"), "ENABLED");
    assert_non_null(strstr(header(&request, "Authorization"),
                           "SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;"));
}

static void test_anonymous_requests_are_unsigned(void **state)
{
    (void)state;
    const struct penstock_config config = {.anonymous = true};
    const struct ps_s3_request_spec spec = {
        .method = "HEAD", .key = "k", .ranged = true, .first = 1, .last = UINT64_MAX};
    build(&config, "bucket", &spec);
    assert_int_equal(request.header_count, 3);
    assert_non_null(header(&request, "Host"));
    assert_non_null(header(&request, "User-Agent"));
    assert_string_equal(header(&request, "Range"), "bytes=1-18446744073709551615");
}

static void test_headers_for_buckets_of_others(void **state)
{
    (void)state;
    const struct penstock_config config = {.requester_pays = true,
                                           .expected_bucket_owner = "123456789012"};
    const struct ps_s3_request_spec spec = {
        .method = "GET", .key = "k", .ranged = true, .if_match = "\"e\"", .checksum = true};
    setenv("AWS_SESSION_TOKEN", "T", 1);
    build(&config, "bucket", &spec);
    assert_string_equal(header(&request, "x-amz-request-payer"), "requester");
    assert_string_equal(header(&request, "x-amz-expected-bucket-owner"), "123456789012");
    assert_non_null(strstr(header(&request, "Authorization"),
                           "x-amz-expected-bucket-owner;x-amz-request-payer;x-amz-security-token"));
    build(&plain, "bucket", &spec);
    assert_null(header(&request, "x-amz-request-payer"));
    assert_null(header(&request, "x-amz-expected-bucket-owner"));

    static const char *const bad[] = {"12345678901", "1234567890123", "12345678901x", "\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct penstock_config wrong = {.expected_bucket_owner = bad[i]};
        struct ps_s3_account account;
        struct penstock_error error;
        assert_int_equal(ps_s3_account_load(&wrong, &account, &error), PENSTOCK_E_ARGUMENT);
        assert_non_null(strstr(error.message, "is no account"));
    }
}

static void test_extreme_keys(void **state)
{
    (void)state;
    char key[1026];
    memset(key, '\xff', 1025);
    key[1025] = '\0';
    struct ps_s3_account account = load(&plain);
    struct ps_s3_site site;
    struct ps_sigv4_cache cache = {.scope = ""};
    struct penstock_error error;
    struct ps_s3_request_spec spec = {.method = "GET", .key = key};
    assert_int_equal(ps_s3_site_init(&account, "bucket", &site, &error), PENSTOCK_OK);
    assert_int_equal(ps_s3_request_build(&site, &spec, NOW, &cache, &request, &error),
                     PENSTOCK_E_ARGUMENT);
    key[1024] = '\0';
    assert_int_equal(ps_s3_request_build(&site, &spec, NOW, &cache, &request, &error), PENSTOCK_OK);
    assert_int_equal(strlen(request.target), 1 + 3 * 1024);

    spec.if_match = "\"x\"\r\nX-Evil: 1";
    assert_int_equal(ps_s3_request_build(&site, &spec, NOW, &cache, &request, &error),
                     PENSTOCK_E_ARGUMENT);
}

static void test_longest_list_request_fits(void **state)
{
    (void)state;
    static char prefix[PS_KEY_BYTES_MAX + 1], token[PS_S3_TOKEN_MAX + 1], session[PS_TOKEN_MAX + 1];
    memset(prefix, '\xff', sizeof prefix - 1);
    memset(token, '/', sizeof token - 1);
    memset(session, 's', sizeof session - 1);
    setenv("AWS_SESSION_TOKEN", session, 1);
    const struct ps_sigv4_pair query[] = {{"list-type", "2"},
                                          {"encoding-type", "url"},
                                          {"prefix", prefix},
                                          {"max-keys", "1000"},
                                          {"continuation-token", token}};
    const struct ps_s3_request_spec spec = {.method = "GET", .query = query, .query_count = 5};
    build(&plain, "bucket", &spec);
    assert_string_equal(header(&request, "x-amz-security-token"), session);
    assert_non_null(header(&request, "Authorization"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_region_order, fresh),
        cmocka_unit_test_setup(test_endpoint_order, fresh),
        cmocka_unit_test_setup(test_keys_in_the_environment_do_not_need_the_home_directory, fresh),
        cmocka_unit_test_setup(test_sites, fresh),
        cmocka_unit_test_setup(test_bad_endpoints, fresh),
        cmocka_unit_test_setup(test_addressing_styles, fresh),
        cmocka_unit_test_setup(test_addresses_that_cannot_be, fresh),
        cmocka_unit_test_setup(test_customers_encryption_key, fresh),
        cmocka_unit_test_setup(test_ranged_get, fresh),
        cmocka_unit_test_setup(test_list_with_token_and_if_match, fresh),
        cmocka_unit_test_setup(test_checksum_mode_is_signed, fresh),
        cmocka_unit_test_setup(test_anonymous_requests_are_unsigned, fresh),
        cmocka_unit_test_setup(test_headers_for_buckets_of_others, fresh),
        cmocka_unit_test_setup(test_extreme_keys, fresh),
        cmocka_unit_test_setup(test_longest_list_request_fits, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
