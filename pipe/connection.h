/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/connection.h - one HTTP/1.1 connection of the direct transport, which carries one part at a
 * time, though two may carry the same.
 *
 *   FREE -> RESOLVING -> CONNECTING -> (HANDSHAKING) -> SENDING -> HEAD -> BODY -> IDLE -> SENDING
 * ...
 *                                                                    \-> ERROR_BODY -/
 *
 * The body of an answer goes from the socket to its place in the ring: one copy by the kernel on
 * plain connections (and not a byte more but what came in one piece with the head), decryption on
 * TLS ones. While a receive is under way on a plain connection the kernel may write
 * to its memory, so a connection is only ever ended by shutting its socket down and waiting for the
 * receive's end.
 *
 * A part that is slow is asked for a second time on another connection, from the byte reached: a
 * hedge. The two race to the head of the second answer. Until it comes the first goes on, and may
 * finish. When it comes the hedge wins: the first connection is ended, its receive waited for, and
 * what it brought meanwhile is read from the hedge's body into scratch memory. So there is never
 * more than one that writes to the ring, and it writes where the other stopped.
 *
 * Files: connection.c opens, asks and keeps time; connection_answer.c reads the answer and tells
 * the I/O thread what came of it; connection_hedge.c runs the race.
 *
 * Owner: the transport. Threads: its I/O thread.
 */
#ifndef PIPE_CONNECTION_H
#define PIPE_CONNECTION_H

#include "pipe/get.h"
#include "pipe/hedge.h"
#include "pipe/http_head.h"
#include "pipe/io.h"
#include "pipe/resolver.h"
#include "pipe/tls.h"

#define PS_REQUEST_BYTES 28672 /* URL, headers, session token */
#define PS_ANSWER_BYTES 32768  /* a head, and the error document after it */

enum ps_connection_state {
    PS_CONN_FREE,
    PS_CONN_RESOLVING,
    PS_CONN_CONNECTING,
    PS_CONN_HANDSHAKING,
    PS_CONN_SENDING,
    PS_CONN_HEAD,
    PS_CONN_BODY,
    PS_CONN_ERROR_BODY,
    PS_CONN_IDLE,
    PS_CONN_TAKING, /* the answer's head won the race: the loser's receive has still to end */
    PS_CONN_ENDING, /* shut down; a receive has still to end */
};

struct ps_site_tls {
    const struct ps_s3_site *site;
    struct ps_tls tls;
};

/* What the connections of a transport share. */
struct ps_connections {
    struct ps_transport base; /* first: a transport is one */
    struct ps_io *io;
    struct ps_connection *items;
    uint32_t count;
    uint32_t used;    /* items that were ever used: the first ones */
    uint32_t spare;   /* of them, so many are for hedges */
    uint64_t tick_ns; /* when connections are looked over next; UINT64_MAX: none needs it */
    struct ps_hedge hedge;
    struct ps_site_tls *site_tls;
    size_t site_tls_count;
    struct ps_tls_staging *staging; /* NULL when no site speaks TLS */
    size_t site_tls_room;
    struct ps_sigv4_cache signing;
    struct ps_s3_request request; /* being built */
};

struct ps_connection {
    struct ps_watch watch;
    struct ps_receive receive;
    struct ps_connections *all;
    enum ps_connection_state state;
    bool receiving; /* the receive is under way */
    bool into_ring; /* to where the part's next byte goes */
    bool reused;    /* carried a part before: the server may have closed it meanwhile */
    bool is_hedge;  /* the second at its part: it may fail without a word */
    int fd;
    SSL *ssl;
    struct ps_tls_reader *reader; /* of ssl; from the first use on, as in and out are */
    const struct ps_s3_site *site;
    struct ps_s3_sent sent; /* the place stays the connection's */
    struct ps_address address;
    bool has_address; /* it was taken from the resolver and has to be given back */
    struct ps_part *part;
    struct ps_connection *rival; /* the other one that asked for the part */
    struct ps_connection *heir;  /* takes the part over when the receive under way has ended */
    uint64_t from_bytes;         /* the request asked for the part's bytes from here */
    uint64_t skip_bytes;         /* of the body that the ring has: they go to scratch memory */
    uint64_t started_ns;         /* the attempt's start, */
    uint64_t asked_ns;           /* when the request was begun to be sent, */
    uint64_t asked_bytes;        /* what the kernel had received when the request was sent, */
    uint64_t got_bytes;          /* what has been read since, */
    uint64_t body_ns;            /* and when the answer's head was there */
    uint64_t pace_ns;     /* since when the head is waited for, or the body's bytes counted */
    uint64_t pace_bytes;  /* for its pace, and what the kernel had received then */
    uint64_t since_ns;    /* of the state, or of the last sign of life while receiving */
    uint64_t seen_bytes;  /* what the kernel had received then */
    uint64_t floor_ns;    /* since when bytes are counted for the least rate, */
    uint64_t floor_bytes; /* and what had been received then */
    size_t out_bytes, out_sent;
    size_t in_bytes, in_scanned;
    unsigned interim_count;   /* 1xx answers to the request */
    struct ps_http_head head; /* status 0: not known yet */
    enum ps_get_body body;
    enum ps_transfer transfer; /* how it ended, while ENDING */
    char why[400];             /* two entity tags at most */
    char *out;                 /* PS_REQUEST_BYTES, from the first use on, as is */
    char *in;                  /* PS_ANSWER_BYTES */
};

/* Makes a zeroed connection FREE. */
void ps_connection_init(struct ps_connection *c, struct ps_connections *all);

/* Frees what a closed connection still holds. */
void ps_connection_free(struct ps_connection *c);

/* Fetches what is left of the part: over the connection as it is (IDLE, to the part's site), or
 * over a new one (FREE). Ends in ps_io_part_ended, perhaps before it returns. */
void ps_connection_start(struct ps_connection *c, struct ps_part *part);

/* Whether an IDLE connection can be used: nothing has come, not even its end. */
bool ps_connection_is_open(const struct ps_connection *c);

/* When ps_connection_look_over wants to be called; UINT64_MAX for never. */
uint64_t ps_connection_due_ns(const struct ps_connection *c, uint64_t now_ns);

/* Checks time limits. */
void ps_connection_look_over(struct ps_connection *c, uint64_t now_ns);

/* Drops the part without a word and ends what is under way. */
void ps_connection_cancel(struct ps_connection *c);

/* Closes the socket; nothing is under way on it. The connection is FREE. */
void ps_connection_close(struct ps_connection *c);

/* The connection to carry a part of the site: an idle one, else a free, else a fresh, else the
 * longest idle one, which is closed. A hedge wants another address than that of `rival`, if one is
 * idle. NULL when all are busy, which they never are but for hedges. */
struct ps_connection *ps_connection_choose(struct ps_connections *all,
                                           const struct ps_s3_site *site,
                                           const struct ps_connection *rival);

/* Asks for the part on a second connection if this one is slow and that can be afforded. Called
 * after ps_connection_look_over; if that came late, by `held_ns`, the time does not count. */
void ps_hedge_consider(struct ps_connection *c, uint64_t now_ns, uint64_t held_ns);

/* ---- between the files ---- */

void ps_connection_enter(struct ps_connection *c, enum ps_connection_state state);
void ps_connection_watch(struct ps_connection *c, unsigned wanted);

/* Makes a new connection for c->part. */
void ps_connection_open(struct ps_connection *c);

/* Ends the attempt and the connection; `why` is kept for the report. */
void ps_connection_end(struct ps_connection *c, enum ps_transfer transfer, const char *why);

/* Waits for what a TLS call wants, as SSL_get_error names it, or ends the connection. */
void ps_connection_wait_tls(struct ps_connection *c, int failure);

/* What the kernel has received on the socket: a receive under way does not tell. */
uint64_t ps_connection_received_bytes(const struct ps_connection *c);

/* The hedge's answer is what was asked for: it takes the part over, at once or once the other's
 * receive has ended. */
void ps_hedge_won(struct ps_connection *c);

/* The receive of the loser has ended. */
void ps_hedge_take_over(struct ps_connection *heir);

/* Ends the race for a connection whose attempt is over. True if the part goes on on the other one;
 * else *c is the only one left that has it. */
bool ps_hedge_goes_on(struct ps_connection *c, struct ps_retry_decision decision);

/* A hedge came to nothing: the part goes on without it. */
void ps_hedge_forget(struct ps_connection *c);

/* The head's body begins: the ring has the part's bytes up to part->filled_bytes. */
void ps_answer_begin_body(struct ps_connection *c);

/* The request is sent: reads the answer. */
void ps_answer_begin(struct ps_connection *c);

/* A TLS connection is readable, in one of the states of an answer. */
void ps_answer_read_tls(struct ps_connection *c);

/* The receive operation's callbacks. */
void ps_answer_progress(struct ps_receive *receive, size_t more_bytes);
void ps_answer_received(struct ps_receive *receive, int result);

#endif
