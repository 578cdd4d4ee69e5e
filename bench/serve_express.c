/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_express.c - see serve_express.h. */
#include "bench/serve_express.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_KEY "ASIASESSION"
#define TOKEN_HEAD "session/until="

bool serve_express_is_bucket(const char *bucket)
{
    static const char end[] = "--x-s3";
    size_t len_bytes = strlen(bucket), end_bytes = sizeof end - 1;

    return len_bytes > end_bytes && strcmp(bucket + len_bytes - end_bytes, end) == 0;
}

static time_t now_of(const struct serve_request *request)
{
    return time(NULL) + request->serve->config->clock_ahead_s;
}

/* What only the server can make of a token. */
static void derive_secret(const struct serve_request *request, const char *token, char secret[72])
{
    const char *key = request->serve->config->policy.secret_key;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;

    HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)token, strlen(token), digest,
         &digest_bytes);
    for (unsigned i = 0; i < 32; i++)
        snprintf(secret + 2 * i, 3, "%02x", digest[i]);
}

static bool refuse(struct serve_request *request, int http_status, const char *code,
                   const char *message)
{
    struct serve_auth_verdict *verdict = &request->verdict;

    *verdict = (struct serve_auth_verdict){.http_status = http_status, .code = code};
    snprintf(verdict->message, sizeof verdict->message, "%s", message);
    return false;
}

bool serve_express_admit(struct serve_request *request, struct serve_express_policy *out)
{
    const char *token = serve_request_header(request, "x-amz-s3session-token");
    size_t head_bytes = sizeof TOKEN_HEAD - 1;

    out->policy = request->serve->config->policy;
    out->policy.service = "s3express";
    if (!token)
        return true;
    if (strncmp(token, TOKEN_HEAD, head_bytes) != 0)
        return refuse(request, 400, "InvalidToken", "The provided token is malformed.");
    if (strtoll(token + head_bytes, NULL, 10) <= now_of(request))
        return refuse(request, 400, "ExpiredToken", "The provided session token has expired.");
    derive_secret(request, token, out->secret);
    out->policy.access_key = SESSION_KEY;
    out->policy.secret_key = out->secret;
    out->policy.session_token = NULL;
    return true;
}

enum MHD_Result serve_express_answer(struct serve_request *request)
{
    time_t until = now_of(request) + (time_t)request->serve->config->session_s;
    const char *mode = serve_request_header(request, "x-amz-create-session-mode");
    struct serve_text xml = {0};
    char token[64], secret[72], text[32];
    struct tm tm;

    if (serve_request_header(request, "x-amz-s3session-token") ||
        (mode && strcmp(mode, "ReadOnly") != 0 && strcmp(mode, "ReadWrite") != 0))
        return serve_reply_simple_error(request, 400, "InvalidRequest",
                                        "CreateSession is signed with the account's own keys, for "
                                        "ReadOnly or ReadWrite.");
    snprintf(token, sizeof token, TOKEN_HEAD "%lld,%llu", (long long)until,
             (unsigned long long)request->number);
    derive_secret(request, token, secret);
    gmtime_r(&until, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    serve_text_format(&xml,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CreateSessionResult "
                      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Credentials>"
                      "<SessionToken>%s</SessionToken><SecretAccessKey>%s</SecretAccessKey>"
                      "<AccessKeyId>" SESSION_KEY "</AccessKeyId><Expiration>%s</Expiration>"
                      "</Credentials></CreateSessionResult>",
                      token, secret, text);
    return serve_reply_xml(request, 200, &xml);
}
