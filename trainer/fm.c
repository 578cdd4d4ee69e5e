/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm.c - see trainer/fm.h.
 *
 * Dense rows are taken for sparse ones that have every column: their offsets and columns are the
 * same for every batch and are made once. Of several ranks, every one updates with the rows of all:
 * see trainer/fm_ranks.h.
 */
#include "trainer/fm.h"

#include "trainer/device_use.h"
#include "trainer/entry_order.h"
#include "trainer/fm_kernels.h"
#include "trainer/fm_ranks.h"
#include "trainer/linear_math.h"
#include "trainer/random.h"

#include <stdlib.h>

/* A group of weights and the optimizer's memory of them; device arrays of n floats. */
struct group {
    float *value;
    float *m;
    float *v;
    size_t n;
};

struct tr_fm {
    struct tr_device *device;
    struct tr_fm_config config;
    uint64_t steps;
    struct group groups[TR_FM_GROUP_COUNT];
    float *bias_gradient; /* (1) */
    float *z;             /* (batch_rows), as the next ones */
    float *dz;
    float *row_loss;
    float *row_hit;
    float *row_error;
    float *sums; /* (batch_rows, factor_count) */
    struct tr_entry_order order;
    uint32_t *dense_offsets; /* (batch_rows + 1); NULL before the first dense batch */
    uint32_t *dense_columns; /* (batch_rows, dim) */
    struct tr_tally tally;
    struct tr_fm_ranks ranks;
};

/* --- memory --------------------------------------------------------------------------------------
 */

void tr_fm_draw(const struct tr_fm_config *config, enum tr_fm_group_no group, float *weights,
                size_t n)
{
    const struct tr_fm_group *g = &config->groups[group];
    for (size_t i = 0; i < n; i++) {
        double value = g->value;
        if (g->init == TR_FM_NORMAL)
            value = g->sigma * tr_random_normal(config->seed, group, i);
        else if (g->init == TR_FM_UNIFORM)
            value = g->scale * (2.0 * tr_random_uniform(config->seed, group, i) - 1.0);
        weights[i] = (float)value;
    }
}

static int make_group(struct tr_fm *model, enum tr_fm_group_no group, size_t n,
                      struct tr_error *error)
{
    struct group *g = &model->groups[group];
    float *drawn = malloc(n * sizeof *drawn);
    int rc = drawn ? 0 : tr_fail(error, "no memory");
    g->n = n;
    if (rc == 0 && (tr_device_allocate_floats(model->device, &g->value, n, error) < 0 ||
                    tr_device_allocate_floats(model->device, &g->m, n, error) < 0 ||
                    tr_device_allocate_floats(model->device, &g->v, n, error) < 0))
        rc = -1;
    if (rc == 0) {
        tr_fm_draw(&model->config, group, drawn, n);
        rc = tr_device_put(model->device, model->tally.ready, g->value, drawn, n * sizeof *drawn,
                           error);
    }
    free(drawn);
    return rc;
}

static int make(struct tr_fm *model, struct tr_error *error)
{
    const struct tr_fm_config *c = &model->config;
    size_t rows = c->batch_rows;
    if (tr_tally_open(&model->tally, model->device, c->group, 1, error) < 0 ||
        make_group(model, TR_FM_BIAS, 1, error) < 0 ||
        make_group(model, TR_FM_LINEAR, c->dim, error) < 0 ||
        make_group(model, TR_FM_FACTORS, (size_t)c->dim * c->factor_count, error) < 0)
        return -1;
    model->ranks = (struct tr_fm_ranks){.group = c->group,
                                        .device = model->device,
                                        .ready = model->tally.ready,
                                        .dim = c->dim,
                                        .factor_count = c->factor_count};
    if (tr_device_allocate_floats(model->device, &model->bias_gradient, 1, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->z, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->dz, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->row_loss, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->row_hit, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->row_error, rows, error) < 0 ||
        tr_device_allocate_floats(model->device, &model->sums, rows * c->factor_count, error) < 0)
        return -1;
    return 0;
}

int tr_fm_new(struct tr_device *device, const struct tr_fm_config *config, struct tr_fm **out,
              struct tr_error *error)
{
    struct tr_fm *model = calloc(1, sizeof *model);
    *out = model;
    if (!model)
        return tr_fail(error, "no memory");
    model->device = device;
    model->config = *config;
    if (make(model, error) == 0)
        return 0;
    tr_fm_free(out);
    return -1;
}

void tr_fm_free(struct tr_fm **model)
{
    struct tr_fm *m = model ? *model : NULL;
    if (!m)
        return;
    const struct tr_device_ops *ops = m->device->ops;
    ops->drain(m->device);
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        ops->dealloc(m->device, m->groups[i].value);
        ops->dealloc(m->device, m->groups[i].m);
        ops->dealloc(m->device, m->groups[i].v);
    }
    void *arrays[] = {m->bias_gradient, m->z,         m->dz,   m->row_loss,
                      m->row_hit,       m->row_error, m->sums, m->dense_offsets,
                      m->dense_columns};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(m->device, arrays[i]);
    tr_entry_order_free(&m->order, m->device);
    tr_fm_ranks_free(&m->ranks);
    tr_tally_close(&m->tally);
    free(m);
    *model = NULL;
}

/* Offsets and columns of rows that have every column. */
static int make_dense_rows(struct tr_fm *model, struct tr_error *error)
{
    size_t rows = model->config.batch_rows;
    uint32_t dim = model->config.dim;
    size_t entries = rows * dim;
    if (entries > INT32_MAX)
        return tr_fail(error,
                       "a batch of %zu rows of %u features has more than 2^31 - 1 values: lower "
                       "mini_batch_size, or give sparse rows",
                       rows, dim);
    uint32_t *host = malloc((entries + rows + 1) * sizeof *host);
    if (!host)
        return tr_fail(error, "no memory");
    for (size_t i = 0; i < entries; i++)
        host[i] = (uint32_t)(i % dim);
    for (size_t i = 0; i <= rows; i++)
        host[entries + i] = (uint32_t)(i * dim);
    int rc = -1;
    model->dense_columns = tr_device_allocate(model->device, entries, sizeof *host, error);
    if (model->dense_columns)
        model->dense_offsets = tr_device_allocate(model->device, rows + 1, sizeof *host, error);
    if (model->dense_offsets &&
        tr_device_put(model->device, model->tally.ready, model->dense_columns, host,
                      entries * sizeof *host, error) == 0)
        rc = tr_device_put(model->device, model->tally.ready, model->dense_offsets, host + entries,
                           (rows + 1) * sizeof *host, error);
    free(host);
    return rc;
}

/* --- one batch -----------------------------------------------------------------------------------
 */

static int rows_of(struct tr_fm *model, const struct tr_device_batch *batch,
                   struct tr_fm_rows *rows, struct tr_error *error)
{
    const struct penstock_batch *host = batch->host;
    *rows = (struct tr_fm_rows){.dz = model->dz, .sums = model->sums, .count = host->rows};
    if (host->rows == 0)
        return 0;
    if (batch->row_offsets) {
        rows->offsets = batch->row_offsets;
        rows->columns = batch->columns;
        rows->values = batch->values;
        rows->entries = host->row_offsets[host->rows];
        return 0;
    }
    if (!model->dense_offsets && make_dense_rows(model, error) < 0)
        return -1;
    rows->offsets = model->dense_offsets;
    rows->columns = model->dense_columns;
    rows->values = batch->features;
    rows->entries = host->rows * model->config.dim;
    return 0;
}

static int predict(struct tr_fm *model, const struct tr_device_batch *batch,
                   const struct tr_fm_rows *rows, enum tr_sums which)
{
    const struct tr_fm_config *c = &model->config;
    const struct penstock_batch *host = batch->host;
    double all = (double)host->rows + (double)host->rows_elsewhere;
    const struct tr_fm_forward_args forward = {
        .row_offsets = rows->offsets,
        .columns = rows->columns,
        .values = rows->values,
        .bias = model->groups[TR_FM_BIAS].value,
        .linear = model->groups[TR_FM_LINEAR].value,
        .factors = model->groups[TR_FM_FACTORS].value,
        .z = model->z,
        .sums = model->sums,
        .rows = rows->count,
        .factor_count = c->factor_count,
    };
    const struct tr_loss_args loss = {
        .loss = c->loss,
        .z = model->z,
        .labels = batch->labels,
        .label_dim = host->label_dim,
        .rows = rows->count,
        .outputs = 1,
        .label_inv_std = 1.0F,
        .gradient_scale = (float)(c->row_rate > 0.0 ? c->row_rate : 1.0 / all),
        .dz = which == TR_SUMS_TRAIN ? model->dz : NULL,
        .row_loss = model->row_loss,
        .row_hit = model->row_hit,
        .row_error = c->loss == TR_LOSS_SQUARED ? model->row_error : NULL,
        .stats = tr_tally_at(&model->tally, which, 0),
    };
    if (rows->count == 0)
        return 0;
    if (tr_launch_fm_forward(model->device, &forward) < 0)
        return -1;
    return tr_launch_loss(model->device, &loss);
}

static struct tr_update_args update_of(const struct tr_fm *model, enum tr_fm_group_no group)
{
    const struct tr_fm_config *c = &model->config;
    const struct group *g = &model->groups[group];
    return (struct tr_update_args){
        .optimizer = c->optimizer,
        .w = g->value,
        .m = g->m,
        .v = g->v,
        .n = g->n,
        .learning_rate = (float)c->groups[group].learning_rate,
        .beta1 = (float)c->beta1,
        .beta2 = (float)c->beta2,
        .inv_bias1 = tr_inv_bias(c->beta1, model->steps),
        .inv_bias2 = tr_inv_bias(c->beta2, model->steps),
        .epsilon = (float)c->epsilon,
        .wd = (float)c->groups[group].wd,
        .clip = (float)c->clip,
    };
}

static int update_bias(struct tr_fm *model, const struct tr_fm_rows *rows)
{
    const struct tr_sum_args sum = {rows->dz, model->bias_gradient, rows->count, 1};
    struct tr_update_args update = update_of(model, TR_FM_BIAS);
    update.g = model->bias_gradient;
    if (tr_launch_sum(model->device, &sum) < 0)
        return -1;
    return tr_launch_update(model->device, &update);
}

static int update_columns(struct tr_fm *model, const struct tr_fm_rows *rows,
                          enum tr_fm_group_no group)
{
    bool factors = group == TR_FM_FACTORS;
    const struct tr_csr_update_args args = {
        .update = update_of(model, group),
        .sorted_columns = model->order.columns,
        .sorted_entries = model->order.entries,
        .entry_rows = model->order.rows,
        .values = rows->values,
        .dz = rows->dz,
        .sums = factors ? rows->sums : NULL,
        .entries = rows->entries,
        .width = factors ? model->config.factor_count : 1,
    };
    return tr_launch_csr_update(model->device, &args);
}

int tr_fm_prepare(struct tr_fm *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct tr_fm_rows rows;
    if (rows_of(model, batch, &rows, error) < 0)
        return -1;
    return tr_entry_order_room(&model->order, &model->tally, rows.entries, error);
}

static int update(struct tr_fm *model, const struct tr_fm_rows *rows)
{
    if (tr_entry_order_sort(&model->order, model->device, rows->offsets, rows->columns, rows->count,
                            rows->entries, model->config.dim) < 0 ||
        update_bias(model, rows) < 0 || update_columns(model, rows, TR_FM_LINEAR) < 0)
        return -1;
    return update_columns(model, rows, TR_FM_FACTORS);
}

int tr_fm_step(struct tr_fm *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct tr_fm_rows rows;
    if (tr_fm_prepare(model, batch, error) < 0 || rows_of(model, batch, &rows, error) < 0)
        return -1;
    if (predict(model, batch, &rows, TR_SUMS_TRAIN) < 0)
        return tr_device_failed(model->device, error);
    if (model->config.group &&
        (tr_fm_ranks_join(&model->ranks, batch->host, &rows, error) < 0 ||
         tr_entry_order_room(&model->order, &model->tally, rows.entries, error) < 0))
        return -1;
    if (rows.count == 0)
        return 0;
    if (update(model, &rows) < 0)
        return tr_device_failed(model->device, error);
    model->steps++;
    return 0;
}

int tr_fm_evaluate(struct tr_fm *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct tr_fm_rows rows;
    if (rows_of(model, batch, &rows, error) < 0)
        return -1;
    return predict(model, batch, &rows, TR_SUMS_EVALUATE) < 0
               ? tr_device_failed(model->device, error)
               : 0;
}

/* --- results -------------------------------------------------------------------------------------
 */

int tr_fm_read_sums(struct tr_fm *model, enum tr_sums which, bool reset, struct tr_stats *out,
                    struct tr_error *error)
{
    return tr_tally_read(&model->tally, which, reset, out, error);
}

int tr_fm_peek_sums(struct tr_fm *model, struct tr_stats *out, struct tr_error *error)
{
    return tr_tally_peek(&model->tally, out, error);
}

int tr_fm_fold(struct tr_fm *model, struct tr_error *error)
{
    return tr_tally_fold(&model->tally, error);
}

int tr_fm_unfold(struct tr_fm *model, struct tr_error *error)
{
    return tr_tally_unfold(&model->tally, error);
}

int tr_fm_export(struct tr_fm *model, float *bias, float *linear, float *factors,
                 struct tr_error *error)
{
    float *to[TR_FM_GROUP_COUNT] = {bias, linear, factors};
    int rc = 0;
    for (int i = 0; i < TR_FM_GROUP_COUNT && rc == 0; i++) {
        const struct group *g = &model->groups[i];
        rc = tr_device_take(model->device, model->tally.ready, to[i], g->value,
                            g->n * sizeof(float), error);
    }
    return rc;
}

size_t tr_fm_state(struct tr_fm *model, struct tr_state_item *items)
{
    static const char *const names[TR_FM_GROUP_COUNT][3] = {
        {"bias", "bias.m", "bias.v"},
        {"linear", "linear.m", "linear.v"},
        {"factors", "factors.m", "factors.v"},
    };
    const size_t sums_bytes = TR_SUMS_COUNT * sizeof(struct tr_stats);
    size_t count = 0;
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        const struct group *g = &model->groups[i];
        const size_t len_bytes = g->n * sizeof(float);
        items[count++] = tr_state_on_device(names[i][0], g->value, len_bytes);
        items[count++] = tr_state_on_device(names[i][1], g->m, len_bytes);
        items[count++] = tr_state_on_device(names[i][2], g->v, len_bytes);
    }
    items[count++] = tr_state_on_device("sums", model->tally.sums, sums_bytes);
    items[count++] = (struct tr_state_item){"steps", &model->steps, sizeof model->steps, false};
    return count;
}
