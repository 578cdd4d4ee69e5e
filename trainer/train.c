/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/train.c - see trainer/train.h.
 *
 * Channels of one stream: train (every epoch), validation (once after every epoch), test (once at
 * the end). The head of the training channel is read first: the model is made from it.
 */
#include "trainer/train.h"

#include "pipe/stop.h"
#include "trainer/feed.h"
#include "trainer/finite.h"
#include "trainer/inputs.h"
#include "trainer/keeper.h"
#include "trainer/shape.h"
#include "trainer/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEVICE_SLOTS 3U
#define HEADROOM_S 1.0 /* of replaying one batch */

static const char *const channel_names[TR_CHANNEL_COUNT] = {"train", "validation", "test"};

struct run {
    const struct tr_train_options *options;
    struct tr_report report;
    struct tr_device *device;
    struct tr_inputs inputs;
    struct tr_feed *feeds[TR_CHANNEL_COUNT];
    struct tr_head *head;
    struct tr_source train_source;
    struct tr_model *model;
    uint32_t feature_dim;
    char text[256]; /* the model in words */
    struct tr_summary summary;
    /* The pass that is running. */
    enum tr_channel channel;
    uint32_t epoch;
    struct tr_pass pass;
    double pass_from_s;
    bool stopped; /* by a signal, with all that the source has brought done */
    struct tr_keeper keeper;
    struct tr_progress progress; /* of the run that this one goes on with */
    bool goes_on;                /* its epoch has not been done with yet */
};

const char *tr_channel_name(enum tr_channel channel)
{
    return channel_names[channel];
}

/* --- the head and the model ----------------------------------------------------------------------
 */

/* Reads the head: the rows that the model learns from before its first step, or one batch. */
static int read_head(struct run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    struct tr_source source = tr_inputs_source(&run->inputs, TR_CHANNEL_TRAIN);
    run->head = tr_head_new(run->device, &source);
    if (!run->head)
        return tr_fail(error, "no memory");
    if (tr_head_fill(run->head, options->model->head_rows(options->hyper), TR_HEAD_BYTES_MAX,
                     error) < 0)
        return -1;
    run->train_source = tr_head_source(run->head);
    const struct penstock_batch *first = tr_head_batch(run->head, 0);
    if (tr_head_rc(run->head) < 0)
        return tr_inputs_failed(&run->inputs, TR_CHANNEL_TRAIN, error);
    if (!first)
        return tr_fail(error, "shard %u of %u of the training channel holds no rows",
                       options->stream.shard_index, options->stream.shard_count);
    if (tr_shape_check(options->model, channel_names[TR_CHANNEL_TRAIN], first, 0, error) < 0)
        return -1;
    run->feature_dim = first->feature_dim;
    struct penstock_counters counters;
    tr_inputs_counters(&run->inputs, TR_CHANNEL_TRAIN, &counters);
    tr_report_line(&run->report, "data: first batch after %.3f s",
                   (double)counters.first_batch_ns * 1e-9);
    return 0;
}

static int make_model(struct run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    const struct tr_setup setup = {run->device, options->hyper, run->head, tr_common(options)->seed,
                                   NULL};
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

/* --- passes --------------------------------------------------------------------------------------
 */

/* `trained`: the epoch's training, if that is over. */
static int save(struct run *run, const struct tr_pass *trained, struct tr_error *error)
{
    struct tr_progress progress = {.epoch = run->epoch, .validates = trained != NULL};
    progress.pass = trained ? *trained : run->pass;
    if (!trained)
        progress.pass.seconds = tr_now_s() - run->pass_from_s;
    return tr_keeper_save(&run->keeper, &progress, error);
}

/* A run is worth more than one checkpoint. */
static void warn_unsaved(struct run *run, const struct tr_error *why)
{
    tr_report_line(&run->report, "warning: no checkpoint was written: %s", why->text);
}

static int stopped_with_checkpoint(const struct run *run, struct tr_error *error)
{
    return tr_fail(error,
                   "stopped by signal %d before the end; no model was written, but a checkpoint is "
                   "in %s",
                   ps_stop_signal(), run->options->checkpoint_dir);
}

/* A signal ended the pass. `trained`: of validation, which will be done anew. */
static int interrupted(struct run *run, const struct tr_pass *trained, struct tr_error *error)
{
    struct tr_results ignored;
    struct tr_error why;
    int rc = 0;
    if (!run->options->checkpoint_dir)
        return tr_inputs_interrupted(error);
    if (trained)
        rc = run->model->ops->results(run->model, TR_SUMS_EVALUATE, &ignored, &why);
    if (rc == 0 && run->channel != TR_CHANNEL_TEST) /* before which there was one */
        rc = save(run, trained, &why);
    if (rc < 0)
        return tr_fail(error, "stopped by signal %d, and no checkpoint was written: %.1900s",
                       ps_stop_signal(), why.text);
    return stopped_with_checkpoint(run, error);
}

static int show_progress(struct run *run, struct tr_error *error)
{
    struct tr_pass so_far = run->pass;
    double now_s = tr_now_s();
    if (!tr_report_progress_due(&run->report, now_s))
        return 0;
    if (run->model->ops->peek_loss &&
        run->model->ops->peek_loss(run->model, &so_far.results.loss, error) < 0)
        return -1;
    so_far.seconds = now_s - run->pass_from_s;
    tr_report_progress(&run->report, run->epoch, tr_common(run->options)->epochs, &so_far);
    return 0;
}

static void tell_metrics(struct run *run, const struct tr_pass *done)
{
    struct ps_metrics *metrics = run->inputs.metrics;
    const struct tr_pass *pass = &run->pass;
    if (!metrics)
        return;
    ps_metrics_set(metrics, "train_epoch", "Epoch that runs, the first is 0", run->epoch);
    ps_metrics_set(metrics, "train_rows_total", "Rows that the model was trained on",
                   (double)(run->summary.rows + (done ? 0 : pass->rows)));
    if (done)
        ps_metrics_set(metrics, "train_loss", "Mean of the objective in the epoch before",
                       done->results.loss);
}

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct run *run = cookie;
    const struct tr_model_ops *ops = run->model->ops;
    const char *name = channel_names[run->channel];
    if (tr_shape_check(ops, name, batch->host, run->feature_dim, error) < 0 ||
        ops->check(run->model, name, batch->host, error) < 0)
        return -1;
    run->pass.rows += batch->host->rows;
    run->pass.batches++;
    run->pass.batch_bytes += batch->host->len_bytes;
    bool trains = run->channel == TR_CHANNEL_TRAIN;
    struct tr_error why;
    int rc =
        trains ? tr_model_step(run->model, batch, error) : ops->evaluate(run->model, batch, error);
    if (rc == 0 && ps_stop_signal()) {
        run->stopped = true;
        return tr_inputs_interrupted(error);
    }
    if (rc < 0 || !trains)
        return rc;
    if (tr_keeper_is_due(&run->keeper) && save(run, NULL, &why) < 0)
        warn_unsaved(run, &why);
    tell_metrics(run, NULL);
    return show_progress(run, error);
}

/* What the pass begins with: nothing, or what an earlier run has done of it. The first pass starts
 * when the stream was opened, so that reading the head counts. */
static void begin_pass(struct run *run, enum tr_channel channel, uint32_t epoch)
{
    bool first = channel == TR_CHANNEL_TRAIN && epoch == 0;
    run->channel = channel;
    run->epoch = epoch;
    run->pass = (struct tr_pass){.started_at_s = tr_calendar_s()};
    run->pass_from_s = first ? run->inputs.opened_s : tr_now_s();
    if (channel == TR_CHANNEL_TRAIN && run->goes_on) {
        run->pass = run->progress.pass;
        run->pass_from_s -= run->pass.seconds;
        run->goes_on = false;
    }
}

/* Runs one epoch of a channel through the model; *pass receives what came of it. `trained` is the
 * epoch's training, if that is over. */
static int run_pass(struct run *run, enum tr_channel channel, uint32_t epoch,
                    const struct tr_pass *trained, struct tr_pass *pass, struct tr_error *error)
{
    struct tr_source held_out = tr_inputs_source(&run->inputs, channel);
    const struct tr_source *source = channel == TR_CHANNEL_TRAIN ? &run->train_source : &held_out;
    const struct tr_sink sink = {run, step};
    int source_rc = PENSTOCK_OK;
    begin_pass(run, channel, epoch);
    int rc = tr_feed_run(run->feeds[channel], source, &sink, &source_rc, error);
    if (run->stopped || (rc == 0 && source_rc == PENSTOCK_E_STOPPED && ps_stop_signal()))
        return interrupted(run, trained, error);
    if (rc < 0)
        return -1;
    if (source_rc < 0)
        return tr_inputs_failed(&run->inputs, channel, error);
    if (run->pass.rows == 0)
        return tr_fail(error, "the %s channel ended with no rows", channel_names[channel]);
    *pass = run->pass;
    if (run->model->ops->results(run->model,
                                 channel == TR_CHANNEL_TRAIN ? TR_SUMS_TRAIN : TR_SUMS_EVALUATE,
                                 &pass->results, error) < 0)
        return -1;
    pass->seconds = tr_now_s() - run->pass_from_s;
    return 0;
}

static int train_epoch(struct run *run, uint32_t epoch, struct tr_pass *train,
                       struct tr_error *error)
{
    const struct tr_model_ops *ops = run->model->ops;
    uint32_t epochs = tr_common(run->options)->epochs;
    if (run->goes_on && run->progress.validates) {
        *train = run->progress.pass;
        run->goes_on = false;
        return 0;
    }
    if (run_pass(run, TR_CHANNEL_TRAIN, epoch, NULL, train, error) < 0 ||
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
static int run_epoch(struct run *run, uint32_t epoch, bool *more, struct tr_error *error)
{
    struct tr_summary *summary = &run->summary;
    const struct tr_model_ops *ops = run->model->ops;
    uint32_t epochs = tr_common(run->options)->epochs;
    struct tr_pass train;
    struct tr_pass validation;
    bool validates = tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION);
    if (train_epoch(run, epoch, &train, error) < 0)
        return -1;
    if (validates && (tr_keeper_evaluates(&run->keeper, error) < 0 ||
                      run_pass(run, TR_CHANNEL_VALIDATION, epoch, &train, &validation, error) < 0))
        return -1;
    run->keeper.evaluates = false;
    tr_summary_epoch(summary, &train, validates ? &validation : NULL);
    tell_metrics(run, &train);
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
static void save_at_end(struct run *run, bool more)
{
    const struct tr_progress progress = {.epoch = run->summary.epochs, .ended = !more};
    struct tr_error why;
    if (tr_keeper_save(&run->keeper, &progress, &why) < 0)
        warn_unsaved(run, &why);
}

static int run_all(struct run *run, struct tr_error *error)
{
    uint32_t from = run->progress.epoch; /* 0 unless it goes on */
    struct tr_pass test;
    bool more = !(run->goes_on && run->progress.ended);
    for (uint32_t epoch = from; more && epoch < tr_common(run->options)->epochs; epoch++) {
        if (run_epoch(run, epoch, &more, error) < 0)
            return -1;
    }
    save_at_end(run, more);
    if (tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION))
        tr_report_quality(&run->report, "validation", &run->summary.validation);
    if (tr_inputs_has(&run->inputs, TR_CHANNEL_TEST)) {
        if (run_pass(run, TR_CHANNEL_TEST, 0, NULL, &test, error) < 0)
            return -1;
        tr_summary_test(&run->summary, &test);
        tr_report_quality(&run->report, "test", &test);
    }
    return 0;
}

/* --- going on ------------------------------------------------------------------------------------
 */

/* Lets go what an earlier run has been through: so many epochs, and batches of the next. */
static int let_go(struct run *run, enum tr_channel channel, const struct tr_source *source,
                  uint32_t epochs, uint64_t batches, struct tr_error *error)
{
    while (epochs > 0 || batches > 0) {
        const struct penstock_batch *batch;
        int rc = source->next(source->cookie, -1, &batch);
        if (rc == PENSTOCK_OK) {
            source->release(source->cookie, batch);
            batches -= epochs == 0;
        } else if (rc == PENSTOCK_EPOCH_END && epochs > 0) {
            epochs--;
        } else if (rc < 0) {
            return tr_inputs_failed(&run->inputs, channel, error);
        } else if (rc != PENSTOCK_AGAIN) {
            return tr_fail(error, "the %s channel has ended before the checkpoint's place",
                           channel_names[channel]);
        }
    }
    return 0;
}

/* What cannot be opened at a place brings everything again. */
static int let_go_all(struct run *run, struct tr_error *error)
{
    const struct tr_progress *p = &run->progress;
    struct tr_source held_out = tr_inputs_source(&run->inputs, TR_CHANNEL_VALIDATION);
    bool validates = tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION);
    for (uint32_t epoch = 0; epoch < p->epoch; epoch++) {
        if (let_go(run, TR_CHANNEL_TRAIN, &run->train_source, 1, 0, error) < 0 ||
            (validates && let_go(run, TR_CHANNEL_VALIDATION, &held_out, 1, 0, error) < 0))
            return -1;
    }
    return let_go(run, TR_CHANNEL_TRAIN, &run->train_source, p->validates ? 1 : 0,
                  p->validates ? 0 : p->pass.batches, error);
}

static int go_on(struct run *run, struct tr_error *error)
{
    struct tr_keeper *keeper = &run->keeper;
    *keeper = (struct tr_keeper){.options = run->options,
                                 .inputs = &run->inputs,
                                 .model = run->model,
                                 .head = run->head,
                                 .summary = &run->summary};
    int found = tr_keeper_begin(keeper, &run->report, run->feature_dim, &run->progress, error);
    if (found <= 0)
        return found;
    run->goes_on = true;
    if (!*keeper->states[TR_CHANNEL_TRAIN])
        return let_go_all(run, error);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        run->inputs.resume[i] = keeper->states[i];
    keeper->head = NULL;
    tr_inputs_close(&run->inputs);
    if (tr_inputs_open(&run->inputs, run->options, run->device, error) < 0)
        return -1;
    run->train_source = tr_inputs_source(&run->inputs, TR_CHANNEL_TRAIN);
    return 0;
}

/* --- the run -------------------------------------------------------------------------------------
 */

static void report_io(struct run *run)
{
    struct penstock_counters counters;
    tr_inputs_counters(&run->inputs, TR_CHANNEL_TRAIN, &counters);
    snprintf(run->summary.io_backend, sizeof run->summary.io_backend, "%s", counters.io_backend);
    snprintf(run->summary.io_reason, sizeof run->summary.io_reason, "%s", counters.io_reason);
    tr_report_line(&run->report, "io: %s: %s", counters.io_backend, counters.io_reason);
}

static int replay_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct run *run = cookie;
    return tr_model_step(run->model, batch, error);
}

/* The streamed rate over the rate at which one batch can be trained on again and again; the model
 * has been exported. */
static int measure_headroom(struct run *run, struct tr_error *error)
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

static void report_feed(struct run *run)
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

static void report_data(struct run *run)
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

static int finish(struct run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    struct tr_export arrays = {0};
    int rc = options->model->export_arrays(run->model, &arrays, error);
    if (rc == 0)
        rc = tr_finite_check_arrays(run->model, &arrays, error);
    if (rc == 0 && options->headroom)
        rc = measure_headroom(run, error);
    report_data(run);
    tr_inputs_report(&run->inputs, &run->report);
    if (rc == 0 && ps_stop_signal())
        rc = run->options->checkpoint_dir ? stopped_with_checkpoint(run, error)
                                          : tr_inputs_interrupted(error);
    if (rc == 0)
        rc = tr_summary_save(&run->summary, options, run->model, &arrays, error);
    tr_export_free(&arrays);
    if (rc == 0 && options->model_dir)
        tr_report_line(&run->report,
                       "model: written to %s (model.safetensors, model.npz, %sconfig.json)",
                       options->model_dir, options->model->onnx ? "model.onnx, " : "");
    else if (rc == 0)
        tr_report_line(&run->report, "model: not written, since there is no --model-dir");
    return rc;
}

static void close_run(struct run *run)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        tr_feed_free(&run->feeds[i]);
    tr_model_free(&run->model);
    tr_head_free(&run->head);
    tr_inputs_close(&run->inputs);
    ps_metrics_close(run->inputs.metrics);
    tr_device_close(&run->device);
    free(run->summary.history);
}

static int open_metrics(struct run *run, struct tr_error *error)
{
    struct penstock_error why;
    if (!run->options->metrics)
        return 0;
    if (ps_metrics_open(run->options->metrics, &run->inputs.metrics, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    if (ps_metrics_port(run->inputs.metrics) > 0)
        fprintf(stderr, "penstock train: metrics at port %u\n",
                ps_metrics_port(run->inputs.metrics));
    return 0;
}

int tr_train(const struct tr_train_options *options, struct tr_error *error)
{
    struct run run = {.options = options};
    int rc = -1;
    tr_report_init(&run.report, options->quiet, options->base);
    if (tr_summary_prepare(options, error) < 0)
        return -1;
    if (tr_device_open(options->device, &run.device, run.summary.device_line,
                       sizeof run.summary.device_line) < 0)
        return tr_fail(error, "%s", run.summary.device_line);
    tr_report_line(&run.report, "%s", run.summary.device_line);
    if (open_metrics(&run, error) == 0 &&
        tr_inputs_open(&run.inputs, options, run.device, error) == 0) {
        report_io(&run);
        if (read_head(&run, error) == 0 && make_model(&run, error) == 0 &&
            go_on(&run, error) == 0 && run_all(&run, error) == 0)
            rc = finish(&run, error);
    }
    close_run(&run);
    return rc;
}
