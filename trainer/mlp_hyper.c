/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mlp_hyper.c - see trainer/mlp_hyper.h. */
#include "trainer/mlp_hyper.h"

#include <math.h>
#include <stdio.h>

#define AUTO_ADAM_LEARNING_RATE 0.001
#define AUTO_SGD_LEARNING_RATE 0.05
#define ADAM_EPSILON 1e-8
#define HIDDEN_LAYERS_MAX 3U

static const struct tr_hyper_word activations[] = {
    {"relu", TR_ACTIVATION_RELU}, {"tanh", TR_ACTIVATION_TANH}, {NULL, 0}};

#define AT(field) offsetof(struct tr_mlp_hyper, field)

static const struct tr_hyper_parameter parameters[] = {
    {"hidden_layers", TR_HYPER_COUNTS, AT(hidden_layers), true, 1, 65536, NULL},
    {"activation", TR_HYPER_WORD, AT(activation), false, 0, 0, activations},
    {"dropout", TR_HYPER_REAL, AT(dropout), false, 0, 0.95, NULL},
    {"seed", TR_HYPER_COUNT, AT(predictor.common.seed), true, 0, 4294967295.0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static void init(void *values)
{
    *(struct tr_mlp_hyper *)values = (struct tr_mlp_hyper){
        .predictor = {.common = {.epochs = 15, .mini_batch_size = 100},
                      .num_point_for_scaler = 10000,
                      .lr_scheduler_step = 100,
                      .learning_rate = NAN,
                      .momentum = 0.0,
                      .beta_1 = 0.9,
                      .beta_2 = 0.999,
                      .lr_scheduler_factor = 0.99,
                      .lr_scheduler_minimum_lr = 1e-5,
                      .normalize_data = TR_AUTO,
                      .normalize_label = TR_AUTO,
                      .use_lr_scheduler = TR_AUTO},
        .activation = TR_ACTIVATION_RELU,
        .hidden_layers = {1, {256}},
    };
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_mlp_hyper *hyper = values;
    if (tr_predictor_check(&hyper->predictor, error) < 0)
        return -1;
    if (hyper->hidden_layers.count < 1 || hyper->hidden_layers.count > HIDDEN_LAYERS_MAX)
        return tr_fail(error, "hyperparameter hidden_layers: give the sizes of 1 to %u layers",
                       HIDDEN_LAYERS_MAX);
    return 0;
}

static void make_plan(const struct tr_mlp_hyper *hyper, uint32_t dim, struct tr_plan *plan)
{
    uint32_t input = 0;
    struct tr_layer layer = {.op = TR_LAYER_DENSE,
                             .activation = (enum tr_activation)hyper->activation,
                             .dropout = (float)hyper->dropout};
    tr_plan_init(plan, (struct tr_extent){1, 1, dim});
    for (uint32_t i = 0; i < hyper->hidden_layers.count; i++) {
        layer.input = input;
        layer.outputs = hyper->hidden_layers.at[i];
        layer.init_bound = layer.activation == TR_ACTIVATION_RELU
                               ? tr_init_relu(dim)
                               : tr_init_even(dim, layer.outputs);
        snprintf(layer.name, sizeof layer.name, "hidden_%u", i + 1);
        input = tr_plan_add(plan, layer);
        dim = layer.outputs;
    }
    struct tr_layer output = {.name = "output",
                              .op = TR_LAYER_DENSE,
                              .input = input,
                              .outputs = tr_predictor_outputs(&hyper->predictor)};
    output.init_bound = tr_init_even(dim, output.outputs);
    tr_plan_add(plan, output);
}

void tr_mlp_hyper_config(const struct tr_mlp_hyper *hyper, uint32_t dim,
                         struct tr_net_config *config, struct tr_net_rate *rate)
{
    const struct tr_predictor_hyper *p = &hyper->predictor;
    bool sgd = p->optimizer == TR_PREDICTOR_SGD;
    *config = (struct tr_net_config){
        .loss = tr_predictor_loss(p->type),
        .batch_rows = p->common.mini_batch_size,
        .optimizer = sgd ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = p->momentum,
        .beta1 = p->beta_1,
        .beta2 = p->beta_2,
        .epsilon = ADAM_EPSILON,
        .wd = p->wd,
        .label_std = 1.0,
        .seed = p->common.seed,
    };
    make_plan(hyper, dim, &config->plan);
    *rate = (struct tr_net_rate){
        .start = tr_hyper_or_auto(p->learning_rate,
                                  sgd ? AUTO_SGD_LEARNING_RATE : AUTO_ADAM_LEARNING_RATE),
        .factor = p->lr_scheduler_factor,
        .least = p->lr_scheduler_minimum_lr,
        .every_steps = p->use_lr_scheduler != TR_FALSE ? p->lr_scheduler_step : 0,
    };
}

const struct tr_hyper_table tr_mlp_hyper_table = {
    .parameters = parameters,
    .shared = tr_predictor_parameters,
    .values_bytes = sizeof(struct tr_mlp_hyper),
    .init = init,
    .check = check,
};
