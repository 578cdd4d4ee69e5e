/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_net.c - networks of layers: the double reference against finite differences,
 * devices against the reference and against each other, dropout, initial weights.
 */
#include "tests/unit/trainer_fixture.h"

#include <math.h>

#include "trainer/net_math.h"
#include "trainer/net_ref.h"

enum {
    FEATURES_MAX = 180000,
    PARAMETERS_MAX = 20000,
    ROWS_MAX = 200,
    LABEL_DIM = 2,
    SCALING_MAX = 4096
};

struct problem {
    struct tr_net_config config;
    uint32_t rows;
    float mean[SCALING_MAX];
    float inv_std[SCALING_MAX];
    float features[FEATURES_MAX];
    float labels[ROWS_MAX * LABEL_DIM];
};

static struct tr_layer dense(uint32_t input, uint32_t dim, uint32_t outputs,
                             enum tr_activation activation)
{
    return (struct tr_layer){.op = TR_LAYER_DENSE,
                             .activation = activation,
                             .input = input,
                             .outputs = outputs,
                             .init_bound = tr_init_even(dim, outputs)};
}

static struct tr_layer conv(uint32_t input, uint32_t outputs, uint32_t kernel, uint32_t stride,
                            uint32_t residual, enum tr_activation activation)
{
    return (struct tr_layer){.op = TR_LAYER_CONV,
                             .activation = activation,
                             .input = input,
                             .residual = residual,
                             .outputs = outputs,
                             .kernel = kernel,
                             .stride = stride,
                             .init_bound = 0.4F};
}

static uint32_t outputs_of(enum tr_loss loss)
{
    return loss == TR_LOSS_SOFTMAX ? 3 : 1;
}

/* Two hidden layers. */
static void plan_mlp(struct tr_plan *plan, enum tr_loss loss, uint32_t dim,
                     enum tr_activation activation)
{
    tr_plan_init(plan, (struct tr_extent){1, 1, dim});
    uint32_t first = tr_plan_add(plan, dense(0, dim, 7, activation));
    uint32_t second = tr_plan_add(plan, dense(first, 7, 5, activation));
    tr_plan_add(plan, dense(second, 5, outputs_of(loss), TR_ACTIVATION_NONE));
}

/* A stem, a residual block, one of half the size with a projection, the mean or all pixels: every
 * way that a gradient can take. Odd sizes, so that strides do not divide them. */
static void plan_residual(struct tr_plan *plan, enum tr_loss loss, bool mean)
{
    tr_plan_init(plan, (struct tr_extent){5, 7, 2});
    uint32_t stem = tr_plan_add(plan, conv(0, 3, 3, 1, 0, TR_ACTIVATION_RELU));
    uint32_t a = tr_plan_add(plan, conv(stem, 3, 3, 1, 0, TR_ACTIVATION_RELU));
    uint32_t b = tr_plan_add(plan, conv(a, 3, 3, 1, stem, TR_ACTIVATION_RELU));
    uint32_t c = tr_plan_add(plan, conv(b, 4, 3, 2, 0, TR_ACTIVATION_RELU));
    uint32_t side = tr_plan_add(plan, conv(b, 4, 1, 2, 0, TR_ACTIVATION_NONE));
    uint32_t d = tr_plan_add(plan, conv(c, 4, 3, 1, side, TR_ACTIVATION_RELU));
    if (mean)
        d = tr_plan_add(plan, (struct tr_layer){.op = TR_LAYER_MEAN, .input = d});
    tr_plan_add(plan, dense(d, mean ? 4 : 48, outputs_of(loss), TR_ACTIVATION_NONE));
}

/* Fills in everything but the plan. */
static void make_problem(struct problem *p, enum tr_loss loss, uint32_t rows, bool scaled)
{
    size_t channels = p->config.plan.in.channels;
    size_t n = rows * tr_extent_values(&p->config.plan.in);
    uint64_t random = rows * 1000U + n;
    assert_true(n <= FEATURES_MAX && rows <= ROWS_MAX && channels <= SCALING_MAX);
    assert_true(tr_plan_parameters(&p->config.plan) <= PARAMETERS_MAX);
    p->rows = rows;
    fixture_fill(p->features, n, 31, 2.0F);
    fixture_fill(p->labels, (size_t)rows * LABEL_DIM, 32, 5.0F);
    fixture_fill(p->mean, channels, 33, 1.0F);
    fixture_fill(p->inv_std, channels, 34, 0.5F);
    for (size_t i = 0; i < channels; i++)
        p->inv_std[i] += 1.0F;
    for (uint32_t r = 0; r < rows && loss != TR_LOSS_SQUARED; r++)
        p->labels[r * LABEL_DIM] =
            (float)(fixture_random(&random) % (loss == TR_LOSS_SOFTMAX ? 3 : 2));
    p->config.loss = loss;
    p->config.batch_rows = ROWS_MAX;
    p->config.bytes = false;
    p->config.planes = false;
    p->config.optimizer = TR_OPTIMIZER_SGD;
    p->config.momentum = 0.0;
    p->config.beta1 = 0.9;
    p->config.beta2 = 0.999;
    p->config.epsilon = 1e-8;
    p->config.wd = 0.0;
    p->config.mean = scaled ? p->mean : NULL;
    p->config.inv_std = scaled ? p->inv_std : NULL;
    p->config.label_mean = loss == TR_LOSS_SQUARED ? 0.75 : 0.0;
    p->config.label_std = loss == TR_LOSS_SQUARED ? 2.5 : 1.0;
    p->config.seed = 77;
}

static struct tr_net *new_net(struct tr_device *device, const struct problem *p)
{
    struct tr_net *net;
    struct tr_error error;
    if (tr_net_new(device, &p->config, &net, &error) < 0)
        fail_msg("%s", error.text);
    return net;
}

static size_t feature_floats(const struct problem *p)
{
    size_t n = p->rows * tr_extent_values(&p->config.plan.in);
    return p->config.bytes ? (n + 3) / 4 : n;
}

/* --- the reference -------------------------------------------------------------------------------
 */

/* Central differences of the mean loss, at a step where neither relu's bends nor rounding disturb.
 */
static void check_finite_differences(struct problem *p)
{
    static float start[PARAMETERS_MAX];
    static double gradient[PARAMETERS_MAX];
    const double h = 1e-6;
    struct tr_net_ref ref;
    double hits;
    size_t n = tr_plan_parameters(&p->config.plan);
    size_t off = 0;
    assert_int_equal(tr_net_ref_new(&p->config, &ref), 0);
    tr_plan_start(&p->config.plan, 5, start);
    fixture_fill(start + p->config.plan.weight_count, p->config.plan.bias_count, 6, 0.3F);
    for (size_t i = 0; i < n; i++)
        ref.parameters[i] = (double)start[i];
    tr_net_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, &hits);
    for (size_t i = 0; i < n; i++)
        gradient[i] = ref.gradient[i].value;
    for (size_t i = 0; i < n; i += 3) {
        double w = ref.parameters[i];
        ref.parameters[i] = w + h;
        double above = tr_net_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, &hits);
        ref.parameters[i] = w - h;
        double below = tr_net_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, &hits);
        ref.parameters[i] = w;
        double difference = (above - below) / (2.0 * h);
        off += fabs(gradient[i] - difference) > 1e-6 * (1.0 + fabs(difference)) ? 1 : 0;
    }
    assert_int_equal(off, 0);
    tr_net_ref_free(&ref);
}

static void test_reference_gradient_matches_finite_differences(void **state)
{
    static struct problem p;
    (void)state;
    for (int loss = TR_LOSS_SQUARED; loss <= TR_LOSS_SOFTMAX; loss++) {
        for (int activation = TR_ACTIVATION_RELU; activation <= TR_ACTIVATION_TANH; activation++) {
            plan_mlp(&p.config.plan, (enum tr_loss)loss, 4, (enum tr_activation)activation);
            make_problem(&p, (enum tr_loss)loss, 9, true);
            check_finite_differences(&p);
        }
        plan_residual(&p.config.plan, (enum tr_loss)loss, loss != TR_LOSS_SOFTMAX);
        make_problem(&p, (enum tr_loss)loss, 3, true);
        check_finite_differences(&p);
    }
}

/* --- devices against the reference ---------------------------------------------------------------
 */

/* One SGD step of rate 1 / 16 from known parameters shows the gradient: (w0 - w1) * 16 = dw, but
 * for what rounding w1 may hide. */
static void check_gradient(struct tr_device *device, struct problem *p)
{
    static float w0[PARAMETERS_MAX];
    static float w1[PARAMETERS_MAX];
    static float scaling[2 * SCALING_MAX];
    const double rate = 1.0 / 16.0;
    size_t n = tr_plan_parameters(&p->config.plan);
    size_t n_features = feature_floats(p);
    struct tr_stats sums;
    struct tr_stats held_out;
    struct tr_error error;
    struct tr_net_ref ref;
    double hits;
    double worst = 0.0;
    struct tr_net *net = new_net(device, p);
    float *x = fixture_array(device, p->features, n_features);
    float *y = fixture_array(device, p->labels, (size_t)p->rows * LABEL_DIM);
    const struct tr_net_rows rows = {x, y, LABEL_DIM, p->rows, 0, 0};
    /* The first step moves the biases away from zero, and the sums on. */
    assert_int_equal(tr_net_step(net, &rows, 0.5, &error), 0);
    assert_int_equal(tr_net_read(net, w0, scaling, &error), 0);
    assert_int_equal(tr_net_take_sums(net, TR_SUMS_TRAIN, &sums, &error), 0);
    assert_int_equal(tr_net_evaluate(net, &rows, &error), 0);
    assert_int_equal(tr_net_step(net, &rows, rate, &error), 0);
    assert_int_equal(tr_net_read(net, w1, scaling, &error), 0);
    assert_int_equal(tr_net_take_sums(net, TR_SUMS_TRAIN, &sums, &error), 0);
    assert_int_equal(tr_net_take_sums(net, TR_SUMS_EVALUATE, &held_out, &error), 0);
    assert_int_equal(tr_net_ref_new(&p->config, &ref), 0);
    for (size_t i = 0; i < n; i++)
        ref.parameters[i] = (double)w0[i];
    double loss = tr_net_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, &hits);
    loss *= p->config.label_std * p->config.label_std;
    assert_true(sums.rows == (double)p->rows);
    assert_true(fabs(sums.loss_sum / sums.rows - loss) <= 1e-4 * (1.0 + fabs(loss)));
    assert_true(p->config.loss == TR_LOSS_SQUARED || sums.correct == hits);
    assert_memory_equal(&sums, &held_out, sizeof sums);
    for (size_t i = 0; i < n; i++) {
        double dw = ((double)w0[i] - (double)w1[i]) / rate;
        double hidden = 1.2e-7 * (fabs((double)w0[i]) + fabs((double)w1[i])) / rate;
        double off = fabs(dw - ref.gradient[i].value);
        double bound = ref.gradient[i].error + hidden;
        worst = fmax(worst, bound > 0.0 ? off / bound : 0.0);
        if (off > bound)
            fail_msg("parameter %zu of %zu: %.9g, reference %.9g, off by %.3g, bound %.3g", i, n,
                     dw, ref.gradient[i].value, off, bound);
    }
    assert_true(worst > 0.0);
    tr_net_ref_free(&ref);
    tr_net_free(&net);
    fixture_take(device, x, NULL, n_features);
    fixture_take(device, y, NULL, (size_t)p->rows * LABEL_DIM);
}

/* Bytes for floats. */
static void use_bytes(struct problem *p)
{
    uint64_t random = 3;
    uint8_t *bytes = (uint8_t *)(void *)p->features;
    size_t n = p->rows * tr_extent_values(&p->config.plan.in);
    p->config.bytes = true;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(fixture_random(&random) % 4);
}

static void check_gradients(const char *name)
{
    static struct problem p;
    struct tr_device *device = fixture_device(name);
    for (int loss = TR_LOSS_SQUARED; loss <= TR_LOSS_SOFTMAX; loss++) {
        plan_mlp(&p.config.plan, (enum tr_loss)loss, 6, TR_ACTIVATION_TANH);
        make_problem(&p, (enum tr_loss)loss, 37, true);
        check_gradient(device, &p);
        plan_residual(&p.config.plan, (enum tr_loss)loss, loss != TR_LOSS_SOFTMAX);
        make_problem(&p, (enum tr_loss)loss, 5, true);
        check_gradient(device, &p);
    }
    plan_mlp(&p.config.plan, TR_LOSS_SOFTMAX, 6, TR_ACTIVATION_RELU);
    make_problem(&p, TR_LOSS_SOFTMAX, 1, false);
    check_gradient(device, &p);
    use_bytes(&p);
    check_gradient(device, &p);
    plan_residual(&p.config.plan, TR_LOSS_SOFTMAX, true);
    make_problem(&p, TR_LOSS_SOFTMAX, 5, true);
    p.config.planes = true;
    check_gradient(device, &p);
    use_bytes(&p);
    check_gradient(device, &p);
    p.config.planes = false;
    check_gradient(device, &p);
    tr_device_close(&device);
}

static void test_gradient_on_cpu(void **state)
{
    (void)state;
    check_gradients("cpu");
}

static void test_gradient_on_delayed(void **state)
{
    (void)state;
    check_gradients("delayed");
}

static void test_gradient_on_cuda(void **state)
{
    (void)state;
    check_gradients("cuda");
}

/* Rows of more floats than the cpu takes at once: the batch goes through in blocks. */
static void check_blocks(const char *name)
{
    static struct problem p;
    struct tr_device *device = fixture_device(name);
    tr_plan_init(&p.config.plan, (struct tr_extent){1, 1, 3000});
    uint32_t first = tr_plan_add(&p.config.plan, dense(0, 3000, 4, TR_ACTIVATION_TANH));
    tr_plan_add(&p.config.plan, dense(first, 4, 3, TR_ACTIVATION_NONE));
    make_problem(&p, TR_LOSS_SOFTMAX, 60, true);
    assert_in_range(device->ops->block_floats, 1, feature_floats(&p) - 1);
    check_gradient(device, &p);
    tr_device_close(&device);
}

static void test_batches_in_blocks(void **state)
{
    (void)state;
    check_blocks("cpu");
}

/* --- training ------------------------------------------------------------------------------------
 */

/* Parameters after some steps with all there is: Adam, decay, dropout. */
static void train(const char *name, float *parameters, uint64_t seed, double *loss)
{
    static struct problem p;
    float scaling[2 * SCALING_MAX];
    struct tr_error error;
    struct tr_stats sums;
    struct tr_device *device = fixture_device(name);
    tr_plan_init(&p.config.plan, (struct tr_extent){1, 1, 12});
    struct tr_layer hidden = dense(0, 12, 30, TR_ACTIVATION_TANH);
    hidden.dropout = 0.25F;
    uint32_t first = tr_plan_add(&p.config.plan, hidden);
    tr_plan_add(&p.config.plan, dense(first, 30, 3, TR_ACTIVATION_NONE));
    make_problem(&p, TR_LOSS_SOFTMAX, 150, true);
    p.config.optimizer = TR_OPTIMIZER_ADAM;
    p.config.wd = 1e-4;
    p.config.seed = seed;
    struct tr_net *net = new_net(device, &p);
    float *x = fixture_array(device, p.features, feature_floats(&p));
    float *y = fixture_array(device, p.labels, (size_t)p.rows * LABEL_DIM);
    const struct tr_net_rows rows = {x, y, LABEL_DIM, p.rows, 0, 0};
    for (int i = 0; i < 60; i++) {
        assert_int_equal(tr_net_step(net, &rows, 0.01, &error), 0);
        if (i == 0)
            assert_int_equal(tr_net_take_sums(net, TR_SUMS_TRAIN, &sums, &error), 0);
        loss[0] = i == 0 ? sums.loss_sum / sums.rows : loss[0];
    }
    assert_int_equal(tr_net_read(net, parameters, scaling, &error), 0);
    assert_int_equal(tr_net_take_sums(net, TR_SUMS_TRAIN, &sums, &error), 0);
    assert_int_equal(tr_net_evaluate(net, &rows, &error), 0);
    assert_int_equal(tr_net_take_sums(net, TR_SUMS_EVALUATE, &sums, &error), 0);
    loss[1] = sums.loss_sum / sums.rows;
    tr_net_free(&net);
    fixture_take(device, x, NULL, feature_floats(&p));
    fixture_take(device, y, NULL, (size_t)p.rows * LABEL_DIM);
    tr_device_close(&device);
}

static void test_the_seed_decides_the_bits(void **state)
{
    enum { N = 12 * 30 + 30 + 30 * 3 + 3 };
    static float first[N];
    static float second[N];
    double loss[2];
    (void)state;
    train("cpu", first, 9, loss);
    assert_true(loss[1] < 0.8 * loss[0]); /* it learns */
    train("delayed", second, 9, loss);
    assert_memory_equal(first, second, sizeof first);
    train("cpu", second, 10, loss);
    assert_memory_not_equal(first, second, sizeof first);
}

static void test_initial_weights_do_not_depend_on_other_layers(void **state)
{
    struct tr_plan one;
    struct tr_plan two;
    float a[100];
    float b[200];
    double sum = 0.0;
    (void)state;
    tr_plan_init(&one, (struct tr_extent){1, 1, 5});
    tr_plan_init(&two, (struct tr_extent){1, 1, 5});
    uint32_t first = tr_plan_add(&one, dense(0, 5, 8, TR_ACTIVATION_RELU));
    tr_plan_add(&two, dense(0, 5, 8, TR_ACTIVATION_RELU));
    tr_plan_add(&one, dense(first, 8, 3, TR_ACTIVATION_NONE));
    tr_plan_add(&two, dense(first, 8, 9, TR_ACTIVATION_NONE));
    tr_plan_start(&one, 3, a);
    tr_plan_start(&two, 3, b);
    assert_memory_equal(a, b, 40 * sizeof *a);
    for (size_t i = 0; i < 40; i++) {
        assert_true(fabsf(a[i]) <= tr_init_even(5, 8));
        sum += (double)(a[i] * a[i]);
    }
    assert_true(sum / 40.0 > 0.1 * (double)(tr_init_even(5, 8) * tr_init_even(5, 8)));
    for (size_t i = one.weight_count; i < tr_plan_parameters(&one); i++)
        assert_true(a[i] == 0.0F);
}

/* --- dropout -------------------------------------------------------------------------------------
 */

static void check_dropout(const char *name)
{
    enum { N = 20000 };
    static float a[N];
    static float d[N];
    struct tr_device *device = fixture_device(name);
    struct tr_dropout dropout = {.seed = 4, .first = 1000, .below = 1U << 30, .scale = 4.0F / 3.0F};
    size_t dropped = 0;
    for (size_t i = 0; i < N; i++)
        a[i] = d[i] = 1.0F;
    float *on_a = fixture_array(device, a, N);
    float *on_d = fixture_array(device, d, N);
    struct tr_finish_args finish = {.a = on_a, .n = N, .dropout = dropout};
    struct tr_unfinish_args unfinish = {.a = on_a, .d = on_d, .n = N, .dropout = dropout};
    assert_int_equal(tr_launch_finish(device, &finish), 0);
    assert_int_equal(tr_launch_unfinish(device, &unfinish), 0);
    fixture_take(device, on_a, a, N);
    fixture_take(device, on_d, d, N);
    for (size_t i = 0; i < N; i++) {
        assert_true(a[i] == 0.0F || a[i] == dropout.scale);
        assert_true(a[i] == d[i]); /* the same are dropped on the way back */
        dropped += a[i] == 0.0F ? 1 : 0;
    }
    /* Five standard deviations of 20,000 draws of 1/4: 306. */
    assert_in_range(dropped, N / 4 - 306, N / 4 + 306);
    dropout.first += 1; /* numbers count from the batch's first row, wherever a block begins */
    for (size_t i = 0; i + 1 < N; i++)
        assert_true((tr_dropout_factor(&dropout, i) == 0.0F) == (a[i + 1] == 0.0F));
    tr_device_close(&device);
}

static void test_dropout_on_cpu(void **state)
{
    (void)state;
    check_dropout("cpu");
}

static void test_dropout_on_cuda(void **state)
{
    (void)state;
    check_dropout("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_gradient_on_cpu),
        cmocka_unit_test(test_gradient_on_delayed),
        cmocka_unit_test(test_gradient_on_cuda),
        cmocka_unit_test(test_batches_in_blocks),
        cmocka_unit_test(test_the_seed_decides_the_bits),
        cmocka_unit_test(test_initial_weights_do_not_depend_on_other_layers),
        cmocka_unit_test(test_dropout_on_cpu),
        cmocka_unit_test(test_dropout_on_cuda),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
