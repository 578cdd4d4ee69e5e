/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/predictor.c - see trainer/predictor.h. */
#include "trainer/predictor.h"

static const struct tr_hyper_word types[] = {{"regressor", TR_PREDICTOR_REGRESSOR},
                                             {"binary_classifier", TR_PREDICTOR_BINARY},
                                             {"multiclass_classifier", TR_PREDICTOR_MULTICLASS},
                                             {NULL, 0}};
static const struct tr_hyper_word optimizers[] = {
    {"auto", TR_PREDICTOR_AUTO}, {"adam", TR_PREDICTOR_ADAM}, {"sgd", TR_PREDICTOR_SGD}, {NULL, 0}};

#define AT(field) offsetof(struct tr_predictor_hyper, field)

const struct tr_hyper_parameter tr_predictor_parameters[] = {
    {"predictor_type", TR_HYPER_WORD, AT(type), false, 0, 0, types},
    {"optimizer", TR_HYPER_WORD, AT(optimizer), false, 0, 0, optimizers},
    {"num_classes", TR_HYPER_COUNT, AT(num_classes), false, 2, 1e6, NULL},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"num_point_for_scaler", TR_HYPER_COUNT, AT(num_point_for_scaler), true, 1, 1e9, NULL},
    {"lr_scheduler_step", TR_HYPER_COUNT, AT(lr_scheduler_step), true, 1, 1e9, NULL},
    {"learning_rate", TR_HYPER_REAL, AT(learning_rate), true, 1e-30, 1e6, NULL},
    {"momentum", TR_HYPER_REAL, AT(momentum), true, 0, TR_HYPER_BELOW_ONE, NULL},
    {"beta_1", TR_HYPER_REAL, AT(beta_1), true, 0, TR_HYPER_BELOW_ONE, NULL},
    {"beta_2", TR_HYPER_REAL, AT(beta_2), true, 0, TR_HYPER_BELOW_ONE, NULL},
    {"wd", TR_HYPER_REAL, AT(wd), true, 0, 1e6, NULL},
    {"lr_scheduler_factor", TR_HYPER_REAL, AT(lr_scheduler_factor), true, 1e-6, 1, NULL},
    {"lr_scheduler_minimum_lr", TR_HYPER_REAL, AT(lr_scheduler_minimum_lr), true, 0, 1e6, NULL},
    {"normalize_data", TR_HYPER_TRUTH, AT(normalize_data), true, 0, 0, NULL},
    {"normalize_label", TR_HYPER_TRUTH, AT(normalize_label), true, 0, 0, NULL},
    {"use_lr_scheduler", TR_HYPER_TRUTH, AT(use_lr_scheduler), true, 0, 0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

int tr_predictor_check(const struct tr_predictor_hyper *hyper, struct tr_error *error)
{
    bool multiclass = hyper->type == TR_PREDICTOR_MULTICLASS;
    bool two_classes = hyper->type == TR_PREDICTOR_BINARY && hyper->num_classes == 2;
    if (hyper->type == TR_PREDICTOR_UNSET)
        return tr_fail(error, "hyperparameter predictor_type is required: regressor, "
                              "binary_classifier or multiclass_classifier");
    if (multiclass && hyper->num_classes == 0)
        return tr_fail(error, "hyperparameter num_classes is required for multiclass_classifier");
    if (!multiclass && hyper->num_classes > 0 && !two_classes)
        return tr_fail(error, "hyperparameter num_classes is for multiclass_classifier: leave it "
                              "out");
    if (hyper->normalize_label == TR_TRUE && hyper->type != TR_PREDICTOR_REGRESSOR)
        return tr_fail(error, "hyperparameter normalize_label is for predictor_type regressor");
    if (hyper->optimizer != TR_PREDICTOR_SGD && hyper->momentum > 0.0)
        return tr_fail(error, "hyperparameter momentum is for optimizer sgd");
    return 0;
}

const char *tr_predictor_name(int type)
{
    return tr_hyper_word(types, type);
}

enum tr_loss tr_predictor_loss(int type)
{
    if (type == TR_PREDICTOR_MULTICLASS)
        return TR_LOSS_SOFTMAX;
    return type == TR_PREDICTOR_BINARY ? TR_LOSS_LOGISTIC : TR_LOSS_SQUARED;
}

uint32_t tr_predictor_outputs(const struct tr_predictor_hyper *hyper)
{
    return hyper->type == TR_PREDICTOR_MULTICLASS ? hyper->num_classes : 1;
}

bool tr_predictor_scales_features(const struct tr_predictor_hyper *hyper)
{
    return hyper->normalize_data != TR_FALSE;
}

bool tr_predictor_scales_labels(const struct tr_predictor_hyper *hyper)
{
    return hyper->type == TR_PREDICTOR_REGRESSOR && hyper->normalize_label != TR_FALSE;
}
