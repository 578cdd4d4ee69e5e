/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_account.c - keys, region and endpoint, from the configuration, the environment and the
 * profile. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipe/error.h"
#include "pipe/s3.h"

/* One place a setting can come from. */
struct place {
    const char *value;
    const char *origin;
};

static const struct place *first_set(const struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (places[i].value && *places[i].value)
            return &places[i];
    return NULL;
}

/* Keys in the environment need no files: then a home directory that cannot be read, as in a
 * container that runs under another user's id, is no reason to stop. */
static bool profile_is_optional(const struct penstock_config *config)
{
    static const char *const named[] = {"AWS_PROFILE", "AWS_CONFIG_FILE",
                                        "AWS_SHARED_CREDENTIALS_FILE"};
    const char *id = getenv("AWS_ACCESS_KEY_ID");
    if (config->profile && *config->profile)
        return false;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const char *value = getenv(named[i]);
        if (value && *value)
            return false;
    }
    return config->anonymous || (id && *id);
}

static int set_identity(const struct penstock_config *config, struct ps_s3_account *out,
                        struct penstock_error *error)
{
    out->identity.anonymous = config->anonymous;
    if (ps_text_copy(out->identity.profile, sizeof out->identity.profile,
                     config->profile ? config->profile : ""))
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "the profile's name is too long: '%s'",
                   config->profile);
}

static int set_addressing(const struct penstock_config *config, const struct ps_profile *profile,
                          struct ps_s3_account *out, struct penstock_error *error)
{
    static const char *const names[] = {
        [PS_S3_AUTO] = "auto", [PS_S3_PATH] = "path", [PS_S3_VIRTUAL] = "virtual"};
    const char *style = config->addressing_style && *config->addressing_style
                            ? config->addressing_style
                            : profile->addressing_style;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(*style ? style : "auto", names[i]) == 0) {
            out->addressing = i;
            return PENSTOCK_OK;
        }
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "addressing style '%s' is not auto, path or virtual",
                   style);
}

static int set_sessions(const struct ps_profile *profile, struct ps_s3_account *out,
                        struct penstock_error *error)
{
    const struct place places[] = {
        {getenv("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"), "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"},
        {profile->no_sessions, "s3_disable_express_session_auth of the profile"},
    };
    const struct place *found = first_set(places, sizeof places / sizeof *places);

    out->no_sessions = found && strcasecmp(found->value, "true") == 0;
    if (!found || out->no_sessions || strcasecmp(found->value, "false") == 0)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s is '%s': write true or false", found->origin,
                   found->value);
}

static int set_bucket_owner(const struct penstock_config *config, struct ps_s3_account *out,
                            struct penstock_error *error)
{
    const char *owner = config->expected_bucket_owner;

    out->requester_pays = config->requester_pays;
    if (!owner || !*owner)
        return PENSTOCK_OK;
    if (strlen(owner) == 12 && strspn(owner, "0123456789") == 12) {
        ps_text_copy(out->bucket_owner, sizeof out->bucket_owner, owner);
        return PENSTOCK_OK;
    }
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "expected_bucket_owner '%s' is no account: write its 12 digits", owner);
}

static int set_region(const struct penstock_config *config, const struct ps_profile *profile,
                      struct ps_s3_account *out, struct penstock_error *error)
{
    const struct place places[] = {
        {config->region, "the configuration"},
        {getenv("AWS_REGION"), "AWS_REGION"},
        {getenv("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"},
        {profile->region, "the profile"},
    };
    const struct place *found = first_set(places, sizeof places / sizeof *places);
    const char *region = found ? found->value : "us-east-1";

    out->region_given = found != NULL;
    if (!ps_text_copy(out->region, sizeof out->region, region) ||
        region[strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "'%s' (from %s) is no region: write e.g. eu-west-1", region,
                       found ? found->origin : "");
    return PENSTOCK_OK;
}

static int set_endpoint(const struct penstock_config *config, const struct ps_profile *profile,
                        struct ps_s3_account *out, struct penstock_error *error)
{
    const struct place places[] = {
        {config->endpoint_url, "the configuration"},
        {getenv("AWS_ENDPOINT_URL_S3"), "AWS_ENDPOINT_URL_S3"},
        {getenv("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"},
        {profile->endpoint_url, "the profile"},
    };
    const struct place *found = first_set(places, sizeof places / sizeof *places);
    if (!found)
        return PENSTOCK_OK;
    ps_text_copy(out->endpoint_origin, sizeof out->endpoint_origin, found->origin);
    if (!ps_text_copy(out->endpoint_url, sizeof out->endpoint_url, found->value))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the endpoint URL from %s is too long",
                       found->origin);
    return PENSTOCK_OK;
}

static int set_ca_bundle(const struct ps_profile *profile, struct ps_s3_account *out,
                         struct penstock_error *error)
{
    const struct place places[] = {
        {getenv("AWS_CA_BUNDLE"), "AWS_CA_BUNDLE"},
        {profile->ca_bundle, "the profile"},
        {getenv("SSL_CERT_FILE"), "SSL_CERT_FILE"}, /* OpenSSL's, which libcurl does not look at */
    };
    const struct place *found = first_set(places, sizeof places / sizeof *places);
    if (found && !ps_text_copy(out->ca_bundle, sizeof out->ca_bundle, found->value))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the path of the CA bundle from %s is too long",
                       found->origin);
    return PENSTOCK_OK;
}

/* Also by a profile that has changed meanwhile. */
int ps_s3_account_find_keys(const struct ps_s3_account *account, const atomic_bool *stop,
                            struct ps_credentials *out, struct penstock_error *error)
{
    const struct penstock_config config = {.anonymous = account->identity.anonymous,
                                           .profile = account->identity.profile};
    struct ps_profile *profile = malloc(sizeof *profile);
    int rc = profile ? ps_profile_read(ps_profile_name(&config), profile, error)
                     : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    if (rc == PENSTOCK_E_CREDENTIALS && profile_is_optional(&config)) {
        memset(profile, 0, sizeof *profile);
        rc = PENSTOCK_OK;
    }
    if (rc == PENSTOCK_OK)
        rc = ps_credentials_find(&config, profile, account->region, account->ca_bundle, stop, out,
                                 error);
    if (profile)
        ps_profile_wipe(profile);
    free(profile);
    return rc;
}

int ps_s3_account_load(const struct penstock_config *config, struct ps_s3_account *out,
                       struct penstock_error *error)
{
    struct ps_profile profile;
    int rc;

    memset(out, 0, sizeof *out);
    rc = ps_profile_read(ps_profile_name(config), &profile, error);
    if (rc == PENSTOCK_E_CREDENTIALS && profile_is_optional(config)) {
        memset(&profile, 0, sizeof profile);
        rc = PENSTOCK_OK;
    }
    if (rc == PENSTOCK_OK)
        rc = set_identity(config, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_bucket_owner(config, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_sessions(&profile, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_addressing(config, &profile, out, error);
    if (rc == PENSTOCK_OK && config->sse_customer_key_file)
        rc = ps_sse_key_read(config->sse_customer_key_file, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_region(config, &profile, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_endpoint(config, &profile, out, error);
    if (rc == PENSTOCK_OK)
        rc = set_ca_bundle(&profile, out, error);
    if (rc == PENSTOCK_OK)
        rc = ps_credentials_find_here(config, &profile, &out->credentials, error);
    out->keys_later = rc == PENSTOCK_AGAIN;
    if (rc == PENSTOCK_AGAIN)
        rc = PENSTOCK_OK;
    ps_profile_wipe(&profile);
    if (rc != PENSTOCK_OK)
        ps_s3_account_wipe(out);
    return rc;
}

void ps_s3_account_wipe(struct ps_s3_account *account)
{
    ps_credentials_wipe(&account->credentials);
    explicit_bzero(account->sse_key, sizeof account->sse_key);
}
