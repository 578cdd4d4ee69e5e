/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_credentials.c - pipe/ini.c, pipe/profile.c and pipe/credentials.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipe/credentials_sources.h"
#include "pipe/ini.h"
#include "pipe/keyring.h"
#include "pipe/text.h"

static char home[] = "/tmp/penstock-credentials-XXXXXX";

static void home_path(const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", home, name);
}

/* Writes a file below the test's home directory. */
static void put(const char *name, const char *text)
{
    char path[256];
    home_path(name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void drop(const char *name)
{
    char path[256];
    home_path(name, path);
    if (unlink(path) != 0)
        rmdir(path);
}

/* An environment in which the test's home directory is all there is. */
static int fresh(void **state)
{
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY",       "AWS_SESSION_TOKEN", "AWS_PROFILE",
        "AWS_CONFIG_FILE",    "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL",  "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3",         "AWS_CA_BUNDLE"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("HOME", home, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    drop(".aws/config");
    drop(".aws/credentials");
    return 0;
}

static int make_home(void **state)
{
    char path[256];
    (void)state;
    if (!mkdtemp(home))
        return -1;
    home_path(".aws", path);
    return mkdir(path, 0700);
}

static int remove_home(void **state)
{
    fresh(state);
    drop("elsewhere");
    drop(".aws");
    return rmdir(home);
}

/* What ps_credentials_find gives for a configuration. */
struct found {
    int rc;
    struct ps_profile profile;
    struct ps_credentials credentials;
    struct penstock_error error;
};

static struct found find(const struct penstock_config *config)
{
    struct found found = {.rc = 0};
    found.rc = ps_profile_read(ps_profile_name(config), &found.profile, &found.error);
    if (found.rc == PENSTOCK_OK)
        found.rc = ps_credentials_find(config, &found.profile, "us-east-1", "", NULL,
                                       &found.credentials, &found.error);
    return found;
}

static void expect_keys(const struct penstock_config *config, const char *id, const char *secret,
                        const char *token)
{
    struct found found = find(config);
    if (found.rc != PENSTOCK_OK)
        fail_msg("%s", found.error.message);
    assert_string_equal(found.credentials.keys.access_key_id, id);
    assert_string_equal(found.credentials.keys.secret_access_key, secret);
    assert_string_equal(found.credentials.keys.session_token, token);
}

static void expect_failure(const struct penstock_config *config, const char *part)
{
    struct found found = find(config);
    assert_int_equal(found.rc, PENSTOCK_E_CREDENTIALS);
    if (!strstr(found.error.message, part))
        fail_msg("'%s' does not say '%s'", found.error.message, part);
    if (strstr(found.error.message, "HUSH"))
        fail_msg("a secret in '%s'", found.error.message);
    assert_string_equal(found.credentials.keys.secret_access_key, "");
}

static const struct penstock_config plain;

static void test_environment(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ENVHUSH", 1);
    expect_keys(&plain, "ENVID", "ENVHUSH", "");
    setenv("AWS_SESSION_TOKEN", "TOKEN", 1);
    expect_keys(&plain, "ENVID", "ENVHUSH", "TOKEN");
    put(".aws/credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=HUSH\n"
                            "[p]\naws_access_key_id=P\naws_secret_access_key=PS\n");
    expect_keys(&plain, "ENVID", "ENVHUSH", "TOKEN");
    setenv("AWS_PROFILE", "p", 1);
    expect_keys(&plain, "ENVID", "ENVHUSH", "TOKEN");
    /* but a profile named by the program wins, as with botocore */
    const struct penstock_config config = {.profile = "p"};
    expect_keys(&config, "P", "PS", "");
}

static void test_half_an_environment(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    expect_failure(&plain, "the environment has AWS_ACCESS_KEY_ID but not AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("AWS_SECRET_ACCESS_KEY", "ENVHUSH", 1);
    expect_failure(&plain, "the environment has AWS_SECRET_ACCESS_KEY but not AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "", 1);
    expect_failure(&plain, "but not AWS_ACCESS_KEY_ID");
}

static void test_line_breaks_are_refused(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ENVHUSH\n", 1);
    expect_failure(&plain, "AWS_SECRET_ACCESS_KEY of the environment holds a line break");
    setenv("AWS_SECRET_ACCESS_KEY", "ENVHUSH", 1);
    setenv("AWS_SESSION_TOKEN", "a\r\nX-Evil: 1", 1);
    expect_failure(&plain, "AWS_SESSION_TOKEN of the environment holds");
    unsetenv("AWS_SESSION_TOKEN");
    setenv("AWS_ACCESS_KEY_ID", "ENV\x7fID", 1);
    expect_failure(&plain, "AWS_ACCESS_KEY_ID of the environment holds");

    fresh(state);
    put(".aws/credentials", "[default]\naws_access_key_id = ID\n"
                            "aws_secret_access_key = HUSH\n  HUSH\n");
    expect_failure(&plain, "aws_secret_access_key of profile 'default'");
}

static void test_too_long_values_are_refused(void **state)
{
    static char text[8000], file[9000];
    (void)state;
    memset(text, 'S', sizeof text - 1);
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", text, 1);
    expect_failure(&plain, "AWS_SECRET_ACCESS_KEY of the environment is longer than 255");
    fresh(state);
    snprintf(file, sizeof file,
             "[default]\naws_access_key_id=ID\naws_secret_access_key=x\n"
             "aws_session_token=%s\n",
             text);
    put(".aws/credentials", file);
    expect_failure(&plain, "aws_session_token of profile 'default' is too long");
}

static void test_profile_files(void **state)
{
    (void)state;
    const struct penstock_config p = {.profile = "p"}, spaced = {.profile = "my name"};
    put(".aws/credentials", "\xef\xbb\xbf# comment\r\n; another\r\n\r\n"
                            "[default]\r\naws_access_key_id = DID\r\n"
                            "AWS_SECRET_ACCESS_KEY: a=b:c#d ;e\r\n"
                            "[p]\naws_access_key_id=PID\naws_secret_access_key=PHUSH\n"
                            "aws_session_token=PTOKEN");
    put(".aws/config", "[default]\nregion = eu-west-1\naws_access_key_id=not-this\n"
                       "s3 =\n    max_concurrent_requests = 20\n    aws_access_key_id = nor-this\n"
                       "output = json\n"
                       "[p]\nregion = ignored\n"
                       "[profile p]\nregion=eu-north-1\nca_bundle = /ca.pem\n"
                       "[profile \"my name\"]\naws_access_key_id=MY\naws_secret_access_key=MS\n"
                       "region = ap-south-1\n");
    expect_keys(&plain, "DID", "a=b:c#d ;e", "");
    expect_keys(&p, "PID", "PHUSH", "PTOKEN");
    expect_keys(&spaced, "MY", "MS", "");
    assert_string_equal(find(&plain).profile.region, "eu-west-1");
    assert_string_equal(find(&p).profile.region, "eu-north-1");
    assert_string_equal(find(&p).profile.ca_bundle, "/ca.pem");
    assert_string_equal(find(&spaced).profile.region, "ap-south-1");
    setenv("AWS_PROFILE", "p", 1);
    expect_keys(&plain, "PID", "PHUSH", "PTOKEN");
}

static void test_files_named_by_the_environment(void **state)
{
    char path[256];
    (void)state;
    put(".aws/credentials", "[default]\naws_access_key_id=WRONG\naws_secret_access_key=W\n");
    put("elsewhere", "[default]\naws_access_key_id=ID\naws_secret_access_key=S\n");
    home_path("elsewhere", path);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    expect_keys(&plain, "ID", "S", "");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere", 1);
    expect_keys(&plain, "ID", "S", "");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    setenv("AWS_CONFIG_FILE", path, 1);
    expect_keys(&plain, "ID", "S", "");
}

static void test_keys_of_two_files_are_not_mixed(void **state)
{
    (void)state;
    put(".aws/config", "[default]\naws_access_key_id=CID\naws_secret_access_key=CS\n"
                       "aws_session_token=CT\n");
    expect_keys(&plain, "CID", "CS", "CT");
    put(".aws/credentials", "[default]\naws_access_key_id=ID\naws_secret_access_key=S\n");
    expect_keys(&plain, "ID", "S", "");
    put(".aws/credentials", "[default]\naws_access_key_id=ID\n");
    expect_failure(&plain, "has aws_access_key_id but not aws_secret_access_key");
}

static void test_services_endpoint(void **state)
{
    (void)state;
    put(".aws/config", "[default]\nendpoint_url = http://general:1\nservices = here\n"
                       "[services other]\ns3 =\n  endpoint_url = http://other:2\n"
                       "[services here]\ndynamodb =\n  endpoint_url = http://dynamo:3\n"
                       "s3 =\n  endpoint_url = http://s3:4\n");
    assert_string_equal(find(&plain).profile.endpoint_url, "http://s3:4");
    put(".aws/config", "[default]\nendpoint_url = http://general:1\nservices = nowhere\n");
    assert_string_equal(find(&plain).profile.endpoint_url, "http://general:1");
}

static void test_missing_profiles(void **state)
{
    char part[600];
    (void)state;
    const struct penstock_config p = {.profile = "p"};
    expect_failure(&plain, "no credentials: AWS_ACCESS_KEY_ID");
    snprintf(part, sizeof part, "no profile 'p' (searched %s/.aws/config and %s/.aws/credentials)",
             home, home);
    expect_failure(&p, part);
    expect_failure(&p, "check the name in the configuration");
    setenv("AWS_PROFILE", "q", 1);
    expect_failure(&plain, "check the name in AWS_PROFILE");
    put(".aws/config", "[profile q]\nregion=x\n");
    expect_failure(&plain, "profile 'q' has no aws_access_key_id");
    put(".aws/config", "[profile q]\nrole_arn=x\nsource_profile=y\n");
    expect_failure(&plain, "no profile 'y', which is the source_profile of 'q'");
    put(".aws/config", "[profile q]\nsso_session=x\n");
    expect_failure(&plain, "by sso_session, which is not supported");
    unsetenv("AWS_PROFILE");
    unsetenv("HOME");
    expect_failure(&plain, "HOME is not set");
}

static void test_unusable_files(void **state)
{
    char path[256], part[512];
    (void)state;
    put(".aws/credentials", "[default]\naws_access_key_id=ID\nHUSHHUSH\n");
    home_path(".aws/credentials", path);
    snprintf(part, sizeof part, "%s, line 3: expected", path);
    expect_failure(&plain, part);
    put(".aws/credentials", "orphan = 1\n");
    expect_failure(&plain, "line 1: expected");
    put(".aws/credentials", "[open\n");
    expect_failure(&plain, "line 1: expected");

    drop(".aws/credentials");
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(part, sizeof part, "cannot read %s: Is a directory", path);
    expect_failure(&plain, part);
    struct found found = find(&plain);
    assert_int_equal(found.error.sys_errno, 21); /* EISDIR */

    drop(".aws/credentials");
    put(".aws/credentials", "[default]\n");
    if (geteuid() != 0) { /* root reads everything */
        chmod(path, 0);
        snprintf(part, sizeof part, "cannot read %s: Permission denied", path);
        expect_failure(&plain, part);
    }
}

static void test_anonymous_needs_nothing(void **state)
{
    (void)state;
    const struct penstock_config config = {.anonymous = true};
    setenv("AWS_ACCESS_KEY_ID", "half", 1);
    struct found found = find(&config);
    assert_int_equal(found.rc, PENSTOCK_OK);
    assert_true(found.credentials.anonymous);
    assert_string_equal(found.credentials.keys.access_key_id, "");
}

static void test_wipe_overwrites_the_secret(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "ENVID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ENVHUSH", 1);
    struct found found = find(&plain);
    assert_int_equal(found.rc, PENSTOCK_OK);
    ps_credentials_wipe(&found.credentials);
    for (size_t i = 0; i < sizeof found.credentials.keys; i++)
        assert_int_equal(((const char *)&found.credentials.keys)[i], 0);
}

/* Everything an INI scan tells, as one line: section/parent/name=value; */
static void write_down(void *cookie, const char *section, const char *parent, const char *name,
                       const char *value)
{
    ps_text_addf(cookie, "%s/%s/%s=%s;", section, parent ? parent : "", name, value);
}

static void test_ini_dialect(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bad_line;
        const char *told;
    } table[] = {
        {"", 0, ""},
        {"\n\n# x\n ; y\n", 0, ""},
        {"[a]\nx=1", 0, "a//x=1;"},
        {"[ a b ]\r\nX = 1 \r\n", 0, "a b//x=1;"},
        {"[a]\nx=\n", 0, "a//x=;"},
        {"[a]\nx=\n[b]\ny=2\n", 0, "a//x=;b//y=2;"},
        {"[a]\nx=1\n  2\n\n  3\ny=4\n", 0, "a//x=1\n2\n3;a//y=4;"},
        {"[a]\nx=1\n  y=2\n", 0, "a//x=1\ny=2;"},
        {"[a]\ns3=\n  p = q\n  r : s\nz=1\n", 0, "a/s3/p=q;a/s3/r=s;a//z=1;"},
        {"[a]\ns3=\n  # not this\n  p = q\n", 0, "a/s3/p=q;"},
        {"[a]\n  x=1\n", 0, "a//x=1;"},
        {"[a]\nx=1\n[a]\nx=2\n", 0, "a//x=1;a//x=2;"},
        {"[a] # trailing\nx=[b]\n", 0, "a//x=[b];"},
        {"[a]\n=1\n", 2, ""},
        {"[a]\nx\n", 2, ""},
        {"x=1\n", 1, ""},
        {"[a\n", 1, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[128], told_bytes[256];
        struct ps_text told = ps_text_in(told_bytes, sizeof told_bytes);
        size_t len = strlen(table[i].text);
        memcpy(text, table[i].text, len);
        size_t bad_line = ps_ini_scan(text, len, write_down, &told);
        if (bad_line != table[i].bad_line || strcmp(told_bytes, table[i].told))
            fail_msg("case %zu: line %zu, told '%s'", i, bad_line, told_bytes);
    }
}

static void test_times_of_services(void **state)
{
    static const struct {
        const char *text;
        int64_t time_s;
    } cases[] = {
        {"1970-01-01T00:00:01Z", 1},
        {"2026-11-21T08:00:00Z", 1795248000},
        {"2026-11-21T08:00:00.123Z", 1795248000},
        {"2026-11-21T08:00:00+00:00", 1795248000},
        {"2026-11-21T08:00:00+01:00", 0},
        {"2026-11-21 08:00:00", 0},
        {"2026-11-21T08:00:00Zx", 0},
        {"soon", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ps_key_parse_time(cases[i].text), cases[i].time_s);
}

static void test_keys_are_renewed_ahead_of_their_end(void **state)
{
    (void)state;
    assert_int_equal(ps_keyring_due_s(0, 1000), INT64_MAX);
    assert_int_equal(ps_keyring_due_s(1000 + 3600, 1000), 1000 + 3000);
    assert_int_equal(ps_keyring_due_s(1000 + 900, 1000), 1000 + 450);
    assert_int_equal(ps_keyring_due_s(1000 + 1, 1000), 1000);
    assert_int_equal(ps_keyring_due_s(900, 1000), 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_environment, fresh),
        cmocka_unit_test_setup(test_half_an_environment, fresh),
        cmocka_unit_test_setup(test_line_breaks_are_refused, fresh),
        cmocka_unit_test_setup(test_too_long_values_are_refused, fresh),
        cmocka_unit_test_setup(test_profile_files, fresh),
        cmocka_unit_test_setup(test_files_named_by_the_environment, fresh),
        cmocka_unit_test_setup(test_keys_of_two_files_are_not_mixed, fresh),
        cmocka_unit_test_setup(test_services_endpoint, fresh),
        cmocka_unit_test_setup(test_missing_profiles, fresh),
        cmocka_unit_test_setup(test_unusable_files, fresh),
        cmocka_unit_test_setup(test_anonymous_needs_nothing, fresh),
        cmocka_unit_test_setup(test_wipe_overwrites_the_secret, fresh),
        cmocka_unit_test(test_ini_dialect),
        cmocka_unit_test(test_times_of_services),
        cmocka_unit_test(test_keys_are_renewed_ahead_of_their_end),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
