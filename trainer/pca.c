/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca.c - principal components of a stream in one pass.
 *
 * What is learnt are moments (trainer/moments.h), from which components are found on the host after
 * the pass (trainer/pca_solve.h). Moments do not depend on the rows' order, but for rounding, and
 * the checksum not even for that: two runs that print the same have seen the same rows.
 *
 * Of several ranks each keeps the moments of its own rows; only what is found is of all.
 */
#include "trainer/device_use.h"
#include "trainer/eigen.h"
#include "trainer/model.h"
#include "trainer/moments_math.h"
#include "trainer/onnx.h"
#include "trainer/pca_hyper.h"
#include "trainer/pca_ranks.h"
#include "trainer/pca_solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows that are multiplied at once, at most: where the cache counts, and where it does not. */
#define BLOCK_ROWS_HOST 1024U
#define BLOCK_ROWS_DEVICE 4096U

/* Features for which all products of two are kept and solved for: 16 GiB of memory, and as many as
 * dsyevd takes, whose 1 + 6 n + 2 n^2 numbers of scratch are counted in 32 bits. */
#define REGULAR_DIM_MAX 32766U

#define STREAM_OMEGA 1U

/* Moments of a pass over rows: device arrays, but for the number of rows. */
struct moments {
    double *mean;    /* (dim); the next two lie behind it */
    double *square;  /* (dim) */
    double *product; /* (dim, width) */
    float *omega;    /* (dim, width); NULL: the identity */
    uint32_t width;
    double rows;
};

struct pca {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_pca_hyper hyper;
    uint32_t dim;
    uint32_t block_rows;
    struct moments moments[TR_SUMS_COUNT]; /* of training; of a held-out channel, whose omega are
                                              the components */
    float *y; /* scratch of trainer/moments.h, on the device, as what follows */
    float *z;
    float *gram;
    float *shift;
    double *block;
    double *projected;
    uint64_t *key;
    uint64_t *checksum;
    struct tr_event *ready;
    float *omega; /* (dim, width), host; NULL: the identity */
    /* What was found, on the host. */
    double *origin;     /* (dim) */
    double *components; /* (num_components, dim) */
    double *values;     /* (num_components) */
    double *total;      /* (1) */
    double rows_seen;   /* of all ranks, as the next */
    uint64_t checksum_seen;
    bool whole; /* the moments are of all ranks' rows: a checkpoint's, and no step since */
    bool found; /* not part of a checkpoint: what is above comes from the moments again */
};

static struct pca *of(struct tr_model *model)
{
    return (struct pca *)(void *)model;
}

static const struct pca *seen(const struct tr_model *model)
{
    return (const struct pca *)(const void *)model;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static uint64_t head_rows(const void *values)
{
    (void)values;
    return 1;
}

static void free_pca(struct tr_model *model)
{
    struct pca *m = of(model);
    const struct tr_device_ops *ops = m->base.device->ops;
    ops->drain(m->base.device);
    for (int i = 0; i < TR_SUMS_COUNT; i++) {
        ops->dealloc(m->base.device, m->moments[i].mean);
        ops->dealloc(m->base.device, m->moments[i].omega);
    }
    void *arrays[] = {m->y, m->z, m->gram, m->shift, m->block, m->projected, m->key, m->checksum};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(m->base.device, arrays[i]);
    ops->event_free(m->base.device, m->ready);
    free(m->omega);
    free(m->origin);
    free(m);
}

/* Numbers from moments->mean on. */
static size_t moments_count(const struct pca *m, const struct moments *moments)
{
    return (size_t)m->dim * (2 + (size_t)moments->width);
}

static int allocate_moments(struct pca *m, struct moments *moments, uint32_t width, bool with_omega,
                            struct tr_error *error)
{
    struct tr_device *device = m->base.device;
    moments->width = width;
    moments->mean = tr_device_allocate(device, moments_count(m, moments), sizeof(double), error);
    if (!moments->mean)
        return -1;
    moments->square = moments->mean + m->dim;
    moments->product = moments->square + m->dim;
    if (with_omega)
        moments->omega = tr_device_allocate(device, (size_t)m->dim * width, sizeof(float), error);
    return with_omega && !moments->omega ? -1 : 0;
}

static int allocate_scratch(struct pca *m, uint32_t width, struct tr_error *error)
{
    struct tr_device *device = m->base.device;
    if (!(m->y =
              tr_device_allocate(device, (size_t)m->block_rows * m->dim, sizeof(float), error)) ||
        !(m->z = tr_device_allocate(device, (size_t)m->block_rows * width, sizeof(float), error)) ||
        !(m->gram = tr_device_allocate(device, (size_t)m->dim * width, sizeof(float), error)) ||
        !(m->shift = tr_device_allocate(device, m->dim, sizeof(float), error)) ||
        !(m->block = tr_device_allocate(device, 2 * (size_t)m->dim, sizeof(double), error)) ||
        !(m->projected = tr_device_allocate(device, 2 * (size_t)width, sizeof(double), error)) ||
        !(m->key = tr_device_allocate(device, m->dim, sizeof(uint64_t), error)) ||
        !(m->checksum = tr_device_allocate(device, 1, sizeof(uint64_t), error)))
        return -1;
    return 0;
}

static int upload_key(struct pca *m, struct tr_error *error)
{
    uint64_t *key = malloc(m->dim * sizeof *key);
    if (!key)
        return tr_fail(error, "no memory");
    for (uint32_t i = 0; i < m->dim; i++)
        key[i] = tr_checksum_key(i);
    int rc = tr_device_put(m->base.device, m->ready, m->key, key, m->dim * sizeof *key, error);
    free(key);
    return rc;
}

/* Normal numbers: no direction is favoured. */
static int draw_omega(struct pca *m, uint64_t seed, struct tr_error *error)
{
    struct moments *moments = &m->moments[TR_SUMS_TRAIN];
    size_t n = (size_t)m->dim * moments->width;
    m->omega = malloc(n * sizeof *m->omega);
    if (!m->omega)
        return tr_fail(error, "no memory");
    for (size_t i = 0; i < n; i++)
        m->omega[i] = (float)tr_random_normal(seed, STREAM_OMEGA, i);
    return tr_device_put(m->base.device, m->ready, moments->omega, m->omega, n * sizeof *m->omega,
                         error);
}

/* Numbers from m->origin on: what is found. */
static size_t found_count(const struct pca *m)
{
    return m->dim + (size_t)m->hyper.num_components * (m->dim + 1) + 1;
}

static int make(struct pca *m, uint64_t seed, struct tr_error *error)
{
    uint32_t count = m->hyper.num_components;
    uint32_t width = tr_pca_width(&m->hyper, m->dim);
    bool randomized = m->hyper.algorithm_mode == TR_PCA_RANDOMIZED;
    uint32_t most = m->base.device->ops->block_floats > 0 ? BLOCK_ROWS_HOST : BLOCK_ROWS_DEVICE;
    uint32_t rows = m->hyper.common.mini_batch_size;
    m->block_rows = rows < most ? rows : most;
    if (count > m->dim)
        return tr_fail(error,
                       "hyperparameter num_components: %u components of %u features are too many",
                       count, m->dim);
    if (!randomized && m->dim > REGULAR_DIM_MAX)
        return tr_fail(error,
                       "%u features are too many for algorithm_mode regular, which takes up to %u: "
                       "choose randomized",
                       m->dim, REGULAR_DIM_MAX);
    m->origin = calloc(found_count(m), sizeof *m->origin);
    if (!m->origin)
        return tr_fail(error, "no memory");
    m->components = m->origin + m->dim;
    m->values = m->components + (size_t)count * m->dim;
    m->total = m->values + count;
    if (tr_eigen_available(error) < 0)
        return -1;
    if (m->base.device->ops->event_new(m->base.device, &m->ready) < 0)
        return tr_device_failed(m->base.device, error);
    if (allocate_moments(m, &m->moments[TR_SUMS_TRAIN], width, randomized, error) < 0 ||
        allocate_moments(m, &m->moments[TR_SUMS_EVALUATE], count, true, error) < 0 ||
        allocate_scratch(m, width > count ? width : count, error) < 0 || upload_key(m, error) < 0)
        return -1;
    return randomized ? draw_omega(m, seed, error) : 0;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    struct pca *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->base = (struct tr_model){&tr_model_pca, setup->device, setup->group};
    m->hyper = *(const struct tr_pca_hyper *)setup->hyper;
    m->dim = tr_head_batch(setup->head, 0)->feature_dim;
    if (make(m, setup->seed, error) < 0) {
        free_pca(&m->base);
        return -1;
    }
    *out = &m->base;
    return 0;
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct pca *m = seen(model);
    snprintf(text, text_bytes, "%s, %u components of %u features", tr_pca_mode_name(&m->hyper),
             m->hyper.num_components, m->dim);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    (void)model;
    (void)channel;
    (void)batch;
    (void)error;
    return 0;
}

static int add_rows(struct pca *m, struct moments *moments, const float *x, uint32_t rows,
                    struct tr_error *error)
{
    for (uint32_t at = 0; at < rows; at += m->block_rows) {
        uint32_t n = rows - at < m->block_rows ? rows - at : m->block_rows;
        const struct tr_moments_args args = {
            .x = x + (size_t)at * m->dim,
            .omega = moments->omega,
            .mean = moments->mean,
            .square = moments->square,
            .product = moments->product,
            .y = m->y,
            .z = m->z,
            .gram = m->gram,
            .shift = m->shift,
            .block = m->block,
            .projected = m->projected,
            .rows_before = moments->rows,
            .rows = n,
            .dim = m->dim,
            .width = moments->width,
        };
        if (tr_launch_moments(m->base.device, &args) < 0)
            return tr_device_failed(m->base.device, error);
        moments->rows += (double)n;
    }
    return 0;
}

static int clear(struct pca *m, struct moments *moments, struct tr_error *error)
{
    struct tr_device *device = m->base.device;
    moments->rows = 0.0;
    return device->ops->zero(device, moments->mean, moments_count(m, moments) * sizeof(double)) < 0
               ? tr_device_failed(device, error)
               : 0;
}

/* What is of all ranks' rows stays rank 0's alone. */
static int unfold(struct pca *m, struct tr_error *error)
{
    m->whole = false;
    if (tr_group_rank(m->base.group) > 0 && clear(m, &m->moments[TR_SUMS_TRAIN], error) < 0)
        return -1;
    return tr_group_unfold_on(m->base.group, m->base.device, m->checksum, 1, TR_NUMBER_WORD, error);
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct pca *m = of(model);
    const struct tr_checksum_args args = {batch->features, m->key, m->checksum, batch->host->rows,
                                          m->dim};
    if (m->whole && unfold(m, error) < 0)
        return -1;
    if (args.rows == 0)
        return 0;
    if (tr_launch_checksum(m->base.device, &args) < 0)
        return tr_device_failed(m->base.device, error);
    return add_rows(m, &m->moments[TR_SUMS_TRAIN], batch->features, batch->host->rows, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static const char *objective(const struct tr_model *model)
{
    (void)model;
    return "reconstruction_mse_objective";
}

/* Whether the moments on this rank are already those of all ranks' rows. */
static bool is_whole(const struct pca *m, const struct moments *moments)
{
    return !m->base.group || (m->whole && moments == &m->moments[TR_SUMS_TRAIN]);
}

/* Reads moments, and adds up those of all ranks: *memory, which the caller frees, holds what `out`
 * points to. */
static int take(struct pca *m, const struct moments *moments, const float *omega, double **memory,
                struct tr_pca_moments *out, struct tr_error *error)
{
    size_t n = moments_count(m, moments);
    double *host = malloc(n * sizeof *host);
    *memory = host;
    if (!host)
        return tr_fail(error, "no memory for the moments");
    *out = (struct tr_pca_moments){.dim = m->dim,
                                   .width = moments->width,
                                   .rows = moments->rows,
                                   .omega = omega,
                                   .mean = host,
                                   .square = host + m->dim,
                                   .product = host + 2 * (size_t)m->dim};
    if (tr_device_take(m->base.device, m->ready, host, moments->mean, n * sizeof *host, error) < 0)
        return -1;
    return is_whole(m, moments) ? 0 : tr_pca_add_ranks(m->base.group, out, error);
}

static int check_finite(const struct tr_pca_moments *moments, struct tr_error *error)
{
    for (uint32_t i = 0; i < moments->dim; i++) {
        if (!isfinite(moments->square[i]))
            return tr_fail(error, "feature column %u holds values that are not finite numbers", i);
    }
    return 0;
}

static int take_checksum(struct pca *m, struct tr_error *error)
{
    if (tr_device_take(m->base.device, m->ready, &m->checksum_seen, m->checksum,
                       sizeof m->checksum_seen, error) < 0)
        return -1;
    return m->whole ? 0 : tr_group_sum(m->base.group, &m->checksum_seen, 1, TR_NUMBER_WORD, error);
}

/* The components as omega of a held-out channel's moments: (dim, num_components); the caller frees
 * it. */
static float *transposed_components(const struct pca *m, struct tr_error *error)
{
    uint32_t count = m->hyper.num_components;
    float *omega = malloc((size_t)m->dim * count * sizeof *omega);
    if (!omega)
        tr_fail(error, "no memory for the components");
    for (uint32_t i = 0; omega && i < m->dim; i++) {
        for (uint32_t k = 0; k < count; k++)
            omega[(size_t)i * count + k] = (float)m->components[(size_t)k * m->dim + i];
    }
    return omega;
}

/* Every rank solves, so that none waits for long; but the components of all are rank 0's, since
 * equal variances leave a choice to the last bit. */
static int find_components(struct pca *m, struct tr_error *error)
{
    struct tr_pca_moments moments;
    double *memory;
    int rc = take(m, &m->moments[TR_SUMS_TRAIN], m->omega, &memory, &moments, error);
    if (rc == 0)
        rc = take_checksum(m, error);
    if (rc == 0)
        rc = check_finite(&moments, error);
    if (rc == 0)
        m->rows_seen = moments.rows;
    for (uint32_t i = 0; i < m->dim && rc == 0; i++)
        m->origin[i] = m->hyper.subtract_mean == TR_FALSE ? 0.0 : moments.mean[i];
    if (rc == 0)
        rc = tr_pca_solve(&moments, m->origin, m->hyper.num_components, m->components, m->values,
                          m->total, error);
    if (rc == 0 && !m->whole)
        rc =
            tr_group_broadcast(m->base.group, m->origin, found_count(m) * sizeof *m->origin, error);
    free(memory);
    return rc;
}

static int solve(struct pca *m, struct tr_error *error)
{
    if (find_components(m, error) < 0)
        return -1;
    size_t n = (size_t)m->dim * m->hyper.num_components;
    float *omega = transposed_components(m, error);
    int rc = omega ? tr_device_put(m->base.device, m->ready, m->moments[TR_SUMS_EVALUATE].omega,
                                   omega, n * sizeof *omega, error)
                   : -1;
    free(omega);
    m->found = rc == 0;
    return rc;
}

/* A run that goes on behind the pass has the moments alone. */
static int solve_once(struct pca *m, struct tr_error *error)
{
    return m->found ? 0 : solve(m, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    struct pca *m = of(model);
    if (solve_once(m, error) < 0)
        return -1;
    return add_rows(m, &m->moments[TR_SUMS_EVALUATE], batch->features, batch->host->rows, error);
}

static int explain_held_out(struct pca *m, double *total, double *explained, double *rows,
                            struct tr_error *error)
{
    struct moments *held_out = &m->moments[TR_SUMS_EVALUATE];
    struct tr_pca_moments moments;
    double *memory;
    float *omega = transposed_components(m, error);
    if (!omega)
        return -1;
    int rc = take(m, held_out, omega, &memory, &moments, error);
    if (rc == 0)
        rc = check_finite(&moments, error);
    if (rc == 0) {
        tr_pca_explained(&moments, m->origin, total, explained);
        *rows = moments.rows;
    }
    free(omega);
    free(memory);
    return rc < 0 ? -1 : clear(m, held_out, error);
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    struct pca *m = of(model);
    double explained = 0.0;
    double total;
    double rows = 0.0;
    if (which == TR_SUMS_TRAIN) {
        if (solve(m, error) < 0)
            return -1;
        total = *m->total;
        rows = m->rows_seen;
        for (uint32_t k = 0; k < m->hyper.num_components; k++)
            explained += m->values[k];
    } else if (explain_held_out(m, &total, &explained, &rows, error) < 0) {
        return -1;
    }
    *out = (struct tr_results){.rows = rows, .loss = fmax(total - explained, 0.0) / rows};
    tr_results_add(out, "explained_variance_ratio", false, total > 0.0 ? explained / total : 1.0);
    return 0;
}

static void seen_rows(const struct tr_model *model, uint64_t *rows, uint64_t *checksum)
{
    *rows = (uint64_t)seen(model)->rows_seen;
    *checksum = seen(model)->checksum_seen;
}

/* --- the trained model ---------------------------------------------------------------------------
 */

static int export_arrays(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    struct pca *m = of(model);
    uint32_t count = m->hyper.num_components;
    const uint64_t shape[] = {count, m->dim};
    if (solve_once(m, error) < 0)
        return -1;
    double rows = m->rows_seen;
    double freedom = m->hyper.subtract_mean == TR_FALSE ? rows : rows - 1.0;
    float *components = tr_export_add(out, "components", 2, shape, error);
    float *mean = components ? tr_export_add(out, "mean", 1, shape + 1, error) : NULL;
    float *singular = mean ? tr_export_add(out, "singular_values", 1, shape, error) : NULL;
    float *variance = singular ? tr_export_add(out, "explained_variance", 1, shape, error) : NULL;
    float *ratio =
        variance ? tr_export_add(out, "explained_variance_ratio", 1, shape, error) : NULL;
    if (!ratio)
        return -1;
    for (size_t i = 0; i < (size_t)count * m->dim; i++)
        components[i] = (float)m->components[i];
    for (uint32_t i = 0; i < m->dim; i++)
        mean[i] = (float)m->origin[i];
    for (uint32_t k = 0; k < count; k++) {
        singular[k] = (float)sqrt(m->values[k]);
        variance[k] = (float)(m->values[k] / fmax(freedom, 1.0));
        ratio[k] = *m->total > 0.0 ? (float)(m->values[k] / *m->total) : 0.0F;
    }
    tr_export_fact(out, "feature_dim", m->dim);
    tr_export_fact(out, "num_components", count);
    out->prediction = "(x - mean) @ components.T, x raw features";
    return 0;
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct pca *m = seen(model);
    char text[24];
    tr_json_text(json, "algorithm_mode", tr_pca_mode_name(&m->hyper));
    tr_json_truth(json, "subtract_mean", m->hyper.subtract_mean != TR_FALSE);
    if (m->hyper.algorithm_mode == TR_PCA_RANDOMIZED) {
        tr_json_count(json, "extra_components",
                      m->moments[TR_SUMS_TRAIN].width - m->hyper.num_components);
        tr_json_count(json, "seed", m->hyper.common.seed);
    }
    snprintf(text, sizeof text, "%016llx", (unsigned long long)m->checksum_seen);
    tr_json_text(json, "checksum", text);
}

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    struct pca *m = of(model);
    struct moments *moments = &m->moments[TR_SUMS_TRAIN];
    size_t n = (size_t)m->dim * moments->width;
    items[0] = (struct tr_state_item){"rows", &moments->rows, sizeof moments->rows, false};
    items[1] = (struct tr_state_item){"mean", moments->mean, m->dim * sizeof(double), true};
    items[2] = (struct tr_state_item){"square", moments->square, m->dim * sizeof(double), true};
    items[3] = (struct tr_state_item){"product", moments->product, n * sizeof(double), true};
    items[4] = (struct tr_state_item){"checksum", m->checksum, sizeof *m->checksum, true};
    return 5;
}

static int fold_moments(struct pca *m, struct tr_error *error)
{
    struct moments *train = &m->moments[TR_SUMS_TRAIN];
    struct tr_pca_moments moments;
    double *memory;
    int rc = take(m, train, m->omega, &memory, &moments, error);
    if (rc == 0) {
        train->rows = moments.rows;
        rc = tr_device_put(m->base.device, m->ready, train->mean, memory,
                           moments_count(m, train) * sizeof *memory, error);
    }
    free(memory);
    return rc;
}

static int fold(struct tr_model *model, struct tr_error *error)
{
    struct pca *m = of(model);
    if (!is_whole(m, &m->moments[TR_SUMS_TRAIN]) &&
        (fold_moments(m, error) < 0 ||
         tr_group_sum_on(m->base.group, m->base.device, m->checksum, 1, TR_NUMBER_WORD, error) < 0))
        return -1;
    return unfold(m, error);
}

/* Every rank has the moments of all, to find the components from where the pass is over. */
static int restored(struct tr_model *model, struct tr_error *error)
{
    (void)error;
    of(model)->whole = true;
    return 0;
}

const struct tr_model_ops tr_model_pca = {
    .name = "pca",
    .title = "PCA",
    .hyper = &tr_pca_hyper_table,
    .takes = TR_TAKES_DENSE,
    .head_rows = head_rows,
    .create = create,
    .free = free_pca,
    .describe = describe,
    .check = check,
    .step = step,
    .evaluate = evaluate,
    .objective = objective,
    .results = results,
    .export_arrays = export_arrays,
    .onnx = tr_onnx_pca,
    .put_config = put_config,
    .state = state,
    .restored = restored,
    .fold = fold,
    .seen = seen_rows,
};
