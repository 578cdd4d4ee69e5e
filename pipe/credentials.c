/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials.c - the keys that requests are signed with, and where they came from. */
#include "pipe/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "pipe/error.h"
#include "pipe/text.h"

/* A variable of the environment; set to nothing is the same as not set. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *ps_profile_name(const struct penstock_config *config)
{
    const char *name = config->profile && *config->profile ? config->profile : env("AWS_PROFILE");
    return name ? name : "default";
}

static bool has_control_byte(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* A line break in a key would end the header line early; it is nearly always a stray newline at the
 * end of a secret that was stored in a file. */
static int check_text(const char *origin, const char *name, const char *value,
                      struct penstock_error *error)
{
    if (!has_control_byte(value))
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "%s of %s holds a line break or another control character: remove it", name,
                   origin);
}

static int check_keys(const struct ps_credentials *credentials, const char *const names[3],
                      struct penstock_error *error)
{
    const struct ps_keys *keys = &credentials->keys;
    const char *origin = credentials->origin;
    int rc;
    if (!*keys->access_key_id || !*keys->secret_access_key) {
        const char *set = names[*keys->access_key_id ? 0 : 1];
        const char *unset = names[*keys->access_key_id ? 1 : 0];
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "%s has %s but not %s: set both, or neither to use another source", origin,
                       set, unset);
    }
    if ((rc = check_text(origin, names[0], keys->access_key_id, error)) != PENSTOCK_OK ||
        (rc = check_text(origin, names[1], keys->secret_access_key, error)) != PENSTOCK_OK ||
        (rc = check_text(origin, names[2], keys->session_token, error)) != PENSTOCK_OK)
        return rc;
    return PENSTOCK_OK;
}

static int from_environment(struct ps_credentials *out, struct penstock_error *error)
{
    static const char *const names[3] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                         "AWS_SESSION_TOKEN"};
    const struct {
        char *out;
        size_t size;
    } places[3] = {
        {out->keys.access_key_id, sizeof out->keys.access_key_id},
        {out->keys.secret_access_key, sizeof out->keys.secret_access_key},
        {out->keys.session_token, sizeof out->keys.session_token},
    };
    for (int i = 0; i < 3; i++) {
        const char *value = env(names[i]);
        if (value && !ps_text_copy(places[i].out, places[i].size, value))
            return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                           "%s of the environment is longer than %zu characters", names[i],
                           places[i].size - 1);
    }
    ps_text_copy(out->origin, sizeof out->origin, "the environment");
    return check_keys(out, names, error);
}

static int profile_has_no_keys(const struct penstock_config *config,
                               const struct ps_profile *profile, struct penstock_error *error)
{
    bool named = (config->profile && *config->profile) || env("AWS_PROFILE");
    char files[sizeof profile->config_path + sizeof profile->credentials_path + 8];
    struct ps_text text = ps_text_in(files, sizeof files);

    if (*profile->config_path)
        ps_text_addf(&text, "%s", profile->config_path);
    if (*profile->credentials_path)
        ps_text_addf(&text, "%s%s", text.len ? " and " : "", profile->credentials_path);
    if (!text.len)
        ps_text_add(&text, "no file, because HOME is not set");

    if (profile->found && *profile->provider)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s' gets its keys by %s, which is not supported yet: run "
                       "`aws configure export-credentials --profile %s --format env` and export "
                       "what it prints",
                       profile->name, profile->provider, profile->name);
    if (profile->found)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s' has no aws_access_key_id and aws_secret_access_key (searched "
                       "%s)",
                       profile->name, files);
    if (named)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "there is no profile '%s' (searched %s): check the name in %s",
                       profile->name, files,
                       config->profile && *config->profile ? "the configuration" : "AWS_PROFILE");
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and "
                   "there is no profile 'default' (searched %s); for a public bucket ask for "
                   "anonymous access",
                   files);
}

static int from_profile(const struct penstock_config *config, const struct ps_profile *profile,
                        struct ps_credentials *out, struct penstock_error *error)
{
    static const char *const names[3] = {"aws_access_key_id", "aws_secret_access_key",
                                         "aws_session_token"};
    struct ps_text origin = ps_text_in(out->origin, sizeof out->origin);

    if (!*profile->keys.access_key_id && !*profile->keys.secret_access_key)
        return profile_has_no_keys(config, profile, error);
    out->keys = profile->keys;
    ps_text_addf(&origin, "profile '%s' in %s", profile->name,
                 profile->keys_in_config ? profile->config_path : profile->credentials_path);
    return check_keys(out, names, error);
}

int ps_credentials_find(const struct penstock_config *config, const struct ps_profile *profile,
                        struct ps_credentials *out, struct penstock_error *error)
{
    bool by_config = config->profile && *config->profile;
    int rc;

    memset(out, 0, sizeof *out);
    if (config->anonymous) {
        out->anonymous = true;
        ps_text_copy(out->origin, sizeof out->origin, "anonymous access");
        return PENSTOCK_OK;
    }
    if (!by_config && (env("AWS_ACCESS_KEY_ID") || env("AWS_SECRET_ACCESS_KEY")))
        rc = from_environment(out, error);
    else
        rc = from_profile(config, profile, out, error);
    if (rc != PENSTOCK_OK)
        ps_credentials_wipe(out);
    return rc;
}

void ps_credentials_wipe(struct ps_credentials *credentials)
{
    explicit_bzero(&credentials->keys, sizeof credentials->keys);
}
