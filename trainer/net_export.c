/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_export.c - the arrays of a trained network: see trainer/net_model.h. */
#include "trainer/net_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(2 * TR_LAYERS_MAX + 2 <= TR_TENSORS_MAX, "weights and biases, and the scaling");

/* What the device holds, in host memory. */
struct trained {
    const struct tr_plan *plan;
    float *parameters;
    float *mean; /* (channels), as the next */
    float *inv_std;
};

/* ((x - mean) s) w + b = x (s w) + (b - sum(mean s w)), in double. */
static void fold_input(const struct trained *from, const struct tr_layer *layer, float *weights,
                       float *bias)
{
    for (uint32_t j = 0; j < layer->outputs; j++) {
        double shift = 0.0;
        for (uint32_t i = 0; i < layer->in.channels; i++) {
            float *w = &weights[(size_t)i * layer->outputs + j];
            double folded = (double)*w * (double)from->inv_std[i];
            shift += (double)from->mean[i] * folded;
            *w = (float)folded;
        }
        bias[j] = (float)((double)bias[j] - shift);
    }
}

static void fold_label(const struct tr_net_config *config, const struct tr_layer *layer,
                       float *weights, float *bias)
{
    size_t n = (size_t)tr_layer_dim(layer) * layer->outputs;
    for (size_t i = 0; i < n; i++)
        weights[i] = (float)((double)weights[i] * config->label_std);
    for (uint32_t j = 0; j < layer->outputs; j++)
        bias[j] = (float)((double)bias[j] * config->label_std + config->label_mean);
}

/* (kernel, kernel, channels, outputs) to (outputs, channels, kernel, kernel). */
static void transpose(const struct tr_layer *layer, const float *from, float *to)
{
    size_t pixels = (size_t)layer->kernel * layer->kernel;
    for (size_t o = 0; o < layer->outputs; o++) {
        for (size_t c = 0; c < layer->in.channels; c++) {
            for (size_t pixel = 0; pixel < pixels; pixel++)
                *to++ = from[(pixel * layer->in.channels + c) * layer->outputs + o];
        }
    }
}

/* (pixels, channels, outputs) to (channels, pixels, outputs). */
static void to_planes(const struct tr_layer *layer, const float *from, float *to)
{
    size_t channels = layer->in.channels;
    size_t pixels = (size_t)layer->in.height * layer->in.width;
    for (size_t c = 0; c < channels; c++) {
        for (size_t pixel = 0; pixel < pixels; pixel++, to += layer->outputs)
            memcpy(to, from + (pixel * channels + c) * layer->outputs, layer->outputs * sizeof *to);
    }
}

static int export_layer(struct tr_net_model *model, const struct trained *from, uint32_t k,
                        struct tr_export *out, struct tr_error *error)
{
    const struct tr_layer *layer = &from->plan->layers[k];
    const float *weights = from->parameters + layer->weights_at;
    const float *bias = from->parameters + from->plan->weight_count + layer->bias_at;
    uint64_t dense[] = {tr_layer_dim(layer), layer->outputs};
    uint64_t conv[] = {layer->outputs, layer->in.channels, layer->kernel, layer->kernel};
    bool is_conv = layer->op == TR_LAYER_CONV;
    if (layer->op == TR_LAYER_MEAN)
        return 0;
    snprintf(model->names[k][0], sizeof model->names[k][0], "%s.weights", layer->name);
    snprintf(model->names[k][1], sizeof model->names[k][1], "%s.bias", layer->name);
    float *w =
        tr_export_add(out, model->names[k][0], is_conv ? 4 : 2, is_conv ? conv : dense, error);
    float *b = w ? tr_export_add(out, model->names[k][1], 1, dense + 1, error) : NULL;
    if (!b)
        return -1;
    memcpy(b, bias, layer->outputs * sizeof *b);
    if (is_conv) {
        transpose(layer, weights, w);
        return 0;
    }
    to_planes(layer, weights, w);
    if (layer->input == 0)
        fold_input(from, layer, w, b);
    if (k + 1 == from->plan->layer_count && model->config.loss == TR_LOSS_SQUARED)
        fold_label(&model->config, layer, w, b);
    return 0;
}

/* Where the input is padded with zeros its scaling cannot be folded in. */
static int export_scaling(const struct trained *from, struct tr_export *out, struct tr_error *error)
{
    const uint64_t shape[] = {from->plan->in.channels, 1, 1};
    size_t len_bytes = from->plan->in.channels * sizeof(float);
    float *mean = tr_export_add(out, "input.mean", 3, shape, error);
    float *inv_std = mean ? tr_export_add(out, "input.inv_std", 3, shape, error) : NULL;
    if (!inv_std)
        return -1;
    memcpy(mean, from->mean, len_bytes);
    memcpy(inv_std, from->inv_std, len_bytes);
    return 0;
}

int tr_net_model_export(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    struct tr_net_model *m = tr_net_model_of(model);
    const struct tr_plan *plan = &m->config.plan;
    size_t n = tr_plan_parameters(plan);
    float *memory = malloc((n + 2 * (size_t)plan->in.channels) * sizeof *memory);
    if (!memory)
        return tr_fail(error, "no memory for the model");
    struct trained from = {plan, memory, memory + n, memory + n + plan->in.channels};
    int rc = tr_net_read(m->net, memory, from.mean, error);
    if (rc == 0 && plan->layers[0].op == TR_LAYER_CONV)
        rc = export_scaling(&from, out, error);
    for (uint32_t k = 0; k < plan->layer_count && rc == 0; k++)
        rc = export_layer(m, &from, k, out, error);
    free(memory);
    tr_export_fact(out, "feature_dim", tr_extent_values(&plan->in));
    tr_export_fact(out, "outputs", plan->layers[plan->layer_count - 1].outputs);
    out->variant = m->variant;
    out->prediction = m->prediction;
    return rc;
}
