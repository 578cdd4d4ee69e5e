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

static const struct tr_hyper_parameter parameters[] = {
    {"loss", TR_HYPER_WORD, AT(loss), false, 0, 0, losses},
    {"l1", TR_HYPER_REAL, AT(l1), true, 0, 1e6, NULL},
    {"bias_lr_mult", TR_HYPER_REAL, AT(bias_lr_mult), true, 0, 1e6, NULL},
    {"bias_wd_mult", TR_HYPER_REAL, AT(bias_wd_mult), true, 0, 1e6, NULL},
    {"use_bias", TR_HYPER_TRUTH, AT(use_bias), true, 0, 0, NULL},
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
        .predictor = {.common = {.epochs = 15, .mini_batch_size = 1000},
                      .num_point_for_scaler = 10000,
                      .learning_rate = NAN,
                      .momentum = NAN,
                      .beta_1 = NAN,
                      .beta_2 = NAN,
                      .wd = NAN,
                      .lr_scheduler_factor = NAN,
                      .lr_scheduler_minimum_lr = NAN,
                      .normalize_data = TR_AUTO,
                      .normalize_label = TR_AUTO,
                      .use_lr_scheduler = TR_AUTO},
        .l1 = NAN,
        .bias_lr_mult = NAN,
        .bias_wd_mult = NAN,
        .use_bias = TR_AUTO,
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
    return tr_predictor_loss(hyper->predictor.type);
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
    int type = hyper->predictor.type;
    if (tr_predictor_check(&hyper->predictor, error) < 0)
        return -1;
    if (!loss_fits(loss_of(hyper), type))
        return tr_fail(error, "hyperparameter loss: '%s' does not go with predictor_type %s",
                       tr_linear_loss_name(loss_of(hyper)), tr_predictor_name(type));
    if (hyper->balance_multiclass_weights == TR_TRUE && type != TR_PREDICTOR_MULTICLASS)
        return tr_fail(error, "hyperparameter balance_multiclass_weights is for "
                              "multiclass_classifier: see positive_example_weight_mult");
    if (hyper->positive_example_weight_mult != 1.0 && type != TR_PREDICTOR_BINARY)
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
    const struct tr_predictor_hyper *p = &hyper->predictor;
    bool schedule = p->use_lr_scheduler != TR_FALSE;
    uint32_t lr_step = p->lr_scheduler_step > 0 ? p->lr_scheduler_step : AUTO_LR_STEP;
    *config = (struct tr_linear_config){
        .loss = loss_of(hyper),
        .loss_parameter = loss_parameter_of(hyper),
        .models = hyper->num_models,
        .top_k = hyper->accuracy_top_k,
        .dim = dim,
        .outputs = tr_predictor_outputs(p),
        .batch_rows = p->common.mini_batch_size,
        .optimizer = p->optimizer == TR_PREDICTOR_SGD ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = tr_hyper_or_auto(p->momentum, 0.0),
        .beta1 = tr_hyper_or_auto(p->beta_1, 0.9),
        .beta2 = tr_hyper_or_auto(p->beta_2, 0.999),
        .wd = tr_hyper_or_auto(p->wd, 0.0),
        .l1 = tr_hyper_or_auto(hyper->l1, 0.0),
        .use_bias = hyper->use_bias != TR_FALSE,
        .bias_lr_mult = tr_hyper_or_auto(hyper->bias_lr_mult, 1.0),
        .bias_wd_mult = tr_hyper_or_auto(hyper->bias_wd_mult, 0.0),
        .lr_step = schedule ? lr_step : 0,
        .lr_factor = tr_hyper_or_auto(p->lr_scheduler_factor, AUTO_LR_FACTOR),
        .lr_minimum = tr_hyper_or_auto(p->lr_scheduler_minimum_lr, AUTO_LR_MINIMUM),
        .label_mean = 0.0,
        .label_std = 1.0,
    };
    config->learning_rate = tr_hyper_or_auto(p->learning_rate, auto_learning_rate(config));
}

const char *tr_linear_loss_name(enum tr_loss loss)
{
    return tr_hyper_word(losses, 1 + (int)loss);
}

const struct tr_hyper_table tr_linear_hyper_table = {
    .parameters = parameters,
    .shared = tr_predictor_parameters,
    .fixed = fixed,
    .values_bytes = sizeof(struct tr_linear_hyper),
    .init = tr_linear_hyper_init,
    .check = check,
};
