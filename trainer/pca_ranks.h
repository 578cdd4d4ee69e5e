/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_ranks.h - moments of each rank's rows become those of the rows of all ranks.
 *
 * Every rank moves its moments to the mean of all rows; then they are sums, and are added up as
 * such: no rank holds more than two sets of them.
 *
 * Owner: the caller owns the arrays. Threads: the device's.
 */
#ifndef TRAINER_PCA_RANKS_H
#define TRAINER_PCA_RANKS_H

#include "trainer/group.h"
#include "trainer/pca_solve.h"

/* Together: the rows, mean, square and product of every rank's own rows, which may be none, become
 * those of all. The three arrays lie one behind the other. Returns 0, or -1 with *error. */
int tr_pca_add_ranks(struct tr_group *group, struct tr_pca_moments *moments,
                     struct tr_error *error);

#endif
