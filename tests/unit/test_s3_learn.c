/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_s3_learn.c - pipe/s3_learn.c: redirects and clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/s3_xml.h"

#define NOW ((time_t)1369353600)
#define HOUR ((int64_t)3600)

static const struct ps_s3_account aws = {.region = "us-east-1"};
static const struct ps_s3_account local = {
    .region = "us-east-1", .endpoint_url = "http://h:1", .endpoint_origin = "AWS_ENDPOINT_URL"};
static const struct ps_s3_account secure = {
    .region = "us-east-1", .endpoint_url = "https://h", .endpoint_origin = "AWS_ENDPOINT_URL"};

static struct ps_s3_site site;

static void start(const struct ps_s3_account *account, const char *bucket)
{
    assert_int_equal(ps_s3_site_init(account, bucket, &site, NULL), PENSTOCK_OK);
}

static struct ps_s3_answer says(const char *region, const char *location)
{
    struct ps_s3_answer said = {.code = ""};

    ps_text_copy(said.region, sizeof said.region, region);
    ps_text_copy(said.location, sizeof said.location, location);
    return said;
}

/* The answer to a request that went to where requests go now. */
static bool learns(int status, struct ps_s3_answer said)
{
    const struct ps_s3_sent sent = {.place = ps_s3_site_place(&site)};

    return ps_s3_learn(&site, &sent, status, &said, NOW);
}

static void place_is(const char *origin, const char *region, bool path_style)
{
    const struct ps_s3_place *place = ps_s3_site_place(&site);
    char now[512];

    ps_s3_place_origin(place, now, sizeof now);
    assert_string_equal(now, origin);
    assert_string_equal(place->region, region);
    assert_int_equal(place->path_style, path_style);
}

static void fault_is(struct ps_s3_answer said, const char *words)
{
    char bytes[2048] = "";
    struct ps_text text = ps_text_in(bytes, sizeof bytes);

    assert_int_equal(
        ps_s3_redirect_fault(&site, ps_s3_site_place(&site), said.region, said.location, &text),
        words[0] != '\0');
    if (!strstr(bytes, words))
        fail_msg("'%s' does not say '%s'", bytes, words);
}

static void test_the_answers_that_move_a_bucket(void **state)
{
    static const struct {
        int status;
        bool moves;
    } table[] = {{301, true},  {302, true},  {307, true},  {308, true},  {400, true}, {403, true},
                 {200, false}, {304, false}, {404, false}, {412, false}, {503, false}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        start(&aws, "b-1");
        assert_int_equal(learns(table[i].status, says("eu-west-1", "")), table[i].moves);
        if (table[i].moves)
            place_is("https://b-1.s3.eu-west-1.amazonaws.com", "eu-west-1", false);
        else
            place_is("https://b-1.s3.us-east-1.amazonaws.com", "us-east-1", false);
    }
}

static void test_no_other_region_moves_nothing(void **state)
{
    (void)state;
    start(&aws, "b-1");
    assert_false(learns(403, says("us-east-1", "")));
    assert_false(learns(403, says("", "")));
    assert_false(learns(301, says("", "")));
    assert_false(learns(301, says("evil.example/", "")));
    assert_false(learns(301, says("a.b", "")));
    place_is("https://b-1.s3.us-east-1.amazonaws.com", "us-east-1", false);
    const struct ps_s3_sent nowhere = {.place = NULL};
    const struct ps_s3_answer said = says("eu-west-1", "");

    assert_false(ps_s3_learn(&site, &nowhere, 301, &said, NOW));
}

static void test_an_endpoint_stays_and_its_region_changes(void **state)
{
    (void)state;
    start(&local, "b-1");
    assert_true(learns(301, says("eu-west-1", "http://other:2/x")));
    place_is("http://h:1", "eu-west-1", true);
    start(&aws, "b.1");
    assert_true(learns(301, says("cn-north-1", "")));
    place_is("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", true);
}

static void test_locations_that_are_followed(void **state)
{
    static const struct {
        const struct ps_s3_account *account;
        const char *location, *origin, *region;
        bool path_style;
    } table[] = {
        {&aws, "https://b-1.s3.eu-west-1.amazonaws.com/k?x",
         "https://b-1.s3.eu-west-1.amazonaws.com", "eu-west-1", false},
        {&aws, "https://b-1.s3-us-west-2.amazonaws.com/k", "https://b-1.s3-us-west-2.amazonaws.com",
         "us-west-2", false},
        {&aws, "https://s3.dualstack.eu-west-1.amazonaws.com/b-1/k",
         "https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", true},
        {&aws, "https://b-1.s3-gztb4pa9sq.amazonaws.com/k",
         "https://b-1.s3-gztb4pa9sq.amazonaws.com", "us-east-1", false},
        {&aws, "https://s3.amazonaws.com/b-1/k", "https://s3.amazonaws.com", "us-east-1", true},
        {&local, "http://H:2/b-1/k", "http://H:2", "us-east-1", true},
        {&secure, "https://h:444/", "https://h:444", "us-east-1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        start(table[i].account, "b-1");
        assert_true(learns(307, says("", table[i].location)));
        place_is(table[i].origin, table[i].region, table[i].path_style);
    }
}

static void test_locations_that_are_refused(void **state)
{
    static const struct {
        const struct ps_s3_account *account;
        const char *location, *words;
    } table[] = {
        {&aws, "http://b-1.s3.eu-west-1.amazonaws.com/k", "has another scheme"},
        {&aws, "https://evil.example/k", "is not AWS"},
        {&aws, "https://evilamazonaws.com/k", "is not AWS"},
        {&aws, "https://amazonaws.com.evil.example/k", "is not AWS"},
        {&aws, "https://b-1.s3.amazonaws.com:8443/k", "is not AWS"},
        {&aws, "https://u@b-1.s3.amazonaws.com/k", "is no web address"},
        {&aws, "/k", "is no web address"},
        {&local, "http://other:1/b-1/k", "is another host: a signed request is not sent there"},
        {&local, "https://h:1/b-1/k", "has another scheme"},
        {&secure, "http://h/b-1/k", "has another scheme"},
        {&local, "http://h:1/elsewhere", "redirects to itself"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        start(table[i].account, "b-1");
        const struct ps_s3_place *before = ps_s3_site_place(&site);

        assert_false(learns(307, says("", table[i].location)));
        assert_ptr_equal(ps_s3_site_place(&site), before);
        fault_is(says("", table[i].location), table[i].words);
    }
    fault_is(says("", ""), "");
}

static void test_circles_end(void **state)
{
    (void)state;
    start(&aws, "b-1");
    assert_true(learns(301, says("eu-west-1", "")));
    fault_is(says("", ""), "");
    assert_false(learns(301, says("us-east-1", "")));
    fault_is(says("us-east-1", ""),
             "circle: region eu-west-1 at b-1.s3.eu-west-1.amazonaws.com was named before, and "
             "names region us-east-1 at b-1.s3.us-east-1.amazonaws.com now");
    assert_true(learns(301, says("eu-west-2", "")));
    assert_true(learns(301, says("eu-west-3", "")));
    assert_false(learns(301, says("eu-west-4", "")));
    place_is("https://b-1.s3.eu-west-3.amazonaws.com", "eu-west-3", false);
}

static void test_late_answers_go_to_the_newest_place(void **state)
{
    (void)state;
    start(&aws, "b-1");
    const struct ps_s3_sent old = {.place = ps_s3_site_place(&site)};
    struct ps_s3_answer said = says("eu-west-1", "");

    assert_true(ps_s3_learn(&site, &old, 301, &said, NOW));
    const struct ps_s3_place *moved = ps_s3_site_place(&site);

    assert_true(ps_s3_learn(&site, &old, 301, &said, NOW));
    assert_ptr_equal(ps_s3_site_place(&site), moved);
    assert_string_equal(old.place->region, "us-east-1");
    char bytes[64];
    struct ps_text text = ps_text_in(bytes, sizeof bytes);

    assert_false(ps_s3_redirect_fault(&site, old.place, "eu-west-1", "", &text));
}

static void test_clocks(void **state)
{
    static const struct {
        const char *code;
        int status;
        int64_t signed_off_s, server_off_s;
        bool learns;
    } table[] = {
        {"RequestTimeTooSkewed", 403, 0, HOUR, true},
        {"RequestTimeTooSkewed", 403, 0, -24 * HOUR, true},
        {"RequestTimeTooSkewed", 403, HOUR, HOUR, false},
        {"RequestTimeTooSkewed", 403, HOUR, 0, true},
        {"RequestTimeTooSkewed", 403, HOUR, HOUR + 239, false},
        {"RequestExpired", 400, 0, HOUR, true},
        {"SignatureDoesNotMatch", 403, 0, 301, true},
        {"", 403, 0, -301, true},
        {"AccessDenied", 403, 0, 200, false},
        {"InvalidArgument", 400, 0, HOUR, false},
        {"NoSuchKey", 404, 0, HOUR, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        start(&aws, "b-1");
        atomic_store(&site.clock_offset_s, table[i].signed_off_s);
        const struct ps_s3_sent sent = {ps_s3_site_place(&site), table[i].signed_off_s};
        struct ps_s3_answer said = {.server_time = NOW + (time_t)table[i].server_off_s};

        ps_text_copy(said.code, sizeof said.code, table[i].code);
        assert_int_equal(ps_s3_learn(&site, &sent, table[i].status, &said, NOW), table[i].learns);
        assert_int_equal(atomic_load(&site.clock_offset_s),
                         table[i].learns ? table[i].server_off_s : table[i].signed_off_s);
    }
    static const struct ps_s3_account anonymous = {.region = "us-east-1",
                                                   .credentials = {.anonymous = true}};
    struct ps_s3_answer said = {.code = "", .server_time = NOW + HOUR};

    start(&anonymous, "b-1");
    assert_false(learns(403, said));
    start(&aws, "b-1");
    said.server_time = 0;
    assert_false(learns(403, said));
}

static void test_requests_are_signed_for_the_time_there(void **state)
{
    static const struct ps_s3_account keys = {
        .region = "us-east-1",
        .credentials = {.keys = {.access_key_id = "AKID", .secret_access_key = "secret"}}};
    static struct ps_s3_request request;
    const struct ps_s3_request_spec spec = {.method = "GET", .key = "k"};
    struct ps_sigv4_cache cache = {.scope = ""};
    bool dated = false;

    (void)state;
    start(&keys, "b-1");
    atomic_store(&site.clock_offset_s, -HOUR);
    assert_int_equal(ps_s3_request_build(&site, &spec, NOW, &cache, &request, NULL), PENSTOCK_OK);
    assert_int_equal(request.sent.clock_offset_s, -HOUR);
    for (size_t i = 0; i < request.header_count; i++)
        dated |= !strcmp(request.headers[i], "x-amz-date: 20130523T230000Z");
    assert_true(dated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_answers_that_move_a_bucket),
        cmocka_unit_test(test_no_other_region_moves_nothing),
        cmocka_unit_test(test_an_endpoint_stays_and_its_region_changes),
        cmocka_unit_test(test_locations_that_are_followed),
        cmocka_unit_test(test_locations_that_are_refused),
        cmocka_unit_test(test_circles_end),
        cmocka_unit_test(test_late_answers_go_to_the_newest_place),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_requests_are_signed_for_the_time_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
