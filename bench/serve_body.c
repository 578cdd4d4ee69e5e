/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_body.c - answer bodies, by sendfile where possible. */
#include "bench/serve_body.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What MHD asks for at a time: a few TLS records (16 KiB) per call. */
enum { BLOCK_BYTES = 256 * 1024 };

enum { TRICKLE_MS = 100, LINK_BYTES = 64 * 1024 };

struct body {
    struct serve_request *request;
    struct serve_link *link; /* NULL: no limit */
    int fd;                  /* -1: the bytes are in memory */
    char *data;              /* NULL: the bytes are in the file */
    uint64_t offset_bytes;
    uint64_t cut_at_bytes;   /* UINT64_MAX: nowhere */
    uint64_t stall_at_bytes; /* UINT64_MAX: nowhere, or it is over */
    uint64_t flip_at_bytes;  /* UINT64_MAX: nowhere */
    uint64_t trickle_bytes;  /* a second; 0: no limit */
    bool chunk_due;          /* a broken chunk size is to be sent */
    uint64_t slept_at_bytes; /* where the last pause of a trickle was */
    uint64_t booked_bytes;   /* of the body, on the link */
    uint64_t len_bytes;
};

/* Disconnecting a TCP socket sends RST at once (tcp(7), connect(2) on AF_UNSPEC). SO_LINGER would
 * not do: MHD shuts the connection down before it closes it, and the peer sees an orderly end. */
static void send_reset(struct serve_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    if (info)
        (void)connect(info->connect_fd, &nowhere, sizeof nowhere);
}

/* Books the next piece on the link. True when it has to wait: MHD asks again. */
static bool wait_for_link(struct body *body, uint64_t position_bytes)
{
    struct serve_request *request = body->request;
    uint64_t step_bytes = body->len_bytes - position_bytes;

    if (position_bytes < body->booked_bytes)
        return false;
    if (step_bytes > LINK_BYTES)
        step_bytes = LINK_BYTES;
    body->booked_bytes = position_bytes + step_bytes;
    uint32_t wait_ms = serve_link_take_ms(body->link, (size_t)step_bytes);

    return wait_ms > 0 && serve_delay_sleep(request->serve->delay, request->connection, wait_ms);
}

/* A tenth of a second's bytes, at least one. */
static uint64_t trickle_stop(const struct body *body, uint64_t position_bytes, uint64_t stop_bytes)
{
    uint64_t step_bytes = body->trickle_bytes * TRICKLE_MS / 1000;
    uint64_t next_bytes = position_bytes + (step_bytes > 0 ? step_bytes : 1);

    return next_bytes < stop_bytes ? next_bytes : stop_bytes;
}

/* Past MHD, which says nothing wrong: between two chunks none of its own bytes wait to be sent. */
static void send_bad_chunk(struct body *body)
{
    const struct serve_request *request = body->request;
    static const char bad[] = "zz\r\n";
    bool tls = request->serve->config->tls_cert != NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, tls ? MHD_CONNECTION_INFO_GNUTLS_SESSION
                                                         : MHD_CONNECTION_INFO_CONNECTION_FD);

    body->chunk_due = false;
    if (info && tls)
        (void)gnutls_record_send(info->tls_session, bad, sizeof bad - 1);
    else if (info)
        (void)send(info->connect_fd, bad, sizeof bad - 1, MSG_NOSIGNAL);
}

/* Asked for after a chunked body, whose length MHD does not know, and for what an `extra` adds. */
static ssize_t read_past_end(const struct body *body, char *out, size_t out_bytes)
{
    if (body->request->fault->kind != SERVE_FAULT_EXTRA)
        return MHD_CONTENT_READER_END_OF_STREAM;
    memset(out, 'x', out_bytes);
    return (ssize_t)out_bytes;
}

static ssize_t read_body(void *cookie, uint64_t position_bytes, char *out, size_t out_bytes)
{
    struct body *body = cookie;
    struct serve_request *request = body->request;
    uint64_t next_stop_bytes = body->cut_at_bytes;
    ssize_t n;

    if (position_bytes >= body->cut_at_bytes) {
        if (request->fault->kind == SERVE_FAULT_RESET)
            send_reset(request);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (position_bytes >= body->len_bytes)
        return read_past_end(body, out, out_bytes);
    if (next_stop_bytes > body->len_bytes)
        next_stop_bytes = body->len_bytes;
    if (body->chunk_due && position_bytes == 0)
        next_stop_bytes = body->len_bytes / 2 + 1;
    else if (body->chunk_due)
        send_bad_chunk(body);
    if (body->trickle_bytes > 0 && position_bytes > body->slept_at_bytes) {
        body->slept_at_bytes = position_bytes;
        if (serve_delay_sleep(request->serve->delay, request->connection, TRICKLE_MS))
            return 0;
    }
    if (position_bytes >= body->stall_at_bytes) {
        body->stall_at_bytes = UINT64_MAX;
        if (serve_delay_sleep(request->serve->delay, request->connection, request->fault->stall_ms))
            return 0;
    }
    if (body->trickle_bytes > 0)
        next_stop_bytes = trickle_stop(body, position_bytes, next_stop_bytes);
    if (body->link) {
        if (wait_for_link(body, position_bytes))
            return 0;
        if (body->booked_bytes < next_stop_bytes)
            next_stop_bytes = body->booked_bytes;
    }
    if (body->stall_at_bytes < next_stop_bytes)
        next_stop_bytes = body->stall_at_bytes;
    if (out_bytes > next_stop_bytes - position_bytes)
        out_bytes = (size_t)(next_stop_bytes - position_bytes);
    if (body->data) {
        memcpy(out, body->data + position_bytes, out_bytes);
        n = (ssize_t)out_bytes;
    } else {
        do {
            n = pread(body->fd, out, out_bytes, (off_t)(body->offset_bytes + position_bytes));
        } while (n < 0 && errno == EINTR);
    }
    if (n > 0 && body->flip_at_bytes >= position_bytes &&
        body->flip_at_bytes - position_bytes < (uint64_t)n)
        out[body->flip_at_bytes - position_bytes] ^= 1;
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_body(void *cookie)
{
    struct body *body = cookie;

    if (body->link)
        serve_link_leave(body->link);
    if (body->fd >= 0)
        close(body->fd);
    free(body->data);
    free(body);
}

static struct MHD_Response *make_reader(struct serve_request *request, struct body source,
                                        uint64_t len_bytes)
{
    struct body *body = malloc(sizeof *body);
    struct MHD_Response *response;
    uint64_t extra_bytes =
        request->fault && request->fault->kind == SERVE_FAULT_EXTRA ? request->fault->bytes : 0;

    source.chunk_due = request->fault && request->fault->kind == SERVE_FAULT_CHUNK;
    source.request = request;
    source.link = request->serve->link;
    source.len_bytes = len_bytes;
    source.cut_at_bytes = UINT64_MAX;
    source.stall_at_bytes = UINT64_MAX;
    source.flip_at_bytes = UINT64_MAX;
    if (request->fault && request->fault->kind == SERVE_FAULT_FLIP)
        source.flip_at_bytes = request->fault->bytes;
    if (request->fault &&
        (request->fault->kind == SERVE_FAULT_CUT || request->fault->kind == SERVE_FAULT_RESET))
        source.cut_at_bytes = request->fault->bytes;
    if (request->fault && request->fault->kind == SERVE_FAULT_STALL)
        source.stall_at_bytes = request->fault->bytes;
    if (request->fault && request->fault->kind == SERVE_FAULT_TRICKLE)
        source.trickle_bytes = request->fault->bytes;
    if (!body) {
        if (source.fd >= 0)
            close(source.fd);
        free(source.data);
        return NULL;
    }
    *body = source;
    if (body->link)
        serve_link_enter(body->link);
    response = MHD_create_response_from_callback(source.chunk_due ? MHD_SIZE_UNKNOWN
                                                                  : len_bytes + extra_bytes,
                                                 BLOCK_BYTES, read_body, body, free_body);
    if (!response)
        free_body(body);
    if (response && extra_bytes > 0) {
        char announced[24];

        snprintf(announced, sizeof announced, "%" PRIu64, len_bytes);
        MHD_set_response_options(response, MHD_RF_INSANITY_HEADER_CONTENT_LENGTH, MHD_RO_END);
        MHD_add_response_header(response, "Content-Length", announced);
    }
    return response;
}

static bool fault_needs_reader(const struct serve_request *request)
{
    if (request->serve->link)
        return true;
    return request->fault &&
           (request->fault->kind == SERVE_FAULT_CUT || request->fault->kind == SERVE_FAULT_RESET ||
            request->fault->kind == SERVE_FAULT_STALL || request->fault->kind == SERVE_FAULT_FLIP ||
            request->fault->kind == SERVE_FAULT_TRICKLE ||
            request->fault->kind == SERVE_FAULT_EXTRA || request->fault->kind == SERVE_FAULT_CHUNK);
}

struct MHD_Response *serve_body_file(struct serve_request *request, int fd, uint64_t offset_bytes,
                                     uint64_t len_bytes)
{
    struct MHD_Response *response;

    if (request->fault && request->fault->kind == SERVE_FAULT_SHORT)
        len_bytes -= request->fault->bytes < len_bytes ? request->fault->bytes : len_bytes;
    if (len_bytes == 0) {
        close(fd);
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (request->serve->config->tls_cert || fault_needs_reader(request))
        return make_reader(request, (struct body){.fd = fd, .offset_bytes = offset_bytes},
                           len_bytes);
    response = MHD_create_response_from_fd_at_offset64(len_bytes, fd, offset_bytes);
    if (!response)
        close(fd);
    return response;
}

struct MHD_Response *serve_body_memory(struct serve_request *request, char *data,
                                       uint64_t len_bytes)
{
    struct MHD_Response *response;

    if (fault_needs_reader(request) && len_bytes > 0)
        return make_reader(request, (struct body){.fd = -1, .data = data}, len_bytes);
    response = MHD_create_response_from_buffer((size_t)len_bytes, data, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(data);
    return response;
}
