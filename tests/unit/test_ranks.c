/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_ranks.c - models in several ranks: any number of ranks that share the batches
 * makes the model that one rank makes of whole ones, but for the rounding of sums, and the same
 * bits on every rank.
 */
#include "tests/unit/ranks_fixture.h"

static void check_model(const struct tr_model_ops *ops, const char *hyper, uint32_t epochs,
                        uint32_t classes)
{
    static struct job job;
    job = (struct job){.ops = ops, .hyper = hyper, .epochs = epochs};
    job.pauses = ops == &tr_model_kmeans || ops == &tr_model_pca || ops == &tr_model_custom;
    make_rows(&job, classes);
    check_ranks(&job, false);
}

static void linear_learner(void **state)
{
    (void)state;
    check_model(&tr_model_linear,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "num_models=3 learning_rate=0.05",
                3, 3);
    check_model(&tr_model_linear,
                "predictor_type=regressor mini_batch_size=16 learning_rate=0.05 num_models=1 "
                "optimizer=sgd momentum=0.5",
                3, 0);
}

/* Each row's dropout is that of its place in the whole batch. */
static void mlp(void **state)
{
    (void)state;
    check_model(&tr_model_mlp,
                "predictor_type=multiclass_classifier num_classes=3 mini_batch_size=16 "
                "hidden_layers=16,8 dropout=0.25 learning_rate=0.01",
                3, 3);
}

/* Centres that are forgotten by and by, merged after the first pass, and moved after the others. */
static void kmeans(void **state)
{
    (void)state;
    check_model(&tr_model_kmeans,
                "k=3 mini_batch_size=16 extra_center_factor=3 half_life_time_size=40", 1, 0);
    check_model(&tr_model_kmeans, "k=3 mini_batch_size=16 init_method=kmeans++", 3, 0);
}

/* The rows and their checksum are those of all ranks, to the bit. */
static void pca(void **state)
{
    (void)state;
    check_model(&tr_model_pca, "num_components=3 mini_batch_size=16", 1, 0);
    check_model(&tr_model_pca, "num_components=2 mini_batch_size=16 subtract_mean=false", 1, 0);
    check_model(&tr_model_pca,
                "num_components=2 mini_batch_size=16 algorithm_mode=randomized extra_components=3",
                1, 0);
}

/* The update is made from the same rows in the same order: not even the rounding differs. */
static void factorization_machines(void **state)
{
    static struct job job;
    (void)state;
    job = (struct job){.ops = &tr_model_fm,
                       .hyper = "predictor_type=binary_classifier feature_dim=12 num_factors=5 "
                                "mini_batch_size=16",
                       .epochs = 3,
                       .pauses = true};
    make_rows(&job, 2);
    check_ranks(&job, true); /* dense rows */
    make_sparse(&job);
    check_ranks(&job, true);
    job.hyper = "predictor_type=regressor feature_dim=12 num_factors=3 mini_batch_size=16 "
                "rescale_grad=0.05";
    make_rows(&job, 0);
    check_ranks(&job, true);
}

/* A model of one's own: the worked example. */
static void custom(void **state)
{
    char hyper[500];
    (void)state;
    snprintf(hyper, sizeof hyper, "library=%s mini_batch_size=16 learning_rate=0.1",
             model_example());
    check_model(&tr_model_custom, hyper, 3, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_learner),
        cmocka_unit_test(mlp),
        cmocka_unit_test(kmeans),
        cmocka_unit_test(pca),
        cmocka_unit_test(factorization_machines),
        cmocka_unit_test(custom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
