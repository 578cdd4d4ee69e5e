/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_plan.c - see trainer/net_plan.h. */
#include "trainer/net_plan.h"

#include "trainer/random.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void tr_plan_init(struct tr_plan *plan, struct tr_extent in)
{
    memset(plan, 0, sizeof *plan);
    plan->in = in;
}

static struct tr_extent extent_out(const struct tr_layer *layer)
{
    struct tr_extent out = {1, 1, layer->outputs};
    if (layer->op == TR_LAYER_CONV) {
        out.height = (layer->in.height - 1) / layer->stride + 1;
        out.width = (layer->in.width - 1) / layer->stride + 1;
    } else if (layer->op == TR_LAYER_MEAN) {
        out.channels = layer->in.channels;
    }
    return out;
}

uint32_t tr_plan_add(struct tr_plan *plan, struct tr_layer layer)
{
    assert(plan->layer_count < TR_LAYERS_MAX && layer.input <= plan->layer_count);
    layer.in = layer.input == 0 ? plan->in : plan->layers[layer.input - 1].out;
    layer.out = extent_out(&layer);
    if (layer.op != TR_LAYER_MEAN) {
        layer.weights_at = plan->weight_count;
        layer.bias_at = plan->bias_count;
        plan->weight_count += (size_t)tr_layer_dim(&layer) * layer.outputs;
        plan->bias_count += layer.outputs;
    }
    plan->layers[plan->layer_count++] = layer;
    return plan->layer_count;
}

float tr_init_relu(uint32_t dim)
{
    return (float)sqrt(6.0 / (double)dim);
}

float tr_init_even(uint32_t dim, uint32_t outputs)
{
    return (float)sqrt(6.0 / ((double)dim + (double)outputs));
}

void tr_plan_start(const struct tr_plan *plan, uint64_t seed, float *parameters)
{
    memset(parameters, 0, tr_plan_parameters(plan) * sizeof *parameters);
    for (uint32_t k = 0; k < plan->layer_count; k++) {
        const struct tr_layer *layer = &plan->layers[k];
        size_t n = layer->op == TR_LAYER_MEAN ? 0 : (size_t)tr_layer_dim(layer) * layer->outputs;
        for (size_t i = 0; i < n && layer->init_bound > 0.0F; i++) {
            /* 24 bits: exact in a float, so that every machine rounds the product alone. */
            float unit =
                (float)((int32_t)(tr_random_bits(seed, k + 1, i) >> 40) - (1 << 23)) * 0x1p-23F;
            parameters[layer->weights_at + i] = unit * layer->init_bound;
        }
    }
}
