/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_ranks.c - models in several ranks: any number of ranks that share the batches
 * makes the model that one rank makes of whole ones, but for the rounding of sums, and the same
 * bits on every rank.
 */
#include "tests/unit/ranks_fixture.h"

/* The state of a test is the devices that it runs on. */
static const char *const host_devices[2] = {"cpu", "delayed"};
static const char *const gpu[2] = {"cuda", NULL};

static void check_model(void *const *state, const struct tr_model_ops *ops, const char *hyper,
                        uint32_t epochs, uint32_t classes)
{
    static struct job job;
    job = (struct job){.ops = ops, .hyper = hyper, .epochs = epochs};
    job.pauses = ops == &tr_model_kmeans || ops == &tr_model_pca || ops == &tr_model_custom;
    make_rows(&job, classes);
    check_ranks(&job, *state, false);
}

static void linear_learner(void **state)
{
    check_model(state, &tr_model_linear,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "num_models=3 learning_rate=0.05",
                3, 3);
    check_model(state, &tr_model_linear,
                "predictor_type=regressor mini_batch_size=16 learning_rate=0.05 num_models=1 "
                "optimizer=sgd momentum=0.5",
                3, 0);
}

/* Each row's dropout is that of its place in the whole batch. */
static void mlp(void **state)
{
    check_model(state, &tr_model_mlp,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "hidden_layers=16,8 dropout=0.25 learning_rate=0.01",
                3, 3);
}

/* Centres that are forgotten by and by, merged after the first pass, and moved after the others. */
static void kmeans(void **state)
{
    check_model(state, &tr_model_kmeans,
                "k=3 mini_batch_size=16 extra_center_factor=3 half_life_time_size=40", 1, 0);
    check_model(state, &tr_model_kmeans, "k=3 mini_batch_size=16 init_method=kmeans++", 3, 0);
}

/* The rows and their checksum are those of all ranks, to the bit. */
static void pca(void **state)
{
    check_model(state, &tr_model_pca, "num_components=3 mini_batch_size=16", 1, 0);
    check_model(state, &tr_model_pca, "num_components=2 mini_batch_size=16 subtract_mean=false", 1,
                0);
    check_model(state, &tr_model_pca,
                "num_components=2 mini_batch_size=16 algorithm_mode=randomized extra_components=3",
                1, 0);
}

/* The update is made from the same rows in the same order: not even the rounding differs. */
static void factorization_machines(void **state)
{
    static struct job job;
    job = (struct job){.ops = &tr_model_fm,
                       .hyper = "predictor_type=binary_classifier feature_dim=12 num_factors=5 "
                                "mini_batch_size=16",
                       .epochs = 3,
                       .pauses = true};
    make_rows(&job, 2);
    check_ranks(&job, *state, true); /* dense rows */
    make_sparse(&job);
    check_ranks(&job, *state, true);
    job.hyper = "predictor_type=regressor feature_dim=12 num_factors=3 mini_batch_size=16 "
                "rescale_grad=0.05";
    make_rows(&job, 0);
    check_ranks(&job, *state, true);
}

/* A model of one's own: the worked example. */
static void custom(void **state)
{
    char hyper[500];
    snprintf(hyper, sizeof hyper, "library=%s mini_batch_size=16 learning_rate=0.1",
             model_example());
    check_model(state, &tr_model_custom, hyper, 3, 4);
}

/* --- ranks that fail -----------------------------------------------------------------------------
 */

/* The other rank tells less than there can be. */
static int gather_too_little(struct tr_group *group, const void *bytes, size_t len_bytes,
                             struct tr_gathered *to, struct tr_error *error)
{
    (void)group;
    (void)error;
    to->bytes = calloc(1, len_bytes + 8);
    to->begins = calloc(3, sizeof *to->begins);
    assert_true(to->bytes && to->begins);
    memcpy(to->bytes, bytes, len_bytes);
    to->begins[1] = len_bytes;
    to->begins[2] = len_bytes + 8;
    return 0;
}

static int sum_fails(struct tr_group *group, void *values, size_t n, enum tr_number type,
                     struct tr_error *error)
{
    (void)group;
    (void)values;
    (void)n;
    (void)type;
    return tr_fail(error, "rank 1 has not been heard for 60 s");
}

static void check_failure(const struct tr_model_ops *ops, const char *hyper, const char *message)
{
    static const struct tr_group_ops failing = {.gather = gather_too_little, .sum = sum_fails};
    static struct job job;
    struct tr_group group = {.ops = &failing, .count = 2};
    struct tr_device *device = fixture_device("cpu");
    struct tr_error error = {.text = ""};
    job = (struct job){.ops = ops, .hyper = hyper};
    make_rows(&job, 2);
    struct tr_model *model = make_model(&job, &group, device);
    const struct penstock_batch host = share_of(&job, &group, 0);
    const struct tr_device_batch batch = {
        .features = host.features, .labels = host.labels, .data = host.data, .host = &host};
    assert_int_equal(tr_model_step(model, &batch, &error), -1);
    assert_string_equal(error.text, message);
    tr_model_free(&model);
    tr_device_close(&device);
}

static void a_rank_that_fails_is_named(void **state)
{
    char hyper[500];
    (void)state;
    snprintf(hyper, sizeof hyper, "library=%s mini_batch_size=16", model_example());
    check_failure(&tr_model_custom, hyper, "rank 1 has not been heard for 60 s");
    check_failure(&tr_model_kmeans, "k=3 mini_batch_size=16", "rank 1 has not been heard for 60 s");
    check_failure(&tr_model_fm,
                  "predictor_type=regressor feature_dim=12 num_factors=3 mini_batch_size=16",
                  "rank 1 told its rows in 8 bytes, which is no way to do it");
}

#define ON(devices, name, test)                                                                    \
    {                                                                                              \
        name, test, NULL, NULL, (void *)(uintptr_t)devices                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(host_devices, "linear_learner", linear_learner),
        ON(host_devices, "mlp", mlp),
        ON(host_devices, "kmeans", kmeans),
        ON(host_devices, "pca", pca),
        ON(host_devices, "factorization_machines", factorization_machines),
        ON(host_devices, "custom", custom),
        cmocka_unit_test(a_rank_that_fails_is_named),
        ON(gpu, "cuda_linear_learner", linear_learner),
        ON(gpu, "cuda_mlp", mlp),
        ON(gpu, "cuda_kmeans", kmeans),
        ON(gpu, "cuda_pca", pca),
        ON(gpu, "cuda_factorization_machines", factorization_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
