/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kmeans.c - k-means of a stream.
 *
 * The first pass moves more centres than are wanted, batch by batch, each towards the mean of its
 * rows so far; at its end they are merged by Lloyd's algorithm, each with the weight of its rows.
 * Every further pass is an iteration of Lloyd's algorithm over all rows.
 *
 * Of several ranks each sums up its own rows, and all add up the sums before the centres move: in
 * the first pass in every step, later at the pass's end.
 *
 * Places are relative to the mean of the first rows, so that float32 products have digits to tell
 * rows apart that are far from zero.
 */
#include "trainer/cluster.h"
#include "trainer/device_use.h"
#include "trainer/kmeans_hyper.h"
#include "trainer/lloyd.h"
#include "trainer/model.h"
#include "trainer/onnx.h"
#include "trainer/tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stream { STREAM_FIRST = 1, STREAM_MERGE = 1000 };

/* How far training has come; part of a checkpoint. */
struct progress {
    uint32_t count;  /* of centres now */
    uint32_t merged; /* 1: they are those that are wanted */
};

struct kmeans {
    struct tr_model base; /* first: the table is given a struct tr_model */
    struct tr_kmeans_hyper hyper;
    uint32_t dim;
    uint32_t capacity; /* centres that there is room for */
    uint32_t block_rows;
    struct progress progress;
    uint64_t seed;
    struct tr_centres centres; /* device; count is not looked at: see progress */
    double *number;            /* (capacity), device, as what follows; the sums lie behind it */
    double *sum;               /* (capacity, dim) */
    float *origin;             /* (dim) */
    float *ones;               /* (dim) */
    float *x;                  /* (block_rows, dim): a block less the origin */
    float *product;            /* (block_rows, capacity) */
    float *distance;           /* (block_rows) */
    uint32_t *nearest;         /* (block_rows) */
    struct tr_tally tally;
};

static struct kmeans *of(struct tr_model *model)
{
    return (struct kmeans *)(void *)model;
}

static const struct kmeans *seen(const struct tr_model *model)
{
    return (const struct kmeans *)(const void *)model;
}

/* --- host and device -----------------------------------------------------------------------------
 */

static int move(struct kmeans *m, double decay, struct tr_error *error)
{
    struct tr_move_args args = {m->centres, m->sum, m->number, decay};
    args.centres.count = m->progress.count;
    return tr_launch_move(m->base.device, &args) < 0 ? tr_device_failed(m->base.device, error) : 0;
}

/* How many numbers, from m->number on, the rows were summed up in. */
static size_t summed(const struct kmeans *m)
{
    return m->capacity + (size_t)m->progress.count * m->dim;
}

/* Moves the centres by the rows of all ranks. */
static int move_together(struct kmeans *m, double decay, struct tr_error *error)
{
    if (tr_group_sum_on(m->base.group, m->base.device, m->number, summed(m), TR_NUMBER_DOUBLE,
                        error) < 0)
        return -1;
    return move(m, decay, error);
}

/* Puts `count` centres in the place of all: as if each had one row, and nothing been before. */
static int set_centres(struct kmeans *m, const double *places, uint32_t count,
                       struct tr_error *error)
{
    const struct tr_device_ops *ops = m->base.device->ops;
    double *number = malloc(count * sizeof *number);
    int rc = number ? 0 : tr_fail(error, "no memory for %u centres", count);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        number[i] = 1.0;
    m->progress.count = count;
    if (rc == 0)
        rc = tr_device_put(m->base.device, m->tally.ready, m->number, number,
                           count * sizeof *number, error);
    free(number);
    if (rc < 0 ||
        tr_device_put(m->base.device, m->tally.ready, m->sum, places,
                      (size_t)count * m->dim * sizeof *places, error) < 0 ||
        move(m, 0.0, error) < 0)
        return -1;
    if (ops->zero(m->base.device, m->centres.weight, m->capacity * sizeof(double)) < 0)
        return tr_device_failed(m->base.device, error);
    return 0;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static uint64_t head_rows(const void *values)
{
    const struct tr_kmeans_hyper *hyper = values;
    uint32_t centres = tr_kmeans_centres(hyper);
    return centres > hyper->common.mini_batch_size ? centres : hyper->common.mini_batch_size;
}

static void free_kmeans(struct tr_model *model)
{
    struct kmeans *m = of(model);
    const struct tr_device_ops *ops = m->base.device->ops;
    void *arrays[] = {m->centres.place, m->centres.transposed,
                      m->centres.norm,  m->centres.weight,
                      m->number,        m->origin,
                      m->ones,          m->x,
                      m->product,       m->distance,
                      m->nearest};
    ops->drain(m->base.device);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ops->dealloc(m->base.device, arrays[i]);
    tr_tally_close(&m->tally);
    free(m);
}

static int allocate_all(struct kmeans *m, struct tr_error *error)
{
    size_t n = (size_t)m->capacity * m->dim;
    size_t rows = m->block_rows;
    struct tr_device *device = m->base.device;
    m->centres.dim = m->dim;
    if (tr_tally_open(&m->tally, device, m->base.group, 1, error) < 0)
        return -1;
    if (!(m->centres.place = tr_device_allocate(device, n, sizeof(double), error)) ||
        !(m->centres.transposed = tr_device_allocate(device, n, sizeof(float), error)) ||
        !(m->centres.norm = tr_device_allocate(device, m->capacity, sizeof(float), error)) ||
        !(m->centres.weight = tr_device_allocate(device, m->capacity, sizeof(double), error)) ||
        !(m->number = tr_device_allocate(device, m->capacity + n, sizeof(double), error)) ||
        !(m->origin = tr_device_allocate(device, m->dim, sizeof(float), error)) ||
        !(m->ones = tr_device_allocate(device, m->dim, sizeof(float), error)) ||
        !(m->x = tr_device_allocate(device, rows * m->dim, sizeof(float), error)) ||
        !(m->product = tr_device_allocate(device, rows * m->capacity, sizeof(float), error)) ||
        !(m->distance = tr_device_allocate(device, rows, sizeof(float), error)) ||
        !(m->nearest = tr_device_allocate(device, rows, sizeof(uint32_t), error)))
        return -1;
    m->sum = m->number + m->capacity;
    return 0;
}

/* The first rows less their mean, in double. */
struct first_rows {
    double *places; /* (count, dim) */
    float *origin;  /* (dim); 1 in each column after it */
    size_t count;
};

static int copy_head(const struct tr_setup *setup, uint32_t dim, struct first_rows *first,
                     struct tr_error *error)
{
    const struct penstock_batch *batch;
    size_t at = 0;
    for (size_t i = 0; (batch = tr_head_batch(setup->head, i)); i++)
        first->count += batch->rows;
    first->places = calloc(first->count * dim, sizeof *first->places);
    first->origin = calloc(2 * (size_t)dim, sizeof *first->origin);
    if (!first->places || !first->origin)
        return tr_fail(error, "no memory for the first rows: lower mini_batch_size");
    for (size_t i = 0; (batch = tr_head_batch(setup->head, i)); i++) {
        for (size_t j = 0; j < (size_t)batch->rows * dim; j++)
            first->places[at++] = (double)batch->features[j];
    }
    for (uint32_t j = 0; j < dim; j++) {
        double sum = 0.0;
        for (size_t i = 0; i < first->count; i++)
            sum += first->places[i * dim + j];
        first->origin[j] = (float)(sum / (double)first->count);
        first->origin[dim + j] = 1.0F;
        if (!isfinite(first->origin[j]))
            return tr_fail(error,
                           "feature column %u holds values that are not finite numbers in the "
                           "first rows",
                           j);
        for (size_t i = 0; i < first->count; i++)
            first->places[i * dim + j] -= (double)first->origin[j];
    }
    return 0;
}

/* Chooses centres among the points: (count, dim), which the caller frees. */
static double *choose(const struct tr_points *points, int method, struct tr_draw draw,
                      uint32_t count, struct tr_error *error)
{
    double *centres = malloc((size_t)count * points->dim * sizeof *centres);
    double *distance = malloc(points->count * sizeof *distance);
    if (!centres || !distance) {
        tr_fail(error, "no memory for %u centres", count);
        free(centres);
        centres = NULL;
    } else if (method == TR_KMEANS_RANDOM) {
        tr_choose_random(points, draw, count, centres);
    } else {
        tr_choose_apart(points, draw, count, centres, distance);
    }
    free(distance);
    return centres;
}

static int make_from(struct kmeans *m, const struct first_rows *first, struct tr_error *error)
{
    const struct tr_points points = {first->places, NULL, first->count, m->dim};
    uint32_t wanted = tr_kmeans_centres(&m->hyper);
    if (first->count < m->hyper.k)
        return tr_fail(error,
                       "hyperparameter k: %u clusters need as many first rows, and there are %zu",
                       m->hyper.k, first->count);
    m->capacity = first->count < wanted ? (uint32_t)first->count : wanted;
    m->progress.merged = m->capacity == m->hyper.k;
    m->block_rows = tr_device_block_rows(m->base.device, m->dim, m->hyper.common.mini_batch_size);
    if (allocate_all(m, error) < 0 ||
        tr_device_put(m->base.device, m->tally.ready, m->origin, first->origin,
                      m->dim * sizeof(float), error) < 0 ||
        tr_device_put(m->base.device, m->tally.ready, m->ones, first->origin + m->dim,
                      m->dim * sizeof(float), error) < 0)
        return -1;
    double *centres = choose(&points, m->hyper.init_method, (struct tr_draw){m->seed, STREAM_FIRST},
                             m->capacity, error);
    int rc = centres ? set_centres(m, centres, m->capacity, error) : -1;
    free(centres);
    return rc;
}

static int create(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error)
{
    struct kmeans *m = calloc(1, sizeof *m);
    struct first_rows first = {0};
    *out = NULL;
    if (!m)
        return tr_fail(error, "no memory");
    m->base = (struct tr_model){&tr_model_kmeans, setup->device, setup->group};
    m->hyper = *(const struct tr_kmeans_hyper *)setup->hyper;
    m->seed = setup->seed;
    m->dim = tr_head_batch(setup->head, 0)->feature_dim;
    int rc = copy_head(setup, m->dim, &first, error);
    if (rc == 0)
        rc = make_from(m, &first, error);
    free(first.places);
    free(first.origin);
    if (rc < 0)
        free_kmeans(&m->base);
    else
        *out = &m->base;
    return rc;
}

static void describe(const struct tr_model *model, char *text, size_t text_bytes)
{
    const struct kmeans *m = seen(model);
    snprintf(text, text_bytes, "%u clusters of %u features, %u centres in the first epoch, %s",
             m->hyper.k, m->dim, m->capacity, tr_kmeans_init_name(m->hyper.init_method));
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int check(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error)
{
    (void)model; /* any row will do */
    (void)channel;
    (void)batch;
    (void)error;
    return 0;
}

static int run_block(struct kmeans *m, const float *features, uint32_t rows, enum tr_sums which)
{
    struct tr_device *device = m->base.device;
    const struct tr_scale_args shift = {features, m->origin, m->ones, m->x, rows, m->dim};
    struct tr_nearest_args find = {.centres = m->centres,
                                   .x = m->x,
                                   .product = m->product,
                                   .distance = m->distance,
                                   .nearest = m->nearest,
                                   .stats = tr_tally_at(&m->tally, which, 0),
                                   .rows = rows};
    const struct tr_collect_args collect = {m->x, m->nearest, m->sum,           m->number,
                                            rows, m->dim,     m->progress.count};
    find.centres.count = m->progress.count;
    if (tr_launch_scale(device, &shift) < 0 || tr_launch_nearest(device, &find) < 0)
        return -1;
    return which == TR_SUMS_TRAIN ? tr_launch_collect(device, &collect) : 0;
}

static int run_batch(struct kmeans *m, const struct tr_device_batch *batch, enum tr_sums which,
                     struct tr_error *error)
{
    uint32_t rows = batch->host->rows;
    for (uint32_t at = 0; at < rows; at += m->block_rows) {
        uint32_t n = rows - at < m->block_rows ? rows - at : m->block_rows;
        if (run_block(m, batch->features + (size_t)at * m->dim, n, which) < 0)
            return tr_device_failed(m->base.device, error);
    }
    return 0;
}

static int step(struct tr_model *model, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct kmeans *m = of(model);
    double rows = (double)batch->host->rows + (double)batch->host->rows_elsewhere;
    double decay = 1.0;
    if (run_batch(m, batch, TR_SUMS_TRAIN, error) < 0)
        return -1;
    if (m->progress.merged)
        return 0;
    if (m->hyper.half_life_time_size > 0)
        decay = pow(0.5, rows / (double)m->hyper.half_life_time_size);
    return move_together(m, decay, error);
}

static int evaluate(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error)
{
    return run_batch(of(model), batch, TR_SUMS_EVALUATE, error);
}

/* --- the end of a pass ---------------------------------------------------------------------------
 */

/* The best of several trials: (k, dim), which the caller frees. */
static double *merged_centres(const struct kmeans *m, const struct tr_points *points,
                              struct tr_error *error)
{
    uint32_t k = m->hyper.k;
    size_t n = (size_t)k * m->dim;
    double *sums = malloc((n + k) * sizeof *sums);
    double *best = NULL;
    double least = INFINITY;
    uint32_t trials = tr_kmeans_trials(&m->hyper, (uint32_t)points->count);
    if (!sums)
        tr_fail(error, "no memory for %u centres", k);
    for (uint32_t i = 0; sums && i < trials; i++) {
        const struct tr_draw draw = {m->seed, STREAM_MERGE + i};
        double *centres = choose(points, m->hyper.local_lloyd_init_method, draw, k, error);
        if (!centres)
            break;
        double total = tr_lloyd(points, k, m->hyper.local_lloyd_max_iter, m->hyper.local_lloyd_tol,
                                centres, sums);
        if (!best || total < least) {
            double *other = best;
            least = total;
            best = centres;
            centres = other;
        }
        free(centres);
    }
    free(sums);
    return best;
}

static int merge(struct kmeans *m, struct tr_error *error)
{
    size_t n = (size_t)m->progress.count * m->dim;
    double *places = malloc((n + m->progress.count) * sizeof *places);
    int rc = -1;
    if (!places)
        return tr_fail(error, "no memory for %u centres", m->progress.count);
    if (tr_device_take(m->base.device, m->tally.ready, places, m->centres.place, n * sizeof *places,
                       error) == 0 &&
        tr_device_take(m->base.device, m->tally.ready, places + n, m->centres.weight,
                       m->progress.count * sizeof *places, error) == 0) {
        const struct tr_points points = {places, places + n, m->progress.count, m->dim};
        double *centres = merged_centres(m, &points, error);
        rc = centres ? set_centres(m, centres, m->hyper.k, error) : -1;
        free(centres);
    }
    free(places);
    m->progress.merged = 1;
    return rc;
}

static int epoch_end(struct tr_model *model, uint32_t epoch, bool last, struct tr_error *error)
{
    struct kmeans *m = of(model);
    (void)epoch;
    (void)last;
    return m->progress.merged ? move_together(m, 0.0, error) : merge(m, error);
}

/* --- results -------------------------------------------------------------------------------------
 */

static const char *objective(const struct tr_model *model)
{
    (void)model;
    return "msd_objective";
}

static int results(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error)
{
    struct kmeans *m = of(model);
    struct tr_stats sums;
    if (tr_tally_read(&m->tally, which, true, &sums, error) < 0)
        return -1;
    *out = (struct tr_results){.rows = sums.rows, .loss = sums.loss_sum / sums.rows};
    if (m->hyper.eval_metrics & TR_KMEANS_MSD)
        tr_results_add(out, "msd", true, out->loss);
    if (m->hyper.eval_metrics & TR_KMEANS_SSD)
        tr_results_add(out, "ssd", true, sums.loss_sum);
    return 0;
}

static int export_arrays(struct tr_model *model, struct tr_export *out, struct tr_error *error)
{
    struct kmeans *m = of(model);
    const uint64_t shape[] = {m->hyper.k, m->dim};
    size_t n = (size_t)m->hyper.k * m->dim;
    float *centroids = tr_export_add(out, "centroids", 2, shape, error);
    double *places = malloc(n * sizeof *places);
    float *origin = malloc(m->dim * sizeof *origin);
    int rc = -1;
    if (!places || !origin)
        tr_fail(error, "no memory for the model");
    else if (centroids && tr_device_take(m->base.device, m->tally.ready, places, m->centres.place,
                                         n * sizeof *places, error) == 0)
        rc = tr_device_take(m->base.device, m->tally.ready, origin, m->origin,
                            m->dim * sizeof *origin, error);
    for (size_t i = 0; i < n && rc == 0; i++)
        centroids[i] = (float)(places[i] + (double)origin[i % m->dim]);
    free(places);
    free(origin);
    tr_export_fact(out, "feature_dim", m->dim);
    tr_export_fact(out, "k", m->hyper.k);
    out->prediction = "argmin(((x - centroids) ** 2).sum(axis=1)), x raw features of one row";
    return rc;
}

static void put_config(const struct tr_model *model, struct tr_json *json)
{
    const struct kmeans *m = seen(model);
    tr_json_text(json, "init_method", tr_kmeans_init_name(m->hyper.init_method));
    tr_json_count(json, "extra_center_factor", tr_kmeans_centres(&m->hyper) / m->hyper.k);
    tr_json_count(json, "half_life_time_size", m->hyper.half_life_time_size);
    tr_json_text(json, "local_lloyd_init_method",
                 tr_kmeans_init_name(m->hyper.local_lloyd_init_method));
    tr_json_count(json, "local_lloyd_max_iter", m->hyper.local_lloyd_max_iter);
    tr_json_count(json, "local_lloyd_num_trials", tr_kmeans_trials(&m->hyper, m->capacity));
    tr_json_number(json, "local_lloyd_tol", m->hyper.local_lloyd_tol);
    tr_json_count(json, "seed", m->seed);
}

static size_t state(struct tr_model *model, struct tr_state_item *items)
{
    struct kmeans *m = of(model);
    size_t n = (size_t)m->capacity * m->dim;
    size_t numbers = m->capacity * sizeof(double);
    const struct tr_state_item all[] = {
        {"progress", &m->progress, sizeof m->progress, false},
        {"origin", m->origin, m->dim * sizeof(float), true},
        {"place", m->centres.place, n * sizeof(double), true},
        {"transposed", m->centres.transposed, n * sizeof(float), true},
        {"norm", m->centres.norm, m->capacity * sizeof(float), true},
        {"weight", m->centres.weight, numbers, true},
        {"sum", m->sum, n * sizeof(double), true},
        {"number", m->number, numbers, true},
        {"results", m->tally.sums, TR_SUMS_COUNT * sizeof *m->tally.sums, true},
    };
    memcpy(items, all, sizeof all);
    return sizeof all / sizeof *all;
}

static int fold(struct tr_model *model, struct tr_error *error)
{
    struct kmeans *m = of(model);
    if (tr_group_fold_on(m->base.group, m->base.device, m->number, summed(m), TR_NUMBER_DOUBLE,
                         error) < 0)
        return -1;
    return tr_tally_fold(&m->tally, error);
}

static int restored(struct tr_model *model, struct tr_error *error)
{
    struct kmeans *m = of(model);
    if (tr_group_unfold_on(m->base.group, m->base.device, m->number, summed(m), TR_NUMBER_DOUBLE,
                           error) < 0)
        return -1;
    return tr_tally_unfold(&m->tally, error);
}

const struct tr_model_ops tr_model_kmeans = {
    .name = "kmeans",
    .title = "AWS/KMeansWebscale",
    .hyper = &tr_kmeans_hyper_table,
    .takes = TR_TAKES_DENSE,
    .head_rows = head_rows,
    .create = create,
    .free = free_kmeans,
    .describe = describe,
    .check = check,
    .step = step,
    .evaluate = evaluate,
    .epoch_end = epoch_end,
    .objective = objective,
    .results = results,
    .export_arrays = export_arrays,
    .onnx = tr_onnx_kmeans,
    .put_config = put_config,
    .state = state,
    .restored = restored,
    .fold = fold,
};
