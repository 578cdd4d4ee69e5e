/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_step.c - one batch through a linear model: see trainer/linear.h.
 *
 * Dense rows go block by block, so that what was scaled is multiplied while it is in the cache;
 * sparse rows go as a whole. Losses and updates take each model's columns of the common matrices.
 */
#include "trainer/linear_parts.h"

#include "trainer/device_use.h"
#include "trainer/linear_math.h"

#include <math.h>

#define ADAM_EPSILON 1e-8F

/* Scales and multiplies a block of rows; *x receives what was multiplied. */
static int forward_block(struct tr_linear *model, const float *features, uint32_t rows,
                         const float **x)
{
    uint32_t dim = model->config.dim;
    *x = features;
    if (model->scaled) {
        struct tr_scale_args scale = {features,      model->mean, model->inv_std,
                                      model->scaled, rows,        dim};
        if (tr_launch_scale(model->device, &scale) < 0)
            return -1;
        *x = model->scaled;
    }
    struct tr_forward_args forward = {*x,  model->w.value, model->b.value, model->z, rows,
                                      dim, model->width};
    return tr_launch_forward(model->device, &forward);
}

/* What is unit-free in the label's units is so in the model's; a distance is not. */
static double parameter_of(const struct tr_linear_config *config)
{
    bool is_distance = config->loss == TR_LOSS_HUBER || config->loss == TR_LOSS_EPS_SQUARED ||
                       config->loss == TR_LOSS_EPS_ABSOLUTE;
    return is_distance ? config->loss_parameter / config->label_std : config->loss_parameter;
}

/* Losses of `count` rows from row `at` on, for each model. */
static int loss_block(struct tr_linear *model, const struct tr_linear_rows *rows, uint32_t at,
                      uint32_t count, enum tr_sums which)
{
    const struct tr_linear_config *config = &model->config;
    int rc = 0;
    for (uint32_t i = 0; i < config->models && rc == 0; i++) {
        const struct tr_loss_args loss = {
            .loss = config->loss,
            .z = model->z + (size_t)i * config->outputs,
            .labels = rows->labels + (size_t)at * rows->label_dim,
            .label_dim = rows->label_dim,
            .rows = count,
            .outputs = config->outputs,
            .z_stride = model->width,
            .label_mean = (float)config->label_mean,
            .label_inv_std = (float)(1.0 / config->label_std),
            .parameter = (float)parameter_of(config),
            .gradient_scale = 1.0F / (float)(rows->count + rows->elsewhere),
            .top_k = config->top_k,
            .weights = rows->weights ? rows->weights + at : NULL,
            .class_weights = model->class_weights,
            .dz = which == TR_SUMS_TRAIN ? model->dz + (size_t)i * config->outputs : NULL,
            .row_loss = model->row_loss,
            .row_hit = model->row_hit,
            .row_error = model->row_error,
            .stats = tr_tally_at(&model->tally, which, i),
        };
        rc = tr_launch_loss(model->device, &loss);
    }
    return rc;
}

/* Runs dense rows block by block; in training, leaves the gradient of the mean loss. */
static int run_dense(struct tr_linear *model, const struct tr_linear_rows *rows, enum tr_sums which)
{
    uint32_t dim = model->config.dim;
    for (uint32_t at = 0; at < rows->count; at += model->block_rows) {
        uint32_t n = rows->count - at < model->block_rows ? rows->count - at : model->block_rows;
        const float *x;
        if (forward_block(model, rows->features + (size_t)at * dim, n, &x) < 0 ||
            loss_block(model, rows, at, n, which) < 0)
            return -1;
        if (which != TR_SUMS_TRAIN)
            continue;
        struct tr_gradient_args gradient = {x, model->dz, model->w.gradient, model->b.gradient,
                                            n, dim,       model->width,      at > 0};
        if (tr_launch_gradient(model->device, &gradient) < 0)
            return -1;
    }
    return 0;
}

static int gradient_of_entries(struct tr_linear *model, const struct tr_linear_rows *rows)
{
    const struct tr_device_ops *ops = model->device->ops;
    const struct tr_csr_gradient_args gradient = {
        .sorted_columns = model->order.columns,
        .sorted_entries = model->order.entries,
        .entry_rows = model->order.rows,
        .values = rows->values,
        .scale = model->inv_std,
        .dz = model->dz,
        .dw = model->w.gradient,
        .entries = rows->entries,
        .width = model->width,
    };
    const struct tr_sum_args sum = {model->dz, model->b.gradient, rows->count, model->width};
    if (tr_entry_order_sort(&model->order, model->device, rows->row_offsets, rows->columns,
                            rows->count, rows->entries, model->config.dim) < 0 ||
        ops->zero(model->device, model->w.gradient, model->w.n * sizeof(float)) < 0 ||
        tr_launch_csr_gradient(model->device, &gradient) < 0)
        return -1;
    return tr_launch_sum(model->device, &sum);
}

static int run_sparse(struct tr_linear *model, const struct tr_linear_rows *rows,
                      enum tr_sums which)
{
    const struct tr_csr_forward_args forward = {
        .row_offsets = rows->row_offsets,
        .columns = rows->columns,
        .values = rows->values,
        .scale = model->inv_std,
        .w = model->w.value,
        .b = model->b.value,
        .z = model->z,
        .rows = rows->count,
        .width = model->width,
    };
    if (tr_launch_csr_forward(model->device, &forward) < 0 ||
        loss_block(model, rows, 0, rows->count, which) < 0)
        return -1;
    return which == TR_SUMS_TRAIN ? gradient_of_entries(model, rows) : 0;
}

int tr_linear_prepare(struct tr_linear *model, const struct tr_linear_rows *rows,
                      struct tr_error *error)
{
    if (!model->config.sparse)
        return 0;
    return tr_entry_order_room(&model->order, &model->tally, rows->entries, error);
}

static int run(struct tr_linear *model, const struct tr_linear_rows *rows, enum tr_sums which,
               struct tr_error *error)
{
    if (rows->count == 0)
        return 0;
    if (which == TR_SUMS_TRAIN && tr_linear_prepare(model, rows, error) < 0)
        return -1;
    int rc = model->config.sparse ? run_sparse(model, rows, which) : run_dense(model, rows, which);
    return rc < 0 ? tr_device_failed(model->device, error) : 0;
}

static int update(struct tr_linear *model, const struct tr_linear_parameters *p, uint32_t model_no,
                  double learning_rate, double wd, double l1)
{
    const struct tr_linear_config *config = &model->config;
    size_t offset = (size_t)model_no * config->outputs;
    struct tr_update_args args = {
        .optimizer = config->optimizer,
        .w = p->value + offset,
        .g = p->gradient + offset,
        .m = p->m + offset,
        .v = p->v + offset,
        .n = p->n / config->models,
        .run = config->models > 1 ? config->outputs : 0,
        .stride = model->width,
        .learning_rate = (float)learning_rate,
        .momentum = (float)config->momentum,
        .beta1 = (float)config->beta1,
        .beta2 = (float)config->beta2,
        .inv_bias1 = tr_inv_bias(config->beta1, model->steps),
        .inv_bias2 = tr_inv_bias(config->beta2, model->steps),
        .epsilon = ADAM_EPSILON,
        .wd = (float)wd,
        .l1 = (float)l1,
    };
    return tr_launch_update(model->device, &args);
}

static double learning_rate_of_step(const struct tr_linear_config *config, double rate,
                                    uint64_t step)
{
    if (config->lr_step == 0)
        return rate;
    double now = rate * pow(config->lr_factor, (double)(step / config->lr_step));
    return fmax(now, fmin(config->lr_minimum, rate));
}

int tr_linear_step(struct tr_linear *model, const struct tr_linear_rows *rows,
                   struct tr_error *error)
{
    const struct tr_linear_config *config = &model->config;
    if (run(model, rows, TR_SUMS_TRAIN, error) < 0 ||
        tr_group_sum_gradients(config->group, model->device, model->w.gradient,
                               model->gradient_floats, rows->count, error) < 0)
        return -1;
    for (uint32_t i = 0; i < config->models; i++) {
        struct tr_linear_rates rates = tr_linear_rates_of(config, i);
        double rate = learning_rate_of_step(config, rates.learning_rate, model->steps);
        if (update(model, &model->w, i, rate, rates.wd, config->l1) < 0)
            return tr_device_failed(model->device, error);
        if (config->use_bias && update(model, &model->b, i, rate * config->bias_lr_mult,
                                       rates.wd * config->bias_wd_mult, 0.0) < 0)
            return tr_device_failed(model->device, error);
    }
    model->steps++;
    return 0;
}

int tr_linear_evaluate(struct tr_linear *model, const struct tr_linear_rows *rows,
                       struct tr_error *error)
{
    return run(model, rows, TR_SUMS_EVALUATE, error);
}
