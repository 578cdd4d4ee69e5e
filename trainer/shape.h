/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.h - whether models can learn from what a channel holds: dense float32 features, and
 * labels.
 *
 * Threads: any. Pure.
 */
#ifndef TRAINER_SHAPE_H
#define TRAINER_SHAPE_H

#include "pipe/penstock.h"
#include "trainer/error.h"

/* `name` is the channel's. Return 0, or -1 with *error. */
int tr_shape_check(const char *name, const struct penstock_batch *batch, struct tr_error *error);
int tr_shape_has_labels(const char *name, const struct penstock_batch *batch,
                        struct tr_error *error);

#endif
