/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/delivery.h - one channel's stream into its FIFOs, epoch after epoch, until told to stop.
 *
 * A reader opens <dir>/<channel>_<epoch>, reads to the end of file, and goes on with the next
 * number. It may close early (the rest of the epoch is dropped), open and close at once, or skip
 * epochs. End of file comes after a complete epoch only: when the stream breaks, the FIFO stays
 * open, without another byte, until ps_delivery_stop.
 *
 * Owner: the caller, for longer than the delivery runs. Threads: start, drain, stop and the fields
 *   above `thread` are the caller's; `told` and `log` are called on the delivery's thread.
 */
#ifndef PIPE_DELIVERY_H
#define PIPE_DELIVERY_H

#include "pipe/fifo.h"
#include "pipe/outlet.h"

#include <pthread.h>
#include <stdatomic.h>

enum ps_delivery_state {
    PS_DELIVERY_STARTING, /* no byte of the channel has come yet */
    PS_DELIVERY_READY,    /* the first ones have, or the first epoch is known to be empty */
    PS_DELIVERY_FAILED,   /* error says why; readers wait */
    PS_DELIVERY_DRAINED,  /* after ps_delivery_drain: no epoch is being read */
};

/* What of an epoch went into its FIFO. */
struct ps_epoch_report {
    uint64_t epoch;
    uint64_t objects; /* begun */
    uint64_t bytes;   /* sent */
    uint64_t records; /* of RecordIO, begun; else 0 */
    uint32_t crc32c;  /* of the bytes, if complete */
    bool complete;    /* to the end: not if the reader left before */
};

struct ps_delivery_config {
    struct penstock *stream;
    size_t channel_no; /* a channel of plain bytes, without end of epochs */
    const char *channel;
    const char *dir;
    bool wrap_recordio;  /* each object becomes one RecordIO record */
    bool count_recordio; /* the bytes are RecordIO: count its records */
    bool write_status;   /* <channel>_<epoch>.status after each epoch */
    bool no_splice;      /* write only */
    uint32_t stall_s;    /* how long nothing moves before that is said; 0: 30 */
    void (*log)(void *cookie, int level, const char *line);
    void (*told)(void *cookie); /* the state has changed */
    void *cookie;
};

/* Counts the records of RecordIO bytes that come in any pieces. */
struct ps_record_count {
    uint8_t head[8];
    uint32_t head_bytes;
    uint64_t skip_bytes;
    uint64_t records;
};

enum ps_ahead { PS_AHEAD_NOTHING, PS_AHEAD_SPAN, PS_AHEAD_EPOCH_END };

struct ps_delivery {
    struct ps_delivery_config config;
    _Atomic int state; /* enum ps_delivery_state */
    atomic_bool draining;
    struct penstock_error error; /* set before the state is FAILED */
    bool started;
    int stop_fd; /* readable: stop */

    pthread_t thread; /* the thread's own from here on */
    struct ps_fifos fifos;
    struct ps_outlet outlet;
    uint64_t epoch; /* that the next span is of */
    enum ps_ahead ahead;
    const struct penstock_span *ahead_span;
    int fd; /* of the epoch being delivered, or -1 */
    struct ps_epoch_report report;
    struct ps_record_count count;
    uint8_t *body; /* of a record, gathered */
    size_t body_room_bytes;
    uint64_t begun_bytes; /* outlet.put_bytes when the epoch began */
    uint64_t begun_ns;
    bool looked_for_others;
    uint64_t waits_ns; /* since when nothing moves; 0: it moves */
    uint64_t told_ns;  /* when that was last said */
    uint64_t trickled_ns;
};

/* Makes the first FIFOs and starts the thread. */
int ps_delivery_start(struct ps_delivery *delivery, const struct ps_delivery_config *config,
                      struct penstock_error *error);

/* Finishes the epoch that is being read, if any, and begins no other. */
void ps_delivery_drain(struct ps_delivery *delivery);

/* Ends the thread, closes the FIFO being delivered and removes the others. The stream must have
 * been stopped (penstock_stop) before. */
void ps_delivery_stop(struct ps_delivery *delivery);

/* Writes <dir>/<channel>_<epoch>.status. */
int ps_delivery_write_status(const struct ps_delivery_config *config,
                             const struct ps_epoch_report *report, struct penstock_error *error);

void ps_record_count_add(struct ps_record_count *count, const uint8_t *data, size_t len_bytes);

#endif
