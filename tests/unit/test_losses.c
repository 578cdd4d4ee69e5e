/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_losses.c - every loss against its definition in double, the definition's
 * derivative against central differences; weights, classes' weights, scores, and matrices that are
 * part of a wider one.
 */
#include "tests/unit/trainer_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/kernels.h"

enum { ROWS = 301, LABEL_DIM = 2, OUTPUTS_MAX = 6, STRIDE = 9, STATS_FLOATS = 2 * 9 };

_Static_assert(sizeof(struct tr_stats) == STATS_FLOATS * sizeof(float), "as arrays are moved");

static const double label_mean = 0.25;
static const double label_inv_std = 2.0;

static double distance_loss(enum tr_loss loss, double d, double p)
{
    double size = fabs(d);
    double outside = size > p ? size - p : 0.0;
    if (loss == TR_LOSS_SQUARED)
        return d * d;
    if (loss == TR_LOSS_ABSOLUTE)
        return size;
    if (loss == TR_LOSS_HUBER)
        return size <= p ? d * d / 2.0 : p * (size - p / 2.0);
    if (loss == TR_LOSS_QUANTILE)
        return fmax(p * -d, (1.0 - p) * d);
    return loss == TR_LOSS_EPS_SQUARED ? outside * outside : outside;
}

static double loss_of(enum tr_loss loss, const double *z, uint32_t outputs, double label, double p)
{
    double y = label > 0.5 ? 1.0 : -1.0;
    double sum = 0.0;
    if (loss == TR_LOSS_LOGISTIC)
        return log1p(exp(-y * z[0]));
    if (loss == TR_LOSS_HINGE)
        return fmax(0.0, p - y * z[0]);
    if (loss != TR_LOSS_SOFTMAX)
        return distance_loss(loss, z[0] - (label - label_mean) * label_inv_std, p);
    for (uint32_t j = 0; j < outputs; j++)
        sum += exp(z[j] - z[(uint32_t)label]);
    return log(sum);
}

/* Derivative by z[j]; *kink says that there is none near z. */
static double slope_of(enum tr_loss loss, const double *z, uint32_t outputs, double label, double p,
                       uint32_t j, bool *kink)
{
    const double h = 1e-5;
    double at[OUTPUTS_MAX];
    double here = loss_of(loss, z, outputs, label, p);
    memcpy(at, z, outputs * sizeof *at);
    at[j] = z[j] + h;
    double above = loss_of(loss, at, outputs, label, p);
    at[j] = z[j] - h;
    double below = loss_of(loss, at, outputs, label, p);
    *kink = fabs(above - 2.0 * here + below) > 1e-8; /* h^2 times any curvature here is less */
    return (above - below) / (2.0 * h);
}

struct scores {
    double correct, correct_top, true_positive, false_positive, false_negative;
};

static void count_scores(enum tr_loss loss, const float *z, uint32_t outputs, uint32_t top_k,
                         float label, struct scores *s)
{
    uint32_t rank = 0;
    if (loss == TR_LOSS_SOFTMAX) {
        for (uint32_t j = 0; j < outputs; j++)
            rank += z[j] > z[(uint32_t)label];
        s->correct += rank == 0;
        s->correct_top += rank < top_k;
    } else if (loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE) {
        bool said = z[0] > 0.0F;
        bool is = label == 1.0F;
        s->correct += said == is;
        s->true_positive += said && is;
        s->false_positive += said && !is;
        s->false_negative += !said && is;
    }
}

struct arrays {
    float z[ROWS * STRIDE];
    float dz[ROWS * STRIDE];
    float labels[ROWS * LABEL_DIM];
    float weights[ROWS];
    float class_weights[OUTPUTS_MAX];
};

static void fill(struct arrays *a, enum tr_loss loss, uint32_t outputs)
{
    uint64_t random = 7;
    fixture_fill(a->z, ROWS * STRIDE, 1, 4.0F);
    fixture_fill(a->labels, ROWS * LABEL_DIM, 2, 2.0F);
    fixture_fill(a->class_weights, OUTPUTS_MAX, 3, 0.5F);
    for (uint32_t c = 0; c < OUTPUTS_MAX; c++)
        a->class_weights[c] += 1.0F;
    for (uint32_t r = 0; r < ROWS; r++) {
        a->weights[r] = (float)(fixture_random(&random) % 4);
        if (loss <= TR_LOSS_HINGE && loss != TR_LOSS_SQUARED)
            a->labels[r * LABEL_DIM] =
                (float)(fixture_random(&random) % (loss == TR_LOSS_SOFTMAX ? outputs : 2));
    }
}

/* What the kernel gave for the arrays, with `wanted` weights; z and dz begin at column 2 of STRIDE.
 */
static void compare(const struct arrays *a, const float *dz, const struct tr_stats *got,
                    enum tr_loss loss, uint32_t outputs, double p, bool weighted)
{
    struct tr_stats want = {0};
    struct scores scores = {0};
    double size = 0.0;
    for (uint32_t r = 0; r < ROWS; r++) {
        const float *row = a->z + (size_t)r * STRIDE + 2;
        float label = a->labels[r * LABEL_DIM];
        double z[OUTPUTS_MAX];
        bool classes = loss <= TR_LOSS_HINGE && loss != TR_LOSS_SQUARED;
        double weight = weighted ? (double)a->weights[r] : 1.0;
        weight *= weighted && classes ? (double)a->class_weights[(uint32_t)label] : 1.0;
        for (uint32_t j = 0; j < outputs; j++)
            z[j] = (double)row[j];
        for (uint32_t j = 0; j < outputs; j++) {
            bool kink;
            double slope = slope_of(loss, z, outputs, (double)label, p, j, &kink);
            double found = (double)dz[(size_t)r * STRIDE + 2 + j];
            /* 1e-8 of the differences, and rounding of values of up to 8 by a factor of up to 6 */
            assert_true(kink || fabs(found - 0.5 * weight * slope) <= 2e-5);
        }
        double value = weight * loss_of(loss, z, outputs, (double)label, p);
        double d = z[0] - ((double)label - label_mean) * label_inv_std;
        want.loss_sum += value;
        size += value + 1.0;
        want.squared += classes ? 0.0 : d * d;
        want.absolute += classes ? 0.0 : fabs(d);
        count_scores(loss, row, outputs, 2, label, &scores);
    }
    double bound = 32.0 * (double)FLT_EPSILON * size;
    assert_true(fabs(got->loss_sum - want.loss_sum) <= bound);
    assert_true(fabs(got->squared - want.squared) <= 32.0 * (double)FLT_EPSILON * want.squared);
    assert_true(fabs(got->absolute - want.absolute) <= 32.0 * (double)FLT_EPSILON * want.absolute);
    assert_true(got->rows == ROWS && got->correct == scores.correct);
    assert_true(got->correct_top == scores.correct_top);
    assert_true(got->true_positive == scores.true_positive);
    assert_true(got->false_positive == scores.false_positive);
    assert_true(got->false_negative == scores.false_negative);
}

static void check_loss(struct tr_device *device, enum tr_loss loss, float parameter, bool weighted)
{
    static struct arrays a;
    uint32_t outputs = loss == TR_LOSS_SOFTMAX ? OUTPUTS_MAX : 1;
    bool classes = loss <= TR_LOSS_HINGE && loss != TR_LOSS_SQUARED;
    float stats[STATS_FLOATS] = {0.0F};
    struct tr_stats got;
    fill(&a, loss, outputs);
    float *z = fixture_array(device, a.z, ROWS * STRIDE);
    float *dz = fixture_array(device, a.z, ROWS * STRIDE);
    float *labels = fixture_array(device, a.labels, ROWS * LABEL_DIM);
    float *weights = fixture_array(device, a.weights, ROWS);
    float *class_weights = fixture_array(device, a.class_weights, OUTPUTS_MAX);
    float *sums = fixture_array(device, stats, STATS_FLOATS);
    struct tr_loss_args args = {
        .loss = loss,
        .z = z + 2,
        .labels = labels,
        .label_dim = LABEL_DIM,
        .rows = ROWS,
        .outputs = outputs,
        .z_stride = STRIDE,
        .label_mean = (float)label_mean,
        .label_inv_std = (float)label_inv_std,
        .parameter = parameter,
        .gradient_scale = 0.5F,
        .top_k = 2,
        .weights = weighted ? weights : NULL,
        .class_weights = weighted ? class_weights : NULL,
        .dz = dz + 2,
        .row_loss = fixture_array(device, NULL, ROWS),
        .row_hit = fixture_array(device, NULL, ROWS),
        .row_error = fixture_array(device, NULL, ROWS),
        .stats = (struct tr_stats *)(void *)sums,
    };
    if (classes) {
        fixture_take(device, args.row_error, NULL, ROWS);
        args.row_error = NULL;
    }
    assert_int_equal(tr_launch_loss(device, &args), 0);
    fixture_take(device, dz, a.dz, ROWS * STRIDE);
    fixture_take(device, sums, stats, STATS_FLOATS);
    memcpy(&got, stats, sizeof got);
    compare(&a, a.dz, &got, loss, outputs, (double)parameter, weighted);
    for (uint32_t i = 0; i < ROWS * STRIDE; i++) /* other columns are somebody else's */
        assert_true((i % STRIDE >= 2 && i % STRIDE < 2 + outputs) || a.dz[i] == a.z[i]);
    float *floats[] = {z, labels, weights, class_weights, args.row_loss, args.row_hit};
    const size_t counts[] = {ROWS * STRIDE, ROWS * LABEL_DIM, ROWS, OUTPUTS_MAX, ROWS, ROWS};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fixture_take(device, floats[i], NULL, counts[i]);
    if (!classes)
        fixture_take(device, args.row_error, NULL, ROWS);
}

static void check_losses(const char *name)
{
    struct tr_device *device = fixture_device(name);
    for (int weighted = 0; weighted < 2; weighted++) {
        check_loss(device, TR_LOSS_SQUARED, 0.0F, weighted == 1);
        check_loss(device, TR_LOSS_LOGISTIC, 0.0F, weighted == 1);
        check_loss(device, TR_LOSS_SOFTMAX, 0.0F, weighted == 1);
        check_loss(device, TR_LOSS_HINGE, 1.0F, weighted == 1);
        check_loss(device, TR_LOSS_HINGE, 0.25F, weighted == 1);
        check_loss(device, TR_LOSS_ABSOLUTE, 0.0F, weighted == 1);
        check_loss(device, TR_LOSS_HUBER, 1.5F, weighted == 1);
        check_loss(device, TR_LOSS_QUANTILE, 0.875F, weighted == 1);
        check_loss(device, TR_LOSS_EPS_SQUARED, 0.5F, weighted == 1);
        check_loss(device, TR_LOSS_EPS_ABSOLUTE, 0.5F, weighted == 1);
    }
    tr_device_close(&device);
}

static void test_cpu_losses_match_their_definitions(void **state)
{
    (void)state;
    check_losses("cpu");
}

static void test_delayed_losses_match_their_definitions(void **state)
{
    (void)state;
    check_losses("delayed");
}

static void test_cuda_losses_match_their_definitions(void **state)
{
    (void)state;
    check_losses("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_losses_match_their_definitions),
        cmocka_unit_test(test_delayed_losses_match_their_definitions),
        cmocka_unit_test(test_cuda_losses_match_their_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
