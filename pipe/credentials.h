/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials.h - the keys that requests are signed with, and where they came from.
 *
 * Order, as in AWS's SDKs: anonymous if asked for; the environment (AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), unless the configuration names a profile; a role that
 * the profile assumes; the web identity of AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN; the
 * profile's keys; its credential_process; the container's endpoint; the instance's role.
 *
 * Owner: the caller; ps_credentials_wipe ends them. Threads: read by any, written by none after the
 * load.
 */
#ifndef PIPE_CREDENTIALS_H
#define PIPE_CREDENTIALS_H

#include <stdatomic.h>

#include "pipe/profile.h"

struct ps_credentials {
    bool anonymous; /* requests are not signed; keys are "" */
    bool fixed;     /* asking the same place again cannot bring others */
    struct ps_keys keys;
    int64_t expires_s; /* Unix time; 0: never, or nobody knows */
    char origin[4300]; /* for messages, e.g. "the environment" */
};

/* The name of the profile to use: config->profile, $AWS_PROFILE, "default". */
const char *ps_profile_name(const struct penstock_config *config);

/* Finds the keys. `profile` is what ps_profile_read gave for ps_profile_name(config); `region` and
 * `ca_bundle` are for the services that are asked. May take seconds, when keys come over the
 * network, unless *stop (which may be NULL) is set. Returns PENSTOCK_OK, PENSTOCK_E_CREDENTIALS or
 * PENSTOCK_E_MEMORY. */
int ps_credentials_find(const struct penstock_config *config, const struct ps_profile *profile,
                        const char *region, const char *ca_bundle, const atomic_bool *stop,
                        struct ps_credentials *out, struct penstock_error *error);

/* The same, but asks nobody: PENSTOCK_AGAIN where a service or a program would have to be asked. */
int ps_credentials_find_here(const struct penstock_config *config, const struct ps_profile *profile,
                             struct ps_credentials *out, struct penstock_error *error);

/* Overwrites the secrets. */
void ps_credentials_wipe(struct ps_credentials *credentials);

#endif
