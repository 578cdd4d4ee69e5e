/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/eigen.c - see trainer/eigen.h. */
#include "trainer/eigen.h"

#include "trainer/blas.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct tr_blas *open_lapack(struct tr_error *error)
{
    char why[256];
    const struct tr_blas *blas = tr_blas_open(why, sizeof why);
    if (!blas)
        tr_fail(error, "%s", why);
    else if (!blas->dsyevd)
        tr_fail(error, "there is no LAPACK: install libopenblas0-pthread or liblapack3");
    return blas && blas->dsyevd ? blas : NULL;
}

int tr_eigen_available(struct tr_error *error)
{
    return open_lapack(error) ? 0 : -1;
}

/* LAPACK's order is from the smallest: turns it round. */
static void reverse(double *vectors, double *values, uint32_t n)
{
    for (uint32_t low = 0; low < n / 2; low++) {
        uint32_t high = n - 1 - low;
        double value = values[low];
        values[low] = values[high];
        values[high] = value;
        for (uint32_t j = 0; j < n; j++) {
            double element = vectors[(size_t)low * n + j];
            vectors[(size_t)low * n + j] = vectors[(size_t)high * n + j];
            vectors[(size_t)high * n + j] = element;
        }
    }
}

void tr_eigen_fix_sign(double *vector, uint32_t n)
{
    uint32_t largest = 0;
    for (uint32_t j = 1; j < n; j++)
        largest = fabs(vector[j]) > fabs(vector[largest]) ? j : largest;
    if (vector[largest] >= 0.0)
        return;
    for (uint32_t j = 0; j < n; j++)
        vector[j] = -vector[j];
}

int tr_eigen_symmetric(double *a, uint32_t n, double *values, struct tr_error *error)
{
    const struct tr_blas *blas = open_lapack(error);
    blasint order = (blasint)n;
    blasint info = 0;
    blasint query = -1;
    blasint iwork_size = 0;
    double work_size = 0.0;
    if (!blas)
        return -1;
    /* LAPACK's columns are our rows, so its lower triangle is our upper one. */
    blas->dsyevd("V", "L", &order, a, &order, values, &work_size, &query, &iwork_size, &query,
                 &info);
    if (info != 0 || work_size > (double)INT_MAX)
        return tr_fail(error, "a matrix of %u x %u is too large for LAPACK", n, n);
    blasint work_n = (blasint)work_size;
    double *work = malloc((size_t)work_n * sizeof *work);
    blasint *iwork = malloc((size_t)iwork_size * sizeof *iwork);
    if (work && iwork)
        blas->dsyevd("V", "L", &order, a, &order, values, work, &work_n, iwork, &iwork_size, &info);
    else
        info = INT_MAX;
    free(work);
    free(iwork);
    if (info == INT_MAX)
        return tr_fail(error, "no memory for the eigenvectors of a matrix of %u x %u", n, n);
    if (info != 0)
        return tr_fail(error,
                       "the eigenvalues of a matrix of %u x %u were not found: LAPACK's "
                       "dsyevd says %d; are there values that are not finite?",
                       n, n, (int)info);
    reverse(a, values, n);
    for (uint32_t i = 0; i < n; i++)
        tr_eigen_fix_sign(a + (size_t)i * n, n);
    return 0;
}
