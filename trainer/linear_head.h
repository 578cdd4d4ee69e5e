/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_head.h - what linear-learner learns from the head of the data before its first
 * step: scaling of features and labels, and weights of classes.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_LINEAR_HEAD_H
#define TRAINER_LINEAR_HEAD_H

#include "trainer/linear_hyper.h"
#include "trainer/model.h"

/* Arrays that the configuration points to after tr_linear_learn; freed with tr_linear_forget. */
struct tr_linear_learnt {
    float *scale;         /* (2 * dim): mean, and 1 / std after it; NULL: none */
    float *class_weights; /* NULL: none */
};

/* Rows of the head that are wanted. */
uint64_t tr_linear_head_rows(const void *hyper);

/* Fills in what `config` takes from the data. Returns 0, or -1 with *error. */
int tr_linear_learn(const struct tr_setup *setup, struct tr_linear_config *config,
                    struct tr_linear_learnt *learnt, struct tr_error *error);
void tr_linear_forget(struct tr_linear_learnt *learnt);

#endif
