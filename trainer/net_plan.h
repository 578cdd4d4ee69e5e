/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_plan.h - what a network consists of: layers in order, their shapes, and where the
 * parameters of each lie in one array. Multi-layer perceptrons and residual networks are plans;
 * trainer/net.h computes them, trainer/net_ref.h once more in double, trainer/net_onnx.h writes
 * them down.
 *
 * A layer is out = dropout(activation(op(input) + residual)). Pixels are NHWC: a channel's values
 * of neighbouring pixels lie `channels` apart. Rows of plain features are 1 x 1 pixels.
 *
 * There is no batch normalisation: the initial weights of residual branches are narrowed by depth
 * instead (after Zhang, Dauphin and Ma, "Fixup initialization", ICLR 2019). So a row's
 * result depends on that row alone, a batch may be cut into blocks or shared out among hosts
 * without a change of the gradient, and training and evaluation compute the same function.
 *
 * Owner: the caller; no pointers. Threads: pure functions.
 */
#ifndef TRAINER_NET_PLAN_H
#define TRAINER_NET_PLAN_H

#include "trainer/net_kernels.h"

#define TR_LAYERS_MAX 40U
#define TR_LAYER_NAME_BYTES 24U

enum tr_layer_op {
    TR_LAYER_DENSE, /* (values of all pixels) x weights + bias */
    TR_LAYER_CONV,  /* square, padded by kernel / 2 zeros on every side */
    TR_LAYER_MEAN   /* of every channel over all pixels */
};

struct tr_extent {
    uint32_t height;
    uint32_t width;
    uint32_t channels;
};

/* Sources are numbers of layers, from 1; 0 is the plan's own input. */
struct tr_layer {
    char name[TR_LAYER_NAME_BYTES]; /* of its arrays in files, e.g. "block_2.conv_1" */
    enum tr_layer_op op;
    enum tr_activation activation;
    uint32_t input;
    uint32_t residual; /* a layer of the same extent whose output is added; 0: none */
    uint32_t outputs;  /* DENSE, CONV */
    uint32_t kernel;   /* CONV; odd */
    uint32_t stride;   /* CONV */
    float dropout;     /* share of outputs that training sets to zero, below 1 */
    float init_bound;  /* weights start uniform in -bound .. bound */
    /* Set by tr_plan_add. */
    struct tr_extent in;
    struct tr_extent out;
    size_t weights_at; /* (dim, outputs); of CONV, dim is (kernel, kernel, channels) */
    size_t bias_at;    /* (outputs), behind all weights: add plan->weight_count */
};

struct tr_plan {
    struct tr_extent in;
    uint32_t layer_count;
    struct tr_layer layers[TR_LAYERS_MAX]; /* the last one's outputs are the network's */
    size_t weight_count;                   /* of all layers */
    size_t bias_count;
};

static inline size_t tr_extent_values(const struct tr_extent *extent)
{
    return (size_t)extent->height * extent->width * extent->channels;
}

/* Rows of the product that a layer is: pixels of its output. */
static inline uint32_t tr_layer_pixels(const struct tr_layer *layer)
{
    return layer->out.height * layer->out.width;
}

/* Columns of the product's first factor: what one output is summed over. */
static inline uint32_t tr_layer_dim(const struct tr_layer *layer)
{
    return layer->op == TR_LAYER_CONV ? layer->kernel * layer->kernel * layer->in.channels
                                      : (uint32_t)tr_extent_values(&layer->in);
}

static inline size_t tr_plan_parameters(const struct tr_plan *plan)
{
    return plan->weight_count + plan->bias_count;
}

void tr_plan_init(struct tr_plan *plan, struct tr_extent in);

/* Appends a layer with its extents and places filled in; returns its number. There is room for it,
 * and its sources are there. */
uint32_t tr_plan_add(struct tr_plan *plan, struct tr_layer layer);

/* Bounds of weights that keep the size of what passes through: for relu (He et al. 2015) and for
 * tanh and outputs (Glorot and Bengio 2010). */
float tr_init_relu(uint32_t dim);
float tr_init_even(uint32_t dim, uint32_t outputs);

/* Fills (tr_plan_parameters) with initial weights from the seed and zero biases: the same bits on
 * every machine, and the same for a layer whatever the others are. */
void tr_plan_start(const struct tr_plan *plan, uint64_t seed, float *parameters);

#endif
