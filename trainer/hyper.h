/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/hyper.h - hyperparameters of linear-learner under SageMaker's names: parsed, checked,
 * and turned into a model's configuration.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 * Errors: functions return 0, or -1 with *error, a sentence that names the hyperparameter.
 */
#ifndef TRAINER_HYPER_H
#define TRAINER_HYPER_H

#include "trainer/error.h"
#include "trainer/linear.h"

enum tr_predictor {
    TR_PREDICTOR_UNSET = 0,
    TR_PREDICTOR_REGRESSOR,
    TR_PREDICTOR_BINARY,
    TR_PREDICTOR_MULTICLASS
};

enum tr_hyper_optimizer { TR_HYPER_OPTIMIZER_AUTO = 0, TR_HYPER_ADAM, TR_HYPER_SGD };

/* "auto" is NAN for a double, 0 for a count, TR_AUTO for a truth value. */
enum tr_truth { TR_FALSE = 0, TR_TRUE = 1, TR_AUTO = 2 };

struct tr_hyper {
    int predictor_type; /* enum tr_predictor */
    int loss;           /* 0 auto, else 1 + enum tr_loss */
    int optimizer;      /* enum tr_hyper_optimizer */
    uint32_t num_classes;
    uint32_t feature_dim; /* 0 = as the data has */
    uint32_t epochs;
    uint32_t mini_batch_size;
    uint32_t num_point_for_scaler;
    uint32_t lr_scheduler_step;
    double learning_rate;
    double momentum;
    double beta_1;
    double beta_2;
    double wd;
    double l1;
    double bias_lr_mult;
    double bias_wd_mult;
    double lr_scheduler_factor;
    double lr_scheduler_minimum_lr;
    int normalize_data; /* enum tr_truth, as the following */
    int normalize_label;
    int use_bias;
    int use_lr_scheduler;
};

/* Fills in the defaults. */
void tr_hyper_init(struct tr_hyper *hyper);

/* Takes one "name=value". */
int tr_hyper_set(struct tr_hyper *hyper, const char *assignment, struct tr_error *error);

/* Checks what only the whole set shows, e.g. that num_classes goes with the predictor_type. */
int tr_hyper_check(const struct tr_hyper *hyper, struct tr_error *error);

/* Model configuration for `dim` features; "auto" becomes a number. Scaling is left unset. */
void tr_hyper_linear(const struct tr_hyper *hyper, uint32_t dim, struct tr_linear_config *config);

/* "regressor", "binary_classifier", "multiclass_classifier". */
const char *tr_hyper_predictor_name(const struct tr_hyper *hyper);

#endif
