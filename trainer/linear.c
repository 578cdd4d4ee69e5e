/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear.c - see trainer/linear.h. */
#include "trainer/linear.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADAM_EPSILON 1e-8F

/* Blocks are whole multiples of this many rows, when they have that many. */
#define BLOCK_ROWS_MULTIPLE 16U

/* Weights or biases with their gradient and the optimizer's memory; device arrays of n floats. */
struct parameters {
    float *value;
    float *gradient;
    float *m;
    float *v;
    size_t n;
};

struct tr_linear {
    struct tr_device *device;
    struct tr_linear_config config;
    uint32_t block_rows;
    uint64_t steps;
    struct parameters w; /* (dim, outputs) */
    struct parameters b; /* (outputs) */
    float *mean;         /* (dim), device; NULL without scaling, as the next two */
    float *inv_std;
    float *scaled; /* (block_rows, dim) */
    float *z;      /* (block_rows, outputs), as the next */
    float *dz;
    float *row_loss; /* (block_rows), as the next */
    float *row_hit;
    struct tr_stats *sums; /* (TR_SUMS_COUNT) */
    struct tr_event *ready;
    struct tr_event *peeked;
    struct landing *landing;
    bool landing_pinned;
    struct tr_stats peek_last;
};

/* Host memory that downloads fill: a page of its own, so that it can be pinned. A download into
 * other memory would make the host wait. */
struct landing {
    struct tr_stats read;
    struct tr_stats peek;
};

#define LANDING_BYTES 4096U

static int device_failed(const struct tr_linear *model, struct tr_error *error)
{
    return tr_fail(error, "device %s: %s", model->device->ops->name, model->device->error);
}

/* --- memory --------------------------------------------------------------------------------------
 */

static int allocate_floats(struct tr_linear *model, float **out, size_t n, struct tr_error *error)
{
    void *memory;
    if (model->device->ops->alloc(model->device, n * sizeof(float), &memory) < 0)
        return device_failed(model, error);
    *out = memory;
    return 0;
}

static int allocate_parameters(struct tr_linear *model, struct parameters *p, size_t n,
                               struct tr_error *error)
{
    p->n = n;
    if (allocate_floats(model, &p->value, n, error) < 0 ||
        allocate_floats(model, &p->gradient, n, error) < 0 ||
        allocate_floats(model, &p->m, n, error) < 0)
        return -1;
    return allocate_floats(model, &p->v, n, error);
}

static uint32_t rows_of_block(const struct tr_device *device, const struct tr_linear_config *config)
{
    size_t bound = device->ops->block_floats;
    size_t rows = bound > 0 ? bound / config->dim : config->batch_rows;
    if (rows > BLOCK_ROWS_MULTIPLE)
        rows -= rows % BLOCK_ROWS_MULTIPLE;
    if (rows > config->batch_rows)
        rows = config->batch_rows;
    return rows > 0 ? (uint32_t)rows : 1;
}

static int allocate_landing(struct tr_linear *model, struct tr_error *error)
{
    const struct tr_device_ops *ops = model->device->ops;
    model->landing = aligned_alloc(LANDING_BYTES, LANDING_BYTES);
    if (!model->landing)
        return tr_fail(error, "no memory");
    memset(model->landing, 0, LANDING_BYTES);
    model->landing_pinned = ops->pin && ops->pin(model->device, model->landing, LANDING_BYTES) == 0;
    return 0;
}

static int allocate_scratch(struct tr_linear *model, struct tr_error *error)
{
    const struct tr_linear_config *config = &model->config;
    size_t rows = model->block_rows;
    void *sums;
    if (allocate_floats(model, &model->z, rows * config->outputs, error) < 0 ||
        allocate_floats(model, &model->dz, rows * config->outputs, error) < 0 ||
        allocate_floats(model, &model->row_loss, rows, error) < 0 ||
        allocate_floats(model, &model->row_hit, rows, error) < 0)
        return -1;
    if (config->mean && (allocate_floats(model, &model->mean, config->dim, error) < 0 ||
                         allocate_floats(model, &model->inv_std, config->dim, error) < 0 ||
                         allocate_floats(model, &model->scaled, rows * config->dim, error) < 0))
        return -1;
    if (model->device->ops->alloc(model->device, TR_SUMS_COUNT * sizeof *model->sums, &sums) < 0)
        return device_failed(model, error);
    model->sums = sums;
    return 0;
}

static int upload_scaling(struct tr_linear *model, struct tr_error *error)
{
    const struct tr_device_ops *ops = model->device->ops;
    size_t len_bytes = model->config.dim * sizeof(float);
    if (!model->config.mean)
        return 0;
    if (ops->upload(model->device, model->mean, model->config.mean, len_bytes) < 0 ||
        ops->upload(model->device, model->inv_std, model->config.inv_std, len_bytes) < 0 ||
        ops->event_record(model->device, model->ready, TR_STREAM_COPY) < 0 ||
        ops->event_wait(model->device, model->ready) < 0)
        return device_failed(model, error);
    return 0;
}

int tr_linear_new(struct tr_device *device, const struct tr_linear_config *config,
                  struct tr_linear **out, struct tr_error *error)
{
    struct tr_linear *model = calloc(1, sizeof *model);
    size_t n = (size_t)config->dim * config->outputs;
    int rc = -1;
    *out = NULL;
    if (!model)
        return tr_fail(error, "no memory");
    model->device = device;
    model->config = *config;
    model->block_rows = rows_of_block(device, config);
    if (device->ops->event_new(device, &model->ready) < 0 ||
        device->ops->event_new(device, &model->peeked) < 0)
        device_failed(model, error);
    else if (allocate_parameters(model, &model->w, n, error) == 0 &&
             allocate_parameters(model, &model->b, config->outputs, error) == 0 &&
             allocate_scratch(model, error) == 0 && allocate_landing(model, error) == 0)
        rc = upload_scaling(model, error);
    model->config.mean = NULL; /* the caller's arrays: not looked at again */
    model->config.inv_std = NULL;
    if (rc < 0)
        tr_linear_free(&model);
    *out = model;
    return rc;
}

static void free_parameters(struct tr_device *device, struct parameters *p)
{
    device->ops->dealloc(device, p->value);
    device->ops->dealloc(device, p->gradient);
    device->ops->dealloc(device, p->m);
    device->ops->dealloc(device, p->v);
}

void tr_linear_free(struct tr_linear **model)
{
    struct tr_linear *m = model ? *model : NULL;
    if (!m)
        return;
    const struct tr_device_ops *ops = m->device->ops;
    ops->drain(m->device);
    free_parameters(m->device, &m->w);
    free_parameters(m->device, &m->b);
    float *arrays[] = {m->mean, m->inv_std, m->scaled, m->z, m->dz, m->row_loss, m->row_hit};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(m->device, arrays[i]);
    ops->dealloc(m->device, m->sums);
    ops->event_free(m->device, m->ready);
    ops->event_free(m->device, m->peeked);
    if (m->landing_pinned)
        ops->unpin(m->device, m->landing, LANDING_BYTES);
    free(m->landing);
    free(m);
    *model = NULL;
}

/* --- one batch -----------------------------------------------------------------------------------
 */

/* Scales and multiplies one block of rows; *x receives what was multiplied. */
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
    struct tr_forward_args forward = {*x,  model->w.value,       model->b.value, model->z, rows,
                                      dim, model->config.outputs};
    return tr_launch_forward(model->device, &forward);
}

static int loss_block(struct tr_linear *model, const float *labels, uint32_t label_dim,
                      uint32_t rows, float gradient_scale, float *dz, enum tr_sums which)
{
    struct tr_loss_args loss = {
        .loss = model->config.loss,
        .z = model->z,
        .labels = labels,
        .label_dim = label_dim,
        .rows = rows,
        .outputs = model->config.outputs,
        .label_mean = (float)model->config.label_mean,
        .label_inv_std = (float)(1.0 / model->config.label_std),
        .gradient_scale = gradient_scale,
        .dz = dz,
        .row_loss = model->row_loss,
        .row_hit = model->row_hit,
        .stats = model->sums + which,
    };
    return tr_launch_loss(model->device, &loss);
}

/* Runs a batch block by block; with `learn`, leaves the gradient of the mean loss. */
static int run_batch(struct tr_linear *model, const float *features, const float *labels,
                     uint32_t label_dim, uint32_t rows, bool learn, struct tr_error *error)
{
    enum tr_sums which = learn ? TR_SUMS_TRAIN : TR_SUMS_EVALUATE;
    float *dz = learn ? model->dz : NULL;
    for (uint32_t at = 0; at < rows; at += model->block_rows) {
        uint32_t n = rows - at < model->block_rows ? rows - at : model->block_rows;
        const float *x;
        if (forward_block(model, features + (size_t)at * model->config.dim, n, &x) < 0 ||
            loss_block(model, labels + (size_t)at * label_dim, label_dim, n, 1.0F / (float)rows, dz,
                       which) < 0)
            return device_failed(model, error);
        if (!learn)
            continue;
        struct tr_gradient_args gradient = {x,
                                            dz,
                                            model->w.gradient,
                                            model->b.gradient,
                                            n,
                                            model->config.dim,
                                            model->config.outputs,
                                            at > 0};
        if (tr_launch_gradient(model->device, &gradient) < 0)
            return device_failed(model, error);
    }
    return 0;
}

static int update(struct tr_linear *model, const struct parameters *p, double learning_rate,
                  double wd, double l1)
{
    const struct tr_linear_config *config = &model->config;
    double t = (double)model->steps + 1.0;
    struct tr_update_args args = {
        .optimizer = config->optimizer,
        .w = p->value,
        .g = p->gradient,
        .m = p->m,
        .v = p->v,
        .n = p->n,
        .learning_rate = (float)learning_rate,
        .momentum = (float)config->momentum,
        .beta1 = (float)config->beta1,
        .beta2 = (float)config->beta2,
        .inv_bias1 = (float)(1.0 / (1.0 - pow(config->beta1, t))),
        .inv_bias2 = (float)(1.0 / (1.0 - pow(config->beta2, t))),
        .epsilon = ADAM_EPSILON,
        .wd = (float)wd,
        .l1 = (float)l1,
    };
    return tr_launch_update(model->device, &args);
}

static double learning_rate_of_step(const struct tr_linear_config *config, uint64_t step)
{
    if (config->lr_step == 0)
        return config->learning_rate;
    double rate = config->learning_rate * pow(config->lr_factor, (double)(step / config->lr_step));
    return fmax(rate, fmin(config->lr_minimum, config->learning_rate));
}

int tr_linear_step(struct tr_linear *model, const float *features, const float *labels,
                   uint32_t label_dim, uint32_t rows, struct tr_error *error)
{
    const struct tr_linear_config *config = &model->config;
    double rate = learning_rate_of_step(config, model->steps);
    if (run_batch(model, features, labels, label_dim, rows, true, error) < 0)
        return -1;
    if (update(model, &model->w, rate, config->wd, config->l1) < 0)
        return device_failed(model, error);
    if (config->use_bias && update(model, &model->b, rate * config->bias_lr_mult,
                                   config->wd * config->bias_wd_mult, 0.0) < 0)
        return device_failed(model, error);
    model->steps++;
    return 0;
}

int tr_linear_evaluate(struct tr_linear *model, const float *features, const float *labels,
                       uint32_t label_dim, uint32_t rows, struct tr_error *error)
{
    return run_batch(model, features, labels, label_dim, rows, false, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static int wait_for_compute(struct tr_linear *model)
{
    const struct tr_device_ops *ops = model->device->ops;
    if (ops->event_record(model->device, model->ready, TR_STREAM_COMPUTE) < 0)
        return -1;
    return ops->event_wait(model->device, model->ready);
}

static struct tr_stats in_label_units(const struct tr_linear *model, struct tr_stats sums)
{
    if (model->config.loss == TR_LOSS_SQUARED)
        sums.loss_sum *= model->config.label_std * model->config.label_std;
    return sums;
}

int tr_linear_read_sums(struct tr_linear *model, enum tr_sums which, bool reset,
                        struct tr_stats *out, struct tr_error *error)
{
    const struct tr_device_ops *ops = model->device->ops;
    struct tr_stats *sums = model->sums + which;
    if (ops->download(model->device, &model->landing->read, sums, sizeof *sums) < 0 ||
        (reset && ops->zero(model->device, sums, sizeof *sums) < 0) || wait_for_compute(model) < 0)
        return device_failed(model, error);
    *out = in_label_units(model, model->landing->read);
    if (reset && which == TR_SUMS_TRAIN) { /* a peek that was under way is done as well */
        memset(&model->landing->peek, 0, sizeof model->landing->peek);
        memset(&model->peek_last, 0, sizeof model->peek_last);
    }
    return 0;
}

int tr_linear_peek_sums(struct tr_linear *model, struct tr_stats *out, struct tr_error *error)
{
    const struct tr_device_ops *ops = model->device->ops;
    int done = ops->event_query(model->device, model->peeked);
    if (done < 0)
        return device_failed(model, error);
    if (done > 0) {
        model->peek_last = model->landing->peek;
        if (ops->download(model->device, &model->landing->peek, model->sums + TR_SUMS_TRAIN,
                          sizeof model->landing->peek) < 0 ||
            ops->event_record(model->device, model->peeked, TR_STREAM_COMPUTE) < 0)
            return device_failed(model, error);
    }
    *out = in_label_units(model, model->peek_last);
    return 0;
}

/* Folds the scalings: ((x - mean) s w + b) L + l = x (s w L) + (b - sum(mean s w)) L + l. */
static void fold(const struct tr_linear_config *config, const float *mean, const float *inv_std,
                 float *weights, float *bias)
{
    bool scale_label = config->loss == TR_LOSS_SQUARED;
    double label_std = scale_label ? config->label_std : 1.0;
    double label_mean = scale_label ? config->label_mean : 0.0;
    for (uint32_t j = 0; j < config->outputs; j++) {
        double shift = 0.0;
        for (uint32_t i = 0; i < config->dim; i++) {
            float *w = &weights[(size_t)i * config->outputs + j];
            double folded = (double)*w * (mean ? (double)inv_std[i] : 1.0);
            shift += mean ? (double)mean[i] * folded : 0.0;
            *w = (float)(folded * label_std);
        }
        bias[j] = (float)(((double)bias[j] - shift) * label_std + label_mean);
    }
}

int tr_linear_export(struct tr_linear *model, float *weights, float *bias, struct tr_error *error)
{
    const struct tr_linear_config *config = &model->config;
    const struct tr_device_ops *ops = model->device->ops;
    size_t dim_bytes = config->dim * sizeof(float);
    float *mean = NULL;
    float *inv_std = NULL;
    int rc = 0;
    if (model->mean) {
        mean = malloc(dim_bytes);
        inv_std = malloc(dim_bytes);
        if (!mean || !inv_std)
            rc = tr_fail(error, "no memory for the model");
        else if (ops->download(model->device, mean, model->mean, dim_bytes) < 0 ||
                 ops->download(model->device, inv_std, model->inv_std, dim_bytes) < 0)
            rc = device_failed(model, error);
    }
    if (rc == 0 &&
        (ops->download(model->device, weights, model->w.value, model->w.n * sizeof(float)) < 0 ||
         ops->download(model->device, bias, model->b.value, model->b.n * sizeof(float)) < 0 ||
         wait_for_compute(model) < 0))
        rc = device_failed(model, error);
    if (rc == 0)
        fold(config, mean, inv_std, weights, bias);
    else
        ops->drain(model->device); /* downloads may be under way */
    free(mean);
    free(inv_std);
    return rc;
}

static struct tr_state_item on_device(const char *name, void *memory, size_t len_bytes)
{
    struct tr_state_item item = {.memory = memory, .len_bytes = len_bytes, .on_device = true};
    snprintf(item.name, sizeof item.name, "%s", name);
    return item;
}

size_t tr_linear_state(struct tr_linear *model, struct tr_state_item *items)
{
    size_t w_bytes = model->w.n * sizeof(float);
    size_t b_bytes = model->b.n * sizeof(float);
    size_t count = 0;
    items[count++] = on_device("weights", model->w.value, w_bytes);
    items[count++] = on_device("weights.m", model->w.m, w_bytes);
    items[count++] = on_device("weights.v", model->w.v, w_bytes);
    items[count++] = on_device("bias", model->b.value, b_bytes);
    items[count++] = on_device("bias.m", model->b.m, b_bytes);
    items[count++] = on_device("bias.v", model->b.v, b_bytes);
    items[count++] = on_device("sums", model->sums, TR_SUMS_COUNT * sizeof *model->sums);
    if (model->mean) {
        size_t dim_bytes = model->config.dim * sizeof(float);
        items[count++] = on_device("mean", model->mean, dim_bytes);
        items[count++] = on_device("inv_std", model->inv_std, dim_bytes);
    }
    items[count++] = (struct tr_state_item){"steps", &model->steps, sizeof model->steps, false};
    return count;
}

uint32_t tr_linear_check_labels(const struct tr_linear_config *config, const float *labels,
                                uint32_t label_dim, uint32_t rows)
{
    float top = config->loss == TR_LOSS_SOFTMAX ? (float)(config->outputs - 1) : 1.0F;
    for (uint32_t i = 0; i < rows; i++) {
        float label = labels[(size_t)i * label_dim];
        bool good = config->loss == TR_LOSS_SQUARED
                        ? isfinite(label)
                        : label >= 0.0F && label <= top && label == truncf(label);
        if (!good)
            return i;
    }
    return rows;
}
