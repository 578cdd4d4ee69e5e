/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/train.c - see trainer/train.h.
 *
 * Channels of one stream: train (every epoch), validation (once after every epoch), test (once at
 * the end). The head of the training channel is read first: it tells the number of features, and
 * feature scaling is learnt from it.
 */
#include "trainer/train.h"

#include "pipe/stop.h"
#include "trainer/feed.h"
#include "trainer/head.h"
#include "trainer/report.h"
#include "trainer/scaler.h"
#include "trainer/shape.h"
#include "trainer/summary.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_SLOTS 3U
#define MIB ((size_t)1 << 20)

/* Memory for the rows that scaling is learnt from. The same for every memory limit, or the model
 * would depend on it; it comes out of the limit where that leaves the stream what it needs. */
#define HEAD_BYTES_MAX (32 * MIB)
#define CHANNEL_BYTES_LEAST (16 * MIB) /* what pipe/penstock.h asks for */

static const char *const channel_names[TR_CHANNEL_COUNT] = {"train", "validation", "test"};

/* One channel of the stream as a source of batches. */
struct input {
    struct penstock *stream;
    size_t channel_no;
};

struct run {
    const struct tr_train_options *options;
    struct tr_report report;
    struct tr_device *device;
    struct penstock *stream;
    struct input inputs[TR_CHANNEL_COUNT];
    struct tr_feed *feeds[TR_CHANNEL_COUNT];
    struct tr_head *head;
    struct tr_source train_source;
    struct tr_linear *model;
    struct tr_linear_config config;
    float *mean; /* (dim), and inv_std after it; NULL without scaling */
    double opened_s;
    struct tr_summary summary;
    /* The pass that is running. */
    enum tr_channel channel;
    uint32_t epoch;
    struct tr_pass pass;
    double pass_from_s;
};

const char *tr_channel_name(enum tr_channel channel)
{
    return channel_names[channel];
}

static bool is_used(const struct run *run, enum tr_channel channel)
{
    return run->options->channels[channel].uri_count > 0;
}

/* --- the stream ----------------------------------------------------------------------------------
 */

static int input_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct input *input = cookie;
    return penstock_next(input->stream, input->channel_no, timeout_ms, batch);
}

static void input_release(void *cookie, const struct penstock_batch *batch)
{
    struct input *input = cookie;
    penstock_release(input->stream, batch);
}

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct tr_device *device = cookie;
    return device->ops->pin(device, base, len_bytes);
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct tr_device *device = cookie;
    device->ops->unpin(device, base, len_bytes);
}

static int interrupted(struct tr_error *error)
{
    return tr_fail(error, "stopped by signal %d before the end; no model was written",
                   ps_stop_signal());
}

static int stream_failed(const struct run *run, enum tr_channel channel, struct tr_error *error)
{
    const struct penstock_error *last =
        penstock_last_error(run->stream, run->inputs[channel].channel_no);
    if (ps_stop_signal())
        return interrupted(error);
    return tr_fail(error, "%s", last->message);
}

static void configure_channels(struct run *run, struct penstock_channel_config *channels,
                               struct penstock_config *config)
{
    const struct tr_train_options *options = run->options;
    const uint32_t epochs[TR_CHANNEL_COUNT] = {options->hyper.epochs, options->hyper.epochs, 1};
    size_t count = 0;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        const struct tr_channel_options *from = &options->channels[i];
        struct penstock_channel_config *to = &channels[count];
        if (from->uri_count == 0)
            continue;
        penstock_channel_config_init(to);
        to->name = channel_names[i];
        to->uris = from->uris;
        to->uri_count = from->uri_count;
        to->content_type = from->content_type ? from->content_type
                                              : options->channels[TR_CHANNEL_TRAIN].content_type;
        to->data_type = options->data_type;
        to->compression = options->compression;
        to->batch_rows = options->hyper.mini_batch_size;
        to->feature_dim = options->hyper.feature_dim;
        to->epochs = epochs[i];
        ps_stream_options_bad(&options->stream, to);
        if (i == TR_CHANNEL_TRAIN) {
            ps_stream_options_order(&options->stream, to);
            ps_stream_options_batches(&options->stream, to);
        } else if (from->sample_to > 0) {
            to->sample_from = from->sample_from;
            to->sample_to = from->sample_to;
            to->sample_seed = options->stream.sample_seed;
        }
        run->inputs[i].channel_no = count++;
    }
    config->channels = channels;
    config->channel_count = count;
}

static int open_stream(struct run *run, struct tr_error *error)
{
    struct penstock_channel_config channels[TR_CHANNEL_COUNT];
    struct penstock_config config = run->options->stream.config;
    struct penstock_error why;
    struct penstock_counters counters;
    configure_channels(run, channels, &config);
    size_t limit = config.memory_limit_bytes;
    size_t least = config.channel_count * CHANNEL_BYTES_LEAST;
    if (limit >= least)
        config.memory_limit_bytes = limit < least + HEAD_BYTES_MAX ? least : limit - HEAD_BYTES_MAX;
    if (run->device->ops->pin) {
        config.pin = pin;
        config.unpin = unpin;
        config.pin_cookie = run->device;
    }
    run->opened_s = tr_now_s();
    if (penstock_open(&config, &run->stream, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    ps_stop_watch(run->stream);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        run->inputs[i].stream = run->stream;
    penstock_get_counters(run->stream, 0, &counters);
    snprintf(run->summary.io_backend, sizeof run->summary.io_backend, "%s", counters.io_backend);
    snprintf(run->summary.io_reason, sizeof run->summary.io_reason, "%s", counters.io_reason);
    tr_report_line(&run->report, "io: %s: %s", counters.io_backend, counters.io_reason);
    return 0;
}

/* --- the head and the model ----------------------------------------------------------------------
 */

static bool scales_features(const struct run *run)
{
    return run->options->hyper.normalize_data != TR_FALSE;
}

static bool scales_labels(const struct run *run)
{
    return run->config.loss == TR_LOSS_SQUARED && run->options->hyper.normalize_label != TR_FALSE;
}

/* Reads the head: the rows that scaling needs, or one batch. */
static int read_head(struct run *run, struct tr_error *error)
{
    const struct tr_hyper *hyper = &run->options->hyper;
    struct tr_source source = {&run->inputs[TR_CHANNEL_TRAIN], input_next, input_release};
    bool scaling = scales_features(run) || (hyper->predictor_type == TR_PREDICTOR_REGRESSOR &&
                                            hyper->normalize_label != TR_FALSE);
    run->head = tr_head_new(&source);
    if (!run->head)
        return tr_fail(error, "no memory");
    if (tr_head_fill(run->head, scaling ? hyper->num_point_for_scaler : 1, HEAD_BYTES_MAX, error) <
        0)
        return -1;
    run->train_source = tr_head_source(run->head);
    const struct penstock_batch *first = tr_head_batch(run->head, 0);
    if (tr_head_rc(run->head) < 0)
        return stream_failed(run, TR_CHANNEL_TRAIN, error);
    if (!first)
        return tr_fail(error, "shard %u of %u of the training channel holds no rows",
                       run->options->stream.shard_index, run->options->stream.shard_count);
    if (tr_shape_check(channel_names[TR_CHANNEL_TRAIN], first, error) < 0 ||
        tr_shape_has_labels(channel_names[TR_CHANNEL_TRAIN], first, error) < 0)
        return -1;
    struct penstock_counters counters;
    penstock_get_counters(run->stream, run->inputs[TR_CHANNEL_TRAIN].channel_no, &counters);
    tr_report_line(&run->report, "data: first batch after %.3f s",
                   (double)counters.first_batch_ns * 1e-9);
    return 0;
}

/* Adds the first rows to a scaler: their features, or their labels. */
static void scan_head(const struct run *run, struct tr_scaler *scaler, bool labels)
{
    uint64_t left = run->options->hyper.num_point_for_scaler;
    const struct penstock_batch *batch;
    for (size_t i = 0; left > 0 && (batch = tr_head_batch(run->head, i)); i++) {
        uint32_t rows = batch->rows < left ? batch->rows : (uint32_t)left;
        if (labels)
            tr_scaler_add(scaler, batch->labels, rows, batch->label_dim);
        else
            tr_scaler_add(scaler, batch->features, rows, batch->feature_dim);
        left -= rows;
    }
}

/* mean and std (dim), each, learnt from the head. */
static int learn_scaling(const struct run *run, bool labels, uint32_t dim, double *mean,
                         double *std, struct tr_error *error)
{
    struct tr_scaler *scaler = tr_scaler_new(dim);
    if (!scaler)
        return tr_fail(error, "no memory");
    scan_head(run, scaler, labels);
    tr_scaler_get(scaler, mean, std);
    tr_scaler_free(&scaler);
    for (uint32_t i = 0; i < dim; i++) {
        if (!isfinite(mean[i]) || !isfinite(std[i]))
            return tr_fail(error,
                           "%s column %u holds values that are not finite numbers in the first "
                           "rows",
                           labels ? "label" : "feature", i);
    }
    return 0;
}

static int learn_feature_scaling(struct run *run, struct tr_error *error)
{
    uint32_t dim = run->config.dim;
    double *mean = calloc((size_t)dim * 2, sizeof *mean);
    run->mean = calloc((size_t)dim * 2, sizeof *run->mean);
    int rc = -1;
    if (!mean || !run->mean)
        tr_fail(error, "no memory");
    else
        rc = learn_scaling(run, false, dim, mean, mean + dim, error);
    for (uint32_t i = 0; i < dim && rc == 0; i++) {
        run->mean[i] = (float)mean[i];
        run->mean[dim + i] = (float)fmin(1.0 / mean[dim + i], (double)FLT_MAX);
    }
    free(mean);
    run->config.mean = run->mean;
    run->config.inv_std = run->mean ? run->mean + dim : NULL;
    return rc;
}

static int make_model(struct run *run, struct tr_error *error)
{
    const struct tr_hyper *hyper = &run->options->hyper;
    uint32_t dim = tr_head_batch(run->head, 0)->feature_dim;
    tr_hyper_linear(hyper, dim, &run->config);
    if (scales_features(run) && learn_feature_scaling(run, error) < 0)
        return -1;
    if (scales_labels(run) &&
        learn_scaling(run, true, 1, &run->config.label_mean, &run->config.label_std, error) < 0)
        return -1;
    if (tr_linear_new(run->device, &run->config, &run->model, error) < 0)
        return -1;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        if (is_used(run, (enum tr_channel)i) &&
            tr_feed_new(run->device, DEVICE_SLOTS, hyper->mini_batch_size, &run->feeds[i], error) <
                0)
            return -1;
    }
    tr_report_line(
        &run->report, "model: linear-learner %s, %u features, %u output%s, %s, learning rate %.4g",
        tr_hyper_predictor_name(hyper), dim, run->config.outputs,
        run->config.outputs == 1 ? "" : "s",
        run->config.optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd", run->config.learning_rate);
    return 0;
}

/* --- passes --------------------------------------------------------------------------------------
 */

static int check_batch(const struct run *run, const struct penstock_batch *batch,
                       struct tr_error *error)
{
    const char *name = channel_names[run->channel];
    if (tr_shape_check(name, batch, error) < 0)
        return -1;
    if (batch->feature_dim != run->config.dim)
        return tr_fail(error, "the %s channel has %u features, the training channel %u", name,
                       batch->feature_dim, run->config.dim);
    if (tr_shape_has_labels(name, batch, error) < 0)
        return -1;
    uint32_t bad =
        tr_linear_check_labels(&run->config, batch->labels, batch->label_dim, batch->rows);
    if (bad == batch->rows)
        return 0;
    char wanted[64] = "a finite number";
    if (run->config.loss == TR_LOSS_LOGISTIC)
        snprintf(wanted, sizeof wanted, "0 or 1");
    else if (run->config.loss == TR_LOSS_SOFTMAX)
        snprintf(wanted, sizeof wanted, "a whole number from 0 to %u (num_classes - 1)",
                 run->config.outputs - 1);
    return tr_fail(error,
                   "channel %s, epoch %u, row %llu (the first row is 0): the label is %.9g, not %s",
                   name, batch->epoch, (unsigned long long)(batch->position + bad),
                   (double)batch->labels[(size_t)bad * batch->label_dim], wanted);
}

static uint64_t batch_bytes(const struct penstock_batch *batch)
{
    return (uint64_t)batch->rows * (batch->feature_dim + batch->label_dim) * sizeof(float);
}

static int show_progress(struct run *run, struct tr_error *error)
{
    struct tr_stats sums;
    struct tr_pass so_far = run->pass;
    double now_s = tr_now_s();
    if (!tr_report_progress_due(&run->report, now_s))
        return 0;
    if (tr_linear_peek_sums(run->model, &sums, error) < 0)
        return -1;
    so_far.seconds = now_s - run->pass_from_s;
    so_far.loss = sums.rows > 0.0 ? sums.loss_sum / sums.rows : 0.0;
    tr_report_progress(&run->report, run->epoch, run->options->hyper.epochs, &so_far);
    return 0;
}

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct run *run = cookie;
    const struct penstock_batch *host = batch->host;
    if (ps_stop_signal())
        return interrupted(error);
    if (check_batch(run, host, error) < 0)
        return -1;
    run->pass.rows += host->rows;
    run->pass.batches++;
    run->pass.batch_bytes += batch_bytes(host);
    if (run->channel != TR_CHANNEL_TRAIN)
        return tr_linear_evaluate(run->model, batch->features, batch->labels, host->label_dim,
                                  host->rows, error);
    if (tr_linear_step(run->model, batch->features, batch->labels, host->label_dim, host->rows,
                       error) < 0)
        return -1;
    return show_progress(run, error);
}

/* Runs one epoch of a channel through the model; *pass receives what came of it. The first pass
 * starts when the stream was opened, so that reading the head counts. */
static int run_pass(struct run *run, enum tr_channel channel, uint32_t epoch, struct tr_pass *pass,
                    struct tr_error *error)
{
    struct tr_source held_out = {&run->inputs[channel], input_next, input_release};
    const struct tr_source *source = channel == TR_CHANNEL_TRAIN ? &run->train_source : &held_out;
    const struct tr_sink sink = {run, step};
    bool first = channel == TR_CHANNEL_TRAIN && epoch == 0;
    struct tr_stats sums;
    int source_rc;
    run->channel = channel;
    run->epoch = epoch;
    run->pass = (struct tr_pass){.started_at_s = tr_calendar_s()};
    run->pass_from_s = first ? run->opened_s : tr_now_s();
    if (tr_feed_run(run->feeds[channel], source, &sink, &source_rc, error) < 0)
        return -1;
    if (source_rc < 0)
        return stream_failed(run, channel, error);
    if (run->pass.rows == 0)
        return tr_fail(error, "the %s channel ended with no rows", channel_names[channel]);
    if (tr_linear_read_sums(run->model,
                            channel == TR_CHANNEL_TRAIN ? TR_SUMS_TRAIN : TR_SUMS_EVALUATE, true,
                            &sums, error) < 0)
        return -1;
    *pass = run->pass;
    pass->seconds = tr_now_s() - run->pass_from_s;
    pass->loss = sums.loss_sum / sums.rows;
    pass->score = sums.correct / sums.rows;
    return 0;
}

/* Trouble with a held-out channel ends the run now and not after hours of training. */
static int check_held_out(const struct run *run, struct tr_error *error)
{
    for (int i = TR_CHANNEL_VALIDATION; i < TR_CHANNEL_COUNT; i++) {
        if (is_used(run, (enum tr_channel)i) &&
            penstock_last_error(run->stream, run->inputs[i].channel_no)->rc != PENSTOCK_OK)
            return stream_failed(run, (enum tr_channel)i, error);
    }
    return 0;
}

static int run_epoch(struct run *run, uint32_t epoch, struct tr_error *error)
{
    struct tr_summary *summary = &run->summary;
    struct tr_pass train;
    struct tr_pass validation;
    bool validates = is_used(run, TR_CHANNEL_VALIDATION);
    if (run_pass(run, TR_CHANNEL_TRAIN, epoch, &train, error) < 0 || check_held_out(run, error) < 0)
        return -1;
    if (!isfinite(train.loss))
        return tr_fail(error,
                       "the loss of epoch %u is not a finite number: lower learning_rate (now "
                       "%.4g), or look for values in the data that are not finite",
                       epoch, run->config.learning_rate);
    if (validates && run_pass(run, TR_CHANNEL_VALIDATION, epoch, &validation, error) < 0)
        return -1;
    tr_summary_epoch(summary, &train, validates ? &validation : NULL);
    tr_report_epoch(&run->report, epoch, run->options->hyper.epochs, &train,
                    validates ? &validation : NULL, summary->rows, summary->batches);
    return 0;
}

static int run_all(struct run *run, struct tr_error *error)
{
    struct tr_pass test;
    for (uint32_t epoch = 0; epoch < run->options->hyper.epochs; epoch++) {
        if (run_epoch(run, epoch, error) < 0)
            return -1;
    }
    if (is_used(run, TR_CHANNEL_VALIDATION))
        tr_report_quality(&run->report, "validation", &run->summary.validation);
    if (is_used(run, TR_CHANNEL_TEST)) {
        if (run_pass(run, TR_CHANNEL_TEST, 0, &test, error) < 0)
            return -1;
        tr_summary_test(&run->summary, &test);
        tr_report_quality(&run->report, "test", &test);
    }
    return 0;
}

/* --- the run -------------------------------------------------------------------------------------
 */

/* What --verify=always could not do. */
static void report_unverified(struct run *run)
{
    const char *verify = run->options->stream.config.verify;
    uint64_t count = 0;
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        struct penstock_counters counters;
        if (!is_used(run, (enum tr_channel)i))
            continue;
        penstock_get_counters(run->stream, run->inputs[i].channel_no, &counters);
        count += counters.objects_unverified;
    }
    if (verify && strcmp(verify, "always") == 0 && count > 0)
        tr_report_line(&run->report,
                       "warning: %llu objects are not verified: their checksums are of their "
                       "uploads' parts, or hashes",
                       (unsigned long long)count);
}

/* What was left out as it was bad, with the first such record. */
static void report_bad(struct run *run)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++) {
        struct penstock_counters counters;
        struct penstock_bad_record first;
        if (!is_used(run, (enum tr_channel)i))
            continue;
        penstock_get_counters(run->stream, run->inputs[i].channel_no, &counters);
        if (penstock_bad_records(run->stream, run->inputs[i].channel_no, &first, 1) == 0)
            continue;
        tr_report_line(
            &run->report,
            "warning: %llu of %llu records of the %s channel were bad and left out, %llu "
            "bytes in %llu objects, every epoch counted; the first: %s, byte %llu: %s",
            (unsigned long long)counters.records_bad,
            (unsigned long long)(counters.records_bad + counters.records), channel_names[i],
            (unsigned long long)counters.bytes_bad, (unsigned long long)counters.objects_bad,
            first.key, (unsigned long long)first.offset_bytes, first.cause);
    }
}

static void report_data(struct run *run)
{
    struct penstock_counters *counters = &run->summary.counters;
    double seconds = run->summary.train_seconds;
    run->summary.seconds = tr_now_s() - run->opened_s;
    penstock_get_counters(run->stream, run->inputs[TR_CHANNEL_TRAIN].channel_no, counters);
    double waited_s = (double)counters->wait_ns * 1e-9;
    double gigabytes = (double)counters->bytes_received * 1e-9;
    tr_report_line(
        &run->report,
        "data: %.3f GB in %.2f s of training, %.3f GB/s; %.1f %% of it spent waiting for "
        "data",
        gigabytes, seconds, gigabytes / seconds, 100.0 * waited_s / seconds);
    tr_report_data(&run->report, (double)counters->first_batch_ns * 1e-9, waited_s, seconds);
}

static int finish(struct run *run, struct tr_error *error)
{
    const struct tr_train_options *options = run->options;
    size_t n = (size_t)run->config.dim * run->config.outputs;
    float *weights = malloc((n + run->config.outputs) * sizeof *weights);
    int rc = weights ? tr_linear_export(run->model, weights, weights + n, error)
                     : tr_fail(error, "no memory for the model");
    report_data(run);
    report_unverified(run);
    report_bad(run);
    if (rc == 0 && ps_stop_signal())
        rc = interrupted(error);
    if (rc == 0)
        rc = tr_summary_save(&run->summary, options, &run->config, run->device->ops->name,
                             tr_report_score_name(&run->report), weights, weights + n, error);
    free(weights);
    if (rc == 0 && options->model_dir)
        tr_report_line(&run->report,
                       "model: written to %s (model.safetensors, model.npz, config.json)",
                       options->model_dir);
    else if (rc == 0)
        tr_report_line(&run->report, "model: not written, since there is no --model-dir");
    return rc;
}

static void close_run(struct run *run)
{
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        tr_feed_free(&run->feeds[i]);
    tr_linear_free(&run->model);
    tr_head_free(&run->head);
    ps_stop_watch(NULL);
    penstock_close(&run->stream);
    tr_device_close(&run->device);
    free(run->mean);
    free(run->summary.history);
}

int tr_train(const struct tr_train_options *options, struct tr_error *error)
{
    struct tr_linear_config shape;
    struct run run = {.options = options};
    int rc = -1;
    tr_hyper_linear(&options->hyper, 1, &shape);
    tr_report_init(&run.report, options->quiet, shape.loss, options->base);
    if (tr_summary_prepare(options, error) < 0)
        return -1;
    if (tr_device_open(options->device, &run.device, run.summary.device_line,
                       sizeof run.summary.device_line) < 0)
        return tr_fail(error, "%s", run.summary.device_line);
    tr_report_line(&run.report, "%s", run.summary.device_line);
    if (open_stream(&run, error) == 0 && read_head(&run, error) == 0 &&
        make_model(&run, error) == 0 && run_all(&run, error) == 0)
        rc = finish(&run, error);
    close_run(&run);
    return rc;
}
