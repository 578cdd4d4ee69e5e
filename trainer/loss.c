/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/loss.c - see trainer/loss.h. */
#include "trainer/loss.h"

#include <math.h>

bool tr_loss_is_of_classes(enum tr_loss loss)
{
    return loss == TR_LOSS_SOFTMAX || loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE;
}

const char *tr_loss_objective(enum tr_loss loss)
{
    static const char *const names[TR_LOSS_COUNT] = {
        [TR_LOSS_SQUARED] = "mse_objective",
        [TR_LOSS_LOGISTIC] = "binary_classification_cross_entropy_objective",
        [TR_LOSS_SOFTMAX] = "multiclass_cross_entropy_objective",
        [TR_LOSS_HINGE] = "hinge_loss_objective",
        [TR_LOSS_ABSOLUTE] = "absolute_loss_objective",
        [TR_LOSS_HUBER] = "huber_loss_objective",
        [TR_LOSS_QUANTILE] = "quantile_loss_objective",
        [TR_LOSS_EPS_SQUARED] = "eps_insensitive_squared_loss_objective",
        [TR_LOSS_EPS_ABSOLUTE] = "eps_insensitive_absolute_loss_objective",
    };
    return names[loss];
}

uint32_t tr_loss_check_labels(enum tr_loss loss, uint32_t outputs, const float *labels,
                              uint32_t label_dim, uint32_t rows)
{
    float top = loss == TR_LOSS_SOFTMAX ? (float)(outputs - 1) : 1.0F;
    bool classes = tr_loss_is_of_classes(loss);
    for (uint32_t i = 0; i < rows; i++) {
        float label = labels[(size_t)i * label_dim];
        bool good =
            classes ? label >= 0.0F && label <= top && label == truncf(label) : isfinite(label);
        if (!good)
            return i;
    }
    return rows;
}
