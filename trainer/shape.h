/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.h - whether a model can learn from what a channel holds, and from its rows.
 *
 * Threads: any. Pure.
 */
#ifndef TRAINER_SHAPE_H
#define TRAINER_SHAPE_H

#include "trainer/kernels.h"
#include "trainer/model.h"

/* `name` is the channel's; feature_dim the model's, 0 before there is one. Returns 0, or -1 with
 * *error. */
int tr_shape_check(const struct tr_model_ops *model, const char *name,
                   const struct penstock_batch *batch, uint32_t feature_dim,
                   struct tr_error *error);

/* That labels are such as the loss takes (see tr_loss_check_labels), and that columns of sparse
 * rows are below feature_dim. Return 0, or -1 with *error, which names the first row that is not.
 */
int tr_shape_check_labels(enum tr_loss loss, uint32_t outputs, const char *channel,
                          const struct penstock_batch *batch, struct tr_error *error);
int tr_shape_check_columns(uint32_t feature_dim, const char *channel,
                           const struct penstock_batch *batch, struct tr_error *error);

#endif
