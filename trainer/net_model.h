/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_model.h - what the models that are networks (mlp, image-classification) have in
 * common behind trainer/model.h: everything but hyperparameters and the plan.
 *
 * Owner: as trainer/model.h says. Threads: the device's thread.
 * Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_NET_MODEL_H
#define TRAINER_NET_MODEL_H

#include "trainer/net.h"

/* The learning rate of a step: `start` * factor^n, at least `least`, where n counts what is behind:
 * spans of every_steps steps, and those of at_epochs that have begun. */
struct tr_net_rate {
    double start;
    double factor;
    double least;
    uint32_t every_steps; /* 0: steps do not count */
    struct tr_hyper_counts at_epochs;
};

struct tr_net_model {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_net_config config;
    struct tr_net_rate rate;
    struct tr_net *net;
    const char *variant; /* of tr_export; NULL: none */
    char names[TR_LAYERS_MAX][2][TR_LAYER_NAME_BYTES + 8];
    char prediction[200];
};

static inline struct tr_net_model *tr_net_model_of(struct tr_model *model)
{
    return (struct tr_net_model *)(void *)model;
}

static inline const struct tr_net_model *tr_net_model_seen(const struct tr_model *model)
{
    return (const struct tr_net_model *)(const void *)model;
}

/* Which scalings are learnt from how many first rows. */
struct tr_net_scaling {
    bool features;
    bool labels;
    uint64_t rows;
};

/* Learns the scaling that is wanted, for the plan's input channels, and makes the network. `model`
 * has its config and rate; on failure it is freed. */
int tr_net_model_create(const struct tr_setup *setup, const struct tr_net_scaling *scaling,
                        struct tr_net_model *model, struct tr_model **out, struct tr_error *error);

/* Of struct tr_model_ops. */
void tr_net_model_free(struct tr_model *model);
int tr_net_model_check(const struct tr_model *model, const char *channel,
                       const struct penstock_batch *batch, struct tr_error *error);
int tr_net_model_step(struct tr_model *model, const struct tr_device_batch *batch,
                      struct tr_error *error);
int tr_net_model_evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                          struct tr_error *error);
const char *tr_net_model_objective(const struct tr_model *model);
int tr_net_model_results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                         struct tr_error *error);
int tr_net_model_peek_loss(struct tr_model *model, double *loss, struct tr_error *error);
int tr_net_model_fold(struct tr_model *model, struct tr_error *error);
int tr_net_model_restored(struct tr_model *model, struct tr_error *error);
size_t tr_net_model_state(struct tr_model *model, struct tr_state_item *items);

/* The optimizer, its learning rate and its own numbers, for config.json. */
void tr_net_model_put_optimizer(const struct tr_net_model *model, struct tr_json *json);

/* trainer/net_export.c: dense layers as NAME.weights (dim, outputs) and NAME.bias (outputs),
 * where dim goes through a picture plane by plane;
 * convolutions as NAME.weights (outputs, channels, kernel, kernel). The scaling of labels, and of
 * features where the first layer is dense, is folded in; else it is input.mean and input.inv_std
 * (channels, 1, 1). */
int tr_net_model_export(struct tr_model *model, struct tr_export *out, struct tr_error *error);

/* trainer/net_onnx.c; after the export. */
void tr_net_model_onnx(const struct tr_model *model, const struct tr_export *arrays,
                       struct fmt_onnx_graph *graph);

#endif
