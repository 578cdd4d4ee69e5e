/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_custom.c - the worked example of trainer/penstock_model.h behind the loop's
 * interface: what it learns against double, its checkpoints, its results, refusals.
 */
#include "tests/unit/model_fixture.h"

#include <dlfcn.h>
#include <math.h>
#include <sys/mman.h>

#include "trainer/penstock_model.h"

enum { ROWS = 300, DIM = 4, BATCH = 64, STEPS = 5 };

#define RATE 0.125

static const char *hyper_of(const char *more)
{
    static char text[500];
    snprintf(text, sizeof text, "library=%s mini_batch_size=64 %s", model_example(), more);
    return text;
}

static void make_rows(struct model_rows *rows)
{
    static float x[ROWS * DIM];
    static float y[ROWS];
    uint64_t random = 13;
    fixture_fill(x, ROWS * DIM, 3, 1.0F);
    for (uint32_t r = 0; r < ROWS; r++)
        y[r] = (float)(fixture_random(&random) % 4);
    *rows = (struct model_rows){
        .features = x, .labels = y, .rows = ROWS, .dim = DIM, .batch_rows = BATCH};
}

/* Gradient descent in double; w (DIM), and the bias after them. Returns the mean loss. */
static double reference_pass(const struct model_rows *rows, double *w, bool learn)
{
    double loss = 0.0;
    for (uint32_t at = 0; at < ROWS; at += BATCH) {
        uint32_t n = ROWS - at < BATCH ? ROWS - at : BATCH;
        double gradient[DIM + 1] = {0.0};
        for (uint32_t r = at; r < at + n; r++) {
            double z = w[DIM];
            for (uint32_t j = 0; j < DIM; j++)
                z += w[j] * (double)rows->features[r * DIM + j];
            double residual = exp(z) - (double)rows->labels[r];
            loss += exp(z) - (double)rows->labels[r] * z;
            for (uint32_t j = 0; j <= DIM; j++)
                gradient[j] += residual * (j < DIM ? (double)rows->features[r * DIM + j] : 1.0);
        }
        for (uint32_t j = 0; j <= DIM && learn; j++)
            w[j] -= RATE * gradient[j] / n;
    }
    return loss / ROWS;
}

static struct tr_export exported(struct tr_model *model)
{
    struct tr_export arrays = {0};
    struct tr_error error;
    if (model->ops->export_arrays(model, &arrays, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(arrays.tensor_count, 2);
    assert_string_equal(arrays.tensors[0].name, "weights");
    assert_string_equal(arrays.tensors[1].name, "bias");
    return arrays;
}

static void check_device(const char *name)
{
    struct tr_device *device = fixture_device(name);
    struct model_rows rows;
    struct tr_error error;
    struct tr_results results;
    double w[DIM + 1] = {0.0};
    make_rows(&rows);
    struct tr_model *model =
        model_new(&tr_model_custom, device, NULL, hyper_of("learning_rate=0.125"), &rows, &error);
    if (!model)
        fail_msg("%s", error.text);
    for (int i = 0; i < STEPS; i++) {
        double loss = reference_pass(&rows, w, true);
        model_pass(model, &rows, true);
        assert_int_equal(model->ops->results(model, TR_SUMS_TRAIN, &results, &error), 0);
        assert_true(results.rows == ROWS && fabs(results.loss - loss) < 1e-5);
        assert_true(results.score_count == 1 && !results.scores[0].is_loss);
        loss = reference_pass(&rows, w, false);
        model_pass(model, &rows, false);
        assert_int_equal(model->ops->results(model, TR_SUMS_EVALUATE, &results, &error), 0);
        assert_true(results.rows == ROWS && fabs(results.loss - loss) < 1e-5);
    }
    struct tr_export arrays = exported(model);
    for (uint32_t j = 0; j <= DIM; j++) {
        const float *data = arrays.tensors[j < DIM ? 0 : 1].data;
        assert_true(fabs((double)data[j < DIM ? j : 0] - w[j]) < 1e-5);
    }
    tr_export_free(&arrays);
    tr_model_free(&model);
    tr_device_close(&device);
}

static void test_cpu_example_matches_reference(void **state)
{
    (void)state;
    check_device("cpu");
}

static void test_delayed_example_matches_reference(void **state)
{
    (void)state;
    check_device("delayed");
}

/* A second model that was given the first one's state goes on with the same bits. */
static void test_state_goes_on_exactly(void **state)
{
    (void)state;
    struct tr_device *device = fixture_device("cpu");
    struct model_rows rows;
    struct tr_error error;
    struct tr_state_item saved[TR_TENSORS_MAX];
    struct tr_state_item items[TR_TENSORS_MAX];
    struct tr_results results[2];
    make_rows(&rows);
    const char *hyper = hyper_of("learning_rate=0.125");
    struct tr_model *first = model_new(&tr_model_custom, device, NULL, hyper, &rows, &error);
    struct tr_model *second = model_new(&tr_model_custom, device, NULL, hyper, &rows, &error);
    model_pass(first, &rows, true);
    size_t count = first->ops->state(first, saved);
    assert_int_equal(count, 5); /* weights, bias, sums under way; hyperparameters and rows */
    assert_int_equal(second->ops->state(second, items), count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(items[i].name, saved[i].name);
        assert_false(items[i].on_device);
        assert_int_equal(items[i].len_bytes, saved[i].len_bytes);
        memcpy(items[i].memory, saved[i].memory, items[i].len_bytes);
    }
    assert_int_equal(second->ops->restored(second, &error), 0);
    model_pass(first, &rows, true);
    model_pass(second, &rows, true);
    assert_int_equal(first->ops->results(first, TR_SUMS_TRAIN, &results[0], &error), 0);
    assert_int_equal(second->ops->results(second, TR_SUMS_TRAIN, &results[1], &error), 0);
    assert_true(results[0].loss == results[1].loss);
    struct tr_export a = exported(first);
    struct tr_export b = exported(second);
    assert_memory_equal(a.tensors[0].data, b.tensors[0].data, DIM * sizeof(float));
    assert_true(a.tensors[1].data[0] == b.tensors[1].data[0] && a.tensors[1].data[0] != 0.0F);
    tr_export_free(&a);
    tr_export_free(&b);
    tr_model_free(&second);
    second =
        model_new(&tr_model_custom, device, NULL, hyper_of("learning_rate=0.5"), &rows, &error);
    assert_int_equal(second->ops->state(second, items), count);
    memcpy(items[3].memory, saved[3].memory, items[3].len_bytes);
    assert_int_equal(second->ops->restored(second, &error), -1);
    assert_non_null(strstr(error.text, "hyperparameter learning_rate than 0.5"));
    tr_model_free(&first);
    tr_model_free(&second);
    tr_device_close(&device);
}

static void refused(struct model_rows *rows, const char *hyper, const char *message)
{
    struct tr_device *device = fixture_device("cpu");
    struct tr_error error = {.text = ""};
    assert_null(model_new(&tr_model_custom, device, NULL, hyper, rows, &error));
    if (!strstr(error.text, message))
        fail_msg("'%s' is not in '%s'", message, error.text);
    tr_device_close(&device);
}

static void test_what_the_library_refuses_is_said(void **state)
{
    (void)state;
    struct model_rows rows;
    make_rows(&rows);
    refused(&rows, hyper_of("learning_rate=-1"),
            "init of poisson-regression failed: learning_rate: '-1' is not a positive number");
    refused(&rows, hyper_of("momentum=1"), "failed: hyperparameter 'momentum' is unknown");
    refused(&rows, "library=/nonexistent/model.so",
            "hyperparameter library: /nonexistent/model.so");
    rows.labels = NULL;
    refused(&rows, hyper_of(""), "the train channel has no labels, which ");
}

/* The example's table, made writable: the library stays open, so that models get this one. */
static struct penstock_model_ops *open_table(void **library)
{
    const struct penstock_model_ops *(*entry)(void);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *library = dlopen(model_example(), RTLD_NOW | RTLD_LOCAL);
    assert_non_null(*library);
    void *symbol = dlsym(*library, "penstock_model");
    memcpy(&entry, &symbol, sizeof entry);
    uintptr_t at = (uintptr_t)entry();
    void *begin = (void *)(at / page * page);
    assert_int_equal(mprotect(begin, at + sizeof(struct penstock_model_ops) - (uintptr_t)begin,
                              PROT_READ | PROT_WRITE),
                     0);
    return (struct penstock_model_ops *)at;
}

/* A library of version 1, or one that does not say that it can, trains in a run of one rank alone.
 */
static void test_a_model_for_one_rank_is_refused_in_several(void **state)
{
    (void)state;
    struct tr_device *device = fixture_device("cpu");
    struct tr_group pair = {.count = 2};
    struct model_rows rows;
    struct tr_error error;
    void *library;
    struct penstock_model_ops *table = open_table(&library);
    const struct penstock_model_ops before = *table;
    make_rows(&rows);
    for (int i = 0; i < 2; i++) {
        *table = before;
        if (i == 0)
            table->takes &= ~PENSTOCK_MODEL_RANKS;
        else
            table->abi = 1;
        assert_null(model_new(&tr_model_custom, device, &pair, hyper_of(""), &rows, &error));
        assert_non_null(strstr(error.text, "is a model for one rank, and this run has 2"));
        struct tr_model *model =
            model_new(&tr_model_custom, device, NULL, hyper_of(""), &rows, &error);
        assert_non_null(model);
        model_pass(model, &rows, true);
        tr_model_free(&model);
    }
    *table = before;
    dlclose(library);
    tr_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_example_matches_reference),
        cmocka_unit_test(test_delayed_example_matches_reference),
        cmocka_unit_test(test_state_goes_on_exactly),
        cmocka_unit_test(test_what_the_library_refuses_is_said),
        cmocka_unit_test(test_a_model_for_one_rank_is_refused_in_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
