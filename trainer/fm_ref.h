/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_ref.h - factorization machines in plain C and double: the oracle that every device is
 * compared with. Written apart from the kernels, from the definition: every pair of features of a
 * row is looked at, so that nothing is taken from the formula in linear time.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_FM_REF_H
#define TRAINER_FM_REF_H

#include "trainer/fm.h"

struct tr_fm_ref {
    struct tr_fm_config config;
    size_t n;        /* weights: bias, linear (dim), factors (dim, factor_count) in one array */
    double *w;       /* (n), as all below */
    double *g;       /* gradient of the batch's objective, as tr_fm_ref_gradient left it */
    double *g_error; /* bound on what rounding to float32 may add to it */
    double *m;       /* the optimizer's moments */
    double *v;
    bool *touched; /* (dim): columns that the batch has */
    uint64_t steps;
};

/* Rows in host memory. */
struct tr_fm_rows {
    const uint32_t *offsets; /* (rows + 1) */
    const uint32_t *columns;
    const float *values;
    const float *labels; /* (rows) */
    uint32_t rows;
};

/* Starts from what tr_fm_draw gives. Returns 0, or -1 when memory is out. */
int tr_fm_ref_new(const struct tr_fm_config *config, struct tr_fm_ref *ref);
void tr_fm_ref_free(struct tr_fm_ref *ref);

/* Sum of the rows' losses with the weights as they are; fills g, g_error and touched. */
double tr_fm_ref_gradient(struct tr_fm_ref *ref, const struct tr_fm_rows *rows);

/* One step with the gradient of tr_fm_ref_gradient. */
void tr_fm_ref_update(struct tr_fm_ref *ref);

#endif
