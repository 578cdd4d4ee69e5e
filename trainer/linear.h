/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear.h - linear, logistic and softmax regression by mini-batch SGD or Adam.
 *
 * The model is z = ((x - mean) * inv_std) w + b. Everything it needs lives on the device; a step
 * only gives work to the compute stream. Weights start at zero: the problems are convex.
 *
 * Owner: the caller owns the model and closes it before the device.
 * Threads: the device's thread.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_LINEAR_H
#define TRAINER_LINEAR_H

#include "trainer/error.h"
#include "trainer/kernels.h"
#include "trainer/model.h"

struct tr_linear_config {
    enum tr_loss loss;
    uint32_t dim;
    uint32_t outputs;    /* classes for TR_LOSS_SOFTMAX, else 1 */
    uint32_t batch_rows; /* rows of the largest batch */
    enum tr_optimizer optimizer;
    double learning_rate;
    double momentum;
    double beta1;
    double beta2;
    double wd;
    double l1;
    bool use_bias;
    double bias_lr_mult;
    double bias_wd_mult;
    /* Learning rate of step t (from 0): max(minimum_lr, learning_rate * factor^(t / step)), whole
     * division; step 0 keeps it constant. */
    uint32_t lr_step;
    double lr_factor;
    double lr_minimum;
    /* Feature scaling, (dim) each, read by tr_linear_new only; NULL = features as they are. */
    const float *mean;
    const float *inv_std;
    /* Label scaling for TR_LOSS_SQUARED: the model learns (label - label_mean) / label_std. */
    double label_mean;
    double label_std;
};

struct tr_linear;

int tr_linear_new(struct tr_device *device, const struct tr_linear_config *config,
                  struct tr_linear **out, struct tr_error *error);

/* Waits for the device, frees and clears *model; accepts NULL. */
void tr_linear_free(struct tr_linear **model);

/* Gives one optimizer step on a batch to the compute stream. features (rows, dim) and labels
 * (rows, label_dim) are device memory; labels were checked with tr_linear_check_labels. */
int tr_linear_step(struct tr_linear *model, const float *features, const float *labels,
                   uint32_t label_dim, uint32_t rows, struct tr_error *error);

/* Adds a batch's loss and hits to TR_SUMS_EVALUATE; the weights stay. */
int tr_linear_evaluate(struct tr_linear *model, const float *features, const float *labels,
                       uint32_t label_dim, uint32_t rows, struct tr_error *error);

/* Waits for the device and reads sums; with `reset`, sets them to zero. The loss of
 * TR_LOSS_SQUARED is in the labels' own units. */
int tr_linear_read_sums(struct tr_linear *model, enum tr_sums which, bool reset,
                        struct tr_stats *out, struct tr_error *error);

/* Sums of training so far without waiting: each call starts a read-back and returns what the
 * latest finished one brought (all zero before the first). */
int tr_linear_peek_sums(struct tr_linear *model, struct tr_stats *out, struct tr_error *error);

/* Waits for the device and reads the model with both scalings folded in, so that raw features x
 * (dim) give x weights + bias: class scores, the log odds, or the predicted label.
 *   weights  (dim, outputs)
 *   bias     (outputs) */
int tr_linear_export(struct tr_linear *model, float *weights, float *bias, struct tr_error *error);

/* What decides further steps: weights, biases, their moments, sums, the count of steps. Returns the
 * number of items, as tr_model_ops.state does. */
size_t tr_linear_state(struct tr_linear *model, struct tr_state_item *items);

/* Index of the first of `rows` labels (column 0 of (rows, label_dim), host memory) that the loss
 * cannot take: not a whole number in [0, outputs) for softmax, not 0 or 1 for logistic, not finite
 * for squared. Returns `rows` when there is none. */
uint32_t tr_linear_check_labels(const struct tr_linear_config *config, const float *labels,
                                uint32_t label_dim, uint32_t rows);

#endif
