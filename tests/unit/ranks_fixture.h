/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/ranks_fixture.h - a model trained by one rank on whole batches, and by several on
 * their shares: what both make of it is compared. The several go through a checkpoint on the way,
 * which every one of them goes on from with a model of its own.
 */
#ifndef RANKS_FIXTURE_H
#define RANKS_FIXTURE_H

#include "tests/unit/group_fixture.h"
#include "tests/unit/model_fixture.h"

#include <math.h>

#include "trainer/device_use.h"

#define ROWS 86U /* the last batch has 6 rows: of 4 ranks with 4 rows each, two have none */
#define BATCH_ROWS 16U
#define DIM 12U
#define FLOATS_MAX 4096U

struct job {
    const struct tr_model_ops *ops;
    const char *hyper;
    uint32_t epochs;
    bool sparse; /* the rows are given as what of them is not 0 */
    bool pauses; /* now and then there is a step without rows on any rank */
    float features[ROWS * DIM];
    float labels[ROWS];
    uint32_t offsets[ROWS + 1];
    uint32_t columns[ROWS * DIM];
    float values[ROWS * DIM];
    /* What rank 0 of the last run made. */
    float arrays[FLOATS_MAX];
    size_t floats;
    double loss;
    double held_out;
    double score;
    uint64_t rows_seen;
    uint64_t checksum;
};

/* classes  that labels are of; 0: numbers */
static inline void make_rows(struct job *job, uint32_t classes)
{
    uint64_t random = 77;
    fixture_fill(job->features, (size_t)ROWS * DIM, 5, 1.0F);
    for (uint32_t i = 0; i < ROWS; i++)
        job->labels[i] = classes > 0 ? (float)(fixture_random(&random) % classes)
                                     : 2.0F * job->features[i * DIM] - job->features[i * DIM + 3];
}

/* Leaves about one of three values; of every tenth row none. */
static inline void make_sparse(struct job *job)
{
    uint32_t n = 0;
    job->sparse = true;
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t j = 0; j < DIM; j++) {
            float x = job->features[i * DIM + j];
            if (i % 10 == 3 || x < 0.33F)
                continue;
            job->columns[n] = j;
            job->values[n++] = x;
        }
        job->offsets[i + 1] = n;
    }
}

/* This rank's rows of the batch that begins at row `at`; at ROWS: of one without rows. */
static inline struct penstock_batch share_of(const struct job *job, const struct tr_group *group,
                                             uint32_t at)
{
    uint32_t whole = ROWS - at < BATCH_ROWS ? ROWS - at : BATCH_ROWS;
    uint32_t most = BATCH_ROWS / tr_group_count(group);
    uint32_t first = tr_group_rank(group) * most;
    uint32_t left = first < whole ? whole - first : 0;
    struct penstock_batch batch = {.rows = left < most ? left : most,
                                   .feature_dim = DIM,
                                   .label_dim = 1,
                                   .first_row = first,
                                   .position = at + first};
    batch.rows_elsewhere = whole - batch.rows;
    if (left == 0)
        return batch;
    batch.labels = job->labels + at + first;
    if (!job->sparse)
        batch.data = batch.features = job->features + (size_t)(at + first) * DIM;
    return batch;
}

/* Bits of any kind, as floats. */
static inline float *words_on(struct tr_device *device, const void *words, size_t n)
{
    return fixture_array(device, words, n);
}

static inline void give_sparse(const struct job *job, struct tr_model *model,
                               struct penstock_batch *host, bool learn)
{
    uint32_t offsets[BATCH_ROWS + 1];
    const uint32_t *from = job->offsets + (host->rows > 0 ? host->position : 0);
    struct tr_error error;
    for (uint32_t i = 0; i <= host->rows; i++)
        offsets[i] = from[i] - from[0];
    uint32_t n = offsets[host->rows];
    host->row_offsets = offsets;
    host->columns = job->columns + from[0];
    host->values = job->values + from[0];
    float *on[] = {words_on(model->device, offsets, host->rows + 1),
                   words_on(model->device, host->columns, n),
                   words_on(model->device, host->values, n),
                   words_on(model->device, host->labels, host->rows)};
    const struct tr_device_batch batch = {.row_offsets = (const uint32_t *)(const void *)on[0],
                                          .columns = (const uint32_t *)(const void *)on[1],
                                          .values = on[2],
                                          .labels = on[3],
                                          .host = host};
    group_check((learn ? tr_model_step(model, &batch, &error)
                       : model->ops->evaluate(model, &batch, &error)) == 0);
    fixture_take(model->device, on[0], NULL, host->rows + 1);
    fixture_take(model->device, on[1], NULL, n);
    fixture_take(model->device, on[2], NULL, n);
    fixture_take(model->device, on[3], NULL, host->rows);
}

static inline void give_dense(struct tr_model *model, const struct penstock_batch *host, bool learn)
{
    struct tr_error error;
    size_t n = (size_t)host->rows * DIM;
    float *features = fixture_array(model->device, host->features, n);
    float *labels = fixture_array(model->device, host->labels, host->rows);
    const struct tr_device_batch batch = {
        .features = features, .labels = labels, .data = features, .host = host};
    group_check((learn ? tr_model_step(model, &batch, &error)
                       : model->ops->evaluate(model, &batch, &error)) == 0);
    fixture_take(model->device, features, NULL, n); /* waits for the device */
    fixture_take(model->device, labels, NULL, host->rows);
}

static inline void give(const struct job *job, struct tr_model *model, uint32_t at, bool learn)
{
    struct penstock_batch host = share_of(job, model->group, at);
    if (job->sparse)
        give_sparse(job, model, &host, learn);
    else
        give_dense(model, &host, learn);
}

/* Rank 0's, and compared bit for bit with every other rank's. */
static inline void keep_arrays(struct job *job, struct tr_group *group, struct tr_model *model)
{
    struct tr_export arrays = {0};
    struct tr_error error;
    struct tr_gathered all;
    float own[FLOATS_MAX];
    size_t n = 0;
    group_check(model->ops->export_arrays(model, &arrays, &error) == 0);
    for (size_t i = 0; i < arrays.tensor_count; i++) {
        size_t bytes = fmt_tensor_bytes(&arrays.tensors[i]);
        group_check(n + bytes / sizeof *own <= FLOATS_MAX);
        memcpy(own + n, arrays.tensors[i].data, bytes);
        n += bytes / sizeof *own;
    }
    tr_export_free(&arrays);
    group_check(tr_group_gather(group, own, n * sizeof *own, &all, &error) == 0);
    for (uint32_t r = 0; r < tr_group_count(group); r++)
        group_check(memcmp(all.bytes + all.begins[r], all.bytes, n * sizeof *own) == 0);
    tr_gathered_free(&all);
    if (tr_group_rank(group) > 0)
        return;
    memcpy(job->arrays, own, n * sizeof *own);
    job->floats = n;
}

static inline struct tr_model *make_model(struct job *job, struct tr_group *group,
                                          struct tr_device *device)
{
    struct model_rows rows = {job->features, job->labels, ROWS, DIM, BATCH_ROWS, 0, {0}, {0}};
    struct tr_error error;
    struct tr_model *model = model_new(job->ops, device, group, job->hyper, &rows, &error);
    group_check(model != NULL);
    return model;
}

/* As from a checkpoint, which rank 0 alone writes, after all folded. */
static inline void go_on(struct job *job, struct tr_group *group, struct tr_model **model)
{
    struct tr_device *device = (*model)->device;
    struct tr_model *fresh = make_model(job, group, device);
    struct tr_state_item from[TR_TENSORS_MAX];
    struct tr_state_item to[TR_TENSORS_MAX];
    struct tr_error error;
    struct tr_event *event;
    group_check(device->ops->event_new(device, &event) == 0);
    group_check(!fresh->ops->fold || fresh->ops->fold(*model, &error) == 0);
    size_t count = fresh->ops->state(*model, from);
    group_check(fresh->ops->state(fresh, to) == count);
    for (size_t i = 0; i < count; i++) {
        size_t n = from[i].len_bytes;
        void *bytes = malloc(n + 1);
        group_check(bytes && to[i].len_bytes == n);
        if (from[i].on_device)
            group_check(tr_device_take(device, event, bytes, from[i].memory, n, &error) == 0);
        else
            memcpy(bytes, from[i].memory, n);
        group_check(tr_group_broadcast(group, bytes, n, &error) == 0);
        if (to[i].on_device)
            group_check(tr_device_put(device, event, to[i].memory, bytes, n, &error) == 0);
        else
            memcpy(to[i].memory, bytes, n);
        free(bytes);
    }
    group_check(!fresh->ops->restored || fresh->ops->restored(fresh, &error) == 0);
    device->ops->drain(device);
    device->ops->event_free(device, event);
    tr_model_free(model);
    *model = fresh;
}

static inline void train_epoch(struct job *job, struct tr_group *group, struct tr_model **model,
                               bool goes_on)
{
    struct tr_error error;
    for (uint32_t at = 0; at < ROWS; at += BATCH_ROWS) {
        give(job, *model, at, true);
        if (group && job->pauses && at % (2 * BATCH_ROWS) == 0)
            give(job, *model, ROWS, true);
        if (group && at == 2 * BATCH_ROWS && goes_on)
            go_on(job, group, model);
        else if (group && at >= 2 * BATCH_ROWS && at < 4 * BATCH_ROWS && (*model)->ops->fold)
            group_check((*model)->ops->fold(*model, &error) == 0);
    }
}

/* A group_rank_fn; the group is NULL for the run that the others are compared with. */
static inline void train(struct tr_group *group, struct tr_device *device, void *cookie)
{
    struct job *job = cookie;
    struct tr_error error;
    struct tr_results trained;
    struct tr_results held_out;
    uint64_t rows_seen[2] = {0, 0};
    uint64_t checksum[2] = {0, 0};
    struct tr_model *model = make_model(job, group, device);
    const struct tr_model_ops *ops = model->ops;
    for (uint32_t epoch = 0; epoch < job->epochs; epoch++) {
        bool last = epoch + 1 == job->epochs;
        train_epoch(job, group, &model, last);
        group_check(ops->results(model, TR_SUMS_TRAIN, &trained, &error) == 0);
        group_check(!ops->epoch_end || ops->epoch_end(model, epoch, last, &error) == 0);
    }
    if (ops->seen)
        ops->seen(model, &rows_seen[0], &checksum[0]);
    if (group)
        go_on(job, group, &model);
    for (uint32_t at = 0; at < ROWS; at += BATCH_ROWS)
        give(job, model, at, false);
    group_check(ops->results(model, TR_SUMS_EVALUATE, &held_out, &error) == 0);
    group_check(trained.rows == ROWS && held_out.rows == ROWS);
    if (ops->seen)
        ops->seen(model, &rows_seen[1], &checksum[1]);
    group_check(rows_seen[0] == rows_seen[1] && checksum[0] == checksum[1]);
    keep_arrays(job, group, model);
    if (tr_group_rank(group) == 0) {
        job->loss = trained.loss;
        job->held_out = held_out.loss;
        job->score = held_out.score_count > 0 ? held_out.scores[0].value : 0.0;
        job->rows_seen = rows_seen[0];
        job->checksum = checksum[0];
    }
    tr_model_free(&model);
}

/* Sums of at most 16 rows are taken in parts: their rounding is carried from step to step. */
static inline void check_near(const struct job *one, const struct job *many)
{
    const double steps = one->epochs * (double)((ROWS + BATCH_ROWS - 1) / BATCH_ROWS);
    const double tolerance = 64.0 * steps * 1.2e-7;
    assert_int_equal(one->floats, many->floats);
    for (size_t i = 0; i < one->floats; i++) {
        double a = (double)one->arrays[i];
        double b = (double)many->arrays[i];
        if (fabs(a - b) > tolerance * (1.0 + fabs(a)))
            fail_msg("%s: value %zu is %.9g with one rank, %.9g with several", one->hyper, i, a, b);
    }
    assert_true(fabs(one->loss - many->loss) <= tolerance * (1.0 + fabs(one->loss)));
    assert_true(fabs(one->held_out - many->held_out) <= tolerance * (1.0 + fabs(one->held_out)));
    assert_true(fabs(one->score - many->score) <= tolerance * (1.0 + fabs(one->score)));
    assert_int_equal(many->rows_seen, one->rows_seen);
    assert_int_equal(many->checksum, one->checksum);
}

/* Runs of 1, 2 and 4 ranks on these devices are as one of whole batches on the first of them; with
 * `exact` the arrays are so to the bit. */
static inline void check_ranks(const struct job *job, const char *const devices[2], bool exact)
{
    static struct job one;
    static struct job many;
    one = *job;
    struct tr_device *device = fixture_device(devices[0]);
    train(NULL, device, &one);
    tr_device_close(&device);
    many = one;
    for (uint32_t ranks = 1; ranks <= 4; ranks *= 2) {
        for (int i = 0; i < 2 && devices[i]; i++) {
            group_run(ranks, devices[i], train, &many);
            if (exact || (ranks == 1 && strcmp(devices[i], "cpu") == 0))
                assert_memory_equal(many.arrays, one.arrays, one.floats * sizeof *one.arrays);
            check_near(&one, &many);
        }
    }
}

#endif
