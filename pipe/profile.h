/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/profile.h - one profile of the AWS shared configuration files.
 *
 * Files: $AWS_CONFIG_FILE or ~/.aws/config ("[default]", "[profile NAME]", "[services NAME]"), then
 * $AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials ("[NAME]"), whose options win.
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 *
 * Owner: the caller; ps_profile_wipe ends it. Threads: reads the environment, so none may change
 * it at the same time.
 */
#ifndef PIPE_PROFILE_H
#define PIPE_PROFILE_H

#include "pipe/penstock.h"

#define PS_ACCESS_KEY_ID_MAX 128 /* IAM, API_AccessKey */
#define PS_SECRET_MAX 255
#define PS_TOKEN_MAX 6143 /* S3 takes 8 KiB of header in all */

/* A set of keys, always from one place. Texts are "" when absent. */
struct ps_keys {
    char access_key_id[PS_ACCESS_KEY_ID_MAX + 1];
    char secret_access_key[PS_SECRET_MAX + 1];
    char session_token[PS_TOKEN_MAX + 1];
};

struct ps_profile {
    char name[128];
    char config_path[4096];      /* "" if HOME is not set */
    char credentials_path[4096]; /* "" if HOME is not set */
    bool found;                  /* some file has a section for it */

    struct ps_keys keys;
    bool keys_in_config; /* `keys` came from config_path, else from credentials_path */

    char region[64];
    char endpoint_url[512]; /* for S3: of its services section, else of the profile */
    char ca_bundle[4096];
    char addressing_style[16]; /* of the profile's s3 settings */
    char no_sessions[8];       /* s3_disable_express_session_auth */

    /* Other sources of keys. */
    char role_arn[2049];
    char role_session_name[65];
    char external_id[1225];
    char duration_seconds[16];
    char source_profile[128];
    char credential_source[32];
    char mfa_serial[257];
    char web_identity_token_file[4096];
    char credential_process[4096];
    char provider[32]; /* an option that names a source not supported here, e.g. "sso_session" */
};

/* Reads profile `name`. A file that does not exist is an empty one. Returns PENSTOCK_OK also for a
 * profile that is not found, or PENSTOCK_E_CREDENTIALS for a file that cannot be read or parsed or
 * a value that cannot be used, or PENSTOCK_E_MEMORY. */
int ps_profile_read(const char *name, struct ps_profile *out, struct penstock_error *error);

/* Overwrites the secrets. */
void ps_profile_wipe(struct ps_profile *profile);

#endif
