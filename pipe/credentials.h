/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials.h - the keys that requests are signed with, and where they came from.
 *
 * Order: anonymous if asked for; the profile that the configuration names; the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN); the profile of AWS_PROFILE or
 * "default". A request reads the keys when it is built, so what is loaded here may be replaced
 * between requests without touching anyone who holds the pointer.
 *
 * Owner: the caller; ps_credentials_wipe ends them. Threads: read by any, written by none after the
 * load.
 */
#ifndef PIPE_CREDENTIALS_H
#define PIPE_CREDENTIALS_H

#include "pipe/profile.h"

struct ps_credentials {
    bool anonymous; /* requests are not signed; keys are "" */
    struct ps_keys keys;
    char origin[4300]; /* for messages, e.g. "the environment" */
};

/* The name of the profile to use: config->profile, $AWS_PROFILE, "default". */
const char *ps_profile_name(const struct penstock_config *config);

/* Finds the keys. `profile` is what ps_profile_read gave for ps_profile_name(config). Returns
 * PENSTOCK_OK or PENSTOCK_E_CREDENTIALS. */
int ps_credentials_find(const struct penstock_config *config, const struct ps_profile *profile,
                        struct ps_credentials *out, struct penstock_error *error);

/* Overwrites the secrets. */
void ps_credentials_wipe(struct ps_credentials *credentials);

#endif
