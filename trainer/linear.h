/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear.h - linear models of every loss of trainer/kernels.h by mini-batch SGD or Adam, on
 * dense rows or sparse ones.
 *
 * The model is z = ((x - mean) * inv_std) w + b. Everything it needs lives on the device; a step
 * only gives work to the compute stream. Weights start at zero: the problems are convex.
 *
 * Several models of different learning rates and decays may be trained at once: their weights lie
 * side by side in one matrix, (dim, models * outputs), so that a batch is multiplied once.
 *
 * Owner: the caller owns the model and closes it before the device.
 * Threads: the device's thread.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_LINEAR_H
#define TRAINER_LINEAR_H

#include "trainer/error.h"
#include "trainer/kernels.h"
#include "trainer/loss.h"
#include "trainer/model.h"

#define TR_LINEAR_MODELS_MAX 32U

struct tr_linear_config {
    enum tr_loss loss;
    double loss_parameter; /* as tr_loss_args.parameter, in the labels' own units */
    uint32_t dim;
    uint32_t outputs;       /* classes for TR_LOSS_SOFTMAX, else 1 */
    uint32_t models;        /* 1 .. TR_LINEAR_MODELS_MAX; 0 is 1 */
    uint32_t batch_rows;    /* rows of the largest batch */
    struct tr_group *group; /* that batches are shared with; NULL: none */
    bool sparse;            /* batches are CSR rows: features are scaled and not shifted */
    uint32_t top_k;         /* as tr_loss_args */
    enum tr_optimizer optimizer;
    double learning_rate; /* of the first model, as wd: see tr_linear_rates_of */
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
    /* Feature scaling, (dim) each, read by tr_linear_new only; NULL = features as they are. With
     * sparse rows the mean is not looked at. */
    const float *mean;
    const float *inv_std;
    /* Weights of classes, as tr_loss_args; read by tr_linear_new only. NULL: 1. */
    const float *class_weights;
    /* Label scaling of regression: the model learns (label - label_mean) / label_std. */
    double label_mean;
    double label_std;
};

/* What tells one of several models from another. */
struct tr_linear_rates {
    double learning_rate;
    double wd;
};

/* Model 0 is the configuration's own. Others take its learning rate times 10^(-1/2), 10^(1/2),
 * 1/10, 10, 10^(-3/2), 10^(3/2), and again from 1 on with 1e-4, 1e-3, ... added to wd. */
struct tr_linear_rates tr_linear_rates_of(const struct tr_linear_config *config, uint32_t model);

/* A batch, all of it device memory; what it does not have is NULL. */
struct tr_linear_rows {
    const float *features; /* (rows, dim); NULL: sparse */
    const float *labels;   /* (rows, label_dim), checked with tr_loss_check_labels */
    uint32_t label_dim;
    uint32_t count;
    uint32_t elsewhere;          /* rows of the same batch that other ranks have */
    const float *weights;        /* (rows) */
    const uint32_t *row_offsets; /* (rows + 1), as the next two of sparse rows */
    const uint32_t *columns;     /* (entries) */
    const float *values;
    uint32_t entries;
};

struct tr_linear;

int tr_linear_new(struct tr_device *device, const struct tr_linear_config *config,
                  struct tr_linear **out, struct tr_error *error);

/* Waits for the device, frees and clears *model; accepts NULL. */
void tr_linear_free(struct tr_linear **model);

/* Makes room for a batch of sparse rows: memory is allocated, after a wait for the device, only
 * when it has more entries than any before. */
int tr_linear_prepare(struct tr_linear *model, const struct tr_linear_rows *rows,
                      struct tr_error *error);

/* Together: gives one optimizer step on a batch to the compute stream, and makes room if that was
 * not done. In a group it waits for the other ranks, and may for the device. */
int tr_linear_step(struct tr_linear *model, const struct tr_linear_rows *rows,
                   struct tr_error *error);

/* Adds a batch's losses and scores to TR_SUMS_EVALUATE; the weights stay. */
int tr_linear_evaluate(struct tr_linear *model, const struct tr_linear_rows *rows,
                       struct tr_error *error);

/* Together: waits for the device and reads sums of all ranks, `out` (models); with `reset`, sets
 * them to zero. Losses and errors of regression are in the labels' own units. */
int tr_linear_read_sums(struct tr_linear *model, enum tr_sums which, bool reset,
                        struct tr_stats *out, struct tr_error *error);

/* As tr_tally_fold and tr_tally_unfold. */
int tr_linear_fold(struct tr_linear *model, struct tr_error *error);
int tr_linear_unfold(struct tr_linear *model, struct tr_error *error);

/* Sums of this rank's training so far without waiting: each call starts a read-back and returns
 * what the latest finished one brought (all zero before the first). out (models). */
int tr_linear_peek_sums(struct tr_linear *model, struct tr_stats *out, struct tr_error *error);

/* Waits for the device and reads model `model_no` with both scalings folded in, so that raw
 * features x (dim) give x weights + bias: class scores, the log odds, or the predicted label.
 *   weights  (dim, outputs)
 *   bias     (outputs) */
int tr_linear_export(struct tr_linear *model, uint32_t model_no, float *weights, float *bias,
                     struct tr_error *error);

/* What decides further steps: weights, biases, their moments, sums, the count of steps. Returns the
 * number of items, as tr_model_ops.state does. */
size_t tr_linear_state(struct tr_linear *model, struct tr_state_item *items);

#endif
