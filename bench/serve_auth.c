/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_auth.c - verifies AWS Signature Version 4. */
#include "bench/serve_auth.h"

#include "bench/serve_uri.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { HEX_LEN = 2 * SHA256_DIGEST_LENGTH };

struct span {
    const char *bytes;
    size_t len_bytes;
};

/* The parts of an Authorization header. */
struct credential {
    struct span access_key;
    struct span scope; /* date/region/service/aws4_request */
    struct span date;
    struct span region;
    struct span service;
    struct span signed_headers; /* a;b;c */
    struct span signature;
};

static bool span_is(struct span span, const char *string)
{
    return strlen(string) == span.len_bytes && memcmp(span.bytes, string, span.len_bytes) == 0;
}

static bool refuse(struct serve_auth_verdict *verdict, int http_status, const char *code,
                   const char *message)
{
    verdict->http_status = http_status;
    verdict->code = code;
    snprintf(verdict->message, sizeof verdict->message, "%s", message);
    return false;
}

static const char *header_value(const struct serve_auth_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static bool two_digits(const char *text, int *number)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *number = (text[0] - '0') * 10 + (text[1] - '0');
    return true;
}

bool serve_auth_time(const char *amz_date, time_t *time)
{
    struct tm tm = {0};
    int century, year;

    if (strlen(amz_date) != 16 || amz_date[8] != 'T' || amz_date[15] != 'Z')
        return false;
    if (!two_digits(amz_date, &century) || !two_digits(amz_date + 2, &year) ||
        !two_digits(amz_date + 4, &tm.tm_mon) || !two_digits(amz_date + 6, &tm.tm_mday) ||
        !two_digits(amz_date + 9, &tm.tm_hour) || !two_digits(amz_date + 11, &tm.tm_min) ||
        !two_digits(amz_date + 13, &tm.tm_sec))
        return false;
    tm.tm_year = century * 100 + year - 1900;
    tm.tm_mon -= 1;
    *time = timegm(&tm);
    return true;
}

/* ---- the Authorization header ---- */

/* "Credential=AK/20130524/us-east-1/s3/aws4_request": the scope is the last four pieces, so that an
 * access key may hold a slash. */
static bool parse_scope(struct span value, struct credential *credential)
{
    struct span piece[4];
    size_t end = value.len_bytes;

    for (int i = 3; i >= 0; i--) {
        size_t start = end;
        while (start > 0 && value.bytes[start - 1] != '/')
            start--;
        if (start == 0)
            return false;
        piece[i] = (struct span){value.bytes + start, end - start};
        end = start - 1;
    }
    credential->access_key = (struct span){value.bytes, end};
    credential->scope = (struct span){piece[0].bytes, value.len_bytes - end - 1};
    credential->date = piece[0];
    credential->region = piece[1];
    credential->service = piece[2];
    return span_is(piece[3], "aws4_request");
}

static bool parse_authorization(const char *header, struct credential *credential)
{
    bool scope_seen = false;

    *credential = (struct credential){0};
    header += sizeof ALGORITHM - 1;
    while (*(header += strspn(header, " \t,"))) {
        size_t len_bytes = strcspn(header, ",");
        const char *equals = memchr(header, '=', len_bytes);
        struct span name, value;

        if (!equals)
            return false;
        name = (struct span){header, (size_t)(equals - header)};
        value = (struct span){equals + 1, len_bytes - name.len_bytes - 1};
        while (value.len_bytes > 0 && strchr(" \t", value.bytes[value.len_bytes - 1]))
            value.len_bytes--;
        if (span_is(name, "Credential"))
            scope_seen = parse_scope(value, credential);
        else if (span_is(name, "SignedHeaders"))
            credential->signed_headers = value;
        else if (span_is(name, "Signature"))
            credential->signature = value;
        else
            return false;
        header += len_bytes;
    }
    return scope_seen && credential->signed_headers.len_bytes > 0 &&
           credential->signature.len_bytes == HEX_LEN;
}

/* ---- the canonical request ---- */

static bool add_canonical_path(struct serve_text *out, const char *path, size_t len_bytes)
{
    char *decoded = malloc(len_bytes + 1);
    size_t decoded_len_bytes;
    bool ok = decoded && serve_uri_decode(path, len_bytes, false, decoded, &decoded_len_bytes);

    if (ok)
        serve_text_url(out, decoded, decoded_len_bytes, "/");
    free(decoded);
    return ok;
}

/* A query parameter, encoded anew. */
struct parameter {
    struct serve_text name;
    struct serve_text value;
};

static int compare_parameters(const void *a, const void *b)
{
    const struct parameter *left = a, *right = b;
    int order = strcmp(left->name.data, right->name.data);

    return order ? order : strcmp(left->value.data, right->value.data);
}

static bool recode(struct serve_text *out, const char *raw, size_t len_bytes)
{
    char *decoded = malloc(len_bytes + 1);
    size_t decoded_len_bytes;
    bool ok = decoded && serve_uri_decode(raw, len_bytes, true, decoded, &decoded_len_bytes);

    if (ok)
        serve_text_url(out, decoded, decoded_len_bytes, "");
    free(decoded);
    return ok && !out->failed;
}

static bool add_canonical_query(struct serve_text *out, const char *query)
{
    struct serve_uri_parameter raw;
    const char *cursor = query;
    struct parameter *sorted;
    size_t count = 0, n = 0;
    bool ok = true;

    while (serve_uri_next(&cursor, &raw))
        count++;
    sorted = calloc(count + 1, sizeof *sorted);
    if (!sorted)
        return false;
    for (cursor = query; ok && serve_uri_next(&cursor, &raw); n++)
        ok = recode(&sorted[n].name, raw.name, raw.name_len_bytes) &&
             recode(&sorted[n].value, raw.value, raw.value_len_bytes);
    if (ok)
        qsort(sorted, count, sizeof *sorted, compare_parameters);
    for (size_t i = 0; i < count; i++) {
        if (ok)
            serve_text_format(out, "%s%s=%s", i ? "&" : "", sorted[i].name.data,
                              sorted[i].value.data);
        serve_text_free(&sorted[i].name);
        serve_text_free(&sorted[i].value);
    }
    free(sorted);
    return ok;
}

/* A value without space at its ends, and with one space for each run inside. */
static void add_trimmed(struct serve_text *out, const char *value)
{
    bool space = false;

    value += strspn(value, " \t\r\n");
    for (; *value; value++) {
        if (strchr(" \t\r\n", *value)) {
            space = true;
            continue;
        }
        if (space)
            serve_text_str(out, " ");
        space = false;
        serve_text_add(out, value, 1);
    }
}

static void add_canonical_header(struct serve_text *out, const struct serve_auth_request *request,
                                 struct span name)
{
    bool first = true;

    serve_text_add(out, name.bytes, name.len_bytes);
    serve_text_str(out, ":");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct serve_auth_header *header = &request->headers[i];
        if (strlen(header->name) != name.len_bytes ||
            strncasecmp(header->name, name.bytes, name.len_bytes) != 0)
            continue;
        if (!first)
            serve_text_str(out, ",");
        first = false;
        add_trimmed(out, header->value);
    }
    serve_text_str(out, "\n");
}

/* Takes the next name off "a;b;c". */
static bool next_name(struct span *list, struct span *name)
{
    const char *semicolon;

    if (list->len_bytes == 0)
        return false;
    semicolon = memchr(list->bytes, ';', list->len_bytes);
    name->bytes = list->bytes;
    name->len_bytes = semicolon ? (size_t)(semicolon - list->bytes) : list->len_bytes;
    list->bytes += name->len_bytes + (semicolon ? 1 : 0);
    list->len_bytes -= name->len_bytes + (semicolon ? 1 : 0);
    return true;
}

static bool is_signed(struct span signed_headers, const char *name)
{
    struct span signed_name;

    while (next_name(&signed_headers, &signed_name))
        if (strlen(name) == signed_name.len_bytes &&
            strncasecmp(name, signed_name.bytes, signed_name.len_bytes) == 0)
            return true;
    return false;
}

/* The list must be lower case and ascending, without doubles, as the canonical form has it. */
static bool names_in_order(struct span signed_headers)
{
    struct span name, last = {"", 0};

    while (next_name(&signed_headers, &name)) {
        size_t common = name.len_bytes < last.len_bytes ? name.len_bytes : last.len_bytes;
        int order = memcmp(last.bytes, name.bytes, common);

        if (order > 0 || (order == 0 && last.len_bytes >= name.len_bytes))
            return false;
        for (size_t i = 0; i < name.len_bytes; i++)
            if (name.bytes[i] >= 'A' && name.bytes[i] <= 'Z')
                return false;
        last = name;
    }
    return true;
}

static bool build_canonical_request(struct serve_text *out,
                                    const struct serve_auth_request *request,
                                    struct span signed_headers, const char *payload_sha256)
{
    size_t path_len_bytes = strcspn(request->target, "?");
    const char *query = request->target + path_len_bytes;
    struct span names = signed_headers, name;

    serve_text_format(out, "%s\n", request->method);
    if (!add_canonical_path(out, request->target, path_len_bytes))
        return false;
    serve_text_str(out, "\n");
    if (!add_canonical_query(out, *query ? query + 1 : query))
        return false;
    serve_text_str(out, "\n");
    while (next_name(&names, &name))
        add_canonical_header(out, request, name);
    serve_text_str(out, "\n");
    serve_text_add(out, signed_headers.bytes, signed_headers.len_bytes);
    serve_text_format(out, "\n%s", payload_sha256);
    return !out->failed;
}

/* ---- the signature ---- */

static void to_hex(const unsigned char *bytes, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[HEX_LEN] = '\0';
}

static bool hmac(const void *key, size_t key_len_bytes, struct span data, unsigned char *out)
{
    unsigned int out_len_bytes;

    return HMAC(EVP_sha256(), key, (int)key_len_bytes, (const unsigned char *)data.bytes,
                data.len_bytes, out, &out_len_bytes) != NULL;
}

/* kSigning = HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request") */
static bool sign(const struct serve_auth_policy *policy, const struct credential *credential,
                 const struct serve_text *string_to_sign, char *signature)
{
    unsigned char key[SHA256_DIGEST_LENGTH];
    struct serve_text secret = {0};
    bool ok;

    serve_text_format(&secret, "AWS4%s", policy->secret_key);
    ok = !secret.failed && hmac(secret.data, secret.len_bytes, credential->date, key) &&
         hmac(key, sizeof key, credential->region, key) &&
         hmac(key, sizeof key, credential->service, key) &&
         hmac(key, sizeof key, (struct span){"aws4_request", 12}, key) &&
         hmac(key, sizeof key, (struct span){string_to_sign->data, string_to_sign->len_bytes}, key);
    if (secret.data)
        OPENSSL_cleanse(secret.data, secret.len_bytes);
    serve_text_free(&secret);
    if (ok)
        to_hex(key, signature);
    return ok;
}

static void build_string_to_sign(struct serve_text *out, const char *amz_date, struct span scope,
                                 const struct serve_text *canonical_request)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[HEX_LEN + 1];

    SHA256((const unsigned char *)canonical_request->data, canonical_request->len_bytes, digest);
    to_hex(digest, hex);
    serve_text_format(out, "%s\n%s\n%.*s\n%s", ALGORITHM, amz_date, (int)scope.len_bytes,
                      scope.bytes, hex);
}

/* ---- the rules ---- */

static bool check_credential(const struct serve_auth_policy *policy,
                             const struct serve_auth_request *request,
                             const struct credential *credential, const char *amz_date,
                             struct serve_auth_verdict *verdict)
{
    const char *token = header_value(request, "x-amz-security-token");
    char message[256];
    time_t signed_at;

    if (!amz_date || !serve_auth_time(amz_date, &signed_at))
        return refuse(verdict, 403, "AccessDenied",
                      "AWS authentication requires a valid x-amz-date header, as in "
                      "20130524T000000Z");
    if (!span_is(credential->access_key, policy->access_key))
        return refuse(verdict, 403, "InvalidAccessKeyId",
                      "The AWS Access Key Id you provided does not exist in our records.");
    if (!span_is(credential->region, policy->region) ||
        !span_is(credential->service, policy->service)) {
        snprintf(message, sizeof message,
                 "The authorization header is malformed; the scope '%.*s' is wrong; expecting "
                 "region '%s' and service '%s'",
                 (int)(credential->scope.len_bytes < 80 ? credential->scope.len_bytes : 80),
                 credential->scope.bytes, policy->region, policy->service);
        return refuse(verdict, 400, "AuthorizationHeaderMalformed", message);
    }
    if (credential->date.len_bytes != 8 || memcmp(credential->date.bytes, amz_date, 8) != 0)
        return refuse(verdict, 400, "AuthorizationHeaderMalformed",
                      "The authorization header is malformed; the credential's date is not that of "
                      "x-amz-date");
    if (labs((long)(request->now - signed_at)) > SERVE_AUTH_SKEW_S)
        return refuse(verdict, 403, "RequestTimeTooSkewed",
                      "The difference between the request time and the current time is too large.");
    if (!policy->session_token != !token || (token && strcmp(policy->session_token, "*") != 0 &&
                                             strcmp(token, policy->session_token) != 0))
        return refuse(verdict, 400, "InvalidToken",
                      token ? "The provided token is malformed or otherwise invalid."
                            : "This access key needs a session token in x-amz-security-token.");
    return true;
}

/* S3 wants host and every x-amz-* header under the signature. */
static bool check_signed_headers(const struct serve_auth_request *request,
                                 struct span signed_headers, struct serve_auth_verdict *verdict)
{
    char message[256];

    if (!names_in_order(signed_headers))
        return refuse(verdict, 400, "AuthorizationHeaderMalformed",
                      "SignedHeaders must be lower case, in ascending order, each name once");
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        bool must = strcasecmp(name, "host") == 0 || strncasecmp(name, "x-amz-", 6) == 0;

        if (!must || is_signed(signed_headers, name))
            continue;
        snprintf(message, sizeof message,
                 "There were headers present in the request which were not signed: %.100s", name);
        return refuse(verdict, 403, "AccessDenied", message);
    }
    return true;
}

static bool check(const struct serve_auth_policy *policy, const struct serve_auth_request *request,
                  struct serve_auth_verdict *verdict)
{
    const char *authorization = header_value(request, "authorization");
    const char *amz_date = header_value(request, "x-amz-date");
    struct credential credential;
    char expected[HEX_LEN + 1];
    const char *payload_sha256;

    verdict->payload_sha256 = header_value(request, "x-amz-content-sha256");
    if (!authorization)
        return policy->anonymous ||
               refuse(verdict, 403, "AccessDenied", "Access Denied: the request is not signed");
    if (strncmp(authorization, ALGORITHM " ", sizeof ALGORITHM) != 0)
        return refuse(verdict, 400, "InvalidRequest",
                      "The authorization mechanism you have provided is not supported. Please use "
                      "AWS4-HMAC-SHA256.");
    if (!parse_authorization(authorization, &credential))
        return refuse(verdict, 400, "AuthorizationHeaderMalformed",
                      "The authorization header that you provided is not valid.");
    if (!check_credential(policy, request, &credential, amz_date, verdict) ||
        !check_signed_headers(request, credential.signed_headers, verdict))
        return false;
    payload_sha256 = verdict->payload_sha256 ? verdict->payload_sha256 : request->payload_sha256;
    if (!payload_sha256)
        return refuse(verdict, 400, "InvalidRequest",
                      "Missing required header for this request: x-amz-content-sha256");

    if (!build_canonical_request(&verdict->canonical_request, request, credential.signed_headers,
                                 payload_sha256))
        return refuse(verdict, 400, "InvalidURI", "Couldn't parse the specified URI.");
    build_string_to_sign(&verdict->string_to_sign, amz_date, credential.scope,
                         &verdict->canonical_request);
    if (verdict->string_to_sign.failed ||
        !sign(policy, &credential, &verdict->string_to_sign, expected))
        return refuse(verdict, 500, "InternalError", "The server ran out of memory.");
    if (CRYPTO_memcmp(expected, credential.signature.bytes, HEX_LEN) != 0)
        return refuse(verdict, 403, "SignatureDoesNotMatch",
                      "The request signature we calculated does not match the signature you "
                      "provided. Check your key and signing method.");
    return true;
}

void serve_auth_check(const struct serve_auth_policy *policy,
                      const struct serve_auth_request *request, struct serve_auth_verdict *verdict)
{
    *verdict = (struct serve_auth_verdict){0};
    verdict->accepted = check(policy, request, verdict);
}

void serve_auth_verdict_free(struct serve_auth_verdict *verdict)
{
    serve_text_free(&verdict->canonical_request);
    serve_text_free(&verdict->string_to_sign);
}
