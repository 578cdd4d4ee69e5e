/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/train.c - see trainer/train.h.
 *
 * Channels of one stream: train (every epoch), validation (once after every epoch), test (once at
 * the end). The head of the training channel is read first: the model is made from it.
 */
#include "trainer/train.h"

#include "pipe/stop.h"
#include "trainer/finite.h"
#include "trainer/group_open.h"
#include "trainer/model_files.h"
#include "trainer/run.h"
#include "trainer/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEVICE_SLOTS 3U
#define HEADROOM_S 1.0 /* of replaying one batch */

static const char *const channel_names[TR_CHANNEL_COUNT] = {"train", "validation", "test"};

const char *tr_channel_name(enum tr_channel channel)
{
    return channel_names[channel];
}

/* --- the head and the model ----------------------------------------------------------------------
 */

/* Reads the head: the rows that the model learns from before its first step, or one batch. Of
 * several ranks each reads its share. */
static int read_head(struct tr_run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    uint32_t ranks = tr_group_count(run->group);
    bool shared = options->channels[TR_CHANNEL_TRAIN].share == TR_SHARE_ROWS;
    uint64_t rows = options->model->head_rows(options->hyper);
    run->listening = (struct tr_steps){.group = run->group,
                                       .may_be_empty = !shared,
                                       .inner = tr_inputs_source(&run->inputs, TR_CHANNEL_TRAIN)};
    const struct tr_source source = tr_steps_source(&run->listening);
    run->head = tr_head_new(run->device, &source);
    if (!run->head)
        return tr_fail(error, "no memory");
    if (tr_head_fill(run->head, shared ? rows : (rows + ranks - 1) / ranks,
                     TR_HEAD_BYTES_MAX / ranks, error) < 0)
        return -1;
    if (run->listening.failed)
        return tr_fail(error, "%s", run->listening.error.text);
    if (tr_head_rc(run->head) < 0)
        return tr_inputs_failed(&run->inputs, TR_CHANNEL_TRAIN, error);
    run->listening.group = NULL; /* the channel's own steps listen from now on */
    return tr_head_join(run->head, run->group, error);
}

static int look_at_head(struct tr_run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    const struct penstock_batch *first = tr_head_batch(run->head, 0);
    if (!first)
        return tr_fail(error, "shard %u of %u of the training channel holds no rows",
                       options->stream.shard_index, options->stream.shard_count);
    if (tr_shape_check(options->model, channel_names[TR_CHANNEL_TRAIN], first, 0, error) < 0)
        return -1;
    run->feature_dim = first->feature_dim;
    struct penstock_counters counters;
    tr_inputs_counters(&run->inputs, TR_CHANNEL_TRAIN, &counters);
    tr_report_line(&run->report, "data: first batch after %.3f s%s",
                   (double)counters.first_batch_ns * 1e-9,
                   first->stride_bytes > 0 ? "; the device makes rows of records itself" : "");
    return 0;
}

static int make_model(struct tr_run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    const struct tr_setup setup = {run->device, options->hyper, run->head, tr_common(options)->seed,
                                   run->group};
    if (options->model->create(&setup, &run->model, error) < 0)
        return -1;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (tr_inputs_has(&run->inputs, (enum tr_channel)i) &&
            tr_feed_new(run->device, DEVICE_SLOTS, &run->feeds[i], error) < 0)
            return -1;
    }
    if (options->headroom)
        tr_feed_keep(run->feeds[TR_CHANNEL_TRAIN]);
    options->model->describe(run->model, run->text, sizeof run->text);
    tr_report_line(&run->report, "model: %s %s", options->model->name, run->text);
    tr_report_model(&run->report, options->model->title, options->model->objective(run->model));
    return 0;
}

/* --- epochs --------------------------------------------------------------------------------------
 */

static int train_epoch(struct tr_run *run, uint32_t epoch, struct tr_pass *train,
                       struct tr_error *error)
{
    const struct tr_model_ops *ops = run->model->ops;
    uint32_t epochs = tr_common(run->options)->epochs;
    if (run->goes_on && run->progress.validates) {
        *train = run->progress.pass;
        run->goes_on = false;
        return 0;
    }
    if (tr_run_pass(run, TR_CHANNEL_TRAIN, epoch, NULL, train, error) < 0 ||
        tr_inputs_check_held_out(&run->inputs, error) < 0)
        return -1;
    if (!isfinite(train->results.loss))
        return tr_fail(error,
                       "the loss of epoch %u is not a finite number: lower the learning rate, or "
                       "look for values in the data that are not finite%s (the model: %s)",
                       epoch,
                       run->options->checkpoint_dir ? ", and start without these checkpoints" : "",
                       run->text);
    return ops->epoch_end ? ops->epoch_end(run->model, epoch, epoch + 1 == epochs, error) : 0;
}

/* *more becomes false when no further epoch is worth while. */
static int run_epoch(struct tr_run *run, uint32_t epoch, bool *more, struct tr_error *error)
{
    struct tr_summary *summary = &run->summary;
    const struct tr_model_ops *ops = run->model->ops;
    uint32_t epochs = tr_common(run->options)->epochs;
    struct tr_pass train;
    struct tr_pass validation;
    bool validates = tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION);
    if (train_epoch(run, epoch, &train, error) < 0)
        return -1;
    if (validates &&
        (tr_keeper_evaluates(&run->keeper, error) < 0 ||
         tr_run_pass(run, TR_CHANNEL_VALIDATION, epoch, &train, &validation, error) < 0))
        return -1;
    run->keeper.evaluates = false;
    tr_summary_epoch(summary, &train, validates ? &validation : NULL);
    tr_run_tell_metrics(run, &train);
    tr_report_epoch(&run->report, epoch, epochs, &train, validates ? &validation : NULL,
                    summary->rows, summary->batches);
    if (ops->goes_on)
        *more = ops->goes_on(run->model, &train.results, validates ? &validation.results : NULL);
    if (!*more && epoch + 1 < epochs)
        tr_report_line(&run->report, "training ends early, after epoch %u of %u", epoch + 1,
                       epochs);
    return 0;
}

/* A job that is begun once more after its training has nothing to train. */
static int save_at_end(struct tr_run *run, bool more, struct tr_error *error)
{
    const struct tr_progress progress = {.epoch = run->summary.epochs, .ended = !more};
    return tr_run_save_or_warn(run, &progress, error);
}

static int run_all(struct tr_run *run, struct tr_error *error)
{
    uint32_t from = run->progress.epoch; /* 0 unless it goes on */
    struct tr_pass test;
    bool more = !(run->goes_on && run->progress.ended);
    for (uint32_t epoch = from; more && epoch < tr_common(run->options)->epochs; epoch++) {
        if (run_epoch(run, epoch, &more, error) < 0)
            return -1;
    }
    if (save_at_end(run, more, error) < 0)
        return -1;
    if (tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION))
        tr_report_quality(&run->report, "validation", &run->summary.validation);
    if (tr_inputs_has(&run->inputs, TR_CHANNEL_TEST)) {
        if (tr_run_pass(run, TR_CHANNEL_TEST, 0, NULL, &test, error) < 0)
            return -1;
        tr_summary_test(&run->summary, &test);
        tr_report_quality(&run->report, "test", &test);
    }
    return 0;
}

/* --- the run -------------------------------------------------------------------------------------
 */

/* The model is made: what its batches come through, and what it goes on from. */
static int begin(struct tr_run *run, struct tr_error *error)
{
    run->keeper = (struct tr_keeper){.options = run->options,
                                     .inputs = &run->inputs,
                                     .model = run->model,
                                     .head = run->head,
                                     .summary = &run->summary,
                                     .trains = &run->steps[TR_CHANNEL_TRAIN]};
    if (tr_keeper_agree(&run->keeper, run->feature_dim, error) < 0)
        return -1;
    const struct tr_source train = tr_head_source(run->head);
    tr_run_step_through(run, &train);
    return tr_run_go_on(run, error);
}

static void report_io(struct tr_run *run)
{
    struct penstock_counters counters;
    tr_inputs_counters(&run->inputs, TR_CHANNEL_TRAIN, &counters);
    snprintf(run->summary.io_backend, sizeof run->summary.io_backend, "%s", counters.io_backend);
    snprintf(run->summary.io_reason, sizeof run->summary.io_reason, "%s", counters.io_reason);
    tr_report_line(&run->report, "io: %s: %s", counters.io_backend, counters.io_reason);
}

static int replay_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct tr_run *run = cookie;
    return tr_model_step(run->model, batch, error);
}

/* The streamed rate over the rate at which one batch can be trained on again and again; the model
 * has been exported. */
static int measure_headroom(struct tr_run *run, struct tr_error *error)
{
    const struct tr_sink sink = {run, replay_step};
    const struct tr_pass *last = &run->summary.train;
    double steps_per_s;
    if (tr_feed_replay(run->feeds[TR_CHANNEL_TRAIN], &sink, HEADROOM_S, &steps_per_s, error) < 0)
        return -1;
    if (steps_per_s > 0.0)
        run->summary.headroom = (double)last->batches / last->seconds / steps_per_s;
    return 0;
}

static void report_feed(struct tr_run *run)
{
    struct tr_feed_stats *stats = &run->summary.feed;
    *stats = tr_feed_get_stats(run->feeds[TR_CHANNEL_TRAIN]);
    if (run->device->ops->reads_host_memory)
        return;
    tr_report_line(&run->report,
                   "feed: %u device slots of %zu bytes; after the third batch %llu allocations, "
                   "%llu copies from pageable memory, %llu waits of the host for the device",
                   DEVICE_SLOTS, stats->slot_bytes, (unsigned long long)stats->late_allocs,
                   (unsigned long long)stats->late_pageable_copies,
                   (unsigned long long)stats->late_host_waits);
}

static void report_data(struct tr_run *run)
{
    struct penstock_counters *counters = &run->summary.counters;
    double seconds = run->summary.train_seconds;
    run->summary.seconds = tr_now_s() - run->inputs.opened_s;
    tr_inputs_counters(&run->inputs, TR_CHANNEL_TRAIN, counters);
    double waited_s = (double)counters->wait_ns * 1e-9;
    double gigabytes = (double)counters->bytes_received * 1e-9;
    tr_report_line(
        &run->report,
        "data: %.3f GB in %.2f s of training, %.3f GB/s; %.1f %% of it spent waiting for "
        "data",
        gigabytes, seconds, gigabytes / seconds, 100.0 * waited_s / seconds);
    report_feed(run);
    tr_report_data(&run->report, &(struct tr_data_figures){
                                     .first_batch_s = (double)counters->first_batch_ns * 1e-9,
                                     .waited_s = waited_s,
                                     .device_stalled_s = run->summary.feed.stall_s,
                                     .seconds = seconds,
                                     .headroom = run->summary.headroom,
                                 });
    if (run->model->ops->seen) {
        uint64_t rows;
        uint64_t checksum;
        run->model->ops->seen(run->model, &rows, &checksum);
        tr_report_seen(&run->report, rows, checksum);
    }
}

static int finish(struct tr_run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    struct tr_export arrays = {0};
    bool has_graph;
    int rc = options->model->export_arrays(run->model, &arrays, error);
    if (rc == 0)
        rc = tr_finite_check_arrays(run->model, &arrays, error);
    if (rc == 0 && options->headroom)
        rc = measure_headroom(run, error);
    report_data(run);
    tr_inputs_report(&run->inputs, &run->report);
    if (rc == 0 && ps_stop_signal())
        rc = tr_run_stopped(run, error);
    if (rc == 0)
        rc = tr_summary_save(&run->summary, options, run->model, &arrays, error);
    has_graph = tr_model_has_graph(options->model, &arrays);
    tr_export_free(&arrays);
    if (rc == 0 && options->model_dir)
        tr_report_line(&run->report,
                       "model: written to %s (model.safetensors, model.npz, %sconfig.json)",
                       options->model_dir, has_graph ? "model.onnx, " : "");
    else if (rc == 0)
        tr_report_line(&run->report, "model: not written, since there is no --model-dir");
    return rc;
}

static void close_run(struct tr_run *run)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        tr_feed_free(&run->feeds[i]);
    tr_model_free(&run->model);
    tr_group_drop_device(&run->group);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        tr_steps_drop(&run->steps[i]);
    tr_head_free(&run->head);
    tr_inputs_close(&run->inputs);
    tr_keeper_close(&run->keeper);
    ps_metrics_close(run->inputs.metrics);
    tr_device_close(&run->device);
    free(run->summary.history);
}

static int open_metrics(struct tr_run *run, struct tr_error *error)
{
    struct penstock_error why;
    if (!run->options->metrics || tr_group_rank(run->group) > 0)
        return 0;
    if (ps_metrics_open(run->options->metrics, &run->inputs.metrics, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    if (ps_metrics_port(run->inputs.metrics) > 0)
        fprintf(stderr, "penstock train: metrics at port %u\n",
                ps_metrics_port(run->inputs.metrics));
    return 0;
}

static int open_device(struct tr_run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    char line[600];
    if (tr_device_open_for(options->device, options->local_rank, &run->device,
                           run->summary.device_line, sizeof run->summary.device_line) < 0)
        return tr_fail(error, "%s", run->summary.device_line);
    tr_report_line(&run->report, "%s", run->summary.device_line);
    if (tr_group_use_device(&run->group, run->device, line, sizeof line, error) < 0) {
        tr_device_close(&run->device);
        return -1;
    }
    if (*line)
        tr_report_line(&run->report, "%s", line);
    return 0;
}

int tr_train(const struct tr_train_options *options, struct tr_error *error)
{
    struct tr_run run = {.options = options, .group = options->group};
    int rc = -1;
    tr_report_init(&run.report, options->quiet, tr_group_rank(run.group) > 0, options->base);
    if (tr_group_rank(run.group) == 0 && tr_summary_prepare(options, error) < 0)
        return -1;
    if (open_device(&run, error) < 0)
        return -1;
    if (open_metrics(&run, error) == 0 &&
        tr_inputs_open(&run.inputs, options, run.device, error) == 0) {
        report_io(&run);
        if (read_head(&run, error) == 0 && look_at_head(&run, error) == 0 &&
            make_model(&run, error) == 0 && begin(&run, error) == 0 && run_all(&run, error) == 0)
            rc = tr_group_rank(run.group) == 0 ? finish(&run, error) : 0;
    }
    if (rc < 0) /* before the device is waited for, which may wait for the others */
        tr_group_leave(run.group, error->text);
    close_run(&run);
    return rc;
}
