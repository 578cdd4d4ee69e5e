/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/io.c - see io.h. */
#include "pipe/io.h"

#include "pipe/clock.h"
#include "pipe/config.h"
#include "pipe/error.h"
#include "pipe/get.h"
#include "pipe/thread.h"
#include "pipe/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rounds of events after which channels are told of bytes, however much there still is to do. */
#define UNTOLD_ROUNDS_MAX 32

/* A part turned away more often in a row waits as for a throttle, whatever becomes of others. */
#define LONE_THROTTLES_MAX 3

static uint64_t next_random(struct ps_io *io)
{
    /* xorshift64* (Vigna 2016): back-off needs spread, not secrecy. */
    io->random ^= io->random >> 12;
    io->random ^= io->random << 25;
    io->random ^= io->random >> 27;
    return io->random * UINT64_C(0x2545f4914f6cdd1d);
}

static struct ps_transport *transport_of(struct ps_io *io, const struct ps_part *part)
{
    const struct ps_source *source = &part->channel->sources[part->object->source_no];

    return source->uri.kind == PS_URI_S3 ? io->s3 : io->file;
}

static void start_part(struct ps_io *io, struct ps_part *part)
{
    struct ps_transport *transport = transport_of(io, part);

    if (part->attempts++ == 0)
        part->started_ns = ps_now_ns();
    part->attempt_from = part->filled_bytes;
    part->asked_ns = ps_now_ns();
    part->first_byte_ns = 0;
    part->meter = &io->received_bytes;
    atomic_fetch_add_explicit(part->asks ? &part->channel->counts.head_requests
                                         : &part->channel->counts.get_requests,
                              1, memory_order_relaxed);
    transport->ops->start(transport, part);
}

/* The connections are shared by the channels, a ring by the I/O threads. */
static uint64_t part_bytes(const struct ps_io *io, const struct ps_channel *ch)
{
    const struct penstock *stream = io->stream;

    return ps_pace_part_bytes(&io->pace, ch->ring.size_bytes * stream->channel_count /
                                             stream->config.io_threads);
}

/* A part of any channel, in turn. */
static struct ps_part *claim_any(struct ps_io *io)
{
    struct penstock *stream = io->stream;

    for (size_t i = 0; i < stream->channel_count; i++) {
        struct ps_channel *ch = stream->channels[io->next_channel];
        struct ps_part *part = ps_stream_claim(ch, part_bytes(io, ch));

        io->next_channel = (io->next_channel + 1) % stream->channel_count;
        if (part)
            return part;
    }
    return NULL;
}

static void start_new_parts(struct ps_io *io)
{
    atomic_store(&io->hungry, false);
    while (io->active < io->pace.limit) {
        struct ps_part *part = claim_any(io);

        if (!part) {
            ps_pace_starved(&io->pace);
            /* Say so first, then look again: who makes room meanwhile either sees us hungry, or
             * made it before this second look. */
            if (atomic_exchange(&io->hungry, true))
                return;
            continue;
        }
        atomic_store(&io->hungry, false);
        io->active++;
        start_part(io, part);
    }
}

static void start_due_parts(struct ps_io *io)
{
    struct ps_part **link = &io->waiting;
    uint64_t now_ns = ps_now_ns();

    while (*link) {
        struct ps_part *part = *link;

        if (part->due_ns > now_ns) {
            link = &part->next;
            continue;
        }
        *link = part->next;
        start_part(io, part);
    }
}

static void fail_part(struct ps_io *io, struct ps_part *part, const struct penstock_error *error)
{
    io->active--;
    ps_part_fail(part, error);
}

static struct ps_budget *budget_of(const struct ps_part *part)
{
    return part->channel->sources[part->object->source_no].site.budget;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* How long the part waits for its next attempt. */
static uint32_t retry_delay_ms(struct ps_io *io, const struct ps_part *part,
                               const struct ps_retry_decision *decision, bool brought_bytes)
{
    struct ps_budget *budget = budget_of(part);
    uint32_t budget_ms = ps_budget_take_ms(budget, brought_bytes, ps_now_ns());
    /* Some requests turned away among many that are served are no sign of a server in trouble. */
    bool throttled = decision->throttle &&
                     (part->vain_attempts > LONE_THROTTLES_MAX || ps_budget_is_strained(budget));
    uint32_t jitter_ms = ps_retry_delay_ms(part->vain_attempts, throttled, next_random(io));

    if (throttled)
        ps_pace_throttled(&io->pace, ps_now_ns());
    /* What came shows that the server works: the rest may be asked for at once. */
    if (decision->unpin || (brought_bytes && !decision->throttle))
        jitter_ms = 0;
    return most(most(jitter_ms, budget_ms), decision->wait_ms);
}

static void wait_until(struct ps_io *io, struct ps_part *part, uint64_t due_ns)
{
    part->due_ns = due_ns;
    part->next = io->waiting;
    io->waiting = part;
}

static void count_retry(struct ps_part *part, enum ps_retry_cause cause)
{
    atomic_fetch_add_explicit(&part->channel->counts.retries[cause], 1, memory_order_relaxed);
}

/* One wrong copy among all that were made on the way costs one more request, not the stream. */
static void fetch_again(struct ps_io *io, struct ps_part *part)
{
    struct ps_channel *ch = part->channel;

    count_retry(part, PS_CAUSE_OTHER);
    atomic_fetch_add_explicit(&ch->counts.refetched_bytes, part->len_bytes, memory_order_relaxed);
    ps_engine_log(
        io->stream, 1,
        "channel %s: s3://%s/%s came with bytes that do not have its checksum. Fetching it "
        "once more.",
        ch->name, ps_part_source(part)->uri.bucket, part->object->key);
    wait_until(io, part, ps_now_ns());
}

void ps_io_part_ended(struct ps_io *io, struct ps_part *part, struct ps_retry_decision decision,
                      const struct penstock_error *error)
{
    switch (decision.verdict) {
    case PS_RETRY_DONE:
        if (ps_verify_again(part)) {
            fetch_again(io, part);
            return;
        }
        io->active--;
        ps_budget_refund(budget_of(part), part->attempts > 1);
        if (part->first_byte_ns != 0)
            ps_pace_part(&io->pace, part->asked_ns, part->first_byte_ns, ps_now_ns(),
                         part->len_bytes - part->attempt_from);
        ps_histogram_add(&part->channel->counts.part_ns, ps_now_ns() - part->started_ns);
        ps_part_complete(part);
        return;
    case PS_RETRY_FATAL:
        fail_part(io, part, error);
        return;
    case PS_RETRY_AGAIN:
        break;
    }
    if (decision.learnt) {
        part->lessons++;
        count_retry(part, PS_CAUSE_OTHER);
        ps_engine_log(io->stream, 1, "%s Asking again with that corrected.", error->message);
        wait_until(io, part, ps_now_ns());
        return;
    }
    bool brought_bytes = part->filled_bytes > part->attempt_from;

    part->vain_attempts = brought_bytes ? 1 : part->vain_attempts + !decision.renewing;
    if (part->vain_attempts >= PS_ATTEMPTS_MAX && !decision.unpin) {
        fail_part(io, part, error);
        return;
    }
    part->unpinned = part->unpinned || decision.unpin;
    uint32_t delay_ms = retry_delay_ms(io, part, &decision, brought_bytes);

    count_retry(part, decision.renewing || decision.unpin ? PS_CAUSE_OTHER : decision.cause);
    ps_engine_log(io->stream, 1, "%s Trying again in %u ms.", error->message, delay_ms);
    wait_until(io, part, ps_now_ns() + delay_ms * PS_NS_PER_MS);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline_of(const struct ps_transport *transport)
{
    return transport && transport->ops->deadline_ns ? transport->ops->deadline_ns(transport)
                                                    : UINT64_MAX;
}

static int wait_ms(const struct ps_io *io)
{
    uint64_t deadline_ns = earliest(deadline_of(io->s3), deadline_of(io->file));
    uint64_t now_ns = ps_now_ns();

    for (const struct ps_part *part = io->waiting; part; part = part->next)
        deadline_ns = earliest(deadline_ns, part->due_ns);
    if (deadline_ns == UINT64_MAX)
        return -1;
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t wait = (deadline_ns - now_ns + PS_NS_PER_MS - 1) / PS_NS_PER_MS;

    return wait > 60000 ? 60000 : (int)wait;
}

static void tick(struct ps_transport *transport)
{
    if (deadline_of(transport) <= ps_now_ns())
        transport->ops->tick(transport);
}

static int open_transports(struct ps_io *io)
{
    int rc = ps_transport_file.open(io, &io->file, &io->started_error);

    if (rc == PENSTOCK_OK && io->stream->has_s3)
        rc = io->stream->s3_transport->open(io, &io->s3, &io->started_error);
    return rc;
}

static int open_io(struct ps_io *io)
{
    io->reactor = io->stream->reactor_ops->open();
    if (!io->reactor)
        return ps_fail_errno(&io->started_error, PENSTOCK_E_SYSTEM, errno,
                             "cannot open the %s I/O backend", io->stream->reactor_ops->name);
    return open_transports(io);
}

/* The reactor itself stays until the thread is joined: others may still wake it. */
static void close_transports(struct ps_io *io)
{
    if (io->s3 && io->s3->ops->cancel)
        io->s3->ops->cancel(io->s3);
    /* Reads and receives under way end here, and call back into their transports. */
    if (io->reactor)
        io->reactor->ops->drain(io->reactor);
    if (io->s3)
        io->s3->ops->close(io->s3);
    if (io->file)
        io->file->ops->close(io->file);
}

static void tell_started(struct ps_io *io, int rc)
{
    pthread_mutex_lock(&io->start_lock);
    io->started_rc = rc;
    io->started = true;
    pthread_cond_signal(&io->start_known);
    pthread_mutex_unlock(&io->start_lock);
}

/* No error names what was under way: the kernel refuses to tell of any of it. */
static void break_down(struct ps_io *io, int sys_errno)
{
    struct penstock *stream = io->stream;
    struct penstock_error error;

    for (size_t i = 0; i < stream->channel_count; i++) {
        ps_fail_errno(&error, PENSTOCK_E_SYSTEM, sys_errno,
                      "channel %s: I/O thread %u cannot wait for the %s backend any more",
                      stream->channels[i]->name, io->number, stream->reactor_ops->name);
        ps_stream_fail(stream->channels[i], &error);
    }
}

/* Tells the channels' threads of what they wait for. */
static void tell_all(struct ps_io *io)
{
    struct penstock *stream = io->stream;

    for (size_t i = 0; i < stream->channel_count; i++)
        ps_stream_tell(stream->channels[i]);
    io->untold_rounds = 0;
}

static bool owes_news(const struct ps_io *io)
{
    const struct penstock *stream = io->stream;

    for (size_t i = 0; i < stream->channel_count; i++)
        if (atomic_load_explicit(&stream->channels[i]->untold_bytes, memory_order_relaxed) > 0)
            return true;
    return false;
}

/* Waits for events. Before it sleeps it tells what has come; while there is more at hand, only now
 * and then, for the thread that is woken takes time from this one. */
static int wait_events(struct ps_io *io)
{
    const struct ps_reactor_ops *ops = io->reactor->ops;
    int timeout_ms = wait_ms(io);

    if (timeout_ms == 0 || !owes_news(io))
        return ops->wait(io->reactor, timeout_ms);
    if (++io->untold_rounds < UNTOLD_ROUNDS_MAX) {
        int events = ops->wait(io->reactor, 0);

        if (events != 0)
            return events;
    }
    tell_all(io);
    return ops->wait(io->reactor, wait_ms(io));
}

static void *io_main(void *cookie)
{
    struct ps_io *io = cookie;
    struct penstock *stream = io->stream;
    int rc = open_io(io);

    tell_started(io, rc);
    while (rc == PENSTOCK_OK && !atomic_load(&stream->stopping)) {
        start_due_parts(io);
        start_new_parts(io);
        int waited = wait_events(io);

        if (waited < 0) {
            break_down(io, -waited);
            break;
        }
        tick(io->s3);
        ps_pace_look(&io->pace, ps_now_ns(), io->received_bytes);
    }
    /* penstock_stop may come from a signal handler, which can wake only us: pass it on. */
    for (size_t i = 0; i < stream->channel_count; i++) {
        pthread_mutex_lock(&stream->channels[i]->lock);
        ps_channel_wake_all(stream->channels[i]);
        pthread_mutex_unlock(&stream->channels[i]->lock);
    }
    close_transports(io);
    return NULL;
}

int ps_io_start(struct penstock *stream, unsigned number, struct ps_io **out,
                struct penstock_error *error)
{
    struct ps_io *io = calloc(1, sizeof *io);
    char name[16];

    if (!io)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    io->stream = stream;
    io->number = number;
    ps_pace_init(&io->pace, stream->config.max_connections,
                 stream->config.max_connections ? stream->config.max_connections
                                                : PS_CONNECTIONS_MAX);
    io->random = ps_now_ns() ^ (uint64_t)(uintptr_t)io;
    pthread_mutex_init(&io->start_lock, NULL);
    pthread_cond_init(&io->start_known, NULL);
    snprintf(name, sizeof name, "ps-io-%u", number);
    int rc = ps_thread_start(&io->thread, name, io_main, io, error);

    if (rc != PENSTOCK_OK) {
        free(io);
        return rc;
    }
    *out = io;
    pthread_mutex_lock(&io->start_lock);
    while (!io->started)
        pthread_cond_wait(&io->start_known, &io->start_lock);
    pthread_mutex_unlock(&io->start_lock);
    if (io->started_rc != PENSTOCK_OK && error)
        *error = io->started_error;
    return io->started_rc;
}

void ps_io_join(struct ps_io *io)
{
    if (!io)
        return;
    pthread_join(io->thread, NULL);
    if (io->reactor)
        io->reactor->ops->close(io->reactor);
    pthread_mutex_destroy(&io->start_lock);
    pthread_cond_destroy(&io->start_known);
    free(io);
}

void ps_io_wake(struct ps_io *io)
{
    if (io->reactor)
        io->reactor->ops->wake(io->reactor);
}
