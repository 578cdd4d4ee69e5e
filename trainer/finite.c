/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/finite.c - see trainer/finite.h. */
#include "trainer/finite.h"

#include <math.h>

static bool all_finite(const struct fmt_tensor *tensor)
{
    size_t count = fmt_tensor_bytes(tensor) / sizeof *tensor->data;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(tensor->data[i]))
            return false;
    }
    return true;
}

int tr_finite_check_arrays(const struct tr_model *model, const struct tr_export *arrays,
                           struct tr_error *error)
{
    for (size_t i = 0; model->ops->peek_loss && i < arrays->tensor_count; i++) {
        if (!all_finite(&arrays->tensors[i]))
            return tr_fail(error,
                           "the model's array %s holds values that are not finite numbers: lower "
                           "the learning rate, or look for such values in the data",
                           arrays->tensors[i].name);
    }
    return 0;
}

int tr_finite_check(struct tr_model *model, struct tr_error *error)
{
    struct tr_export arrays = {0};
    double loss = 0.0;
    if (!model->ops->peek_loss)
        return 0;
    int rc = model->ops->export_arrays(model, &arrays, error);
    if (rc == 0)
        rc = tr_finite_check_arrays(model, &arrays, error);
    tr_export_free(&arrays);
    if (rc == 0)
        rc = model->ops->peek_loss(model, &loss, error);
    if (rc == 0 && !isfinite(loss))
        rc = tr_fail(error, "the loss of the epoch so far is not a finite number");
    return rc;
}
