/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_kmeans.c - the kernels of k-means on every device and the model as a whole
 * against rows in double; k-means of points in memory; first rows, labels, forgetting, refusals.
 */
#include "tests/unit/model_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/cluster.h"
#include "trainer/kmeans_ref.h"
#include "trainer/lloyd.h"
#include "trainer/random.h"

enum { ROWS = 230, DIM_MAX = 35, COUNT_MAX = 40 };

static void *device_memory(struct tr_device *device, const void *from, size_t len_bytes)
{
    void *memory;
    struct tr_event *event;
    assert_int_equal(device->ops->alloc(device, len_bytes, &memory), 0);
    assert_int_equal(device->ops->event_new(device, &event), 0);
    if (from)
        assert_int_equal(device->ops->upload(device, memory, from, len_bytes), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COPY), 0);
    assert_int_equal(device->ops->event_wait(device, event), 0);
    device->ops->event_free(device, event);
    return memory;
}

/* Reads device memory into `to`, which may be NULL, and frees it. */
static void take_memory(struct tr_device *device, void *memory, void *to, size_t len_bytes)
{
    struct tr_event *event;
    assert_int_equal(device->ops->event_new(device, &event), 0);
    if (to)
        assert_int_equal(device->ops->download(device, to, memory, len_bytes), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COMPUTE), 0);
    assert_int_equal(device->ops->event_wait(device, event), 0);
    device->ops->event_free(device, event);
    device->ops->dealloc(device, memory);
}

/* --- kernels -------------------------------------------------------------------------------------
 */

struct kernels {
    float x[ROWS * DIM_MAX];
    double place[COUNT_MAX * DIM_MAX]; /* of the device, then the reference's */
    double want_place[COUNT_MAX * DIM_MAX];
    double weight[COUNT_MAX];
    double want_weight[COUNT_MAX];
    double sum[COUNT_MAX * DIM_MAX];
    double number[COUNT_MAX];
    float distance[ROWS];
    uint32_t nearest[ROWS];
    uint32_t want_nearest[ROWS];
    struct tr_stats stats;
};

/* Assigns, collects and moves twice, with different decays, on the device. */
static void run(struct tr_device *device, struct kernels *k, uint32_t rows, uint32_t dim,
                uint32_t count, const double *decays, int steps)
{
    size_t n = (size_t)count * dim;
    float *x = fixture_array(device, k->x, (size_t)rows * dim);
    float *product = fixture_array(device, NULL, (size_t)rows * count);
    float *distance = fixture_array(device, NULL, rows);
    float *nearest = fixture_array(device, NULL, rows);
    float *transposed = fixture_array(device, NULL, n);
    float *norm = fixture_array(device, NULL, count);
    double *sum = device_memory(device, k->want_place, n * sizeof *sum);
    double ones[COUNT_MAX];
    for (uint32_t i = 0; i < count; i++)
        ones[i] = 1.0;
    double *number = device_memory(device, ones, count * sizeof *number);
    struct tr_stats *stats = device_memory(device, NULL, sizeof *stats);
    struct tr_centres centres = {.place = device_memory(device, NULL, n * sizeof(double)),
                                 .transposed = transposed,
                                 .norm = norm,
                                 .weight = device_memory(device, NULL, count * sizeof(double)),
                                 .count = count,
                                 .dim = dim};
    struct tr_move_args move = {centres, sum, number, 0.0};
    assert_int_equal(tr_launch_move(device, &move), 0); /* puts the first places there */
    for (int i = 0; i < steps; i++) {
        struct tr_nearest_args find = {.centres = centres,
                                       .x = x,
                                       .product = product,
                                       .distance = distance,
                                       .nearest = (uint32_t *)(void *)nearest,
                                       .stats = stats,
                                       .rows = rows};
        struct tr_collect_args collect = {x, find.nearest, sum, number, rows, dim, count};
        assert_int_equal(tr_launch_nearest(device, &find), 0);
        assert_int_equal(tr_launch_collect(device, &collect), 0);
        move.decay = decays[i];
        assert_int_equal(tr_launch_move(device, &move), 0);
    }
    take_memory(device, centres.place, k->place, n * sizeof(double));
    take_memory(device, centres.weight, k->weight, count * sizeof(double));
    take_memory(device, sum, k->sum, n * sizeof(double));
    take_memory(device, number, k->number, count * sizeof(double));
    take_memory(device, stats, &k->stats, sizeof k->stats);
    fixture_take(device, x, NULL, (size_t)rows * dim);
    fixture_take(device, product, NULL, (size_t)rows * count);
    fixture_take(device, distance, k->distance, rows);
    fixture_take(device, nearest, (float *)(void *)k->nearest, rows);
    fixture_take(device, transposed, NULL, n);
    fixture_take(device, norm, NULL, count);
}

/* Rows around points that are 4 apart in some column, with noise of 0.5: a float32 product tells
 * them apart. Centres begin near those points; the last has no row. */
static void make_problem(struct kernels *k, uint32_t rows, uint32_t dim, uint32_t count)
{
    uint64_t random = rows + dim;
    uint32_t used = count > 1 ? count - 1 : 1;
    for (uint32_t c = 0; c < count; c++) {
        for (uint32_t j = 0; j < dim; j++)
            k->want_place[c * dim + j] = (double)fixture_float(&random) * 0.3;
        k->want_place[c * dim] += 4.0 * c;
    }
    k->want_place[(count - 1) * dim] += count > 1 ? 1000.0 : 0.0;
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t j = 0; j < dim; j++)
            k->x[r * dim + j] = fixture_float(&random) * 0.5F / sqrtf((float)dim);
        k->x[r * dim] += 4.0F * (float)(r % used);
    }
    memset(k->want_weight, 0, sizeof k->want_weight);
    for (uint32_t c = 0; c < count; c++)
        k->want_weight[c] = 1.0;
}

static void check_kernels(const char *name)
{
    static const uint32_t shapes[][3] = {
        {1, 1, 1}, {3, 2, 2}, {230, 35, 40}, {229, 33, 7}, {64, 16, 33}};
    static const double decays[] = {1.0, 0.5, 0.0};
    static struct kernels k;
    static double sum[COUNT_MAX * DIM_MAX];
    static double number[COUNT_MAX];
    struct tr_device *device = fixture_device(name);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        uint32_t rows = shapes[s][0];
        uint32_t dim = shapes[s][1];
        uint32_t count = shapes[s][2];
        double loss = 0.0;
        memset(sum, 0, sizeof sum);
        memset(number, 0, sizeof number);
        make_problem(&k, rows, dim, count);
        run(device, &k, rows, dim, count, decays, 3);
        for (int i = 0; i < 3; i++) {
            loss += tr_kmeans_ref_collect(k.x, rows, dim, k.want_place, count, sum, number,
                                          k.want_nearest);
            tr_kmeans_ref_move(k.want_place, k.want_weight, count, dim, sum, number, decays[i]);
        }
        assert_memory_equal(k.nearest, k.want_nearest, rows * sizeof *k.nearest);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(fabs(k.weight[i] - k.want_weight[i]) <= 1e-12 * rows);
            assert_true(k.number[i] == 0.0);
            for (uint32_t j = 0; j < dim; j++) {
                assert_true(fabs(k.place[i * dim + j] - k.want_place[i * dim + j]) <= 1e-11 * 4000);
                assert_true(k.sum[i * dim + j] == 0.0);
            }
        }
        assert_true(k.stats.rows == 3.0 * rows);
        /* Each distance is rounded once, to float32. */
        assert_true(fabs(k.stats.loss_sum - loss) <= (double)FLT_EPSILON * loss);
    }
    tr_device_close(&device);
}

static void test_cpu_kernels_match_reference(void **state)
{
    (void)state;
    check_kernels("cpu");
}

static void test_delayed_kernels_match_reference(void **state)
{
    (void)state;
    check_kernels("delayed");
}

static void test_cuda_kernels_match_reference(void **state)
{
    (void)state;
    check_kernels("cuda");
}

/* --- points in memory ----------------------------------------------------------------------------
 */

static void test_lloyd_reaches_the_weighted_means(void **state)
{
    (void)state;
    const double place[] = {0, 1, 2, 10, 11, 100};
    const double weight[] = {1, 1, 2, 3, 1, 0};
    const struct tr_points points = {place, weight, 6, 1};
    double centres[2] = {0, 1};
    double sums[4];
    double total = tr_lloyd(&points, 2, 100, 0.0, centres, sums);
    assert_true(fabs(centres[0] - 1.25) < 1e-12 && fabs(centres[1] - 10.25) < 1e-12);
    assert_true(fabs(total - (2.75 + 0.75)) < 1e-12);
    centres[0] = 0; /* stopped early */
    centres[1] = 1;
    assert_true(tr_lloyd(&points, 2, 1, 0.0, centres, sums) > 100.0);
}

/* Of 60 points in 3 groups, one is taken of each: almost surely, as the squares are 1e4 apart. */
static void test_choosing_apart_takes_one_of_each_group(void **state)
{
    (void)state;
    double place[60];
    double weight[60];
    double centres[4];
    double distance[60];
    const struct tr_points points = {place, weight, 60, 1};
    for (int i = 0; i < 60; i++) {
        place[i] = 100.0 * (i % 3) + 0.01 * i;
        weight[i] = 1.0;
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        int groups = 0;
        tr_choose_apart(&points, (struct tr_draw){seed, 1}, 3, centres, distance);
        for (int i = 0; i < 3; i++)
            groups |= 1 << (int)(centres[i] / 100.0);
        assert_int_equal(groups, 7);
    }
    for (int i = 0; i < 60; i++) /* points of no weight are not taken while there are others */
        weight[i] = i == 7 || i == 8 ? 1.0 : 0.0;
    tr_choose_apart(&points, (struct tr_draw){1, 1}, 2, centres, distance);
    assert_true(centres[0] + centres[1] == place[7] + place[8]);
    tr_choose_random(&points, (struct tr_draw){1, 1}, 2, centres);
    assert_true(centres[0] == place[7] && centres[1] == place[8]);
}

static void test_random_choice_is_fair(void **state)
{
    (void)state;
    const double place[] = {0, 1, 2, 3, 4};
    const struct tr_points points = {place, NULL, 5, 1};
    int times[5] = {0};
    double centres[7];
    for (uint64_t seed = 0; seed < 5000; seed++) {
        tr_choose_random(&points, (struct tr_draw){seed, 9}, 2, centres);
        assert_true(centres[0] < centres[1]);
        times[(int)centres[0]]++;
        times[(int)centres[1]]++;
    }
    for (int i = 0; i < 5; i++)
        assert_true(abs(times[i] - 2000) < 5 * 35); /* five standard deviations */
    tr_choose_random(&points, (struct tr_draw){1, 9}, 7, centres);
    assert_true(centres[4] == 4.0 && centres[5] == 4.0 && centres[6] == 4.0);
}

/* --- the model -----------------------------------------------------------------------------------
 */

enum { MODEL_ROWS = 600, MODEL_DIM = 9, GROUPS = 5 };

/* Groups around corners that are 10 apart, far from zero. */
static void make_groups(float *x)
{
    uint64_t random = 77;
    for (uint32_t r = 0; r < MODEL_ROWS; r++) {
        for (uint32_t j = 0; j < MODEL_DIM; j++)
            x[r * MODEL_DIM + j] = 500.0F + fixture_float(&random);
        x[r * MODEL_DIM + r % GROUPS] += 10.0F;
    }
}

static struct tr_export exported(struct tr_model *model)
{
    struct tr_export arrays = {0};
    struct tr_error error;
    if (model->ops->export_arrays(model, &arrays, &error) < 0)
        fail_msg("%s", error.text);
    return arrays;
}

/* Every way ends at the groups' means; results are those of the double reference. */
static void check_model(const char *device_name, const char *hyper, uint32_t epochs)
{
    static float x[MODEL_ROWS * MODEL_DIM];
    static double sum[GROUPS * MODEL_DIM];
    double number[GROUPS] = {0.0};
    double centres[GROUPS * MODEL_DIM];
    struct model_rows rows = {
        .features = x, .rows = MODEL_ROWS, .dim = MODEL_DIM, .batch_rows = 64};
    struct tr_error error;
    struct tr_results results;
    struct tr_device *device = fixture_device(device_name);
    make_groups(x);
    memset(sum, 0, sizeof sum);
    struct tr_model *model = model_new(&tr_model_kmeans, device, NULL, hyper, &rows, &error);
    assert_non_null(model);
    for (uint32_t i = 0; i < epochs; i++) {
        model_pass(model, &rows, true);
        assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), 0);
        assert_true(results.rows == MODEL_ROWS);
        assert_int_equal(model->ops->epoch_end(model, i, i + 1 == epochs, &error), 0);
    }
    struct tr_export arrays = exported(model);
    for (uint32_t i = 0; i < GROUPS * MODEL_DIM; i++)
        centres[i] = (double)arrays.tensors[0].data[i];
    double loss =
        tr_kmeans_ref_collect(x, MODEL_ROWS, MODEL_DIM, centres, GROUPS, sum, number, NULL);
    for (uint32_t k = 0; k < GROUPS; k++) {
        assert_true(number[k] == MODEL_ROWS / GROUPS);
        for (uint32_t j = 0; j < MODEL_DIM; j++) {
            double mean = sum[k * MODEL_DIM + j] / number[k];
            assert_true(fabs(centres[k * MODEL_DIM + j] - mean) <
                        (epochs > 1 ? 512.0 * (double)FLT_EPSILON : 0.5));
        }
    }
    model_pass(model, &rows, false);
    assert_int_equal(model->ops->results(model, TR_SUMS_EVALUATE, &results, &error), 0);
    assert_true(results.rows == MODEL_ROWS);
    /* The exported centres are rounded where they are: at 500. */
    assert_true(fabs(results.loss - loss / MODEL_ROWS) < 1e-3);
    assert_true(results.scores[0].is_loss && results.scores[0].value == results.loss);
    assert_string_equal(results.scores[0].name, "msd");
    tr_export_free(&arrays);
    tr_model_free(&model);
    tr_device_close(&device);
}

static void check_models(const char *device)
{
    check_model(device, "k=5 mini_batch_size=64", 1);
    check_model(device, "k=5 mini_batch_size=64 epochs=2 init_method=kmeans++ seed=3", 2);
    check_model(device, "k=5 mini_batch_size=64 epochs=3 extra_center_factor=4", 3);
    check_model(device, "k=5 mini_batch_size=64 epochs=2 half_life_time_size=100", 2);
    check_model(device, "k=5 epochs=3 extra_center_factor=1 init_method=kmeans++ seed=1", 3);
}

static void test_cpu_model_finds_the_groups(void **state)
{
    (void)state;
    check_models("cpu");
}

static void test_delayed_model_finds_the_groups(void **state)
{
    (void)state;
    check_models("delayed");
}

static void test_cuda_model_finds_the_groups(void **state)
{
    (void)state;
    check_models("cuda");
}

/* What an iteration of Lloyd's makes of the model's centres now: 7 of them. */
static void iterate(struct tr_model *model, const struct model_rows *rows, double *centres)
{
    double sum[7 * 6] = {0.0};
    double number[7] = {0.0};
    double weight[7] = {0.0};
    struct tr_export arrays = exported(model);
    for (int i = 0; i < 7 * 6; i++)
        centres[i] = (double)arrays.tensors[0].data[i];
    tr_export_free(&arrays);
    tr_kmeans_ref_collect(rows->features, rows->rows, rows->dim, centres, 7, sum, number, NULL);
    tr_kmeans_ref_move(centres, weight, 7, rows->dim, sum, number, 0.0);
}

/* A pass of Lloyd's is one iteration, and never makes the sum of squares larger; the same seed
 * gives the same bits, on cpu and delayed, and another one others. */
static void test_passes_descend_and_are_repeatable(void **state)
{
    (void)state;
    enum { N = 400, D = 6 };
    static float x[N * D];
    static const char *const devices[] = {"cpu", "delayed", "cpu"};
    float first[7 * D];
    fixture_fill(x, N * D, 3, 2.0F);
    for (int run_no = 0; run_no < 3; run_no++) {
        struct model_rows rows = {.features = x, .rows = N, .dim = D, .batch_rows = 50};
        struct tr_error error;
        struct tr_results results;
        double before = INFINITY;
        struct tr_device *device = fixture_device(devices[run_no]);
        const char *hyper = run_no < 2 ? "k=7 epochs=8 seed=5 mini_batch_size=50 eval_metrics=ssd"
                                       : "k=7 epochs=8 seed=6 mini_batch_size=50";
        struct tr_model *model = model_new(&tr_model_kmeans, device, NULL, hyper, &rows, &error);
        double want[7 * D] = {0.0};
        for (uint32_t epoch = 0; epoch < 8; epoch++) {
            if (epoch == 7)
                iterate(model, &rows, want);
            model_pass(model, &rows, true);
            assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), 0);
            assert_int_equal(model->ops->epoch_end(model, epoch, epoch == 7, &error), 0);
            if (epoch > 1)
                assert_true(results.loss <= before * (1.0 + 1e-6));
            if (epoch > 0)
                before = results.loss;
        }
        struct tr_export arrays = exported(model);
        for (int i = 0; i < 7 * D; i++)
            assert_true(fabs((double)arrays.tensors[0].data[i] - want[i]) < 1e-5);
        if (run_no == 0)
            memcpy(first, arrays.tensors[0].data, sizeof first);
        else
            assert_int_equal(memcmp(first, arrays.tensors[0].data, sizeof first) == 0, run_no == 1);
        if (run_no < 2) {
            assert_string_equal(results.scores[0].name, "ssd");
            assert_true(fabs(results.scores[0].value - results.loss * N) < 1e-9 * N);
        }
        tr_export_free(&arrays);
        tr_model_free(&model);
        tr_device_close(&device);
    }
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    static float x[20 * 3];
    struct tr_device *device = fixture_device("cpu");
    struct model_rows rows = {.features = x, .rows = 20, .dim = 3, .batch_rows = 20};
    struct tr_error error;
    fixture_fill(x, 60, 1, 1.0F);
    assert_null(model_new(&tr_model_kmeans, device, NULL, "k=21", &rows, &error));
    assert_non_null(strstr(error.text, "k: 21 clusters need as many first rows, and there are 20"));
    struct tr_model *model = model_new(&tr_model_kmeans, device, NULL, "k=20", &rows, &error);
    assert_non_null(model); /* as many centres as rows: none are extra */
    tr_model_free(&model);
    x[4] = NAN;
    assert_null(model_new(&tr_model_kmeans, device, NULL, "k=2", &rows, &error));
    assert_non_null(strstr(error.text, "feature column 1 holds values that are not finite"));
    tr_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_kernels_match_reference),
        cmocka_unit_test(test_delayed_kernels_match_reference),
        cmocka_unit_test(test_cuda_kernels_match_reference),
        cmocka_unit_test(test_lloyd_reaches_the_weighted_means),
        cmocka_unit_test(test_choosing_apart_takes_one_of_each_group),
        cmocka_unit_test(test_random_choice_is_fair),
        cmocka_unit_test(test_cpu_model_finds_the_groups),
        cmocka_unit_test(test_delayed_model_finds_the_groups),
        cmocka_unit_test(test_cuda_model_finds_the_groups),
        cmocka_unit_test(test_passes_descend_and_are_repeatable),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
