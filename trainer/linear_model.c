/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_model.c - linear-learner for the training loop: scaling learnt from the head of
 * the data, the model of trainer/linear.h, and the names of its results.
 */
#include "trainer/linear_hyper.h"
#include "trainer/model.h"
#include "trainer/scaler.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct linear_model {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_linear_hyper hyper;
    struct tr_linear_config config;
    struct tr_linear *linear;
};

static struct linear_model *of(struct tr_model *model)
{
    return (struct linear_model *)(void *)model;
}

static const struct linear_model *seen(const struct tr_model *model)
{
    return (const struct linear_model *)(const void *)model;
}

/* --- scaling -------------------------------------------------------------------------------------
 */

static bool scales_features(const struct tr_linear_hyper *hyper)
{
    return hyper->normalize_data != TR_FALSE;
}

static bool scales_labels(const struct tr_linear_hyper *hyper)
{
    return hyper->predictor_type == TR_PREDICTOR_REGRESSOR && hyper->normalize_label != TR_FALSE;
}

static uint64_t head_rows(const void *values)
{
    const struct tr_linear_hyper *hyper = values;
    return scales_features(hyper) || scales_labels(hyper) ? hyper->num_point_for_scaler : 1;
}

/* Adds the first rows to a scaler: their features, or their labels. */
static void scan_head(const struct tr_setup *setup, struct tr_scaler *scaler, bool labels)
{
    uint64_t left = ((const struct tr_linear_hyper *)setup->hyper)->num_point_for_scaler;
    const struct penstock_batch *batch;
    for (size_t i = 0; left > 0 && (batch = tr_head_batch(setup->head, i)); i++) {
        uint32_t rows = batch->rows < left ? batch->rows : (uint32_t)left;
        if (labels)
            tr_scaler_add(scaler, batch->labels, rows, batch->label_dim);
        else
            tr_scaler_add(scaler, batch->features, rows, batch->feature_dim);
        left -= rows;
    }
}

/* mean and std (dim), each, learnt from the head. */
static int learn_scaling(const struct tr_setup *setup, bool labels, uint32_t dim, double *mean,
                         double *std, struct tr_error *error)
{
    struct tr_scaler *scaler = tr_scaler_new(dim);
    if (!scaler)
        return tr_fail(error, "no memory");
    scan_head(setup, scaler, labels);
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

/* scale (dim * 2): the mean, and 1 / std after it. */
static int learn_feature_scaling(const struct tr_setup *setup, uint32_t dim, float *scale,
                                 struct tr_error *error)
{
    double *mean = calloc((size_t)dim * 2, sizeof *mean);
    int rc = mean ? learn_scaling(setup, false, dim, mean, mean + dim, error)
                  : tr_fail(error, "no memory");
    for (uint32_t i = 0; i < dim && rc == 0; i++) {
        scale[i] = (float)mean[i];
        scale[dim + i] = (float)fmin(1.0 / mean[dim + i], (double)FLT_MAX);
    }
    free(mean);
    return rc;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void model_free(struct tr_model *model)
{
    tr_linear_free(&of(model)->linear);
    free(of(model));
}

static int make(const struct tr_setup *setup, struct linear_model *m, float *scale,
                struct tr_error *error)
{
    uint32_t dim = m->config.dim;
    if (scales_features(&m->hyper)) {
        if (learn_feature_scaling(setup, dim, scale, error) < 0)
            return -1;
        m->config.mean = scale;
        m->config.inv_std = scale + dim;
    }
    if (scales_labels(&m->hyper) &&
        learn_scaling(setup, true, 1, &m->config.label_mean, &m->config.label_std, error) < 0)
        return -1;
    int rc = tr_linear_new(setup->device, &m->config, &m->linear, error);
    m->config.mean = NULL; /* not looked at again */
    m->config.inv_std = NULL;
    return rc;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    uint32_t dim = tr_head_batch(setup->head, 0)->feature_dim;
    struct linear_model *m = calloc(1, sizeof *m);
    float *scale = calloc((size_t)dim * 2, sizeof *scale);
    int rc = -1;
    *out = NULL;
    if (!m || !scale) {
        tr_fail(error, "no memory");
    } else {
        m->base = (struct tr_model){&tr_model_linear, setup->device};
        m->hyper = *(const struct tr_linear_hyper *)setup->hyper;
        tr_linear_hyper_config(&m->hyper, dim, &m->config);
        rc = make(setup, m, scale, error);
    }
    free(scale);
    if (rc < 0)
        free(m);
    else
        *out = &m->base;
    return rc;
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct tr_linear_config *c = &seen(model)->config;
    snprintf(text, text_bytes, "%s, %u features, %u output%s, %s, learning rate %.4g",
             tr_linear_predictor_name(&seen(model)->hyper), c->dim, c->outputs,
             c->outputs == 1 ? "" : "s", c->optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd",
             c->learning_rate);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    const struct tr_linear_config *config = &seen(model)->config;
    uint32_t bad = tr_linear_check_labels(config, batch->labels, batch->label_dim, batch->rows);
    if (bad == batch->rows)
        return 0;
    char wanted[64] = "a finite number";
    if (config->loss == TR_LOSS_LOGISTIC)
        snprintf(wanted, sizeof wanted, "0 or 1");
    else if (config->loss == TR_LOSS_SOFTMAX)
        snprintf(wanted, sizeof wanted, "a whole number from 0 to %u (num_classes - 1)",
                 config->outputs - 1);
    return tr_fail(error,
                   "channel %s, epoch %u, row %llu (the first row is 0): the label is %.9g, not %s",
                   channel, batch->epoch, (unsigned long long)(batch->position + bad),
                   (double)batch->labels[(size_t)bad * batch->label_dim], wanted);
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    return tr_linear_step(of(model)->linear, batch->features, batch->labels, batch->host->label_dim,
                          batch->host->rows, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    return tr_linear_evaluate(of(model)->linear, batch->features, batch->labels,
                              batch->host->label_dim, batch->host->rows, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static bool is_classes(enum tr_loss loss)
{
    return loss == TR_LOSS_SOFTMAX || loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE;
}

static const char *objective(const struct tr_model *model)
{
    static const char *const names[TR_LOSS_COUNT] = {
        [TR_LOSS_SQUARED] = "mse_objective",
        [TR_LOSS_LOGISTIC] = "binary_classification_cross_entropy_objective",
        [TR_LOSS_SOFTMAX] = "multiclass_cross_entropy_objective",
        [TR_LOSS_HINGE] = "hinge_loss_objective",
        [TR_LOSS_ABSOLUTE] = "absolute_loss_objective",
        [TR_LOSS_HUBER] = "huber_loss_objective",
        [TR_LOSS_QUANTILE] = "quantile_loss_objective",
        [TR_LOSS_EPS_SQUARED] = "eps_insensitive_squared_loss_objective",
        [TR_LOSS_EPS_ABSOLUTE] = "eps_insensitive_absolute_loss_objective",
    };
    return names[seen(model)->config.loss];
}

static const char *score_name(enum tr_loss loss)
{
    if (loss == TR_LOSS_SOFTMAX)
        return "multiclass_accuracy";
    return is_classes(loss) ? "binary_classification_accuracy" : "mse";
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    enum tr_loss loss = of(model)->config.loss;
    struct tr_stats sums;
    if (tr_linear_read_sums(of(model)->linear, which, true, &sums, error) < 0)
        return -1;
    *out = (struct tr_results){.rows = sums.rows, .loss = sums.loss_sum / sums.rows};
    struct tr_score *score = &out->scores[out->score_count++];
    score->is_loss = loss == TR_LOSS_SQUARED;
    score->value = score->is_loss ? out->loss : sums.correct / sums.rows;
    snprintf(score->name, sizeof score->name, "%s", score_name(loss));
    return 0;
}

static int peek_loss(struct tr_model *model, double *loss, struct tr_error *error)
{
    struct tr_stats sums;
    if (tr_linear_peek_sums(of(model)->linear, &sums, error) < 0)
        return -1;
    *loss = sums.rows > 0.0 ? sums.loss_sum / sums.rows : 0.0;
    return 0;
}

static const char *prediction_of(enum tr_loss loss)
{
    if (loss == TR_LOSS_SOFTMAX)
        return "argmax(x @ weights + bias), x raw features";
    return is_classes(loss) ? "1 if x @ weights + bias > 0 else 0, x raw features"
                            : "x @ weights + bias, x raw features";
}

static int export_arrays(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    const struct tr_linear_config *c = &of(model)->config;
    const uint64_t shape[] = {c->dim, c->outputs};
    float *weights = tr_export_add(out, "weights", 2, shape, error);
    float *bias = weights ? tr_export_add(out, "bias", 1, shape + 1, error) : NULL;
    tr_export_fact(out, "feature_dim", c->dim);
    tr_export_fact(out, "outputs", c->outputs);
    out->variant = tr_linear_predictor_name(&of(model)->hyper);
    out->prediction = prediction_of(c->loss);
    return bias ? tr_linear_export(of(model)->linear, weights, bias, error) : -1;
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct tr_linear_config *c = &seen(model)->config;
    tr_json_text(json, "optimizer", c->optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd");
    tr_json_number(json, "learning_rate", c->learning_rate);
    if (c->optimizer == TR_OPTIMIZER_ADAM) {
        tr_json_number(json, "beta_1", c->beta1);
        tr_json_number(json, "beta_2", c->beta2);
    } else {
        tr_json_number(json, "momentum", c->momentum);
    }
    tr_json_truth(json, "use_lr_scheduler", c->lr_step > 0);
    if (c->lr_step > 0) {
        tr_json_count(json, "lr_scheduler_step", c->lr_step);
        tr_json_number(json, "lr_scheduler_factor", c->lr_factor);
        tr_json_number(json, "lr_scheduler_minimum_lr", c->lr_minimum);
    }
    tr_json_number(json, "wd", c->wd);
    tr_json_number(json, "l1", c->l1);
    tr_json_truth(json, "use_bias", c->use_bias);
    tr_json_truth(json, "normalize_data", scales_features(&seen(model)->hyper));
}

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    return tr_linear_state(of(model)->linear, items);
}

const struct tr_model_ops tr_model_linear = {
    .name = "linear-learner",
    .title = "Linear Learner",
    .hyper = &tr_linear_hyper_table,
    .takes = TR_TAKES_DENSE | TR_NEEDS_LABELS,
    .head_rows = head_rows,
    .create = create,
    .free = model_free,
    .describe = describe,
    .check = check,
    .step = step,
    .evaluate = evaluate,
    .objective = objective,
    .results = results,
    .peek_loss = peek_loss,
    .export_arrays = export_arrays,
    .put_config = put_config,
    .state = state,
};
