/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/shape.c - see trainer/shape.h. */
#include "trainer/shape.h"

int tr_shape_check(const char *name, const struct penstock_batch *batch, struct tr_error *error)
{
    static const char *const types[] = {[PENSTOCK_FLOAT32] = "float32",
                                        [PENSTOCK_FLOAT64] = "float64",
                                        [PENSTOCK_INT32] = "int32",
                                        [PENSTOCK_UINT8] = "uint8"};
    const char *what = batch->row_offsets     ? "is sparse"
                       : batch->run_count > 0 ? "is framed"
                       : batch->text_dim > 0  ? "holds texts"
                       : batch->weights       ? "has weights"
                       : batch->groups        ? "has groups"
                                              : NULL;
    if (what)
        return tr_fail(error,
                       "the %s channel %s, and linear-learner takes nothing but dense float32 "
                       "features and labels as yet",
                       name, what);
    if (!batch->features)
        return tr_fail(error,
                       "the %s channel's features are %s, and linear-learner takes dense float32 "
                       "features as yet: see the parameters of the content type, or write them as "
                       "float32",
                       name, types[batch->type]);
    return 0;
}

int tr_shape_has_labels(const char *name, const struct penstock_batch *batch,
                        struct tr_error *error)
{
    if (batch->label_dim > 0)
        return 0;
    return tr_fail(
        error, "the %s channel has no labels: give a content type such as text/csv;label_size=1",
        name);
}
