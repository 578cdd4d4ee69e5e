/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_ranks.c - see trainer/pca_ranks.h. */
#include "trainer/pca_ranks.h"

#include <stdlib.h>

/* What moving the mean by -delta adds to the products: rows * delta (delta' omega). `projected`
 * (width) is scratch. */
static void move_product(struct tr_pca_moments *m, const double *delta, double *projected)
{
    for (uint32_t k = 0; k < m->width; k++)
        projected[k] = m->omega ? 0.0 : delta[k];
    for (uint32_t i = 0; i < m->dim && m->omega; i++) {
        for (uint32_t k = 0; k < m->width; k++)
            projected[k] += delta[i] * (double)m->omega[(size_t)i * m->width + k];
    }
    for (uint32_t i = 0; i < m->dim; i++) {
        double *product = m->product + (size_t)i * m->width;
        for (uint32_t k = m->omega ? 0 : i; k < m->width; k++)
            product[k] += m->rows * delta[i] * projected[k];
    }
}

/* sums: (1 + dim), the rows of all ranks and the sum of each column; delta: (dim), scratch. */
static void move_to_mean(struct tr_pca_moments *m, const double *sums, double *delta,
                         double *projected)
{
    for (uint32_t i = 0; i < m->dim; i++) {
        double mean = sums[1 + i] / sums[0];
        delta[i] = m->mean[i] - mean;
        m->square[i] += m->rows * delta[i] * delta[i];
        m->mean[i] = mean;
    }
    move_product(m, delta, projected);
    m->rows = sums[0];
}

int tr_pca_add_ranks(struct tr_group *group, struct tr_pca_moments *moments, struct tr_error *error)
{
    size_t dim = moments->dim;
    double *sums = group ? malloc((1 + 2 * dim + moments->width) * sizeof *sums) : NULL;
    if (!group)
        return 0;
    if (!sums)
        return tr_fail(error, "no memory for the moments of all ranks");
    sums[0] = moments->rows;
    for (size_t i = 0; i < dim; i++)
        sums[1 + i] = moments->rows * moments->mean[i];
    int rc = tr_group_sum(group, sums, 1 + dim, TR_NUMBER_DOUBLE, error);
    if (rc == 0 && sums[0] > 0.0) {
        move_to_mean(moments, sums, sums + 1 + dim, sums + 1 + 2 * dim);
        rc = tr_group_sum(group, moments->square, dim + dim * moments->width, TR_NUMBER_DOUBLE,
                          error);
    }
    free(sums);
    return rc;
}
