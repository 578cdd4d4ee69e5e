/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_s3_xml.c - pipe/s3_xml.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/s3_xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3\">"
#define TAIL "<IsTruncated>false</IsTruncated></ListBucketResult>"
#define ENTRY(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"
#define URL "<EncodingType>url</EncodingType>"

static void test_a_page_of_aws(void **state)
{
    (void)state;
    static const char body[] =
        HEAD "<Name>bucket</Name><Prefix>a%2F</Prefix><KeyCount>2</KeyCount>"
             "<NextContinuationToken>1/abc+==</NextContinuationToken><MaxKeys>2</MaxKeys>" URL
             "<IsTruncated>true</IsTruncated>"
             "<Contents><Key>a/x%2By+z</Key><LastModified>2020</LastModified>"
             "<ETag>&quot;0123&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
             "<Owner><ID>1</ID><Key>not this</Key></Owner>"
             "<Size>54975581388800</Size><StorageClass>STANDARD</StorageClass></Contents>"
             "<Contents><Key>a/%E6%BC%A2</Key><Size>0</Size></Contents>"
             "<CommonPrefixes><Prefix>p</Prefix></CommonPrefixes></ListBucketResult>";
    struct ps_s3_page page = {.count = 0};
    struct penstock_error error;
    assert_int_equal(ps_s3_xml_page(body, sizeof body - 1, &page, &error), PENSTOCK_OK);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.objects[0].key, "a/x+y z");
    assert_string_equal(page.objects[0].etag, "\"0123\"");
    assert_true(page.objects[0].size_bytes == UINT64_C(50) << 40);
    assert_string_equal(page.objects[1].key, "a/\xe6\xbc\xa2");
    assert_string_equal(page.objects[1].etag, "");
    assert_true(page.objects[1].size_bytes == 0);
    assert_true(page.truncated);
    assert_string_equal(page.token, "1/abc+==");

    /* used again for the last page */
    static const char last[] = HEAD TAIL;
    assert_int_equal(ps_s3_xml_page(last, sizeof last - 1, &page, &error), PENSTOCK_OK);
    assert_int_equal(page.count, 0);
    assert_false(page.truncated);
    assert_string_equal(page.token, "");
    ps_s3_page_free(&page);
}

static void test_keys_are_decoded_only_if_encoded(void **state)
{
    (void)state;
    static const struct {
        const char *body, *key;
    } table[] = {
        {HEAD URL ENTRY("a%2Fb%20c%0A%27%28+", "1") TAIL, "a/b c\n'( "},
        {HEAD ENTRY("k", "1") URL TAIL, "k"},
        {HEAD ENTRY("a%2bb+", "1") URL TAIL, "a+b "}, /* the encoding may be named after the keys */
        {HEAD ENTRY("a%2Fb+c%zz", "1") TAIL, "a%2Fb+c%zz"},
        {HEAD ENTRY("a&amp;b&lt;&#x4e;<![CDATA[<x>]]>", "1") TAIL, "a&b<N<x>"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ps_s3_page page = {.count = 0};
        struct penstock_error error = {.message = ""};
        if (ps_s3_xml_page(table[i].body, strlen(table[i].body), &page, &error) != PENSTOCK_OK)
            fail_msg("%s: %s", table[i].body, error.message);
        assert_int_equal(page.count, 1);
        assert_string_equal(page.objects[0].key, table[i].key);
        ps_s3_page_free(&page);
    }
}

static void test_bad_listings(void **state)
{
    (void)state;
    static const struct {
        const char *body, *part;
    } table[] = {
        {"", "no element found"},
        {"<html><body>hello</body></html>", "it is no ListBucketResult"},
        {"<Error><Code>InternalError</Code></Error>", "it is no ListBucketResult"},
        {HEAD ENTRY("k", "1"), "no element found"},
        {HEAD "<a></b>" TAIL, "mismatched tag"},
        {HEAD "</ListBucketResult>", "it has no IsTruncated"},
        {HEAD "<IsTruncated>yes</IsTruncated></ListBucketResult>", "neither true nor false"},
        {HEAD "<IsTruncated>true</IsTruncated></ListBucketResult>", "no NextContinuationToken"},
        {HEAD "<Contents><Size>1</Size></Contents>" TAIL, "no Key or no Size"},
        {HEAD "<Contents><Key>k</Key></Contents>" TAIL, "no Key or no Size"},
        {HEAD ENTRY("", "1") TAIL, "no Key or no Size"},
        {HEAD ENTRY("k", "") TAIL, "no Key or no Size"},
        {HEAD ENTRY("k", "-1") TAIL, "a Size is no number"},
        {HEAD ENTRY("k", "1e3") TAIL, "a Size is no number"},
        {HEAD ENTRY("k", "18446744073709551616") TAIL, "a Size is no number"},
        {HEAD ENTRY("k", "1180591620717411303") TAIL, "a Size is no number"},
        {HEAD ENTRY("k<b/>", "1") TAIL, "an element where text is expected"},
        {HEAD URL ENTRY("k%", "1") TAIL, "not encoded"},
        {HEAD URL ENTRY("k%2", "1") TAIL, "not encoded"},
        {HEAD URL ENTRY("k%2x", "1") TAIL, "not encoded"},
        {HEAD URL ENTRY("k%00", "1") TAIL, "not encoded"},
        {HEAD "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "nested too deep"},
        {HEAD ENTRY("\xff\xfe", "1") TAIL, "not well-formed"},
        {"<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
         "document type"},
        {"<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ListBucketResult/>", "document type"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct ps_s3_page page = {.count = 0};
        struct penstock_error error = {.message = ""};
        int rc = ps_s3_xml_page(table[i].body, strlen(table[i].body), &page, &error);
        assert_null(page.objects);
        assert_null(page.text);
        if (rc != PENSTOCK_E_HTTP || !strstr(error.message, table[i].part))
            fail_msg("%s: rc %d, '%s'", table[i].body, rc, error.message);
    }
}

/* A listing with one key of `len` bytes, encoded in three bytes each or not at all. */
static int parse_long_key(size_t len, bool encoded, size_t *got)
{
    struct ps_s3_page page = {.count = 0};
    char *body = malloc(3 * len + 500);
    assert_non_null(body);
    size_t at = (size_t)snprintf(body, 500, "%s%s<Contents><Key>", HEAD, encoded ? URL : "");
    for (size_t i = 0; i < len; i++) {
        memcpy(body + at, encoded ? "%FF" : "k", encoded ? 3 : 1);
        at += encoded ? 3 : 1;
    }
    at += (size_t)snprintf(body + at, 200, "</Key><Size>1</Size></Contents>%s", TAIL);
    int rc = ps_s3_xml_page(body, at, &page, NULL);
    *got = page.count ? strlen(page.objects[0].key) : 0;
    ps_s3_page_free(&page);
    free(body);
    return rc;
}

static void test_key_lengths(void **state)
{
    size_t got;
    (void)state;
    assert_int_equal(parse_long_key(1024, false, &got), PENSTOCK_OK);
    assert_int_equal(got, 1024);
    assert_int_equal(parse_long_key(1024, true, &got), PENSTOCK_OK);
    assert_int_equal(got, 1024);
    assert_int_equal(parse_long_key(1025, false, &got), PENSTOCK_E_HTTP);
    assert_int_equal(parse_long_key(1025, true, &got), PENSTOCK_E_HTTP);
    assert_int_equal(parse_long_key(100000, false, &got), PENSTOCK_E_HTTP);
}

/* Every prefix of a good document is refused, and nothing leaks or is read beyond it. */
static void test_truncated_anywhere(void **state)
{
    (void)state;
    static const char body[] = HEAD URL ENTRY("a%20b", "12") ENTRY("c", "3") TAIL;
    for (size_t len = 0; len < sizeof body - 1; len++) {
        struct ps_s3_page page = {.count = 0};
        char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, body, len);
        assert_int_equal(ps_s3_xml_page(copy, len, &page, NULL), PENSTOCK_E_HTTP);
        free(copy);
    }
}

static void test_many_objects(void **state)
{
    (void)state;
    static char body[400000];
    struct ps_s3_page page = {.count = 0};
    size_t at = (size_t)snprintf(body, sizeof body, "%s", HEAD);
    for (int i = 0; i < 5000; i++)
        at += (size_t)snprintf(body + at, sizeof body - at,
                               "<Contents><Key>k%05d</Key><Size>%d</Size></Contents>", i, i);
    at += (size_t)snprintf(body + at, sizeof body - at, "%s", TAIL);
    assert_int_equal(ps_s3_xml_page(body, at, &page, NULL), PENSTOCK_OK);
    assert_int_equal(page.count, 5000);
    for (size_t i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05zu", i);
        assert_string_equal(page.objects[i].key, key);
        assert_true(page.objects[i].size_bytes == i);
    }
    ps_s3_page_free(&page);
}

static void test_error_documents(void **state)
{
    (void)state;
    static const char body[] =
        "<?xml version=\"1.0\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong "
        "&amp; bad</Message><Region>eu-west-1</Region><RequestId>R1</RequestId><HostId>h</HostId>"
        "<Key>k</Key></Error>";
    struct ps_s3_answer answer;
    ps_s3_xml_answer(body, sizeof body - 1, &answer);
    assert_string_equal(answer.code, "AuthorizationHeaderMalformed");
    assert_string_equal(answer.message, "wrong & bad");
    assert_string_equal(answer.region, "eu-west-1");
    assert_string_equal(answer.request_id, "R1");

    /* cut short: what was complete counts */
    ps_s3_xml_answer(body, strlen("<?xml version=\"1.0\"?>\n<Error><Code>Auth"), &answer);
    assert_string_equal(answer.code, "");
    ps_s3_xml_answer(body, (size_t)(strstr(body, "<Region>") - body), &answer);
    assert_string_equal(answer.code, "AuthorizationHeaderMalformed");
    assert_string_equal(answer.region, "");

    static const char *const others[] = {"", "Service Unavailable", "<html><Code>x</Code></html>",
                                         "<!DOCTYPE Error><Error><Code>x</Code></Error>"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ps_s3_xml_answer(others[i], strlen(others[i]), &answer);
        assert_string_equal(answer.code, "");
    }

    /* a long message is cut, and does not hide the code */
    static char text[100000];
    memset(text, 'm', sizeof text);
    size_t head = (size_t)snprintf(text, 100, "<Error><Code>C</Code><Message>");
    text[head] = 'm';
    memcpy(text + sizeof text - 18, "</Message></Error>", 18);
    ps_s3_xml_answer(text, sizeof text, &answer);
    assert_string_equal(answer.code, "C");
    assert_int_equal(strlen(answer.message), sizeof answer.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_of_aws),
        cmocka_unit_test(test_keys_are_decoded_only_if_encoded),
        cmocka_unit_test(test_bad_listings),
        cmocka_unit_test(test_key_lengths),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_many_objects),
        cmocka_unit_test(test_error_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
