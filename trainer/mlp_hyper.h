/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mlp_hyper.h - hyperparameters of mlp: those of linear-learner under its names, and what
 * makes the hidden layers.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_MLP_HYPER_H
#define TRAINER_MLP_HYPER_H

#include "trainer/net_model.h"
#include "trainer/predictor.h"

struct tr_mlp_hyper {
    struct tr_predictor_hyper predictor;
    int activation; /* enum tr_activation */
    struct tr_hyper_counts hidden_layers;
    double dropout;
};

extern const struct tr_hyper_table tr_mlp_hyper_table;

/* The network for `dim` features and its learning rate; "auto" becomes a number. */
void tr_mlp_hyper_config(const struct tr_mlp_hyper *hyper, uint32_t dim,
                         struct tr_net_config *config, struct tr_net_rate *rate);

#endif
