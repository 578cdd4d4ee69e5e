/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_pca.c - eigenvectors against Jacobi's, and principal components of the whole
 * model against two passes and Jacobi; held-out rows, rows of few dimensions, refusals.
 */
#include "tests/unit/model_fixture.h"

#include <math.h>

#include "trainer/eigen.h"
#include "trainer/pca_ref.h"

enum { ROWS = 500, DIM = 24, COUNT = 5 };

/* Rows of which direction i has standard deviation 1.5^-i, about a point far from zero. */
static void make_rows(float *x, uint32_t rank)
{
    float factors[DIM * DIM];
    uint64_t random = 99;
    fixture_fill(factors, DIM * DIM, 7, 1.0F);
    for (uint32_t r = 0; r < ROWS; r++) {
        double row[DIM];
        for (uint32_t j = 0; j < DIM; j++)
            row[j] = 3.0 * j;
        for (uint32_t i = 0; i < rank; i++) {
            double z = (double)fixture_float(&random) * pow(1.5, -(double)i);
            for (uint32_t j = 0; j < DIM; j++)
                row[j] += z * (double)factors[i * DIM + j];
        }
        for (uint32_t j = 0; j < DIM; j++)
            x[r * DIM + j] = (float)row[j];
    }
}

static void test_eigenvectors_match_jacobis(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 24};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t n = sizes[s];
        double a[DIM * DIM] = {0.0};
        double copy[DIM * DIM];
        double vectors[DIM * DIM];
        double values[DIM];
        double got[DIM];
        uint64_t random = 3;
        struct tr_error error;
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t j = i; j < n; j++)
                a[i * n + j] = a[j * n + i] = (double)fixture_float(&random);
        }
        memcpy(copy, a, sizeof a);
        for (uint32_t i = 0; i < n; i++) { /* the lower triangle is not looked at */
            for (uint32_t j = 0; j < i; j++)
                a[i * n + j] = NAN;
        }
        tr_pca_ref_eigen(copy, n, vectors, values);
        assert_int_equal(tr_eigen_symmetric(a, n, got, &error), 0);
        for (uint32_t i = 0; i < n; i++) {
            tr_eigen_fix_sign(vectors + i * n, n);
            assert_true(fabs(got[i] - values[i]) < 1e-12 * n);
            for (uint32_t j = 0; j < n; j++)
                assert_true(fabs(a[i * n + j] - vectors[i * n + j]) < 1e-9);
        }
    }
}

static const float *array_of(const struct tr_export *arrays, const char *name)
{
    for (size_t i = 0; i < arrays->tensor_count; i++) {
        if (strcmp(arrays->tensors[i].name, name) == 0)
            return arrays->tensors[i].data;
    }
    fail_msg("no array %s", name);
    return NULL;
}

/* Trains on x and compares with the reference; values within `tolerance` of the largest. */
static void check_model(struct tr_device *device, const float *x, const char *hyper, bool subtract,
                        double tolerance)
{
    static double mean[DIM];
    static double product[DIM * DIM];
    static double vectors[DIM * DIM];
    const double zeros[DIM] = {0.0};
    double values[DIM];
    double total = 0.0;
    struct model_rows rows = {.features = x, .rows = ROWS, .dim = DIM, .batch_rows = 64};
    struct tr_error error;
    struct tr_results results;
    struct tr_results held_out;
    struct tr_export arrays = {0};
    struct tr_model *model = model_new(&tr_model_pca, device, NULL, hyper, &rows, &error);
    assert_non_null(model);
    model_pass(model, &rows, true);
    assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), 0);
    tr_pca_ref_moments(x, ROWS, DIM, subtract ? NULL : zeros, mean, product);
    tr_pca_ref_eigen(product, DIM, vectors, values);
    for (uint32_t i = 0; i < DIM; i++)
        total += values[i];
    assert_int_equal(model->ops->export_arrays(model, &arrays, &error), 0);
    const float *components = array_of(&arrays, "components");
    double explained = 0.0;
    for (uint32_t k = 0; k < COUNT; k++) {
        double cosine = 0.0;
        double singular = (double)array_of(&arrays, "singular_values")[k];
        double ratio = (double)array_of(&arrays, "explained_variance_ratio")[k];
        double variance = (double)array_of(&arrays, "explained_variance")[k];
        for (uint32_t j = 0; j < DIM; j++)
            cosine += (double)components[k * DIM + j] * vectors[k * DIM + j];
        assert_true(fabs(cosine) > 1.0 - tolerance);
        assert_true(fabs(singular - sqrt(values[k])) <= tolerance * sqrt(values[0]));
        assert_true(fabs(ratio - values[k] / total) <= tolerance);
        assert_true(fabs(variance - values[k] / (ROWS - (subtract ? 1 : 0))) <=
                    tolerance * values[0] / ROWS);
        explained += values[k];
    }
    for (uint32_t j = 0; j < DIM; j++)
        assert_true(fabs((double)array_of(&arrays, "mean")[j] - (subtract ? mean[j] : 0.0)) < 1e-5);
    assert_true(results.rows == ROWS);
    assert_true(fabs(results.loss - (total - explained) / ROWS) <= tolerance * total / ROWS);
    assert_true(fabs(results.scores[0].value - explained / total) <= tolerance);
    /* The training rows held out are explained as they were. */
    for (int pass = 0; pass < 2; pass++) {
        model_pass(model, &rows, false);
        assert_int_equal(model->ops->results(model, TR_SUMS_EVALUATE, &held_out, &error), 0);
        assert_true(held_out.rows == ROWS);
        assert_true(fabs(held_out.loss - (total - explained) / ROWS) <= tolerance * total / ROWS);
    }
    tr_export_free(&arrays);
    tr_model_free(&model);
}

static void check_device(const char *name)
{
    static float x[ROWS * DIM];
    struct tr_device *device = fixture_device(name);
    make_rows(x, DIM);
    check_model(device, x, "num_components=5 mini_batch_size=64", true, 1e-5);
    check_model(device, x, "num_components=5 mini_batch_size=64 subtract_mean=false", false, 1e-5);
    /* As wide as the features: the approximation is exact, but for rounding. */
    check_model(device, x, "num_components=5 algorithm_mode=randomized extra_components=19", true,
                1e-3);
    make_rows(x, 8); /* of rank 8 it is exact with 8 columns */
    check_model(device, x, "num_components=5 algorithm_mode=randomized extra_components=3", true,
                1e-3);
    check_model(device, x, "num_components=5 algorithm_mode=randomized subtract_mean=false", false,
                1e-3);
    tr_device_close(&device);
}

static void test_cpu_components_match_reference(void **state)
{
    (void)state;
    check_device("cpu");
}

static void test_delayed_components_match_reference(void **state)
{
    (void)state;
    check_device("delayed");
}

static void test_cuda_components_match_reference(void **state)
{
    (void)state;
    check_device("cuda");
}

/* Rows on a line have one component; the others are zeros, not noise. */
static void test_components_that_are_not_there_are_zeros(void **state)
{
    (void)state;
    static float x[ROWS * DIM];
    struct tr_device *device = fixture_device("cpu");
    struct model_rows rows = {.features = x, .rows = ROWS, .dim = DIM, .batch_rows = 100};
    struct tr_error error;
    struct tr_results results;
    struct tr_export arrays = {0};
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t j = 0; j < DIM; j++)
            x[r * DIM + j] = (float)(r % 16) * (float)(j % 4);
    }
    struct tr_model *model = model_new(&tr_model_pca, device, NULL,
                                       "num_components=3 algorithm_mode=randomized", &rows, &error);
    model_pass(model, &rows, true);
    assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), 0);
    assert_int_equal(model->ops->export_arrays(model, &arrays, &error), 0);
    assert_true(array_of(&arrays, "explained_variance_ratio")[0] > 0.999F);
    for (uint32_t j = 0; j < DIM; j++)
        assert_true(array_of(&arrays, "components")[2 * DIM + j] == 0.0F);
    tr_export_free(&arrays);
    tr_model_free(&model);
    tr_device_close(&device);
}

/* The same rows in the other order: moments to rounding, the checksum to the bit. */
static void test_the_rows_order_does_not_matter(void **state)
{
    (void)state;
    static float x[ROWS * DIM];
    static float turned[ROWS * DIM];
    struct tr_device *device = fixture_device("cpu");
    struct tr_error error;
    struct tr_results results[2];
    uint64_t counts[2];
    uint64_t sums[2];
    make_rows(x, DIM);
    for (uint32_t r = 0; r < ROWS; r++)
        memcpy(turned + r * DIM, x + (ROWS - 1 - r) * DIM, DIM * sizeof *x);
    for (int i = 0; i < 2; i++) {
        struct model_rows rows = {
            .features = i ? turned : x, .rows = ROWS, .dim = DIM, .batch_rows = i ? 33 : 100};
        struct tr_model *model =
            model_new(&tr_model_pca, device, NULL, "num_components=5", &rows, &error);
        model_pass(model, &rows, true);
        assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results[i], &error), 0);
        model->ops->seen(model, &counts[i], &sums[i]);
        tr_model_free(&model);
    }
    assert_true(counts[0] == ROWS && counts[1] == ROWS);
    assert_true(sums[0] == sums[1] && sums[0] != 0);
    assert_true(fabs(results[0].scores[0].value - results[1].scores[0].value) < 1e-6);
    tr_device_close(&device);
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    static float x[ROWS * DIM];
    struct tr_device *device = fixture_device("cpu");
    struct model_rows rows = {.features = x, .rows = ROWS, .dim = DIM, .batch_rows = 100};
    struct tr_error error;
    struct tr_results results;
    assert_null(model_new(&tr_model_pca, device, NULL, "num_components=25", &rows, &error));
    assert_non_null(strstr(error.text, "25 components of 24 features are too many"));
    make_rows(x, DIM);
    x[100 * DIM + 7] = INFINITY;
    struct tr_model *model =
        model_new(&tr_model_pca, device, NULL, "num_components=2", &rows, &error);
    model_pass(model, &rows, true);
    assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), -1);
    assert_non_null(strstr(error.text, "feature column 7 holds values that are not finite"));
    tr_model_free(&model);
    tr_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigenvectors_match_jacobis),
        cmocka_unit_test(test_cpu_components_match_reference),
        cmocka_unit_test(test_delayed_components_match_reference),
        cmocka_unit_test(test_cuda_components_match_reference),
        cmocka_unit_test(test_components_that_are_not_there_are_zeros),
        cmocka_unit_test(test_the_rows_order_does_not_matter),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
