/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mlp.c - mlp, a multi-layer perceptron of one to three hidden layers, for the training
 * loop.
 */
#include "trainer/mlp_hyper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mlp {
    struct tr_net_model net; /* first */
    struct tr_mlp_hyper hyper;
};

static const struct mlp *seen(const struct tr_model *model)
{
    return (const struct mlp *)(const void *)model;
}

static struct tr_net_scaling scaling_of(const struct tr_mlp_hyper *hyper)
{
    return (struct tr_net_scaling){
        .features = tr_predictor_scales_features(&hyper->predictor),
        .labels = tr_predictor_scales_labels(&hyper->predictor),
        .rows = hyper->predictor.num_point_for_scaler,
    };
}

static uint64_t head_rows(const void *values)
{
    struct tr_net_scaling scaling = scaling_of(values);
    return scaling.features || scaling.labels ? scaling.rows : 1;
}

static void say_prediction(struct mlp *m)
{
    static const char *const ends[] = {[TR_LOSS_SOFTMAX] = "argmax(%s)",
                                       [TR_LOSS_LOGISTIC] = "1 if %s > 0 else 0",
                                       [TR_LOSS_SQUARED] = "%s"};
    static const char score[] = "h @ output.weights + output.bias";
    const char *end = ends[m->net.config.loss];
    const char *place = strchr(end, '%');
    snprintf(m->net.prediction, sizeof m->net.prediction,
             "h = x, raw features; for every i: h = %s(h @ hidden_i.weights + hidden_i.bias); "
             "%.*s%s%s",
             m->hyper.activation == TR_ACTIVATION_TANH ? "tanh" : "relu", (int)(place - end), end,
             score, place + 2);
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    const struct penstock_batch *first = tr_head_batch(setup->head, 0);
    struct mlp *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->hyper = *(const struct tr_mlp_hyper *)setup->hyper;
    m->net.base = (struct tr_model){&tr_model_mlp, setup->device, setup->group};
    tr_mlp_hyper_config(&m->hyper, first->feature_dim, &m->net.config, &m->net.rate);
    m->net.config.bytes = first->type == PENSTOCK_UINT8;
    m->net.config.seed = setup->seed;
    m->net.variant = tr_predictor_name(m->hyper.predictor.type);
    say_prediction(m);
    struct tr_net_scaling scaling = scaling_of(&m->hyper);
    return tr_net_model_create(setup, &scaling, &m->net, out, error);
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct tr_net_model *net = tr_net_model_seen(model);
    const struct tr_plan *plan = &net->config.plan;
    char sizes[128];
    size_t len = (size_t)snprintf(sizes, sizeof sizes, "%u", plan->in.channels);
    for (uint32_t k = 0; k < plan->layer_count; k++)
        len += (size_t)snprintf(sizes + len, sizeof sizes - len, "-%u", plan->layers[k].outputs);
    snprintf(text, text_bytes, "%s, %s, %s, %s, learning rate %.4g", net->variant, sizes,
             seen(model)->hyper.activation == TR_ACTIVATION_TANH ? "tanh" : "relu",
             net->config.optimizer == TR_OPTIMIZER_ADAM ? "adam" : "sgd", net->rate.start);
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct tr_mlp_hyper *hyper = &seen(model)->hyper;
    const struct tr_net_model *net = tr_net_model_seen(model);
    tr_json_open(json, "hidden_layers", '[');
    for (uint32_t i = 0; i < hyper->hidden_layers.count; i++)
        tr_json_count(json, NULL, hyper->hidden_layers.at[i]);
    tr_json_close(json, ']');
    tr_json_text(json, "activation", hyper->activation == TR_ACTIVATION_TANH ? "tanh" : "relu");
    tr_json_number(json, "dropout", hyper->dropout);
    tr_net_model_put_optimizer(net, json);
    tr_json_truth(json, "use_lr_scheduler", net->rate.every_steps > 0);
    if (net->rate.every_steps > 0) {
        tr_json_count(json, "lr_scheduler_step", net->rate.every_steps);
        tr_json_number(json, "lr_scheduler_factor", net->rate.factor);
        tr_json_number(json, "lr_scheduler_minimum_lr", net->rate.least);
    }
    tr_json_number(json, "wd", net->config.wd);
    tr_json_truth(json, "normalize_data", scaling_of(hyper).features);
}

const struct tr_model_ops tr_model_mlp = {
    .name = "mlp",
    .title = "MLP",
    .hyper = &tr_mlp_hyper_table,
    .takes = TR_TAKES_DENSE | TR_TAKES_BYTES | TR_NEEDS_LABELS,
    .head_rows = head_rows,
    .create = create,
    .free = tr_net_model_free,
    .describe = describe,
    .check = tr_net_model_check,
    .step = tr_net_model_step,
    .evaluate = tr_net_model_evaluate,
    .objective = tr_net_model_objective,
    .results = tr_net_model_results,
    .peek_loss = tr_net_model_peek_loss,
    .export_arrays = tr_net_model_export,
    .onnx = tr_net_model_onnx,
    .put_config = put_config,
    .state = tr_net_model_state,
    .restored = tr_net_model_restored,
    .fold = tr_net_model_fold,
};
