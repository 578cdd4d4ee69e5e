/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_ranks.c - models whose gradients are summed over ranks: any number of ranks that
 * share the batches makes the model that one rank makes of whole ones, but for the rounding of
 * sums, and the same bits on every rank.
 */
#include "tests/unit/group_fixture.h"
#include "tests/unit/model_fixture.h"

#include <math.h>

#define ROWS 86U /* the last batch has 6 rows: of 4 ranks with 4 rows each, two have none */
#define BATCH_ROWS 16U
#define DIM 12U
#define EPOCHS 3U
#define FLOATS_MAX 4096U

struct job {
    const struct tr_model_ops *ops;
    const char *hyper;
    float features[ROWS * DIM];
    float labels[ROWS];
    /* What rank 0 of the last run made. */
    float arrays[FLOATS_MAX];
    size_t floats;
    double loss;
    double held_out;
    double score;
};

static void make_rows(struct job *job, uint32_t classes)
{
    uint64_t random = 77;
    fixture_fill(job->features, (size_t)ROWS * DIM, 5, 1.0F);
    for (uint32_t i = 0; i < ROWS; i++)
        job->labels[i] = classes > 0 ? (float)(fixture_random(&random) % classes)
                                     : 2.0F * job->features[i * DIM] - job->features[i * DIM + 3];
}

/* This rank's rows of the batch that begins at row `at`. */
static struct penstock_batch share_of(const struct job *job, const struct tr_group *group,
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
    batch.data = batch.features = job->features + (size_t)(at + first) * DIM;
    batch.labels = job->labels + at + first;
    return batch;
}

static void give(struct tr_model *model, const struct penstock_batch *host, bool learn)
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

/* Rank 0's, and compared bit for bit with every other rank's. */
static void keep_arrays(struct job *job, struct tr_group *group, struct tr_model *model)
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

static struct tr_model *make_model(struct job *job, struct tr_group *group,
                                   struct tr_device *device)
{
    struct model_rows rows = {job->features, job->labels, ROWS, DIM, BATCH_ROWS, 0, {0}, {0}};
    struct tr_error error;
    struct tr_model *model = model_new(job->ops, device, group, job->hyper, &rows, &error);
    group_check(model != NULL);
    return model;
}

static void train(struct tr_group *group, struct tr_device *device, void *cookie)
{
    struct job *job = cookie;
    struct tr_error error;
    struct tr_results trained;
    struct tr_results held_out;
    struct tr_model *model = make_model(job, group, device);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        for (uint32_t at = 0; at < ROWS; at += BATCH_ROWS) {
            const struct penstock_batch batch = share_of(job, group, at);
            give(model, &batch, true);
            if (at == 2 * BATCH_ROWS) /* as for a checkpoint */
                group_check(model->ops->fold(model, &error) == 0);
        }
        group_check(model->ops->results(model, TR_SUMS_TRAIN, &trained, &error) == 0);
    }
    for (uint32_t at = 0; at < ROWS; at += BATCH_ROWS) {
        const struct penstock_batch batch = share_of(job, group, at);
        give(model, &batch, false);
    }
    group_check(model->ops->results(model, TR_SUMS_EVALUATE, &held_out, &error) == 0);
    group_check(trained.rows == ROWS && held_out.rows == ROWS);
    keep_arrays(job, group, model);
    if (tr_group_rank(group) == 0) {
        job->loss = trained.loss;
        job->held_out = held_out.loss;
        job->score = held_out.scores[0].value;
    }
    tr_model_free(&model);
}

/* Sums of at most 16 rows are taken in parts: their rounding is carried from step to step. */
static void check_near(const struct job *one, const struct job *many)
{
    const double steps = EPOCHS * (double)((ROWS + BATCH_ROWS - 1) / BATCH_ROWS);
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
}

static void check_ranks(const struct tr_model_ops *ops, const char *hyper, uint32_t classes)
{
    static struct job one;
    static struct job many;
    one = (struct job){.ops = ops, .hyper = hyper};
    make_rows(&one, classes);
    struct tr_device *device = fixture_device("cpu");
    train(NULL, device, &one);
    tr_device_close(&device);
    many = one;
    for (uint32_t ranks = 1; ranks <= 4; ranks *= 2) {
        group_run(ranks, "cpu", train, &many);
        if (ranks == 1)
            assert_memory_equal(many.arrays, one.arrays, one.floats * sizeof *one.arrays);
        check_near(&one, &many);
        group_run(ranks, "delayed", train, &many);
        check_near(&one, &many);
    }
}

static void linear_learner(void **state)
{
    (void)state;
    check_ranks(&tr_model_linear,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "num_models=3 learning_rate=0.05",
                3);
    check_ranks(&tr_model_linear,
                "predictor_type=regressor mini_batch_size=16 learning_rate=0.05 num_models=1 "
                "optimizer=sgd momentum=0.5",
                0);
}

/* Each row's dropout is that of its place in the whole batch. */
static void mlp(void **state)
{
    (void)state;
    check_ranks(&tr_model_mlp,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "hidden_layers=16,8 dropout=0.25 learning_rate=0.01",
                3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_learner),
        cmocka_unit_test(mlp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
