/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_head.c - see trainer/linear_head.h. */
#include "trainer/linear_head.h"

#include "trainer/scaler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static bool balances(const struct tr_linear_hyper *hyper)
{
    return hyper->balance_multiclass_weights == TR_TRUE ||
           hyper->positive_example_weight_mult == (double)TR_LINEAR_BALANCED;
}

uint64_t tr_linear_head_rows(const void *values)
{
    const struct tr_linear_hyper *hyper = values;
    bool learns = tr_predictor_scales_features(&hyper->predictor) ||
                  tr_predictor_scales_labels(&hyper->predictor) || balances(hyper);
    return learns ? hyper->predictor.num_point_for_scaler : 1;
}

/* Calls `take` with each batch of the head and how many of its rows count. */
static void scan_head(const struct tr_setup *setup,
                      void (*take)(void *cookie, const struct penstock_batch *batch, uint32_t rows),
                      void *cookie)
{
    uint64_t left = ((const struct tr_predictor_hyper *)setup->hyper)->num_point_for_scaler;
    const struct penstock_batch *batch;
    for (size_t i = 0; left > 0 && (batch = tr_head_batch(setup->head, i)); i++) {
        uint32_t rows = batch->rows < left ? batch->rows : (uint32_t)left;
        take(cookie, batch, rows);
        left -= rows;
    }
}

/* --- scaling -------------------------------------------------------------------------------------
 */

static void take_labels(void *cookie, const struct penstock_batch *batch, uint32_t rows)
{
    tr_scaler_add(cookie, batch->labels, rows, batch->label_dim);
}

static void take_features(void *cookie, const struct penstock_batch *batch, uint32_t rows)
{
    if (batch->row_offsets)
        tr_scaler_add_sparse(cookie, batch->row_offsets, batch->columns, batch->values, rows);
    else
        tr_scaler_add(cookie, batch->features, rows, batch->feature_dim);
}

/* mean and std (dim), each, learnt from the head. */
static int learn_scaling(const struct tr_setup *setup, bool labels, uint32_t dim, double *mean,
                         double *std, struct tr_error *error)
{
    struct tr_scaler *scaler = tr_scaler_new(dim);
    if (!scaler)
        return tr_fail(error, "no memory");
    scan_head(setup, labels ? take_labels : take_features, scaler);
    tr_scaler_get(scaler, mean, std);
    tr_scaler_free(&scaler);
    for (uint32_t i = 0; i < dim; i++) {
        if (!isfinite(mean[i]) || !isfinite(std[i]))
            return tr_fail(error,
                           "%s column %u holds values that are not finite numbers in the first "
                           "rows",
                           labels ? "label" : "feature", i);
    }
    return 0;
}

static int learn_feature_scaling(const struct tr_setup *setup, struct tr_linear_config *config,
                                 struct tr_linear_learnt *learnt, struct tr_error *error)
{
    uint32_t dim = config->dim;
    double *mean = calloc((size_t)dim * 2, sizeof *mean);
    learnt->scale = calloc((size_t)dim * 2, sizeof *learnt->scale);
    int rc = mean && learnt->scale ? learn_scaling(setup, false, dim, mean, mean + dim, error)
                                   : tr_fail(error, "no memory");
    for (uint32_t i = 0; i < dim && rc == 0; i++) {
        learnt->scale[i] = (float)mean[i];
        learnt->scale[dim + i] = (float)fmin(1.0 / mean[dim + i], (double)FLT_MAX);
    }
    free(mean);
    config->mean = learnt->scale;
    config->inv_std = learnt->scale ? learnt->scale + dim : NULL;
    return rc;
}

/* --- weights of classes --------------------------------------------------------------------------
 */

struct census {
    double *counts; /* (classes) */
    uint32_t classes;
    double rows;
};

/* Labels that are none are refused later, with their row. */
static void take_census(void *cookie, const struct penstock_batch *batch, uint32_t rows)
{
    struct census *census = cookie;
    for (uint32_t i = 0; i < rows; i++) {
        float label = batch->labels[(size_t)i * batch->label_dim];
        if (label >= 0.0F && label < (float)census->classes)
            census->counts[(uint32_t)label] += 1.0;
        census->rows += 1.0;
    }
}

/* Classes get equal weight in the sum over the head, 1 on average; one that is not there gets 1.
 * With classes 0 and 1 it is class 1 whose weight is changed. */
static void balance(const struct census *census, bool binary, float *weights)
{
    for (uint32_t i = 0; i < census->classes; i++) {
        double all = binary ? census->counts[0] : census->rows / (double)census->classes;
        bool changed = census->counts[i] > 0.0 && all > 0.0 && !(binary && i == 0);
        weights[i] = changed ? (float)(all / census->counts[i]) : 1.0F;
    }
}

static int learn_class_weights(const struct tr_setup *setup, struct tr_linear_config *config,
                               struct tr_linear_learnt *learnt, struct tr_error *error)
{
    const struct tr_linear_hyper *hyper = setup->hyper;
    bool binary = hyper->predictor.type == TR_PREDICTOR_BINARY;
    struct census census = {.classes = binary ? 2 : config->outputs};
    learnt->class_weights = calloc(census.classes, sizeof *learnt->class_weights);
    census.counts = calloc(census.classes, sizeof *census.counts);
    config->class_weights = learnt->class_weights;
    if (!learnt->class_weights || !census.counts) {
        free(census.counts);
        return tr_fail(error, "no memory");
    }
    if (balances(hyper)) {
        scan_head(setup, take_census, &census);
        balance(&census, binary, learnt->class_weights);
    } else {
        learnt->class_weights[0] = 1.0F;
        learnt->class_weights[1] = (float)hyper->positive_example_weight_mult;
    }
    free(census.counts);
    return 0;
}

int tr_linear_learn(const struct tr_setup *setup, struct tr_linear_config *config,
                    struct tr_linear_learnt *learnt, struct tr_error *error)
{
    const struct tr_linear_hyper *hyper = setup->hyper;
    *learnt = (struct tr_linear_learnt){0};
    if (tr_predictor_scales_features(&hyper->predictor) &&
        learn_feature_scaling(setup, config, learnt, error) < 0)
        return -1;
    if (tr_predictor_scales_labels(&hyper->predictor) &&
        learn_scaling(setup, true, 1, &config->label_mean, &config->label_std, error) < 0)
        return -1;
    if (balances(hyper) || hyper->positive_example_weight_mult != 1.0)
        return learn_class_weights(setup, config, learnt, error);
    return 0;
}

void tr_linear_forget(struct tr_linear_learnt *learnt)
{
    free(learnt->scale);
    free(learnt->class_weights);
    *learnt = (struct tr_linear_learnt){0};
}
