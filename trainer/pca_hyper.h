/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_hyper.h - hyperparameters of pca.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_PCA_HYPER_H
#define TRAINER_PCA_HYPER_H

#include "trainer/hyper.h"

enum tr_pca_mode { TR_PCA_REGULAR = 0, TR_PCA_RANDOMIZED };

struct tr_pca_hyper {
    struct tr_hyper_common common;
    uint32_t num_components;
    int algorithm_mode;      /* enum tr_pca_mode */
    double extra_components; /* whole; -1: num_components, at least 10 */
    int subtract_mean;       /* enum tr_truth */
};

extern const struct tr_hyper_table tr_pca_hyper_table;

/* "regular", "randomized". */
const char *tr_pca_mode_name(const struct tr_pca_hyper *hyper);

/* Columns of the product that is learnt of rows of `dim` features: all of them, or num_components
 * and the extra ones. */
uint32_t tr_pca_width(const struct tr_pca_hyper *hyper, uint32_t dim);

#endif
