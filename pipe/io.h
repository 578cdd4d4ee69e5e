/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/io.h - an I/O thread: claims parts, has transports fill them, and tries again what failed.
 *
 * Owner: struct penstock. Threads: everything runs on the I/O thread itself, but for ps_io_start,
 * ps_io_join (the opening thread's) and ps_io_wake_hungry (any).
 */
#ifndef PIPE_IO_H
#define PIPE_IO_H

#include "pipe/engine.h"
#include "pipe/pace.h"
#include "pipe/retry.h"
#include "pipe/stream.h"

struct ps_transport;

/* How bytes get from one kind of source into the ring. One transport of each kind per I/O thread.
 */
struct ps_transport_ops {
    const char *name;
    int (*open)(struct ps_io *io, struct ps_transport **out, struct penstock_error *error);

    /* Drops what is under way, so that the reactor can be drained; NULL: close alone will do. */
    void (*cancel)(struct ps_transport *transport);
    void (*close)(struct ps_transport *transport); /* after the reactor was drained */

    /* Begins to receive what is left of the part; ends in ps_io_part_ended, perhaps before it
     * returns. At most pace.most parts are under way at once. */
    void (*start)(struct ps_transport *transport, struct ps_part *part);

    /* When `tick` wants to be called, as ps_now_ns counts; UINT64_MAX for never. NULL: never. */
    uint64_t (*deadline_ns)(const struct ps_transport *transport);
    void (*tick)(struct ps_transport *transport);
};

struct ps_transport {
    const struct ps_transport_ops *ops;
};

extern const struct ps_transport_ops ps_transport_direct;
extern const struct ps_transport_ops ps_transport_curl;
extern const struct ps_transport_ops ps_transport_file;

struct ps_io {
    struct penstock *stream;
    unsigned number;
    struct ps_reactor *reactor;
    struct ps_transport *s3; /* direct or curl; NULL without s3 sources */
    struct ps_transport *file;
    struct ps_pace pace;     /* how many parts, and how large */
    uint64_t received_bytes; /* by this thread */
    unsigned untold_rounds;  /* since channels were told what had come */
    uint32_t active;         /* parts claimed and not ended, those waiting for a retry included */
    struct ps_part *waiting; /* for their due_ns */
    size_t next_channel;     /* claims go round */
    uint64_t random;
    atomic_bool hungry; /* found nothing to claim; cleared by who wakes us */
    pthread_t thread;
    int started_rc; /* of opening reactor and transports */
    struct penstock_error started_error;
    bool started; /* guarded by start_lock, as is its condition */
    pthread_mutex_t start_lock;
    pthread_cond_t start_known;
};

/* Starts the thread and waits until its reactor and transports are open. */
int ps_io_start(struct penstock *stream, unsigned number, struct ps_io **out,
                struct penstock_error *error);

/* Waits for the thread's end (the stream is stopping) and frees it. Accepts NULL. */
void ps_io_join(struct ps_io *io);

/* Wakes the thread, hungry or not. Safe in signal handlers. */
void ps_io_wake(struct ps_io *io);

/* For transports: the attempt at the part under way has ended. On DONE all its bytes have been
 * advanced; on FATAL `error` says why; on AGAIN it says what to report should this have been the
 * last attempt, and the part is started again after a delay, from the byte reached. */
void ps_io_part_ended(struct ps_io *io, struct ps_part *part, struct ps_retry_decision decision,
                      const struct penstock_error *error);

#endif
