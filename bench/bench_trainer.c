/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_trainer.c - see bench_trainer.h. */
#include "bench/bench_trainer.h"

#include "pipe/stop.h"
#include "trainer/shape.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* As penstock train has them. */
enum { DEVICE_SLOTS = 3, HEAD_BYTES_MAX = 32 << 20 };
struct bench_trainer {
    const struct bench_model *model;
    struct tr_device *device;
    struct tr_feed *feed;
    struct tr_head *head;
    struct tr_model *running;
    uint32_t feature_dim;
    struct bench_device *told;
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

/* ---- the device ---- */

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct bench_trainer *t = cookie;
    uint64_t began_ns = now_ns();
    int rc = t->device->ops->pin(t->device, base, len_bytes);

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

    t->device->ops->unpin(t->device, base, len_bytes);
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
    if (tr_feed_new(t->device, DEVICE_SLOTS, &t->feed, &why) < 0) {
        bench_trainer_close(&t);
        return fail(error, why.text);
    }
    tr_feed_keep(t->feed);
    *out = t;
    return PENSTOCK_OK;
}

void bench_trainer_pin(struct bench_trainer *t, struct penstock_config *config)
{
    if (!t->device->ops->pin)
        return;
    config->pin = pin;
    config->unpin = unpin;
    config->pin_cookie = t;
}

/* ---- steps ---- */

/* What the device's own clock has told so far. */
static void tell(struct bench_trainer *t)
{
    struct tr_feed_stats stats = tr_feed_get_stats(t->feed);

    t->told->steps = stats.batches_timed;
    t->told->work_ns = (uint64_t)(stats.busy_s * 1e9);
    t->told->idle_ns = (uint64_t)(stats.stall_s * 1e9);
    t->trained.device_bytes = t->device->counts.alloc_bytes;
}

/* The first step: waits for its batch, and for its end, once. */
static int step_first(struct bench_trainer *t, const struct tr_device_batch *batch,
                      struct tr_error *error)
{
    t->device->ops->drain(t->device);
    t->trained.on_device_ns = now_ns();
    if (tr_model_step(t->running, batch, error) < 0)
        return -1;
    t->device->ops->drain(t->device);
    t->trained.first_step_ns = now_ns();
    return 0;
}

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct bench_trainer *t = cookie;
    const struct tr_model_ops *ops = t->running->ops;

    if (tr_shape_check(ops, "bench", batch->host, t->feature_dim, error) < 0 ||
        ops->check(t->running, "bench", batch->host, error) < 0)
        return -1;
    tell(t);
    if (t->trained.first_step_ns == 0)
        return step_first(t, batch, error);
    return tr_model_step(t->running, batch, error);
}

/* ---- the loop ---- */

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
    const struct tr_setup setup = {t->device, t->model->hyper, t->head, common->seed, NULL};

    if (tr_shape_check(ops, "bench", first, 0, error) < 0)
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
    t->device->ops->drain(t->device);
    tell(t);
    return rc == 0 ? source_rc : fail(error, why.text);
}

/* ---- one batch over and over ---- */

static int replay_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct bench_trainer *t = cookie;

    return ps_stop_signal() ? tr_fail(error, "interrupted")
                            : tr_model_step(t->running, batch, error);
}

int bench_trainer_replay(struct bench_trainer *t, double seconds, struct penstock_error *error)
{
    const struct tr_sink sink = {t, replay_step};
    struct tr_error why;

    if (!t->running ||
        tr_feed_replay(t->feed, &sink, seconds, &t->trained.replay_steps_per_s, &why) == 0)
        return PENSTOCK_OK;
    return ps_stop_signal() ? PENSTOCK_OK : fail(error, why.text);
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
    tr_device_close(&t->device);
    pthread_mutex_destroy(&t->lock);
    free(t);
    *trainer = NULL;
}
