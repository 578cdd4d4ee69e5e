/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_route.c - from a request to the part of the server that answers it. */
#include "bench/serve_express.h"
#include "bench/serve_uri.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_MAX = 100 };

/* "bucket.localhost:9000" names a bucket; any other host is the service itself. Returns the length
 * of the bucket's name in `host`. */
static size_t bucket_in_host(const char *host)
{
    static const char suffix[] = ".localhost";
    size_t len_bytes = host ? strcspn(host, ":") : 0;
    size_t suffix_len_bytes = sizeof suffix - 1;

    if (len_bytes <= suffix_len_bytes ||
        strncasecmp(host + len_bytes - suffix_len_bytes, suffix, suffix_len_bytes) != 0)
        return 0;
    return len_bytes - suffix_len_bytes;
}

static bool take_bucket(struct serve_request *request, const char *name, size_t len_bytes)
{
    size_t decoded_len_bytes;

    return len_bytes <= SERVE_BUCKET_MAX &&
           serve_uri_decode(name, len_bytes, false, request->bucket, &decoded_len_bytes) &&
           !memchr(request->bucket, '\0', decoded_len_bytes);
}

static bool take_key(struct serve_request *request, const char *key, size_t len_bytes)
{
    char *decoded = malloc(len_bytes + 1);
    bool ok = decoded && serve_uri_decode(key, len_bytes, false, decoded, &request->key_len_bytes);

    request->key_too_long = ok && request->key_len_bytes > SERVE_KEY_MAX;
    if (request->key_too_long)
        request->key_len_bytes = 0;
    if (ok)
        memcpy(request->key, decoded, request->key_len_bytes);
    request->key[request->key_len_bytes] = '\0';
    free(decoded);
    return ok;
}

void serve_route_parse(struct serve_request *request)
{
    const char *host = serve_request_header(request, "Host");
    size_t host_bucket_len_bytes = bucket_in_host(host);
    size_t path_len_bytes = strcspn(request->target, "?");
    const char *path = request->target, *end = path + path_len_bytes;

    request->query = *end ? end + 1 : end;
    if (*path != '/') {
        request->uri_bad = true;
        return;
    }
    path++;
    if (host_bucket_len_bytes > 0) {
        request->uri_bad = !take_bucket(request, host, host_bucket_len_bytes);
    } else {
        size_t len_bytes = strcspn(path, "/?");

        request->uri_bad = !take_bucket(request, path, len_bytes);
        path += len_bytes + (path[len_bytes] == '/');
    }
    if (!request->uri_bad)
        request->uri_bad = !take_key(request, path, (size_t)(end - path));
}

struct header_list {
    struct serve_auth_header headers[HEADERS_MAX];
    size_t count;
};

static enum MHD_Result add_header(void *cookie, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct header_list *list = cookie;

    (void)kind;
    if (list->count == HEADERS_MAX)
        return MHD_NO;
    list->headers[list->count++] = (struct serve_auth_header){name, value ? value : ""};
    return MHD_YES;
}

void serve_route_check(struct serve_request *request)
{
    struct serve_express_policy express = {.policy = request->serve->config->policy};
    struct header_list list = {.count = 0};
    struct serve_auth_request auth = {.method = request->method,
                                      .target = request->target,
                                      .headers = list.headers,
                                      .now = time(NULL) + request->serve->config->clock_ahead_s};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_header, &list);
    auth.header_count = list.count;
    if (!serve_express_is_bucket(request->bucket) || serve_express_admit(request, &express))
        serve_auth_check(&express.policy, &auth, &request->verdict);
}

/* What S3 tells besides the code: what the server signed, or which clock was wrong. */
static void add_details(struct serve_request *request, struct serve_text *xml)
{
    const struct serve_auth_verdict *verdict = &request->verdict;
    const char *amz_date = serve_request_header(request, "x-amz-date");

    if (strcmp(verdict->code, "SignatureDoesNotMatch") == 0) {
        serve_text_str(xml, "<StringToSign>");
        serve_text_xml(xml, verdict->string_to_sign.data, verdict->string_to_sign.len_bytes);
        serve_text_str(xml, "</StringToSign><CanonicalRequest>");
        serve_text_xml(xml, verdict->canonical_request.data, verdict->canonical_request.len_bytes);
        serve_text_str(xml, "</CanonicalRequest>");
    }
    if (strcmp(verdict->code, "RequestTimeTooSkewed") == 0 && amz_date) {
        char server_time[32];
        time_t now = time(NULL) + request->serve->config->clock_ahead_s;
        struct tm tm;

        gmtime_r(&now, &tm);
        strftime(server_time, sizeof server_time, "%Y-%m-%dT%H:%M:%SZ", &tm);
        serve_text_str(xml, "<RequestTime>");
        serve_text_xml(xml, amz_date, strlen(amz_date));
        serve_text_format(xml,
                          "</RequestTime><ServerTime>%s</ServerTime>"
                          "<MaxAllowedSkewMilliseconds>%d</MaxAllowedSkewMilliseconds>",
                          server_time, SERVE_AUTH_SKEW_S * 1000);
    }
}

static enum MHD_Result answer_refused(struct serve_request *request)
{
    struct serve_text xml = {0};
    struct serve_error error = {.http_status = request->verdict.http_status,
                                .code = request->verdict.code,
                                .message = request->verdict.message};
    enum MHD_Result result;

    add_details(request, &xml);
    error.xml = xml.failed ? NULL : xml.data;
    result = serve_reply_error(request, &error);
    serve_text_free(&xml);
    return result;
}

bool serve_request_open_bucket(struct serve_request *request, enum MHD_Result *result)
{
    struct serve_error error = {.http_status = 404,
                                .code = "NoSuchBucket",
                                .message = "The specified bucket does not exist",
                                .element = "BucketName",
                                .text = request->bucket,
                                .text_len_bytes = strlen(request->bucket)};

    if (request->bucket_fd < 0)
        request->bucket_fd = serve_store_open_bucket(request->serve->root_fd, request->bucket);
    if (request->bucket_fd >= 0)
        return true;
    if (errno == EACCES)
        *result = serve_reply_simple_error(request, 403, "AccessDenied", "Access Denied");
    else if (errno == EMFILE || errno == ENFILE)
        *result = serve_reply_simple_error(request, 503, "SlowDown",
                                           "The server is out of file descriptors.");
    else
        *result = serve_reply_error(request, &error);
    return false;
}

enum MHD_Result serve_route_answer(struct serve_request *request)
{
    if (request->uri_bad)
        return serve_reply_simple_error(request, 400, "InvalidURI",
                                        "Couldn't parse the specified URI.");
    if (!request->verdict.accepted)
        return answer_refused(request);
    if (request->key_too_long)
        return serve_reply_simple_error(request, 400, "KeyTooLongError", "Your key is too long");
    if (request->bucket[0] == '\0')
        return serve_answer_service(request);
    if (request->key_len_bytes == 0)
        return serve_answer_bucket(request);
    return serve_answer_object(request);
}
