/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/linear_fixture.h - problems for linear models: features, labels and a configuration
 * from a seed.
 */
#ifndef LINEAR_FIXTURE_H
#define LINEAR_FIXTURE_H

#include "tests/unit/trainer_fixture.h"

#include "trainer/linear.h"

enum { DIM_MAX = 40, OUTPUTS_MAX = 12, ROWS_MAX = 300, LABEL_DIM = 2 };

struct problem {
    struct tr_linear_config config;
    uint32_t rows;
    float mean[DIM_MAX];
    float inv_std[DIM_MAX];
    float features[ROWS_MAX * DIM_MAX];
    float labels[ROWS_MAX * LABEL_DIM];
};

static inline void make_problem(struct problem *p, enum tr_loss loss, uint32_t rows, uint32_t dim,
                                uint32_t outputs, bool scaled)
{
    uint64_t random = rows * 1000U + dim;
    p->rows = rows;
    fixture_fill(p->features, (size_t)rows * dim, 21, 3.0F);
    fixture_fill(p->labels, (size_t)rows * LABEL_DIM, 22, 5.0F);
    fixture_fill(p->mean, dim, 23, 1.0F);
    fixture_fill(p->inv_std, dim, 24, 0.5F);
    for (uint32_t i = 0; i < dim; i++)
        p->inv_std[i] += 1.0F;
    bool classes = tr_loss_is_of_classes(loss);
    for (uint32_t r = 0; r < rows && classes; r++)
        p->labels[r * LABEL_DIM] =
            (float)(fixture_random(&random) % (loss == TR_LOSS_SOFTMAX ? outputs : 2));
    p->config = (struct tr_linear_config){
        .loss = loss,
        .dim = dim,
        .outputs = outputs,
        .batch_rows = ROWS_MAX,
        .optimizer = TR_OPTIMIZER_ADAM,
        .learning_rate = 0.01,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .use_bias = true,
        .bias_lr_mult = 1.0,
        .mean = scaled ? p->mean : NULL,
        .inv_std = scaled ? p->inv_std : NULL,
        .loss_parameter = loss == TR_LOSS_QUANTILE ? 0.75 : 1.25,
        .label_mean = classes ? 0.0 : 0.75,
        .label_std = classes ? 1.0 : 2.5,
    };
}

static inline struct tr_linear *new_model(struct tr_device *device, const struct problem *p)
{
    struct tr_linear *model;
    struct tr_error error;
    if (tr_linear_new(device, &p->config, &model, &error) < 0)
        fail_msg("%s", error.text);
    return model;
}

static inline struct tr_linear_rows rows_at(const float *x, const float *y, uint32_t rows)
{
    return (struct tr_linear_rows){
        .features = x, .labels = y, .label_dim = LABEL_DIM, .count = rows};
}

#endif
