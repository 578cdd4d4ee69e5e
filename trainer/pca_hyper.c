/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_hyper.c - see trainer/pca_hyper.h. */
#include "trainer/pca_hyper.h"

#include <math.h>
#include <stddef.h>

#define AT(field) offsetof(struct tr_pca_hyper, field)
#define EXTRA_LEAST 10U

static const struct tr_hyper_word modes[] = {
    {"regular", TR_PCA_REGULAR}, {"randomized", TR_PCA_RANDOMIZED}, {NULL, 0}};

static const struct tr_hyper_parameter parameters[] = {
    {"num_components", TR_HYPER_COUNT, AT(num_components), false, 1, 16777216, NULL},
    {"feature_dim", TR_HYPER_COUNT, AT(common.feature_dim), true, 1, 16777216, NULL},
    {"mini_batch_size", TR_HYPER_COUNT, AT(common.mini_batch_size), true, 1, 16777216, NULL},
    {"algorithm_mode", TR_HYPER_WORD, AT(algorithm_mode), false, 0, 0, modes},
    {"extra_components", TR_HYPER_REAL, AT(extra_components), true, -1, 16777216, NULL},
    {"subtract_mean", TR_HYPER_TRUTH, AT(subtract_mean), true, 0, 0, NULL},
    {"seed", TR_HYPER_COUNT, AT(common.seed), false, 0, 4294967295.0, NULL},
    {NULL, TR_HYPER_WORD, 0, false, 0, 0, NULL},
};

static const struct tr_hyper_fixed fixed[] = {{"epochs", "1"}, {NULL, NULL}};

static void init(void *values)
{
    *(struct tr_pca_hyper *)values = (struct tr_pca_hyper){
        .common = {.epochs = 1, .mini_batch_size = 1000},
        .extra_components = -1.0,
        .subtract_mean = TR_AUTO,
    };
}

static int check(const void *values, struct tr_error *error)
{
    const struct tr_pca_hyper *hyper = values;
    if (hyper->num_components == 0)
        return tr_fail(error, "hyperparameter num_components is required");
    if (hyper->common.feature_dim > 0 && hyper->num_components > hyper->common.feature_dim)
        return tr_fail(error,
                       "hyperparameter num_components: %u components of %u features are too many",
                       hyper->num_components, hyper->common.feature_dim);
    if (hyper->extra_components != trunc(hyper->extra_components))
        return tr_fail(error, "hyperparameter extra_components: %g is not a whole number",
                       hyper->extra_components);
    if (hyper->extra_components > 0.0 && hyper->algorithm_mode != TR_PCA_RANDOMIZED)
        return tr_fail(error, "hyperparameter extra_components is for algorithm_mode randomized");
    return 0;
}

const char *tr_pca_mode_name(const struct tr_pca_hyper *hyper)
{
    return tr_hyper_word(modes, hyper->algorithm_mode);
}

uint32_t tr_pca_width(const struct tr_pca_hyper *hyper, uint32_t dim)
{
    uint32_t extra = hyper->num_components > EXTRA_LEAST ? hyper->num_components : EXTRA_LEAST;
    if (hyper->algorithm_mode == TR_PCA_REGULAR)
        return dim;
    if (hyper->extra_components >= 0.0)
        extra = (uint32_t)hyper->extra_components;
    return hyper->num_components + extra < dim ? hyper->num_components + extra : dim;
}

const struct tr_hyper_table tr_pca_hyper_table = {
    .parameters = parameters,
    .fixed = fixed,
    .values_bytes = sizeof(struct tr_pca_hyper),
    .init = init,
    .check = check,
};
