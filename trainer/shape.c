/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.c - see trainer/shape.h. */
#include "trainer/shape.h"

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
    if (batch->features)
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
    const char *what = batch->run_count > 0                                         ? "is framed"
                       : batch->text_dim > 0                                        ? "holds texts"
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
