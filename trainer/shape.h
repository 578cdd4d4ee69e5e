/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.h - whether a model can learn from what a channel holds.
 *
 * Threads: any. Pure.
 */
#ifndef TRAINER_SHAPE_H
#define TRAINER_SHAPE_H

#include "trainer/model.h"

/* `name` is the channel's; feature_dim the model's, 0 before there is one. Returns 0, or -1 with
 * *error. */
int tr_shape_check(const struct tr_model_ops *model, const char *name,
                   const struct penstock_batch *batch, uint32_t feature_dim,
                   struct tr_error *error);

#endif
