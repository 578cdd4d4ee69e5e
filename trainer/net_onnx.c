/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_onnx.c - a trained network as an ONNX graph, layer by layer. ONNX's pictures are
 * planes: an input `image` (rows, channels, height, width) of raw values, scaled by the graph.
 */
#include "trainer/net_model.h"
#include "trainer/onnx.h"

#include <stdio.h>
#include <string.h>

/* Adds a node whose output has the layer's name and `suffix`; `value` is its input and receives its
 * output's name. */
static struct fmt_onnx_node *chain(struct fmt_onnx_graph *graph, const char *op,
                                   const struct tr_layer *layer, const char *suffix,
                                   const char *second, const char *third, char *value)
{
    char output[FMT_ONNX_NAME_BYTES];
    snprintf(output, sizeof output, "%s.%s", layer->name, suffix);
    struct fmt_onnx_node *node = fmt_onnx_add(graph, op, output, value, second, third);
    snprintf(value, FMT_ONNX_NAME_BYTES, "%s", output);
    return node;
}

static void add_product(struct fmt_onnx_graph *graph, const struct tr_net_model *model, uint32_t k,
                        char *value)
{
    const struct tr_layer *layer = &model->config.plan.layers[k];
    const char *weights = model->names[k][0];
    const char *bias = model->names[k][1];
    int64_t pad = layer->kernel / 2;
    if (layer->op == TR_LAYER_DENSE) {
        if (tr_layer_dim(layer) > layer->in.channels) {
            struct fmt_onnx_node *node = chain(graph, "Flatten", layer, "rows", NULL, NULL, value);
            node->attributes[0] = (struct fmt_onnx_attribute){"axis", 0, {1}};
        }
        chain(graph, "Gemm", layer, "product", weights, bias, value);
        return;
    }
    struct fmt_onnx_node *node = chain(graph, "Conv", layer, "product", weights, bias, value);
    node->attributes[0] =
        (struct fmt_onnx_attribute){"kernel_shape", 2, {layer->kernel, layer->kernel}};
    node->attributes[1] = (struct fmt_onnx_attribute){"pads", 4, {pad, pad, pad, pad}};
    node->attributes[2] = (struct fmt_onnx_attribute){"strides", 2, {layer->stride, layer->stride}};
}

/* The mean over pixels, as rows of channels. */
static void add_mean(struct fmt_onnx_graph *graph, const struct tr_layer *layer, char *value)
{
    chain(graph, "GlobalAveragePool", layer, "mean", NULL, NULL, value);
    struct fmt_onnx_node *node = chain(graph, "Flatten", layer, "rows", NULL, NULL, value);
    node->attributes[0] = (struct fmt_onnx_attribute){"axis", 0, {1}};
}

/* values[0] is the name of the plan's input, values[k + 1] receives that of layer k's output. */
static void add_layer(struct fmt_onnx_graph *graph, const struct tr_net_model *model, uint32_t k,
                      char (*values)[FMT_ONNX_NAME_BYTES])
{
    const struct tr_layer *layer = &model->config.plan.layers[k];
    char *value = values[k + 1];
    memmove(value, values[layer->input], FMT_ONNX_NAME_BYTES); /* of another layer */
    if (layer->op == TR_LAYER_MEAN)
        add_mean(graph, layer, value);
    else
        add_product(graph, model, k, value);
    if (layer->residual > 0)
        chain(graph, "Add", layer, "sum", values[layer->residual], NULL, value);
    if (layer->activation == TR_ACTIVATION_RELU)
        chain(graph, "Relu", layer, "relu", NULL, NULL, value);
    else if (layer->activation == TR_ACTIVATION_TANH)
        chain(graph, "Tanh", layer, "tanh", NULL, NULL, value);
}

void tr_net_model_onnx(const struct tr_model *model, const struct tr_export *arrays,
                       struct fmt_onnx_graph *graph)
{
    const struct tr_net_model *m = tr_net_model_seen(model);
    const struct tr_plan *plan = &m->config.plan;
    char values[TR_LAYERS_MAX + 1][FMT_ONNX_NAME_BYTES] = {"features"};
    (void)arrays; /* their names are the model's */
    if (plan->layers[0].op == TR_LAYER_CONV) {
        graph->input = (struct fmt_onnx_value){
            "image", FMT_ONNX_FLOAT32, 4, {0, plan->in.channels, plan->in.height, plan->in.width}};
        fmt_onnx_add(graph, "Sub", "input.centred", "image", "input.mean", NULL);
        fmt_onnx_add(graph, "Mul", "input.scaled", "input.centred", "input.inv_std", NULL);
        snprintf(values[0], sizeof values[0], "input.scaled");
    } else {
        tr_onnx_features(graph, plan->in.channels);
    }
    for (uint32_t k = 0; k < plan->layer_count; k++)
        add_layer(graph, m, k, values);
    tr_onnx_results(graph, m->config.loss, plan->layers[plan->layer_count - 1].outputs);
}
