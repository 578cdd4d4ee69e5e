/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_run.c - see bench_run.h: the loop, and its looks at the stream. */
#include "bench/bench_run.h"

#include "bench/bench_sums.h"
#include "bench/count_calls.h"
#include "pipe/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS UINT64_C(100000000)
#define PROGRESS_NS UINT64_C(500000000)
#define REPLAY_S 0.5
#define SLOW_PROGRESS_NS UINT64_C(10000000000)

struct session {
    const struct bench_plan *plan;
    struct bench_run *run;
    struct penstock *stream;
    bool plain;
    uint64_t opened_ns; /* on the monotonic clock, as are all but the run's own */
    uint64_t tick_ns;   /* the next look */
    uint64_t progress_ns;
    struct bench_device device;
    struct bench_trainer *trainer; /* NULL: nothing is trained */
    uint64_t brought;              /* batches given to it */
    bool over;                     /* it gets no more */
    uint64_t step_left_bytes;      /* until the device has a step's */
    uint64_t late_ns;              /* by which the last sleep was too long */
    uint64_t due_ns;               /* when the consumer takes the next bytes */
    int calls_fd;                  /* counts system calls; -1 */
    uint64_t allocations, calls;   /* when measuring began */
    bool started;                  /* something was delivered */
    uint64_t started_ns;
    bool measuring;
    struct penstock_counters last;
    uint64_t last_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- looks ---- */

static float busy_share(uint64_t waited_ns, uint64_t passed_ns)
{
    return waited_ns >= passed_ns ? 0.0F : 1.0F - (float)((double)waited_ns / (double)passed_ns);
}

static void tell_busy(const struct session *s, const struct penstock_counters *c, uint64_t at_ns,
                      float *busy)
{
    const struct penstock_counters *b = &s->last;
    uint64_t passed_ns = at_ns > s->last_ns ? at_ns - s->last_ns : 1;
    uint64_t threads = c->decode_threads > 0 ? c->decode_threads : 1;

    busy[BENCH_STAGE_IO] = busy_share(c->wait_room_ns - b->wait_room_ns, passed_ns);
    busy[BENCH_STAGE_INFLATE] = busy_share(c->wait_inflate_in_ns - b->wait_inflate_in_ns +
                                               c->wait_inflate_out_ns - b->wait_inflate_out_ns,
                                           passed_ns);
    busy[BENCH_STAGE_FRAME] =
        busy_share(c->wait_bytes_ns - b->wait_bytes_ns + c->wait_decoders_ns - b->wait_decoders_ns +
                       c->wait_slot_ns - b->wait_slot_ns,
                   passed_ns);
    busy[BENCH_STAGE_DECODE] =
        busy_share((c->wait_chunks_ns - b->wait_chunks_ns) / threads, passed_ns);
    busy[BENCH_STAGE_CONSUMER] = busy_share(c->wait_ns - b->wait_ns, passed_ns);
}

static bool keep_tick(struct bench_run *run, const struct bench_tick *tick)
{
    if (run->tick_count == run->tick_room) {
        size_t room = run->tick_room ? 2 * run->tick_room : 256;
        struct bench_tick *ticks = realloc(run->ticks, room * sizeof *ticks);

        if (!ticks)
            return false;
        run->ticks = ticks;
        run->tick_room = room;
    }
    run->ticks[run->tick_count++] = *tick;
    return true;
}

static void show_progress(struct session *s, const struct penstock_counters *c, uint64_t at_ns)
{
    bool terminal = isatty(STDERR_FILENO) == 1;

    if (s->plan->quiet || s->opened_ns + at_ns < s->progress_ns)
        return;
    s->progress_ns = s->opened_ns + at_ns + (terminal ? PROGRESS_NS : SLOW_PROGRESS_NS);
    if (s->run->tick_count < 2)
        return;
    const struct bench_tick *ticks = s->run->ticks;
    size_t back = s->run->tick_count > 10 ? 10 : s->run->tick_count - 1;
    const struct bench_tick *then = &ticks[s->run->tick_count - 1 - back];
    double gib_per_s = (double)(c->bytes_consumed - then->bytes) / (double)(at_ns - then->at_ns) *
                       1e9 / (double)(1 << 30);

    fprintf(stderr, "%s%s: %s, %.1f s, %.3f GiB/s, %llu requests, %llu retries%s",
            terminal ? "\r" : "", s->plan->what, s->measuring ? "measuring" : "warming up",
            (double)at_ns * 1e-9, gib_per_s, (unsigned long long)c->get_requests,
            (unsigned long long)c->retries, terminal ? "\033[K" : "\n");
}

static bool reached(const struct session *s, const struct penstock_counters *c, uint64_t at_ns)
{
    const struct bench_plan *plan = s->plan;
    uint64_t measured_ns = at_ns - s->run->begin_ns;

    return s->measuring &&
           ((plan->seconds > 0 && (double)measured_ns >= plan->seconds * 1e9) ||
            (plan->bytes > 0 && c->bytes_consumed - s->run->before.bytes_consumed >= plan->bytes));
}

/* System calls so far; 0 when they are not counted. */
static uint64_t count_calls(const struct session *s)
{
    uint64_t count = 0;

    return s->calls_fd >= 0 && read(s->calls_fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void begin_measuring(struct session *s, const struct penstock_counters *c, uint64_t at_ns)
{
    s->measuring = true;
    s->run->begin_ns = at_ns;
    s->run->before = *c;
    s->run->device_before = s->device;
    bench_usage_take(&s->run->usage_before);
    s->allocations = bench_count_allocations ? bench_count_allocations() : 0;
    s->calls = count_calls(s);
}

/* Returns whether the run is to go on. */
static bool look(struct session *s)
{
    struct penstock_counters c;
    struct bench_tick tick;

    penstock_get_counters(s->stream, 0, &c);
    tick.at_ns = now_ns() - s->opened_ns;
    tick.bytes = c.bytes_consumed;
    tick.received_bytes = c.bytes_received;
    tick.records = c.records;
    memset(tick.busy, 0, sizeof tick.busy);
    tell_busy(s, &c, tick.at_ns, tick.busy);
    uint64_t before_ns = s->last_ns;

    s->last = c;
    s->last_ns = tick.at_ns;
    s->tick_ns = s->opened_ns + tick.at_ns + TICK_NS;
    /* Right after another one there is next to nothing to see. */
    bool close = s->run->tick_count > 0 && tick.at_ns - before_ns < TICK_NS / 20;

    if (!close && !keep_tick(s->run, &tick))
        return false;
    show_progress(s, &c, tick.at_ns);
    if (!s->measuring && s->started &&
        (double)(s->opened_ns + tick.at_ns - s->started_ns) >= s->plan->warmup_s * 1e9)
        begin_measuring(s, &c, tick.at_ns);
    s->run->after = c;
    s->run->device_after = s->device;
    s->run->end_ns = tick.at_ns;
    if (s->plan->feed && penstock_last_error(s->plan->feed, 0)->rc != PENSTOCK_OK)
        return false;
    return !reached(s, &c, tick.at_ns);
}

/* ---- the consumer ---- */

/* Waits, and looks meanwhile. False when the run is over. */
static bool wait_until(struct session *s, uint64_t due_ns)
{
    for (;;) {
        uint64_t time_ns = now_ns();

        if (ps_stop_signal() || time_ns >= due_ns)
            return true;
        if (time_ns >= s->tick_ns && !look(s))
            return false;
        uint64_t until_ns = due_ns < s->tick_ns ? due_ns : s->tick_ns;
        struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                                 .tv_nsec = (long)(until_ns % 1000000000)};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

/* Gives the device a batch, or so many more bytes of one. */
static bool feed_device(struct session *s, size_t len_bytes)
{
    const struct bench_plan *plan = s->plan;

    if (plan->step_ns == 0)
        return true;
    if (s->plain && s->step_left_bytes > len_bytes) {
        s->step_left_bytes -= len_bytes;
        return true;
    }
    s->step_left_bytes += plan->step_bytes - (s->plain ? len_bytes : plan->step_bytes);
    uint64_t ready_ns = now_ns() - s->late_ns;

    if (plan->inject_every > 0 && (s->device.steps + 1) % plan->inject_every == 0) {
        ready_ns += plan->inject_ns;
        if (!wait_until(s, ready_ns))
            return false;
    }
    s->device.step_ns = plan->step_ns;
    uint64_t begin_ns = bench_device_step(&s->device, ready_ns);
    bool asleep = begin_ns > now_ns();
    bool go_on = wait_until(s, begin_ns);
    uint64_t woke_ns = now_ns();

    /* A device has its next step queued by then: what counts is when the data came, unless the host
     * is late by more than that step. */
    s->late_ns = asleep && woke_ns > begin_ns ? woke_ns - begin_ns : 0;
    if (s->late_ns > plan->step_ns)
        s->late_ns = 0;
    return go_on;
}

/* A consumer of a set rate takes what is due. */
static bool hold_back(struct session *s, size_t len_bytes)
{
    if (s->plan->consume_rate == 0)
        return feed_device(s, len_bytes);
    if (s->due_ns == 0)
        s->due_ns = now_ns();
    s->due_ns += (uint64_t)((double)len_bytes * 1e9 / (double)s->plan->consume_rate);
    return wait_until(s, s->due_ns) && feed_device(s, len_bytes);
}

static int take(struct session *s, int timeout_ms, bool *go_on)
{
    const struct penstock_batch *batch = NULL;
    const struct penstock_span *span = NULL;
    int rc = s->plain ? penstock_next_span(s->stream, 0, timeout_ms, &span)
                      : penstock_next(s->stream, 0, timeout_ms, &batch);

    if (rc != PENSTOCK_OK)
        return rc;
    size_t len_bytes = span ? span->len_bytes : batch->len_bytes;

    if (!s->started) {
        s->started = true;
        s->started_ns = now_ns();
        *go_on = !s->plan->first_batch_only;
        if (s->plan->warmup_s <= 0)
            s->tick_ns = 0;
    }
    /* The copy to a device is done by when the host may go on. */
    *go_on = *go_on && hold_back(s, len_bytes);
    if (span)
        penstock_release_span(s->stream, span);
    else
        penstock_release(s->stream, batch);
    return rc;
}

/* ---- a model that is trained ---- */

/* Until the next look. */
static int until_tick_ms(const struct session *s)
{
    uint64_t time_ns = now_ns();

    return s->tick_ns > time_ns ? (int)((s->tick_ns - time_ns) / 1000000) + 1 : 0;
}

static void bring(struct session *s)
{
    const struct bench_plan *plan = s->plan;

    s->brought++;
    if (plan->inject_every > 0 && s->brought % plan->inject_every == 0)
        s->over = !wait_until(s, now_ns() + plan->inject_ns);
}

/* What the trainer's feed asks for batches: penstock_next, with looks in between. */
static int training_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct session *s = cookie;
    const struct bench_trained *trained = bench_trainer_trained(s->trainer);

    /* The warm-up begins with the first step: what the model learns from before is the start. */
    if (!s->started && trained->first_step_ns != 0) {
        s->started = true;
        s->started_ns = trained->first_step_ns;
    }
    for (;;) {
        if (now_ns() >= s->tick_ns && !look(s))
            s->over = true;
        if (s->over || (s->plan->first_batch_only && trained->first_step_ns != 0))
            return PENSTOCK_END;
        int left_ms = until_tick_ms(s);
        int rc = penstock_next(
            s->stream, 0, timeout_ms >= 0 && timeout_ms < left_ms ? timeout_ms : left_ms, batch);

        if (rc == PENSTOCK_OK)
            bring(s);
        if (rc == PENSTOCK_EPOCH_END && s->brought == 0)
            return PENSTOCK_END;
        if (rc != PENSTOCK_AGAIN || timeout_ms >= 0)
            return rc;
    }
}

static void training_release(void *cookie, const struct penstock_batch *batch)
{
    struct session *s = cookie;

    penstock_release(s->stream, batch);
}

static size_t training_bytes_max(void *cookie)
{
    const struct session *s = cookie;
    struct penstock_counters counters;

    penstock_get_counters(s->stream, 0, &counters);
    return counters.slot_count > 0 ? (size_t)(counters.slot_bytes / counters.slot_count) : 0;
}

static int train(struct session *s, struct penstock_error *error)
{
    const struct tr_source source = {s, training_next, training_release, training_bytes_max};

    if (s->plan->warmup_s <= 0 && !s->plan->first_batch_only)
        s->started_ns = s->opened_ns, s->started = true;
    int rc = bench_trainer_run(s->trainer, &source, &s->device, error);

    if (rc == PENSTOCK_END || rc == PENSTOCK_EPOCH_END)
        return s->brought > 0 ? PENSTOCK_OK : PENSTOCK_E_EMPTY;
    return rc;
}

/* Then one batch over and over, and what else the trainer knows. */
static int sum_training(struct session *s, struct penstock_error *error)
{
    const struct bench_trained *trained = bench_trainer_trained(s->trainer);
    double *f = s->run->figures;
    int rc = PENSTOCK_OK;

    snprintf(s->run->device_line, sizeof s->run->device_line, "%s", trained->device_line);
    f[BENCH_PINNED] = (double)trained->pinned_bytes;
    f[BENCH_PIN] = trained->pin_s;
    if (trained->on_device_ns > 0)
        f[BENCH_ON_DEVICE] = (double)(trained->on_device_ns - s->opened_ns) * 1e-9;
    if (trained->first_step_ns > 0)
        f[BENCH_FIRST_STEP] = (double)(trained->first_step_ns - s->opened_ns) * 1e-9;
    if (!s->plan->first_batch_only && !ps_stop_signal())
        rc = bench_trainer_replay(s->trainer, REPLAY_S, error);
    f[BENCH_DEVICE_MEMORY] = (double)trained->device_bytes;
    if (trained->replay_steps_per_s > 0) {
        f[BENCH_REPLAY] = trained->replay_steps_per_s;
        f[BENCH_HEADROOM] = f[BENCH_STEPS_PER_S] / trained->replay_steps_per_s;
    }
    return rc;
}

static int consume(struct session *s)
{
    bool go_on = true, delivered = false;
    int rc = PENSTOCK_OK;

    /* What is asked from the first byte on counts from the opening on. */
    if (s->plan->warmup_s <= 0)
        s->started_ns = s->opened_ns, s->started = !s->plan->first_batch_only;
    while (go_on) {
        uint64_t time_ns = now_ns();

        if (time_ns >= s->tick_ns) {
            go_on = look(s);
            continue;
        }
        rc = take(s, (int)((s->tick_ns - time_ns) / 1000000) + 1, &go_on);
        delivered = delivered || rc == PENSTOCK_OK;
        if (rc == PENSTOCK_END || rc < 0 || (rc == PENSTOCK_EPOCH_END && !delivered))
            break;
    }
    if (!delivered && (rc == PENSTOCK_END || rc == PENSTOCK_EPOCH_END))
        return PENSTOCK_E_EMPTY;
    return rc < 0 ? rc : PENSTOCK_OK;
}

static void end_session(struct session *s, int rc)
{
    struct bench_run *run = s->run;

    run->allocations = bench_count_allocations ? bench_count_allocations() - s->allocations : 0;
    run->calls = count_calls(s) - s->calls;
    look(s);
    bench_usage_take(&run->usage_after);
    if (!s->measuring)
        run->begin_ns = run->end_ns;
    penstock_get_latencies(s->stream, 0, PENSTOCK_LATENCY_FIRST_BYTE, &run->first_bytes);
    penstock_get_latencies(s->stream, 0, PENSTOCK_LATENCY_PART, &run->parts);
    run->complete = rc == PENSTOCK_OK && !ps_stop_signal();
    bench_sum_up(run);
}

static int run_stream(struct session *s, const struct penstock_config *config,
                      struct penstock_error *error)
{
    const struct bench_plan *plan = s->plan;

    s->opened_ns = now_ns();
    int rc = penstock_open(config, &s->stream, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_stop_watch(s->stream);
    ps_metrics_watch(plan->metrics, s->stream, &config->channels[0].name, 1);
    rc = s->trainer ? train(s, error) : consume(s);
    end_session(s, rc);
    if (rc == PENSTOCK_OK && s->trainer)
        rc = sum_training(s, error);
    if (!plan->quiet && isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
    if (rc != PENSTOCK_OK && !error->message[0])
        *error = *penstock_last_error(s->stream, 0);
    if (rc == PENSTOCK_E_EMPTY && !error->message[0])
        snprintf(error->message, sizeof error->message, "there is no object in this shard");
    ps_stop_watch(NULL);
    ps_metrics_watch(plan->metrics, NULL, NULL, 0);
    penstock_close(&s->stream);
    return rc;
}

int bench_run(struct bench_run *run, const struct bench_plan *plan, struct penstock_error *error)
{
    struct session s = {.plan = plan, .run = run};
    struct penstock_config config = *plan->config;
    const char *type = config.channels[0].content_type;

    *run = (struct bench_run){.tick_count = 0};
    error->message[0] = '\0';
    s.plain = strncmp(type, "application/octet-stream", 24) == 0;
    s.step_left_bytes = plan->step_bytes;
    if (plan->model) {
        int rc = bench_trainer_open(plan->model, &s.trainer, error);

        if (rc != PENSTOCK_OK)
            return rc;
        bench_trainer_pin(s.trainer, &config);
    }
    s.calls_fd = bench_count_open ? bench_count_open() : -1;
    bench_usage_forget_peak();
    bench_usage_take(&run->usage_before);
    int rc = run_stream(&s, &config, error);

    bench_trainer_close(&s.trainer);
    if (s.calls_fd >= 0)
        close(s.calls_fd);
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : rc;
}

void bench_run_free(struct bench_run *run)
{
    free(run->windows);
    free(run->ticks);
    run->windows = NULL;
    run->ticks = NULL;
}
