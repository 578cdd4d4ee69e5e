/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_hyper.h - hyperparameters of linear-learner, and the model's configuration that
 * comes of them.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_LINEAR_HYPER_H
#define TRAINER_LINEAR_HYPER_H

#include "trainer/hyper.h"
#include "trainer/linear.h"

enum tr_predictor {
    TR_PREDICTOR_UNSET = 0,
    TR_PREDICTOR_REGRESSOR,
    TR_PREDICTOR_BINARY,
    TR_PREDICTOR_MULTICLASS
};

enum tr_linear_optimizer { TR_LINEAR_OPTIMIZER_AUTO = 0, TR_LINEAR_ADAM, TR_LINEAR_SGD };

/* What the best of several models is best by, and what early stopping looks at, with classes 0 and
 * 1. Otherwise it is the loss. */
enum tr_linear_selection { TR_LINEAR_BY_ACCURACY = 0, TR_LINEAR_BY_F_BETA, TR_LINEAR_BY_LOSS };

struct tr_linear_hyper {
    struct tr_hyper_common common;
    int predictor_type; /* enum tr_predictor */
    int loss;           /* 0 auto, else 1 + enum tr_loss */
    int optimizer;      /* enum tr_linear_optimizer */
    uint32_t num_classes;
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
    int balance_multiclass_weights;
    int selection; /* enum tr_linear_selection */
    uint32_t num_models;
    uint32_t accuracy_top_k;
    uint32_t early_stopping_patience; /* epochs; 0: never */
    double early_stopping_tolerance;
    double f_beta;
    double positive_example_weight_mult; /* TR_LINEAR_BALANCED: as the head has it */
    double huber_delta;
    double quantile;
    double loss_insensitivity;
    double margin;
};

#define TR_LINEAR_BALANCED (-1)

extern const struct tr_hyper_table tr_linear_hyper_table;

/* Fills in the defaults of a struct tr_linear_hyper. */
void tr_linear_hyper_init(void *values);

/* Model configuration for `dim` features; "auto" becomes a number. Scaling is left unset. */
void tr_linear_hyper_config(const struct tr_linear_hyper *hyper, uint32_t dim,
                            struct tr_linear_config *config);

/* "squared_loss" and so on, as hyperparameter loss has it. */
const char *tr_linear_loss_name(enum tr_loss loss);

/* "regressor", "binary_classifier", "multiclass_classifier". */
const char *tr_linear_predictor_name(const struct tr_linear_hyper *hyper);

#endif
