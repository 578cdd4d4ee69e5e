/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/hyper.c - see trainer/hyper.h. Names and defaults: "Linear learner hyperparameters" in
 * the Amazon SageMaker developer guide.
 */
#include "trainer/hyper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64U

/* Where SageMaker's default is "auto": the values that stand for it here. */
#define AUTO_ADAM_LEARNING_RATE 0.001
#define AUTO_LR_STEP 100U
#define AUTO_LR_FACTOR 0.99
#define AUTO_LR_MINIMUM 1e-5

enum kind { KIND_WORD, KIND_COUNT, KIND_REAL, KIND_TRUTH };

struct word {
    const char *text;
    int value;
};

struct parameter {
    const char *name;
    enum kind kind;
    size_t offset;
    bool may_be_auto;
    double least; /* COUNT and REAL: inclusive bounds */
    double most;
    const struct word *words; /* WORD: ends with a NULL text */
};

static const struct word predictors[] = {{"regressor", TR_PREDICTOR_REGRESSOR},
                                         {"binary_classifier", TR_PREDICTOR_BINARY},
                                         {"multiclass_classifier", TR_PREDICTOR_MULTICLASS},
                                         {NULL, 0}};
static const struct word optimizers[] = {
    {"auto", TR_HYPER_OPTIMIZER_AUTO}, {"adam", TR_HYPER_ADAM}, {"sgd", TR_HYPER_SGD}, {NULL, 0}};
static const struct word losses[] = {{"auto", 0},
                                     {"squared_loss", 1 + TR_LOSS_SQUARED},
                                     {"logistic", 1 + TR_LOSS_LOGISTIC},
                                     {"softmax_loss", 1 + TR_LOSS_SOFTMAX},
                                     {NULL, 0}};

#define AT(field) offsetof(struct tr_hyper, field)
#define BELOW_ONE 0.9999999999

static const struct parameter parameters[] = {
    {"predictor_type", KIND_WORD, AT(predictor_type), false, 0, 0, predictors},
    {"loss", KIND_WORD, AT(loss), false, 0, 0, losses},
    {"optimizer", KIND_WORD, AT(optimizer), false, 0, 0, optimizers},
    {"num_classes", KIND_COUNT, AT(num_classes), false, 2, 1e6, NULL},
    {"feature_dim", KIND_COUNT, AT(feature_dim), true, 1, 16777216, NULL},
    {"epochs", KIND_COUNT, AT(epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", KIND_COUNT, AT(mini_batch_size), true, 1, 16777216, NULL},
    {"num_point_for_scaler", KIND_COUNT, AT(num_point_for_scaler), true, 1, 1e9, NULL},
    {"lr_scheduler_step", KIND_COUNT, AT(lr_scheduler_step), true, 1, 1e9, NULL},
    {"learning_rate", KIND_REAL, AT(learning_rate), true, 1e-30, 1e6, NULL},
    {"momentum", KIND_REAL, AT(momentum), true, 0, BELOW_ONE, NULL},
    {"beta_1", KIND_REAL, AT(beta_1), true, 0, BELOW_ONE, NULL},
    {"beta_2", KIND_REAL, AT(beta_2), true, 0, BELOW_ONE, NULL},
    {"wd", KIND_REAL, AT(wd), true, 0, 1e6, NULL},
    {"l1", KIND_REAL, AT(l1), true, 0, 1e6, NULL},
    {"bias_lr_mult", KIND_REAL, AT(bias_lr_mult), true, 0, 1e6, NULL},
    {"bias_wd_mult", KIND_REAL, AT(bias_wd_mult), true, 0, 1e6, NULL},
    {"lr_scheduler_factor", KIND_REAL, AT(lr_scheduler_factor), true, 1e-6, 1, NULL},
    {"lr_scheduler_minimum_lr", KIND_REAL, AT(lr_scheduler_minimum_lr), true, 0, 1e6, NULL},
    {"normalize_data", KIND_TRUTH, AT(normalize_data), true, 0, 0, NULL},
    {"normalize_label", KIND_TRUTH, AT(normalize_label), true, 0, 0, NULL},
    {"use_bias", KIND_TRUTH, AT(use_bias), true, 0, 0, NULL},
    {"use_lr_scheduler", KIND_TRUTH, AT(use_lr_scheduler), true, 0, 0, NULL},
};

#define PARAMETER_COUNT (sizeof parameters / sizeof *parameters)

/* SageMaker's others: the value given here is what penstock does; any other is refused. */
static const struct {
    const char *name;
    const char *only;
} unsupported[] = {
    {"accuracy_top_k", "1"},
    {"balance_multiclass_weights", "false"},
    {"binary_classifier_model_selection_criteria", "accuracy"},
    {"early_stopping_patience", "auto"},
    {"early_stopping_tolerance", "auto"},
    {"f_beta", "1.0"},
    {"huber_delta", "auto"},
    {"init_bias", "0"},
    {"init_method", "auto"},
    {"init_scale", "auto"},
    {"init_sigma", "auto"},
    {"loss_insensitivity", "auto"},
    {"margin", "auto"},
    {"num_calibration_samples", "auto"},
    {"num_models", "1"},
    {"positive_example_weight_mult", "1.0"},
    {"quantile", "auto"},
    {"target_precision", "auto"},
    {"target_recall", "auto"},
    {"unbias_data", "auto"},
    {"unbias_label", "auto"},
};

#define UNSUPPORTED_COUNT (sizeof unsupported / sizeof *unsupported)

void tr_hyper_init(struct tr_hyper *hyper)
{
    *hyper = (struct tr_hyper){
        .epochs = 15,
        .mini_batch_size = 1000,
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
    };
}

/* --- one assignment ------------------------------------------------------------------------------
 */

/* Insertions, deletions and substitutions that make b of a. Both are shorter than NAME_MAX_BYTES.
 */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_len];
}

static int refuse_unknown(const char *name, const char *value, struct tr_error *error)
{
    const char *nearest = parameters[0].name;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < UNSUPPORTED_COUNT; i++) {
        if (strcmp(unsupported[i].name, name) != 0)
            continue;
        if (strcasecmp(value, unsupported[i].only) == 0 || strcmp(value, "auto") == 0)
            return 0;
        return tr_fail(error,
                       "hyperparameter %s: penstock has no other value than '%s': leave it out",
                       name, unsupported[i].only);
    }
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        size_t distance = edit_distance(name, parameters[i].name);
        if (distance < least) {
            least = distance;
            nearest = parameters[i].name;
        }
    }
    return tr_fail(error, "hyperparameter '%s' is unknown: the nearest name is '%s'", name,
                   nearest);
}

static int set_word(const struct parameter *p, const char *value, int *out, struct tr_error *error)
{
    char choices[160] = "";
    for (const struct word *w = p->words; w->text; w++) {
        if (strcmp(value, w->text) == 0) {
            *out = w->value;
            return 0;
        }
        strncat(choices, w == p->words ? "" : ", ", sizeof choices - strlen(choices) - 1);
        strncat(choices, w->text, sizeof choices - strlen(choices) - 1);
    }
    return tr_fail(error, "hyperparameter %s: '%s' is none of: %s", p->name, value, choices);
}

static int set_number(const struct parameter *p, const char *value, double *out,
                      struct tr_error *error)
{
    bool whole = p->kind == KIND_COUNT;
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || value[strspn(value, "0123456789.eE+-")] || number < p->least ||
        number > p->most || (whole && number != trunc(number)))
        return tr_fail(error, "hyperparameter %s: '%s' is not a %s from %.10g to %.10g%s", p->name,
                       value, whole ? "whole number" : "number", p->least, p->most,
                       p->may_be_auto ? " or auto" : "");
    *out = number;
    return 0;
}

static int set_truth(const struct parameter *p, const char *value, int *out, struct tr_error *error)
{
    if (strcasecmp(value, "true") == 0)
        *out = TR_TRUE;
    else if (strcasecmp(value, "false") == 0)
        *out = TR_FALSE;
    else if (strcmp(value, "auto") == 0)
        *out = TR_AUTO;
    else
        return tr_fail(error, "hyperparameter %s: '%s' is not true, false or auto", p->name, value);
    return 0;
}

/* "auto" puts the default back. */
static void set_auto(const struct parameter *p, void *field)
{
    struct tr_hyper defaults;
    tr_hyper_init(&defaults);
    const char *from = (const char *)&defaults + p->offset;
    if (p->kind == KIND_REAL)
        memcpy(field, from, sizeof(double));
    else
        memcpy(field, from, sizeof(uint32_t));
}

static int set_value(struct tr_hyper *hyper, const struct parameter *p, const char *value,
                     struct tr_error *error)
{
    void *field = (char *)hyper + p->offset;
    double number = 0.0;
    if (p->may_be_auto && p->kind != KIND_TRUTH && strcmp(value, "auto") == 0) {
        set_auto(p, field);
        return 0;
    }
    switch (p->kind) {
    case KIND_WORD:
        return set_word(p, value, field, error);
    case KIND_TRUTH:
        return set_truth(p, value, field, error);
    case KIND_COUNT:
        if (set_number(p, value, &number, error) < 0)
            return -1;
        *(uint32_t *)field = (uint32_t)number;
        return 0;
    case KIND_REAL:
        return set_number(p, value, field, error);
    }
    return -1;
}

int tr_hyper_set(struct tr_hyper *hyper, const char *assignment, struct tr_error *error)
{
    const char *equals = strchr(assignment, '=');
    char name[NAME_MAX_BYTES] = "";
    size_t name_len = equals ? (size_t)(equals - assignment) : 0;
    if (!equals || name_len == 0)
        return tr_fail(error, "hyperparameter '%s' is not of the form name=value", assignment);
    if (name_len >= sizeof name)
        return tr_fail(error, "hyperparameter '%.*s' is unknown", (int)name_len, assignment);
    memcpy(name, assignment, name_len);
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if (strcmp(parameters[i].name, name) == 0)
            return set_value(hyper, &parameters[i], equals + 1, error);
    }
    return refuse_unknown(name, equals + 1, error);
}

/* --- the whole set -------------------------------------------------------------------------------
 */

static enum tr_loss loss_of(const struct tr_hyper *hyper)
{
    if (hyper->predictor_type == TR_PREDICTOR_MULTICLASS)
        return TR_LOSS_SOFTMAX;
    return hyper->predictor_type == TR_PREDICTOR_BINARY ? TR_LOSS_LOGISTIC : TR_LOSS_SQUARED;
}

int tr_hyper_check(const struct tr_hyper *hyper, struct tr_error *error)
{
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
    if (hyper->loss != 0 && hyper->loss != 1 + (int)loss_of(hyper))
        return tr_fail(error, "hyperparameter loss: '%s' does not go with predictor_type %s",
                       losses[hyper->loss].text, tr_hyper_predictor_name(hyper));
    if (hyper->normalize_label == TR_TRUE && hyper->predictor_type != TR_PREDICTOR_REGRESSOR)
        return tr_fail(error, "hyperparameter normalize_label is for predictor_type regressor");
    if (hyper->optimizer != TR_HYPER_SGD && hyper->momentum > 0.0)
        return tr_fail(error, "hyperparameter momentum is for optimizer sgd");
    return 0;
}

static double or_auto(double value, double automatic)
{
    return isnan(value) ? automatic : value;
}

/* SGD: the step that cannot overshoot on standardised features. Their covariance has trace `dim`,
 * so no eigenvalue is larger, and the curvature of the mean loss is at most 2 dim (squared), dim /
 * 4 (logistic) or dim / 2 (softmax). */
static double auto_learning_rate(const struct tr_linear_config *config)
{
    double curvature[] = {
        [TR_LOSS_SQUARED] = 2.0, [TR_LOSS_LOGISTIC] = 0.25, [TR_LOSS_SOFTMAX] = 0.5};
    if (config->optimizer == TR_OPTIMIZER_ADAM)
        return AUTO_ADAM_LEARNING_RATE;
    return 1.0 / (curvature[config->loss] * (double)config->dim);
}

void tr_hyper_linear(const struct tr_hyper *hyper, uint32_t dim, struct tr_linear_config *config)
{
    bool schedule = hyper->use_lr_scheduler != TR_FALSE;
    uint32_t lr_step = hyper->lr_scheduler_step > 0 ? hyper->lr_scheduler_step : AUTO_LR_STEP;
    *config = (struct tr_linear_config){
        .loss = loss_of(hyper),
        .dim = dim,
        .outputs = hyper->predictor_type == TR_PREDICTOR_MULTICLASS ? hyper->num_classes : 1,
        .batch_rows = hyper->mini_batch_size,
        .optimizer = hyper->optimizer == TR_HYPER_SGD ? TR_OPTIMIZER_SGD : TR_OPTIMIZER_ADAM,
        .momentum = or_auto(hyper->momentum, 0.0),
        .beta1 = or_auto(hyper->beta_1, 0.9),
        .beta2 = or_auto(hyper->beta_2, 0.999),
        .wd = or_auto(hyper->wd, 0.0),
        .l1 = or_auto(hyper->l1, 0.0),
        .use_bias = hyper->use_bias != TR_FALSE,
        .bias_lr_mult = or_auto(hyper->bias_lr_mult, 1.0),
        .bias_wd_mult = or_auto(hyper->bias_wd_mult, 0.0),
        .lr_step = schedule ? lr_step : 0,
        .lr_factor = or_auto(hyper->lr_scheduler_factor, AUTO_LR_FACTOR),
        .lr_minimum = or_auto(hyper->lr_scheduler_minimum_lr, AUTO_LR_MINIMUM),
        .label_mean = 0.0,
        .label_std = 1.0,
    };
    config->learning_rate = or_auto(hyper->learning_rate, auto_learning_rate(config));
}

const char *tr_hyper_predictor_name(const struct tr_hyper *hyper)
{
    for (const struct word *w = predictors; w->text; w++) {
        if (w->value == hyper->predictor_type)
            return w->text;
    }
    return "unset";
}
