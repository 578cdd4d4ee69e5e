/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kmeans_hyper.c - see trainer/kmeans_hyper.h. Names and defaults: "K-Means
 * Hyperparameters" in the Amazon SageMaker developer guide.
 */
#include "trainer/kmeans_hyper.h"

#include <stddef.h>

#define AT(field) offsetof(struct tr_kmeans_hyper, field)

/* Where SageMaker's default is "auto": ten centres for one, but about a thousand at most, or
 * merging them would take longer than finding them. */
#define AUTO_FACTOR 10U
#define AUTO_CENTRES 1000U
#define AUTO_FACTOR_LEAST 2U
#define AUTO_TRIALS 50U
#define AUTO_TRIALS_MANY 5U
#define MANY_PAIRS 10000U /* of a centre of the first pass and one of the result */

static const struct tr_hyper_word inits[] = {
    {"random", TR_KMEANS_RANDOM}, {"kmeans++", TR_KMEANS_PLUS_PLUS}, {NULL, 0}};

static const struct tr_hyper_word metrics[] = {
    {"msd", TR_KMEANS_MSD},
    {"ssd", TR_KMEANS_SSD},
    {"[\"msd\"]", TR_KMEANS_MSD},
    {"[\"ssd\"]", TR_KMEANS_SSD},
    {"[\"msd\",\"ssd\"]", TR_KMEANS_MSD | TR_KMEANS_SSD},
    {"[\"msd\", \"ssd\"]", TR_KMEANS_MSD | TR_KMEANS_SSD},
    {"[\"ssd\",\"msd\"]", TR_KMEANS_MSD | TR_KMEANS_SSD},
    {"[\"ssd\", \"msd\"]", TR_KMEANS_MSD | TR_KMEANS_SSD},
    {NULL, 0}};

static const struct tr_hyper_parameter parameters[] = {
    {"k", TR_HYPER_COUNT, AT(k), false, 1, 1e6, NULL},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"epochs", TR_HYPER_COUNT, AT(common.epochs), false, 1, 1e6, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"init_method", TR_HYPER_WORD, AT(init_method), false, 0, 0, inits},
    {"extra_center_factor", TR_HYPER_COUNT, AT(extra_center_factor), true, 1, 1000, NULL},
    {"half_life_time_size", TR_HYPER_COUNT, AT(half_life_time_size), true, 0, 4294967295.0, NULL},
    {"local_lloyd_init_method", TR_HYPER_WORD, AT(local_lloyd_init_method), false, 0, 0, inits},
    {"local_lloyd_max_iter", TR_HYPER_COUNT, AT(local_lloyd_max_iter), true, 1, 1e6, NULL},
    {"local_lloyd_num_trials", TR_HYPER_COUNT, AT(local_lloyd_num_trials), true, 1, 1000, NULL},
    {"local_lloyd_tol", TR_HYPER_REAL, AT(local_lloyd_tol), true, 0, 1, NULL},
    {"eval_metrics", TR_HYPER_WORD, AT(eval_metrics), false, 0, 0, metrics},
    {"seed", TR_HYPER_COUNT, AT(common.seed), false, 0, 4294967295.0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static void init(void *values)
{
    *(struct tr_kmeans_hyper *)values = (struct tr_kmeans_hyper){
        .common = {.epochs = 1, .mini_batch_size = 5000},
        .init_method = TR_KMEANS_RANDOM,
        .local_lloyd_init_method = TR_KMEANS_PLUS_PLUS,
        .local_lloyd_max_iter = 300,
        .local_lloyd_tol = 0.0001,
        .eval_metrics = TR_KMEANS_MSD,
    };
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_kmeans_hyper *hyper = values;
    if (hyper->k == 0)
        return tr_fail(error, "hyperparameter k is required: the number of clusters");
    if ((double)hyper->k * (double)tr_kmeans_centres(hyper) > 1e12)
        return tr_fail(error, "hyperparameter extra_center_factor: %u x %u centres are too many",
                       hyper->extra_center_factor, hyper->k);
    return 0;
}

uint32_t tr_kmeans_centres(const struct tr_kmeans_hyper *hyper)
{
    uint32_t factor = AUTO_CENTRES / hyper->k;
    if (hyper->extra_center_factor > 0)
        return hyper->k * hyper->extra_center_factor;
    factor = factor > AUTO_FACTOR ? AUTO_FACTOR : factor;
    return hyper->k * (factor < AUTO_FACTOR_LEAST ? AUTO_FACTOR_LEAST : factor);
}

uint32_t tr_kmeans_trials(const struct tr_kmeans_hyper *hyper, uint32_t centres)
{
    if (hyper->local_lloyd_num_trials > 0)
        return hyper->local_lloyd_num_trials;
    return (uint64_t)centres * hyper->k <= MANY_PAIRS ? AUTO_TRIALS : AUTO_TRIALS_MANY;
}

const char *tr_kmeans_init_name(int init_method)
{
    return tr_hyper_word(inits, init_method);
}

const struct tr_hyper_table tr_kmeans_hyper_table = {
    .parameters = parameters,
    .fixed = NULL,
    .values_bytes = sizeof(struct tr_kmeans_hyper),
    .init = init,
    .check = check,
};
