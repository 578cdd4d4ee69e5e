/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm.h - factorization machines of order two (Rendle 2010), regression and classes 0 and 1,
 * on compressed sparse rows or dense ones: see trainer/fm_kernels.h for the prediction.
 *
 * The optimizer is Adam, as SageMaker's, each of the three groups of weights with a rate and a
 * decay of its own, and lazy: a step changes those weights, and what the optimizer remembers of
 * them, whose column occurs in the batch. The cost of a step is that of the batch's entries,
 * whatever the number of features.
 *
 * Owner: the caller owns the model and frees it before the device. Threads: the device's.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_FM_H
#define TRAINER_FM_H

#include "trainer/kernels.h"
#include "trainer/model.h"

enum tr_fm_init { TR_FM_NORMAL = 0, TR_FM_UNIFORM, TR_FM_CONSTANT };

/* How a group of weights starts and learns. */
struct tr_fm_group {
    enum tr_fm_init init;
    double sigma; /* TR_FM_NORMAL: standard deviation, mean 0 */
    double scale; /* TR_FM_UNIFORM: from -scale to scale */
    double value; /* TR_FM_CONSTANT */
    double learning_rate;
    double wd;
};

enum tr_fm_group_no { TR_FM_BIAS = 0, TR_FM_LINEAR, TR_FM_FACTORS, TR_FM_GROUP_COUNT };

struct tr_fm_config {
    enum tr_loss loss; /* TR_LOSS_SQUARED, TR_LOSS_LOGISTIC */
    uint32_t dim;
    uint32_t factor_count;
    uint32_t batch_rows;    /* rows of the largest batch */
    struct tr_group *group; /* that batches are shared with; NULL: none */
    enum tr_optimizer optimizer;
    double beta1;
    double beta2;
    double epsilon;
    double clip;     /* bound on every gradient with its decay; 0: none */
    double row_rate; /* of every row's gradient; 0: 1 / rows of the batch, the mean */
    struct tr_fm_group groups[TR_FM_GROUP_COUNT];
    uint64_t seed;
};

struct tr_fm;

int tr_fm_new(struct tr_device *device, const struct tr_fm_config *config, struct tr_fm **out,
              struct tr_error *error);

/* Waits for the device, frees and clears *model; accepts NULL. */
void tr_fm_free(struct tr_fm **model);

/* Fills a group's first values: `weights` (1), (dim) or (dim, factor_count). */
void tr_fm_draw(const struct tr_fm_config *config, enum tr_fm_group_no group, float *weights,
                size_t n);

/* Makes room for a batch: memory is allocated, after a wait for the device, only when it has more
 * entries than any before. */
int tr_fm_prepare(struct tr_fm *model, const struct tr_device_batch *batch, struct tr_error *error);

/* Gives one step on a batch to the compute stream, and makes room if that was not done. */
int tr_fm_step(struct tr_fm *model, const struct tr_device_batch *batch, struct tr_error *error);
int tr_fm_evaluate(struct tr_fm *model, const struct tr_device_batch *batch,
                   struct tr_error *error);

/* As tr_tally_read and tr_tally_peek. */
int tr_fm_read_sums(struct tr_fm *model, enum tr_sums which, bool reset, struct tr_stats *out,
                    struct tr_error *error);
int tr_fm_peek_sums(struct tr_fm *model, struct tr_stats *out, struct tr_error *error);

/* As tr_tally_fold and tr_tally_unfold. */
int tr_fm_fold(struct tr_fm *model, struct tr_error *error);
int tr_fm_unfold(struct tr_fm *model, struct tr_error *error);

/* Waits for the device and reads the weights: bias (1), linear (dim), factors (dim, factor_count).
 */
int tr_fm_export(struct tr_fm *model, float *bias, float *linear, float *factors,
                 struct tr_error *error);

/* As tr_model_ops.state. */
size_t tr_fm_state(struct tr_fm *model, struct tr_state_item *items);

#endif
