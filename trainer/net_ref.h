/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_ref.h - networks in plain C and double: the oracle that every device is compared
 * with. Written apart from the kernels, from the formulas: convolutions as sums over pixels, one
 * row after another. Every number carries a bound on what float32 arithmetic may add to it.
 *
 * Dropout is not in it.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_NET_REF_H
#define TRAINER_NET_REF_H

#include "trainer/net.h"

/* A number, and a bound on how far float32's may be from it. */
struct tr_num {
    double value;
    double error;
};

struct tr_net_ref {
    const struct tr_net_config *config; /* the caller's */
    double *parameters;                 /* (tr_plan_parameters) */
    struct tr_num *gradient;            /* of the mean loss, as tr_net_ref_gradient left it */
    struct tr_num *input;               /* one row of the plan's input */
    struct tr_num *out[TR_LAYERS_MAX];  /* what a layer gives for it */
    struct tr_num *d[TR_LAYERS_MAX];    /* its derivative */
    double gradient_terms;              /* most that an element of `gradient` is summed over */
};

/* Returns 0, or -1 when memory is out. */
int tr_net_ref_new(const struct tr_net_config *config, struct tr_net_ref *ref);
void tr_net_ref_free(struct tr_net_ref *ref);

/* Mean loss of the rows; fills `gradient`. Penalties are not included. features are of the type and
 * layout that the configuration says. *hits receives the rows predicted right. */
double tr_net_ref_gradient(struct tr_net_ref *ref, const void *features, const float *labels,
                           uint32_t label_dim, uint32_t rows, double *hits);

#endif
