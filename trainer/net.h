/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net.h - a network of layers (trainer/net_plan.h) on a device, trained by mini-batch SGD
 * or Adam.
 *
 * A batch goes through in blocks of rows: as many as bound the memory for patches and for what
 * layers give, and stay in the cache of the cpu. The gradient is that of the batch's mean loss;
 * sums are taken in an order that depends on the plan and the batch alone.
 *
 * Owner: the caller owns the network and frees it before the device.
 * Threads: the device's thread.
 * Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_NET_H
#define TRAINER_NET_H

#include "trainer/model.h"
#include "trainer/net_plan.h"

struct tr_net_config {
    struct tr_plan plan;
    enum tr_loss loss;
    uint32_t batch_rows;    /* of the largest batch */
    struct tr_group *group; /* that batches are shared with; NULL: none */
    bool bytes;             /* features are uint8, else float32 */
    bool planes;            /* features are NCHW, else NHWC */
    enum tr_optimizer optimizer;
    double momentum;
    double beta1;
    double beta2;
    double epsilon;
    double wd; /* of weights; biases have none */
    /* Scaling of the plan's input, (channels) each, read by tr_net_new only; NULL: none. */
    const float *mean;
    const float *inv_std;
    /* For TR_LOSS_SQUARED: the network learns (label - label_mean) / label_std. */
    double label_mean;
    double label_std;
    uint64_t seed; /* of initial weights and of dropout */
};

/* Rows of a batch, in device memory. */
struct tr_net_rows {
    const void *features;
    const float *labels; /* (count, label_dim), checked */
    uint32_t label_dim;
    uint32_t count;
    uint32_t first;     /* number of the first in the batch */
    uint32_t elsewhere; /* rows of the same batch that other ranks have */
};

struct tr_net;

int tr_net_new(struct tr_device *device, const struct tr_net_config *config, struct tr_net **out,
               struct tr_error *error);

/* Waits for the device, frees and clears *net; accepts NULL. */
void tr_net_free(struct tr_net **net);

/* Together: gives one optimizer step on a batch to the compute stream. In a group it waits for the
 * other ranks, and may for the device. */
int tr_net_step(struct tr_net *net, const struct tr_net_rows *rows, double learning_rate,
                struct tr_error *error);

/* Adds a batch's loss and hits to TR_SUMS_EVALUATE; the parameters stay. */
int tr_net_evaluate(struct tr_net *net, const struct tr_net_rows *rows, struct tr_error *error);

/* As tr_tally_fold and tr_tally_unfold. */
int tr_net_fold(struct tr_net *net, struct tr_error *error);
int tr_net_unfold(struct tr_net *net, struct tr_error *error);

/* As tr_tally_read, which resets, and tr_tally_peek; the loss of TR_LOSS_SQUARED is in the labels'
 * own units. */
int tr_net_take_sums(struct tr_net *net, enum tr_sums which, struct tr_stats *out,
                     struct tr_error *error);
int tr_net_peek_sums(struct tr_net *net, struct tr_stats *out, struct tr_error *error);

/* Waits for the device and reads the parameters (tr_plan_parameters), and the scaling (2,
 * channels): mean, then 1 / std, or 0 and 1. */
int tr_net_read(struct tr_net *net, float *parameters, float *scaling, struct tr_error *error);

/* Steps done. */
uint64_t tr_net_steps(const struct tr_net *net);

/* Returns the number of items, as tr_model_ops.state does. */
size_t tr_net_state(struct tr_net *net, struct tr_state_item *items);

#endif
