/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/delivery.c - see delivery.h. */
#include "pipe/delivery.h"

#include "formats/crc.h"
#include "formats/recordio.h"
#include "pipe/clock.h"
#include "pipe/error.h"
#include "pipe/thread.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Longest waits between two looks at what else may have happened. */
#define LOOK_MS 50
/* Between two looks for a reader: the first ones, and once nobody has come for a second. */
#define OPEN_MS 1
#define OPEN_SLOW_MS 10
/* Held back while the source is silent, and given out one byte at a time, so that readers with a
 * time-out (ml-io: 60 s) see that the stream is alive. */
#define RESERVE_BYTES 64
#define TRICKLE_NS (15 * PS_NS_PER_S)
#define STALL_S 30
#define PIDS_NAMED 4
#define BODY_BYTES_MIN ((size_t)1 << 20)
/* Epochs that take longer are looked at for readers that share them: it takes milliseconds. */
#define SHARED_AFTER_NS (200 * PS_NS_PER_MS)

enum step {
    STEP_ON,     /* go on */
    STEP_LEFT,   /* the reader has closed the FIFO */
    STEP_END,    /* the epoch is complete */
    STEP_STOP,   /* told to */
    STEP_FAILED, /* delivery->error */
};

static void say(struct ps_delivery *d, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct ps_delivery *d, int level, const char *format, ...)
{
    char line[2304];
    int begun = snprintf(line, sizeof line, "channel %s: ", d->config.channel);
    va_list args;

    va_start(args, format);
    vsnprintf(line + begun, sizeof line - (size_t)begun, format, args);
    va_end(args);
    d->config.log(d->config.cookie, level, line);
}

static void set_state(struct ps_delivery *d, enum ps_delivery_state state)
{
    atomic_store(&d->state, (int)state);
    d->config.told(d->config.cookie);
}

/* Waits until `fd` is ready for `events`, or has an error, or for timeout_ms. False: told to stop.
 */
static bool wait_for(const struct ps_delivery *d, int fd, short events, int timeout_ms)
{
    struct pollfd waits[2] = {{.fd = d->stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};

    poll(waits, 2, timeout_ms);
    return waits[0].revents == 0;
}

static bool reader_left(const struct ps_delivery *d)
{
    struct pollfd wait = {.fd = d->fd};

    return poll(&wait, 1, 0) > 0 && (wait.revents & POLLERR);
}

/* ---- what takes long ---- */

static void moved(struct ps_delivery *d)
{
    d->waits_ns = 0;
}

/* Whether to say now that nothing has moved: after 30 s, 60 s, 2 min and so on. */
static bool is_stalled(struct ps_delivery *d, uint64_t *waited_s)
{
    uint64_t stall_ns = (d->config.stall_s ? d->config.stall_s : STALL_S) * PS_NS_PER_S;
    uint64_t now_ns = ps_now_ns();

    if (d->waits_ns == 0)
        d->waits_ns = d->told_ns = now_ns;
    uint64_t said_after_ns = d->told_ns - d->waits_ns;

    if (now_ns - d->told_ns < (said_after_ns > stall_ns ? said_after_ns : stall_ns))
        return false;
    d->told_ns = now_ns;
    *waited_s = (now_ns - d->waits_ns) / PS_NS_PER_S;
    return true;
}

/* "process 12" or "processes 12, 13". Returns how many there are. */
static size_t name_readers(const struct ps_delivery *d, char *out, size_t size)
{
    int pids[PIDS_NAMED];
    size_t count = ps_fifo_readers(d->fd, pids, PIDS_NAMED);
    size_t len = (size_t)snprintf(out, size, "%s",
                                  count == 0   ? "a reader out of sight"
                                  : count == 1 ? "process"
                                               : "processes");

    for (size_t i = 0; i < count && i < PIDS_NAMED && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s %d", i > 0 ? "," : "", pids[i]);
    return count;
}

static void say_reader_stalls(struct ps_delivery *d)
{
    char readers[96];
    uint64_t waited_s;

    if (!is_stalled(d, &waited_s))
        return;
    name_readers(d, readers, sizeof readers);
    say(d, 1,
        "the stream waits for its reader: %s has not read from epoch %" PRIu64 " for %" PRIu64
        " s, at byte %" PRIu64,
        readers, d->report.epoch, waited_s, d->outlet.sent_bytes - d->begun_bytes);
}

static void say_source_stalls(struct ps_delivery *d)
{
    struct penstock_counters counters;
    uint64_t waited_s;

    if (!is_stalled(d, &waited_s))
        return;
    penstock_get_counters(d->config.stream, d->config.channel_no, &counters);
    say(d, 1,
        "waiting for the source: nothing has come for %" PRIu64 " s, after %" PRIu64
        " objects and %" PRIu64 " retries in all",
        waited_s, counters.objects_streamed, counters.retries);
}

/* ---- the stream's side ---- */

/* Looks at what comes next, if that is not known yet. STEP_ON: d->ahead, if it is not NOTHING. */
static enum step look_ahead(struct ps_delivery *d, int timeout_ms)
{
    if (d->ahead != PS_AHEAD_NOTHING)
        return STEP_ON;
    int rc = penstock_next_span(d->config.stream, d->config.channel_no, timeout_ms, &d->ahead_span);

    switch (rc) {
    case PENSTOCK_OK:
        d->ahead = PS_AHEAD_SPAN;
        return STEP_ON;
    case PENSTOCK_EPOCH_END:
        d->ahead = PS_AHEAD_EPOCH_END;
        return STEP_ON;
    case PENSTOCK_AGAIN:
        return STEP_ON;
    case PENSTOCK_END:
    case PENSTOCK_E_STOPPED:
        return STEP_STOP;
    default:
        d->error = *penstock_last_error(d->config.stream, d->config.channel_no);
        return STEP_FAILED;
    }
}

/* Passes over epochs up to `epoch`, delivered or not. */
static enum step move_to(struct ps_delivery *d, uint64_t epoch)
{
    int rc = PENSTOCK_OK;

    for (; d->epoch < epoch && rc == PENSTOCK_OK; d->epoch++) {
        if (d->ahead == PS_AHEAD_SPAN)
            penstock_release_span(d->config.stream, d->ahead_span);
        if (d->ahead != PS_AHEAD_EPOCH_END)
            rc = penstock_skip_epoch(d->config.stream, d->config.channel_no);
        d->ahead = PS_AHEAD_NOTHING;
    }
    if (rc == PENSTOCK_OK)
        return STEP_ON;
    d->error = *penstock_last_error(d->config.stream, d->config.channel_no);
    return rc == PENSTOCK_E_STOPPED ? STEP_STOP : STEP_FAILED;
}

/* ---- into the FIFO ---- */

static void count_bytes(struct ps_delivery *d, const void *data, size_t len_bytes)
{
    if (!d->config.write_status)
        return;
    d->report.crc32c = (uint32_t)fmt_crc(FMT_CRC32C, d->report.crc32c, data, len_bytes);
    if (d->config.count_recordio)
        ps_record_count_add(&d->count, data, len_bytes);
}

static void put_bytes(struct ps_delivery *d, const void *bytes, size_t len_bytes)
{
    ps_outlet_put_bytes(&d->outlet, bytes, len_bytes);
    count_bytes(d, bytes, len_bytes);
}

/* ---- an object as a record ---- */

static enum step begin_record(struct ps_delivery *d, const char *key, uint64_t body_bytes)
{
    uint32_t head[2] = {htole32(FMT_RECORDIO_MAGIC), htole32((uint32_t)body_bytes)};

    if (body_bytes > FMT_RECORDIO_BODY_BYTES_MAX) {
        ps_fail(&d->error, PENSTOCK_E_FORMAT,
                "channel %s: %s has %" PRIu64 " bytes or more, and a RecordIO record holds at most "
                "%u: deliver it without RecordWrapperType, or in smaller objects",
                d->config.channel, key, body_bytes, FMT_RECORDIO_BODY_BYTES_MAX);
        ps_error_object(&d->error, NULL, key, FMT_RECORDIO_BODY_BYTES_MAX);
        return STEP_FAILED;
    }
    put_bytes(d, head, sizeof head);
    d->count.records++;
    return STEP_ON;
}

static void end_record(struct ps_delivery *d, uint64_t body_bytes)
{
    static const uint8_t zeros[3];

    if (body_bytes % 4 != 0)
        put_bytes(d, zeros, 4 - body_bytes % 4);
}

/* Keeps the bytes of an object whose size is known at its end only: it was compressed. */
static enum step gather_body(struct ps_delivery *d, const struct penstock_span *span)
{
    uint64_t end = span->object_offset + span->len_bytes;

    if (end > FMT_RECORDIO_BODY_BYTES_MAX)
        return begin_record(d, span->key, end);
    if (end > d->body_room_bytes) {
        size_t room = end < BODY_BYTES_MIN ? BODY_BYTES_MIN : (size_t)end * 2;
        uint8_t *body = realloc(d->body, room);

        if (!body) {
            ps_fail(&d->error, PENSTOCK_E_MEMORY, "channel %s: no memory for a record of %s",
                    d->config.channel, span->key);
            return STEP_FAILED;
        }
        d->body = body;
        d->body_room_bytes = room;
    }
    memcpy(d->body + span->object_offset, span->data, span->len_bytes);
    return STEP_ON;
}

static enum step send_all(struct ps_delivery *d, uint64_t keep_bytes);

/* The next span of such an object; with its last one the record is sent. */
static enum step put_gathered(struct ps_delivery *d, const struct penstock_span *span)
{
    uint64_t body_bytes = span->object_offset + span->len_bytes;
    enum step step = gather_body(d, span);

    if (step == STEP_ON && span->ends_object)
        step = begin_record(d, span->key, body_bytes);
    bool ends = span->ends_object;

    penstock_release_span(d->config.stream, span);
    d->ahead = PS_AHEAD_NOTHING;
    if (step != STEP_ON || !ends)
        return step;
    count_bytes(d, d->body, (size_t)body_bytes);
    ps_outlet_put_memory(&d->outlet, d->body, (size_t)body_bytes);
    end_record(d, body_bytes);
    return send_all(d, 0); /* the memory is used again */
}

static enum step put_ahead(struct ps_delivery *d)
{
    const struct penstock_span *span = d->ahead_span;
    uint64_t end = span->object_offset + span->len_bytes;
    bool wraps = d->config.wrap_recordio;

    if (span->object_offset == 0)
        d->report.objects++;
    if (wraps && span->object_bytes == 0 && !(span->len_bytes == 0 && span->ends_object))
        return put_gathered(d, span);
    if (wraps && span->object_offset == 0 &&
        begin_record(d, span->key, span->object_bytes) != STEP_ON)
        return STEP_FAILED;
    count_bytes(d, span->data, span->len_bytes);
    bool ends = span->ends_object;

    ps_outlet_put(&d->outlet, span);
    d->ahead = PS_AHEAD_NOTHING;
    if (wraps && ends)
        end_record(d, end);
    return STEP_ON;
}

/* Sends what is pending, but for `keep_bytes`, however long that takes. */
static enum step send_all(struct ps_delivery *d, uint64_t keep_bytes)
{
    for (;;) {
        uint64_t before_bytes = d->outlet.sent_bytes;
        int sys_errno = ps_outlet_send(&d->outlet, keep_bytes);

        if (d->outlet.sent_bytes > before_bytes)
            moved(d);
        if (sys_errno == 0)
            return STEP_ON;
        if (sys_errno == EPIPE)
            return STEP_LEFT;
        if (sys_errno != EAGAIN && sys_errno != EINTR) {
            ps_fail_errno(&d->error, PENSTOCK_E_SYSTEM, sys_errno,
                          "channel %s: cannot write to the FIFO of epoch %" PRIu64,
                          d->config.channel, d->report.epoch);
            return STEP_FAILED;
        }
        say_reader_stalls(d);
        if (!wait_for(d, d->fd, POLLOUT, 1000))
            return STEP_STOP;
    }
}

/* Nothing is there to send: waits for the source. */
static enum step wait_source(struct ps_delivery *d)
{
    uint64_t pending_bytes = ps_outlet_pending_bytes(&d->outlet);
    uint64_t now_ns = ps_now_ns();

    if (reader_left(d))
        return STEP_LEFT;
    say_source_stalls(d);
    if (pending_bytes == 0 || now_ns - d->waits_ns < TRICKLE_NS ||
        now_ns - d->trickled_ns < TRICKLE_NS)
        return STEP_ON;
    uint64_t waits_ns = d->waits_ns; /* a byte of the reserve is no news of the source */
    enum step step = send_all(d, pending_bytes - 1);

    d->waits_ns = waits_ns;
    d->trickled_ns = now_ns;
    return step;
}

static enum step pump(struct ps_delivery *d)
{
    bool full = ps_outlet_is_full(&d->outlet);
    bool idle = ps_outlet_pending_bytes(&d->outlet) <= RESERVE_BYTES;
    enum step step = full ? STEP_ON : look_ahead(d, idle ? LOOK_MS : 0);

    if (step != STEP_ON)
        return step;
    if (full) /* of bytes, or of very small objects */
        return send_all(d, idle ? 0 : RESERVE_BYTES);
    switch (d->ahead) {
    case PS_AHEAD_SPAN:
        moved(d);
        return put_ahead(d);
    case PS_AHEAD_EPOCH_END:
        step = send_all(d, 0);
        return step == STEP_ON ? STEP_END : step;
    case PS_AHEAD_NOTHING:
        break;
    }
    return idle ? wait_source(d) : send_all(d, RESERVE_BYTES);
}

/* ---- epochs ---- */

/* Once in an epoch. */
static void warn_of_second_reader(struct ps_delivery *d)
{
    char readers[96];

    if (d->looked_for_others || ps_now_ns() - d->begun_ns < SHARED_AFTER_NS)
        return;
    d->looked_for_others = true;
    if (name_readers(d, readers, sizeof readers) > 1)
        say(d, 1,
            "%s have the FIFO of epoch %" PRIu64
            " open: if more than one reads, each byte reaches only one of them",
            readers, d->report.epoch);
}

static void begin_epoch(struct ps_delivery *d, uint64_t epoch)
{
    if (epoch > d->epoch)
        say(d, 0, "epoch %" PRIu64 " is opened: skipping %" PRIu64 " before it", epoch,
            epoch - d->epoch);
    d->report = (struct ps_epoch_report){.epoch = epoch};
    d->count = (struct ps_record_count){.records = 0};
    d->begun_bytes = d->outlet.put_bytes;
    ps_outlet_into(&d->outlet, d->fd);
    d->begun_ns = ps_now_ns();
    d->looked_for_others = false;
    moved(d);
}

/* The epoch's FIFO is done with, whatever became of it. */
static void report_epoch(struct ps_delivery *d, enum step step)
{
    struct penstock_error error;

    d->report.bytes = d->outlet.sent_bytes - d->begun_bytes;
    d->report.records = d->count.records;
    d->report.complete = step == STEP_END;
    if (step == STEP_LEFT)
        say(d, 0, "the reader of epoch %" PRIu64 " left after %" PRIu64 " bytes", d->report.epoch,
            d->report.bytes);
    if (d->config.write_status &&
        ps_delivery_write_status(&d->config, &d->report, &error) != PENSTOCK_OK)
        say(d, 1, "%s", error.message);
}

static enum step deliver_epoch(struct ps_delivery *d, uint64_t epoch)
{
    begin_epoch(d, epoch);
    enum step step = move_to(d, epoch);

    while (step == STEP_ON) {
        warn_of_second_reader(d);
        step = pump(d);
    }
    report_epoch(d, step);
    ps_outlet_settle(&d->outlet);
    if (step != STEP_END && step != STEP_LEFT)
        return step;
    close(d->fd);
    d->fd = -1;
    return move_to(d, epoch + 1);
}

/* Waits until a reader has opened a FIFO. */
static enum step wait_reader(struct ps_delivery *d, uint64_t *epoch)
{
    uint64_t waited_s;
    bool said = false;

    moved(d);
    for (;;) {
        int rc = ps_fifos_take(&d->fifos, &d->fd, epoch, &d->error);

        if (rc == PENSTOCK_OK)
            return STEP_ON;
        d->fd = -1;
        if (rc != PENSTOCK_AGAIN)
            return STEP_FAILED;
        if (atomic_load(&d->draining))
            return STEP_STOP;
        if (!said && is_stalled(d, &waited_s)) {
            say(d, 0, "nobody has opened %s%" PRIu64 " yet", d->fifos.stem, d->fifos.epoch);
            said = true;
        }
        bool fresh = ps_now_ns() - d->waits_ns < PS_NS_PER_S;

        if (!wait_for(d, -1, 0, fresh ? OPEN_MS : OPEN_SLOW_MS))
            return STEP_STOP;
    }
}

static enum step wait_first_byte(struct ps_delivery *d)
{
    enum step step = STEP_ON;

    while (step == STEP_ON && d->ahead == PS_AHEAD_NOTHING) {
        say_source_stalls(d);
        step = look_ahead(d, 1000);
    }
    return step;
}

static void *deliver(void *cookie)
{
    struct ps_delivery *d = cookie;
    uint64_t epoch;
    enum step step = wait_first_byte(d);

    if (step == STEP_ON)
        set_state(d, PS_DELIVERY_READY);
    while (step == STEP_ON) {
        step = wait_reader(d, &epoch);
        if (step == STEP_ON)
            step = deliver_epoch(d, epoch);
    }
    if (step == STEP_FAILED)
        set_state(d, PS_DELIVERY_FAILED);
    else if (atomic_load(&d->draining))
        set_state(d, PS_DELIVERY_DRAINED);
    /* A reader that is being let down hears nothing: no end of file. */
    while (wait_for(d, -1, 0, -1))
        continue;
    return NULL;
}

int ps_delivery_start(struct ps_delivery *d, const struct ps_delivery_config *config,
                      struct penstock_error *error)
{
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->fd = -1;
    ps_outlet_open(&d->outlet, config->stream, !config->no_splice);
    int rc = ps_fifos_open(&d->fifos, config->dir, config->channel, error);

    d->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (rc == PENSTOCK_OK && d->stop_fd < 0)
        rc = ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot make an eventfd");
    if (rc == PENSTOCK_OK)
        rc = ps_thread_start(&d->thread, config->channel, deliver, d, error);
    d->started = rc == PENSTOCK_OK;
    if (!d->started)
        ps_delivery_stop(d);
    return rc;
}

void ps_delivery_drain(struct ps_delivery *d)
{
    atomic_store(&d->draining, true);
}

void ps_delivery_stop(struct ps_delivery *d)
{
    uint64_t one = 1;

    if (d->started) {
        while (write(d->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
            continue;
        pthread_join(d->thread, NULL);
    }
    d->started = false;
    ps_outlet_settle(&d->outlet);
    free(d->body);
    d->body = NULL;
    if (d->fd >= 0)
        close(d->fd);
    if (d->stop_fd >= 0)
        close(d->stop_fd);
    d->fd = d->stop_fd = -1;
    ps_fifos_close(&d->fifos);
}
