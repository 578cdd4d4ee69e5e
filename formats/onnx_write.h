/* SPDX-License-Identifier: Apache-2.0 */
/* formats/onnx_write.h - a graph of operators as an ONNX file: a ModelProto of onnx.proto3 in
 * protobuf's wire format (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3), IR version 8,
 * operators of version 13 of the default set. No time stamps: the same graph gives the same bytes.
 *
 * Owner: the caller; nothing here keeps a pointer. Threads: pure functions.
 */
#ifndef FORMATS_ONNX_WRITE_H
#define FORMATS_ONNX_WRITE_H

#include "formats/tensor.h"

#define FMT_ONNX_NAME_BYTES 48U
#define FMT_ONNX_INPUTS_MAX 3U
#define FMT_ONNX_ATTRIBUTES_MAX 3U
#define FMT_ONNX_NODES_MAX 256U
#define FMT_ONNX_VALUES_MAX 4U

/* Most bytes of one file: protobuf's lengths have 31 bits. */
#define FMT_ONNX_BYTES_MAX UINT64_C(0x7fffffff)

/* One integer, or several where count says so. */
struct fmt_onnx_attribute {
    const char *name; /* NULL: there is none */
    uint32_t count;   /* 0: an integer, at[0]; else so many */
    int64_t at[4];
};

/* Names are of inputs, of initializers, and of outputs of nodes before. */
struct fmt_onnx_node {
    const char *op;                                        /* "Gemm" */
    char inputs[FMT_ONNX_INPUTS_MAX][FMT_ONNX_NAME_BYTES]; /* up to the first that is empty */
    char output[FMT_ONNX_NAME_BYTES];
    struct fmt_onnx_attribute attributes[FMT_ONNX_ATTRIBUTES_MAX];
};

enum fmt_onnx_type { FMT_ONNX_FLOAT32 = 1, FMT_ONNX_INT64 = 7 }; /* TensorProto.DataType */

/* An input or output of the graph. */
struct fmt_onnx_value {
    const char *name;
    enum fmt_onnx_type type;
    uint32_t dim_count;
    uint64_t shape[FMT_TENSOR_DIMS_MAX]; /* 0: any number of rows */
};

struct fmt_onnx_graph {
    const char *name;
    const char *producer;
    const char *producer_version;
    const char *doc;
    const struct fmt_tensor *initializers;
    size_t initializer_count;
    struct fmt_onnx_value input;
    struct fmt_onnx_value outputs[FMT_ONNX_VALUES_MAX];
    size_t output_count;
    struct fmt_onnx_node nodes[FMT_ONNX_NODES_MAX]; /* in an order that they can be computed in */
    size_t node_count;
};

/* Appends a node; names that are NULL are left out. Returns it, for its attributes. There is room.
 */
struct fmt_onnx_node *fmt_onnx_add(struct fmt_onnx_graph *graph, const char *op, const char *output,
                                   const char *input_0, const char *input_1, const char *input_2);

/* Writes a whole file, of at most FMT_ONNX_BYTES_MAX, to the sink. Returns 0, or what the sink
 * returned. */
int fmt_onnx_write(const struct fmt_onnx_graph *graph, fmt_sink_fn sink, void *cookie);

#endif
