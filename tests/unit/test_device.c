/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_device.c - every kernel of every device against double arithmetic, and the order
 * that streams and events promise.
 */
#include "tests/unit/trainer_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/device_delayed.h"
#include "trainer/kernels.h"

#define EPS ((double)FLT_EPSILON)

static const struct shape {
    uint32_t rows;
    uint32_t dim;
    uint32_t outputs;
} shapes[] = {{1, 1, 1},      {1, 784, 10}, {2, 3, 2},     {17, 5, 1},   {64, 33, 7},
              {100, 784, 10}, {33, 17, 31}, {257, 19, 10}, {5, 300, 101}};

#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)

static float *random_host(size_t n, uint64_t seed, float scale)
{
    float *out = malloc(n * sizeof *out);
    assert_non_null(out);
    fixture_fill(out, n, seed, scale);
    return out;
}

static void check_scale(struct tr_device *device, const struct shape *s)
{
    size_t n = (size_t)s->rows * s->dim;
    float *x = random_host(n, 1, 300.0F);
    float *mean = random_host(s->dim, 2, 100.0F);
    float *inv_std = random_host(s->dim, 3, 2.0F);
    float *y = malloc(n * sizeof *y);
    float *dx = fixture_array(device, x, n);
    float *dmean = fixture_array(device, mean, s->dim);
    float *dinv_std = fixture_array(device, inv_std, s->dim);
    float *dy = fixture_array(device, NULL, n);
    struct tr_scale_args args = {dx, dmean, dinv_std, dy, s->rows, s->dim};
    assert_int_equal(tr_launch_scale(device, &args), 0);
    fixture_take(device, dy, y, n);
    for (size_t i = 0; i < n; i++) {
        size_t j = i % s->dim;
        double want = ((double)x[i] - (double)mean[j]) * (double)inv_std[j];
        assert_true(fabs((double)y[i] - want) <= 2.0 * EPS * fabs(want));
    }
    fixture_take(device, dx, NULL, n);
    fixture_take(device, dmean, NULL, s->dim);
    fixture_take(device, dinv_std, NULL, s->dim);
    free(x);
    free(mean);
    free(inv_std);
    free(y);
}

static void check_forward(struct tr_device *device, const struct shape *s)
{
    size_t x_n = (size_t)s->rows * s->dim;
    size_t w_n = (size_t)s->dim * s->outputs;
    size_t z_n = (size_t)s->rows * s->outputs;
    float *x = random_host(x_n, 4, 1.0F);
    float *w = random_host(w_n, 5, 1.0F);
    float *b = random_host(s->outputs, 6, 1.0F);
    float *z = malloc(z_n * sizeof *z);
    float *dx = fixture_array(device, x, x_n);
    float *dw = fixture_array(device, w, w_n);
    float *db = fixture_array(device, b, s->outputs);
    float *dz = fixture_array(device, NULL, z_n);
    struct tr_forward_args args = {dx, dw, db, dz, s->rows, s->dim, s->outputs};
    assert_int_equal(tr_launch_forward(device, &args), 0);
    fixture_take(device, dz, z, z_n);
    for (uint32_t r = 0; r < s->rows; r++) {
        for (uint32_t j = 0; j < s->outputs; j++) {
            double want = (double)b[j];
            double size = fabs(want);
            for (uint32_t i = 0; i < s->dim; i++) {
                double term = (double)x[r * s->dim + i] * (double)w[i * s->outputs + j];
                want += term;
                size += fabs(term);
            }
            double bound = ((double)s->dim + 1.0) * EPS * size;
            assert_true(fabs((double)z[r * s->outputs + j] - want) <= bound);
        }
    }
    fixture_take(device, dx, NULL, x_n);
    fixture_take(device, dw, NULL, w_n);
    fixture_take(device, db, NULL, s->outputs);
    free(x);
    free(w);
    free(b);
    free(z);
}

/* Twice, the second time accumulating: the result is two times the sum. */
static void check_gradient(struct tr_device *device, const struct shape *s)
{
    size_t x_n = (size_t)s->rows * s->dim;
    size_t z_n = (size_t)s->rows * s->outputs;
    size_t w_n = (size_t)s->dim * s->outputs;
    float *x = random_host(x_n, 7, 1.0F);
    float *z = random_host(z_n, 8, 1.0F);
    float *w = malloc((w_n + s->outputs) * sizeof *w);
    float *dx = fixture_array(device, x, x_n);
    float *dz = fixture_array(device, z, z_n);
    float *dw = fixture_array(device, NULL, w_n); /* NaN: must not be read the first time */
    float *db = fixture_array(device, NULL, s->outputs);
    struct tr_gradient_args args = {dx, dz, dw, db, s->rows, s->dim, s->outputs, false};
    assert_int_equal(tr_launch_gradient(device, &args), 0);
    args.accumulate = true;
    assert_int_equal(tr_launch_gradient(device, &args), 0);
    fixture_take(device, dw, w, w_n);
    fixture_take(device, db, w + w_n, s->outputs);
    for (uint32_t i = 0; i <= s->dim; i++) { /* row `dim` is the bias: its feature is 1 */
        for (uint32_t j = 0; j < s->outputs; j++) {
            double want = 0.0;
            double size = 0.0;
            for (uint32_t r = 0; r < s->rows; r++) {
                double feature = i < s->dim ? (double)x[r * s->dim + i] : 1.0;
                double term = 2.0 * feature * (double)z[r * s->outputs + j];
                want += term;
                size += fabs(term);
            }
            double bound = (2.0 * (double)s->rows + 2.0) * EPS * size;
            assert_true(fabs((double)w[i * s->outputs + j] - want) <= bound);
        }
    }
    fixture_take(device, dx, NULL, x_n);
    fixture_take(device, dz, NULL, z_n);
    free(x);
    free(z);
    free(w);
}

struct loss_case {
    enum tr_loss loss;
    struct shape shape;
    float scale; /* of the scores: large ones overflow exp when it is done carelessly */
};

static double loss_row(const struct tr_loss_args *a, const float *z, float label, double *dz)
{
    if (a->loss == TR_LOSS_SQUARED) {
        double d =
            (double)z[0] - ((double)label - (double)a->label_mean) * (double)a->label_inv_std;
        dz[0] = 2.0 * d;
        return d * d;
    }
    if (a->loss == TR_LOSS_LOGISTIC) {
        double score = (double)z[0];
        dz[0] = 1.0 / (1.0 + exp(-score)) - (double)label;
        return fmax(score, 0.0) + log1p(exp(-fabs(score))) - (double)label * score;
    }
    double top = -INFINITY;
    double sum = 0.0;
    for (uint32_t j = 0; j < a->outputs; j++)
        top = fmax(top, (double)z[j]);
    for (uint32_t j = 0; j < a->outputs; j++)
        sum += exp((double)z[j] - top);
    for (uint32_t j = 0; j < a->outputs; j++)
        dz[j] = exp((double)z[j] - top) / sum - (j == (uint32_t)label ? 1.0 : 0.0);
    return log(sum) + top - (double)z[(uint32_t)label];
}

static void check_loss(struct tr_device *device, const struct loss_case *c)
{
    enum { LABEL_DIM = 3 };
    const struct shape *s = &c->shape;
    size_t z_n = (size_t)s->rows * s->outputs;
    float *z = random_host(z_n, 9, c->scale);
    float *labels = random_host((size_t)s->rows * LABEL_DIM, 10, 1.0F);
    float *got = malloc(z_n * sizeof *got);
    double *want = malloc(s->outputs * sizeof *want);
    uint64_t random = 11;
    double loss_sum = 0.0;
    double hits = 0.0;
    struct tr_stats before = {.loss_sum = 10.0, .rows = 7.0, .correct = 3.0};
    float stats_bits[sizeof before / sizeof(float)];
    memcpy(stats_bits, &before, sizeof before);
    for (uint32_t j = 0; j < s->outputs; j++)
        z[j] = 0.5F; /* a tie: the first class is the prediction, as numpy.argmax has it */
    for (uint32_t r = 0; r < s->rows && c->loss != TR_LOSS_SQUARED; r++)
        labels[r * LABEL_DIM] =
            (float)(fixture_random(&random) % (c->loss == TR_LOSS_SOFTMAX ? s->outputs : 2));
    if (c->loss != TR_LOSS_SQUARED)
        labels[0] = 0.0F;
    float *dstats = fixture_array(device, stats_bits, sizeof before / sizeof(float));
    float *ddz = fixture_array(device, NULL, z_n);
    struct tr_loss_args args = {
        .loss = c->loss,
        .z = fixture_array(device, z, z_n),
        .labels = fixture_array(device, labels, (size_t)s->rows * LABEL_DIM),
        .label_dim = LABEL_DIM,
        .rows = s->rows,
        .outputs = s->outputs,
        .label_mean = 0.25F,
        .label_inv_std = 3.0F,
        .gradient_scale = 0.5F,
        .dz = ddz,
        .row_loss = fixture_array(device, NULL, s->rows),
        .row_hit = fixture_array(device, NULL, s->rows),
        .stats = (struct tr_stats *)(void *)dstats,
    };
    assert_int_equal(tr_launch_loss(device, &args), 0);
    args.dz = NULL; /* evaluation: the same sums again, no gradient */
    assert_int_equal(tr_launch_loss(device, &args), 0);
    fixture_take(device, ddz, got, z_n);
    fixture_take(device, dstats, stats_bits, sizeof before / sizeof(float));
    for (uint32_t r = 0; r < s->rows; r++) {
        const float *row = z + (size_t)r * s->outputs;
        uint32_t best = 0;
        loss_sum += loss_row(&args, row, labels[r * LABEL_DIM], want);
        for (uint32_t j = 0; j < s->outputs; j++) {
            double dz = (double)got[(size_t)r * s->outputs + j];
            double bound = (32.0 + (double)s->outputs) * EPS * (1.0 + fabs(want[j]));
            assert_true(fabs(dz - 0.5 * want[j]) <= bound);
            best = row[j] > row[best] ? j : best;
        }
        if (c->loss == TR_LOSS_LOGISTIC)
            hits += (row[0] > 0.0F) == (labels[r * LABEL_DIM] > 0.5F) ? 1.0 : 0.0;
        else if (c->loss == TR_LOSS_SOFTMAX)
            hits += best == (uint32_t)labels[r * LABEL_DIM] ? 1.0 : 0.0;
    }
    struct tr_stats after;
    memcpy(&after, stats_bits, sizeof after);
    assert_true(fabs(after.loss_sum - 10.0 - 2.0 * loss_sum) <=
                64.0 * EPS * (10.0 + 2.0 * loss_sum + (double)s->rows));
    assert_true(after.correct == 3.0 + 2.0 * hits);
    assert_true(after.rows == 7.0 + 2.0 * (double)s->rows);
    fixture_take(device, (float *)(uintptr_t)args.z, NULL, z_n);
    fixture_take(device, (float *)(uintptr_t)args.labels, NULL, (size_t)s->rows * LABEL_DIM);
    fixture_take(device, args.row_loss, NULL, s->rows);
    fixture_take(device, args.row_hit, NULL, s->rows);
    free(z);
    free(labels);
    free(got);
    free(want);
}

static void check_update(struct tr_device *device, enum tr_optimizer optimizer, size_t n,
                         float clip)
{
    float *w = random_host(n, 12, 1.0F);
    float *g = random_host(n, 13, 1.0F);
    float *m = random_host(n, 14, 1.0F);
    float *v = random_host(n, 15, 1.0F);
    float *out = malloc(3 * n * sizeof *out);
    w[0] = 0.0F; /* sign(0) = 0 */
    for (size_t i = 0; i < n; i++)
        v[i] *= v[i];
    struct tr_update_args args = {
        .optimizer = optimizer,
        .w = fixture_array(device, w, n),
        .g = fixture_array(device, g, n),
        .m = fixture_array(device, m, n),
        .v = fixture_array(device, v, n),
        .n = n,
        .learning_rate = 0.125F,
        .momentum = 0.75F,
        .beta1 = 0.875F,
        .beta2 = 0.75F,
        .inv_bias1 = 4.0F,
        .inv_bias2 = 2.0F,
        .epsilon = 1e-8F,
        .wd = 0.5F,
        .l1 = 0.25F,
        .clip = clip,
    };
    assert_int_equal(tr_launch_update(device, &args), 0);
    fixture_take(device, args.w, out, n);
    fixture_take(device, args.m, out + n, n);
    fixture_take(device, args.v, out + 2 * n, n);
    fixture_take(device, (float *)(uintptr_t)args.g, NULL, n);
    for (size_t i = 0; i < n; i++) {
        double sign = (w[i] > 0.0F) - (w[i] < 0.0F);
        double gi = (double)g[i] + 0.5 * (double)w[i] + 0.25 * sign;
        if (clip > 0.0F)
            gi = fmin(fmax(gi, -(double)clip), (double)clip);
        double mi = 0.75 * (double)m[i] + gi;
        double vi = (double)v[i];
        double wi = (double)w[i] - 0.125 * mi;
        double gi_error = 4.0 * EPS; /* its terms add up to less than 2 */
        double vi_error = 0.0;
        double step_error = 8.0 * EPS;
        if (optimizer == TR_OPTIMIZER_ADAM) {
            mi = 0.875 * (double)m[i] + 0.125 * gi;
            vi = 0.75 * (double)v[i] + 0.25 * gi * gi;
            double step = 0.125 * (4.0 * mi) / (sqrt(2.0 * vi) + 1e-8);
            wi = (double)w[i] - step;
            vi_error = 0.5 * fabs(gi) * gi_error + 4.0 * EPS * vi;
            step_error =
                4.0 * EPS / sqrt(2.0 * vi) + fabs(step) * (0.5 * vi_error / vi + 8.0 * EPS);
        }
        assert_true(fabs((double)out[i] - wi) <= step_error + 2.0 * EPS * (fabs(wi) + 1.0));
        assert_true(fabs((double)out[n + i] - mi) <= 8.0 * EPS);
        assert_true(fabs((double)out[2 * n + i] - vi) <= vi_error);
    }
    free(w);
    free(g);
    free(m);
    free(v);
    free(out);
}

static void check_kernels(const char *name)
{
    static const struct loss_case cases[] = {
        {TR_LOSS_SQUARED, {1, 1, 1}, 1.0F},     {TR_LOSS_SQUARED, {333, 1, 1}, 5.0F},
        {TR_LOSS_LOGISTIC, {257, 1, 1}, 3.0F},  {TR_LOSS_LOGISTIC, {64, 1, 1}, 500.0F},
        {TR_LOSS_SOFTMAX, {1, 1, 2}, 1.0F},     {TR_LOSS_SOFTMAX, {300, 1, 10}, 4.0F},
        {TR_LOSS_SOFTMAX, {50, 1, 101}, 300.0F}};
    struct tr_device *device = fixture_device(name);
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        check_scale(device, &shapes[i]);
        check_forward(device, &shapes[i]);
        check_gradient(device, &shapes[i]);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_loss(device, &cases[i]);
    check_update(device, TR_OPTIMIZER_SGD, 1, 0.0F);
    check_update(device, TR_OPTIMIZER_SGD, 1000, 0.5F);
    check_update(device, TR_OPTIMIZER_ADAM, 7841, 0.0F);
    check_update(device, TR_OPTIMIZER_ADAM, 500, 0.75F);
    tr_device_close(&device);
    assert_null(device);
}

static void test_cpu_kernels_match_double(void **state)
{
    (void)state;
    check_kernels("cpu");
}

static void test_delayed_kernels_match_double(void **state)
{
    (void)state;
    check_kernels("delayed");
}

static void test_cuda_kernels_match_double(void **state)
{
    (void)state;
    check_kernels("cuda");
}

/* --- order ---------------------------------------------------------------------------------------
 */

/* What every device promises: an event recorded after an upload is done when the bytes are there,
 * and a stream that waits for it sees them. */
static void check_order(const char *name)
{
    enum { N = 1 << 18 };
    struct tr_device *device = fixture_device(name);
    const struct tr_device_ops *ops = device->ops;
    static float host[N];
    static float back[N];
    struct tr_event *copied;
    struct tr_event *used;
    void *memory;
    assert_int_equal(ops->alloc(device, sizeof host, &memory), 0);
    assert_int_equal(ops->event_new(device, &copied), 0);
    assert_int_equal(ops->event_new(device, &used), 0);
    assert_int_equal(ops->event_query(device, copied), 1); /* done from the start */
    for (int round = 0; round < 5; round++) {
        fixture_fill(host, N, (uint64_t)round, 1.0F);
        assert_int_equal(ops->stream_wait(device, TR_STREAM_COPY, used), 0);
        assert_int_equal(ops->upload(device, memory, host, sizeof host), 0);
        assert_int_equal(ops->event_record(device, copied, TR_STREAM_COPY), 0);
        assert_int_equal(ops->stream_wait(device, TR_STREAM_COMPUTE, copied), 0);
        assert_int_equal(ops->download(device, back, memory, sizeof back), 0);
        assert_int_equal(ops->event_record(device, used, TR_STREAM_COMPUTE), 0);
        while (ops->event_query(device, used) == 0) /* polling alone gets there */
            usleep(100);
        assert_memory_equal(host, back, sizeof host);
    }
    assert_int_equal(ops->zero(device, memory, sizeof host), 0);
    assert_int_equal(ops->download(device, back, memory, sizeof back), 0);
    assert_int_equal(ops->event_record(device, used, TR_STREAM_COMPUTE), 0);
    assert_int_equal(ops->event_wait(device, used), 0);
    memset(host, 0, sizeof host);
    assert_memory_equal(host, back, sizeof host);
    ops->event_free(device, copied);
    ops->event_free(device, used);
    ops->event_free(device, NULL);
    ops->dealloc(device, memory);
    ops->dealloc(device, NULL);
    tr_device_close(&device);
}

static void test_cpu_order(void **state)
{
    (void)state;
    check_order("cpu");
}

static void test_delayed_order(void **state)
{
    (void)state;
    check_order("delayed");
}

static void test_cuda_order(void **state)
{
    (void)state;
    check_order("cuda");
}

/* The delayed device is as inconvenient as it says: without a wait a download sees the old bytes,
 * and a copy takes what the host memory holds when somebody waits for it. */
static void test_delayed_copy_is_late(void **state)
{
    (void)state;
    struct tr_device *device = fixture_device("delayed");
    const struct tr_device_ops *ops = device->ops;
    int host = 1;
    int back = -1;
    struct tr_event *copied;
    struct tr_event *used;
    void *memory;
    assert_int_equal(ops->alloc(device, sizeof host, &memory), 0);
    assert_int_equal(ops->event_new(device, &copied), 0);
    assert_int_equal(ops->event_new(device, &used), 0);
    assert_int_equal(ops->upload(device, memory, &host, sizeof host), 0);
    assert_int_equal(ops->event_record(device, copied, TR_STREAM_COPY), 0);
    assert_int_equal(ops->event_query(device, copied), 0);
    assert_int_equal(ops->event_query(device, copied), 0);
    assert_int_equal(ops->download(device, &back, memory, sizeof back), 0);
    assert_int_equal(ops->event_record(device, used, TR_STREAM_COMPUTE), 0);
    assert_int_equal(ops->event_wait(device, used), 0);
    assert_int_equal(back, 0);
    host = 2;
    assert_int_equal(ops->event_wait(device, copied), 0);
    assert_int_equal(ops->event_query(device, copied), 1);
    assert_int_equal(ops->download(device, &back, memory, sizeof back), 0);
    assert_int_equal(ops->event_record(device, used, TR_STREAM_COMPUTE), 0);
    assert_int_equal(ops->event_wait(device, used), 0);
    assert_int_equal(back, 2);
    ops->event_free(device, copied);
    ops->event_free(device, used);
    ops->dealloc(device, memory);
    tr_device_close(&device);
}

/* --- choosing ------------------------------------------------------------------------------------
 */

static void test_open_says_which_and_why(void **state)
{
    (void)state;
    struct tr_device *device;
    char line[600];
    unsetenv("OPENBLAS_NUM_THREADS");
    assert_int_equal(tr_device_open("cpu", &device, line, sizeof line), 0);
    assert_string_equal(line, "device: cpu (OpenBLAS, 1 thread): asked for");
    tr_device_close(&device);
    setenv("OPENBLAS_NUM_THREADS", "2", 1);
    assert_int_equal(tr_device_open("cpu", &device, line, sizeof line), 0);
    assert_string_equal(line, "device: cpu (OpenBLAS, 2 threads): asked for");
    tr_device_close(&device);
    unsetenv("OPENBLAS_NUM_THREADS");
    tr_device_close(&device); /* twice is fine, and NULL too */
    tr_device_close(NULL);
    assert_int_equal(tr_device_open("gpu", &device, line, sizeof line), -1);
    assert_null(device);
    assert_string_equal(line, "there is no device 'gpu': choose auto, cpu, cuda, "
                              "cuda:NUMBER or delayed");
}

static void test_open_auto_without_plugin_falls_back_in_one_line(void **state)
{
    (void)state;
    struct tr_device *device;
    char line[600];
    char *old = getenv("PENSTOCK_CUDA_PLUGIN");
    char *kept = old ? strdup(old) : NULL;
    setenv("PENSTOCK_CUDA_PLUGIN", "/nonexistent/libpenstock_cuda.so", 1);
    assert_int_equal(tr_device_open("auto", &device, line, sizeof line), 0);
    assert_string_equal(device->ops->name, "cpu");
    assert_non_null(strstr(line, "device: cpu (OpenBLAS, 1 thread): the CUDA plug-in cannot be "
                                 "opened: /nonexistent/libpenstock_cuda.so"));
    assert_null(strchr(line, '\n'));
    tr_device_close(&device);
    assert_int_equal(tr_device_open("cuda", &device, line, sizeof line), -1);
    assert_null(device);
    assert_non_null(strstr(line, "device cuda cannot be used: the CUDA plug-in cannot be opened"));
    if (kept)
        setenv("PENSTOCK_CUDA_PLUGIN", kept, 1);
    else
        unsetenv("PENSTOCK_CUDA_PLUGIN");
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_kernels_match_double),
        cmocka_unit_test(test_delayed_kernels_match_double),
        cmocka_unit_test(test_cuda_kernels_match_double),
        cmocka_unit_test(test_cpu_order),
        cmocka_unit_test(test_delayed_order),
        cmocka_unit_test(test_cuda_order),
        cmocka_unit_test(test_delayed_copy_is_late),
        cmocka_unit_test(test_open_says_which_and_why),
        cmocka_unit_test(test_open_auto_without_plugin_falls_back_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
