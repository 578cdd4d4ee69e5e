/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_container.c - the endpoint that ECS, SageMaker and EKS Pod Identity give to a
 * container.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Container credential provider".
 */
#include "pipe/credentials_sources.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_BYTES 16384

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

bool ps_keys_in_container(void)
{
    return *env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           *env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

/* Keys over plain HTTP come from this host or from its hypervisor only. */
static bool is_allowed(const char *url)
{
    static const char *const hosts[] = {"localhost",     "127.",           "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    size_t len;

    if (strncasecmp(url, "https://", 8) == 0)
        return true;
    if (strncasecmp(url, "http://", 7) != 0)
        return false;
    url += 7;
    len = *url == '[' ? strcspn(url, "]") + 1 : strcspn(url, ":/?#");
    if (memchr(url, '@', strcspn(url, "/?#")))
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (strlen(hosts[i]) == len && strncasecmp(url, hosts[i], len) == 0)
            return true;
        /* All of 127.0.0.0/8, but not a name that begins so. */
        if (strcmp(hosts[i], "127.") == 0 && strncmp(url, "127.", 4) == 0 &&
            strspn(url, "0123456789.") == len)
            return true;
    }
    return false;
}

/* How much of a URL may be shown: its path lets whoever can reach the server have the keys. */
static int server_len(const char *url)
{
    const char *server = strstr(url, "://");
    size_t start = server ? (size_t)(server - url) + 3 : 0;
    size_t len = start + strcspn(url + start, "/?#");

    return len < 200 ? (int)len : 200;
}

static int find_url(char *url, size_t size, struct penstock_error *error)
{
    struct ps_text text = ps_text_in(url, size);
    const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (*relative)
        ps_text_addf(&text, "http://169.254.170.2%s", relative);
    else
        ps_text_add(&text, full);
    if (text.cut || (*relative && *relative != '/'))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the address of the container's credentials is too long or no path");
    if (!is_allowed(url))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI is '%.*s...': it must be https, or http "
                       "to a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
                       server_len(url), url);
    return PENSTOCK_OK;
}

/* The token file is read each time, for the platform replaces it. */
static int read_token(char *header, size_t size, struct penstock_error *error)
{
    const char *path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *given = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct ps_text text = ps_text_in(header, size);

    ps_text_add(&text, "Authorization: ");
    size_t start = text.len;

    if (*path) {
        FILE *file = fopen(path, "re");

        if (!file)
            return ps_fail_errno(error, PENSTOCK_E_CREDENTIALS, errno,
                                 "cannot read %s (from AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)",
                                 path);
        size_t got = fread(header + start, 1, size - start - 1, file);

        text.cut = got == size - start - 1;
        fclose(file);
        while (got > 0 && strchr("\r\n", header[start + got - 1])) /* stray line ends are usual */
            got--;
        header[start + got] = '\0';
        if (got == 0)
            return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                           "%s (from AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) is empty, or cannot "
                           "be read",
                           path);
    } else if (*given) {
        ps_text_add(&text, given);
    } else {
        header[0] = '\0';
    }
    if (text.cut || strpbrk(header, "\r\n"))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the authorization token for the container's credentials is too long or "
                       "holds a line break");
    return PENSTOCK_OK;
}

int ps_keys_container(const char *ca_bundle, const atomic_bool *stop, struct ps_credentials *out,
                      struct penstock_error *error)
{
    char header[TOKEN_BYTES];
    struct ps_key_answer answer;
    char url[1024];
    int rc = find_url(url, sizeof url, error);

    if (rc == PENSTOCK_OK)
        rc = read_token(header, sizeof header, error);
    if (rc != PENSTOCK_OK)
        return rc;
    const struct ps_key_request request = {
        .method = "GET",
        .url = url,
        .headers = {"Accept: application/json", *header ? header : NULL},
        .ca_bundle = ca_bundle,
        .timeout_ms = 2000,
        .attempts = 3,
        .local = strncasecmp(url, "https://", 8) != 0,
        .stop = stop};

    snprintf(out->origin, sizeof out->origin, "the container's credentials endpoint %.*s",
             server_len(url), url);
    ps_key_ask(&request, &answer);
    if (answer.status == 0)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s does not answer: %s", out->origin,
                     answer.why);
    else if (answer.status != 200)
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s answers with HTTP status %d", out->origin,
                     answer.status);
    else
        rc = ps_key_parse_json(answer.body, answer.len_bytes, out, error);
    explicit_bzero(header, sizeof header);
    ps_key_answer_wipe(&answer);
    return rc;
}
