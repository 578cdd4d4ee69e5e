/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_ref.h - the linear model in plain C and double: the oracle that every device is
 * compared with. Written apart from the kernels, from the formulas.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_LINEAR_REF_H
#define TRAINER_LINEAR_REF_H

#include "trainer/linear.h"

struct tr_ref {
    struct tr_linear_config config; /* its pointers are to the caller's arrays; models is 1 */
    const float *weights;           /* (rows) of the next batch, the caller's; NULL: 1 */
    double *w;                      /* (dim, outputs) */
    double *b;                      /* (outputs) */
    double *dw;                     /* gradient of the mean loss, as tr_ref_gradient left it */
    double *db;
    double *dw_error; /* bound on what rounding to float32 may add to dw and db */
    double *db_error;
    double *m; /* the optimizer's moments: (dim, outputs), then (outputs) */
    double *v;
    double *x; /* (dim): one row, scaled, and its error */
    double *x_error;
    double *z; /* (outputs): its scores, then their derivative */
    uint64_t steps;
};

/* Returns 0, or -1 when memory is out. */
int tr_ref_new(const struct tr_linear_config *config, struct tr_ref *ref);
void tr_ref_free(struct tr_ref *ref);

/* Mean loss of the rows with the weights as they are; fills dw, db and their error bounds, and
 * *hits (may be NULL) with the number of rows predicted right. Penalties are not included. */
double tr_ref_gradient(struct tr_ref *ref, const float *features, const float *labels,
                       uint32_t label_dim, uint32_t rows, double *hits);

/* One optimizer step with the gradient of tr_ref_gradient. */
void tr_ref_update(struct tr_ref *ref);

#endif
