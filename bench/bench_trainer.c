/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_trainer.c - see bench_trainer.h. */
#include "bench/bench_trainer.h"

#include "pipe/stop.h"
#include "trainer/batch.h"
#include "trainer/shape.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As penstock train has them. */
enum { DEVICE_SLOTS = 3, HEAD_BYTES_MAX = 32 << 20 };
/* Steps whose timers the device has not passed yet; the feed lets it have fewer. */
enum { TIMERS = 64, REPLAY_STEPS_LEAST = 4 };

/* A step on the compute stream: behind the wait for its batch, and behind its work. */
struct timed_step {
    struct tr_event *begin, *end;
};

struct bench_trainer {
    const struct bench_model *model;
    struct tr_device *device;
    struct tr_device_ops ops; /* the device's, with alloc counted */
    const struct tr_device_ops *own;
    struct tr_feed *feed;
    struct tr_head *head;
    struct tr_model *running;
    uint32_t feature_dim;
    struct timed_step steps[TIMERS];
    uint64_t given, passed; /* steps given to the device; those whose times are known */
    struct bench_device *told;
    struct penstock_batch cached; /* a copy of the first batch */
    void *cached_bytes;
    bool cached_pinned;
    uint64_t replay_left, replay_end_ns;
    pthread_mutex_t lock; /* guards pinned_bytes and pin_s: streams pin on threads of their own */
    struct bench_trained trained;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int fail(struct penstock_error *error, const char *text)
{
    snprintf(error->message, sizeof error->message, "%s", text);
    return error->rc = PENSTOCK_E_SYSTEM;
}

static int device_failed(const struct bench_trainer *t, struct tr_error *error)
{
    return tr_fail(error, "device %s: %s", t->own->name, t->device->error);
}

/* ---- the device ---- */

/* The table is handed on by the device alone: it is found by its place in the trainer. */
static struct bench_trainer *trainer_of(const struct tr_device *device)
{
    const char *ops = (const char *)device->ops;

    return (struct bench_trainer *)(uintptr_t)(ops - offsetof(struct bench_trainer, ops));
}

static int counted_alloc(struct tr_device *device, size_t len_bytes, void **out)
{
    struct bench_trainer *t = trainer_of(device);
    int rc = t->own->alloc(device, len_bytes, out);

    if (rc == 0)
        t->trained.device_bytes += len_bytes;
    return rc;
}

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct bench_trainer *t = cookie;
    uint64_t began_ns = now_ns();
    int rc = t->own->pin(t->device, base, len_bytes);

    pthread_mutex_lock(&t->lock);
    t->trained.pin_s += (double)(now_ns() - began_ns) * 1e-9;
    if (rc == 0)
        t->trained.pinned_bytes += len_bytes;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct bench_trainer *t = cookie;

    t->own->unpin(t->device, base, len_bytes);
}

static int make_timers(struct bench_trainer *t, struct tr_error *error)
{
    for (int i = 0; t->own->timer_new && i < TIMERS; i++)
        if (t->own->timer_new(t->device, &t->steps[i].begin) < 0 ||
            t->own->timer_new(t->device, &t->steps[i].end) < 0)
            return device_failed(t, error);
    return 0;
}

int bench_trainer_open(const struct bench_model *model, struct bench_trainer **out,
                       struct penstock_error *error)
{
    struct bench_trainer *t = calloc(1, sizeof *t);
    struct tr_error why;
    char line[512];

    *out = NULL;
    if (!t)
        return fail(error, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    t->model = model;
    if (tr_device_open(model->device ? model->device : "auto", &t->device, line, sizeof line) < 0) {
        bench_trainer_close(&t);
        return fail(error, line);
    }
    snprintf(t->trained.device_line, sizeof t->trained.device_line, "%.150s", line);
    t->own = t->device->ops;
    t->ops = *t->own;
    t->ops.alloc = counted_alloc;
    t->device->ops = &t->ops;
    if (make_timers(t, &why) < 0 || tr_feed_new(t->device, DEVICE_SLOTS, &t->feed, &why) < 0) {
        bench_trainer_close(&t);
        return fail(error, why.text);
    }
    *out = t;
    return PENSTOCK_OK;
}

void bench_trainer_pin(struct bench_trainer *t, struct penstock_config *config)
{
    if (!t->own->pin)
        return;
    config->pin = pin;
    config->unpin = unpin;
    config->pin_cookie = t;
}

/* ---- steps ---- */

/* Adds the times of the oldest step whose timers are not read yet. */
static int read_timers(struct bench_trainer *t, struct tr_error *error)
{
    const struct timed_step *step = &t->steps[t->passed % TIMERS];
    double work_s = 0, idle_s = 0;

    if (t->own->elapsed(t->device, step->begin, step->end, &work_s) < 0)
        return device_failed(t, error);
    if (t->passed > 0 && t->own->elapsed(t->device, t->steps[(t->passed - 1) % TIMERS].end,
                                         step->begin, &idle_s) < 0)
        return device_failed(t, error);
    t->passed++;
    t->told->steps++;
    t->told->work_ns += (uint64_t)(work_s * 1e9);
    t->told->idle_ns += idle_s > 0 ? (uint64_t)(idle_s * 1e9) : 0;
    return 0;
}

/* Reads what the device has passed; `all`: waits for what it has not. */
static int harvest(struct bench_trainer *t, bool all, struct tr_error *error)
{
    while (t->passed < t->given) {
        struct tr_event *end = t->steps[t->passed % TIMERS].end;
        int done = t->own->event_query(t->device, end);

        /* The step before the oldest is still needed: its end. */
        if (done == 0 && !all && t->given - t->passed < TIMERS - 1)
            return 0;
        if (done < 0 || (done == 0 && t->own->event_wait(t->device, end) < 0))
            return device_failed(t, error);
        if (read_timers(t, error) < 0)
            return -1;
    }
    return 0;
}

/* When the first batch was on the device, and when its step was done: waits for both, once. */
static int time_first(struct bench_trainer *t, struct tr_event *event, uint64_t *at_ns,
                      struct tr_error *error)
{
    if (*at_ns != 0)
        return 0;
    if (event && t->own->event_wait(t->device, event) < 0)
        return device_failed(t, error);
    if (!event)
        t->own->drain(t->device);
    *at_ns = now_ns();
    return 0;
}

static int timed(struct bench_trainer *t, const struct tr_device_batch *batch,
                 struct tr_error *error)
{
    const struct timed_step *step = &t->steps[t->given % TIMERS];
    bool times = step->begin != NULL;

    if (times && (harvest(t, false, error) < 0 ||
                  t->own->event_record(t->device, step->begin, TR_STREAM_COMPUTE) < 0))
        return -1;
    if (time_first(t, step->begin, &t->trained.on_device_ns, error) < 0 ||
        t->running->ops->step(t->running, batch, error) < 0)
        return -1;
    if (times && t->own->event_record(t->device, step->end, TR_STREAM_COMPUTE) < 0)
        return device_failed(t, error);
    t->given++;
    if (!times) {
        t->passed++;
        t->told->steps++;
    }
    return time_first(t, step->end, &t->trained.first_step_ns, error);
}

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct bench_trainer *t = cookie;
    const struct tr_model_ops *ops = t->running->ops;

    if (tr_shape_check(ops, "bench", batch->host, t->feature_dim, error) < 0 ||
        ops->check(t->running, "bench", batch->host, error) < 0)
        return -1;
    return timed(t, batch, error);
}

/* ---- the loop ---- */

static int keep_first(struct bench_trainer *t, const struct penstock_batch *first,
                      struct tr_error *error)
{
    t->cached_bytes = malloc(first->len_bytes);
    if (!t->cached_bytes)
        return tr_fail(error, "no memory for a batch");
    memcpy(t->cached_bytes, first->base, first->len_bytes);
    tr_batch_at(first, t->cached_bytes, &t->cached);
    t->cached_pinned =
        t->own->pin && t->own->pin(t->device, t->cached_bytes, first->len_bytes) == 0;
    return 0;
}

/* Returns 0; 1: the source ended before there was a batch; -1. */
static int make_model(struct bench_trainer *t, const struct tr_source *source,
                      struct tr_error *error)
{
    const struct tr_model_ops *ops = t->model->ops;

    t->head = tr_head_new(t->device, source);
    if (!t->head)
        return tr_fail(error, "no memory");
    if (tr_head_fill(t->head, ops->head_rows(t->model->hyper), HEAD_BYTES_MAX, error) < 0)
        return -1;
    const struct penstock_batch *first = tr_head_batch(t->head, 0);

    if (!first || tr_head_rc(t->head) < 0)
        return 1;
    const struct tr_hyper_common *common =
        (const struct tr_hyper_common *)(const void *)t->model->hyper;
    const struct tr_setup setup = {t->device, t->model->hyper, t->head, common->seed};

    if (tr_shape_check(ops, "bench", first, 0, error) < 0 || keep_first(t, first, error) < 0)
        return -1;
    t->feature_dim = first->feature_dim;
    return ops->create(&setup, &t->running, error);
}

/* What penstock train does between epochs. */
static int end_epoch(struct bench_trainer *t, uint32_t epoch, struct tr_error *error)
{
    struct tr_results results;

    if (t->running->ops->results(t->running, TR_SUMS_TRAIN, &results, error) < 0)
        return -1;
    return t->running->ops->epoch_end ? t->running->ops->epoch_end(t->running, epoch, false, error)
                                      : 0;
}

int bench_trainer_run(struct bench_trainer *t, const struct tr_source *source,
                      struct bench_device *device, struct penstock_error *error)
{
    const struct tr_sink sink = {t, step};
    struct tr_error why = {.text = ""};
    int source_rc = PENSTOCK_EPOCH_END;

    t->told = device;
    int rc = make_model(t, source, &why);

    if (rc > 0)
        return tr_head_rc(t->head);
    const struct tr_source all = rc == 0 ? tr_head_source(t->head) : *source;

    for (uint32_t epoch = 0; rc == 0 && source_rc == PENSTOCK_EPOCH_END; epoch++) {
        rc = tr_feed_run(t->feed, &all, &sink, &source_rc, &why);
        if (rc == 0 && source_rc == PENSTOCK_EPOCH_END)
            rc = end_epoch(t, epoch, &why);
    }
    if (rc == 0 && t->own->elapsed)
        rc = harvest(t, true, &why);
    return rc == 0 ? source_rc : fail(error, why.text);
}

/* ---- one batch over and over ---- */

static int replay_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct bench_trainer *t = cookie;

    (void)timeout_ms;
    if (ps_stop_signal() || (t->replay_left == 0 && now_ns() >= t->replay_end_ns))
        return PENSTOCK_END;
    if (t->replay_left > 0)
        t->replay_left--;
    *batch = &t->cached;
    return PENSTOCK_OK;
}

static void replay_release(void *cookie, const struct penstock_batch *batch)
{
    (void)cookie;
    (void)batch;
}

static size_t replay_bytes_max(void *cookie)
{
    const struct bench_trainer *t = cookie;

    return t->cached.len_bytes;
}

static int replay_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct bench_trainer *t = cookie;

    return timed(t, batch, error);
}

int bench_trainer_replay(struct bench_trainer *t, double seconds, struct penstock_error *error)
{
    const struct tr_source source = {t, replay_next, replay_release, replay_bytes_max};
    const struct tr_sink sink = {t, replay_step};
    struct bench_device device = {.steps = 0};
    struct tr_error why;
    int source_rc;

    if (!t->running)
        return PENSTOCK_OK;
    t->told = &device;
    t->own->drain(t->device);
    uint64_t began_ns = now_ns();

    t->replay_left = REPLAY_STEPS_LEAST;
    t->replay_end_ns = began_ns + (uint64_t)(seconds * 1e9);
    if (tr_feed_run(t->feed, &source, &sink, &source_rc, &why) < 0)
        return fail(error, why.text);
    t->own->drain(t->device);
    double took_s = (double)(now_ns() - began_ns) * 1e-9;

    if (t->own->elapsed && harvest(t, true, &why) < 0)
        return fail(error, why.text);
    t->trained.replay_steps_per_s = (double)device.steps / took_s;
    return PENSTOCK_OK;
}

const struct bench_trained *bench_trainer_trained(const struct bench_trainer *t)
{
    return &t->trained;
}

void bench_trainer_close(struct bench_trainer **trainer)
{
    struct bench_trainer *t = trainer ? *trainer : NULL;

    if (!t)
        return;
    tr_feed_free(&t->feed);
    tr_model_free(&t->running);
    tr_head_free(&t->head);
    for (int i = 0; t->own && i < TIMERS; i++) {
        if (t->steps[i].begin)
            t->own->event_free(t->device, t->steps[i].begin);
        if (t->steps[i].end)
            t->own->event_free(t->device, t->steps[i].end);
    }
    if (t->cached_pinned)
        t->own->unpin(t->device, t->cached_bytes, t->cached.len_bytes);
    free(t->cached_bytes);
    if (t->own)
        t->device->ops = t->own;
    tr_device_close(&t->device);
    pthread_mutex_destroy(&t->lock);
    free(t);
    *trainer = NULL;
}
