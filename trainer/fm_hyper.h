/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_hyper.h - hyperparameters of factorization-machines, and the model's configuration
 * that comes of them.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_FM_HYPER_H
#define TRAINER_FM_HYPER_H

#include "trainer/fm.h"
#include "trainer/predictor.h"

/* Values of one group of weights; NAN: not given. */
struct tr_fm_group_hyper {
    int init_method; /* enum tr_fm_init */
    double init_sigma;
    double init_scale;
    double init_value;
    double learning_rate;
    double wd;
};

struct tr_fm_hyper {
    struct tr_hyper_common common;
    int predictor_type; /* enum tr_predictor, of one output */
    uint32_t num_factors;
    double clip_gradient;
    double eps;
    double rescale_grad;
    struct tr_fm_group_hyper groups[TR_FM_GROUP_COUNT];
};

extern const struct tr_hyper_table tr_fm_hyper_table;

/* Model configuration for `dim` features. */
void tr_fm_hyper_config(const struct tr_fm_hyper *hyper, uint32_t dim, uint64_t seed,
                        struct tr_fm_config *config);

#endif
