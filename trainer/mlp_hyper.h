/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mlp_hyper.h - hyperparameters of mlp: those of linear-learner under its names, and what
 * makes the hidden layers.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_MLP_HYPER_H
#define TRAINER_MLP_HYPER_H

#include "trainer/linear_hyper.h"
#include "trainer/net_model.h"

struct tr_mlp_hyper {
    struct tr_hyper_common common;
    int predictor_type; /* enum tr_predictor */
    int optimizer;      /* enum tr_linear_optimizer */
    int activation;     /* enum tr_activation */
    uint32_t num_classes;
    uint32_t num_point_for_scaler;
    uint32_t lr_scheduler_step;
    struct tr_hyper_counts hidden_layers;
    double dropout;
    double learning_rate;
    double momentum;
    double beta_1;
    double beta_2;
    double wd;
    double lr_scheduler_factor;
    double lr_scheduler_minimum_lr;
    int normalize_data; /* enum tr_truth, as the following */
    int normalize_label;
    int use_lr_scheduler;
};

extern const struct tr_hyper_table tr_mlp_hyper_table;

/* The network for `dim` features and its learning rate; "auto" becomes a number. */
void tr_mlp_hyper_config(const struct tr_mlp_hyper *hyper, uint32_t dim,
                         struct tr_net_config *config, struct tr_net_rate *rate);

/* "regressor", "binary_classifier", "multiclass_classifier". */
const char *tr_mlp_predictor_name(const struct tr_mlp_hyper *hyper);

#endif
