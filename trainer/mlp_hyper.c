/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mlp_hyper.c - see trainer/mlp_hyper.h. */
#include "trainer/mlp_hyper.h"

#include <math.h>
#include <stdio.h>

#define AUTO_ADAM_LEARNING_RATE 0.001
#define AUTO_SGD_LEARNING_RATE 0.05
#define ADAM_EPSILON 1e-8
#define HIDDEN_LAYERS_MAX 3U

static const struct tr_hyper_word predictors[] = {
    {"regressor", TR_PREDICTOR_REGRESSOR},
    {"binary_classifier", TR_PREDICTOR_BINARY},
    {"multiclass_classifier", TR_PREDICTOR_MULTICLASS},
    {NULL, 0}};
static const struct tr_hyper_word optimizers[] = {{"auto", TR_LINEAR_OPTIMIZER_AUTO},
                                                  {"adam", TR_LINEAR_ADAM},
                                                  {"sgd", TR_LINEAR_SGD},
                                                  {NULL, 0}};
static const struct tr_hyper_word activations[] = {
    {"relu", TR_ACTIVATION_RELU}, {"tanh", TR_ACTIVATION_TANH}, {NULL, 0}};

#define AT(field) offsetof(struct tr_mlp_hyper, field)
#define BELOW_ONE 0.9999999999

static const struct tr_hyper_parameter parameters[] = {
    {"predictor_type", TR_HYPER_WORD, AT(predictor_type), false, 0, 0, predictors},
    {"num_classes", TR_HYPER_COUNT, AT(num_classes), false, 2, 1e6, NULL},
    {"hidden_layers", TR_HYPER_COUNTS, AT(hidden_layers), true, 1, 65536, NULL},
    {"activation", TR_HYPER_WORD, AT(activation), false, 0, 0, activations},
    {"dropout", TR_HYPER_REAL, AT(dropout), false, 0, 0.95, NULL},
    {"optimizer", TR_HYPER_WORD, AT(optimizer), false, 0, 0, optimizers},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"seed", TR_HYPER_COUNT, AT(common.seed), true, 0, 4294967295.0, NULL},
    {"num_point_for_scaler", TR_HYPER_COUNT, AT(num_point_for_scaler), true, 1, 1e9, NULL},
    {"lr_scheduler_step", TR_HYPER_COUNT, AT(lr_scheduler_step), true, 1, 1e9, NULL},
    {"learning_rate", TR_HYPER_REAL, AT(learning_rate), true, 1e-30, 1e6, NULL},
    {"momentum", TR_HYPER_REAL, AT(momentum), true, 0, BELOW_ONE, NULL},
    {"beta_1", TR_HYPER_REAL, AT(beta_1), true, 0, BELOW_ONE, NULL},
    {"beta_2", TR_HYPER_REAL, AT(beta_2), true, 0, BELOW_ONE, NULL},
    {"wd", TR_HYPER_REAL, AT(wd), true, 0, 1e6, NULL},
    {"lr_scheduler_factor", TR_HYPER_REAL, AT(lr_scheduler_factor), true, 1e-6, 1, NULL},
    {"lr_scheduler_minimum_lr", TR_HYPER_REAL, AT(lr_scheduler_minimum_lr), true, 0, 1e6, NULL},
    {"normalize_data", TR_HYPER_TRUTH, AT(normalize_data), true, 0, 0, NULL},
    {"normalize_label", TR_HYPER_TRUTH, AT(normalize_label), true, 0, 0, NULL},
    {"use_lr_scheduler", TR_HYPER_TRUTH, AT(use_lr_scheduler), true, 0, 0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static void init(void *values)
{
    *(struct tr_mlp_hyper *)values = (struct tr_mlp_hyper){
        .common = {.epochs = 15, .mini_batch_size = 100},
        .activation = TR_ACTIVATION_RELU,
        .num_point_for_scaler = 10000,
        .lr_scheduler_step = 100,
        .hidden_layers = {1, {256}},
        .learning_rate = NAN,
        .momentum = 0.0,
        .beta_1 = 0.9,
        .beta_2 = 0.999,
        .lr_scheduler_factor = 0.99,
        .lr_scheduler_minimum_lr = 1e-5,
        .normalize_data = TR_AUTO,
        .normalize_label = TR_AUTO,
        .use_lr_scheduler = TR_AUTO,
    };
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_mlp_hyper *hyper = values;
    bool multiclass = hyper->predictor_type == TR_PREDICTOR_MULTICLASS;
    if (hyper->predictor_type == TR_PREDICTOR_UNSET)
        return tr_fail(error, "hyperparameter predictor_type is required: regressor, "
                              "binary_classifier or multiclass_classifier");
    if (multiclass && hyper->num_classes == 0)
        return tr_fail(error, "hyperparameter num_classes is required for multiclass_classifier");
    if (!multiclass && hyper->num_classes > 0 &&
        !(hyper->predictor_type == TR_PREDICTOR_BINARY && hyper->num_classes == 2))
        return tr_fail(error, "hyperparameter num_classes is for multiclass_classifier: leave it "
                              "out");
    if (hyper->hidden_layers.count < 1 || hyper->hidden_layers.count > HIDDEN_LAYERS_MAX)
        return tr_fail(error, "hyperparameter hidden_layers: give the sizes of 1 to %u layers",
                       HIDDEN_LAYERS_MAX);
    if (hyper->normalize_label == TR_TRUE && hyper->predictor_type != TR_PREDICTOR_REGRESSOR)
        return tr_fail(error, "hyperparameter normalize_label is for predictor_type regressor");
    if (hyper->optimizer != TR_LINEAR_SGD && hyper->momentum > 0.0)
        return tr_fail(error, "hyperparameter momentum is for optimizer sgd");
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
    bool multiclass = hyper->predictor_type == TR_PREDICTOR_MULTICLASS;
    struct tr_layer output = {.name = "output",
                              .op = TR_LAYER_DENSE,
                              .input = input,
                              .outputs = multiclass ? hyper->num_classes : 1};
    output.init_bound = tr_init_even(dim, output.outputs);
    tr_plan_add(plan, output);
}

void tr_mlp_hyper_config(const struct tr_mlp_hyper *hyper, uint32_t dim,
                         struct tr_net_config *config, struct tr_net_rate *rate)
{
    bool sgd = hyper->optimizer == TR_LINEAR_SGD;
    *config = (struct tr_net_config){
        .loss = hyper->predictor_type == TR_PREDICTOR_MULTICLASS ? TR_LOSS_SOFTMAX
                : hyper->predictor_type == TR_PREDICTOR_BINARY   ? TR_LOSS_LOGISTIC
                                                                 : TR_LOSS_SQUARED,
        .batch_rows = hyper->common.mini_batch_size,
        .optimizer = sgd ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = hyper->momentum,
        .beta1 = hyper->beta_1,
        .beta2 = hyper->beta_2,
        .epsilon = ADAM_EPSILON,
        .wd = hyper->wd,
        .label_std = 1.0,
        .seed = hyper->common.seed,
    };
    make_plan(hyper, dim, &config->plan);
    *rate = (struct tr_net_rate){
        .start = tr_hyper_or_auto(hyper->learning_rate,
                                  sgd ? AUTO_SGD_LEARNING_RATE : AUTO_ADAM_LEARNING_RATE),
        .factor = hyper->lr_scheduler_factor,
        .least = hyper->lr_scheduler_minimum_lr,
        .every_steps = hyper->use_lr_scheduler != TR_FALSE ? hyper->lr_scheduler_step : 0,
    };
}

const char *tr_mlp_predictor_name(const struct tr_mlp_hyper *hyper)
{
    return tr_hyper_word(predictors, hyper->predictor_type);
}

const struct tr_hyper_table tr_mlp_hyper_table = {
    .parameters = parameters,
    .values_bytes = sizeof(struct tr_mlp_hyper),
    .init = init,
    .check = check,
};
