/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pipe_reader.c - see pipe_reader.h.
 *
 * A FIFO that nobody has opened for writing yet reads as one whose writer is gone: read returns 0.
 * What tells them apart (pipe(7), and Linux's fs/pipe.c): poll says POLLHUP only if there was a
 * writer since we opened it, and read says EAGAIN only while there is one.
 */
#include "pipe/pipe_reader.h"

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/pipe_open.h"
#include "pipe/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define READ_BYTES_MAX ((uint64_t)1 << 20) /* as much as a pipe holds */
#define TELL_MS 30000
#define LOOK_MS 5 /* for a writer, which nothing tells of */

struct ps_pipe_reader {
    int wake_fd;
    atomic_bool waits_room;
    /* Guarded by the channel's lock, as is the size of the FIFO's object. */
    uint32_t skip_before;           /* epochs before it end as soon as their writer is there */
    const struct ps_object *object; /* being read, or the last one; NULL before the first */
    uint32_t epoch;                 /* of it */
    uint64_t object_pos;            /* where its first byte lies in the stream */
};

/* One FIFO under way; the thread's own. */
struct fifo {
    struct ps_channel *ch;
    struct ps_pipe_reader *reader;
    int fd;
    char path[PS_PATH_BYTES_MAX + 16];
    bool has_writer; /* or had one */
    uint64_t quiet_since_ns;
};

enum look { LOOK_ROOM, LOOK_NO_ROOM, LOOK_CUT, LOOK_OVER };

int ps_pipe_reader_open(struct ps_channel *ch, struct ps_pipe_reader **out,
                        struct penstock_error *error)
{
    struct ps_pipe_reader *reader = calloc(1, sizeof *reader);

    *out = NULL;
    if (!reader)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    reader->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (reader->wake_fd < 0) {
        int sys_errno = errno;

        free(reader);
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno,
                             "channel %s: cannot open an event descriptor", ch->name);
    }
    *out = reader;
    return PENSTOCK_OK;
}

void ps_pipe_reader_close(struct ps_pipe_reader *reader)
{
    if (!reader)
        return;
    close(reader->wake_fd);
    free(reader);
}

void ps_pipe_reader_wake(struct ps_pipe_reader *reader)
{
    const uint64_t one = 1;

    /* Full means that the thread has been woken and did not look yet. */
    (void)!write(reader->wake_fd, &one, sizeof one);
}

void ps_pipe_reader_room(struct ps_pipe_reader *reader)
{
    if (atomic_exchange(&reader->waits_room, false))
        ps_pipe_reader_wake(reader);
}

/* Lock held. The object's end is known from now on. */
static void end_object(struct ps_channel *ch)
{
    const struct ps_pipe_reader *reader = ch->pipe;

    if (reader->object->size_bytes == PS_SIZE_UNKNOWN)
        ps_plan_end_fifo(ch->plan, ch->head_pos - reader->object_pos);
    ps_channel_plan_grew(ch);
}

void ps_pipe_reader_skip(struct ps_channel *ch, uint32_t epoch)
{
    struct ps_pipe_reader *reader = ch->pipe;

    reader->skip_before = epoch + 1;
    if (reader->object && reader->epoch == epoch)
        end_object(ch);
    ps_pipe_reader_wake(reader);
}

/* The plan gets the FIFO as the one object of its epoch. */
static int begin_object(struct fifo *fifo, uint32_t epoch, struct penstock_error *error)
{
    struct ps_channel *ch = fifo->ch;
    struct ps_pipe_reader *reader = fifo->reader;
    const struct ps_cursor cursor = {.epoch = epoch};

    atomic_fetch_add_explicit(&ch->counts.get_requests, 1, memory_order_relaxed);
    pthread_mutex_lock(&ch->lock);
    int rc = ps_plan_add(ch->plan, 0, fifo->path, "", PS_SIZE_UNKNOWN);

    if (rc == PENSTOCK_OK) {
        ps_plan_at(ch->plan, &cursor, &reader->object);
        reader->epoch = epoch;
        reader->object_pos = ch->head_pos;
        if (epoch < reader->skip_before)
            end_object(ch);
        ps_channel_plan_grew(ch);
    }
    pthread_mutex_unlock(&ch->lock);
    return rc == PENSTOCK_OK ? rc : ps_fail(error, rc, "channel %s: out of memory", ch->name);
}

/* What is to be done next; *into and *room_bytes receive where bytes can go, and how many. */
static enum look look(struct fifo *fifo, uint8_t **into, size_t *room_bytes)
{
    struct ps_channel *ch = fifo->ch;
    enum look found = LOOK_ROOM;

    pthread_mutex_lock(&ch->lock);
    uint64_t most_bytes = ch->ring.size_bytes - (ch->head_pos - ch->released_pos);

    if (most_bytes > ps_ring_run_bytes(&ch->ring, ch->head_pos))
        most_bytes = ps_ring_run_bytes(&ch->ring, ch->head_pos);
    if (atomic_load(&ch->stream->stopping) || ch->decode_failed || ch->ended)
        found = LOOK_OVER;
    else if (fifo->reader->object->size_bytes != PS_SIZE_UNKNOWN)
        found = LOOK_CUT;
    else if (most_bytes == 0)
        found = LOOK_NO_ROOM;
    *room_bytes = (size_t)(most_bytes < READ_BYTES_MAX ? most_bytes : READ_BYTES_MAX);
    *into = ps_ring_at(&ch->ring, ch->head_pos);
    pthread_mutex_unlock(&ch->lock);
    return found;
}

/* Bytes lie after head: moves it over them, unless their epoch was cut short meanwhile. */
static void take_bytes(struct fifo *fifo, size_t len_bytes)
{
    struct ps_channel *ch = fifo->ch;

    fifo->has_writer = true;
    fifo->quiet_since_ns = ps_now_ns();
    pthread_mutex_lock(&ch->lock);
    if (fifo->reader->object->size_bytes == PS_SIZE_UNKNOWN) {
        atomic_fetch_add_explicit(&ch->counts.bytes_received, len_bytes, memory_order_relaxed);
        if (atomic_load_explicit(&ch->counts.first_byte_ns, memory_order_relaxed) == 0)
            atomic_store(&ch->counts.first_byte_ns, ps_now_ns() - ch->stream->opened_ns);
        ch->head_pos += len_bytes;
        ch->reserved_pos = ch->head_pos;
        if (ch->framer_waits_head)
            pthread_cond_signal(ch->head_wakes);
    }
    pthread_mutex_unlock(&ch->lock);
}

/* Whether a writer has come and gone. */
static bool is_hung_up(const struct fifo *fifo)
{
    struct pollfd state = {.fd = fifo->fd};

    return poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

static void wait_writer(const struct fifo *fifo)
{
    uint64_t before_ns = ps_now_ns();

    ps_pipe_poll(fifo->fd, fifo->reader->wake_fd, TELL_MS);
    uint64_t now_ns = ps_now_ns();

    if (now_ns - before_ns >= TELL_MS * PS_NS_PER_MS)
        ps_engine_log(fifo->ch->stream, 1, "channel %s: %s %s %s %llu s", fifo->ch->name,
                      fifo->has_writer ? "nothing has come through FIFO" : "nobody has opened FIFO",
                      fifo->path, fifo->has_writer ? "for" : "for writing, for",
                      (unsigned long long)((now_ns - fifo->quiet_since_ns) / PS_NS_PER_S));
}

static void wait_room(struct fifo *fifo)
{
    struct ps_pipe_reader *reader = fifo->reader;
    uint8_t *into;
    size_t room_bytes;

    /* Say so first, then look again: who makes room meanwhile either sees us waiting, or made it
     * before this second look. */
    atomic_store(&reader->waits_room, true);
    if (look(fifo, &into, &room_bytes) == LOOK_NO_ROOM)
        ps_pipe_poll(-1, reader->wake_fd, -1);
    atomic_store(&reader->waits_room, false);
    fifo->quiet_since_ns = ps_now_ns();
}

enum step { STEP_GO_ON, STEP_END, STEP_FAILED };

static enum step read_failed(const struct fifo *fifo, int sys_errno, struct penstock_error *error)
{
    pthread_mutex_lock(&fifo->ch->lock);
    uint64_t offset = fifo->ch->head_pos - fifo->reader->object_pos;

    pthread_mutex_unlock(&fifo->ch->lock);
    ps_fail_errno(error, ps_file_rc(sys_errno), sys_errno,
                  "channel %s: cannot read FIFO %s at byte %llu", fifo->ch->name, fifo->path,
                  (unsigned long long)offset);
    ps_error_object(error, NULL, fifo->path, offset);
    return STEP_FAILED;
}

/* Reads once into the ring, or waits for something to read. */
static enum step read_some(struct fifo *fifo, uint8_t *into, size_t room_bytes,
                           struct penstock_error *error)
{
    ssize_t got = read(fifo->fd, into, room_bytes);

    if (got > 0)
        take_bytes(fifo, (size_t)got);
    else if (got == 0 && fifo->has_writer)
        return STEP_END;
    else if (got == 0 && is_hung_up(fifo))
        fifo->has_writer = true; /* it may have come since we read: what it left is read now */
    else if (got < 0 && errno != EAGAIN && errno != EINTR)
        return read_failed(fifo, errno, error);
    else if (got == 0 || errno == EAGAIN) {
        fifo->has_writer = fifo->has_writer || got < 0;
        wait_writer(fifo);
    }
    return STEP_GO_ON;
}

/* The epoch is to end here. A writer that is still to come would miss us, and wait for ever. */
static enum step leave(struct fifo *fifo)
{
    uint8_t byte;

    if (fifo->has_writer || read(fifo->fd, &byte, 1) != 0 || is_hung_up(fifo))
        return STEP_END;
    ps_pipe_poll(-1, fifo->reader->wake_fd, LOOK_MS);
    return STEP_GO_ON;
}

static enum step read_fifo(struct fifo *fifo, struct penstock_error *error)
{
    enum step step = STEP_GO_ON;

    while (step == STEP_GO_ON) {
        uint8_t *into;
        size_t room_bytes;

        switch (look(fifo, &into, &room_bytes)) {
        case LOOK_ROOM:
            step = read_some(fifo, into, room_bytes, error);
            break;
        case LOOK_NO_ROOM:
            wait_room(fifo);
            break;
        case LOOK_CUT:
            step = leave(fifo);
            break;
        case LOOK_OVER:
            ps_fail(error, PENSTOCK_E_STOPPED, "channel %s: the stream was stopped",
                    fifo->ch->name);
            step = STEP_FAILED;
            break;
        }
    }
    return step;
}

/* One epoch, from the wait for its FIFO to its end. */
static int read_epoch(struct fifo *fifo, struct ps_pipe_watch *watch, uint32_t epoch,
                      struct penstock_error *error)
{
    struct ps_channel *ch = fifo->ch;
    int rc = ps_pipe_open(watch, epoch, fifo->path, sizeof fifo->path, &fifo->fd, error);

    if (rc != PENSTOCK_OK)
        return rc;
    fifo->has_writer = false;
    fifo->quiet_since_ns = ps_now_ns();
    rc = begin_object(fifo, epoch, error);
    if (rc == PENSTOCK_OK && read_fifo(fifo, error) == STEP_FAILED)
        rc = error->rc;
    close(fifo->fd);
    if (rc != PENSTOCK_OK)
        return rc;
    pthread_mutex_lock(&ch->lock);
    end_object(ch);
    pthread_mutex_unlock(&ch->lock);
    return PENSTOCK_OK;
}

/* Whoever waits for bytes of this FIFO, or for the next one, gets the error. */
static void fail(struct ps_channel *ch, const struct penstock_error *error)
{
    ps_plan_fail(ch->plan, error);
    ps_stream_fail(ch, error);
}

void *ps_pipe_reader_main(void *channel)
{
    struct ps_channel *ch = channel;
    struct fifo fifo = {.ch = ch, .reader = ch->pipe, .fd = -1};
    struct ps_pipe_watch watch;
    struct penstock_error error;
    uint32_t epochs = ch->config.epochs;
    int rc = PENSTOCK_OK;

    ps_pipe_watch_open(&watch, ch, ch->pipe->wake_fd);
    for (uint32_t epoch = 0; rc == PENSTOCK_OK && (epochs == 0 || epoch < epochs); epoch++)
        rc = read_epoch(&fifo, &watch, epoch, &error);
    if (rc != PENSTOCK_OK)
        fail(ch, &error);
    ps_pipe_watch_close(&watch);
    return NULL;
}
