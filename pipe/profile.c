/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/profile.c - one profile of the AWS shared configuration files. */
#include "pipe/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipe/error.h"
#include "pipe/ini.h"
#include "pipe/text.h"

#define FILE_BYTES_MAX (4 << 20) /* a config of hundreds of single-sign-on accounts has 100 KiB */

/* What one pass over one file collects. */
struct collect {
    struct ps_profile *profile;
    bool is_config;       /* sections are "profile NAME" rather than "NAME" */
    struct ps_keys keys;  /* of this file alone: keys of two files are never mixed */
    char services[128];   /* value of the profile's `services` */
    const char *too_long; /* name of a needed option whose value does not fit */
    char services_url[sizeof((struct ps_profile *)0)->endpoint_url];
    bool services_pass; /* second pass: only look for the s3 endpoint of [services NAME] */
};

/* Whether `section` is `kind` and the profile's name, quoted or not: [profile "my name"]. */
static bool section_is(const char *section, const char *kind, const char *name)
{
    size_t kind_len = strlen(kind), name_len = strlen(name);
    if (strncmp(section, kind, kind_len) || (section[kind_len] != ' ' && section[kind_len] != '\t'))
        return false;
    section += kind_len;
    section += strspn(section, " \t");
    if (*section == '"' || *section == '\'') {
        size_t len = strlen(section);
        return len == name_len + 2 && section[len - 1] == *section &&
               !memcmp(section + 1, name, name_len);
    }
    return !strcmp(section, name);
}

static bool section_is_profile(const struct collect *collect, const char *section)
{
    const char *name = collect->profile->name;
    if (!collect->is_config || !strcmp(name, "default"))
        if (!strcmp(section, name))
            return true;
    return collect->is_config && section_is(section, "profile", name);
}

static void on_profile_option(struct collect *collect, const char *name, const char *value)
{
    struct ps_profile *profile = collect->profile;
    const struct {
        const char *name;
        char *out;
        size_t size;
    } wanted[] = {
        {"aws_access_key_id", collect->keys.access_key_id, sizeof collect->keys.access_key_id},
        {"aws_secret_access_key", collect->keys.secret_access_key,
         sizeof collect->keys.secret_access_key},
        {"aws_session_token", collect->keys.session_token, sizeof collect->keys.session_token},
        {"region", profile->region, sizeof profile->region},
        {"endpoint_url", profile->endpoint_url, sizeof profile->endpoint_url},
        {"ca_bundle", profile->ca_bundle, sizeof profile->ca_bundle},
        {"s3_disable_express_session_auth", profile->no_sessions, sizeof profile->no_sessions},
        {"services", collect->services, sizeof collect->services},
        {"role_arn", profile->role_arn, sizeof profile->role_arn},
        {"role_session_name", profile->role_session_name, sizeof profile->role_session_name},
        {"external_id", profile->external_id, sizeof profile->external_id},
        {"duration_seconds", profile->duration_seconds, sizeof profile->duration_seconds},
        {"source_profile", profile->source_profile, sizeof profile->source_profile},
        {"credential_source", profile->credential_source, sizeof profile->credential_source},
        {"mfa_serial", profile->mfa_serial, sizeof profile->mfa_serial},
        {"web_identity_token_file", profile->web_identity_token_file,
         sizeof profile->web_identity_token_file},
        {"credential_process", profile->credential_process, sizeof profile->credential_process},
    };
    static const char *const providers[] = {"sso_session", "sso_start_url", "login_session"};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strcmp(name, wanted[i].name) && !ps_text_copy(wanted[i].out, wanted[i].size, value))
            collect->too_long = wanted[i].name;
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (!strcmp(name, providers[i]))
            ps_text_copy(profile->provider, sizeof profile->provider, name);
}

static void on_option(void *cookie, const char *section, const char *parent, const char *name,
                      const char *value)
{
    struct collect *collect = cookie;
    if (collect->services_pass) {
        if (parent && !strcmp(parent, "s3") && !strcmp(name, "endpoint_url") &&
            section_is(section, "services", collect->services) &&
            !ps_text_copy(collect->services_url, sizeof collect->services_url, value))
            collect->too_long = "endpoint_url";
    } else if (parent && !strcmp(parent, "s3") && !strcmp(name, "addressing_style") &&
               section_is_profile(collect, section)) {
        ps_text_copy(collect->profile->addressing_style, sizeof collect->profile->addressing_style,
                     value);
    } else if (!parent && section_is_profile(collect, section)) {
        on_profile_option(collect, name, value);
    }
    if (section_is_profile(collect, section))
        collect->profile->found = true;
}

/* Reads the whole file into *text (with one byte to spare), which the caller frees. A file that
 * does not exist leaves *text NULL. */
static int read_file(const char *path, char **text, size_t *len, struct penstock_error *error)
{
    struct stat about;
    int rc = PENSTOCK_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *text = NULL;
    *len = 0;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return PENSTOCK_OK;
    if (fd < 0 || fstat(fd, &about) < 0) {
        rc = ps_fail_errno(error, PENSTOCK_E_CREDENTIALS, errno, "cannot read %s", path);
    } else if (S_ISREG(about.st_mode) && about.st_size > FILE_BYTES_MAX) {
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s has %lld bytes, more than the %d expected",
                     path, (long long)about.st_size, FILE_BYTES_MAX);
    } else if (!(*text = malloc(FILE_BYTES_MAX + 1))) {
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "no memory to read %s", path);
    }
    while (rc == PENSTOCK_OK && *len < FILE_BYTES_MAX) {
        ssize_t got = read(fd, *text + *len, FILE_BYTES_MAX - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = ps_fail_errno(error, PENSTOCK_E_CREDENTIALS, errno, "cannot read %s", path);
        if (got <= 0)
            break;
        *len += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    if (rc != PENSTOCK_OK && *text) {
        explicit_bzero(*text, *len);
        free(*text);
        *text = NULL;
    }
    return rc;
}

/* Scans a copy, for the scan changes the text and the services section needs a second pass. */
static size_t scan_copy(const char *text, size_t len, struct collect *collect)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return SIZE_MAX;
    memcpy(copy, text, len);
    size_t bad_line = ps_ini_scan(copy, len, on_option, collect);
    explicit_bzero(copy, len);
    free(copy);
    return bad_line;
}

static int read_one(const char *path, bool is_config, struct ps_profile *profile,
                    struct penstock_error *error)
{
    struct collect collect = {.profile = profile, .is_config = is_config};
    char *text;
    size_t len, bad_line;
    int rc;

    if (!*path)
        return PENSTOCK_OK;
    rc = read_file(path, &text, &len, error);
    if (rc != PENSTOCK_OK || !text)
        return rc;
    bad_line = scan_copy(text, len, &collect);
    if (!bad_line && *collect.services) {
        collect.services_pass = true;
        bad_line = scan_copy(text, len, &collect);
    }
    explicit_bzero(text, len);
    free(text);

    if (bad_line == SIZE_MAX)
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "no memory to read %s", path);
    else if (bad_line)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                     "%s, line %zu: expected '[section]' or 'name = value'", path, bad_line);
    else if (collect.too_long)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s: %s of profile '%s' is too long", path,
                     collect.too_long, profile->name);
    if (*collect.services_url)
        ps_text_copy(profile->endpoint_url, sizeof profile->endpoint_url, collect.services_url);
    if (*collect.keys.access_key_id || *collect.keys.secret_access_key) {
        profile->keys = collect.keys;
        profile->keys_in_config = is_config;
    }
    explicit_bzero(&collect.keys, sizeof collect.keys);
    return rc;
}

/* The file that `variable` names, or ~/.aws/`name`; "" if there is no home directory. */
static bool find_path(const char *variable, const char *name, char *out, size_t size)
{
    const char *path = getenv(variable), *home = getenv("HOME");
    struct ps_text text = ps_text_in(out, size);
    if (path && *path && strncmp(path, "~/", 2))
        ps_text_add(&text, path);
    else if (home && *home)
        ps_text_addf(&text, "%s/%s%s", home, path && *path ? path + 2 : ".aws/",
                     path && *path ? "" : name);
    return !text.cut;
}

int ps_profile_read(const char *name, struct ps_profile *out, struct penstock_error *error)
{
    int rc;
    memset(out, 0, sizeof *out);
    if (!ps_text_copy(out->name, sizeof out->name, name))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the profile's name is too long: '%s'", name);
    if (!find_path("AWS_CONFIG_FILE", "config", out->config_path, sizeof out->config_path))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS, "the path in AWS_CONFIG_FILE is too long");
    if (!find_path("AWS_SHARED_CREDENTIALS_FILE", "credentials", out->credentials_path,
                   sizeof out->credentials_path))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the path in AWS_SHARED_CREDENTIALS_FILE is too long");
    rc = read_one(out->config_path, true, out, error);
    if (rc == PENSTOCK_OK)
        rc = read_one(out->credentials_path, false, out, error);
    if (rc != PENSTOCK_OK)
        ps_profile_wipe(out);
    return rc;
}

void ps_profile_wipe(struct ps_profile *profile)
{
    explicit_bzero(&profile->keys, sizeof profile->keys);
}
