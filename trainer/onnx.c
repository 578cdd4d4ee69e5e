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

/* Some operators take axes, and all take numbers, as inputs. */
static void add_constant(struct fmt_onnx_graph *graph, const char *name, int64_t value)
{
    struct fmt_onnx_node *node = fmt_onnx_add(graph, "Constant", name, NULL, NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"value_ints", 1, {value}};
}

/* (sum((x @ factors)**2) - sum(x**2 @ factors**2)) / 2, a column. */
static void add_pairs(struct fmt_onnx_graph *graph, const char *output)
{
    fmt_onnx_add(graph, "MatMul", "sums", "features", "factors", NULL);
    fmt_onnx_add(graph, "Mul", "sums.squared", "sums", "sums", NULL);
    fmt_onnx_add(graph, "Mul", "features.squared", "features", "features", NULL);
    fmt_onnx_add(graph, "Mul", "factors.squared", "factors", "factors", NULL);
    fmt_onnx_add(graph, "MatMul", "own", "features.squared", "factors.squared", NULL);
    fmt_onnx_add(graph, "Sub", "pairs.twice", "sums.squared", "own", NULL);
    fmt_onnx_add(graph, "ReduceSum", "pairs.sum", "pairs.twice", "one", NULL);
    add_constant(graph, "two", 2);
    struct fmt_onnx_node *node = fmt_onnx_add(graph, "Cast", "two.float", "two", NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"to", 0, {FMT_ONNX_FLOAT32}};
    fmt_onnx_add(graph, "Div", output, "pairs.sum", "two.float", NULL);
}

void tr_onnx_fm(const struct tr_export *arrays, enum tr_loss loss, struct fmt_onnx_graph *graph)
{
    tr_onnx_features(graph, arrays->tensors[1].shape[0]);
    add_constant(graph, "one", 1);
    add_pairs(graph, "pairs");
    fmt_onnx_add(graph, "Unsqueeze", "linear.column", "linear", "one", NULL);
    fmt_onnx_add(graph, "Gemm", "linear.part", "features", "linear.column", "bias");
    fmt_onnx_add(graph, "Add", "scores", "linear.part", "pairs", NULL);
    tr_onnx_results(graph, loss, 1);
}

static void add_reduction(struct fmt_onnx_graph *graph, const char *op, const char *output,
                          const char *input, int64_t axis)
{
    struct fmt_onnx_node *node = fmt_onnx_add(graph, op, output, input, NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"axes", 1, {axis}};
    node->attributes[1] = (struct fmt_onnx_attribute){"keepdims", 0, {0}};
}

/* Differences first, then squares: what products of float32 leave of the distance between places
 * far from zero would not be worth much. */
void tr_onnx_kmeans(const struct tr_model *model, const struct tr_export *arrays,
                    struct fmt_onnx_graph *graph)
{
    const struct fmt_tensor *centroids = &arrays->tensors[0];
    (void)model;
    tr_onnx_features(graph, centroids->shape[1]);
    add_constant(graph, "one", 1);
    fmt_onnx_add(graph, "Unsqueeze", "features.each", "features", "one", NULL);
    fmt_onnx_add(graph, "Sub", "differences", "features.each", centroids->name, NULL);
    add_reduction(graph, "ReduceSumSquare", "squared_distances", "differences", 2);
    struct fmt_onnx_node *node =
        fmt_onnx_add(graph, "ArgMin", "closest_cluster", "squared_distances", NULL, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"axis", 0, {1}};
    node->attributes[1] = (struct fmt_onnx_attribute){"keepdims", 0, {0}};
    add_reduction(graph, "ReduceMin", "least", "squared_distances", 1);
    fmt_onnx_add(graph, "Sqrt", "distance_to_cluster", "least", NULL, NULL);
    add_output(graph, "squared_distances", FMT_ONNX_FLOAT32, 2, centroids->shape[0]);
    add_output(graph, "closest_cluster", FMT_ONNX_INT64, 1, 0);
    add_output(graph, "distance_to_cluster", FMT_ONNX_FLOAT32, 1, 0);
}

void tr_onnx_pca(const struct tr_model *model, const struct tr_export *arrays,
                 struct fmt_onnx_graph *graph)
{
    const struct fmt_tensor *components = &arrays->tensors[0];
    const char *mean = arrays->tensors[1].name;
    (void)model;
    graph->initializer_count = 2; /* what else there is says how much they explain */
    tr_onnx_features(graph, components->shape[1]);
    fmt_onnx_add(graph, "Sub", "features.centred", "features", mean, NULL);
    struct fmt_onnx_node *node =
        fmt_onnx_add(graph, "Gemm", "projection", "features.centred", components->name, NULL);
    node->attributes[0] = (struct fmt_onnx_attribute){"transB", 0, {1}};
    add_output(graph, "projection", FMT_ONNX_FLOAT32, 2, components->shape[0]);
}
