/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/loss.h - what goes with a loss: its name as an objective, and the labels that it takes.
 *
 * Threads: any. Pure.
 */
#ifndef TRAINER_LOSS_H
#define TRAINER_LOSS_H

#include "trainer/kernels.h"

/* Whether labels are classes. */
bool tr_loss_is_of_classes(enum tr_loss loss);

/* As SageMaker names it, e.g. "multiclass_cross_entropy_objective". */
const char *tr_loss_objective(enum tr_loss loss);

/* Index of the first of `rows` labels (column 0 of (rows, label_dim), host memory) that the loss
 * cannot take: not a whole number in [0, outputs) for softmax, not 0 or 1 for logistic and hinge,
 * not finite for the others. Returns `rows` when there is none. */
uint32_t tr_loss_check_labels(enum tr_loss loss, uint32_t outputs, const float *labels,
                              uint32_t label_dim, uint32_t rows);

#endif
