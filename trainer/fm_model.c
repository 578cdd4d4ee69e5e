/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_model.c - factorization-machines for the training loop: the model of trainer/fm.h, and
 * the names of its results.
 */
#include "trainer/fm_hyper.h"
#include "trainer/loss.h"
#include "trainer/onnx.h"
#include "trainer/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fm_model {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_fm_hyper hyper;
    struct tr_fm_config config;
    struct tr_fm *fm;
};

static struct fm_model *of(struct tr_model *model)
{
    return (struct fm_model *)(void *)model;
}

static const struct fm_model *seen(const struct tr_model *model)
{
    return (const struct fm_model *)(const void *)model;
}

static uint64_t head_rows(const void *values)
{
    (void)values;
    return 1;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    struct fm_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->base = (struct tr_model){&tr_model_fm, setup->device, setup->group};
    m->hyper = *(const struct tr_fm_hyper *)setup->hyper;
    tr_fm_hyper_config(&m->hyper, m->hyper.common.feature_dim, setup->seed, &m->config);
    m->config.group = setup->group;
    if (tr_fm_new(setup->device, &m->config, &m->fm, error) < 0) {
        free(m);
        return -1;
    }
    *out = &m->base;
    return 0;
}

static void model_free(struct tr_model *model)
{
    tr_fm_free(&of(model)->fm);
    free(of(model));
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct tr_fm_config *c = &seen(model)->config;
    snprintf(text, text_bytes, "%s, %u features, %u factors, adam",
             tr_predictor_name(seen(model)->hyper.predictor_type), c->dim, c->factor_count);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    const struct tr_fm_config *config = &seen(model)->config;
    if (tr_shape_check_labels(config->loss, 1, channel, batch, error) < 0)
        return -1;
    return batch->row_offsets ? tr_shape_check_columns(config->dim, channel, batch, error) : 0;
}

static int prepare(struct tr_model *model, const struct tr_device_batch *batch,
                   struct tr_error *error)
{
    return tr_fm_prepare(of(model)->fm, batch, error);
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    return tr_fm_step(of(model)->fm, batch, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    return tr_fm_evaluate(of(model)->fm, batch, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static const char *objective(const struct tr_model *model)
{
    return tr_loss_objective(seen(model)->config.loss);
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    struct tr_stats sums;
    if (tr_fm_read_sums(of(model)->fm, which, true, &sums, error) < 0)
        return -1;
    *out = (struct tr_results){.rows = sums.rows, .loss = sums.loss_sum / sums.rows};
    if (of(model)->config.loss == TR_LOSS_LOGISTIC) {
        double wrong = sums.false_positive + sums.false_negative;
        double all = 2.0 * sums.true_positive + wrong;
        tr_results_add(out, "binary_classification_accuracy", false, sums.correct / sums.rows);
        tr_results_add(out, "binary_classification_cross_entropy", true, out->loss);
        tr_results_add(out, "binary_f_1.000", false,
                       all > 0.0 ? 2.0 * sums.true_positive / all : 0.0);
    } else {
        tr_results_add(out, "rmse", true, sqrt(sums.squared / sums.rows));
        tr_results_add(out, "mse", true, sums.squared / sums.rows);
        tr_results_add(out, "absolute_loss", true, sums.absolute / sums.rows);
    }
    return 0;
}

static int peek_loss(struct tr_model *model, double *loss, struct tr_error *error)
{
    struct tr_stats sums;
    if (tr_fm_peek_sums(of(model)->fm, &sums, error) < 0)
        return -1;
    *loss = sums.rows > 0.0 ? sums.loss_sum / sums.rows : 0.0;
    return 0;
}

static int export_arrays(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    const struct tr_fm_config *c = &of(model)->config;
    const uint64_t one = 1;
    const uint64_t shape[] = {c->dim, c->factor_count};
    float *bias = tr_export_add(out, "bias", 1, &one, error);
    float *linear = bias ? tr_export_add(out, "linear", 1, shape, error) : NULL;
    float *factors = linear ? tr_export_add(out, "factors", 2, shape, error) : NULL;
    tr_export_fact(out, "feature_dim", c->dim);
    tr_export_fact(out, "num_factors", c->factor_count);
    out->variant = tr_predictor_name(of(model)->hyper.predictor_type);
    out->prediction =
        c->loss == TR_LOSS_LOGISTIC
            ? "1 if s > 0 else 0, s = bias + x @ linear + (((x @ factors)**2).sum(-1) - (x**2 @ "
              "factors**2).sum(-1)) / 2, x raw features"
            : "bias + x @ linear + (((x @ factors)**2).sum(-1) - (x**2 @ factors**2).sum(-1)) / 2, "
              "x raw features";
    return factors ? tr_fm_export(of(model)->fm, bias, linear, factors, error) : -1;
}

static void onnx(const struct tr_model *model, const struct tr_export *arrays,
                 struct fmt_onnx_graph *graph)
{
    tr_onnx_fm(arrays, seen(model)->config.loss, graph);
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    static const char *const rates[TR_FM_GROUP_COUNT] = {"bias_lr", "linear_lr", "factors_lr"};
    static const char *const decays[TR_FM_GROUP_COUNT] = {"bias_wd", "linear_wd", "factors_wd"};
    const struct tr_fm_config *c = &seen(model)->config;
    tr_json_text(json, "optimizer", "adam");
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        tr_json_number(json, rates[i], c->groups[i].learning_rate);
        tr_json_number(json, decays[i], c->groups[i].wd);
    }
    tr_json_number(json, "eps", c->epsilon);
    if (c->clip > 0.0)
        tr_json_number(json, "clip_gradient", c->clip);
    if (c->row_rate > 0.0)
        tr_json_number(json, "rescale_grad", c->row_rate);
}

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    return tr_fm_state(of(model)->fm, items);
}

static int restored(struct tr_model *model, struct tr_error *error)
{
    return tr_fm_unfold(of(model)->fm, error);
}

static int fold(struct tr_model *model, struct tr_error *error)
{
    return tr_fm_fold(of(model)->fm, error);
}

const struct tr_model_ops tr_model_fm = {
    .name = "factorization-machines",
    .title = "factorization-machines",
    .hyper = &tr_fm_hyper_table,
    .takes = TR_TAKES_DENSE | TR_TAKES_SPARSE | TR_NEEDS_LABELS,
    .head_rows = head_rows,
    .create = create,
    .free = model_free,
    .describe = describe,
    .check = check,
    .prepare = prepare,
    .step = step,
    .evaluate = evaluate,
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
