/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/loss.c - see trainer/loss.h. */
#include "trainer/loss.h"

#include <math.h>

bool tr_loss_is_of_classes(enum tr_loss loss)
{
    return loss == TR_LOSS_SOFTMAX || loss == TR_LOSS_LOGISTIC || loss == TR_LOSS_HINGE;
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
