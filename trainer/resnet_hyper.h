/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/resnet_hyper.h - hyperparameters of image-classification under SageMaker's names, and the
 * residual network that comes of them.
 *
 * The network is He et al.'s for small pictures (2016, section 4.2): a convolution, three stages of
 * n blocks of two convolutions, each stage of half the size and twice the channels of the one
 * before, one dense layer. num_layers is 6 n + 2. Instead of the mean over pixels the dense layer
 * takes all of them: without batch normalisation, which trainer/net_plan.h argues against, means
 * differ too little from one picture to another, and learning from them is slow (Fashion-MNIST, 375
 * steps of 50 pictures: accuracy 0.74, and 0.84 from all pixels).
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_RESNET_HYPER_H
#define TRAINER_RESNET_HYPER_H

#include "trainer/net_model.h"

enum tr_resnet_optimizer { TR_RESNET_SGD = 0, TR_RESNET_ADAM };

struct tr_resnet_hyper {
    struct tr_hyper_common common;
    int optimizer; /* enum tr_resnet_optimizer */
    uint32_t num_classes;
    uint32_t num_layers;
    uint32_t num_filters; /* channels of the first stage */
    uint32_t num_training_samples;
    struct tr_hyper_counts image_shape; /* channels, height, width */
    struct tr_hyper_counts lr_scheduler_step;
    double learning_rate;
    double momentum;
    double weight_decay;
    double beta_1;
    double beta_2;
    double eps;
    double lr_scheduler_factor;
};

extern const struct tr_hyper_table tr_resnet_hyper_table;

/* The network and its learning rate. */
void tr_resnet_hyper_config(const struct tr_resnet_hyper *hyper, struct tr_net_config *config,
                            struct tr_net_rate *rate);

#endif
