/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_hyper.c - see trainer/fm_hyper.h. Names and defaults: "Factorization machines
 * hyperparameters" in the Amazon SageMaker developer guide.
 */
#include "trainer/fm_hyper.h"

#include <math.h>

#define ADAM_BETA_1 0.9
#define ADAM_BETA_2 0.999
#define ADAM_EPSILON 1e-8

static const struct tr_hyper_word predictors[] = {
    {"regressor", TR_PREDICTOR_REGRESSOR}, {"binary_classifier", TR_PREDICTOR_BINARY}, {NULL, 0}};
static const struct tr_hyper_word init_methods[] = {
    {"normal", TR_FM_NORMAL}, {"uniform", TR_FM_UNIFORM}, {"constant", TR_FM_CONSTANT}, {NULL, 0}};

#define AT(field) offsetof(struct tr_fm_hyper, field)
#define IN(group, field) AT(groups[group].field)
#define GROUP(name, group)                                                                         \
    {name "_init_method", TR_HYPER_WORD, IN(group, init_method), false, 0, 0, init_methods},       \
        {name "_init_sigma", TR_HYPER_REAL, IN(group, init_sigma), false, 0, 1e6, NULL},           \
        {name "_init_scale", TR_HYPER_REAL, IN(group, init_scale), false, 0, 1e6, NULL},           \
        {name "_init_value", TR_HYPER_REAL, IN(group, init_value), false, -1e6, 1e6, NULL},        \
        {name "_lr", TR_HYPER_REAL, IN(group, learning_rate), false, 0, 1e6, NULL},                \
    {                                                                                              \
        name "_wd", TR_HYPER_REAL, IN(group, wd), false, 0, 1e6, NULL                              \
    }

static const struct tr_hyper_parameter parameters[] = {
    {"predictor_type", TR_HYPER_WORD, AT(predictor_type), false, 0, 0, predictors},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), false, 1, 4294967295.0, NULL},
    {"num_factors", TR_HYPER_COUNT, AT(num_factors), false, 1, 65536, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), false, 1, 16777216, NULL},
    {"seed", TR_HYPER_COUNT, AT(common.seed), false, 0, 4294967295.0, NULL},
    {"clip_gradient", TR_HYPER_REAL, AT(clip_gradient), false, 1e-30, 1e30, NULL},
    {"eps", TR_HYPER_REAL, AT(eps), false, 0, 1e6, NULL},
    {"rescale_grad", TR_HYPER_REAL, AT(rescale_grad), false, 1e-30, 1e30, NULL},
    GROUP("bias", TR_FM_BIAS),
    GROUP("linear", TR_FM_LINEAR),
    GROUP("factors", TR_FM_FACTORS),
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static struct tr_fm_group_hyper group_defaults(double learning_rate, double wd, double sigma)
{
    return (struct tr_fm_group_hyper){TR_FM_NORMAL, sigma, NAN, NAN, learning_rate, wd};
}

static void init(void *values)
{
    *(struct tr_fm_hyper *)values = (struct tr_fm_hyper){
        .common = {.epochs = 1, .mini_batch_size = 1000},
        .clip_gradient = NAN,
        .eps = NAN,
        .rescale_grad = NAN,
        .groups = {[TR_FM_BIAS] = group_defaults(0.1, 0.01, 0.01),
                   [TR_FM_LINEAR] = group_defaults(0.001, 0.001, 0.01),
                   [TR_FM_FACTORS] = group_defaults(0.0001, 0.00001, 0.001)},
    };
}

static int check(const void *values, struct tr_error *error)
{
    static const char *const names[TR_FM_GROUP_COUNT] = {"bias", "linear", "factors"};
    const struct tr_fm_hyper *hyper = values;
    if (hyper->predictor_type == TR_PREDICTOR_UNSET)
        return tr_fail(error, "hyperparameter predictor_type is required: regressor or "
                              "binary_classifier");
    if (hyper->common.feature_dim == 0)
        return tr_fail(error, "hyperparameter feature_dim is required: the number of columns");
    if (hyper->num_factors == 0)
        return tr_fail(error, "hyperparameter num_factors is required, e.g. 64");
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        const struct tr_fm_group_hyper *g = &hyper->groups[i];
        if (g->init_method == TR_FM_UNIFORM && isnan(g->init_scale))
            return tr_fail(error, "hyperparameter %s_init_scale is required with uniform",
                           names[i]);
        if (g->init_method == TR_FM_CONSTANT && isnan(g->init_value))
            return tr_fail(error, "hyperparameter %s_init_value is required with constant",
                           names[i]);
    }
    return 0;
}

void tr_fm_hyper_config(const struct tr_fm_hyper *hyper, uint32_t dim, uint64_t seed,
                        struct tr_fm_config *config)
{
    *config = (struct tr_fm_config){
        .loss = tr_predictor_loss(hyper->predictor_type),
        .dim = dim,
        .factor_count = hyper->num_factors,
        .batch_rows = hyper->common.mini_batch_size,
        .optimizer = TR_OPTIMIZER_ADAM,
        .beta1 = ADAM_BETA_1,
        .beta2 = ADAM_BETA_2,
        .epsilon = tr_hyper_or_auto(hyper->eps, ADAM_EPSILON),
        .clip = tr_hyper_or_auto(hyper->clip_gradient, 0.0),
        .row_rate = tr_hyper_or_auto(hyper->rescale_grad, 0.0),
        .seed = seed,
    };
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        const struct tr_fm_group_hyper *g = &hyper->groups[i];
        config->groups[i] = (struct tr_fm_group){
            .init = (enum tr_fm_init)g->init_method,
            .sigma = g->init_sigma,
            .scale = g->init_scale,
            .value = g->init_value,
            .learning_rate = g->learning_rate,
            .wd = g->wd,
        };
    }
}

const struct tr_hyper_table tr_fm_hyper_table = {
    .parameters = parameters,
    .fixed = NULL,
    .values_bytes = sizeof(struct tr_fm_hyper),
    .init = init,
    .check = check,
};
