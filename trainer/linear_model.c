/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_model.c - linear-learner for the training loop: the models of trainer/linear.h,
 * the best of them, and the names of its results.
 */
#include "trainer/linear_head.h"
#include "trainer/onnx.h"
#include "trainer/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct linear_model {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_linear_hyper hyper;
    struct tr_linear_config config;
    struct tr_linear *linear;
    /* The best of the models by the last validation, or the last epoch where there is none. */
    struct choice {
        uint32_t model_no;
        uint32_t idle_epochs; /* without an improvement */
        double best;          /* merit so far; NAN before the first epoch */
        double now;           /* merit of the epoch that is running out */
    } choice;
    bool epoch_is_over; /* its training: what is evaluated now is validation */
};

static struct linear_model *of(struct tr_model *model)
{
    return (struct linear_model *)(void *)model;
}

static const struct linear_model *seen(const struct tr_model *model)
{
    return (const struct linear_model *)(const void *)model;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static void model_free(struct tr_model *model)
{
    tr_linear_free(&of(model)->linear);
    free(of(model));
}

static int make(const struct tr_setup *setup, struct linear_model *m, struct tr_error *error)
{
    const struct penstock_batch *first = tr_head_batch(setup->head, 0);
    struct tr_linear_learnt learnt;
    if (first->feature_dim == 0)
        return tr_fail(error, "hyperparameter feature_dim is required: the sparse rows do not tell "
                              "how many columns there are");
    tr_linear_hyper_config(&m->hyper, first->feature_dim, &m->config);
    m->config.sparse = first->row_offsets != NULL;
    m->config.group = setup->group;
    int rc = tr_linear_learn(setup, &m->config, &learnt, error);
    if (rc == 0)
        rc = tr_linear_new(setup->device, &m->config, &m->linear, error);
    tr_linear_forget(&learnt);
    m->config.mean = NULL;
    m->config.inv_std = NULL;
    m->config.class_weights = NULL;
    return rc;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    struct linear_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->base = (struct tr_model){&tr_model_linear, setup->device, setup->group};
    m->hyper = *(const struct tr_linear_hyper *)setup->hyper;
    m->choice.best = NAN;
    if (make(setup, m, error) < 0) {
        free(m);
        return -1;
    }
    *out = &m->base;
    return 0;
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct tr_linear_config *c = &seen(model)->config;
    char models[32] = "";
    if (c->models > 1)
        snprintf(models, sizeof models, "%u models, ", c->models);
    snprintf(text, text_bytes, "%s, %s%u%s features, %u output%s, %s, learning rate %.4g",
             tr_predictor_name(seen(model)->hyper.predictor.type), models, c->dim,
             c->sparse ? " sparse" : "", c->outputs, c->outputs == 1 ? "" : "s",
             c->optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd", c->learning_rate);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    const struct tr_linear_config *config = &seen(model)->config;
    if (config->sparse != (batch->row_offsets != NULL))
        return tr_fail(error, "the %s channel's rows are %s, the training channel's are not",
                       channel, config->sparse ? "dense" : "sparse");
    if (tr_shape_check_labels(config->loss, config->outputs, channel, batch, error) < 0)
        return -1;
    return config->sparse ? tr_shape_check_columns(config->dim, channel, batch, error) : 0;
}

static struct tr_linear_rows rows_of(const struct tr_device_batch *batch)
{
    const struct penstock_batch *host = batch->host;
    return (struct tr_linear_rows){
        .features = batch->features,
        .labels = batch->labels,
        .label_dim = host->label_dim,
        .count = host->rows,
        .elsewhere = host->rows_elsewhere,
        .weights = batch->weights,
        .row_offsets = batch->row_offsets,
        .columns = batch->columns,
        .values = batch->values,
        .entries = host->row_offsets ? host->row_offsets[host->rows] : 0,
    };
}

static int prepare(struct tr_model *model, const struct tr_device_batch *batch,
                   struct tr_error *error)
{
    const struct tr_linear_rows rows = rows_of(batch);
    return tr_linear_prepare(of(model)->linear, &rows, error);
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    const struct tr_linear_rows rows = rows_of(batch);
    return tr_linear_step(of(model)->linear, &rows, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    const struct tr_linear_rows rows = rows_of(batch);
    return tr_linear_evaluate(of(model)->linear, &rows, error);
}

/* --- the best model ------------------------------------------------------------------------------
 */

static double f_beta_of(const struct tr_stats *sums, double beta)
{
    double positives = (1.0 + beta * beta) * sums->true_positive;
    double all = positives + beta * beta * sums->false_negative + sums->false_positive;
    return all > 0.0 ? positives / all : 0.0;
}

/* What is to be small. */
static double merit(const struct linear_model *m, const struct tr_stats *sums)
{
    bool binary = tr_loss_is_of_classes(m->config.loss) && m->config.loss != TR_LOSS_SOFTMAX;
    double loss = sums->loss_sum / sums->rows;
    if (!isfinite(loss))
        return INFINITY;
    if (binary && m->hyper.selection == TR_LINEAR_BY_ACCURACY)
        return 1.0 - sums->correct / sums->rows;
    if (binary && m->hyper.selection == TR_LINEAR_BY_F_BETA)
        return 1.0 - f_beta_of(sums, m->hyper.f_beta);
    return loss;
}

static void choose(struct linear_model *m, const struct tr_stats *sums)
{
    m->choice.model_no = 0;
    m->choice.now = merit(m, &sums[0]);
    for (uint32_t i = 1; i < m->config.models; i++) {
        double now = merit(m, &sums[i]);
        if (now < m->choice.now) {
            m->choice.model_no = i;
            m->choice.now = now;
        }
    }
}

static int epoch_end(struct tr_model *model, uint32_t epoch, bool last, struct tr_error *error)
{
    (void)epoch;
    (void)last;
    (void)error;
    of(model)->epoch_is_over = true;
    return 0;
}

static bool goes_on(struct tr_model *model, const struct tr_results *train,
                    const struct tr_results *validation)
{
    struct linear_model *m = of(model);
    struct choice *c = &m->choice;
    (void)train;
    (void)validation;
    m->epoch_is_over = false;
    if (isnan(c->best) || c->now < c->best * (1.0 - m->hyper.early_stopping_tolerance)) {
        c->best = c->now;
        c->idle_epochs = 0;
    } else {
        c->idle_epochs++;
    }
    return m->hyper.early_stopping_patience == 0 ||
           c->idle_epochs < m->hyper.early_stopping_patience;
}

/* --- results -------------------------------------------------------------------------------------
 */

static const char *objective(const struct tr_model *model)
{
    return tr_loss_objective(seen(model)->config.loss);
}

static double ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : 0.0;
}

static void add_binary_scores(const struct linear_model *m, const struct tr_stats *s,
                              struct tr_results *out)
{
    double tp = s->true_positive;
    char f_name[TR_SCORE_NAME_BYTES];
    tr_results_add(out, "binary_classification_accuracy", false, s->correct / s->rows);
    snprintf(f_name, sizeof f_name, "binary_f_%.3f", m->hyper.f_beta);
    tr_results_add(out, f_name, false, f_beta_of(s, m->hyper.f_beta));
    tr_results_add(out, "precision", false, ratio(tp, tp + s->false_positive));
    tr_results_add(out, "recall", false, ratio(tp, tp + s->false_negative));
}

static void add_scores(const struct linear_model *m, const struct tr_stats *s,
                       struct tr_results *out)
{
    const struct tr_linear_config *c = &m->config;
    char name[TR_SCORE_NAME_BYTES];
    if (c->loss == TR_LOSS_SOFTMAX) {
        tr_results_add(out, "multiclass_accuracy", false, s->correct / s->rows);
        if (c->top_k > 1 && c->top_k < c->outputs) {
            snprintf(name, sizeof name, "multiclass_top_k_accuracy_%u", c->top_k);
            tr_results_add(out, name, false, s->correct_top / s->rows);
        }
    } else if (tr_loss_is_of_classes(c->loss)) {
        add_binary_scores(m, s, out);
    } else {
        tr_results_add(out, "mse", true, s->squared / s->rows);
        tr_results_add(out, "absolute_loss", true, s->absolute / s->rows);
    }
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    struct linear_model *m = of(model);
    struct tr_stats sums[TR_LINEAR_MODELS_MAX];
    if (tr_linear_read_sums(m->linear, which, true, sums, error) < 0)
        return -1;
    if (which == TR_SUMS_TRAIN || m->epoch_is_over)
        choose(m, sums);
    const struct tr_stats *best = &sums[m->choice.model_no];
    *out = (struct tr_results){.rows = best->rows, .loss = best->loss_sum / best->rows};
    add_scores(m, best, out);
    return 0;
}

static int fold(struct tr_model *model, struct tr_error *error)
{
    return tr_linear_fold(of(model)->linear, error);
}

static int restored(struct tr_model *model, struct tr_error *error)
{
    return tr_linear_unfold(of(model)->linear, error);
}

static int peek_loss(struct tr_model *model, double *loss, struct tr_error *error)
{
    struct linear_model *m = of(model);
    struct tr_stats sums[TR_LINEAR_MODELS_MAX];
    if (tr_linear_peek_sums(m->linear, sums, error) < 0)
        return -1;
    const struct tr_stats *best = &sums[m->choice.model_no];
    *loss = best->rows > 0.0 ? best->loss_sum / best->rows : 0.0;
    return 0;
}

static const char *prediction_of(enum tr_loss loss)
{
    if (loss == TR_LOSS_SOFTMAX)
        return "argmax(x @ weights + bias), x raw features";
    return tr_loss_is_of_classes(loss) ? "1 if x @ weights + bias > 0 else 0, x raw features"
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
    out->variant = tr_predictor_name(of(model)->hyper.predictor.type);
    out->prediction = prediction_of(c->loss);
    return bias ? tr_linear_export(of(model)->linear, of(model)->choice.model_no, weights, bias,
                                   error)
                : -1;
}

static void onnx(const struct tr_model *model, const struct tr_export *arrays,
                 struct fmt_onnx_graph *graph)
{
    tr_onnx_linear(arrays, seen(model)->config.loss, graph);
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct linear_model *m = seen(model);
    const struct tr_linear_config *c = &m->config;
    struct tr_linear_rates rates = tr_linear_rates_of(c, m->choice.model_no);
    tr_json_text(json, "loss", tr_linear_loss_name(c->loss));
    tr_json_text(json, "optimizer", c->optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd");
    tr_json_number(json, "learning_rate", rates.learning_rate);
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
    tr_json_number(json, "wd", rates.wd);
    tr_json_number(json, "l1", c->l1);
    tr_json_truth(json, "use_bias", c->use_bias);
    tr_json_truth(json, "normalize_data", tr_predictor_scales_features(&m->hyper.predictor));
    if (c->models > 1) {
        tr_json_count(json, "num_models", c->models);
        tr_json_count(json, "best_model", m->choice.model_no);
    }
}

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    struct linear_model *m = of(model);
    size_t count = tr_linear_state(m->linear, items);
    items[count++] = (struct tr_state_item){"choice", &m->choice, sizeof m->choice, false};
    items[count++] =
        (struct tr_state_item){"epoch_is_over", &m->epoch_is_over, sizeof m->epoch_is_over, false};
    return count;
}

const struct tr_model_ops tr_model_linear = {
    .name = "linear-learner",
    .title = "Linear Learner",
    .hyper = &tr_linear_hyper_table,
    .takes = TR_TAKES_DENSE | TR_TAKES_SPARSE | TR_TAKES_WEIGHTS | TR_NEEDS_LABELS,
    .head_rows = tr_linear_head_rows,
    .create = create,
    .free = model_free,
    .describe = describe,
    .check = check,
    .prepare = prepare,
    .step = step,
    .evaluate = evaluate,
    .epoch_end = epoch_end,
    .goes_on = goes_on,
    .objective = objective,
    .results = results,
    .peek_loss = peek_loss,
    .export_arrays = export_arrays,
    .onnx = onnx,
    .put_config = put_config,
    .state = state,
    .restored = restored,
    .fold = fold,
};
