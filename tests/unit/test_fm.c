/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_fm.c - factorization machines against their definition in double, the
 * definition's gradient against finite differences; sparse rows against the same rows dense, and
 * the sort.
 */
#include "tests/unit/trainer_fixture.h"

#include <float.h>
#include <math.h>

#include "trainer/fm.h"
#include "trainer/fm_ref.h"
#include "trainer/sparse_kernels.h"

enum { ROWS = 120, ENTRIES_MAX = 4800 };

/* Rows of some entries each, some empty, some columns twice, and one that every row has. */
struct problem {
    struct tr_fm_config config;
    uint32_t rows;
    uint32_t offsets[ROWS + 1];
    uint32_t columns[ENTRIES_MAX];
    float values[ENTRIES_MAX];
    float labels[ROWS];
};

static void make_problem(struct problem *p, enum tr_loss loss, uint32_t rows, uint32_t dim,
                         uint32_t factor_count)
{
    uint64_t random = rows + dim * 1000ULL + factor_count;
    uint32_t entries = 0;
    p->rows = rows;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t count = (uint32_t)(fixture_random(&random) % 40);
        p->offsets[r] = entries;
        for (uint32_t i = 0; i < count; i++) {
            p->columns[entries] = i == 0 ? dim - 1 : (uint32_t)(fixture_random(&random) % dim);
            p->values[entries++] = fixture_float(&random);
        }
        p->labels[r] = loss == TR_LOSS_LOGISTIC ? (float)(fixture_random(&random) % 2)
                                                : 3.0F * fixture_float(&random);
    }
    p->offsets[rows] = entries;
    p->config = (struct tr_fm_config){
        .loss = loss,
        .dim = dim,
        .factor_count = factor_count,
        .batch_rows = ROWS,
        .optimizer = TR_OPTIMIZER_ADAM,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
        .groups = {[TR_FM_BIAS] = {TR_FM_NORMAL, 0.5, 0, 0, 0.01, 0.01},
                   [TR_FM_LINEAR] = {TR_FM_UNIFORM, 0, 0.5, 0, 0.02, 0.001},
                   [TR_FM_FACTORS] = {TR_FM_NORMAL, 0.3, 0, 0, 0.005, 0.0001}},
        .seed = 7,
    };
}

static struct tr_fm_rows rows_of(const struct problem *p)
{
    return (struct tr_fm_rows){p->offsets, p->columns, p->values, p->labels, p->rows};
}

/* --- batches on the device -----------------------------------------------------------------------
 */

struct on_device {
    struct tr_device_batch batch;
    struct penstock_batch host;
    float *arrays[4];
    size_t counts[4];
};

static const float *put(struct tr_device *device, struct on_device *d, size_t i, const void *bits,
                        size_t n)
{
    d->counts[i] = n;
    d->arrays[i] = fixture_array(device, bits, n);
    return d->arrays[i];
}

static void put_sparse(struct tr_device *device, const struct problem *p, struct on_device *d)
{
    uint32_t entries = p->offsets[p->rows];
    *d = (struct on_device){.host = {.rows = p->rows,
                                     .feature_dim = p->config.dim,
                                     .label_dim = 1,
                                     .labels = p->labels,
                                     .row_offsets = p->offsets,
                                     .columns = p->columns,
                                     .values = p->values}};
    d->batch.host = &d->host;
    d->batch.labels = put(device, d, 0, p->labels, p->rows);
    d->batch.values = put(device, d, 1, p->values, entries);
    d->batch.columns = (const uint32_t *)(const void *)put(device, d, 2, p->columns, entries);
    d->batch.row_offsets =
        (const uint32_t *)(const void *)put(device, d, 3, p->offsets, p->rows + 1U);
}

static void drop(struct tr_device *device, struct on_device *d)
{
    for (size_t i = 0; i < 4 && d->arrays[i]; i++)
        fixture_take(device, d->arrays[i], NULL, d->counts[i]);
}

static struct tr_fm *new_model(struct tr_device *device, const struct problem *p)
{
    struct tr_fm *model;
    struct tr_error error;
    if (tr_fm_new(device, &p->config, &model, &error) < 0)
        fail_msg("%s", error.text);
    return model;
}

/* All weights in the order of the reference. */
static float *weights_of(struct tr_fm *model, const struct tr_fm_config *c)
{
    struct tr_error error;
    float *w = malloc((1 + c->dim + (size_t)c->dim * c->factor_count) * sizeof *w);
    assert_non_null(w);
    if (tr_fm_export(model, w, w + 1, w + 1 + c->dim, &error) < 0)
        fail_msg("%s", error.text);
    return w;
}

/* --- the reference -------------------------------------------------------------------------------
 */

/* Central differences of the mean loss: error about h^2 from the third derivative and eps / h from
 * rounding, both below 1e-8 at h = 1e-5. */
static void check_finite_differences(enum tr_loss loss)
{
    static struct problem p;
    struct tr_fm_ref ref;
    const double h = 1e-5;
    make_problem(&p, loss, 20, 9, 3);
    struct tr_fm_rows rows = rows_of(&p);
    assert_int_equal(tr_fm_ref_new(&p.config, &ref), 0);
    for (size_t i = 0; i < ref.n; i++) {
        double w = ref.w[i];
        ref.w[i] = w + h;
        double above = tr_fm_ref_gradient(&ref, &rows);
        ref.w[i] = w - h;
        double below = tr_fm_ref_gradient(&ref, &rows);
        ref.w[i] = w;
        tr_fm_ref_gradient(&ref, &rows);
        double difference = (above - below) / (2.0 * h) / (double)rows.rows;
        assert_true(fabs(ref.g[i] - difference) <= 1e-7 * (1.0 + fabs(difference)));
    }
    tr_fm_ref_free(&ref);
}

static void test_reference_gradient_matches_finite_differences(void **state)
{
    (void)state;
    check_finite_differences(TR_LOSS_SQUARED);
    check_finite_differences(TR_LOSS_LOGISTIC);
}

/* --- devices against the reference ---------------------------------------------------------------
 */

/* One SGD step of a rate that is a power of two shows the gradient: w0 - w1 = rate g. */
static void check_gradient(struct tr_device *device, enum tr_loss loss, uint32_t rows, uint32_t dim,
                           uint32_t factor_count)
{
    static struct problem p;
    struct tr_fm_ref ref;
    struct on_device d;
    struct tr_stats sums;
    struct tr_error error;
    make_problem(&p, loss, rows, dim, factor_count);
    p.config.optimizer = TR_OPTIMIZER_SGD;
    for (int i = 0; i < TR_FM_GROUP_COUNT; i++) {
        p.config.groups[i].learning_rate = 1.0 / 16.0;
        p.config.groups[i].wd = 0.0;
    }
    struct tr_fm_rows host_rows = rows_of(&p);
    struct tr_fm *model = new_model(device, &p);
    put_sparse(device, &p, &d);
    assert_int_equal(tr_fm_step(model, &d.batch, &error), 0);
    float *w = weights_of(model, &p.config);
    assert_int_equal(tr_fm_read_sums(model, TR_SUMS_TRAIN, true, &sums, &error), 0);
    assert_int_equal(tr_fm_ref_new(&p.config, &ref), 0);
    double want = tr_fm_ref_gradient(&ref, &host_rows);
    assert_true(sums.rows == (double)rows);
    assert_true(fabs(sums.loss_sum - want) <= 1e-5 * (want + (double)rows));
    for (size_t i = 0; i < ref.n; i++) {
        double bound = ref.g_error[i] + 16.0 * (double)FLT_EPSILON * fabs((double)w[i]);
        assert_true(fabs((ref.w[i] - (double)w[i]) * 16.0 - ref.g[i]) <= bound);
    }
    tr_fm_ref_free(&ref);
    free(w);
    drop(device, &d);
    tr_fm_free(&model);
}

static void check_gradients(const char *name)
{
    struct tr_device *device = fixture_device(name);
    for (int logistic = 0; logistic < 2; logistic++) {
        enum tr_loss loss = logistic ? TR_LOSS_LOGISTIC : TR_LOSS_SQUARED;
        check_gradient(device, loss, 1, 1, 1);
        check_gradient(device, loss, 7, 5, 2);
        check_gradient(device, loss, 100, 40, 64);
        check_gradient(device, loss, ROWS, 300, 65); /* two digits of columns, two chunks */
        check_gradient(device, loss, ROWS, 66000, 3);
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

/* Adam divides by the gradient's size: an error of 1e-6 in it stays one of about 1e-6 x rate in the
 * weights where the gradient is not near zero. The lazy update shows in columns that are missing
 * from every other batch. */
static void check_training(const char *name, enum tr_loss loss, double clip, double row_rate)
{
    static struct problem p[2];
    struct tr_fm_ref ref;
    struct on_device d[2];
    struct tr_error error;
    struct tr_device *device = fixture_device(name);
    make_problem(&p[0], loss, ROWS, 200, 6);
    make_problem(&p[1], loss, 30, 200, 6); /* few rows: many columns are missing */
    p[0].config.clip = clip;
    p[0].config.row_rate = row_rate;
    p[0].config.epsilon = 1e-4; /* gradients of nothing but rounding take no step */
    assert_int_equal(tr_fm_ref_new(&p[0].config, &ref), 0);
    struct tr_fm *model = new_model(device, &p[0]);
    for (int i = 0; i < 2; i++)
        put_sparse(device, &p[i], &d[i]);
    for (int step = 0; step < 40; step++) {
        struct tr_fm_rows rows = rows_of(&p[step % 2]);
        assert_int_equal(tr_fm_step(model, &d[step % 2].batch, &error), 0);
        tr_fm_ref_gradient(&ref, &rows);
        tr_fm_ref_update(&ref);
    }
    float *w = weights_of(model, &p[0].config);
    for (size_t i = 0; i < ref.n; i++)
        assert_true(fabs((double)w[i] - ref.w[i]) <= 1e-4);
    free(w);
    tr_fm_ref_free(&ref);
    for (int i = 0; i < 2; i++)
        drop(device, &d[i]);
    tr_fm_free(&model);
    tr_device_close(&device);
}

static void test_training_matches_reference_with_every_option(void **state)
{
    (void)state;
    check_training("cpu", TR_LOSS_SQUARED, 0.0, 0.0);
    check_training("delayed", TR_LOSS_LOGISTIC, 0.01, 0.0);
    check_training("cpu", TR_LOSS_SQUARED, 0.0, 0.02);
}

static void test_cuda_training_matches_reference(void **state)
{
    (void)state;
    check_training("cuda", TR_LOSS_SQUARED, 0.0, 0.0);
    check_training("cuda", TR_LOSS_LOGISTIC, 0.01, 0.0);
}

/* --- dense rows, the same bits -------------------------------------------------------------------
 */

/* Dense rows are sparse rows with every column: the same model, bit for bit, on either device. */
static void test_dense_rows_are_sparse_rows_with_every_column(void **state)
{
    (void)state;
    enum { DIM = 13, STEPS = 5 };
    static struct problem p;
    static const char *const names[] = {"cpu", "delayed", "cpu", "delayed"};
    float *first = NULL;
    struct tr_error error;
    make_problem(&p, TR_LOSS_SQUARED, ROWS, DIM, 5);
    fixture_fill(p.values, ROWS * DIM, 3, 1.0F);
    for (uint32_t i = 0; i < ROWS * DIM; i++)
        p.columns[i] = i % DIM;
    for (uint32_t i = 0; i <= ROWS; i++)
        p.offsets[i] = i * DIM;
    for (int run = 0; run < 4; run++) {
        struct tr_device *device = fixture_device(names[run]);
        struct tr_fm *model = new_model(device, &p);
        struct on_device d;
        put_sparse(device, &p, &d);
        if (run >= 2) {
            d.batch.features = d.batch.values;
            d.batch.row_offsets = NULL;
        }
        for (int step = 0; step < STEPS; step++) {
            d.host.rows = step == STEPS - 1 ? 17 : ROWS; /* a short last batch */
            assert_int_equal(tr_fm_step(model, &d.batch, &error), 0);
        }
        float *w = weights_of(model, &p.config);
        if (first)
            assert_memory_equal(first, w, (1 + DIM + DIM * 5) * sizeof *w);
        drop(device, &d);
        tr_fm_free(&model);
        tr_device_close(&device);
        if (first)
            free(w);
        else
            first = w;
    }
    free(first);
}

static void test_evaluation_leaves_training_alone(void **state)
{
    (void)state;
    static struct problem p;
    struct tr_device *device = fixture_device("delayed");
    struct on_device d;
    struct tr_stats sums;
    struct tr_error error;
    make_problem(&p, TR_LOSS_LOGISTIC, ROWS, 50, 4);
    struct tr_fm *model = new_model(device, &p);
    put_sparse(device, &p, &d);
    float *before = weights_of(model, &p.config);
    assert_int_equal(tr_fm_evaluate(model, &d.batch, &error), 0);
    float *after = weights_of(model, &p.config);
    assert_memory_equal(before, after, (1 + 50 + 50 * 4) * sizeof *before);
    assert_int_equal(tr_fm_read_sums(model, TR_SUMS_TRAIN, true, &sums, &error), 0);
    assert_true(sums.rows == 0.0);
    assert_int_equal(tr_fm_read_sums(model, TR_SUMS_EVALUATE, true, &sums, &error), 0);
    assert_true(sums.rows == ROWS);
    assert_true(sums.true_positive + sums.false_positive + sums.false_negative <= ROWS);
    free(before);
    free(after);
    drop(device, &d);
    tr_fm_free(&model);
    tr_fm_free(&model);
    tr_device_close(&device);
}

/* --- the sort ------------------------------------------------------------------------------------
 */

static void check_order(struct tr_device *device, uint32_t rows, uint32_t dim)
{
    static struct problem p;
    static uint32_t got[3][ENTRIES_MAX];
    float *out[6];
    make_problem(&p, TR_LOSS_SQUARED, rows, dim, 1);
    uint32_t entries = p.offsets[rows];
    for (int i = 0; i < 6; i++)
        out[i] = fixture_array(device, NULL, i < 5 ? entries : TR_CSR_COUNTS(entries));
    float *offsets = fixture_array(device, (const float *)(const void *)p.offsets, rows + 1U);
    float *columns = fixture_array(device, (const float *)(const void *)p.columns, entries);
    struct tr_csr_order_args args = {
        .row_offsets = (uint32_t *)(void *)offsets,
        .columns = (uint32_t *)(void *)columns,
        .rows = rows,
        .entries = entries,
        .dim = dim,
        .sorted_columns = (uint32_t *)(void *)out[0],
        .sorted_entries = (uint32_t *)(void *)out[1],
        .entry_rows = (uint32_t *)(void *)out[2],
        .spare_columns = (uint32_t *)(void *)out[3],
        .spare_entries = (uint32_t *)(void *)out[4],
        .counts = (uint32_t *)(void *)out[5],
    };
    assert_int_equal(tr_launch_csr_order(device, &args), 0);
    for (int i = 0; i < 6; i++)
        fixture_take(device, out[i], i < 3 ? (float *)(void *)got[i] : NULL,
                     i < 5 ? entries : TR_CSR_COUNTS(entries));
    fixture_take(device, offsets, NULL, rows + 1U);
    fixture_take(device, columns, NULL, entries);
    for (uint32_t i = 0; i < entries; i++) {
        uint32_t entry = got[1][i];
        uint32_t row = got[2][i];
        assert_true(entry < entries && got[0][i] == p.columns[entry]);
        assert_true(i == 0 || got[0][i - 1] < got[0][i] ||
                    (got[0][i - 1] == got[0][i] && got[1][i - 1] < entry));
        assert_true(row < rows && p.offsets[row] <= i && i < p.offsets[row + 1]);
    }
}

static void check_orders(const char *name)
{
    struct tr_device *device = fixture_device(name);
    check_order(device, 3, 1);
    check_order(device, ROWS, 256);
    check_order(device, ROWS, 257);
    check_order(device, ROWS, 65536);
    check_order(device, ROWS, 65537);
    check_order(device, ROWS, 16777216);
    check_order(device, ROWS, UINT32_MAX);
    tr_device_close(&device);
}

static void test_cpu_sorts_entries(void **state)
{
    (void)state;
    check_orders("cpu");
}

static void test_cuda_sorts_entries(void **state)
{
    (void)state;
    check_orders("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_cpu_gradients_match_reference),
        cmocka_unit_test(test_delayed_gradients_match_reference),
        cmocka_unit_test(test_cuda_gradients_match_reference),
        cmocka_unit_test(test_training_matches_reference_with_every_option),
        cmocka_unit_test(test_cuda_training_matches_reference),
        cmocka_unit_test(test_dense_rows_are_sparse_rows_with_every_column),
        cmocka_unit_test(test_evaluation_leaves_training_alone),
        cmocka_unit_test(test_cpu_sorts_entries),
        cmocka_unit_test(test_cuda_sorts_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
