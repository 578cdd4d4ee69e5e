/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_hyper.c - see trainer/linear_hyper.h. Names and defaults: "Linear learner
 * hyperparameters" in the Amazon SageMaker developer guide.
 */
#include "trainer/linear_hyper.h"

#include <math.h>

/* Where SageMaker's default is "auto": the values that stand for it here. */
#define AUTO_ADAM_LEARNING_RATE 0.001
#define AUTO_LR_STEP 100U
#define AUTO_LR_FACTOR 0.99
#define AUTO_LR_MINIMUM 1e-5

static const struct tr_hyper_word predictors[] = {
    {"regressor", TR_PREDICTOR_REGRESSOR},
    {"binary_classifier", TR_PREDICTOR_BINARY},
    {"multiclass_classifier", TR_PREDICTOR_MULTICLASS},
    {NULL, 0}};
static const struct tr_hyper_word optimizers[] = {{"auto", TR_LINEAR_OPTIMIZER_AUTO},
                                                  {"adam", TR_LINEAR_ADAM},
                                                  {"sgd", TR_LINEAR_SGD},
                                                  {NULL, 0}};
static const struct tr_hyper_word losses[] = {
    {"auto", 0},
    {"squared_loss", 1 + TR_LOSS_SQUARED},
    {"logistic", 1 + TR_LOSS_LOGISTIC},
    {"softmax_loss", 1 + TR_LOSS_SOFTMAX},
    {"hinge_loss", 1 + TR_LOSS_HINGE},
    {"absolute_loss", 1 + TR_LOSS_ABSOLUTE},
    {"huber_loss", 1 + TR_LOSS_HUBER},
    {"quantile_loss", 1 + TR_LOSS_QUANTILE},
    {"eps_insensitive_squared_loss", 1 + TR_LOSS_EPS_SQUARED},
    {"eps_insensitive_absolute_loss", 1 + TR_LOSS_EPS_ABSOLUTE},
    {NULL, 0}};
static const struct tr_hyper_word selections[] = {{"accuracy", TR_LINEAR_BY_ACCURACY},
                                                  {"f_beta", TR_LINEAR_BY_F_BETA},
                                                  {"loss_function", TR_LINEAR_BY_LOSS},
                                                  {NULL, 0}};
static const struct tr_hyper_word balanced[] = {{"balanced", TR_LINEAR_BALANCED}, {NULL, 0}};

#define AT(field) offsetof(struct tr_linear_hyper, field)
#define BELOW_ONE 0.9999999999

static const struct tr_hyper_parameter parameters[] = {
    {"predictor_type", TR_HYPER_WORD, AT(predictor_type), false, 0, 0, predictors},
    {"loss", TR_HYPER_WORD, AT(loss), false, 0, 0, losses},
    {"optimizer", TR_HYPER_WORD, AT(optimizer), false, 0, 0, optimizers},
    {"num_classes", TR_HYPER_COUNT, AT(num_classes), false, 2, 1e6, NULL},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"num_point_for_scaler", TR_HYPER_COUNT, AT(num_point_for_scaler), true, 1, 1e9, NULL},
    {"lr_scheduler_step", TR_HYPER_COUNT, AT(lr_scheduler_step), true, 1, 1e9, NULL},
    {"learning_rate", TR_HYPER_REAL, AT(learning_rate), true, 1e-30, 1e6, NULL},
    {"momentum", TR_HYPER_REAL, AT(momentum), true, 0, BELOW_ONE, NULL},
    {"beta_1", TR_HYPER_REAL, AT(beta_1), true, 0, BELOW_ONE, NULL},
    {"beta_2", TR_HYPER_REAL, AT(beta_2), true, 0, BELOW_ONE, NULL},
    {"wd", TR_HYPER_REAL, AT(wd), true, 0, 1e6, NULL},
    {"l1", TR_HYPER_REAL, AT(l1), true, 0, 1e6, NULL},
    {"bias_lr_mult", TR_HYPER_REAL, AT(bias_lr_mult), true, 0, 1e6, NULL},
    {"bias_wd_mult", TR_HYPER_REAL, AT(bias_wd_mult), true, 0, 1e6, NULL},
    {"lr_scheduler_factor", TR_HYPER_REAL, AT(lr_scheduler_factor), true, 1e-6, 1, NULL},
    {"lr_scheduler_minimum_lr", TR_HYPER_REAL, AT(lr_scheduler_minimum_lr), true, 0, 1e6, NULL},
    {"normalize_data", TR_HYPER_TRUTH, AT(normalize_data), true, 0, 0, NULL},
    {"normalize_label", TR_HYPER_TRUTH, AT(normalize_label), true, 0, 0, NULL},
    {"use_bias", TR_HYPER_TRUTH, AT(use_bias), true, 0, 0, NULL},
    {"use_lr_scheduler", TR_HYPER_TRUTH, AT(use_lr_scheduler), true, 0, 0, NULL},
    {"balance_multiclass_weights", TR_HYPER_TRUTH, AT(balance_multiclass_weights), true, 0, 0,
     NULL},
    {"binary_classifier_model_selection_criteria", TR_HYPER_WORD, AT(selection), false, 0, 0,
     selections},
    {"num_models", TR_HYPER_COUNT, AT(num_models), true, 1, TR_LINEAR_MODELS_MAX, NULL},
    {"accuracy_top_k", TR_HYPER_COUNT, AT(accuracy_top_k), true, 1, 1e6, NULL},
    {"early_stopping_patience", TR_HYPER_COUNT, AT(early_stopping_patience), true, 1, 1e6, NULL},
    {"early_stopping_tolerance", TR_HYPER_REAL, AT(early_stopping_tolerance), true, 0, 1e6, NULL},
    {"f_beta", TR_HYPER_REAL, AT(f_beta), true, 1e-6, 1e6, NULL},
    {"positive_example_weight_mult", TR_HYPER_REAL, AT(positive_example_weight_mult), true, 1e-6,
     1e6, balanced},
    {"huber_delta", TR_HYPER_REAL, AT(huber_delta), true, 1e-30, 1e30, NULL},
    {"quantile", TR_HYPER_REAL, AT(quantile), true, 0, 1, NULL},
    {"loss_insensitivity", TR_HYPER_REAL, AT(loss_insensitivity), true, 0, 1e30, NULL},
    {"margin", TR_HYPER_REAL, AT(margin), true, 0, 1e6, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

/* SageMaker's others: the value given here is what penstock does; any other is refused. */
static const struct tr_hyper_fixed fixed[] = {
    {"init_bias", "0"},
    {"init_method", "auto"},
    {"init_scale", "auto"},
    {"init_sigma", "auto"},
    {"num_calibration_samples", "auto"},
    {"target_precision", "auto"},
    {"target_recall", "auto"},
    {"unbias_data", "auto"},
    {"unbias_label", "auto"},
    {NULL, NULL},
};

void tr_linear_hyper_init(void *values)
{
    *(struct tr_linear_hyper *)values = (struct tr_linear_hyper){
        .common = {.epochs = 15, .mini_batch_size = 1000},
        .num_point_for_scaler = 10000,
        .lr_scheduler_step = 0,
        .learning_rate = NAN,
        .momentum = NAN,
        .beta_1 = NAN,
        .beta_2 = NAN,
        .wd = NAN,
        .l1 = NAN,
        .bias_lr_mult = NAN,
        .bias_wd_mult = NAN,
        .lr_scheduler_factor = NAN,
        .lr_scheduler_minimum_lr = NAN,
        .normalize_data = TR_AUTO,
        .normalize_label = TR_AUTO,
        .use_bias = TR_AUTO,
        .use_lr_scheduler = TR_AUTO,
        .balance_multiclass_weights = TR_FALSE,
        .num_models = 1,
        .accuracy_top_k = 3,
        .early_stopping_tolerance = 0.001,
        .f_beta = 1.0,
        .positive_example_weight_mult = 1.0,
        .huber_delta = 1.0,
        .quantile = 0.5,
        .loss_insensitivity = 0.01,
        .margin = 1.0,
    };
}

static enum tr_loss loss_of(const struct tr_linear_hyper *hyper)
{
    if (hyper->loss != 0)
        return (enum tr_loss)(hyper->loss - 1);
    if (hyper->predictor_type == TR_PREDICTOR_MULTICLASS)
        return TR_LOSS_SOFTMAX;
    return hyper->predictor_type == TR_PREDICTOR_BINARY ? TR_LOSS_LOGISTIC : TR_LOSS_SQUARED;
}

static bool loss_fits(enum tr_loss loss, int predictor_type)
{
    if (predictor_type == TR_PREDICTOR_MULTICLASS)
        return loss == TR_LOSS_SOFTMAX;
    if (predictor_type == TR_PREDICTOR_BINARY)
        return loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE;
    return !tr_loss_is_of_classes(loss);
}

static double loss_parameter_of(const struct tr_linear_hyper *hyper)
{
    enum tr_loss loss = loss_of(hyper);
    if (loss == TR_LOSS_HINGE)
        return hyper->margin;
    if (loss == TR_LOSS_HUBER)
        return hyper->huber_delta;
    if (loss == TR_LOSS_QUANTILE)
        return hyper->quantile;
    return loss == TR_LOSS_EPS_SQUARED || loss == TR_LOSS_EPS_ABSOLUTE ? hyper->loss_insensitivity
                                                                       : 0.0;
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_linear_hyper *hyper = values;
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
    if (!loss_fits(loss_of(hyper), hyper->predictor_type))
        return tr_fail(error, "hyperparameter loss: '%s' does not go with predictor_type %s",
                       tr_linear_loss_name(loss_of(hyper)), tr_linear_predictor_name(hyper));
    if (hyper->normalize_label == TR_TRUE && hyper->predictor_type != TR_PREDICTOR_REGRESSOR)
        return tr_fail(error, "hyperparameter normalize_label is for predictor_type regressor");
    if (hyper->optimizer != TR_LINEAR_SGD && hyper->momentum > 0.0)
        return tr_fail(error, "hyperparameter momentum is for optimizer sgd");
    if (hyper->balance_multiclass_weights == TR_TRUE && !multiclass)
        return tr_fail(error, "hyperparameter balance_multiclass_weights is for "
                              "multiclass_classifier: see positive_example_weight_mult");
    if (hyper->positive_example_weight_mult != 1.0 && hyper->predictor_type != TR_PREDICTOR_BINARY)
        return tr_fail(error,
                       "hyperparameter positive_example_weight_mult is for binary_classifier");
    return 0;
}

/* SGD: the step that cannot overshoot on standardised features. Their covariance has trace `dim`,
 * so no eigenvalue is larger, and the curvature of the mean loss is at most 2 dim (squared), dim /
 * 4 (logistic) or dim / 2 (softmax). Losses with kinks take the steps of those that are like them.
 */
static double auto_learning_rate(const struct tr_linear_config *config)
{
    static const double curvature[TR_LOSS_COUNT] = {
        [TR_LOSS_SQUARED] = 2.0,  [TR_LOSS_LOGISTIC] = 0.25,   [TR_LOSS_SOFTMAX] = 0.5,
        [TR_LOSS_HINGE] = 1.0,    [TR_LOSS_ABSOLUTE] = 2.0,    [TR_LOSS_HUBER] = 1.0,
        [TR_LOSS_QUANTILE] = 2.0, [TR_LOSS_EPS_SQUARED] = 2.0, [TR_LOSS_EPS_ABSOLUTE] = 2.0};
    if (config->optimizer == TR_OPTIMIZER_ADAM)
        return AUTO_ADAM_LEARNING_RATE;
    return 1.0 / (curvature[config->loss] * (double)config->dim);
}

void tr_linear_hyper_config(const struct tr_linear_hyper *hyper, uint32_t dim,
                            struct tr_linear_config *config)
{
    bool schedule = hyper->use_lr_scheduler != TR_FALSE;
    uint32_t lr_step = hyper->lr_scheduler_step > 0 ? hyper->lr_scheduler_step : AUTO_LR_STEP;
    *config = (struct tr_linear_config){
        .loss = loss_of(hyper),
        .loss_parameter = loss_parameter_of(hyper),
        .models = hyper->num_models,
        .top_k = hyper->accuracy_top_k,
        .dim = dim,
        .outputs = hyper->predictor_type == TR_PREDICTOR_MULTICLASS ? hyper->num_classes : 1,
        .batch_rows = hyper->common.mini_batch_size,
        .optimizer = hyper->optimizer == TR_LINEAR_SGD ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = tr_hyper_or_auto(hyper->momentum, 0.0),
        .beta1 = tr_hyper_or_auto(hyper->beta_1, 0.9),
        .beta2 = tr_hyper_or_auto(hyper->beta_2, 0.999),
        .wd = tr_hyper_or_auto(hyper->wd, 0.0),
        .l1 = tr_hyper_or_auto(hyper->l1, 0.0),
        .use_bias = hyper->use_bias != TR_FALSE,
        .bias_lr_mult = tr_hyper_or_auto(hyper->bias_lr_mult, 1.0),
        .bias_wd_mult = tr_hyper_or_auto(hyper->bias_wd_mult, 0.0),
        .lr_step = schedule ? lr_step : 0,
        .lr_factor = tr_hyper_or_auto(hyper->lr_scheduler_factor, AUTO_LR_FACTOR),
        .lr_minimum = tr_hyper_or_auto(hyper->lr_scheduler_minimum_lr, AUTO_LR_MINIMUM),
        .label_mean = 0.0,
        .label_std = 1.0,
    };
    config->learning_rate = tr_hyper_or_auto(hyper->learning_rate, auto_learning_rate(config));
}

const char *tr_linear_loss_name(enum tr_loss loss)
{
    return tr_hyper_word(losses, 1 + (int)loss);
}

const char *tr_linear_predictor_name(const struct tr_linear_hyper *hyper)
{
    return tr_hyper_word(predictors, hyper->predictor_type);
}

const struct tr_hyper_table tr_linear_hyper_table = {
    .parameters = parameters,
    .fixed = fixed,
    .values_bytes = sizeof(struct tr_linear_hyper),
    .init = tr_linear_hyper_init,
    .check = check,
};
