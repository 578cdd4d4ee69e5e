/* SPDX-License-Identifier: Apache-2.0 */
/* formats/onnx_write.c - see formats/onnx_write.h. Field numbers are onnx.proto3's.
 *
 * A message inside another has its length before it: it is put twice, the first time to a stream
 * that only counts.
 */
#include "formats/onnx_write.h"

#include "formats/bytes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

_Static_assert(FMT_LITTLE_ENDIAN, "arrays are written as they lie in memory");

#define IR_VERSION 8
#define OPSET_VERSION 13

#define ATTRIBUTE_INT 2 /* AttributeProto.AttributeType */
#define ATTRIBUTE_INTS 7

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2 };

struct out {
    fmt_sink_fn sink; /* NULL: only count */
    void *cookie;
    uint64_t len_bytes;
    int rc; /* of the first sink call that failed */
};

typedef void (*put_fn)(struct out *out, const void *message);

static void put_raw(struct out *out, const void *bytes, uint64_t len_bytes)
{
    out->len_bytes += len_bytes;
    if (out->sink && out->rc == 0 && len_bytes > 0)
        out->rc = out->sink(out->cookie, bytes, (size_t)len_bytes);
}

static void put_varint(struct out *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    do {
        bytes[len++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    put_raw(out, bytes, len);
}

static void put_int(struct out *out, uint32_t field, int64_t value)
{
    put_varint(out, field << 3 | WIRE_VARINT);
    put_varint(out, (uint64_t)value);
}

static void put_bytes(struct out *out, uint32_t field, const void *bytes, uint64_t len_bytes)
{
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, len_bytes);
    put_raw(out, bytes, len_bytes);
}

static void put_text(struct out *out, uint32_t field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

static void put_message(struct out *out, uint32_t field, put_fn put, const void *message)
{
    struct out count = {0};
    put(&count, message);
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, count.len_bytes);
    put(out, message);
}

/* AttributeProto: name 1, i 3, ints 8, type 20. */
static void put_attribute(struct out *out, const void *message)
{
    const struct fmt_onnx_attribute *a = message;
    put_text(out, 1, a->name);
    for (uint32_t i = 0; i < a->count; i++)
        put_int(out, 8, a->at[i]);
    if (a->count == 0)
        put_int(out, 3, a->at[0]);
    put_int(out, 20, a->count == 0 ? ATTRIBUTE_INT : ATTRIBUTE_INTS);
}

/* NodeProto: input 1, output 2, name 3, op_type 4, attribute 5. */
static void put_node(struct out *out, const void *message)
{
    const struct fmt_onnx_node *node = message;
    for (uint32_t i = 0; i < FMT_ONNX_INPUTS_MAX && node->inputs[i][0]; i++)
        put_text(out, 1, node->inputs[i]);
    put_text(out, 2, node->output);
    put_text(out, 3, node->output); /* names of nodes are free: what it gives will do */
    put_text(out, 4, node->op);
    for (uint32_t i = 0; i < FMT_ONNX_ATTRIBUTES_MAX && node->attributes[i].name; i++)
        put_message(out, 5, put_attribute, &node->attributes[i]);
}

/* TensorProto: dims 1, data_type 2, name 8, raw_data 9. */
static void put_tensor(struct out *out, const void *message)
{
    const struct fmt_tensor *tensor = message;
    for (uint32_t i = 0; i < tensor->dim_count; i++)
        put_int(out, 1, (int64_t)tensor->shape[i]);
    put_int(out, 2, FMT_ONNX_FLOAT32);
    put_text(out, 8, tensor->name);
    put_bytes(out, 9, tensor->data, fmt_tensor_bytes(tensor));
}

/* TensorShapeProto.Dimension: dim_value 1, dim_param 2. */
static void put_dimension(struct out *out, const void *message)
{
    const uint64_t *dimension = message;
    if (*dimension > 0)
        put_int(out, 1, (int64_t)*dimension);
    else
        put_text(out, 2, "rows");
}

/* TensorShapeProto: dim 1. */
static void put_shape(struct out *out, const void *message)
{
    const struct fmt_onnx_value *value = message;
    for (uint32_t i = 0; i < value->dim_count; i++)
        put_message(out, 1, put_dimension, &value->shape[i]);
}

/* TypeProto.Tensor: elem_type 1, shape 2. */
static void put_tensor_type(struct out *out, const void *message)
{
    const struct fmt_onnx_value *value = message;
    put_int(out, 1, value->type);
    put_message(out, 2, put_shape, value);
}

/* TypeProto: tensor_type 1. */
static void put_type(struct out *out, const void *message)
{
    put_message(out, 1, put_tensor_type, message);
}

/* ValueInfoProto: name 1, type 2. */
static void put_value(struct out *out, const void *message)
{
    const struct fmt_onnx_value *value = message;
    put_text(out, 1, value->name);
    put_message(out, 2, put_type, value);
}

/* GraphProto: node 1, name 2, initializer 5, input 11, output 12. */
static void put_graph(struct out *out, const void *message)
{
    const struct fmt_onnx_graph *graph = message;
    for (size_t i = 0; i < graph->node_count; i++)
        put_message(out, 1, put_node, &graph->nodes[i]);
    put_text(out, 2, graph->name);
    for (size_t i = 0; i < graph->initializer_count; i++)
        put_message(out, 5, put_tensor, &graph->initializers[i]);
    put_message(out, 11, put_value, &graph->input);
    for (size_t i = 0; i < graph->output_count; i++)
        put_message(out, 12, put_value, &graph->outputs[i]);
}

/* OperatorSetIdProto: domain 1, version 2; the default domain is the empty one. */
static void put_opset(struct out *out, const void *message)
{
    (void)message;
    put_text(out, 1, "");
    put_int(out, 2, OPSET_VERSION);
}

/* ModelProto: ir_version 1, producer_name 2, producer_version 3, doc_string 6, graph 7,
 * opset_import 8. */
static void put_model(struct out *out, const struct fmt_onnx_graph *graph)
{
    put_int(out, 1, IR_VERSION);
    put_text(out, 2, graph->producer);
    put_text(out, 3, graph->producer_version);
    put_text(out, 6, graph->doc);
    put_message(out, 7, put_graph, graph);
    put_message(out, 8, put_opset, graph);
}

struct fmt_onnx_node *fmt_onnx_add(struct fmt_onnx_graph *graph, const char *op, const char *output,
                                   const char *input_0, const char *input_1, const char *input_2)
{
    const char *inputs[FMT_ONNX_INPUTS_MAX] = {input_0, input_1, input_2};
    assert(graph->node_count < FMT_ONNX_NODES_MAX);
    struct fmt_onnx_node *node = &graph->nodes[graph->node_count++];
    memset(node, 0, sizeof *node);
    node->op = op;
    snprintf(node->output, sizeof node->output, "%s", output);
    for (uint32_t i = 0; i < FMT_ONNX_INPUTS_MAX && inputs[i]; i++)
        snprintf(node->inputs[i], sizeof node->inputs[i], "%s", inputs[i]);
    return node;
}

int fmt_onnx_write(const struct fmt_onnx_graph *graph, fmt_sink_fn sink, void *cookie)
{
    struct out out = {.sink = sink, .cookie = cookie};
    put_model(&out, graph);
    return out.rc;
}
