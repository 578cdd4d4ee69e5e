/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials.c - the keys that requests are signed with, and where they came from. */
#include "pipe/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "pipe/credentials_sources.h"
#include "pipe/error.h"
#include "pipe/text.h"

#define ROLES_MAX 5 /* assumed one after another */

/* What is searched for keys. */
struct search {
    const struct ps_profile *profile;
    bool by_config; /* the configuration names the profile */
    const char *region;
    const char *ca_bundle;
    const atomic_bool *stop;
    bool local; /* nobody is to be asked: PENSTOCK_AGAIN instead */
};

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

int ps_key_check(const struct ps_credentials *credentials, const char *const names[3],
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
    return ps_key_check(out, names, error);
}

/* Where the profile was looked for. */
static void name_files(const struct ps_profile *profile, char *files, size_t size)
{
    struct ps_text text = ps_text_in(files, size);

    if (*profile->config_path)
        ps_text_addf(&text, "%s", profile->config_path);
    if (*profile->credentials_path)
        ps_text_addf(&text, "%s%s", text.len ? " and " : "", profile->credentials_path);
    if (!text.len)
        ps_text_add(&text, "no file, because HOME is not set");
}

/* The end of the chain. `instance` says why the last source had none. */
static int no_keys(const struct search *search, const struct penstock_error *instance,
                   struct penstock_error *error)
{
    const struct ps_profile *profile = search->profile;
    char files[sizeof profile->config_path + sizeof profile->credentials_path + 8];

    name_files(profile, files, sizeof files);
    if (profile->found)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s' has no aws_access_key_id and aws_secret_access_key (searched "
                       "%s), and %s",
                       profile->name, files, instance->message);
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, there "
                   "is no profile 'default' (searched %s), and %s; for a public bucket ask for "
                   "anonymous access",
                   files, instance->message);
}

static int no_profile(const struct search *search, struct penstock_error *error)
{
    const struct ps_profile *profile = search->profile;
    char files[sizeof profile->config_path + sizeof profile->credentials_path + 8];

    name_files(profile, files, sizeof files);
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "there is no profile '%s' (searched %s): check the name in %s", profile->name,
                   files, search->by_config ? "the configuration" : "AWS_PROFILE");
}

static int from_profile(const struct ps_profile *profile, struct ps_credentials *out,
                        struct penstock_error *error)
{
    static const char *const names[3] = {"aws_access_key_id", "aws_secret_access_key",
                                         "aws_session_token"};
    struct ps_text origin = ps_text_in(out->origin, sizeof out->origin);

    out->keys = profile->keys;
    ps_text_addf(&origin, "profile '%s' in %s", profile->name,
                 profile->keys_in_config ? profile->config_path : profile->credentials_path);
    return ps_key_check(out, names, error);
}

static bool has_keys(const struct ps_profile *profile)
{
    return *profile->keys.access_key_id || *profile->keys.secret_access_key;
}

/* ---- roles ---- */

static int from_profile_chain(const struct search *search, const struct ps_profile *profile,
                              unsigned depth, struct ps_credentials *out,
                              struct penstock_error *error);

/* Keys of another profile, or of this one's own. */
static int from_source_profile(const struct search *search, const struct ps_profile *profile,
                               unsigned depth, struct ps_credentials *out,
                               struct penstock_error *error)
{
    if (strcmp(profile->source_profile, profile->name) == 0 && has_keys(profile))
        return from_profile(profile, out, error);
    if (depth == ROLES_MAX)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s': more than %d source_profile one after another, or a circle",
                       search->profile->name, ROLES_MAX);
    struct ps_profile *source = malloc(sizeof *source);
    int rc = source ? ps_profile_read(profile->source_profile, source, error)
                    : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    if (rc == PENSTOCK_OK && !source->found)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                     "there is no profile '%s', which is the source_profile of '%s'",
                     profile->source_profile, profile->name);
    if (rc == PENSTOCK_OK)
        rc = from_profile_chain(search, source, depth + 1, out, error);
    if (source)
        ps_profile_wipe(source);
    free(source);
    return rc;
}

static int from_credential_source(const struct search *search, const struct ps_profile *profile,
                                  struct ps_credentials *out, struct penstock_error *error)
{
    const char *source = profile->credential_source;

    if (strcmp(source, "Environment") == 0)
        return from_environment(out, error);
    if (search->local)
        return PENSTOCK_AGAIN;
    if (strcmp(source, "EcsContainer") == 0)
        return ps_keys_container(search->ca_bundle, search->stop, out, error);
    if (strcmp(source, "Ec2InstanceMetadata") == 0)
        return ps_keys_instance(search->stop, out, error);
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "profile '%s': credential_source is '%s', not Environment, EcsContainer or "
                   "Ec2InstanceMetadata",
                   profile->name, source);
}

static int parse_duration(const struct ps_profile *profile, uint32_t *duration_s,
                          struct penstock_error *error)
{
    char *end;
    unsigned long number = strtoul(profile->duration_seconds, &end, 10);

    *duration_s = (uint32_t)number;
    if (*end == '\0' && number <= 43200)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                   "profile '%s': duration_seconds is '%s', not 900 to 43200", profile->name,
                   profile->duration_seconds);
}

static int from_role(const struct search *search, const struct ps_profile *profile, unsigned depth,
                     struct ps_credentials *out, struct penstock_error *error)
{
    struct ps_role role = {.role_arn = profile->role_arn,
                           .session_name = profile->role_session_name,
                           .external_id = profile->external_id,
                           .region = search->region,
                           .ca_bundle = search->ca_bundle,
                           .stop = search->stop};
    struct ps_credentials *with;
    int rc = parse_duration(profile, &role.duration_s, error);

    if (rc != PENSTOCK_OK)
        return rc;
    if (search->local && *profile->web_identity_token_file)
        return PENSTOCK_AGAIN;
    if (*profile->web_identity_token_file)
        return ps_keys_web_identity(&role, profile->web_identity_token_file, out, error);
    if (*profile->mfa_serial)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s' needs a second factor (mfa_serial), which cannot be asked for "
                       "here: run `aws configure export-credentials --profile %s --format env` and "
                       "export what it prints",
                       profile->name, profile->name);
    with = calloc(1, sizeof *with);
    if (!with)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    if (*profile->source_profile)
        rc = from_source_profile(search, profile, depth, with, error);
    else if (*profile->credential_source)
        rc = from_credential_source(search, profile, with, error);
    else
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                     "profile '%s' has a role_arn but neither source_profile, credential_source "
                     "nor web_identity_token_file",
                     profile->name);
    if (rc == PENSTOCK_OK)
        rc = search->local ? PENSTOCK_AGAIN : ps_keys_assume_role(&role, with, out, error);
    ps_credentials_wipe(with);
    free(with);
    return rc;
}

/* What a profile alone can give. */
static int from_profile_chain(const struct search *search, const struct ps_profile *profile,
                              unsigned depth, struct ps_credentials *out,
                              struct penstock_error *error)
{
    if (*profile->role_arn)
        return from_role(search, profile, depth, out, error);
    /* Keys in the credentials file go before a program, those in the config file after it. */
    if (has_keys(profile) && !(profile->keys_in_config && *profile->credential_process))
        return from_profile(profile, out, error);
    if (search->local && *profile->credential_process)
        return PENSTOCK_AGAIN;
    if (*profile->credential_process)
        return ps_keys_process(profile->credential_process, profile->name, search->stop, out,
                               error);
    if (*profile->provider)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "profile '%s' gets its keys by %s, which is not supported: run "
                       "`aws configure export-credentials --profile %s --format env` and export "
                       "what it prints",
                       profile->name, profile->provider, profile->name);
    return ps_fail(error, PENSTOCK_E_CREDENTIALS, "profile '%s' names no source of keys",
                   profile->name);
}

static bool has_source(const struct ps_profile *profile)
{
    return *profile->role_arn || has_keys(profile) || *profile->credential_process ||
           *profile->provider;
}

/* ---- the chain ---- */

static int from_web_identity_of_environment(const struct search *search, struct ps_credentials *out,
                                            struct penstock_error *error)
{
    const char *name = env("AWS_ROLE_SESSION_NAME");
    const struct ps_role role = {.role_arn = env("AWS_ROLE_ARN"),
                                 .session_name = name ? name : "",
                                 .external_id = "",
                                 .region = search->region,
                                 .ca_bundle = search->ca_bundle,
                                 .stop = search->stop};

    return ps_keys_web_identity(&role, env("AWS_WEB_IDENTITY_TOKEN_FILE"), out, error);
}

static int from_instance(const struct search *search, struct ps_credentials *out,
                         struct penstock_error *error)
{
    struct penstock_error instance;

    if (search->local && !ps_keys_instance_is_off())
        return PENSTOCK_AGAIN;
    if (ps_keys_instance(search->stop, out, &instance) == PENSTOCK_OK)
        return PENSTOCK_OK;
    return no_keys(search, &instance, error);
}

static int find(const struct search *search, struct ps_credentials *out,
                struct penstock_error *error)
{
    const struct ps_profile *profile = search->profile;
    bool web_identity =
        !search->by_config && env("AWS_WEB_IDENTITY_TOKEN_FILE") && env("AWS_ROLE_ARN");

    if (!search->by_config && (env("AWS_ACCESS_KEY_ID") || env("AWS_SECRET_ACCESS_KEY"))) {
        out->fixed = true;
        return from_environment(out, error);
    }
    if ((search->by_config || env("AWS_PROFILE")) && !profile->found)
        return no_profile(search, error);
    bool by_web = web_identity && (!*profile->role_arn || *profile->web_identity_token_file);

    if (search->local && (by_web || (!has_source(profile) && ps_keys_in_container())))
        return PENSTOCK_AGAIN;
    if (by_web)
        return from_web_identity_of_environment(search, out, error);
    if (has_source(profile))
        return from_profile_chain(search, profile, 1, out, error);
    if (ps_keys_in_container())
        return ps_keys_container(search->ca_bundle, search->stop, out, error);
    return from_instance(search, out, error);
}

static int find_any(const struct penstock_config *config, const struct search *search,
                    struct ps_credentials *out, struct penstock_error *error)
{
    memset(out, 0, sizeof *out);
    if (config->anonymous) {
        out->anonymous = out->fixed = true;
        ps_text_copy(out->origin, sizeof out->origin, "anonymous access");
        return PENSTOCK_OK;
    }
    int rc = find(search, out, error);

    if (rc != PENSTOCK_OK)
        ps_credentials_wipe(out);
    return rc;
}

int ps_credentials_find(const struct penstock_config *config, const struct ps_profile *profile,
                        const char *region, const char *ca_bundle, const atomic_bool *stop,
                        struct ps_credentials *out, struct penstock_error *error)
{
    const struct search search = {.profile = profile,
                                  .by_config = config->profile && *config->profile,
                                  .region = region,
                                  .ca_bundle = ca_bundle,
                                  .stop = stop};

    return find_any(config, &search, out, error);
}

int ps_credentials_find_here(const struct penstock_config *config, const struct ps_profile *profile,
                             struct ps_credentials *out, struct penstock_error *error)
{
    const struct search search = {.profile = profile,
                                  .by_config = config->profile && *config->profile,
                                  .region = "",
                                  .ca_bundle = "",
                                  .local = true};

    return find_any(config, &search, out, error);
}

void ps_credentials_wipe(struct ps_credentials *credentials)
{
    explicit_bzero(&credentials->keys, sizeof credentials->keys);
}
