/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_instance.c - keys of an EC2 instance's role, from its metadata service, version
 * 2 only.
 *
 * Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
 */
#include "pipe/credentials_sources.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define OUTAGE_S 600 /* how long keys still count that come although they have expired */
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

static const char *endpoint(void)
{
    if (*env("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
        return env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    return strcasecmp(env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6") == 0
               ? "http://[fd00:ec2::254]"
               : "http://169.254.169.254";
}

/* Asks for endpoint/path; `header` may be NULL. Leaves a body of status 200, or fails. */
static int ask(const char *method, const char *path, const char *header, const atomic_bool *stop,
               struct ps_key_answer *answer, struct penstock_error *error)
{
    const char *base = endpoint();
    char url[1024];
    struct ps_text text = ps_text_in(url, sizeof url);

    ps_text_addf(&text, "%.*s%s", (int)(strlen(base) - (base[strlen(base) - 1] == '/')), base,
                 path);
    if (text.cut)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long");
    const struct ps_key_request request = {.method = method,
                                           .url = url,
                                           .headers = {header},
                                           .ca_bundle = "",
                                           .timeout_ms = 1000,
                                           .attempts = strcmp(method, "PUT") == 0 ? 1 : 3,
                                           .local = true,
                                           .stop = stop};

    ps_key_ask(&request, answer);
    if (answer->status == 0)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the instance metadata service %s does not answer: %s%s", base, answer->why,
                       strcmp(method, "PUT") == 0
                           ? " (in a container on EC2 the hop limit has to be 2 or more)"
                           : "");
    if (answer->status != 200)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the instance metadata service %s answers %s with HTTP status %d%s", base,
                       path, answer->status,
                       answer->status == 404 ? ": the instance has no role" : "");
    return PENSTOCK_OK;
}

static int ask_with_token(const char *token_header, const atomic_bool *stop,
                          struct ps_key_answer *answer, struct ps_credentials *out,
                          struct penstock_error *error)
{
    char path[512];
    struct ps_text text = ps_text_in(path, sizeof path);
    int rc = ask("GET", ROLES_PATH, token_header, stop, answer, error);

    if (rc != PENSTOCK_OK)
        return rc;
    answer->body[strcspn(answer->body, "\r\n")] = '\0';
    ps_text_addf(&text, "%s", ROLES_PATH);
    ps_text_add_encoded(&text, answer->body, false);
    if (text.cut || !*answer->body)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the instance metadata service names no usable role");
    snprintf(out->origin, sizeof out->origin, "the instance's role %.200s", answer->body);
    rc = ask("GET", path, token_header, stop, answer, error);
    if (rc == PENSTOCK_OK)
        rc = ps_key_parse_json(answer->body, answer->len_bytes, out, error);
    /* In an outage the service hands out the last keys although they have expired; S3 takes them.
     */
    if (rc == PENSTOCK_OK && out->expires_s != 0 && out->expires_s <= time(NULL))
        out->expires_s = time(NULL) + OUTAGE_S;
    return rc;
}

bool ps_keys_instance_is_off(void)
{
    return strcasecmp(env("AWS_EC2_METADATA_DISABLED"), "true") == 0;
}

int ps_keys_instance(const atomic_bool *stop, struct ps_credentials *out,
                     struct penstock_error *error)
{
    struct ps_key_answer answer;
    char header[512];
    struct ps_text text = ps_text_in(header, sizeof header);

    if (ps_keys_instance_is_off())
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "AWS_EC2_METADATA_DISABLED forbids to ask the instance");
    /* Asked once: where there is no such service, as on a laptop, nobody wants to wait longer. */
    int rc = ask("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600", stop,
                 &answer, error);

    if (rc == PENSTOCK_OK) {
        ps_text_addf(&text, "X-aws-ec2-metadata-token: %s", answer.body);
        if (text.cut || strpbrk(header, "\r\n"))
            rc = ps_fail(error, PENSTOCK_E_CREDENTIALS,
                         "the instance metadata service gave no usable token");
    }
    if (rc == PENSTOCK_OK)
        rc = ask_with_token(header, stop, &answer, out, error);
    explicit_bzero(header, sizeof header);
    ps_key_answer_wipe(&answer);
    return rc;
}
