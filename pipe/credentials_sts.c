/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_sts.c - keys of a role, from the security token service.
 *
 * Source: AWS Security Token Service API Reference, AssumeRole and AssumeRoleWithWebIdentity.
 */
#include "pipe/credentials_sources.h"

#include "pipe/error.h"
#include "pipe/sigv4.h"
#include "pipe/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STS_VERSION "2011-06-15"
#define BODY_BYTES (48 * 1024) /* a web identity token has up to 20,000 characters */
#define TOKEN_BYTES 20001

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

/* ---- the answer ---- */

static int take_answer(const struct ps_role *role, const char *url,
                       const struct ps_key_answer *answer, struct ps_credentials *out,
                       struct penstock_error *error)
{
    static const char *const names[3] = {"AccessKeyId", "SecretAccessKey", "SessionToken"};
    struct ps_key_xml parse = {.out = out};

    if (answer->status == 0)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the security token service %s does not answer: %s", url, answer->why);
    if (ps_key_parse_xml(answer->body, answer->len_bytes, &parse) && answer->status == 200)
        return ps_key_check(out, names, error);
    return ps_fail(
        error, PENSTOCK_E_CREDENTIALS,
        "the security token service %s gives no keys for role %s: HTTP status %d%s%s%s%s", url,
        role->role_arn, answer->status, *parse.code ? " " : "", parse.code,
        *parse.message ? ": " : "", parse.message);
}

/* ---- the request ---- */

/* "https://host[:port]/" into url, "host[:port]" into host. */
static int find_service(const struct ps_role *role, char *url, char *host, size_t size,
                        struct penstock_error *error)
{
    const char *given =
        *env("AWS_ENDPOINT_URL_STS") ? env("AWS_ENDPOINT_URL_STS") : env("AWS_ENDPOINT_URL");
    bool legacy = strcmp(env("AWS_STS_REGIONAL_ENDPOINTS"), "legacy") == 0;
    struct ps_text text = ps_text_in(url, size);

    if (*given)
        ps_text_addf(&text, "%.*s/", (int)(strlen(given) - (given[strlen(given) - 1] == '/')),
                     given);
    else if (legacy)
        ps_text_add(&text, "https://sts.amazonaws.com/");
    else
        ps_text_addf(&text, "https://sts.%s.amazonaws.com%s/", role->region,
                     strncmp(role->region, "cn-", 3) == 0 ? ".cn" : "");
    const char *at = strstr(url, "://");

    if (text.cut || !at)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "the endpoint of the security token service is no URL: '%.200s'", url);
    at += 3;
    snprintf(host, size, "%.*s", (int)strcspn(at, "/?#"), at);
    return PENSTOCK_OK;
}

static bool hash_hex(const char *text, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len_bytes = 0;

    if (EVP_Digest(text, strlen(text), digest, &len_bytes, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < len_bytes; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return true;
}

/* Values of the headers that a signed request has. */
struct signature {
    char host[544];
    char date[32];
    char token[PS_TOKEN_MAX + 32];
    char authorization[640];
};

static bool sign(const struct ps_credentials *with, const char *region, const char *host,
                 const char *body, struct signature *out)
{
    struct ps_sigv4_cache cache = {.scope = ""};
    time_t now_s = time(NULL); /* of the date and of the signature: they have to agree */
    char date[17], hash[65];

    if (!ps_sigv4_date(now_s, date) || !hash_hex(body, hash))
        return false;
    const struct ps_sigv4_pair headers[] = {{"content-type", "application/x-www-form-urlencoded"},
                                            {"host", host},
                                            {"x-amz-date", date},
                                            {"x-amz-security-token", with->keys.session_token}};
    const struct ps_sigv4_request request = {.method = "POST",
                                             .path = "/",
                                             .query = "",
                                             .headers = headers,
                                             .header_count = *with->keys.session_token ? 4 : 3,
                                             .payload_sha256 = hash,
                                             .region = region,
                                             .service = "sts",
                                             .access_key_id = with->keys.access_key_id,
                                             .secret_access_key = with->keys.secret_access_key,
                                             .time = now_s};
    char value[512];
    bool good = ps_sigv4_authorization(&request, &cache, value, sizeof value);

    explicit_bzero(&cache, sizeof cache);
    snprintf(out->host, sizeof out->host, "Host: %s", host); /* as signed: libcurl cuts off :80 */
    snprintf(out->date, sizeof out->date, "X-Amz-Date: %s", date);
    snprintf(out->token, sizeof out->token, "X-Amz-Security-Token: %s", with->keys.session_token);
    snprintf(out->authorization, sizeof out->authorization, "Authorization: %s", value);
    return good;
}

/* Sends the form, signed unless `with` is NULL. */
static int ask(const struct ps_role *role, const struct ps_credentials *with, const char *body,
               struct ps_credentials *out, struct penstock_error *error)
{
    struct ps_key_answer *answer = calloc(1, sizeof *answer);
    struct signature signature;
    char url[512], host[512];
    int rc = answer ? find_service(role, url, host, sizeof url, error)
                    : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    struct ps_key_request request = {.method = "POST",
                                     .url = url,
                                     .headers = {"Content-Type: application/x-www-form-urlencoded"},
                                     .body = body,
                                     .ca_bundle = role->ca_bundle,
                                     .timeout_ms = 5000,
                                     .attempts = 3,
                                     .stop = role->stop};

    if (rc == PENSTOCK_OK && with) {
        const char *region = strcmp(host, "sts.amazonaws.com") == 0 ? "us-east-1" : role->region;

        if (!sign(with, region, host, body, &signature))
            rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "a request for role %s cannot be signed",
                         role->role_arn);
        request.headers[1] = signature.date;
        request.headers[2] = signature.authorization;
        request.headers[3] = signature.host;
        request.headers[4] = *with->keys.session_token ? signature.token : NULL;
    }
    if (rc == PENSTOCK_OK) {
        ps_key_ask(&request, answer);
        rc = take_answer(role, url, answer, out, error);
        ps_key_answer_wipe(answer);
    }
    explicit_bzero(&signature, sizeof signature);
    free(answer);
    return rc;
}

static const char *session_name(const struct ps_role *role, char *own, size_t size)
{
    if (*role->session_name)
        return role->session_name;
    snprintf(own, size, "penstock-%lld", (long long)time(NULL));
    return own;
}

int ps_keys_assume_role(const struct ps_role *role, const struct ps_credentials *with,
                        struct ps_credentials *out, struct penstock_error *error)
{
    char own_name[48], duration[16], body[4096];
    struct ps_text text = ps_text_in(body, sizeof body);
    struct ps_sigv4_pair form[6] = {
        {"Action", "AssumeRole"},
        {"Version", STS_VERSION},
        {"RoleArn", role->role_arn},
        {"RoleSessionName", session_name(role, own_name, sizeof own_name)}};
    size_t count = 4;

    if (*role->external_id)
        form[count++] = (struct ps_sigv4_pair){"ExternalId", role->external_id};
    snprintf(duration, sizeof duration, "%u", role->duration_s);
    if (role->duration_s)
        form[count++] = (struct ps_sigv4_pair){"DurationSeconds", duration};
    ps_sigv4_add_query(&text, form, count);
    if (text.cut)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS, "the settings for role %s are too long",
                       role->role_arn);
    snprintf(out->origin, sizeof out->origin, "role %.500s, assumed by the keys of %.3000s",
             role->role_arn, with->origin);
    return ask(role, with, body, out, error);
}

static int read_token(const char *path, char *token, size_t size, struct penstock_error *error)
{
    FILE *file = fopen(path, "re");

    if (!file)
        return ps_fail_errno(error, PENSTOCK_E_CREDENTIALS, errno,
                             "cannot read the web identity token %s", path);
    size_t len_bytes = fread(token, 1, size - 1, file);

    fclose(file);
    while (len_bytes > 0 && strchr("\r\n \t", token[len_bytes - 1]))
        len_bytes--;
    token[len_bytes] = '\0';
    if (len_bytes == 0 || len_bytes == size - 1)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS, "the web identity token %s is %s", path,
                       len_bytes ? "longer than 20,000 characters" : "empty");
    return PENSTOCK_OK;
}

int ps_keys_web_identity(const struct ps_role *role, const char *token_file,
                         struct ps_credentials *out, struct penstock_error *error)
{
    char own_name[48];
    char *token = malloc(TOKEN_BYTES), *body = malloc(BODY_BYTES);
    int rc = token && body ? read_token(token_file, token, TOKEN_BYTES, error)
                           : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    if (rc == PENSTOCK_OK) {
        const struct ps_sigv4_pair form[5] = {
            {"Action", "AssumeRoleWithWebIdentity"},
            {"Version", STS_VERSION},
            {"RoleArn", role->role_arn},
            {"RoleSessionName", session_name(role, own_name, sizeof own_name)},
            {"WebIdentityToken", token}};
        struct ps_text text = ps_text_in(body, BODY_BYTES);

        ps_sigv4_add_query(&text, form, 5);
        snprintf(out->origin, sizeof out->origin, "role %.500s, by the web identity in %.3000s",
                 role->role_arn, token_file);
        rc = text.cut ? ps_fail(error, PENSTOCK_E_CREDENTIALS,
                                "the web identity token %s is too long", token_file)
                      : ask(role, NULL, body, out, error);
    }
    if (token)
        explicit_bzero(token, TOKEN_BYTES);
    if (body)
        explicit_bzero(body, BODY_BYTES);
    free(token);
    free(body);
    return rc;
}
