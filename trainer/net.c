/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net.c - see trainer/net.h. */
#include "trainer/net.h"

#include "trainer/device_use.h"
#include "trainer/net_math.h"
#include "trainer/tally.h"

#include <stdlib.h>
#include <string.h>

/* Floats of one block on a device that bounds none: 512 MiB. */
#define BLOCK_FLOATS_MAX ((size_t)1 << 27)

struct layer_memory {
    float *out;         /* (block_rows, extent) */
    float *gradient;    /* likewise: of the loss by out */
    bool adds_input;    /* another layer has begun the gradient of this one's input */
    bool adds_residual; /* likewise of its residual */
};

struct tr_net {
    struct tr_device *device;
    struct tr_net_config config;
    uint32_t block_rows;
    uint64_t steps;
    size_t parameter_count;
    float *parameters; /* (parameter_count), as the next three */
    float *gradient;
    float *m;
    float *v;
    float *scaling; /* (2, channels) */
    bool scaled;
    float *input;   /* (block_rows, plan.in); NULL when features are taken as they are */
    float *patches; /* (block_rows, of the largest convolution) */
    float *row_loss;
    float *row_hit;
    struct layer_memory layers[TR_LAYERS_MAX];
    struct tr_tally tally;
};

/* --- memory --------------------------------------------------------------------------------------
 */

static size_t patch_values(const struct tr_layer *layer)
{
    return layer->op == TR_LAYER_CONV ? (size_t)tr_layer_pixels(layer) * tr_layer_dim(layer) : 0;
}

static size_t patch_values_max(const struct tr_plan *plan)
{
    size_t most = 0;
    for (uint32_t k = 0; k < plan->layer_count; k++) {
        size_t values = patch_values(&plan->layers[k]);
        most = values > most ? values : most;
    }
    return most;
}

/* As many rows as keep what is under way in bounds: a layer's input, patches and output. */
static uint32_t rows_of_block(const struct tr_device *device, const struct tr_plan *plan,
                              uint32_t batch_rows)
{
    size_t bound = device->ops->block_floats > 0 ? device->ops->block_floats : BLOCK_FLOATS_MAX;
    size_t row = tr_extent_values(&plan->in);
    for (uint32_t k = 0; k < plan->layer_count; k++) {
        const struct tr_layer *layer = &plan->layers[k];
        size_t values = tr_extent_values(&layer->in) + patch_values(layer);
        values += tr_extent_values(&layer->out);
        row = values > row ? values : row;
    }
    size_t rows = bound / row;
    if (rows < 1)
        rows = 1;
    return rows < batch_rows ? (uint32_t)rows : batch_rows;
}

static int allocate_layers(struct tr_net *net, struct tr_error *error)
{
    const struct tr_plan *plan = &net->config.plan;
    bool begun[TR_LAYERS_MAX + 1] = {false};
    for (uint32_t k = 0; k < plan->layer_count; k++) {
        size_t n = net->block_rows * tr_extent_values(&plan->layers[k].out);
        if (tr_device_allocate_floats(net->device, &net->layers[k].out, n, error) < 0 ||
            tr_device_allocate_floats(net->device, &net->layers[k].gradient, n, error) < 0)
            return -1;
    }
    for (uint32_t k = plan->layer_count; k-- > 0;) { /* the order of backward_block */
        const struct tr_layer *layer = &plan->layers[k];
        net->layers[k].adds_residual = begun[layer->residual];
        begun[layer->residual] = true;
        net->layers[k].adds_input = begun[layer->input];
        begun[layer->input] = true;
    }
    return 0;
}

static int allocate_all(struct tr_net *net, struct tr_error *error)
{
    const struct tr_net_config *config = &net->config;
    size_t rows = net->block_rows;
    size_t n = net->parameter_count;
    size_t patches = patch_values_max(&config->plan);
    if (tr_device_allocate_floats(net->device, &net->parameters, n, error) < 0 ||
        tr_device_allocate_floats(net->device, &net->gradient, n, error) < 0 ||
        tr_device_allocate_floats(net->device, &net->m, n, error) < 0 ||
        tr_device_allocate_floats(net->device, &net->v, n, error) < 0 ||
        tr_device_allocate_floats(net->device, &net->scaling, (size_t)config->plan.in.channels * 2,
                                  error) < 0 ||
        tr_device_allocate_floats(net->device, &net->row_loss, rows, error) < 0 ||
        tr_device_allocate_floats(net->device, &net->row_hit, rows, error) < 0)
        return -1;
    if (patches > 0 &&
        tr_device_allocate_floats(net->device, &net->patches, rows * patches, error) < 0)
        return -1;
    if ((net->scaled || config->bytes || config->planes) &&
        tr_device_allocate_floats(net->device, &net->input,
                                  rows * tr_extent_values(&config->plan.in), error) < 0)
        return -1;
    if (allocate_layers(net, error) < 0)
        return -1;
    return tr_tally_open(&net->tally, net->device, net->config.group, 1, error);
}

/* Initial weights and the scaling. */
static int upload_start(struct tr_net *net, struct tr_error *error)
{
    const struct tr_net_config *config = &net->config;
    size_t channels = config->plan.in.channels;
    float *host = malloc((net->parameter_count + 2 * channels) * sizeof *host);
    if (!host)
        return tr_fail(error, "no memory");
    float *scaling = host + net->parameter_count;
    tr_plan_start(&config->plan, config->seed, host);
    for (size_t i = 0; i < channels; i++) {
        scaling[i] = net->scaled ? config->mean[i] : 0.0F;
        scaling[channels + i] = net->scaled ? config->inv_std[i] : 1.0F;
    }
    int rc = tr_device_put(net->device, net->tally.ready, net->parameters, host,
                           net->parameter_count * sizeof *host, error);
    if (rc == 0)
        rc = tr_device_put(net->device, net->tally.ready, net->scaling, scaling,
                           2 * channels * sizeof *host, error);
    free(host);
    return rc;
}

int tr_net_new(struct tr_device *device, const struct tr_net_config *config, struct tr_net **out,
               struct tr_error *error)
{
    struct tr_net *net = calloc(1, sizeof *net);
    *out = NULL;
    if (!net)
        return tr_fail(error, "no memory");
    net->device = device;
    net->config = *config;
    net->scaled = config->mean != NULL;
    net->parameter_count = tr_plan_parameters(&config->plan);
    net->block_rows = rows_of_block(device, &config->plan, config->batch_rows);
    int rc = allocate_all(net, error);
    if (rc == 0)
        rc = upload_start(net, error);
    net->config.mean = NULL; /* the caller's arrays: not looked at again */
    net->config.inv_std = NULL;
    if (rc < 0)
        tr_net_free(&net);
    *out = net;
    return rc;
}

void tr_net_free(struct tr_net **net)
{
    struct tr_net *n = net ? *net : NULL;
    if (!n)
        return;
    const struct tr_device_ops *ops = n->device->ops;
    ops->drain(n->device);
    float *arrays[] = {n->parameters, n->gradient, n->m,        n->v,      n->scaling,
                       n->input,      n->patches,  n->row_loss, n->row_hit};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(n->device, arrays[i]);
    for (size_t k = 0; k < TR_LAYERS_MAX; k++) {
        ops->dealloc(n->device, n->layers[k].out);
        ops->dealloc(n->device, n->layers[k].gradient);
    }
    tr_tally_close(&n->tally);
    free(n);
    *net = NULL;
}

/* --- forward -------------------------------------------------------------------------------------
 */

/* What a block of rows is and what is done with it. */
struct block {
    const float *input;
    uint32_t at; /* its first row among this rank's */
    uint32_t rows;
    bool learn;
    const struct tr_net_rows *of; /* which it is a part of */
};

static const float *source(const struct tr_net *net, const struct block *block, uint32_t number)
{
    return number == 0 ? block->input : net->layers[number - 1].out;
}

static const float *weights_of(const struct tr_net *net, uint32_t k)
{
    return net->parameters + net->config.plan.layers[k].weights_at;
}

static size_t bias_place(const struct tr_net *net, uint32_t k)
{
    return net->config.plan.weight_count + net->config.plan.layers[k].bias_at;
}

static struct tr_dropout dropout_of(const struct tr_net *net, const struct block *block, uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    struct tr_dropout dropout = {.scale = 1.0F};
    if (!block->learn || layer->dropout <= 0.0F)
        return dropout;
    dropout.seed = tr_random_bits(net->config.seed, UINT64_C(1) << 32 | k, net->steps);
    dropout.first = (block->of->first + block->at) * tr_extent_values(&layer->out);
    dropout.below = (uint32_t)((double)layer->dropout * 4294967296.0);
    dropout.scale = 1.0F / (1.0F - layer->dropout);
    return dropout;
}

/* Block `input` from the batch's features. */
static int load_block(struct tr_net *net, struct block *block)
{
    const struct tr_net_config *config = &net->config;
    size_t values = tr_extent_values(&config->plan.in);
    size_t from = block->at * values;
    if (!net->input) {
        block->input = (const float *)block->of->features + from;
        return 0;
    }
    const struct tr_load_args args = {
        .x = config->bytes ? (const void *)((const uint8_t *)block->of->features + from)
                           : (const void *)((const float *)block->of->features + from),
        .mean = net->scaled ? net->scaling : NULL,
        .inv_std = net->scaled ? net->scaling + config->plan.in.channels : NULL,
        .y = net->input,
        .rows = block->rows,
        .pixels = config->plan.in.height * config->plan.in.width,
        .channels = config->plan.in.channels,
        .bytes = config->bytes,
        .planes = config->planes,
    };
    block->input = net->input;
    return tr_launch_load(net->device, &args);
}

static struct tr_patches_args patches_of(const struct tr_net *net, const struct block *block,
                                         uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    return (struct tr_patches_args){
        .x = source(net, block, layer->input),
        .patches = net->patches,
        .rows = block->rows,
        .height = layer->in.height,
        .width = layer->in.width,
        .channels = layer->in.channels,
        .kernel = layer->kernel,
        .stride = layer->stride,
        .out_height = layer->out.height,
        .out_width = layer->out.width,
    };
}

static int forward_product(struct tr_net *net, const struct block *block, uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    struct tr_forward_args args = {
        .x = source(net, block, layer->input),
        .w = weights_of(net, k),
        .b = net->parameters + bias_place(net, k),
        .z = net->layers[k].out,
        .rows = block->rows * tr_layer_pixels(layer),
        .dim = tr_layer_dim(layer),
        .outputs = layer->outputs,
    };
    if (layer->op == TR_LAYER_CONV) {
        struct tr_patches_args patches = patches_of(net, block, k);
        if (tr_launch_patches(net->device, &patches) < 0)
            return -1;
        args.x = net->patches;
    }
    return tr_launch_forward(net->device, &args);
}

static int forward_layer(struct tr_net *net, const struct block *block, uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    struct tr_finish_args finish = {
        .a = net->layers[k].out,
        .residual = layer->residual > 0 ? net->layers[layer->residual - 1].out : NULL,
        .n = block->rows * tr_extent_values(&layer->out),
        .activation = layer->activation,
        .dropout = dropout_of(net, block, k),
    };
    int rc;
    if (layer->op == TR_LAYER_MEAN) {
        struct tr_mean_args mean = {source(net, block, layer->input), finish.a, block->rows,
                                    layer->in.height * layer->in.width, layer->in.channels};
        rc = tr_launch_mean(net->device, &mean);
    } else {
        rc = forward_product(net, block, k);
    }
    bool unchanged =
        layer->activation == TR_ACTIVATION_NONE && !finish.residual && finish.dropout.below == 0;
    return rc < 0 || unchanged ? rc : tr_launch_finish(net->device, &finish);
}

/* --- backward ------------------------------------------------------------------------------------
 */

static int backward_product(struct tr_net *net, const struct block *block, uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    bool conv = layer->op == TR_LAYER_CONV;
    struct tr_patches_args patches = patches_of(net, block, k);
    struct tr_gradient_args gradient = {
        .x = conv ? net->patches : patches.x,
        .dz = net->layers[k].gradient,
        .dw = net->gradient + layer->weights_at,
        .db = net->gradient + bias_place(net, k),
        .rows = block->rows * tr_layer_pixels(layer),
        .dim = tr_layer_dim(layer),
        .outputs = layer->outputs,
        .accumulate = block->at > 0,
    };
    if ((conv && tr_launch_patches(net->device, &patches) < 0) ||
        tr_launch_gradient(net->device, &gradient) < 0)
        return -1;
    if (layer->input == 0)
        return 0;
    float *dx = net->layers[layer->input - 1].gradient;
    struct tr_backward_args backward = {
        .dz = gradient.dz,
        .w = weights_of(net, k),
        .dx = conv ? net->patches : dx,
        .rows = gradient.rows,
        .dim = gradient.dim,
        .outputs = gradient.outputs,
        .accumulate = !conv && net->layers[k].adds_input,
    };
    if (tr_launch_backward(net->device, &backward) < 0 || !conv)
        return conv ? -1 : 0;
    struct tr_unpatch_args unpatch = {patches, net->patches, dx, net->layers[k].adds_input};
    return tr_launch_unpatch(net->device, &unpatch);
}

static int backward_layer(struct tr_net *net, const struct block *block, uint32_t k)
{
    const struct tr_layer *layer = &net->config.plan.layers[k];
    struct tr_unfinish_args unfinish = {
        .a = net->layers[k].out,
        .d = net->layers[k].gradient,
        .dresidual = layer->residual > 0 ? net->layers[layer->residual - 1].gradient : NULL,
        .n = block->rows * tr_extent_values(&layer->out),
        .activation = layer->activation,
        .accumulate = net->layers[k].adds_residual,
        .dropout = dropout_of(net, block, k),
    };
    bool unchanged = layer->activation == TR_ACTIVATION_NONE && !unfinish.dresidual &&
                     unfinish.dropout.below == 0;
    if (!unchanged && tr_launch_unfinish(net->device, &unfinish) < 0)
        return -1;
    if (layer->op != TR_LAYER_MEAN)
        return backward_product(net, block, k);
    if (layer->input == 0)
        return 0;
    struct tr_spread_args spread = {unfinish.d,         net->layers[layer->input - 1].gradient,
                                    block->rows,        layer->in.height * layer->in.width,
                                    layer->in.channels, net->layers[k].adds_input};
    return tr_launch_spread(net->device, &spread);
}

/* --- one batch -----------------------------------------------------------------------------------
 */

static int loss_block(struct tr_net *net, const struct block *block)
{
    const struct tr_net_rows *rows = block->of;
    const struct tr_net_config *config = &net->config;
    uint32_t last = config->plan.layer_count - 1;
    struct tr_loss_args loss = {
        .loss = config->loss,
        .z = net->layers[last].out,
        .labels = rows->labels + (size_t)block->at * rows->label_dim,
        .label_dim = rows->label_dim,
        .rows = block->rows,
        .outputs = config->plan.layers[last].outputs,
        .label_mean = (float)config->label_mean,
        .label_inv_std = (float)(1.0 / config->label_std),
        .gradient_scale = 1.0F / (float)(rows->count + rows->elsewhere),
        .dz = block->learn ? net->layers[last].gradient : NULL,
        .row_loss = net->row_loss,
        .row_hit = net->row_hit,
        .stats = tr_tally_at(&net->tally, block->learn ? TR_SUMS_TRAIN : TR_SUMS_EVALUATE, 0),
    };
    return tr_launch_loss(net->device, &loss);
}

static int run_block(struct tr_net *net, struct block *block)
{
    uint32_t count = net->config.plan.layer_count;
    if (load_block(net, block) < 0)
        return -1;
    for (uint32_t k = 0; k < count; k++) {
        if (forward_layer(net, block, k) < 0)
            return -1;
    }
    if (loss_block(net, block) < 0)
        return -1;
    for (uint32_t k = count; k-- > 0 && block->learn;) {
        if (backward_layer(net, block, k) < 0)
            return -1;
    }
    return 0;
}

static int run_batch(struct tr_net *net, const struct tr_net_rows *rows, bool learn,
                     struct tr_error *error)
{
    for (uint32_t at = 0; at < rows->count; at += net->block_rows) {
        struct block block = {.at = at, .rows = net->block_rows, .learn = learn, .of = rows};
        if (rows->count - at < block.rows)
            block.rows = rows->count - at;
        if (run_block(net, &block) < 0)
            return tr_device_failed(net->device, error);
    }
    return 0;
}

/* One optimizer step on n parameters from `at` on. */
static int update(struct tr_net *net, size_t at, size_t n, double learning_rate, double wd)
{
    const struct tr_net_config *config = &net->config;
    struct tr_update_args args = {
        .optimizer = config->optimizer,
        .w = net->parameters + at,
        .g = net->gradient + at,
        .m = net->m + at,
        .v = net->v + at,
        .n = n,
        .learning_rate = (float)learning_rate,
        .momentum = (float)config->momentum,
        .beta1 = (float)config->beta1,
        .beta2 = (float)config->beta2,
        .inv_bias1 = tr_inv_bias(config->beta1, net->steps),
        .inv_bias2 = tr_inv_bias(config->beta2, net->steps),
        .epsilon = (float)config->epsilon,
        .wd = (float)wd,
    };
    return tr_launch_update(net->device, &args);
}

int tr_net_step(struct tr_net *net, const struct tr_net_rows *rows, double learning_rate,
                struct tr_error *error)
{
    const struct tr_plan *plan = &net->config.plan;
    if (run_batch(net, rows, true, error) < 0 ||
        tr_group_sum_gradients(net->config.group, net->device, net->gradient, net->parameter_count,
                               rows->count, error) < 0)
        return -1;
    if (update(net, 0, plan->weight_count, learning_rate, net->config.wd) < 0 ||
        update(net, plan->weight_count, plan->bias_count, learning_rate, 0.0) < 0)
        return tr_device_failed(net->device, error);
    net->steps++;
    return 0;
}

int tr_net_evaluate(struct tr_net *net, const struct tr_net_rows *rows, struct tr_error *error)
{
    return run_batch(net, rows, false, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static int in_label_units(const struct tr_net *net, int rc, struct tr_stats *out)
{
    if (rc == 0 && net->config.loss == TR_LOSS_SQUARED)
        out->loss_sum *= net->config.label_std * net->config.label_std;
    return rc;
}

int tr_net_take_sums(struct tr_net *net, enum tr_sums which, struct tr_stats *out,
                     struct tr_error *error)
{
    return in_label_units(net, tr_tally_read(&net->tally, which, true, out, error), out);
}

int tr_net_fold(struct tr_net *net, struct tr_error *error)
{
    return tr_tally_fold(&net->tally, error);
}

int tr_net_unfold(struct tr_net *net, struct tr_error *error)
{
    return tr_tally_unfold(&net->tally, error);
}

int tr_net_peek_sums(struct tr_net *net, struct tr_stats *out, struct tr_error *error)
{
    return in_label_units(net, tr_tally_peek(&net->tally, out, error), out);
}

int tr_net_read(struct tr_net *net, float *parameters, float *scaling, struct tr_error *error)
{
    size_t scaling_bytes = (size_t)net->config.plan.in.channels * 2 * sizeof(float);
    if (tr_device_take(net->device, net->tally.ready, parameters, net->parameters,
                       net->parameter_count * sizeof(float), error) < 0)
        return -1;
    return tr_device_take(net->device, net->tally.ready, scaling, net->scaling, scaling_bytes,
                          error);
}

uint64_t tr_net_steps(const struct tr_net *net)
{
    return net->steps;
}

size_t tr_net_state(struct tr_net *net, struct tr_state_item *items)
{
    size_t len_bytes = net->parameter_count * sizeof(float);
    size_t scaling_bytes = (size_t)net->config.plan.in.channels * 2 * sizeof(float);
    size_t count = 0;
    items[count++] = tr_state_on_device("parameters", net->parameters, len_bytes);
    items[count++] = tr_state_on_device("parameters.m", net->m, len_bytes);
    items[count++] = tr_state_on_device("parameters.v", net->v, len_bytes);
    items[count++] = tr_state_on_device("scaling", net->scaling, scaling_bytes);
    items[count++] =
        tr_state_on_device("sums", net->tally.sums, TR_SUMS_COUNT * sizeof *net->tally.sums);
    items[count++] = (struct tr_state_item){"steps", &net->steps, sizeof net->steps, false};
    items[count++] =
        (struct tr_state_item){"label_mean", &net->config.label_mean, sizeof(double), false};
    items[count++] =
        (struct tr_state_item){"label_std", &net->config.label_std, sizeof(double), false};
    return count;
}
