/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_object.c - answers about an object: GetObject and HeadObject. */
#include "bench/serve_request.h"

#include "bench/serve_body.h"
#include "bench/serve_uri.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { RANGE_TEXT_BYTES = 80 };

#define NEW_ETAG "\"0123456789abcdef0123456789abcdef\""

/* The file behind a key. */
struct object {
    int fd;
    uint64_t size_bytes;
    char etag[SERVE_ETAG_LEN + 1];
    char modified[40];
};

/* Queries that ask for something else than the object's bytes. */
static const char *const unsupported[] = {"acl",      "attributes", "legal-hold", "partNumber",
                                          "restore",  "retention",  "tagging",    "torrent",
                                          "uploadId", "uploads",    "versionId"};

static enum MHD_Result answer_missing(struct serve_request *request)
{
    struct serve_error error = {.http_status = 404,
                                .code = "NoSuchKey",
                                .message = "The specified key does not exist.",
                                .element = "Key",
                                .text = request->key,
                                .text_len_bytes = request->key_len_bytes};

    if (errno == EACCES)
        return serve_reply_simple_error(request, 403, "AccessDenied", "Access Denied");
    if (errno == EMFILE || errno == ENFILE)
        return serve_reply_simple_error(request, 503, "SlowDown",
                                        "The server is out of file descriptors.");
    return serve_reply_error(request, &error);
}

static bool open_object(const struct serve_request *request, struct object *object)
{
    struct stat st;
    struct tm tm;

    object->fd =
        serve_store_open_key(request->bucket_fd, request->key, request->key_len_bytes, &st);
    if (object->fd < 0)
        return false;
    object->size_bytes = (uint64_t)st.st_size;
    serve_store_etag(object->size_bytes, serve_store_mtime_ns(&st), st.st_ino, object->etag);
    gmtime_r(&st.st_mtim.tv_sec, &tm);
    strftime(object->modified, sizeof object->modified, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return true;
}

static enum MHD_Result answer_changed(struct serve_request *request)
{
    static const char condition[] = "If-Match";
    struct serve_error error = {.http_status = 412,
                                .code = "PreconditionFailed",
                                .message =
                                    "At least one of the pre-conditions you specified did not hold",
                                .element = "Condition",
                                .text = condition,
                                .text_len_bytes = sizeof condition - 1};

    return serve_reply_error(request, &error);
}

static enum MHD_Result answer_unsatisfiable(struct serve_request *request,
                                            const struct object *object, const char *range)
{
    char content_range[RANGE_TEXT_BYTES], xml[80];
    struct serve_error error = {.http_status = 416,
                                .code = "InvalidRange",
                                .message = "The requested range is not satisfiable",
                                .element = "RangeRequested",
                                .text = range,
                                .text_len_bytes = strlen(range),
                                .xml = xml,
                                .headers = {{"Content-Range", content_range}}};

    snprintf(content_range, sizeof content_range, "bytes */%" PRIu64, object->size_bytes);
    snprintf(xml, sizeof xml, "<ActualObjectSize>%" PRIu64 "</ActualObjectSize>",
             object->size_bytes);
    return serve_reply_error(request, &error);
}

/* As S3: asked for by header, and never with a range, be it the whole object's. */
static bool wants_checksum(const struct serve_request *request, bool partial)
{
    const char *mode = serve_request_header(request, "x-amz-checksum-mode");

    return request->serve->checksums && !partial && mode && strcasecmp(mode, "ENABLED") == 0;
}

/* Answers with the bytes of the range. Takes object->fd. */
static enum MHD_Result send_object(struct serve_request *request, const struct object *object,
                                   const struct serve_range *range, bool partial)
{
    struct serve_checksum sum;
    bool has_sum = wants_checksum(request, partial) &&
                   serve_checksum_of(request->serve->checksums, object->fd, object->etag, &sum);
    struct MHD_Response *response =
        serve_body_file(request, object->fd, range->first_bytes, range->len_bytes);
    bool shift = request->fault && request->fault->kind == SERVE_FAULT_BADRANGE;
    bool new_etag = request->fault && request->fault->kind == SERVE_FAULT_ETAG;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "ETag", new_etag ? NEW_ETAG : object->etag);
    MHD_add_response_header(response, "Last-Modified", object->modified);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    MHD_add_response_header(response, "Content-Type", "binary/octet-stream");
    if (has_sum) {
        MHD_add_response_header(response, sum.name, sum.text);
        MHD_add_response_header(response, "x-amz-checksum-type", "FULL_OBJECT");
    }
    if (partial) {
        char content_range[RANGE_TEXT_BYTES];
        uint64_t first_bytes = range->first_bytes + shift;

        snprintf(content_range, sizeof content_range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                 first_bytes, first_bytes + range->len_bytes - 1, object->size_bytes);
        MHD_add_response_header(response, "Content-Range", content_range);
    }
    return serve_reply(request, partial ? 206 : 200, response, range->len_bytes);
}

/* Answers when the conditions or the range rule the object's bytes out. Returns false when they do
 * not. */
static bool answer_without_body(struct serve_request *request, const struct object *object,
                                enum serve_range_rc range_rc, enum MHD_Result *result)
{
    const char *match = serve_request_header(request, "If-Match");
    const char *none_match = serve_request_header(request, "If-None-Match");

    if (match && !serve_etag_listed(match, object->etag))
        *result = answer_changed(request);
    else if (none_match && serve_etag_listed(none_match, object->etag))
        *result = serve_reply_empty(request, 304, "ETag", object->etag, "Last-Modified",
                                    object->modified, NULL);
    else if (range_rc == SERVE_RANGE_UNSATISFIABLE)
        *result = answer_unsatisfiable(request, object, serve_request_header(request, "Range"));
    else
        return false;
    return true;
}

static bool fault_is(const struct serve_request *request, enum serve_fault_kind kind)
{
    return request->fault && request->fault->kind == kind;
}

/* Answers, or sleeps, unless the object's bytes are due. Returns true when *result is what to
 * return. */
static bool answer_otherwise(struct serve_request *request, struct object *object,
                             enum serve_range_rc range_rc, enum MHD_Result *result)
{
    const struct serve_config *config = request->serve->config;
    const struct serve_fault *changed =
        serve_fault_changed(config->faults, config->fault_count, request->key);

    if (changed) {
        request->fault = changed;
        memcpy(object->etag, NEW_ETAG, sizeof object->etag);
    }
    if (answer_without_body(request, object, range_rc, result))
        return true;
    if (changed || strcmp(request->method, "GET") != 0)
        return false;
    *result = MHD_YES;
    if (!serve_request_pick_fault(request, SERVE_FAULT_OP_GET, request->key))
        return true;
    if (fault_is(request, SERVE_FAULT_STATUS)) {
        *result = serve_reply_fault_status(request);
        return true;
    }
    if (!fault_is(request, SERVE_FAULT_CHANGED))
        return false;
    memcpy(object->etag, NEW_ETAG, sizeof object->etag);
    return answer_without_body(request, object, range_rc, result);
}

static enum MHD_Result answer_get(struct serve_request *request)
{
    struct serve_range range;
    struct object object;
    enum serve_range_rc range_rc;
    enum MHD_Result result;

    if (!serve_request_open_bucket(request, &result))
        return result;
    if (!open_object(request, &object))
        return answer_missing(request);
    range_rc = serve_range_parse(serve_request_header(request, "Range"), object.size_bytes, &range);
    if (answer_otherwise(request, &object, range_rc, &result)) {
        close(object.fd);
        return result;
    }
    if (fault_is(request, SERVE_FAULT_FULL))
        range_rc = serve_range_parse(NULL, object.size_bytes, &range);
    return send_object(request, &object, &range, range_rc == SERVE_RANGE_OK);
}

enum MHD_Result serve_answer_object(struct serve_request *request)
{
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (serve_request_has(request, unsupported[i]))
            return serve_reply_simple_error(request, 501, "NotImplemented",
                                            "This server has objects' bytes only: no versions, "
                                            "parts, tags or access lists.");
    if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        return answer_get(request);
    if (strcmp(request->method, "PUT") == 0)
        return serve_answer_put(request);
    if (strcmp(request->method, "DELETE") == 0)
        return serve_answer_delete(request);
    return serve_answer_method_not_allowed(request, "GET, HEAD, PUT, DELETE");
}
