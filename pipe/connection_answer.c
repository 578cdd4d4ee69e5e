/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/connection_answer.c - the answer to a ranged GET: its head, its body, and how it ends. */
#include "pipe/clock.h"
#include "pipe/connection.h"
#include "pipe/text.h"
#include "pipe/verify.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* What is asked for before the head is known: the less, the less body is copied behind it. */
#define HEAD_STEP_BYTES 2048
#define INTERIM_MAX 16 /* 1xx answers before the real one */
#define TLS_STEP_BYTES ((size_t)256 << 10)

/* Reads the error document that came after the head, if one did. */
static void read_answer(struct ps_connection *c, bool has_head, struct ps_s3_answer *said)
{
    size_t body_bytes = has_head ? c->in_bytes - c->head.len_bytes : 0;
    char *body = c->in + (has_head ? c->head.len_bytes : 0);

    *said = (struct ps_s3_answer){.code = ""};
    if (!has_head)
        return;
    if (c->body == PS_BODY_ERROR && !c->head.chunked) /* else it was cut off among its chunks */
        ps_s3_xml_answer(body, body_bytes, said);
    if (!said->request_id[0])
        ps_text_copy(said->request_id, sizeof said->request_id, c->head.request_id);
    if (c->head.status < 300)
        return; /* nothing is to be learnt from a success: reading dates takes a while */
    if (!said->region[0])
        ps_text_copy(said->region, sizeof said->region, c->head.region);
    ps_text_copy(said->location, sizeof said->location, c->head.location);
    said->server_time = ps_retry_date(c->head.date);
    said->retry_after_ms = ps_retry_after_ms(c->head.retry_after, time(NULL));
}

/* Tells the I/O thread what the attempt came to. The connection is free or idle by now. */
static void report(struct ps_connection *c, bool has_head, enum ps_transfer transfer,
                   const char *why)
{
    struct ps_part *part = c->part;
    struct ps_s3_answer said;
    struct penstock_error error;
    struct ps_get_failure failure = {.body = has_head ? c->body : PS_BODY_ERROR,
                                     .transfer = transfer,
                                     .status = has_head ? c->head.status : 0,
                                     .said = &said,
                                     .sent = c->sent,
                                     .why = why,
                                     .remote_ip = c->address.text};

    if (transfer == PS_TRANSFER_RESET || transfer == PS_TRANSFER_STALL)
        ps_resolver_failed(c->all->io->stream->resolver, &c->address);
    read_answer(c, has_head, &said);
    struct ps_retry_decision decision = ps_get_decide(part, &failure, &error);
    bool was_hedge = c->is_hedge;
    bool goes_on = ps_hedge_goes_on(c, decision);

    c->part = NULL;
    if (goes_on && !was_hedge)
        ps_engine_log(c->all->io->stream, 1, "%s Its second request is under way.", error.message);
    if (goes_on)
        return;
    ps_io_part_ended(c->all->io, part, decision, &error);
}

static bool has_head(const struct ps_connection *c)
{
    return c->head.status != 0;
}

/* Nothing is under way on the socket any more: forget it, and say why. */
static void ended(struct ps_connection *c)
{
    bool stale = c->reused && c->in_bytes == 0 && c->transfer == PS_TRANSFER_RESET;
    struct ps_connection *heir = c->heir;

    c->heir = NULL;
    ps_connection_close(c);
    if (heir) {
        c->part = NULL;
        ps_hedge_take_over(heir);
        return;
    }
    if (!c->part)
        return;
    if (stale) {
        /* The server closed it while it was idle: no attempt was made. */
        ps_connection_open(c);
        return;
    }
    /* The last bytes may have come while the receive was ended. */
    bool whole = has_head(c) && c->body == PS_BODY_WANTED && ps_part_left_bytes(c->part) == 0;

    report(c, has_head(c), whole ? PS_TRANSFER_OK : c->transfer, c->why);
}

void ps_connection_end(struct ps_connection *c, enum ps_transfer transfer, const char *why)
{
    c->transfer = transfer;
    if (why != c->why)
        ps_text_copy(c->why, sizeof c->why, why);
    if (!c->receiving) {
        ended(c);
        return;
    }
    ps_connection_enter(c, PS_CONN_ENDING);
    shutdown(c->fd, SHUT_RDWR);
}

static void end_tls(struct ps_connection *c, enum ps_transfer transfer)
{
    char words[200];
    bool untrusted = SSL_get_verify_result(c->ssl) != X509_V_OK;

    ps_tls_explain(c->ssl, words, sizeof words);
    ps_connection_end(c, untrusted ? PS_TRANSFER_CERTIFICATE : transfer, words);
}

/* The answer is whole and the connection in good order: keep it if the server does. */
static void answered(struct ps_connection *c)
{
    bool good = true;

    if (c->state == PS_CONN_BODY) {
        uint64_t len_bytes = c->part->len_bytes - c->from_bytes;
        uint64_t now_ns = ps_now_ns();

        ps_hedge_saw_body(&c->all->hedge, len_bytes, now_ns - c->body_ns);
        good = ps_resolver_served(c->all->io->stream->resolver, &c->address, len_bytes,
                                  now_ns - c->asked_ns);
    }
    if (c->head.keep_alive && good) {
        ps_connection_watch(c, 0);
        c->reused = true;
        ps_connection_enter(c, PS_CONN_IDLE);
    } else {
        ps_connection_close(c);
    }
    report(c, true, PS_TRANSFER_OK, c->why);
}

/* ---- the answer ---- */

static void receive(struct ps_connection *c, uint8_t *into, size_t len_bytes, bool any)
{
    struct ps_reactor *reactor = c->all->io->reactor;

    c->into_ring = false;
    ps_connection_watch(c, 0);
    c->receive.fd = c->fd;
    c->receive.into = into;
    c->receive.len_bytes = len_bytes;
    c->receive.any = any;
    c->receiving = true;
    reactor->ops->receive(reactor, &c->receive);
}

/* Where the body's next bytes go, and how many of them. */
static size_t body_room(struct ps_connection *c, uint8_t **into)
{
    if (c->skip_bytes > 0) {
        *into = (uint8_t *)c->in;
        return c->skip_bytes < PS_ANSWER_BYTES ? c->skip_bytes : PS_ANSWER_BYTES;
    }
    *into = ps_part_into(c->part);
    return ps_part_left_bytes(c->part);
}

static void receive_body(struct ps_connection *c)
{
    uint8_t *into;
    size_t len_bytes = body_room(c, &into);

    receive(c, into, len_bytes, false);
    c->into_ring = c->skip_bytes == 0;
}

/* Of what reached the ring. */
static void count_copied(struct ps_connection *c, uint64_t more_bytes)
{
    if (more_bytes > 0)
        atomic_fetch_add_explicit(&c->part->channel->counts.bytes_copied, more_bytes,
                                  memory_order_relaxed);
}

static void took_body(struct ps_connection *c, size_t more_bytes)
{
    if (c->skip_bytes > 0)
        c->skip_bytes -= more_bytes;
    else
        ps_part_advance(c->part, more_bytes);
}

/* Whether the error document has come to its end. If it came in chunks they are joined. Bytes
 * behind it are dropped, and the connection with them: what follows them is no answer of ours. */
static bool error_body_is_whole(struct ps_connection *c)
{
    size_t came_bytes = c->in_bytes - c->head.len_bytes;
    size_t body_bytes = (size_t)c->head.content_length;
    size_t taken_bytes = body_bytes;

    if (c->head.chunked) {
        if (ps_http_unchunk(c->in + c->head.len_bytes, came_bytes, &body_bytes, &taken_bytes) !=
            PS_HTTP_OK)
            return false;
    } else if (c->head.content_length < 0 || came_bytes < taken_bytes) {
        return false;
    }
    c->head.chunked = false;
    c->head.keep_alive = c->head.keep_alive && taken_bytes == came_bytes;
    c->in_bytes = c->head.len_bytes + body_bytes;
    return true;
}

/* The body is not what was asked for. Read it while it is short, for what it says. */
static void go_error_body(struct ps_connection *c)
{
    if (c->body == PS_BODY_ERROR && error_body_is_whole(c)) {
        answered(c);
        return;
    }
    if (c->body != PS_BODY_ERROR || c->in_bytes == PS_ANSWER_BYTES) {
        ps_connection_end(c, PS_TRANSFER_OK, c->why);
        return;
    }
    ps_connection_enter(c, PS_CONN_ERROR_BODY);
    if (!c->ssl)
        receive(c, (uint8_t *)c->in + c->in_bytes, PS_ANSWER_BYTES - c->in_bytes, true);
}

/* The head has come, perhaps with a first piece of the body behind it. */
static void on_head(struct ps_connection *c)
{
    struct ps_part *part = c->part;
    const struct ps_get_head head = {.status = c->head.status,
                                     .content_length = c->head.content_length,
                                     .has_range = c->head.has_range,
                                     .range = c->head.range,
                                     .etag = c->head.etag,
                                     .checksum = c->head.checksum};
    size_t more_bytes = c->in_bytes - c->head.len_bytes;

    c->body = ps_get_judge(part, c->from_bytes, &head, c->why, sizeof c->why);
    if (part->asks || c->head.status == 304) { /* no body follows, whatever the head says of it */
        c->head.content_length = 0;
        c->head.chunked = false;
    }
    if (c->body == PS_BODY_WANTED && (c->head.chunked || c->head.content_length < 0)) {
        ps_text_copy(c->why, sizeof c->why, "the answer's length is not known");
        c->body = PS_BODY_WRONG;
    }
    if (c->body != PS_BODY_WANTED) {
        go_error_body(c);
        return;
    }
    if (more_bytes > part->len_bytes - c->from_bytes) {
        ps_text_copy(c->why, sizeof c->why, "more bytes came than were announced");
        c->body = PS_BODY_WRONG;
        ps_connection_end(c, PS_TRANSFER_OK, c->why);
        return;
    }
    ps_verify_answer(part, c->head.status, &c->head.checksum);
    ps_hedge_saw_head(&c->all->hedge, ps_now_ns() - c->started_ns);
    if (c->is_hedge)
        ps_hedge_won(c);
    else
        ps_answer_begin_body(c);
}

void ps_answer_begin_body(struct ps_connection *c)
{
    struct ps_part *part = c->part;
    const char *more = c->in + c->head.len_bytes;
    size_t more_bytes = c->in_bytes - c->head.len_bytes;
    uint64_t skip_bytes = part->filled_bytes - c->from_bytes;
    size_t known_bytes = more_bytes < skip_bytes ? more_bytes : skip_bytes;

    ps_connection_enter(c, PS_CONN_BODY);
    c->body_ns = c->pace_ns = c->since_ns;
    c->pace_bytes = c->seen_bytes;
    c->skip_bytes = skip_bytes - known_bytes;
    if (more_bytes > known_bytes) {
        memcpy(ps_part_into(part), more + known_bytes, more_bytes - known_bytes);
        count_copied(c, more_bytes - known_bytes);
        ps_part_advance(part, more_bytes - known_bytes);
    }
    if (ps_part_left_bytes(part) > 0) {
        if (!c->ssl)
            receive_body(c);
    } else if (c->skip_bytes > 0) {
        ps_connection_end(c, PS_TRANSFER_OK, ""); /* the other one brought all of it after all */
    } else {
        answered(c);
    }
}

/* More of the head is in c->in. */
static void parse_head(struct ps_connection *c)
{
    switch (ps_http_head_parse(c->in, c->in_bytes, &c->in_scanned, &c->head)) {
    case PS_HTTP_OK:
        if (c->head.status >= 200) {
            on_head(c);
            return;
        }
        if (++c->interim_count > INTERIM_MAX) {
            c->head.status = 0;
            ps_connection_end(c, PS_TRANSFER_BAD_ANSWER, "no end of interim answers came");
            return;
        }
        /* An interim answer, e.g. 100 Continue: the real one follows. */
        c->in_bytes -= c->head.len_bytes;
        memmove(c->in, c->in + c->head.len_bytes, c->in_bytes);
        c->in_scanned = 0;
        c->head.status = 0;
        if (c->in_bytes > 0) {
            parse_head(c);
            return;
        }
        break;
    case PS_HTTP_MORE:
        break;
    case PS_HTTP_BAD:
        c->head.status = 0; /* what had been read of it says nothing */
        ps_connection_end(c, PS_TRANSFER_BAD_ANSWER, "the answer is not HTTP/1.1");
        return;
    }
    if (!c->ssl)
        receive(c, (uint8_t *)c->in + c->in_bytes, HEAD_STEP_BYTES, true);
}

void ps_answer_progress(struct ps_receive *received, size_t more_bytes)
{
    struct ps_connection *c = received->cookie;

    c->got_bytes += more_bytes;
    /* What reaches the ring counts even when the connection is being ended. */
    if (c->into_ring ? c->part != NULL : c->state == PS_CONN_BODY)
        took_body(c, more_bytes);
    else if (c->state == PS_CONN_HEAD || c->state == PS_CONN_ERROR_BODY)
        c->in_bytes += more_bytes;
    c->since_ns = ps_now_ns();
}

void ps_answer_received(struct ps_receive *received, int result)
{
    struct ps_connection *c = received->cookie;

    c->receiving = false;
    if (c->state == PS_CONN_ENDING) {
        ended(c);
    } else if (result < 0 && c->state == PS_CONN_ERROR_BODY) {
        ps_connection_end(c, PS_TRANSFER_OK, c->why); /* the status counts, cut off as it may be */
    } else if (result == -ENODATA) {
        ps_connection_end(c, PS_TRANSFER_RESET, "the server closed the connection early");
    } else if (result < 0) {
        ps_connection_end(c, PS_TRANSFER_RESET, strerror(-result));
    } else if (c->state == PS_CONN_BODY && ps_part_left_bytes(c->part) > 0) {
        receive_body(c); /* all that had to be skipped is */
    } else if (c->state == PS_CONN_BODY) {
        answered(c);
    } else if (c->state == PS_CONN_HEAD) {
        parse_head(c);
    } else {
        go_error_body(c);
    }
}

/* ---- the same over TLS ---- */

void ps_connection_wait_tls(struct ps_connection *c, int failure)
{
    switch (failure) {
    case SSL_ERROR_WANT_READ:
        ps_connection_watch(c, PS_READABLE);
        return;
    case SSL_ERROR_WANT_WRITE:
        ps_connection_watch(c, PS_WRITABLE);
        return;
    default:
        break;
    }
    if (c->state == PS_CONN_HANDSHAKING ||
        (failure == SSL_ERROR_SSL &&
         ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING))
        ps_tls_forget_tickets(c->ssl);
    if (c->state == PS_CONN_ERROR_BODY) {
        ERR_clear_error();
        ps_connection_end(c, PS_TRANSFER_OK, c->why); /* the status counts, cut off as it may be */
        return;
    }
    switch (failure) {
    case SSL_ERROR_ZERO_RETURN:
        ps_connection_end(c, PS_TRANSFER_RESET, "the server closed the connection early");
        return;
    case SSL_ERROR_SYSCALL:
        ps_connection_end(c, PS_TRANSFER_RESET, "the connection was reset");
        return;
    default:
        end_tls(c, c->state == PS_CONN_HANDSHAKING ? PS_TRANSFER_TLS : PS_TRANSFER_RESET);
        return;
    }
}

/* Takes what there is of the body; one record brings 16 KiB at most, and whoever waits for bytes is
 * told of many at once. All the room is offered, for what lies behind the text of a record is
 * written there, too. Returns SSL_ERROR_NONE, or why there was no more. */
static int read_body_tls(struct ps_connection *c)
{
    uint8_t *into;
    size_t room = body_room(c, &into);
    uint64_t copied_bytes = c->reader->copied_bytes;
    size_t taken_bytes = 0, got_bytes;
    int failure = SSL_ERROR_NONE;

    while (taken_bytes < room && taken_bytes < TLS_STEP_BYTES &&
           (failure = ps_tls_read(c->reader, into + taken_bytes, room - taken_bytes, &got_bytes)) ==
               SSL_ERROR_NONE)
        taken_bytes += got_bytes;
    if (c->skip_bytes == 0)
        count_copied(c, c->reader->copied_bytes - copied_bytes);
    if (taken_bytes > 0) {
        c->since_ns = ps_now_ns();
        c->got_bytes += taken_bytes;
        took_body(c, taken_bytes);
    }
    return failure;
}

/* Reads what there is in the current state; the state may change, and the connection may end. */
void ps_answer_read_tls(struct ps_connection *c)
{
    ERR_clear_error();
    while (c->state == PS_CONN_HEAD || c->state == PS_CONN_BODY || c->state == PS_CONN_ERROR_BODY) {
        bool in_body = c->state == PS_CONN_BODY;
        size_t room = PS_ANSWER_BYTES - c->in_bytes;
        size_t step = c->state == PS_CONN_HEAD && room > HEAD_STEP_BYTES ? HEAD_STEP_BYTES : room;
        size_t got_bytes = 0;
        int failure =
            in_body ? read_body_tls(c)
                    : ps_tls_read(c->reader, (uint8_t *)c->in + c->in_bytes, step, &got_bytes);

        if (failure != SSL_ERROR_NONE) {
            ps_connection_wait_tls(c, failure);
            return;
        }
        if (in_body) {
            if (ps_part_left_bytes(c->part) == 0)
                answered(c);
            continue;
        }
        c->since_ns = ps_now_ns();
        c->got_bytes += got_bytes;
        c->in_bytes += got_bytes;
        if (c->state == PS_CONN_HEAD)
            parse_head(c);
        else
            go_error_body(c);
    }
}

void ps_answer_begin(struct ps_connection *c)
{
    c->in_bytes = c->in_scanned = 0;
    c->interim_count = 0;
    ps_connection_enter(c, PS_CONN_HEAD);
    if (c->ssl)
        ps_answer_read_tls(c);
    else
        receive(c, (uint8_t *)c->in, HEAD_STEP_BYTES, true);
}
