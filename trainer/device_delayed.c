/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_delayed.c - the delayed device, for tests: the cpu device's arithmetic with the
 * ordering of a GPU at its most inconvenient.
 *
 * Each stream is a thread with a queue. A held stream starts its work as late as the rules allow:
 * when something waits for it. So a missing wait reads what was there before, every time and not
 * only when the timing is bad, and a host slot refilled before its copy was waited for is copied
 * with the new content. Under ThreadSanitizer both are data races besides.
 *
 * Threads: the caller's, and one per stream; `mutex` guards every field that they share. Work runs
 * without it.
 */
#include "trainer/device_delayed.h"

#include "trainer/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Queries of an event before its work is started: a loop that polls gets there in the end. */
#define QUERIES_BEFORE_START 3U

enum command_kind { COMMAND_COPY, COMMAND_ZERO, COMMAND_WAIT, COMMAND_STAMP, COMMAND_KERNEL };

struct copy_args {
    void *to;
    const void *from;
    size_t len_bytes;
};

struct kernel_args {
    enum tr_kernel kernel;
    size_t len_bytes;
    _Alignas(16) unsigned char bytes[TR_KERNEL_ARGS_BYTES_MAX];
};

/* A place in a stream: done when the stream has finished its first `number` commands. */
struct place {
    enum tr_stream stream;
    uint64_t number;
};

struct command {
    struct command *next;
    enum command_kind kind;
    union {
        struct copy_args copy;
        struct place wait;
        double *stamp_s;
        struct kernel_args kernel;
    } args;
};

struct stream {
    struct delayed *owner;
    pthread_t thread;
    struct command *head; /* written by the caller's thread and the stream's, as all below */
    struct command *tail;
    uint64_t given;  /* commands ever queued */
    uint64_t done;   /* commands finished */
    uint64_t wanted; /* commands that somebody waits for */
    bool held;
    bool started; /* the thread exists; caller's thread only */
};

struct tr_event {
    struct place place; /* caller's thread only */
    uint32_t queries;
    bool timed;
    double at_s; /* when a timed one was reached; the stream's thread writes it */
};

struct delayed {
    struct tr_device base; /* first: the table hands out a struct tr_device */
    struct tr_device *cpu;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closing;
    bool recording; /* caller's thread only, as the next two: a step's work */
    struct command *recorded;
    struct command *recorded_last;
    struct stream streams[TR_STREAM_COUNT];
};

static struct delayed *delayed_of(struct tr_device *device)
{
    return (struct delayed *)(void *)device;
}

/* --- stream threads ------------------------------------------------------------------------------
 */

static bool is_done(const struct delayed *d, struct place place)
{
    return d->streams[place.stream].done >= place.number;
}

static void want(struct delayed *d, struct place place)
{
    struct stream *s = &d->streams[place.stream];
    if (s->wanted < place.number) {
        s->wanted = place.number;
        pthread_cond_broadcast(&d->changed);
    }
}

static void wait_until_done(struct delayed *d, struct place place)
{
    want(d, place);
    while (!is_done(d, place))
        pthread_cond_wait(&d->changed, &d->mutex);
}

static void execute(struct delayed *d, const struct command *command)
{
    const struct tr_device_ops *cpu = d->cpu->ops;
    const struct copy_args *copy = &command->args.copy;
    const struct kernel_args *kernel = &command->args.kernel;
    switch (command->kind) {
    case COMMAND_COPY:
        cpu->upload(d->cpu, copy->to, copy->from, copy->len_bytes);
        break;
    case COMMAND_ZERO:
        cpu->zero(d->cpu, copy->to, copy->len_bytes);
        break;
    case COMMAND_KERNEL:
        cpu->launch(d->cpu, kernel->kernel, kernel->bytes, kernel->len_bytes);
        break;
    case COMMAND_STAMP:
        *command->args.stamp_s = tr_now_s();
        break;
    case COMMAND_WAIT:
        pthread_mutex_lock(&d->mutex);
        wait_until_done(d, command->args.wait);
        pthread_mutex_unlock(&d->mutex);
        break;
    }
}

static bool may_start(const struct stream *s)
{
    return s->head && (!s->held || s->wanted > s->done || s->owner->closing);
}

static void *stream_main(void *cookie)
{
    struct stream *s = cookie;
    struct delayed *d = s->owner;
    pthread_mutex_lock(&d->mutex);
    for (;;) {
        while (!may_start(s) && !(d->closing && !s->head))
            pthread_cond_wait(&d->changed, &d->mutex);
        struct command *command = s->head;
        if (!command)
            break;
        s->head = command->next;
        if (!s->head)
            s->tail = NULL;
        pthread_mutex_unlock(&d->mutex);
        execute(d, command);
        free(command);
        pthread_mutex_lock(&d->mutex);
        s->done++;
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

static void queue(struct delayed *d, enum tr_stream stream, struct command *command)
{
    struct stream *s = &d->streams[stream];
    pthread_mutex_lock(&d->mutex);
    if (s->tail)
        s->tail->next = command;
    else
        s->head = command;
    s->tail = command;
    s->given++;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
}

static int give(struct tr_device *device, enum tr_stream stream, const struct command *model)
{
    struct delayed *d = delayed_of(device);
    struct command *command = malloc(sizeof *command);
    if (!command) {
        snprintf(device->error, sizeof device->error, "no memory for a queued command");
        return -1;
    }
    *command = *model;
    command->next = NULL;
    if (!d->recording || stream != TR_STREAM_COMPUTE) {
        queue(d, stream, command);
        return 0;
    }
    if (d->recorded)
        d->recorded_last->next = command;
    else
        d->recorded = command;
    d->recorded_last = command;
    return 0;
}

/* --- open and close ------------------------------------------------------------------------------
 */

static void delayed_close(struct tr_device **device)
{
    struct delayed *d = *device ? delayed_of(*device) : NULL;
    if (!d)
        return;
    pthread_mutex_lock(&d->mutex);
    d->closing = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
    for (int i = 0; i < TR_STREAM_COUNT; i++) {
        if (d->streams[i].started)
            pthread_join(d->streams[i].thread, NULL);
    }
    tr_device_close(&d->cpu);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->mutex);
    free(d);
    *device = NULL;
}

static uint32_t delayed_count(void)
{
    return 1;
}

static int delayed_open(uint32_t number, struct tr_device **out, char *text, size_t text_bytes)
{
    static const char *const names[TR_STREAM_COUNT] = {"delayed-copy", "delayed-compute"};
    struct delayed *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        snprintf(text, text_bytes, "no memory");
    if (!d || tr_device_cpu.open(number, &d->cpu, text, text_bytes) < 0) {
        free(d);
        return -1;
    }
    d->base.ops = &tr_device_delayed;
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->streams[TR_STREAM_COPY].held = true;
    *out = &d->base;
    for (int i = 0; i < TR_STREAM_COUNT; i++) {
        struct stream *s = &d->streams[i];
        s->owner = d;
        s->started = pthread_create(&s->thread, NULL, stream_main, s) == 0;
        if (!s->started) {
            delayed_close(out);
            snprintf(text, text_bytes, "no thread for a stream");
            return -1;
        }
        pthread_setname_np(s->thread, names[i]);
    }
    snprintf(text, text_bytes, "for tests: copies as late as allowed");
    return 0;
}

/* --- memory and copies ---------------------------------------------------------------------------
 */

/* What a graph cannot hold is an error on a GPU, too. */
static int refuse_in_step(struct tr_device *device, const char *what)
{
    if (!delayed_of(device)->recording)
        return 0;
    snprintf(device->error, sizeof device->error, "%s in a step that is recorded", what);
    return -1;
}

static int delayed_alloc(struct tr_device *device, size_t len_bytes, void **out)
{
    struct delayed *d = delayed_of(device);
    if (refuse_in_step(device, "an allocation") < 0)
        return -1;
    device->counts.allocs++;
    device->counts.alloc_bytes += len_bytes;
    return d->cpu->ops->alloc(d->cpu, len_bytes, out);
}

static void delayed_dealloc(struct tr_device *device, void *memory)
{
    struct delayed *d = delayed_of(device);
    d->cpu->ops->dealloc(d->cpu, memory);
}

static int delayed_pin(struct tr_device *device, void *base, size_t len_bytes)
{
    (void)device;
    (void)base;
    (void)len_bytes;
    return 0;
}

static void delayed_unpin(struct tr_device *device, void *base, size_t len_bytes)
{
    (void)device;
    (void)base;
    (void)len_bytes;
}

static int delayed_upload(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    struct command command = {.kind = COMMAND_COPY, .args.copy = {to, from, len_bytes}};
    device->counts.uploads++;
    device->counts.uploaded_bytes += len_bytes;
    return give(device, TR_STREAM_COPY, &command);
}

static int delayed_download(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    struct command command = {.kind = COMMAND_COPY, .args.copy = {to, from, len_bytes}};
    return give(device, TR_STREAM_COMPUTE, &command);
}

static int delayed_zero(struct tr_device *device, void *memory, size_t len_bytes)
{
    struct command command = {.kind = COMMAND_ZERO, .args.copy = {memory, NULL, len_bytes}};
    return give(device, TR_STREAM_COMPUTE, &command);
}

/* --- events --------------------------------------------------------------------------------------
 */

static int delayed_event_new(struct tr_device *device, struct tr_event **out)
{
    *out = calloc(1, sizeof **out);
    if (*out)
        return 0;
    snprintf(device->error, sizeof device->error, "no memory for an event");
    return -1;
}

static int delayed_timer_new(struct tr_device *device, struct tr_event **out)
{
    if (delayed_event_new(device, out) < 0)
        return -1;
    (*out)->timed = true;
    return 0;
}

static void delayed_event_free(struct tr_device *device, struct tr_event *event)
{
    (void)device;
    free(event);
}

static int delayed_event_record(struct tr_device *device, struct tr_event *event,
                                enum tr_stream stream)
{
    struct delayed *d = delayed_of(device);
    const struct command stamp = {.kind = COMMAND_STAMP, .args.stamp_s = &event->at_s};
    if (refuse_in_step(device, "an event") < 0)
        return -1;
    if (event->timed && give(device, stream, &stamp) < 0)
        return -1;
    pthread_mutex_lock(&d->mutex);
    event->place = (struct place){stream, d->streams[stream].given};
    pthread_mutex_unlock(&d->mutex);
    event->queries = 0;
    return 0;
}

static int delayed_event_query(struct tr_device *device, struct tr_event *event)
{
    struct delayed *d = delayed_of(device);
    pthread_mutex_lock(&d->mutex);
    if (++event->queries >= QUERIES_BEFORE_START)
        want(d, event->place);
    int done = is_done(d, event->place) ? 1 : 0;
    pthread_mutex_unlock(&d->mutex);
    return done;
}

static int delayed_event_wait(struct tr_device *device, struct tr_event *event)
{
    struct delayed *d = delayed_of(device);
    if (refuse_in_step(device, "a wait") < 0)
        return -1;
    pthread_mutex_lock(&d->mutex);
    if (!is_done(d, event->place))
        device->counts.host_waits++;
    wait_until_done(d, event->place);
    pthread_mutex_unlock(&d->mutex);
    return 0;
}

static int delayed_elapsed(struct tr_device *device, struct tr_event *from, struct tr_event *to,
                           double *seconds)
{
    struct delayed *d = delayed_of(device);
    pthread_mutex_lock(&d->mutex);
    bool both = is_done(d, from->place) && is_done(d, to->place);
    *seconds = both ? to->at_s - from->at_s : 0.0;
    pthread_mutex_unlock(&d->mutex);
    if (both)
        return 0;
    snprintf(device->error, sizeof device->error, "an event is asked for its time too early");
    return -1;
}

static int delayed_stream_wait(struct tr_device *device, enum tr_stream stream,
                               struct tr_event *event)
{
    struct command command = {.kind = COMMAND_WAIT, .args.wait = event->place};
    return give(device, stream, &command);
}

static void delayed_drain(struct tr_device *device)
{
    struct delayed *d = delayed_of(device);
    pthread_mutex_lock(&d->mutex);
    for (int i = 0; i < TR_STREAM_COUNT; i++)
        wait_until_done(d, (struct place){(enum tr_stream)i, d->streams[i].given});
    pthread_mutex_unlock(&d->mutex);
}

/* --- kernels -------------------------------------------------------------------------------------
 */

static int delayed_launch(struct tr_device *device, enum tr_kernel kernel, const void *args,
                          size_t args_bytes)
{
    struct command command = {.kind = COMMAND_KERNEL, .args.kernel = {kernel, args_bytes, {0}}};
    memcpy(command.args.kernel.bytes, args, args_bytes);
    return give(device, TR_STREAM_COMPUTE, &command);
}

static int delayed_step_begin(struct tr_device *device)
{
    delayed_of(device)->recording = true;
    return 0;
}

static int delayed_step_end(struct tr_device *device, uint32_t slot, bool launch)
{
    struct delayed *d = delayed_of(device);
    (void)slot;
    d->recording = false;
    while (d->recorded) {
        struct command *command = d->recorded;
        d->recorded = command->next;
        command->next = NULL;
        if (launch)
            queue(d, TR_STREAM_COMPUTE, command);
        else
            free(command);
    }
    return 0;
}

/* --- for tests -----------------------------------------------------------------------------------
 */

void tr_delayed_hold(struct tr_device *device, enum tr_stream stream, bool held)
{
    struct delayed *d = delayed_of(device);
    pthread_mutex_lock(&d->mutex);
    d->streams[stream].held = held;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
}

const struct tr_device_ops tr_device_delayed = {
    .abi = TR_DEVICE_ABI,
    .name = "delayed",
    .reads_host_memory = false,
    .block_floats = 128U * 1024U, /* as the cpu device: results are to be the same bits */
    .count = delayed_count,
    .open = delayed_open,
    .close = delayed_close,
    .alloc = delayed_alloc,
    .dealloc = delayed_dealloc,
    .pin = delayed_pin,
    .unpin = delayed_unpin,
    .upload = delayed_upload,
    .download = delayed_download,
    .zero = delayed_zero,
    .event_new = delayed_event_new,
    .timer_new = delayed_timer_new,
    .event_free = delayed_event_free,
    .event_record = delayed_event_record,
    .event_query = delayed_event_query,
    .event_wait = delayed_event_wait,
    .elapsed = delayed_elapsed,
    .stream_wait = delayed_stream_wait,
    .drain = delayed_drain,
    .launch = delayed_launch,
    .step_begin = delayed_step_begin,
    .step_end = delayed_step_end,
};
