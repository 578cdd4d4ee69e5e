/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear.c - see trainer/linear.h: making a model and reading it. trainer/linear_step.c
 * trains it.
 */
#include "trainer/linear_parts.h"

#include "trainer/device_use.h"

#include <math.h>
#include <stdlib.h>

#define RATE_COUNT 7U
#define LINE_FLOATS 16U /* of a cache line */

struct tr_linear_rates tr_linear_rates_of(const struct tr_linear_config *config, uint32_t model)
{
    uint32_t half = (model % RATE_COUNT + 1) / 2; /* powers of the square root of 10 */
    double power = model % RATE_COUNT % 2 == 1 ? -(double)half : (double)half;
    uint32_t decay = model / RATE_COUNT;
    return (struct tr_linear_rates){config->learning_rate * pow(10.0, power / 2.0),
                                    config->wd +
                                        (decay > 0 ? pow(10.0, (double)decay - 5.0) : 0.0)};
}

/* --- memory --------------------------------------------------------------------------------------
 */

static int allocate_parameters(struct tr_linear *model, struct tr_linear_parameters *p, size_t n,
                               struct tr_error *error)
{
    p->n = n;
    if (tr_device_allocate_floats(model->device, &p->value, n, error) < 0 ||
        tr_device_allocate_floats(model->device, &p->m, n, error) < 0)
        return -1;
    return tr_device_allocate_floats(model->device, &p->v, n, error);
}

static int allocate_gradients(struct tr_linear *model, struct tr_error *error)
{
    size_t biases_at = (model->w.n + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    model->gradient_floats = biases_at + model->b.n;
    if (tr_device_allocate_floats(model->device, &model->w.gradient, model->gradient_floats,
                                  error) < 0)
        return -1;
    model->b.gradient = model->w.gradient + biases_at;
    return 0;
}

static int allocate_scratch(struct tr_linear *model, struct tr_error *error)
{
    const struct tr_linear_config *config = &model->config;
    size_t rows = model->block_rows;
    size_t n = rows * model->width;
    if (tr_device_allocate_floats(model->device, &model->z, n, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->dz, n, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->row_loss, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->row_hit, rows, error) < 0)
        return -1;
    if (!tr_loss_is_of_classes(config->loss) &&
        tr_device_allocate_floats(model->device, &model->row_error, rows, error) < 0)
        return -1;
    if (config->inv_std && !config->sparse &&
        tr_device_allocate_floats(model->device, &model->scaled, rows * config->dim, error) < 0)
        return -1;
    return 0;
}

/* An array of the device with what the host has; NULL when that is NULL. */
static int put(struct tr_linear *model, float **out, const float *from, size_t n,
               struct tr_error *error)
{
    if (!from)
        return 0;
    if (tr_device_allocate_floats(model->device, out, n, error) < 0)
        return -1;
    return tr_device_put(model->device, model->tally.ready, *out, from, n * sizeof *from, error);
}

static int make(struct tr_linear *model, struct tr_error *error)
{
    const struct tr_linear_config *c = &model->config;
    const float *mean = c->sparse ? NULL : c->mean;
    size_t classes = c->loss == TR_LOSS_SOFTMAX ? c->outputs : 2;
    if (tr_tally_open(&model->tally, model->device, c->group, c->models, error) < 0 ||
        allocate_parameters(model, &model->w, (size_t)c->dim * model->width, error) < 0 ||
        allocate_parameters(model, &model->b, model->width, error) < 0 ||
        allocate_gradients(model, error) < 0 || allocate_scratch(model, error) < 0 ||
        put(model, &model->mean, mean, c->dim, error) < 0 ||
        put(model, &model->inv_std, c->inv_std, c->dim, error) < 0)
        return -1;
    return put(model, &model->class_weights, c->class_weights, classes, error);
}

int tr_linear_new(struct tr_device *device, const struct tr_linear_config *config,
                  struct tr_linear **out, struct tr_error *error)
{
    struct tr_linear *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        return tr_fail(error, "no memory");
    model->device = device;
    model->config = *config;
    model->config.models = config->models > 0 ? config->models : 1;
    model->width = model->config.models * config->outputs;
    model->block_rows = config->sparse
                            ? config->batch_rows
                            : tr_device_block_rows(device, config->dim, config->batch_rows);
    int rc = make(model, error);
    model->config.mean = NULL; /* the caller's arrays: not looked at again */
    model->config.inv_std = NULL;
    model->config.class_weights = NULL;
    if (rc < 0)
        tr_linear_free(&model);
    *out = model;
    return rc;
}

void tr_linear_free(struct tr_linear **model)
{
    struct tr_linear *m = model ? *model : NULL;
    if (!m)
        return;
    const struct tr_device_ops *ops = m->device->ops;
    ops->drain(m->device);
    float *arrays[] = {m->w.value, m->w.gradient, m->w.m,     m->w.v,           m->b.value, m->b.m,
                       m->b.v,     m->mean,       m->inv_std, m->class_weights, m->scaled,  m->z,
                       m->dz,      m->row_loss,   m->row_hit, m->row_error};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(m->device, arrays[i]);
    tr_entry_order_free(&m->order, m->device);
    tr_tally_close(&m->tally);
    free(m);
    *model = NULL;
}

/* --- results -------------------------------------------------------------------------------------
 */

static void put_in_label_units(const struct tr_linear *model, struct tr_stats *sums)
{
    const struct tr_linear_config *config = &model->config;
    double std = tr_loss_is_of_classes(config->loss) ? 1.0 : config->label_std;
    bool squares = config->loss == TR_LOSS_SQUARED || config->loss == TR_LOSS_HUBER ||
                   config->loss == TR_LOSS_EPS_SQUARED;
    for (uint32_t i = 0; i < config->models; i++) {
        sums[i].loss_sum *= squares ? std * std : std;
        sums[i].squared *= std * std;
        sums[i].absolute *= std;
    }
}

int tr_linear_read_sums(struct tr_linear *model, enum tr_sums which, bool reset,
                        struct tr_stats *out, struct tr_error *error)
{
    int rc = tr_tally_read(&model->tally, which, reset, out, error);
    if (rc == 0)
        put_in_label_units(model, out);
    return rc;
}

int tr_linear_fold(struct tr_linear *model, struct tr_error *error)
{
    return tr_tally_fold(&model->tally, error);
}

int tr_linear_unfold(struct tr_linear *model, struct tr_error *error)
{
    return tr_tally_unfold(&model->tally, error);
}

int tr_linear_peek_sums(struct tr_linear *model, struct tr_stats *out, struct tr_error *error)
{
    int rc = tr_tally_peek(&model->tally, out, error);
    if (rc == 0)
        put_in_label_units(model, out);
    return rc;
}

/* What an export reads from the device, in one allocation. */
struct landing {
    float *weights; /* (dim, width) */
    float *bias;    /* (width) */
    float *mean;    /* (dim); NULL without, as the next */
    float *inv_std;
};

static int download_all(struct tr_linear *model, const struct landing *landing,
                        struct tr_error *error)
{
    const struct {
        float *to;
        const float *from;
        size_t n;
    } arrays[] = {{landing->weights, model->w.value, model->w.n},
                  {landing->bias, model->b.value, model->b.n},
                  {landing->mean, model->mean, model->config.dim},
                  {landing->inv_std, model->inv_std, model->config.dim}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        if (arrays[i].to && tr_device_take(model->device, model->tally.ready, arrays[i].to,
                                           arrays[i].from, arrays[i].n * sizeof(float), error) < 0)
            return -1;
    }
    return 0;
}

/* Folds the scalings: ((x - mean) s w + b) L + l = x (s w L) + (b - sum(mean s w)) L + l. */
static void fold(const struct tr_linear *model, const struct landing *from, uint32_t model_no,
                 float *weights, float *bias)
{
    const struct tr_linear_config *c = &model->config;
    bool scale_label = !tr_loss_is_of_classes(c->loss);
    double label_std = scale_label ? c->label_std : 1.0;
    double label_mean = scale_label ? c->label_mean : 0.0;
    for (uint32_t j = 0; j < c->outputs; j++) {
        size_t column = (size_t)model_no * c->outputs + j;
        double shift = 0.0;
        for (uint32_t i = 0; i < c->dim; i++) {
            double folded = (double)from->weights[(size_t)i * model->width + column];
            folded *= from->inv_std ? (double)from->inv_std[i] : 1.0;
            shift += from->mean ? (double)from->mean[i] * folded : 0.0;
            weights[(size_t)i * c->outputs + j] = (float)(folded * label_std);
        }
        bias[j] = (float)(((double)from->bias[column] - shift) * label_std + label_mean);
    }
}

int tr_linear_export(struct tr_linear *model, uint32_t model_no, float *weights, float *bias,
                     struct tr_error *error)
{
    size_t dim = model->config.dim;
    float *memory = malloc((model->w.n + model->b.n + 2 * dim) * sizeof *memory);
    if (!memory)
        return tr_fail(error, "no memory for the model");
    float *after = memory + model->w.n + model->b.n;
    struct landing landing = {memory, memory + model->w.n, model->mean ? after : NULL,
                              model->inv_std ? after + dim : NULL};
    int rc = download_all(model, &landing, error);
    if (rc == 0)
        fold(model, &landing, model_no, weights, bias);
    free(memory);
    return rc;
}

size_t tr_linear_state(struct tr_linear *model, struct tr_state_item *items)
{
    size_t w_bytes = model->w.n * sizeof(float);
    size_t b_bytes = model->b.n * sizeof(float);
    size_t dim_bytes = model->config.dim * sizeof(float);
    size_t sums_bytes = TR_SUMS_COUNT * model->config.models * sizeof(struct tr_stats);
    size_t count = 0;
    items[count++] = tr_state_on_device("weights", model->w.value, w_bytes);
    items[count++] = tr_state_on_device("weights.m", model->w.m, w_bytes);
    items[count++] = tr_state_on_device("weights.v", model->w.v, w_bytes);
    items[count++] = tr_state_on_device("bias", model->b.value, b_bytes);
    items[count++] = tr_state_on_device("bias.m", model->b.m, b_bytes);
    items[count++] = tr_state_on_device("bias.v", model->b.v, b_bytes);
    items[count++] = tr_state_on_device("sums", model->tally.sums, sums_bytes);
    if (model->mean)
        items[count++] = tr_state_on_device("mean", model->mean, dim_bytes);
    if (model->inv_std)
        items[count++] = tr_state_on_device("inv_std", model->inv_std, dim_bytes);
    if (model->class_weights)
        items[count++] = tr_state_on_device(
            "class_weights", model->class_weights,
            (model->config.loss == TR_LOSS_SOFTMAX ? model->config.outputs : 2) * sizeof(float));
    items[count++] = (struct tr_state_item){"steps", &model->steps, sizeof model->steps, false};
    return count;
}
