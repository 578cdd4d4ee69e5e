/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/predictor.h - the hyperparameters that linear-learner and mlp have alike: what is
 * predicted, the optimizer, its learning rate, and the scaling that is learnt.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_PREDICTOR_H
#define TRAINER_PREDICTOR_H

#include "trainer/hyper.h"
#include "trainer/kernels.h"

enum tr_predictor {
    TR_PREDICTOR_UNSET = 0,
    TR_PREDICTOR_REGRESSOR,
    TR_PREDICTOR_BINARY,
    TR_PREDICTOR_MULTICLASS
};

enum tr_predictor_optimizer { TR_PREDICTOR_AUTO = 0, TR_PREDICTOR_ADAM, TR_PREDICTOR_SGD };

/* The start of the values of such a model, which gives the defaults. */
struct tr_predictor_hyper {
    struct tr_hyper_common common;
    int type;      /* enum tr_predictor */
    int optimizer; /* enum tr_predictor_optimizer */
    uint32_t num_classes;
    uint32_t num_point_for_scaler;
    uint32_t lr_scheduler_step;
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

/* For tr_hyper_table.shared of a model whose values start with struct tr_predictor_hyper. */
extern const struct tr_hyper_parameter tr_predictor_parameters[];

/* That predictor_type is given, and that the others go with it and with the optimizer. */
int tr_predictor_check(const struct tr_predictor_hyper *hyper, struct tr_error *error);

/* "regressor", "binary_classifier", "multiclass_classifier". */
const char *tr_predictor_name(int type);

/* The loss where no other is asked for: of squares, logistic or softmax. */
enum tr_loss tr_predictor_loss(int type);

/* Classes of multiclass_classifier, else 1. */
uint32_t tr_predictor_outputs(const struct tr_predictor_hyper *hyper);

bool tr_predictor_scales_features(const struct tr_predictor_hyper *hyper);
bool tr_predictor_scales_labels(const struct tr_predictor_hyper *hyper);

#endif
