/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_s3_list.c - pipe/s3_list.c and pipe/curl_common.c, against a scripted server. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipe/s3_list.h"
#include "pipe/session.h"

#define STEPS_MAX 8
#define LIST "<ListBucketResult>"
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define LAST "<IsTruncated>false</IsTruncated></ListBucketResult>"
#define MORE(token)                                                                                \
    "<IsTruncated>true</IsTruncated><NextContinuationToken>" token                                 \
    "</NextContinuationToken></ListBucketResult>"

/* What the server does with one request. */
struct step {
    int status;          /* 0: says nothing and keeps the connection open until the test ends */
    const char *headers; /* more header lines, each with its CR LF; may be NULL */
    const char *body;
    size_t missing_bytes; /* how much longer the body is said to be than it is */
};

/* A server that answers the n-th request with the n-th step, one request per connection. */
static struct server {
    int socket;
    uint16_t port;
    pthread_t thread;
    struct step steps[STEPS_MAX];
    size_t step_count;
    char targets[STEPS_MAX][512]; /* the request lines that came */
    size_t request_count;
} server;

static void answer(int client, const struct step *step)
{
    char head[512];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                       step->status, strlen(step->body) + step->missing_bytes,
                       step->headers ? step->headers : "");
    if (send(client, head, (size_t)len, MSG_NOSIGNAL) == len)
        (void)!send(client, step->body, strlen(step->body), MSG_NOSIGNAL);
}

static void *serve(void *unused)
{
    char bytes[8192];
    (void)unused;
    for (size_t i = 0; i < server.step_count; i++) {
        int client = accept(server.socket, NULL, NULL);
        size_t len = 0;
        if (client < 0)
            return NULL;
        bytes[0] = '\0';
        while (len < sizeof bytes - 1 && !strstr(bytes, "\r\n\r\n")) {
            ssize_t got = recv(client, bytes + len, sizeof bytes - 1 - len, 0);
            if (got <= 0)
                break;
            len += (size_t)got;
            bytes[len] = '\0';
        }
        snprintf(server.targets[i], sizeof server.targets[i], "%.*s", (int)strcspn(bytes, "\r"),
                 bytes);
        server.request_count = i + 1;
        if (server.steps[i].status)
            answer(client, &server.steps[i]);
        else
            (void)!recv(client, bytes, 1, 0); /* until the other side gives up */
        close(client);
    }
    return NULL;
}

static void start_server(const struct step *steps, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(&server, 0, sizeof server);
    memcpy(server.steps, steps, count * sizeof *steps);
    server.step_count = count;
    server.socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.socket, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server.socket, 16), 0);
    assert_int_equal(getsockname(server.socket, (struct sockaddr *)&address, &len), 0);
    server.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_server(void)
{
    shutdown(server.socket, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.socket);
}
#define START(...)                                                                                 \
    do {                                                                                           \
        const struct step steps_[] = {__VA_ARGS__};                                                \
        start_server(steps_, sizeof steps_ / sizeof *steps_);                                      \
    } while (0)

/* A listing of s3://bucket/a from the server. */
static struct ps_s3_account account;
static struct ps_s3_site site;
static struct ps_s3_lister *lister;
static struct ps_s3_page page;
static struct penstock_error error;
static atomic_bool stop;

static void open_lister(uint32_t max_keys)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", (unsigned)server.port);
    const struct penstock_config config = {.endpoint_url = endpoint};
    assert_int_equal(ps_s3_account_load(&config, &account, &error), PENSTOCK_OK);
    assert_int_equal(ps_s3_site_init(&account, "bucket", &site, &error), PENSTOCK_OK);
    memset(&page, 0, sizeof page);
    atomic_store(&stop, false);
    assert_int_equal(ps_s3_list_open(&site, "a", &stop, max_keys, &lister, &error), PENSTOCK_OK);
}

static void close_lister(void)
{
    ps_s3_page_free(&page);
    ps_s3_list_close(&lister);
    assert_null(lister);
    ps_s3_list_close(&lister);
    stop_server();
}

static void expect_counters(uint64_t requests, uint64_t retries)
{
    uint64_t got_requests, got_retries;
    ps_s3_list_counters(lister, &got_requests, &got_retries);
    assert_int_equal(got_requests, requests);
    assert_int_equal(got_retries, retries);
}

static void next_is(int rc)
{
    int got = ps_s3_list_next(lister, &page, &error);
    if (got != rc)
        fail_msg("rc %d: %s", got, got < 0 ? error.message : "");
}

/* The first call fails with `rc` and says `part`; the page is then empty. */
static void expect_failure(int rc, const char *part)
{
    open_lister(0);
    next_is(rc);
    assert_int_equal(error.rc, rc);
    assert_string_equal(error.bucket, "bucket");
    if (!strstr(error.message, part))
        fail_msg("'%s' does not say '%s'", error.message, part);
    assert_int_equal(page.count, 0);
    assert_null(page.objects);
}

static void test_pages_follow_the_token(void **state)
{
    (void)state;
    START({200, NULL, LIST KEY("a") KEY("a/b") MORE("t+/= 1"), 0}, {200, NULL, LIST MORE("2"), 0},
          {200, NULL, LIST KEY("ab") LAST, 0});
    open_lister(2);
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.objects[1].key, "a/b");
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 0);
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 1);
    next_is(PENSTOCK_END);
    assert_int_equal(page.count, 0);
    next_is(PENSTOCK_END);
    expect_counters(3, 0);
    close_lister();
    assert_string_equal(server.targets[0],
                        "GET /bucket?encoding-type=url&list-type=2&max-keys=2&prefix=a HTTP/1.1");
    assert_string_equal(server.targets[1],
                        "GET /bucket?continuation-token=t%2B%2F%3D%201&encoding-type=url&"
                        "list-type=2&max-keys=2&prefix=a HTTP/1.1");
    assert_non_null(strstr(server.targets[2], "continuation-token=2&"));
}

static void test_trouble_is_retried(void **state)
{
    (void)state;
    START({500, NULL, "<Error><Code>InternalError</Code></Error>", 0},
          {200, NULL, "<Error><Code>InternalError</Code></Error>", 0},
          {200, NULL, LIST KEY("a") LAST, 10}, {502, NULL, "bad gateway", 0},
          {200, NULL, LIST KEY("a") LAST, 0});
    open_lister(0);
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 1);
    next_is(PENSTOCK_END);
    expect_counters(5, 4);
    close_lister();
    assert_null(strstr(server.targets[0], "max-keys"));
}

static void test_denied_is_final(void **state)
{
    (void)state;
    START({403, "x-amz-request-id: RID-7\r\nx-amz-bucket-region: us-east-1\r\n",
           "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", 0});
    expect_failure(PENSTOCK_E_DENIED, "needs s3:ListBucket on arn:aws:s3:::bucket");
    assert_int_equal(error.http_status, 403);
    assert_int_equal(error.attempts, 1);
    assert_string_equal(error.key, "a");
    assert_string_equal(error.s3_code, "AccessDenied");
    assert_string_equal(error.request_id, "RID-7");
    assert_string_equal(error.remote_ip, "127.0.0.1");
    expect_counters(1, 0);
    close_lister();
}

#define REGION(name) 301, "x-amz-bucket-region: " name "\r\n", "<Error/>", 0

static void test_a_region_is_learnt(void **state)
{
    (void)state;
    START({REGION("eu-west-1")}, {200, NULL, LIST KEY("a") LAST, 0});
    open_lister(0);
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 1);
    assert_string_equal(ps_s3_site_place(&site)->region, "eu-west-1");
    expect_counters(2, 1);
    close_lister();
}

static void test_redirects_in_a_circle_end(void **state)
{
    (void)state;
    START({REGION("eu-west-1")}, {REGION("us-east-1")});
    expect_failure(PENSTOCK_E_HTTP, "redirects go in a circle: region eu-west-1 at 127.0.0.1:");
    expect_counters(2, 1);
    close_lister();
}

static void test_another_host_is_not_followed(void **state)
{
    (void)state;
    START({307, "Location: http://127.0.0.2:1/other\r\n",
           "<Error><Code>TemporaryRedirect</Code></Error>", 0},
          {200, NULL, LIST LAST, 0});
    expect_failure(PENSTOCK_E_HTTP, "http://127.0.0.2:1/other, which is another host: a signed "
                                    "request is not sent there");
    expect_counters(1, 0);
    close_lister();
}

static void test_a_server_that_is_not_s3(void **state)
{
    (void)state;
    START({200, NULL, "<html><body>Welcome</body></html>", 0});
    expect_failure(PENSTOCK_E_HTTP, "it is no ListBucketResult (line 1): check that http://");
    assert_int_equal(error.http_status, 200);
    expect_counters(1, 0);
    close_lister();
}

static void test_wrong_orders_are_refused(void **state)
{
    static const char *const bodies[] = {
        LIST KEY("ab") KEY("aa") LAST,
        LIST KEY("aa") KEY("aa") LAST,
        LIST KEY("a\xee\x80\x80") KEY("a\xc3\xa9") LAST,
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        START({200, NULL, bodies[i], 0});
        expect_failure(PENSTOCK_E_HTTP, "keys are not in UTF-8 byte order, or come twice");
        close_lister();
    }
    START({200, NULL, LIST KEY("a") KEY("b") LAST, 0});
    expect_failure(PENSTOCK_E_HTTP, "a key does not begin with the prefix, at key 'b'");
    assert_string_equal(error.key, "b");
    close_lister();
}

static void test_utf8_order_is_byte_order(void **state)
{
    (void)state; /* U+E000 before U+1F600: in UTF-16 it is the other way round */
    START({200, NULL, LIST KEY("a\xee\x80\x80") KEY("a\xf0\x9f\x98\x80") LAST, 0});
    open_lister(0);
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 2);
    close_lister();
}

static void test_overlapping_pages_are_refused(void **state)
{
    (void)state;
    START({200, NULL, LIST KEY("a1") KEY("a2") MORE("t"), 0},
          {200, NULL, LIST KEY("a2") KEY("a3") LAST, 0});
    open_lister(0);
    next_is(PENSTOCK_OK);
    next_is(PENSTOCK_E_HTTP);
    assert_string_equal(error.key, "a2");
    close_lister();
}

static void test_a_token_that_leads_nowhere_is_refused(void **state)
{
    (void)state;
    START({200, NULL, LIST KEY("a1") MORE("t"), 0}, {200, NULL, LIST KEY("a2") MORE("t"), 0});
    open_lister(0);
    next_is(PENSTOCK_OK);
    next_is(PENSTOCK_E_HTTP);
    assert_non_null(strstr(error.message, "the same continuation token twice"));
    close_lister();
}

static void *set_stop_soon(void *unused)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)unused;
    nanosleep(&pause, NULL);
    atomic_store(&stop, true);
    return NULL;
}

/* The silent server would hold the call for 30 s, until the transfer counts as stalled. */
static void test_stop_ends_a_silent_transfer(void **state)
{
    pthread_t thread;
    struct timespec from, to;
    (void)state;
    START({0, NULL, NULL, 0});
    open_lister(0);
    assert_int_equal(pthread_create(&thread, NULL, set_stop_soon, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    next_is(PENSTOCK_E_STOPPED);
    clock_gettime(CLOCK_MONOTONIC, &to);
    pthread_join(thread, NULL);
    assert_true(to.tv_sec - from.tv_sec < 10);
    next_is(PENSTOCK_E_STOPPED);
    expect_counters(1, 0);
    close_lister();
}

static void test_without_a_stop_flag(void **state)
{
    (void)state;
    START({200, NULL, LIST LAST, 0});
    open_lister(0);
    ps_s3_list_close(&lister);
    assert_int_equal(ps_s3_list_open(&site, "a", NULL, 0, &lister, &error), PENSTOCK_OK);
    next_is(PENSTOCK_OK);
    next_is(PENSTOCK_END);
    close_lister();
}

/* ---- directory buckets ---- */

#define DIRECTORY "base--usw2-az1--x-s3"

static void open_directory(const char *prefix)
{
    open_lister(0);
    ps_s3_list_close(&lister);
    assert_int_equal(ps_s3_site_init(&account, DIRECTORY, &site, &error), PENSTOCK_OK);
    assert_true(site.directory);
    assert_int_equal(ps_s3_list_open(&site, prefix, &stop, 0, &lister, &error), PENSTOCK_OK);
}

static void test_a_directory_bucket_is_put_in_order(void **state)
{
    (void)state;
    START({200, NULL, LIST KEY("d/c") KEY("d/a2") KEY("d/a1") MORE("t"), 0},
          {200, NULL, LIST KEY("d/a\xf0\x9f\x98\x80") KEY("d/a2") MORE("u"), 0},
          {200, NULL, LIST KEY("d/a\xee\x80\x80") LAST, 0});
    open_directory("d/a");
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 4);
    assert_string_equal(page.objects[0].key, "d/a1");
    assert_string_equal(page.objects[1].key, "d/a2");
    assert_string_equal(page.objects[2].key, "d/a\xee\x80\x80");
    assert_string_equal(page.objects[3].key, "d/a\xf0\x9f\x98\x80");
    next_is(PENSTOCK_END);
    expect_counters(3, 0);
    close_lister();
    assert_non_null(strstr(server.targets[0], "prefix=d%2F HTTP"));
}

static void test_a_directory_bucket_without_keys(void **state)
{
    (void)state;
    START({200, NULL, LIST LAST, 0});
    open_directory("d");
    next_is(PENSTOCK_OK);
    assert_int_equal(page.count, 0);
    next_is(PENSTOCK_END);
    close_lister();
    assert_null(strstr(server.targets[0], "prefix"));
}

static void test_a_directory_bucket_that_goes_in_a_circle(void **state)
{
    (void)state;
    START({200, NULL, LIST KEY("a1") MORE("t"), 0}, {200, NULL, LIST KEY("a2") MORE("t"), 0});
    open_directory("");
    next_is(PENSTOCK_E_HTTP);
    assert_non_null(strstr(error.message, "the same continuation token twice"));
    close_lister();
}

#define KEYS(id, end)                                                                              \
    "<CreateSessionResult><Credentials><SessionToken>a/session+token=</SessionToken>"              \
    "<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>"                  \
    "<AccessKeyId>" id "</AccessKeyId><Expiration>" end "</Expiration></Credentials>"              \
    "</CreateSessionResult>"
#define NOW 1369353600 /* 2013-05-24T00:00:00Z */

/* What botocore 1.44.5 signs at NOW: S3ExpressAuth("s3express", "us-west-2"). */
static const char signed_get[] =
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-west-2/s3express/"
    "aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-s3session-token, "
    "Signature=abbb62ac8997706804f0590908ab39a04f5f44827ec4a31c97fb0f80f83d6ce4";
static const char signed_list[] =
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-west-2/s3express/"
    "aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-s3session-token, "
    "Signature=a42dbd323f563ec5ff0c566975b0e694eaadb44f16da60ed5a6186c5202a9bf0";
/* S3SigV4Auth, for the account's keys. */
static const char signed_session[] =
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-west-2/s3express/"
    "aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-create-session-mode;x-amz-date;"
    "x-amz-security-token, "
    "Signature=2480b27e7a6b497180ec2b4e515f15ead1ae12d20e11cba99b0ed817ae225ea2";

static bool has_header(const struct ps_s3_request *request, const char *line)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i], line) == 0)
            return true;
    return false;
}

static void build(const struct ps_s3_request_spec *spec, struct ps_s3_request *request)
{
    struct ps_sigv4_cache cache = {.scope = ""};

    assert_int_equal(ps_s3_request_build(&site, spec, NOW, &cache, request, &error), PENSTOCK_OK);
}

static void test_a_session_signs_as_botocore_does(void **state)
{
    static struct ps_s3_request request;
    struct ps_sessions sessions = {.stop = &stop};
    const struct ps_sigv4_pair query[] = {
        {"list-type", "2"}, {"encoding-type", "url"}, {"prefix", "train/"}};
    const struct ps_sigv4_pair session[] = {{"session", ""}};

    (void)state;
    START({503, NULL, "<Error><Code>SlowDown</Code></Error>", 0},
          {200, NULL, KEYS("AKIAIOSFODNN7EXAMPLE", "2099-01-01T00:00:00Z"), 0});
    open_directory("");
    assert_int_equal(ps_session_attach(&sessions, &site, &error), PENSTOCK_OK);
    assert_non_null(site.session);
    assert_int_equal(ps_session_begin(&site, &stop, &error), PENSTOCK_OK);
    assert_int_equal(ps_session_begin(&site, &stop, &error),
                     PENSTOCK_OK); /* nothing to do any more */
    assert_string_equal(server.targets[0], "GET /" DIRECTORY "?session= HTTP/1.1");

    ps_text_copy(site.places[0].region, sizeof site.places[0].region, "us-west-2");
    site.places[0].host[0] = site.places[0].authority[0] = '\0';
    ps_s3_place_aws(&site.places[0], DIRECTORY, false);
    build(
        &(struct ps_s3_request_spec){
            .method = "GET", .key = "train/a b", .ranged = true, .last = 99},
        &request);
    assert_true(has_header(&request, signed_get));
    assert_true(has_header(&request, "x-amz-s3session-token: a/session+token="));
    build(&(struct ps_s3_request_spec){.method = "GET", .query = query, .query_count = 3},
          &request);
    assert_true(has_header(&request, signed_list));

    ps_text_copy(account.credentials.keys.access_key_id, PS_ACCESS_KEY_ID_MAX + 1,
                 "AKIAIOSFODNN7EXAMPLE");
    ps_text_copy(account.credentials.keys.secret_access_key, PS_SECRET_MAX + 1,
                 "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    ps_text_copy(account.credentials.keys.session_token, PS_TOKEN_MAX + 1, "a/token=");
    build(
        &(struct ps_s3_request_spec){
            .method = "GET", .query = session, .query_count = 1, .create_session = true},
        &request);
    assert_true(has_header(&request, signed_session));
    assert_true(has_header(&request, "x-amz-create-session-mode: ReadOnly"));
    atomic_store(&stop, true);
    ps_sessions_close(&sessions);
    close_lister();
}

static void expect_no_session(struct step step, int rc, const char *part)
{
    struct ps_sessions sessions = {.stop = &stop};

    start_server(&step, 1);
    open_directory("");
    assert_int_equal(ps_session_attach(&sessions, &site, &error), PENSTOCK_OK);
    assert_int_equal(ps_session_begin(&site, &stop, &error), rc);
    if (!strstr(error.message, part))
        fail_msg("'%s' does not say '%s'", error.message, part);
    ps_sessions_close(&sessions);
    close_lister();
}

static void test_sessions_that_do_not_begin(void **state)
{
    (void)state;
    expect_no_session(
        (struct step){403, NULL, "<Error><Code>AccessDenied</Code></Error>", 0}, PENSTOCK_E_DENIED,
        "CreateSession for s3://" DIRECTORY "/ failed: HTTP status 403 AccessDenied: access key "
        "AKID (from the environment) needs s3express:CreateSession on bucket " DIRECTORY);
    expect_no_session((struct step){404, NULL, "<Error><Code>NoSuchBucket</Code></Error>", 0},
                      PENSTOCK_E_NOT_FOUND, "check that bucket " DIRECTORY " exists at");
    expect_no_session((struct step){200, NULL, KEYS("AK", "soon"), 0}, PENSTOCK_E_HTTP,
                      "the answer holds no keys");
    expect_no_session((struct step){200, NULL, KEYS("A\nB", "2099-01-01T00:00:00Z"), 0},
                      PENSTOCK_E_CREDENTIALS, "holds a line break");
}

static int clean_environment(void **state)
{
    static const char *const names[] = {
        "AWS_SESSION_TOKEN", "AWS_PROFILE",      "AWS_REGION",          "AWS_DEFAULT_REGION",
        "AWS_CA_BUNDLE",     "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "http_proxy",
        "all_proxy",         "ALL_PROXY"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_follow_the_token),
        cmocka_unit_test(test_trouble_is_retried),
        cmocka_unit_test(test_denied_is_final),
        cmocka_unit_test(test_a_region_is_learnt),
        cmocka_unit_test(test_redirects_in_a_circle_end),
        cmocka_unit_test(test_another_host_is_not_followed),
        cmocka_unit_test(test_a_server_that_is_not_s3),
        cmocka_unit_test(test_wrong_orders_are_refused),
        cmocka_unit_test(test_utf8_order_is_byte_order),
        cmocka_unit_test(test_overlapping_pages_are_refused),
        cmocka_unit_test(test_a_token_that_leads_nowhere_is_refused),
        cmocka_unit_test(test_stop_ends_a_silent_transfer),
        cmocka_unit_test(test_without_a_stop_flag),
        cmocka_unit_test(test_a_directory_bucket_is_put_in_order),
        cmocka_unit_test(test_a_directory_bucket_without_keys),
        cmocka_unit_test(test_a_directory_bucket_that_goes_in_a_circle),
        cmocka_unit_test(test_a_session_signs_as_botocore_does),
        cmocka_unit_test(test_sessions_that_do_not_begin),
    };
    return cmocka_run_group_tests(tests, clean_environment, NULL);
}
