/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_sigv4.c - pipe/sigv4.c against what AWS published.
 *
 * Sources of the vectors:
 *   s3     Amazon S3 API Reference, "Examples: Signature Calculations in AWS Signature Version 4":
 *          GET Object, PUT Object, GET Bucket Lifecycle, GET Bucket (List Objects)
 *   suite  aws-sig-v4-test-suite (AWS General Reference, "Signature Version 4 test suite"). Cases
 *          that normalise paths are left out: S3 does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/sigv4.h"

#define S3_TIME 1369353600    /* 2013-05-24T00:00:00Z */
#define SUITE_TIME 1440938160 /* 2015-08-30T12:36:00Z */
#define EMPTY PS_SIGV4_EMPTY_SHA256

/* One vector. Lists end at a NULL name. */
struct vector {
    const char *name;
    const char *method;
    const char *path; /* raw: the test encodes it */
    struct ps_sigv4_pair query[8];
    struct ps_sigv4_pair headers[8];
    const char *payload;
    const char *signed_headers;
    const char *signature;
};

#define S3_HOST                                                                                    \
    {                                                                                              \
        "host", "examplebucket.s3.amazonaws.com"                                                   \
    }
#define S3_DATE                                                                                    \
    {                                                                                              \
        "x-amz-date", "20130524T000000Z"                                                           \
    }
#define S3_EMPTY                                                                                   \
    {                                                                                              \
        "x-amz-content-sha256", EMPTY                                                              \
    }

static const struct vector s3_vectors[] = {
    {"GET Object with Range",
     "GET",
     "/test.txt",
     {{0}},
     {S3_HOST, {"range", "bytes=0-9"}, S3_EMPTY, S3_DATE},
     EMPTY,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT Object",
     "PUT",
     "/test$file.text",
     {{0}},
     {S3_HOST,
      {"date", "Fri, 24 May 2013 00:00:00 GMT"},
      S3_DATE,
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET Bucket Lifecycle",
     "GET",
     "/",
     {{"lifecycle", ""}},
     {S3_HOST, S3_EMPTY, S3_DATE},
     EMPTY,
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET Bucket (List Objects)",
     "GET",
     "/",
     {{"prefix", "J"}, {"max-keys", "2"}},
     {S3_HOST, S3_EMPTY, S3_DATE},
     EMPTY,
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

#define HOST                                                                                       \
    {                                                                                              \
        "host", "example.amazonaws.com"                                                            \
    }
#define DATE                                                                                       \
    {                                                                                              \
        "x-amz-date", "20150830T123600Z"                                                           \
    }
#define TOKEN                                                                                      \
    "AQoDYXdzEPT//////////"                                                                        \
    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"                     \
    "IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7" \
    "WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm" \
    "8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct vector suite_vectors[] = {
    {"get-header-key-duplicate",
     "GET",
     "/",
     {{0}},
     {HOST, {"my-header1", "value2"}, {"my-header1", "value2"}, {"my-header1", "value1"}, DATE},
     EMPTY,
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order",
     "GET",
     "/",
     {{0}},
     {HOST,
      {"my-header1", "value4"},
      {"my-header1", "value1"},
      {"my-header1", "value3"},
      {"my-header1", "value2"},
      DATE},
     EMPTY,
     "host;my-header1;x-amz-date",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim",
     "GET",
     "/",
     {{0}},
     {HOST, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}, DATE},
     EMPTY,
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-space",
     "GET",
     "/example space/",
     {{0}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-unreserved",
     "GET",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     {{0}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     {{0}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-vanilla",
     "GET",
     "/",
     {{0}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     {{"Param1", "value1"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     {{"Param2", "value2"}, {"Param1", "value1"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-key",
     "GET",
     "/",
     {{"Param1", "value2"}, {"Param1", "Value1"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"},
    {"get-vanilla-query-order-value",
     "GET",
     "/",
     {{"Param1", "value2"}, {"Param1", "value1"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
       "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     {{"\xe1\x88\xb4", "bar"}},
     {HOST, DATE},
     EMPTY,
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"post-header-key-sort",
     "POST",
     "/",
     {{0}},
     {DATE, {"my-header1", "value1"}, HOST},
     EMPTY,
     "host;my-header1;x-amz-date",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case",
     "POST",
     "/",
     {{0}},
     {HOST, {"my-header1", "VALUE1"}, DATE},
     EMPTY,
     "host;my-header1;x-amz-date",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before",
     "POST",
     "/",
     {{0}},
     {HOST, DATE, {"x-amz-security-token", TOKEN}},
     EMPTY,
     "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     {{0}},
     {{"content-type", "application/x-www-form-urlencoded"}, HOST, DATE},
     "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static size_t pair_count(const struct ps_sigv4_pair pairs[8])
{
    size_t count = 0;
    while (count < 8 && pairs[count].name)
        count++;
    return count;
}

static void check_vector(const struct vector *vector, bool s3, struct ps_sigv4_cache *cache)
{
    char path[512], query[1024], got[1024], expected[1024];
    struct ps_text path_text = ps_text_in(path, sizeof path);
    struct ps_text query_text = ps_text_in(query, sizeof query);
    const char *id = s3 ? "AKIAIOSFODNN7EXAMPLE" : "AKIDEXAMPLE";

    ps_text_add_encoded(&path_text, vector->path, true);
    ps_sigv4_add_query(&query_text, vector->query, pair_count(vector->query));
    const struct ps_sigv4_request request = {
        .method = vector->method,
        .path = path,
        .query = query,
        .headers = vector->headers,
        .header_count = pair_count(vector->headers),
        .payload_sha256 = vector->payload,
        .region = "us-east-1",
        .service = s3 ? "s3" : "service",
        .access_key_id = id,
        .secret_access_key = s3 ? "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
                                : "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        .time = s3 ? S3_TIME : SUITE_TIME,
    };
    snprintf(expected, sizeof expected,
             "AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/%s/aws4_request, SignedHeaders=%s, "
             "Signature=%s",
             id, s3 ? "20130524" : "20150830", request.service, vector->signed_headers,
             vector->signature);
    if (!ps_sigv4_authorization(&request, cache, got, sizeof got) || strcmp(got, expected))
        fail_msg("%s:\n  got      %s\n  expected %s", vector->name, got, expected);
}

static void test_published_vectors(void **state)
{
    (void)state;
    struct ps_sigv4_cache cache = {.scope = ""};
    for (size_t i = 0; i < sizeof s3_vectors / sizeof *s3_vectors; i++)
        check_vector(&s3_vectors[i], true, &cache);
    for (size_t i = 0; i < sizeof suite_vectors / sizeof *suite_vectors; i++)
        check_vector(&suite_vectors[i], false, &cache);
}

/* The cache must notice a change of anything that it depends on. */
static void test_cache_follows_scope_and_secret(void **state)
{
    (void)state;
    struct ps_sigv4_cache cache = {.scope = ""};
    struct ps_sigv4_request request = {
        .method = "GET",
        .path = "/",
        .query = "",
        .payload_sha256 = EMPTY,
        .region = "us-east-1",
        .service = "s3",
        .access_key_id = "ID",
        .secret_access_key = "one",
        .time = S3_TIME,
    };
    char first[512], again[512], other[512];

    for (int i = 0; i < 2; i++) {
        check_vector(&s3_vectors[0], true, &cache);
        check_vector(&suite_vectors[0], false, &cache);
    }
    assert_true(ps_sigv4_authorization(&request, &cache, first, sizeof first));
    request.secret_access_key = "two";
    assert_true(ps_sigv4_authorization(&request, &cache, other, sizeof other));
    assert_string_not_equal(first, other);
    request.secret_access_key = "one";
    assert_true(ps_sigv4_authorization(&request, &cache, again, sizeof again));
    assert_string_equal(first, again);

    /* the same secret on another day: as if there were no cache */
    struct ps_sigv4_cache none = {.scope = ""};
    request.time += 86400;
    assert_true(ps_sigv4_authorization(&request, &cache, again, sizeof again));
    assert_true(ps_sigv4_authorization(&request, &none, other, sizeof other));
    assert_string_equal(again, other);
}

static void test_query_is_sorted_by_encoded_name_then_value(void **state)
{
    (void)state;
    const struct ps_sigv4_pair pairs[] = {
        {"b", "1"}, {"a-b", "1"}, {"a", "2"},    {"a", "10"}, {"a", ""},
        {"a_", ""}, {"a=", "x"},  {"\xc3", "u"}, {"A", "&"},
    };
    char query[256];
    struct ps_text text = ps_text_in(query, sizeof query);
    ps_sigv4_add_query(&text, pairs, sizeof pairs / sizeof *pairs);
    assert_string_equal(query, "%C3=u&A=%26&a=&a=10&a=2&a%3D=x&a-b=1&a_=&b=1");

    struct ps_sigv4_pair many[PS_SIGV4_PAIRS_MAX + 1];
    for (size_t i = 0; i < PS_SIGV4_PAIRS_MAX + 1; i++)
        many[i] = pairs[0];
    ps_sigv4_add_query(&text, many, PS_SIGV4_PAIRS_MAX + 1);
    assert_true(text.cut);
}

static void test_too_long_is_refused(void **state)
{
    (void)state;
    static char path[40000];
    char out[512];
    struct ps_sigv4_cache cache = {.scope = ""};
    struct ps_sigv4_request request = {
        .method = "GET",
        .path = path,
        .query = "",
        .payload_sha256 = EMPTY,
        .region = "us-east-1",
        .service = "s3",
        .access_key_id = "ID",
        .secret_access_key = "secret",
        .time = S3_TIME,
    };
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    assert_false(ps_sigv4_authorization(&request, &cache, out, sizeof out));
    request.path = "/";
    assert_true(ps_sigv4_authorization(&request, &cache, out, sizeof out));
    assert_false(ps_sigv4_authorization(&request, &cache, out, strlen(out)));
    request.region = path;
    assert_false(ps_sigv4_authorization(&request, &cache, out, sizeof out));
    request.region = "us-east-1";
    request.secret_access_key = path;
    assert_false(ps_sigv4_authorization(&request, &cache, out, sizeof out));
}

static void test_date(void **state)
{
    (void)state;
    char date[17];
    assert_true(ps_sigv4_date(S3_TIME, date));
    assert_string_equal(date, "20130524T000000Z");
    assert_true(ps_sigv4_date(0, date));
    assert_string_equal(date, "19700101T000000Z");
    assert_true(ps_sigv4_date(253402300799, date));
    assert_string_equal(date, "99991231T235959Z");
    assert_false(ps_sigv4_date(253402300800, date));
    assert_false(ps_sigv4_date((time_t)1 << 60, date));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_cache_follows_scope_and_secret),
        cmocka_unit_test(test_query_is_sorted_by_encoded_name_then_value),
        cmocka_unit_test(test_too_long_is_refused),
        cmocka_unit_test(test_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
