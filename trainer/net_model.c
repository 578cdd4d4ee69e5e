/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_model.c - see trainer/net_model.h. */
#include "trainer/net_model.h"

#include "trainer/loss.h"
#include "trainer/scaler.h"
#include "trainer/shape.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* --- scaling -------------------------------------------------------------------------------------
 */

/* Row `row` of a batch as float32 pixels. */
static void read_row(const struct tr_net_config *config, const struct penstock_batch *batch,
                     uint32_t row, float *out)
{
    size_t channels = config->plan.in.channels;
    size_t pixels = (size_t)config->plan.in.height * config->plan.in.width;
    size_t base = (size_t)row * pixels * channels;
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        for (size_t c = 0; c < channels; c++) {
            size_t at = base + (config->planes ? c * pixels + pixel : pixel * channels + c);
            out[pixel * channels + c] =
                config->bytes ? (float)((const uint8_t *)batch->data)[at] : batch->features[at];
        }
    }
}

/* Adds the first rows to a scaler; `row` has room for one. */
static void scan_head(const struct tr_setup *setup, const struct tr_net_config *config,
                      uint64_t rows, bool labels, struct tr_scaler *scaler, float *row)
{
    uint32_t pixels = config->plan.in.height * config->plan.in.width;
    const struct penstock_batch *batch;
    for (size_t i = 0; rows > 0 && (batch = tr_head_batch(setup->head, i)); i++) {
        uint32_t n = batch->rows < rows ? batch->rows : (uint32_t)rows;
        if (labels)
            tr_scaler_add(scaler, batch->labels, n, batch->label_dim);
        for (uint32_t r = 0; r < n && !labels; r++) {
            read_row(config, batch, r, row);
            tr_scaler_add(scaler, row, pixels, config->plan.in.channels);
        }
        rows -= n;
    }
}

/* mean and std (dim), each, learnt from the head. */
static int learn(const struct tr_setup *setup, const struct tr_net_config *config, uint64_t rows,
                 bool labels, double *mean, double *std, struct tr_error *error)
{
    uint32_t dim = labels ? 1 : config->plan.in.channels;
    struct tr_scaler *scaler = tr_scaler_new(dim);
    float *row = malloc(tr_extent_values(&config->plan.in) * sizeof *row);
    int rc = 0;
    if (scaler && row) {
        scan_head(setup, config, rows, labels, scaler, row);
        tr_scaler_get(scaler, mean, std);
    } else {
        rc = tr_fail(error, "no memory");
    }
    tr_scaler_free(&scaler);
    free(row);
    for (uint32_t i = 0; i < dim && rc == 0; i++) {
        if (!isfinite(mean[i]) || !isfinite(std[i]))
            rc = tr_fail(error, "%s %u holds values that are not finite numbers in the first rows",
                         labels ? "label column" : "feature column", i);
    }
    return rc;
}

/* --- life ----------------------------------------------------------------------------------------
 */

/* scale (2, channels) and buffer (2, channels) are scratch. */
static int make(const struct tr_setup *setup, const struct tr_net_scaling *scaling,
                struct tr_net_model *model, float *scale, double *buffer, struct tr_error *error)
{
    struct tr_net_config *config = &model->config;
    uint32_t channels = config->plan.in.channels;
    if (scaling->labels && learn(setup, config, scaling->rows, true, &config->label_mean,
                                 &config->label_std, error) < 0)
        return -1;
    if (scaling->features) {
        if (learn(setup, config, scaling->rows, false, buffer, buffer + channels, error) < 0)
            return -1;
        for (uint32_t i = 0; i < channels; i++) {
            scale[i] = (float)buffer[i];
            scale[channels + i] = (float)fmin(1.0 / buffer[channels + i], (double)FLT_MAX);
        }
        config->mean = scale;
        config->inv_std = scale + channels;
    }
    config->group = setup->group;
    int rc = tr_net_new(setup->device, config, &model->net, error);
    config->mean = NULL; /* not looked at again */
    config->inv_std = NULL;
    return rc;
}

int tr_net_model_create(const struct tr_setup *setup, const struct tr_net_scaling *scaling,
                        struct tr_net_model *model, struct tr_model **out, struct tr_error *error)
{
    size_t values = (size_t)model->config.plan.in.channels * 2;
    float *scale = calloc(values, sizeof *scale);
    double *buffer = calloc(values, sizeof *buffer);
    int rc = scale && buffer ? make(setup, scaling, model, scale, buffer, error)
                             : tr_fail(error, "no memory");
    free(scale);
    free(buffer);
    if (rc < 0)
        free(model);
    *out = rc < 0 ? NULL : &model->base;
    return rc;
}

void tr_net_model_free(struct tr_model *model)
{
    tr_net_free(&tr_net_model_of(model)->net);
    free(tr_net_model_of(model));
}

/* --- batches -------------------------------------------------------------------------------------
 */

static uint32_t outputs_of(const struct tr_net_config *config)
{
    return config->plan.layers[config->plan.layer_count - 1].outputs;
}

int tr_net_model_check(const struct tr_model *model, const char *channel,
                       const struct penstock_batch *batch, struct tr_error *error)
{
    const struct tr_net_config *config = &tr_net_model_seen(model)->config;
    if ((batch->type == PENSTOCK_UINT8) != config->bytes)
        return tr_fail(error, "the %s channel's features are %s, the training channel's %s",
                       channel, config->bytes ? "float32" : "uint8",
                       config->bytes ? "uint8" : "float32");
    return tr_shape_check_labels(config->loss, outputs_of(config), channel, batch, error);
}

static double rate_of_step(const struct tr_net_rate *rate, uint64_t step, uint32_t epoch)
{
    double behind = rate->every_steps > 0 ? (double)(step / rate->every_steps) : 0.0;
    for (uint32_t i = 0; i < rate->at_epochs.count; i++)
        behind += epoch >= rate->at_epochs.at[i] ? 1.0 : 0.0;
    return fmax(rate->start * pow(rate->factor, behind), fmin(rate->least, rate->start));
}

static struct tr_net_rows rows_of(const struct tr_device_batch *batch)
{
    const struct penstock_batch *host = batch->host;
    return (struct tr_net_rows){batch->data, batch->labels,   host->label_dim,
                                host->rows,  host->first_row, host->rows_elsewhere};
}

int tr_net_model_step(struct tr_model *model, const struct tr_device_batch *batch,
                      struct tr_error *error)
{
    struct tr_net_model *m = tr_net_model_of(model);
    double rate = rate_of_step(&m->rate, tr_net_steps(m->net), batch->host->epoch);
    const struct tr_net_rows rows = rows_of(batch);
    return tr_net_step(m->net, &rows, rate, error);
}

int tr_net_model_evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                          struct tr_error *error)
{
    const struct tr_net_rows rows = rows_of(batch);
    return tr_net_evaluate(tr_net_model_of(model)->net, &rows, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

const char *tr_net_model_objective(const struct tr_model *model)
{
    return tr_loss_objective(tr_net_model_seen(model)->config.loss);
}

int tr_net_model_results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                         struct tr_error *error)
{
    enum tr_loss loss = tr_net_model_of(model)->config.loss;
    const char *name = loss == TR_LOSS_SOFTMAX    ? "multiclass_accuracy"
                       : loss == TR_LOSS_LOGISTIC ? "binary_classification_accuracy"
                                                  : "mse";
    struct tr_stats sums;
    if (tr_net_take_sums(tr_net_model_of(model)->net, which, &sums, error) < 0)
        return -1;
    *out = (struct tr_results){.rows = sums.rows, .loss = sums.loss_sum / sums.rows};
    bool squares = loss == TR_LOSS_SQUARED;
    tr_results_add(out, name, squares, squares ? out->loss : sums.correct / sums.rows);
    return 0;
}

int tr_net_model_peek_loss(struct tr_model *model, double *loss, struct tr_error *error)
{
    struct tr_stats sums;
    if (tr_net_peek_sums(tr_net_model_of(model)->net, &sums, error) < 0)
        return -1;
    *loss = sums.rows > 0.0 ? sums.loss_sum / sums.rows : 0.0;
    return 0;
}

int tr_net_model_fold(struct tr_model *model, struct tr_error *error)
{
    return tr_net_fold(tr_net_model_of(model)->net, error);
}

int tr_net_model_restored(struct tr_model *model, struct tr_error *error)
{
    return tr_net_unfold(tr_net_model_of(model)->net, error);
}

size_t tr_net_model_state(struct tr_model *model, struct tr_state_item *items)
{
    struct tr_net_model *m = tr_net_model_of(model);
    size_t count = tr_net_state(m->net, items);
    /* The export's copies: a run that goes on elsewhere has learnt others from other first rows. */
    items[count++] = (struct tr_state_item){"export.label_mean", &m->config.label_mean,
                                            sizeof m->config.label_mean, false};
    items[count++] = (struct tr_state_item){"export.label_std", &m->config.label_std,
                                            sizeof m->config.label_std, false};
    return count;
}

void tr_net_model_put_optimizer(const struct tr_net_model *model, struct tr_json *json)
{
    const struct tr_net_config *config = &model->config;
    bool adam = config->optimizer == TR_OPTIMIZER_ADAM;
    tr_json_text(json, "optimizer", adam ? "adam" : "sgd");
    tr_json_number(json, "learning_rate", model->rate.start);
    if (adam) {
        tr_json_number(json, "beta_1", config->beta1);
        tr_json_number(json, "beta_2", config->beta2);
    } else {
        tr_json_number(json, "momentum", config->momentum);
    }
}
