/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_sources.h - the places that hand out keys for a while: security token service,
 * container endpoint, instance metadata, a program. credentials.c decides which to ask.
 *
 * Each source fills keys, expiry and origin of `out`, or *error with what was asked, what came and
 * what to do. Answers are wiped; no key, token or signature gets into a message.
 *
 * Sources: AWS SDKs and Tools Reference Guide, "Standardized credential providers"; botocore's
 * credentials.py and utils.py for what the guide leaves open.
 *
 * Owner: the caller. Threads: any; each call is on its own.
 */
#ifndef PIPE_CREDENTIALS_SOURCES_H
#define PIPE_CREDENTIALS_SOURCES_H

#include "pipe/credentials.h"

#include <stdatomic.h>

/* ---- asking ---- */

struct ps_key_request {
    const char *method; /* "GET", "PUT" or "POST" */
    const char *url;
    const char *headers[6];  /* "Name: value", NULL at the end */
    const char *body;        /* of a POST */
    const char *ca_bundle;   /* "" for the system's */
    uint32_t timeout_ms;     /* of one attempt */
    uint32_t attempts;       /* a second apart, when no answer came or one of 5xx */
    bool local;              /* a service of this host: not through a proxy */
    const atomic_bool *stop; /* ends it early; may be NULL */
};

struct ps_key_answer {
    int status; /* 0: none came, see why */
    size_t len_bytes;
    char why[300];
    char body[32 * 1024]; /* NUL-terminated */
};

/* Asks until there is an answer, or the attempts are used up, or *stop is set. *answer is to be
 * wiped. */
void ps_key_ask(const struct ps_key_request *request, struct ps_key_answer *answer);
void ps_key_answer_wipe(struct ps_key_answer *answer);

/* ---- answers ---- */

/* Reads {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}. Returns
 * PENSTOCK_OK, or PENSTOCK_E_CREDENTIALS with a message that begins with `origin`. */
int ps_key_parse_json(const char *text, size_t len_bytes, struct ps_credentials *out,
                      struct penstock_error *error);

/* An XML document with keys: what is in <AccessKeyId>, <SecretAccessKey>, <SessionToken> and
 * <Expiration>, wherever these are; and of one that has none, its <Code> and <Message>. */
struct ps_key_xml {
    struct ps_credentials *out; /* keys and end; all else is zero at first */
    char code[64];
    char message[300];
    char expiration[48];
    char element[32];
    bool cut; /* a key is too long */
};

/* Returns whether all four are there. */
bool ps_key_parse_xml(const char *text, size_t len_bytes, struct ps_key_xml *parse);

/* "2026-11-21T08:00:00Z" (also with +00:00 and fractions of a second) to Unix time; 0 for
 * anything else. */
int64_t ps_key_parse_time(const char *text);

/* Refuses half a set of keys, and control characters, which would end a header line early. `names`
 * are what key id, secret and token are called in out->origin. */
int ps_key_check(const struct ps_credentials *out, const char *const names[3],
                 struct penstock_error *error);

/* ---- sources: *stop, which may be NULL, ends them early ---- */

struct ps_role {
    const char *role_arn;
    const char *session_name; /* "" for one of our own */
    const char *external_id;  /* "" for none */
    uint32_t duration_s;      /* 0: the service's default, an hour */
    const char *region;       /* of the service to ask */
    const char *ca_bundle;
    const atomic_bool *stop;
};

/* AssumeRole, signed with `with`. */
int ps_keys_assume_role(const struct ps_role *role, const struct ps_credentials *with,
                        struct ps_credentials *out, struct penstock_error *error);

/* AssumeRoleWithWebIdentity, with the token in the file, read anew each time. */
int ps_keys_web_identity(const struct ps_role *role, const char *token_file,
                         struct ps_credentials *out, struct penstock_error *error);

/* Whether AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI is set. */
bool ps_keys_in_container(void);
int ps_keys_container(const char *ca_bundle, const atomic_bool *stop, struct ps_credentials *out,
                      struct penstock_error *error);

/* IMDSv2. AWS_EC2_METADATA_DISABLED turns it off. */
bool ps_keys_instance_is_off(void);
int ps_keys_instance(const atomic_bool *stop, struct ps_credentials *out,
                     struct penstock_error *error);

/* Runs `command` and reads what it prints. */
int ps_keys_process(const char *command, const char *profile, const atomic_bool *stop,
                    struct ps_credentials *out, struct penstock_error *error);

#endif
