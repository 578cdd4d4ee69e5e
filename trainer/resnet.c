/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/resnet.c - image-classification, a residual network for small pictures, for the training
 * loop. Bytes are taken as pixels (NHWC), float32 as planes (NCHW): what application/x-image gives
 * unless its `layout` says otherwise.
 */
#include "trainer/resnet_hyper.h"

#include <stdio.h>
#include <stdlib.h>

#define SCALING_ROWS 1000U /* pictures that the scaling of channels is learnt from */

struct resnet {
    struct tr_net_model net; /* first */
    struct tr_resnet_hyper hyper;
};

static const struct resnet *seen(const struct tr_model *model)
{
    return (const struct resnet *)(const void *)model;
}

static uint64_t head_rows(const void *values)
{
    (void)values;
    return SCALING_ROWS;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    const struct tr_net_scaling scaling = {.features = true, .rows = SCALING_ROWS};
    const struct penstock_batch *first = tr_head_batch(setup->head, 0);
    const struct tr_resnet_hyper *hyper = setup->hyper;
    const uint32_t *shape = hyper->image_shape.at;
    *out = NULL;
    if (first->feature_dim != shape[0] * shape[1] * shape[2])
        return tr_fail(error,
                       "the train channel's rows hold %u values, and image_shape %u,%u,%u "
                       "has %u",
                       first->feature_dim, shape[0], shape[1], shape[2],
                       shape[0] * shape[1] * shape[2]);
    struct resnet *m = calloc(1, sizeof *m);
    if (!m)
        return tr_fail(error, "no memory");
    m->hyper = *hyper;
    m->net.base = (struct tr_model){&tr_model_resnet, setup->device, setup->group};
    tr_resnet_hyper_config(hyper, &m->net.config, &m->net.rate);
    m->net.config.bytes = first->type == PENSTOCK_UINT8;
    m->net.config.planes = !m->net.config.bytes;
    m->net.config.seed = setup->seed;
    snprintf(m->net.prediction, sizeof m->net.prediction,
             "argmax of the scores that model.onnx computes from raw pixels, planes of %u x %u",
             shape[1], shape[2]);
    return tr_net_model_create(setup, &scaling, &m->net, out, error);
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct tr_net_model *net = tr_net_model_seen(model);
    const struct tr_resnet_hyper *hyper = &seen(model)->hyper;
    snprintf(text, text_bytes,
             "%u layers, %u x %u x %u %s, %u classes, %zu parameters, %s, learning rate %.4g",
             hyper->num_layers, net->config.plan.in.channels, net->config.plan.in.height,
             net->config.plan.in.width, net->config.bytes ? "bytes" : "floats", hyper->num_classes,
             tr_plan_parameters(&net->config.plan),
             hyper->optimizer == TR_RESNET_ADAM ? "adam" : "sgd", net->rate.start);
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct tr_resnet_hyper *hyper = &seen(model)->hyper;
    tr_json_count(json, "num_layers", hyper->num_layers);
    tr_json_count(json, "num_filters", hyper->num_filters);
    tr_json_open(json, "image_shape", '[');
    for (uint32_t i = 0; i < hyper->image_shape.count; i++)
        tr_json_count(json, NULL, hyper->image_shape.at[i]);
    tr_json_close(json, ']');
    tr_net_model_put_optimizer(tr_net_model_seen(model), json);
    tr_json_number(json, "weight_decay", hyper->weight_decay);
    tr_json_open(json, "lr_scheduler_step", '[');
    for (uint32_t i = 0; i < hyper->lr_scheduler_step.count; i++)
        tr_json_count(json, NULL, hyper->lr_scheduler_step.at[i]);
    tr_json_close(json, ']');
    tr_json_number(json, "lr_scheduler_factor", hyper->lr_scheduler_factor);
}

const struct tr_model_ops tr_model_resnet = {
    .name = "image-classification",
    .title = "Image Classification",
    .hyper = &tr_resnet_hyper_table,
    .takes = TR_TAKES_DENSE | TR_TAKES_BYTES | TR_NEEDS_LABELS,
    .head_rows = head_rows,
    .create = create,
    .free = tr_net_model_free,
    .describe = describe,
    .check = tr_net_model_check,
    .step = tr_net_model_step,
    .evaluate = tr_net_model_evaluate,
    .objective = tr_net_model_objective,
    .results = tr_net_model_results,
    .peek_loss = tr_net_model_peek_loss,
    .export_arrays = tr_net_model_export,
    .onnx = tr_net_model_onnx,
    .put_config = put_config,
    .state = tr_net_model_state,
    .restored = tr_net_model_restored,
    .fold = tr_net_model_fold,
};
