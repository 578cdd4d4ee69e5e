/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_linear_variants.c - several models at once, weights of rows and classes, and
 * sparse rows: each model against a reference that was trained alone on dense rows.
 */
#include "tests/unit/linear_fixture.h"

#include <math.h>

#include "trainer/linear_ref.h"

struct variant {
    bool sparse;
    bool weighted;
    uint32_t models;
};

/* Entries of the rows that are not 0. */
struct entries {
    uint32_t offsets[ROWS_MAX + 1];
    uint32_t columns[ROWS_MAX * DIM_MAX];
    float values[ROWS_MAX * DIM_MAX];
};

/* Leaves a fifth of the features. */
static void make_sparse(struct problem *p, struct entries *e)
{
    uint32_t dim = p->config.dim;
    uint64_t random = 77;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->rows * dim; i++) {
        if (i % dim == 0)
            e->offsets[i / dim] = n;
        if (fixture_random(&random) % 5 > 0)
            p->features[i] = 0.0F;
        if (p->features[i] == 0.0F)
            continue;
        e->columns[n] = i % dim;
        e->values[n++] = p->features[i];
    }
    e->offsets[p->rows] = n;
    memset(p->mean, 0, sizeof p->mean); /* sparse rows are not shifted */
    p->config.sparse = true;
}

static float *put_bits(struct tr_device *device, const void *bits, size_t n)
{
    return fixture_array(device, bits, n);
}

/* Trains all models at once, and a reference with the rates of each alone. */
static void check_variant(const char *name, struct problem *p, struct variant variant)
{
    enum { STEPS = 12 };
    static struct entries e;
    static float got[DIM_MAX * OUTPUTS_MAX];
    struct tr_device *device = fixture_device(name);
    float weights[ROWS_MAX];
    float class_weights[OUTPUTS_MAX];
    float bias[OUTPUTS_MAX];
    struct tr_stats sums[TR_LINEAR_MODELS_MAX];
    struct tr_error error;
    fixture_fill(weights, ROWS_MAX, 31, 0.5F);
    fixture_fill(class_weights, OUTPUTS_MAX, 32, 0.5F);
    for (uint32_t i = 0; i < ROWS_MAX; i++)
        weights[i] += 1.0F;
    for (uint32_t i = 0; i < OUTPUTS_MAX; i++)
        class_weights[i] += 1.0F;
    p->config.models = variant.models;
    if (variant.weighted && tr_loss_is_of_classes(p->config.loss))
        p->config.class_weights = class_weights;
    if (variant.sparse)
        make_sparse(p, &e);
    uint32_t entries = variant.sparse ? e.offsets[p->rows] : 0;
    uint32_t dim = p->config.dim;
    uint32_t outputs = p->config.outputs;
    float *arrays[] = {
        put_bits(device, p->features, (size_t)p->rows * dim),
        put_bits(device, p->labels, (size_t)p->rows * LABEL_DIM),
        put_bits(device, weights, p->rows),
        put_bits(device, e.offsets, p->rows + 1U),
        put_bits(device, e.columns, entries),
        put_bits(device, e.values, entries),
    };
    const size_t counts[] = {(size_t)p->rows * dim,
                             (size_t)p->rows * LABEL_DIM,
                             p->rows,
                             p->rows + 1U,
                             entries,
                             entries};
    struct tr_linear_rows rows = rows_at(variant.sparse ? NULL : arrays[0], arrays[1], p->rows);
    rows.weights = variant.weighted ? arrays[2] : NULL;
    rows.row_offsets = variant.sparse ? (uint32_t *)(void *)arrays[3] : NULL;
    rows.columns = (uint32_t *)(void *)arrays[4];
    rows.values = arrays[5];
    rows.entries = entries;
    struct tr_linear *model = new_model(device, p);
    for (int step = 0; step < STEPS; step++)
        assert_int_equal(tr_linear_step(model, &rows, &error), 0);
    assert_int_equal(tr_linear_evaluate(model, &rows, &error), 0);
    assert_int_equal(tr_linear_read_sums(model, TR_SUMS_EVALUATE, true, sums, &error), 0);
    for (uint32_t i = 0; i < variant.models; i++) {
        struct tr_linear_config alone = p->config;
        struct tr_linear_rates rates = tr_linear_rates_of(&p->config, i);
        struct tr_ref ref;
        alone.models = 1;
        alone.learning_rate = rates.learning_rate;
        alone.wd = rates.wd;
        assert_int_equal(tr_ref_new(&alone, &ref), 0);
        ref.weights = variant.weighted ? weights : NULL;
        for (int step = 0; step < STEPS; step++) {
            tr_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, NULL);
            tr_ref_update(&ref);
        }
        double loss = tr_ref_gradient(&ref, p->features, p->labels, LABEL_DIM, p->rows, NULL);
        double unit = p->config.loss == TR_LOSS_SQUARED ? p->config.label_std : 1.0;
        loss *= unit * unit;
        assert_true(fabs(sums[i].loss_sum / sums[i].rows - loss) <= 1e-3 * (1.0 + loss));
        assert_int_equal(tr_linear_export(model, i, got, bias, &error), 0);
        for (uint32_t at = 0; at < dim * outputs; at++) {
            double want = ref.w[at] * p->config.label_std;
            want *= p->config.mean ? (double)p->inv_std[at / outputs] : 1.0;
            assert_true(fabs((double)got[at] - want) <= 1e-3 * rates.learning_rate / 0.01);
        }
        tr_ref_free(&ref);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fixture_take(device, arrays[i], NULL, counts[i]);
    tr_linear_free(&model);
    tr_device_close(&device);
}

static void check_variants(const char *name)
{
    static struct problem p;
    make_problem(&p, TR_LOSS_SOFTMAX, 200, 11, 5, true);
    check_variant(name, &p, (struct variant){false, true, 1});
    make_problem(&p, TR_LOSS_LOGISTIC, 200, 11, 1, true);
    check_variant(name, &p, (struct variant){false, true, 9});
    make_problem(&p, TR_LOSS_SOFTMAX, 300, 13, 3, false);
    check_variant(name, &p, (struct variant){false, false, 8});
    make_problem(&p, TR_LOSS_SQUARED, 200, 40, 1, false);
    check_variant(name, &p, (struct variant){true, true, 1});
    make_problem(&p, TR_LOSS_LOGISTIC, 200, 40, 1, true);
    p.config.l1 = 0.001;
    check_variant(name, &p, (struct variant){true, false, 3});
    make_problem(&p, TR_LOSS_SOFTMAX, 120, 30, 4, true);
    check_variant(name, &p, (struct variant){true, true, 2});
}

static void test_models_match_their_references(void **state)
{
    (void)state;
    check_variants("cpu");
    check_variants("delayed");
}

static void test_cuda_models_match_their_references(void **state)
{
    (void)state;
    check_variants("cuda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_match_their_references),
        cmocka_unit_test(test_cuda_models_match_their_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
