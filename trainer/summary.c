/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/summary.c - see trainer/summary.h. */
#include "trainer/summary.h"

#include "trainer/checkpoint.h"
#include "trainer/json.h"
#include "trainer/model_files.h"
#include "trainer/output.h"

#include <stdlib.h>
#include <string.h>

int tr_summary_prepare(const struct tr_train_options *options, struct tr_error *error)
{
    struct tr_output output;
    if (options->model_dir && tr_model_prepare(options->model_dir, error) < 0)
        return -1;
    if (options->checkpoint_dir && tr_checkpoint_prepare(options->checkpoint_dir, error) < 0)
        return -1;
    if (!options->metrics_json)
        return 0;
    int rc = tr_output_open(&output, NULL, options->metrics_json, error);
    if (rc == 0)
        tr_output_discard(&output);
    return rc;
}

void tr_summary_epoch(struct tr_summary *summary, const struct tr_pass *train,
                      const struct tr_pass *validation)
{
    summary->train = *train;
    summary->rows += train->rows;
    summary->batches += train->batches;
    summary->train_seconds += train->seconds;
    summary->has_validation = validation != NULL;
    if (validation)
        summary->validation = *validation;
    if (summary->epochs < TR_SUMMARY_EPOCHS_MAX) {
        struct tr_summary_epoch *grown =
            realloc(summary->history, (summary->epochs + 1) * sizeof *grown);
        if (grown) { /* without memory the totals go on alone */
            summary->history = grown;
            grown[summary->epochs].train = *train;
            grown[summary->epochs].validation = summary->validation;
        }
    }
    summary->epochs++;
}

void tr_summary_test(struct tr_summary *summary, const struct tr_pass *test)
{
    summary->has_test = true;
    summary->test = *test;
}

/* --- the metrics file ----------------------------------------------------------------------------
 */

static void put_pass(struct tr_json *json, const char *key, const struct tr_pass *pass)
{
    tr_json_open(json, key, '{');
    tr_json_count(json, "rows", pass->rows);
    tr_json_count(json, "batches", pass->batches);
    tr_json_number(json, "seconds", pass->seconds);
    tr_json_count(json, "batch_bytes", pass->batch_bytes);
    tr_json_number(json, "loss", pass->results.loss);
    for (size_t i = 0; i < pass->results.score_count; i++)
        tr_json_number(json, pass->results.scores[i].name, pass->results.scores[i].value);
    tr_json_close(json, '}');
}

static void put_stream(struct tr_json *json, const struct tr_summary *summary)
{
    const struct penstock_counters *c = &summary->counters;
    tr_json_open(json, "stream", '{');
    tr_json_text(json, "io_backend", summary->io_backend);
    tr_json_text(json, "io_reason", summary->io_reason);
    tr_json_number(json, "first_byte_s", (double)c->first_byte_ns * 1e-9);
    tr_json_number(json, "first_batch_s", (double)c->first_batch_ns * 1e-9);
    tr_json_number(json, "wait_s", (double)c->wait_ns * 1e-9);
    tr_json_count(json, "bytes_received", c->bytes_received);
    tr_json_count(json, "bytes_carried", c->bytes_carried);
    tr_json_count(json, "records", c->records);
    tr_json_count(json, "records_bad", c->records_bad);
    tr_json_count(json, "records_unsampled", c->records_unsampled);
    tr_json_count(json, "objects_listed", c->objects_listed);
    tr_json_count(json, "list_requests", c->list_requests);
    tr_json_count(json, "get_requests", c->get_requests);
    tr_json_count(json, "retries", c->retries);
    tr_json_count(json, "connections", c->connections);
    tr_json_count(json, "ring_bytes", c->ring_bytes);
    tr_json_count(json, "slot_bytes", c->slot_bytes);
    tr_json_count(json, "slot_count", c->slot_count);
    tr_json_close(json, '}');
}

static int save_metrics(const struct tr_summary *summary, const char *path, const char *device,
                        struct tr_error *error)
{
    struct tr_output output;
    if (tr_output_open(&output, NULL, path, error) < 0)
        return -1;
    struct tr_json json = {output.file, false};
    tr_json_open(&json, NULL, '{');
    tr_json_text(&json, "device", device);
    tr_json_text(&json, "device_line", summary->device_line);
    tr_json_number(&json, "seconds", summary->seconds);
    tr_json_number(&json, "train_seconds", summary->train_seconds);
    tr_json_count(&json, "rows", summary->rows);
    tr_json_number(&json, "rows_per_second", (double)summary->rows / summary->train_seconds);
    tr_json_number(&json, "received_gb_per_second",
                   (double)summary->counters.bytes_received * 1e-9 / summary->train_seconds);
    put_stream(&json, summary);
    tr_json_open(&json, "feed", '{');
    tr_json_count(&json, "batches", summary->feed.batches);
    tr_json_count(&json, "batches_framed", summary->feed.batches_lent);
    tr_json_number(&json, "device_busy_s", summary->feed.busy_s);
    tr_json_number(&json, "device_stall_s", summary->feed.stall_s);
    tr_json_count(&json, "slot_bytes", summary->feed.slot_bytes);
    tr_json_count(&json, "late_allocations", summary->feed.late_allocs);
    tr_json_count(&json, "late_host_waits", summary->feed.late_host_waits);
    tr_json_count(&json, "late_pageable_copies", summary->feed.late_pageable_copies);
    if (summary->headroom > 0.0)
        tr_json_number(&json, "headroom", summary->headroom);
    tr_json_close(&json, '}');
    tr_json_open(&json, "epochs", '[');
    for (uint32_t i = 0; summary->history && i < summary->epochs && i < TR_SUMMARY_EPOCHS_MAX;
         i++) {
        tr_json_open(&json, NULL, '{');
        put_pass(&json, "train", &summary->history[i].train);
        if (summary->has_validation)
            put_pass(&json, "validation", &summary->history[i].validation);
        tr_json_close(&json, '}');
    }
    tr_json_close(&json, ']');
    if (summary->has_test)
        put_pass(&json, "test", &summary->test);
    tr_json_close(&json, '}');
    putc('\n', output.file);
    int rc = tr_output_close(&output, error);
    if (rc == 0)
        rc = tr_output_commit(&output, error);
    tr_output_discard(&output);
    return rc;
}

/* --- the model -----------------------------------------------------------------------------------
 */

/* "train_loss", "train_multiclass_accuracy". */
static size_t put_scores(struct tr_score *scores, size_t count, const char *channel,
                         const struct tr_results *results)
{
    snprintf(scores[count].name, sizeof scores[count].name, "%s_loss", channel);
    scores[count++].value = results->loss;
    for (size_t i = 0; i < results->score_count; i++) {
        snprintf(scores[count].name, sizeof scores[count].name, "%s_%.40s", channel,
                 results->scores[i].name);
        scores[count++].value = results->scores[i].value;
    }
    return count;
}

static int save_model(const struct tr_summary *summary, const struct tr_train_options *options,
                      const struct tr_model *model, const struct tr_export *arrays,
                      struct tr_error *error)
{
    struct tr_score scores[TR_CHANNEL_COUNT * (1 + TR_SCORES_MAX)];
    size_t count = put_scores(scores, 0, "train", &summary->train.results);
    if (summary->has_validation)
        count = put_scores(scores, count, "validation", &summary->validation.results);
    if (summary->has_test)
        count = put_scores(scores, count, "test", &summary->test.results);
    const struct tr_model_info info = {
        .model = model,
        .common = tr_common(options),
        .arrays = arrays,
        .epochs = summary->epochs,
        .rows = summary->train.rows,
        .scores = scores,
        .score_count = count,
    };
    return tr_model_save(options->model_dir, &info, error);
}

int tr_summary_save(const struct tr_summary *summary, const struct tr_train_options *options,
                    const struct tr_model *model, const struct tr_export *arrays,
                    struct tr_error *error)
{
    if (options->model_dir && save_model(summary, options, model, arrays, error) < 0)
        return -1;
    if (options->metrics_json)
        return save_metrics(summary, options->metrics_json, model->device->ops->name, error);
    return 0;
}
