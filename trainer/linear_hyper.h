/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_hyper.h - hyperparameters of linear-learner, and the model's configuration that
 * comes of them.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_LINEAR_HYPER_H
#define TRAINER_LINEAR_HYPER_H

#include "trainer/linear.h"
#include "trainer/predictor.h"

/* What the best of several models is best by, and what early stopping looks at, with classes 0 and
 * 1. Otherwise it is the loss. */
enum tr_linear_selection { TR_LINEAR_BY_ACCURACY = 0, TR_LINEAR_BY_F_BETA, TR_LINEAR_BY_LOSS };

struct tr_linear_hyper {
    struct tr_predictor_hyper predictor;
    int loss; /* 0 auto, else 1 + enum tr_loss */
    double l1;
    double bias_lr_mult;
    double bias_wd_mult;
    int use_bias; /* enum tr_truth, as the following */
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

#endif
