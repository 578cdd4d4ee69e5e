/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_linear.c - the linear model against its double reference, and the reference
 * against finite differences; schedule, folding, labels, scaling.
 */
#include "tests/unit/linear_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/linear_ref.h"
#include "trainer/scaler.h"

/* Rows of the problem on the device; freed with the device's memory by drop_rows. */
static void put_rows(struct tr_device *device, const struct problem *p, float **x, float **y)
{
    *x = fixture_array(device, p->features, (size_t)p->rows * p->config.dim);
    *y = fixture_array(device, p->labels, (size_t)p->rows * LABEL_DIM);
}

static void drop_rows(struct tr_device *device, const struct problem *p, float *x, float *y)
{
    fixture_take(device, x, NULL, (size_t)p->rows * p->config.dim);
    fixture_take(device, y, NULL, (size_t)p->rows * LABEL_DIM);
}

static int step_on(struct tr_linear *model, const float *x, const float *y, uint32_t rows)
{
    struct tr_error error;
    struct tr_linear_rows batch = rows_at(x, y, rows);
    return tr_linear_step(model, &batch, &error);
}

static int evaluate_on(struct tr_linear *model, const float *x, const float *y, uint32_t rows)
{
    struct tr_error error;
    struct tr_linear_rows batch = rows_at(x, y, rows);
    return tr_linear_evaluate(model, &batch, &error);
}

/* --- the reference -------------------------------------------------------------------------------
 */

/* Central differences of the mean loss: error about h^2 from the third derivative and eps / h from
 * rounding, both below 1e-8 at h = 1e-5. */
static void check_finite_differences(enum tr_loss loss, uint32_t outputs, bool scaled)
{
    static struct problem p;
    struct tr_ref ref;
    const double h = 1e-5;
    make_problem(&p, loss, 37, 6, outputs, scaled);
    assert_int_equal(tr_ref_new(&p.config, &ref), 0);
    size_t n = (size_t)p.config.dim * outputs + outputs; /* w, then b */
    uint64_t random = 5;
    for (size_t i = 0; i < n; i++)
        ref.w[i] = (double)fixture_float(&random);
    for (size_t i = 0; i < n; i++) {
        double w = ref.w[i];
        ref.w[i] = w + h;
        double above = tr_ref_gradient(&ref, p.features, p.labels, LABEL_DIM, p.rows, NULL);
        ref.w[i] = w - h;
        double below = tr_ref_gradient(&ref, p.features, p.labels, LABEL_DIM, p.rows, NULL);
        ref.w[i] = w;
        tr_ref_gradient(&ref, p.features, p.labels, LABEL_DIM, p.rows, NULL);
        double difference = (above - below) / (2.0 * h);
        assert_true(fabs(ref.dw[i] - difference) <= 1e-7 * (1.0 + fabs(difference)));
    }
    tr_ref_free(&ref);
}

static void test_reference_gradient_matches_finite_differences(void **state)
{
    (void)state;
    for (int scaled = 0; scaled < 2; scaled++) {
        check_finite_differences(TR_LOSS_SQUARED, 1, scaled == 1);
        check_finite_differences(TR_LOSS_LOGISTIC, 1, scaled == 1);
        check_finite_differences(TR_LOSS_SOFTMAX, 4, scaled == 1);
        check_finite_differences(TR_LOSS_HINGE, 1, scaled == 1);
        check_finite_differences(TR_LOSS_ABSOLUTE, 1, scaled == 1);
        check_finite_differences(TR_LOSS_HUBER, 1, scaled == 1);
        check_finite_differences(TR_LOSS_QUANTILE, 1, scaled == 1);
        check_finite_differences(TR_LOSS_EPS_SQUARED, 1, scaled == 1);
        check_finite_differences(TR_LOSS_EPS_ABSOLUTE, 1, scaled == 1);
    }
}

/* --- devices against the reference ---------------------------------------------------------------
 */

/* One SGD step of rate 1 from random weights shows the gradient: w0 - w1 = dw. The weights get
 * there by an earlier step of the model itself, whose result both sides then start from. */
static void check_gradient(struct tr_device *device, enum tr_loss loss, uint32_t rows, uint32_t dim,
                           uint32_t outputs, bool scaled)
{
    static struct problem p;
    static float w0[DIM_MAX * OUTPUTS_MAX];
    static float w1[DIM_MAX * OUTPUTS_MAX];
    float b0[OUTPUTS_MAX];
    float b1[OUTPUTS_MAX];
    struct tr_error error;
    struct tr_stats sums;
    struct tr_ref ref;
    float *x;
    float *y;
    make_problem(&p, loss, rows, dim, outputs, scaled);
    p.config.optimizer = TR_OPTIMIZER_SGD;
    p.config.learning_rate = 1.0 / 16.0; /* a power of two: the product is exact */
    if (scaled) { /* folding must be exact here: powers of two, and no shift */
        for (uint32_t i = 0; i < dim; i++) {
            p.inv_std[i] = i % 2 ? 2.0F : 0.5F;
            p.mean[i] = 0.0F;
        }
    }
    p.config.label_mean = 0.0;
    p.config.label_std = 1.0;
    struct tr_linear *model = new_model(device, &p);
    put_rows(device, &p, &x, &y);
    assert_int_equal(step_on(model, x, y, rows), 0);
    assert_int_equal(tr_linear_export(model, 0, w0, b0, &error), 0);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_TRAIN, true, &sums, &error), 0);
    assert_int_equal(step_on(model, x, y, rows), 0);
    assert_int_equal(tr_linear_export(model, 0, w1, b1, &error), 0);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_TRAIN, true, &sums, &error), 0);
    assert_int_equal(tr_ref_new(&p.config, &ref), 0);
    for (uint32_t i = 0; i < dim; i++) {
        for (uint32_t j = 0; j < outputs; j++)
            ref.w[i * outputs + j] =
                (double)w0[i * outputs + j] / (scaled ? (double)p.inv_std[i] : 1.0);
    }
    for (uint32_t j = 0; j < outputs; j++)
        ref.b[j] = (double)b0[j];
    double hits;
    double loss_mean = tr_ref_gradient(&ref, p.features, p.labels, LABEL_DIM, rows, &hits);
    assert_true(sums.rows == (double)rows);
    assert_true(fabs(sums.loss_sum / sums.rows - loss_mean) <= 1e-4 * (1.0 + loss_mean));
    assert_true(sums.correct == hits);
    for (uint32_t i = 0; i <= dim; i++) {
        for (uint32_t j = 0; j < outputs; j++) {
            size_t at = (size_t)i * outputs + j;
            double inv_std = scaled && i < dim ? (double)p.inv_std[i] : 1.0;
            double before = (i < dim ? (double)w0[at] : (double)b0[j]) / inv_std;
            double after = (i < dim ? (double)w1[at] : (double)b1[j]) / inv_std;
            /* The subtraction w - rate g rounds once more. */
            double bound = ref.dw_error[at] + 16.0 * (double)FLT_EPSILON * fabs(after);
            assert_true(fabs((before - after) * 16.0 - ref.dw[at]) <= bound);
        }
    }
    tr_ref_free(&ref);
    drop_rows(device, &p, x, y);
    tr_linear_free(&model);
}

static void check_gradients(const char *name)
{
    static const uint32_t shapes[][2] = {{1, 1}, {2, 7}, {33, 40}, {300, 13}, {127, 3}};
    struct tr_device *device = fixture_device(name);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int scaled = 0; scaled < 2; scaled++) {
            uint32_t rows = shapes[i][0];
            uint32_t dim = shapes[i][1];
            check_gradient(device, TR_LOSS_SQUARED, rows, dim, 1, scaled == 1);
            check_gradient(device, TR_LOSS_LOGISTIC, rows, dim, 1, scaled == 1);
            check_gradient(device, TR_LOSS_SOFTMAX, rows, dim, 2, scaled == 1);
            check_gradient(device, TR_LOSS_SOFTMAX, rows, dim, 11, scaled == 1);
        }
    }
    tr_device_close(&device);
}

static void test_cpu_gradients_match_reference(void **state)
{
    (void)state;
    check_gradients("cpu");
}

static void test_delayed_gradients_match_reference(void **state)
{
    (void)state;
    check_gradients("delayed");
}

static void test_cuda_gradients_match_reference(void **state)
{
    (void)state;
    check_gradients("cuda");
}

/* A cpu device of small blocks: the sums of one batch are then gathered over many blocks. */
static void test_blocks_give_the_gradient_of_the_whole_batch(void **state)
{
    (void)state;
    struct tr_device_ops ops = tr_device_cpu;
    struct tr_device *device = fixture_device("cpu");
    const size_t floats[] = {1, 16 * 13, 40 * 13};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        ops.block_floats = floats[i];
        device->ops = &ops;
        check_gradient(device, TR_LOSS_SOFTMAX, 300, 13, 11, true);
    }
    tr_device_close(&device);
}

/* Trains for some steps on both sides. Adam divides by the gradient's size, so an error of 1e-6 in
 * the gradient stays one of about 1e-6 x rate in the weights, where the gradient is not near zero;
 * 60 steps of rate 0.01 end within 1e-4 of weights of order 0.3. */
static void check_training(struct tr_device *device, const struct problem *p, uint32_t steps)
{
    size_t n = (size_t)p->config.dim * p->config.outputs;
    float *weights = malloc(n * sizeof *weights);
    float bias[OUTPUTS_MAX];
    struct tr_error error;
    struct tr_ref ref;
    float *x;
    float *y;
    struct tr_linear *model = new_model(device, p);
    assert_int_equal(tr_ref_new(&p->config, &ref), 0);
    put_rows(device, p, &x, &y);
    for (uint32_t i = 0; i < steps; i++) {
        assert_int_equal(step_on(model, x, y, p->rows), 0);
        tr_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, NULL);
        tr_ref_update(&ref);
    }
    assert_int_equal(tr_linear_export(model, 0, weights, bias, &error), 0);
    for (uint32_t j = 0; j < p->config.outputs; j++) {
        double want_bias = ref.b[j];
        for (uint32_t i = 0; i < p->config.dim; i++) {
            double folded = ref.w[(size_t)i * p->config.outputs + j];
            folded *= p->config.mean ? (double)p->inv_std[i] : 1.0;
            want_bias -= p->config.mean ? folded * (double)p->mean[i] : 0.0;
            folded *= p->config.label_std;
            double got = (double)weights[(size_t)i * p->config.outputs + j];
            assert_true(fabs(got - folded) <= 1e-4);
        }
        want_bias = want_bias * p->config.label_std + p->config.label_mean;
        assert_true(fabs((double)bias[j] - want_bias) <= 1e-3);
    }
    free(weights);
    tr_ref_free(&ref);
    drop_rows(device, p, x, y);
    tr_linear_free(&model);
}

/* Every loss that check_gradients leaves out: label scaling and losses' parameters together. */
static void test_training_matches_reference_with_every_loss(void **state)
{
    (void)state;
    static struct problem p;
    static const char *const names[] = {"cpu", "delayed"};
    for (enum tr_loss loss = TR_LOSS_HINGE; loss < TR_LOSS_COUNT; loss++) {
        struct tr_device *device = fixture_device(names[loss % 2]);
        make_problem(&p, loss, 200, 11, 1, true);
        check_training(device, &p, 30);
        tr_device_close(&device);
    }
}

static void test_training_matches_reference_with_every_option(void **state)
{
    (void)state;
    static struct problem p;
    struct tr_device *device = fixture_device("cpu");
    make_problem(&p, TR_LOSS_SOFTMAX, 200, 11, 5, true);
    p.config.wd = 0.01;
    p.config.bias_wd_mult = 0.5;
    p.config.bias_lr_mult = 2.0;
    check_training(device, &p, 60);
    make_problem(&p, TR_LOSS_LOGISTIC, 200, 11, 1, true);
    p.config.optimizer = TR_OPTIMIZER_SGD;
    p.config.momentum = 0.5;
    p.config.use_bias = false;
    check_training(device, &p, 60);
    make_problem(&p, TR_LOSS_SQUARED, 200, 11, 1, true);
    p.config.optimizer = TR_OPTIMIZER_SGD;
    p.config.lr_step = 10;
    p.config.lr_factor = 0.5;
    p.config.lr_minimum = 0.0005;
    p.config.l1 = 0.001;
    check_training(device, &p, 60);
    make_problem(&p, TR_LOSS_SOFTMAX, 150, 7, 3, false);
    check_training(device, &p, 60);
    tr_device_close(&device);
}

/* --- results -------------------------------------------------------------------------------------
 */

static void test_evaluation_leaves_training_alone(void **state)
{
    (void)state;
    static struct problem p;
    struct tr_device *device = fixture_device("delayed");
    struct tr_error error;
    struct tr_stats train;
    struct tr_stats evaluate;
    struct tr_stats peek = {.loss_sum = 1.0, .rows = 1.0};
    float w0[DIM_MAX];
    float w1[DIM_MAX];
    float bias[1];
    float *x;
    float *y;
    make_problem(&p, TR_LOSS_SQUARED, 100, 9, 1, true);
    struct tr_linear *model = new_model(device, &p);
    put_rows(device, &p, &x, &y);
    assert_int_equal(step_on(model, x, y, p.rows), 0);
    assert_int_equal(tr_linear_export(model, 0, w0, bias, &error), 0);
    assert_int_equal(evaluate_on(model, x, y, p.rows), 0);
    assert_int_equal(tr_linear_export(model, 0, w1, bias, &error), 0);
    assert_memory_equal(w0, w1, 9 * sizeof(float));
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_TRAIN, false, &train, &error), 0);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_EVALUATE, true, &evaluate, &error), 0);
    assert_true(train.rows == 100.0 && evaluate.rows == 100.0);
    assert_true(evaluate.loss_sum < train.loss_sum); /* one step later */
    /* In label units: zero weights predict label_mean. */
    double want = 0.0;
    for (uint32_t r = 0; r < p.rows; r++) {
        double d = (double)p.labels[r * LABEL_DIM] - p.config.label_mean;
        want += d * d;
    }
    assert_true(fabs(train.loss_sum - want) <= 1e-4 * want);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_EVALUATE, false, &evaluate, &error), 0);
    assert_true(evaluate.rows == 0.0);

    assert_int_equal(tr_linear_peek_sums(model, &peek, &error), 0);
    assert_true(peek.rows == 0.0); /* nothing was read back yet */
    for (int i = 0; i < 1000 && peek.rows == 0.0; i++) {
        usleep(100);
        assert_int_equal(tr_linear_peek_sums(model, &peek, &error), 0);
    }
    assert_true(peek.rows == 100.0 && peek.loss_sum == train.loss_sum);
    drop_rows(device, &p, x, y);
    tr_linear_free(&model);
    tr_linear_free(&model);
    tr_device_close(&device);
}

/* x weights + bias on raw features gives what the model itself computed on scaled ones. */
static void test_export_predicts_from_raw_features(void **state)
{
    (void)state;
    static struct problem p;
    struct tr_device *device = fixture_device("cpu");
    struct tr_error error;
    struct tr_stats sums;
    float weights[DIM_MAX];
    float bias;
    float *x;
    float *y;
    double folded_loss = 0.0;
    make_problem(&p, TR_LOSS_SQUARED, 300, 20, 1, true);
    struct tr_linear *model = new_model(device, &p);
    put_rows(device, &p, &x, &y);
    for (int i = 0; i < 100; i++)
        assert_int_equal(step_on(model, x, y, p.rows), 0);
    assert_int_equal(evaluate_on(model, x, y, p.rows), 0);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_EVALUATE, true, &sums, &error), 0);
    assert_int_equal(tr_linear_export(model, 0, weights, &bias, &error), 0);
    for (uint32_t r = 0; r < p.rows; r++) {
        double prediction = (double)bias;
        for (uint32_t i = 0; i < 20; i++)
            prediction += (double)p.features[r * 20 + i] * (double)weights[i];
        double d = prediction - (double)p.labels[r * LABEL_DIM];
        folded_loss += d * d;
    }
    assert_true(fabs(folded_loss - sums.loss_sum) <= 1e-4 * sums.loss_sum);
    drop_rows(device, &p, x, y);
    tr_linear_free(&model);
    tr_device_close(&device);
}

static void test_same_batches_give_the_same_bits(void **state)
{
    (void)state;
    static struct problem p;
    static float weights[3][DIM_MAX * OUTPUTS_MAX];
    static const char *const names[] = {"cpu", "cpu", "delayed"};
    float bias[OUTPUTS_MAX];
    make_problem(&p, TR_LOSS_SOFTMAX, 300, 40, 12, true);
    for (int i = 0; i < 3; i++) {
        struct tr_device *device = fixture_device(names[i]);
        struct tr_linear *model = new_model(device, &p);
        struct tr_error error;
        float *x;
        float *y;
        put_rows(device, &p, &x, &y);
        for (int s = 0; s < 20; s++)
            assert_int_equal(step_on(model, x, y, p.rows), 0);
        assert_int_equal(tr_linear_export(model, 0, weights[i], bias, &error), 0);
        drop_rows(device, &p, x, y);
        tr_linear_free(&model);
        tr_device_close(&device);
    }
    assert_memory_equal(weights[0], weights[1], sizeof weights[0]);
    assert_memory_equal(weights[0], weights[2], sizeof weights[0]);
}

static void test_labels_are_checked(void **state)
{
    (void)state;
    float good[] = {0.0F, 9.0F, 3.0F, -0.0F};
    assert_int_equal(tr_loss_check_labels(TR_LOSS_SOFTMAX, 10, good, 1, 4), 4);
    const float bad[] = {10.0F, -1.0F, 0.5F, NAN, INFINITY, 1e30F, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float labels[] = {1.0F, 77.0F, 2.0F, 77.0F, bad[i], 77.0F};
        assert_int_equal(tr_loss_check_labels(TR_LOSS_SOFTMAX, 10, labels, 2, 3), 2);
    }
    float two = 2.0F;
    float one = 1.0F;
    assert_int_equal(tr_loss_check_labels(TR_LOSS_LOGISTIC, 1, &two, 1, 1), 0);
    assert_int_equal(tr_loss_check_labels(TR_LOSS_LOGISTIC, 1, &one, 1, 1), 1);
    float wrong = NAN;
    assert_int_equal(tr_loss_check_labels(TR_LOSS_SQUARED, 1, &two, 1, 1), 1);
    assert_int_equal(tr_loss_check_labels(TR_LOSS_SQUARED, 1, &wrong, 1, 1), 0);
}

/* --- scaler --------------------------------------------------------------------------------------
 */

static void test_scaler_learns_mean_and_std(void **state)
{
    (void)state;
    enum { ROWS = 1000, DIM = 4 };
    static float rows[ROWS * DIM];
    double mean[DIM];
    double std[DIM];
    uint64_t random = 3;
    for (int i = 0; i < ROWS; i++) {
        rows[i * DIM] = fixture_float(&random);
        rows[i * DIM + 1] = 100000.0F + fixture_float(&random); /* far from zero */
        rows[i * DIM + 2] = -7.25F;                             /* constant */
        rows[i * DIM + 3] = i == 500 ? 1.0F : 0.0F;             /* rare */
    }
    struct tr_scaler *scaler = tr_scaler_new(DIM);
    tr_scaler_add(scaler, rows, 300, DIM);
    tr_scaler_add(scaler, rows + 300 * DIM, ROWS - 300, DIM);
    tr_scaler_get(scaler, mean, std);
    for (int j = 0; j < DIM; j++) {
        double sum = 0.0;
        double square = 0.0;
        for (int i = 0; i < ROWS; i++)
            sum += (double)rows[i * DIM + j];
        for (int i = 0; i < ROWS; i++) {
            double d = (double)rows[i * DIM + j] - sum / ROWS;
            square += d * d;
        }
        assert_true(fabs(mean[j] - sum / ROWS) <= 1e-9 * (1.0 + fabs(mean[j])));
        if (j != 2)
            assert_true(fabs(std[j] - sqrt(square / ROWS)) <= 1e-9);
    }
    assert_true(std[2] == fmax(std[0], std[1]));
    tr_scaler_free(&scaler);
    tr_scaler_free(&scaler);

    scaler = tr_scaler_new(1); /* nothing varies at all */
    tr_scaler_add(scaler, rows + 2, 10, DIM);
    tr_scaler_get(scaler, mean, std);
    assert_true(mean[0] == -7.25 && std[0] == 1.0);
    tr_scaler_free(&scaler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_cpu_gradients_match_reference),
        cmocka_unit_test(test_delayed_gradients_match_reference),
        cmocka_unit_test(test_cuda_gradients_match_reference),
        cmocka_unit_test(test_blocks_give_the_gradient_of_the_whole_batch),
        cmocka_unit_test(test_training_matches_reference_with_every_option),
        cmocka_unit_test(test_training_matches_reference_with_every_loss),
        cmocka_unit_test(test_evaluation_leaves_training_alone),
        cmocka_unit_test(test_export_predicts_from_raw_features),
        cmocka_unit_test(test_same_batches_give_the_same_bits),
        cmocka_unit_test(test_labels_are_checked),
        cmocka_unit_test(test_scaler_learns_mean_and_std),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
