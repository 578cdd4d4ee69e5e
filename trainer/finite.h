/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/finite.h - whether what a model has learnt still is numbers. A step may overflow whose
 * loss did not, so that the loss alone does not tell. Models that say no loss before an epoch's end
 * (kmeans, pca, custom) are not looked into.
 *
 * Owner: the caller. Threads: the device's thread. Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_FINITE_H
#define TRAINER_FINITE_H

#include "trainer/model.h"

/* Of the model's export. */
int tr_finite_check_arrays(const struct tr_model *model, const struct tr_export *arrays,
                           struct tr_error *error);

/* Amid training; waits for the device. The loss is that of the epoch so far. */
int tr_finite_check(struct tr_model *model, struct tr_error *error);

#endif
