/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/onnx.c - see trainer/onnx.h. */
#include "trainer/onnx.h"

#include <stdio.h>

void tr_onnx_features(struct fmt_onnx_graph *graph, uint64_t dim)
{
    graph->input = (struct fmt_onnx_value){"features", FMT_ONNX_FLOAT32, 2, {0, dim}};
}

static void add_output(struct fmt_onnx_graph *graph, const char *name, enum fmt_onnx_type type,
                       uint32_t dim_count, uint64_t columns)
{
    graph->outputs[graph->output_count++] =
        (struct fmt_onnx_value){name, type, dim_count, {0, columns}};
}

static void add_classes(struct fmt_onnx_graph *graph, uint64_t outputs)
{
    struct fmt_onnx_node *node =
        fmt_onnx_add(graph, "Softmax", "probabilities", "scores", NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"axis", 0, {1}};
    node = fmt_onnx_add(graph, "ArgMax", "label", "scores", NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"axis", 0, {1}};
    node->attributes[1] = (struct fmt_onnx_attribute){"keepdims", 0, {0}};
    add_output(graph, "probabilities", FMT_ONNX_FLOAT32, 2, outputs);
    add_output(graph, "label", FMT_ONNX_INT64, 1, 0);
}

/* Class 1 where the score is above zero: a sign without its negative values. */
static void add_two_classes(struct fmt_onnx_graph *graph, bool probability)
{
    if (probability) {
        fmt_onnx_add(graph, "Sigmoid", "probability", "score", NULL, NULL);
        add_output(graph, "probability", FMT_ONNX_FLOAT32, 2, 1);
    }
    fmt_onnx_add(graph, "Sign", "sign", "score", NULL, NULL);
    fmt_onnx_add(graph, "Relu", "is_positive", "sign", NULL, NULL);
    struct fmt_onnx_node *node = fmt_onnx_add(graph, "Cast", "label", "is_positive", NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"to", 0, {FMT_ONNX_INT64}};
    add_output(graph, "label", FMT_ONNX_INT64, 2, 1);
}

void tr_onnx_results(struct fmt_onnx_graph *graph, enum tr_loss loss, uint64_t outputs)
{
    struct fmt_onnx_node *last = &graph->nodes[graph->node_count - 1];
    bool two = loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE;
    const char *name = loss == TR_LOSS_SOFTMAX ? "scores" : two ? "score" : "prediction";
    snprintf(last->output, sizeof last->output, "%s", name);
    add_output(graph, name, FMT_ONNX_FLOAT32, 2, outputs);
    if (loss == TR_LOSS_SOFTMAX)
        add_classes(graph, outputs);
    else if (two)
        add_two_classes(graph, loss == TR_LOSS_LOGISTIC);
}

void tr_onnx_linear(const struct tr_export *arrays, enum tr_loss loss, struct fmt_onnx_graph *graph)
{
    const struct fmt_tensor *weights = &arrays->tensors[0];
    tr_onnx_features(graph, weights->shape[0]);
    fmt_onnx_add(graph, "Gemm", "scores", "features", weights->name, arrays->tensors[1].name);
    tr_onnx_results(graph, loss, weights->shape[1]);
}
