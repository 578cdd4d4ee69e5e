/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.c - see trainer/shape.h. */
#include "trainer/shape.h"

#include "trainer/loss.h"

#include <stdio.h>
#include <string.h>

/* "dense float32 features, or sparse ones". */
static const char *wanted(uint32_t takes)
{
    switch (takes & (TR_TAKES_DENSE | TR_TAKES_SPARSE | TR_TAKES_BYTES)) {
    case TR_TAKES_DENSE | TR_TAKES_SPARSE:
        return "dense float32 features, or sparse ones";
    case TR_TAKES_DENSE | TR_TAKES_BYTES:
        return "dense float32 or uint8 features";
    case TR_TAKES_SPARSE:
        return "sparse features";
    default:
        return "dense float32 features";
    }
}

static bool takes_features(uint32_t takes, const struct penstock_batch *batch)
{
    if (batch->row_offsets)
        return takes & TR_TAKES_SPARSE;
    if (batch->features || batch->run_count > 0)
        return takes & TR_TAKES_DENSE;
    return batch->type == PENSTOCK_UINT8 && batch->data && (takes & TR_TAKES_BYTES);
}

int tr_shape_check(const struct tr_model_ops *model, const char *name,
                   const struct penstock_batch *batch, uint32_t feature_dim, struct tr_error *error)
{
    static const char *const types[] = {[PENSTOCK_FLOAT32] = "float32",
                                        [PENSTOCK_FLOAT64] = "float64",
                                        [PENSTOCK_INT32] = "int32",
                                        [PENSTOCK_UINT8] = "uint8"};
    const char *what = batch->text_dim > 0                                          ? "holds texts"
                       : batch->weights && !(model->takes & TR_TAKES_WEIGHTS)       ? "has weights"
                       : batch->groups                                              ? "has groups"
                       : batch->row_offsets && !takes_features(model->takes, batch) ? "is sparse"
                                                                                    : NULL;
    if (what)
        return tr_fail(error, "the %s channel %s, and %s takes nothing but %s", name, what,
                       model->name, wanted(model->takes));
    if (!takes_features(model->takes, batch))
        return tr_fail(error,
                       "the %s channel's features are %s, and %s takes %s: see the parameters of "
                       "the content type, or write them as float32",
                       name, types[batch->type], model->name, wanted(model->takes));
    if (feature_dim > 0 && batch->feature_dim != feature_dim)
        return tr_fail(error, "the %s channel has %u features, the training channel %u", name,
                       batch->feature_dim, feature_dim);
    if (batch->label_dim == 0 && (model->takes & TR_NEEDS_LABELS))
        return tr_fail(error,
                       "the %s channel has no labels: give a content type such as "
                       "text/csv;label_size=1",
                       name);
    return 0;
}

/* `why` is "the label is 0.5, not 0 or 1". */
static int refuse_row(const char *channel, const struct penstock_batch *batch, uint32_t row,
                      const char *why, struct tr_error *error)
{
    return tr_fail(error, "channel %s, epoch %u, row %llu (the first row is 0): %s", channel,
                   batch->epoch, (unsigned long long)(batch->position + row), why);
}

int tr_shape_check_labels(enum tr_loss loss, uint32_t outputs, const char *channel,
                          const struct penstock_batch *batch, struct tr_error *error)
{
    uint32_t bad =
        tr_loss_check_labels(loss, outputs, batch->labels, batch->label_dim, batch->rows);
    if (bad == batch->rows)
        return 0;
    char wanted[64] = "a finite number";
    char why[128];
    if (loss == TR_LOSS_SOFTMAX)
        snprintf(wanted, sizeof wanted, "a whole number from 0 to %u (num_classes - 1)",
                 outputs - 1);
    else if (tr_loss_is_of_classes(loss))
        snprintf(wanted, sizeof wanted, "0 or 1");
    snprintf(why, sizeof why, "the label is %.9g, not %s",
             (double)batch->labels[(size_t)bad * batch->label_dim], wanted);
    return refuse_row(channel, batch, bad, why, error);
}

int tr_shape_check_columns(uint32_t feature_dim, const char *channel,
                           const struct penstock_batch *batch, struct tr_error *error)
{
    char why[80];
    for (uint32_t row = 0; row < batch->rows; row++) {
        for (uint32_t e = batch->row_offsets[row]; e < batch->row_offsets[row + 1]; e++) {
            if (batch->columns[e] < feature_dim)
                continue;
            snprintf(why, sizeof why, "the column is %u, not below feature_dim, %u",
                     batch->columns[e], feature_dim);
            return refuse_row(channel, batch, row, why, error);
        }
    }
    return 0;
}
