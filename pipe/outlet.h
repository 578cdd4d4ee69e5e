/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/outlet.h - spans into a pipe, by their pages instead of their bytes where that pays.
 *
 * What is put waits as a list of pieces until it is sent: short ones are written (copied), long
 * ones are vmspliced, which hands their pages to the pipe. Whoever reads may keep such pages for as
 * long as it likes (by splicing them on), so they are never written to again: before a span that
 * they belong to is released, the memory behind its addresses is replaced by fresh memory
 * (MADV_DONTNEED), a huge page at a time where the stream is long enough. Where vmsplice is refused
 * everything is written.
 *
 * Owner: the thread that reads the channel's spans; the outlet holds the spans put until they are
 * sent. Threads: one. Units: bytes.
 */
#ifndef PIPE_OUTLET_H
#define PIPE_OUTLET_H

#include "pipe/penstock.h"

enum {
    PS_OUTLET_PIECES = 192,
    PS_OUTLET_SPANS = 48,     /* held at most; fewer than a channel may have on loan */
    PS_OUTLET_OWN_BYTES = 16, /* of a piece that is not a span's */
};

struct ps_outlet_piece {
    const uint8_t *data; /* NULL: own */
    size_t from_bytes;   /* those before it are sent */
    size_t len_bytes;
    bool in_ring; /* may go by its pages */
    uint8_t own[PS_OUTLET_OWN_BYTES];
};

struct ps_outlet_span {
    const struct penstock_span *span;
    uint64_t end_bytes; /* sent_bytes when its last byte is sent */
};

struct ps_outlet {
    struct penstock *stream;
    int fd;
    bool may_splice;
    uint64_t sent_bytes; /* since ps_outlet_open; all counts go on over files */
    uint64_t put_bytes;

    struct ps_outlet_piece pieces[PS_OUTLET_PIECES];
    unsigned piece_first; /* counts up, as do the others */
    unsigned piece_next;
    struct ps_outlet_span spans[PS_OUTLET_SPANS];
    unsigned span_first;
    unsigned span_next;

    /* Addresses [run_from, sent_at) are sent, some of them by their pages. */
    bool spliced;
    const uint8_t *run_from; /* a page's start */
    const uint8_t *sent_at;  /* where the last byte of a span that was sent ends */
    uint64_t safe_bytes;     /* sent before the run began: their spans can go */
};

void ps_outlet_open(struct ps_outlet *outlet, struct penstock *stream, bool may_splice);

/* Sends go to `fd` from now on; a pipe, which should not block, is given room. */
void ps_outlet_into(struct ps_outlet *outlet, int fd);

/* No more can be put before some of it is sent. */
bool ps_outlet_is_full(const struct ps_outlet *outlet);

static inline uint64_t ps_outlet_pending_bytes(const struct ps_outlet *outlet)
{
    return outlet->put_bytes - outlet->sent_bytes;
}

/* Takes over the loan of the span; it is released when it is sent. Not when full. */
void ps_outlet_put(struct ps_outlet *outlet, const struct penstock_span *span);

/* Copies up to PS_OUTLET_OWN_BYTES. Not when full. */
void ps_outlet_put_bytes(struct ps_outlet *outlet, const void *bytes, size_t len_bytes);

/* Memory that stays the caller's, and as it is until it is sent. Not when full. */
void ps_outlet_put_memory(struct ps_outlet *outlet, const void *bytes, size_t len_bytes);

/* Sends what is pending but for the last `keep_bytes`. Returns 0, EAGAIN when the pipe is full,
 * EINTR, or another errno: EPIPE when nobody reads (SIGPIPE is the caller's to ignore). */
int ps_outlet_send(struct ps_outlet *outlet, uint64_t keep_bytes);

/* Drops what is not sent and gives every span back: before the file is closed, or after an error.
 */
void ps_outlet_settle(struct ps_outlet *outlet);

#endif
