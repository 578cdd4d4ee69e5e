/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_reply.c - sends answers, and writes the log line of each. */
#include "bench/serve_request.h"

#include "bench/serve_body.h"
#include "bench/serve_uri.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned peer_port(const struct serve_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (!info || !info->client_addr)
        return 0;
    if (info->client_addr->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)info->client_addr)->sin_port);
}

/* A field of the log: fields end at a tab, lines at a newline, so neither may come from outside. */
static void add_field(struct serve_text *line, const char *value)
{
    if (!value || *value == '\0')
        value = "-";
    serve_text_str(line, "\t");
    for (; *value; value++)
        serve_text_add(line, (unsigned char)*value < ' ' ? "?" : value, 1);
}

/* One write for a line, so that lines of different threads do not mix. It is written before the
 * answer is sent: who has read the answer finds its line in the log. */
static void write_log(const struct serve_request *request, int http_status, uint64_t body_bytes)
{
    struct serve_text line = {0};
    struct timespec now;

    if (request->serve->config->log_fd < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    serve_text_format(&line, "%lld.%06ld", (long long)now.tv_sec, now.tv_nsec / 1000);
    add_field(&line, request->method);
    add_field(&line, request->target);
    add_field(&line, serve_request_header(request, "Range"));
    serve_text_format(&line, "\t%d\t%" PRIu64, http_status, body_bytes);
    add_field(&line, serve_request_header(request, "If-Match"));
    add_field(&line, request->fault ? serve_fault_name(request->fault->kind) : NULL);
    serve_text_format(&line, "\t%u\n", peer_port(request));
    if (!line.failed && write(request->serve->config->log_fd, line.data, line.len_bytes) < 0) {
        /* A full disk must not end the service; the missing line shows. */
    }
    serve_text_free(&line);
}

/* In place of libmicrohttpd's, which is right. */
static void add_date(struct MHD_Response *response, time_t now)
{
    char text[40];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    MHD_add_response_header(response, "Date", text);
}

enum MHD_Result serve_reply(struct serve_request *request, int http_status,
                            struct MHD_Response *response, uint64_t body_bytes)
{
    enum MHD_Result result;
    bool head = strcmp(request->method, "HEAD") == 0;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "x-amz-request-id", request->request_id);
    MHD_add_response_header(response, "Server", "penstock");
    if (request->serve->config->clock_ahead_s != 0)
        add_date(response, time(NULL) + request->serve->config->clock_ahead_s);
    write_log(request, http_status, head ? 0 : body_bytes);
    result = MHD_queue_response(request->connection, (unsigned)http_status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_xml_with(struct serve_request *request, int http_status,
                                      struct serve_text *text, const struct serve_header *headers,
                                      size_t header_count)
{
    struct MHD_Response *response;
    size_t len_bytes = text->len_bytes;

    if (text->failed) {
        serve_text_free(text);
        return MHD_NO;
    }
    response = serve_body_memory(request, text->data, len_bytes);
    *text = (struct serve_text){0};
    if (response)
        MHD_add_response_header(response, "Content-Type", "application/xml");
    for (size_t i = 0; response && i < header_count; i++)
        if (headers[i].name)
            MHD_add_response_header(response, headers[i].name, headers[i].value);
    return serve_reply(request, http_status, response, len_bytes);
}

enum MHD_Result serve_reply_xml(struct serve_request *request, int http_status,
                                struct serve_text *text)
{
    return reply_xml_with(request, http_status, text, NULL, 0);
}

enum MHD_Result serve_reply_error(struct serve_request *request, const struct serve_error *error)
{
    struct serve_text text = {0};

    serve_text_str(&text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>");
    serve_text_str(&text, error->code);
    serve_text_str(&text, "</Code><Message>");
    serve_text_xml(&text, error->message, strlen(error->message));
    serve_text_str(&text, "</Message>");
    if (error->element) {
        serve_text_format(&text, "<%s>", error->element);
        serve_text_xml(&text, error->text, error->text_len_bytes);
        serve_text_format(&text, "</%s>", error->element);
    }
    if (error->xml)
        serve_text_str(&text, error->xml);
    serve_text_format(&text, "<RequestId>%s</RequestId><HostId>penstock</HostId></Error>",
                      request->request_id);
    return reply_xml_with(request, error->http_status, &text, error->headers,
                          sizeof error->headers / sizeof *error->headers);
}

enum MHD_Result serve_reply_simple_error(struct serve_request *request, int http_status,
                                         const char *code, const char *message)
{
    struct serve_error error = {.http_status = http_status, .code = code, .message = message};

    return serve_reply_error(request, &error);
}

bool serve_request_pick_fault(struct serve_request *request, enum serve_fault_op op,
                              const char *key)
{
    const struct serve_config *config = request->serve->config;

    const struct serve_fault_subject subject = {
        op, key, serve_request_header(request, "Authorization"),
        serve_request_header(request, "x-amz-security-token")};

    if (request->delayed)
        return true;
    request->fault = serve_fault_pick(config->faults, config->fault_count, &subject);
    if (!request->fault || request->fault->kind != SERVE_FAULT_DELAY)
        return true;
    request->delayed = true;
    return !serve_delay_sleep(request->serve->delay, request->connection, request->fault->stall_ms);
}

enum MHD_Result serve_reply_fault_status(struct serve_request *request)
{
    const struct serve_fault *fault = request->fault;
    char retry_after_s[16];
    struct serve_error error = {.http_status = fault->http_status,
                                .code = fault->code,
                                .message = "A fault on purpose (--fault)."};
    struct serve_header *header = error.headers;

    snprintf(retry_after_s, sizeof retry_after_s, "%" PRIu32, fault->retry_after_s);
    if (fault->retry_after_s > 0)
        *header++ = (struct serve_header){"Retry-After", retry_after_s};
    if (*fault->location)
        *header++ = (struct serve_header){"Location", fault->location};
    if (*fault->region) {
        *header++ = (struct serve_header){"x-amz-bucket-region", fault->region};
        error.element = "Region";
        error.text = fault->region;
        error.text_len_bytes = strlen(fault->region);
    }
    return serve_reply_error(request, &error);
}

enum MHD_Result serve_answer_method_not_allowed(struct serve_request *request, const char *allow)
{
    struct serve_error error = {.http_status = 405,
                                .code = "MethodNotAllowed",
                                .message =
                                    "The specified method is not allowed against this resource.",
                                .element = "Method",
                                .text = request->method,
                                .text_len_bytes = strlen(request->method),
                                .headers = {{"Allow", allow}}};

    return serve_reply_error(request, &error);
}

enum MHD_Result serve_reply_empty(struct serve_request *request, int http_status, ...)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    const char *name;
    va_list headers;

    va_start(headers, http_status);
    while (response && (name = va_arg(headers, const char *)) != NULL)
        MHD_add_response_header(response, name, va_arg(headers, const char *));
    va_end(headers);
    return serve_reply(request, http_status, response, 0);
}

const char *serve_request_header(const struct serve_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static bool find_parameter(const struct serve_request *request, const char *name,
                           struct serve_uri_parameter *found)
{
    const char *cursor = request->query;
    size_t len_bytes = strlen(name);

    while (serve_uri_next(&cursor, found))
        if (found->name_len_bytes == len_bytes && memcmp(found->name, name, len_bytes) == 0)
            return true;
    return false;
}

bool serve_request_has(const struct serve_request *request, const char *name)
{
    struct serve_uri_parameter found;

    return find_parameter(request, name, &found);
}

bool serve_request_parameter(const struct serve_request *request, const char *name, char *out,
                             size_t out_bytes)
{
    struct serve_uri_parameter found;
    size_t len_bytes;
    char *decoded;
    bool ok;

    if (!find_parameter(request, name, &found))
        return false;
    decoded = malloc(found.value_len_bytes + 1);
    ok = decoded &&
         serve_uri_decode(found.value, found.value_len_bytes, true, decoded, &len_bytes) &&
         len_bytes < out_bytes && !memchr(decoded, '\0', len_bytes);
    if (ok)
        memcpy(out, decoded, len_bytes + 1);
    free(decoded);
    return ok;
}
