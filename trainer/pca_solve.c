/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/pca_solve.c - see trainer/pca_solve.h. */
#include "trainer/pca_solve.h"

#include "trainer/eigen.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Eigenvalues of omega' A omega below this part of the largest are rounding of float32 products. */
#define NOISE (16.0 * (double)FLT_EPSILON)

static double *doubles(size_t n, struct tr_error *error)
{
    double *memory = calloc(n > 0 ? n : 1, sizeof *memory);
    if (!memory)
        tr_fail(error, "no memory for the principal components");
    return memory;
}

static double total_about(const struct tr_pca_moments *m, const double *origin)
{
    double total = 0.0;
    for (uint32_t i = 0; i < m->dim; i++) {
        double distance = m->mean[i] - origin[i];
        total += m->square[i] + m->rows * distance * distance;
    }
    return total;
}

/* The product about the origin: (dim, width). */
static void product_about(const struct tr_pca_moments *m, const double *origin, double *projected,
                          double *out)
{
    memset(projected, 0, m->width * sizeof *projected);
    for (uint32_t i = 0; i < m->dim; i++) {
        double distance = m->mean[i] - origin[i];
        if (!m->omega)
            projected[i] = distance;
        for (uint32_t k = 0; m->omega && k < m->width; k++)
            projected[k] += distance * (double)m->omega[(size_t)i * m->width + k];
    }
    for (uint32_t i = 0; i < m->dim; i++) {
        double distance = m->rows * (m->mean[i] - origin[i]);
        for (uint32_t k = 0; k < m->width; k++) {
            size_t at = (size_t)i * m->width + k;
            out[at] = m->product[at] + distance * projected[k];
        }
    }
}

static int solve_regular(double *product, uint32_t dim, uint32_t count, double *components,
                         double *values, struct tr_error *error)
{
    double *all = doubles(dim, error);
    int rc = all ? tr_eigen_symmetric(product, dim, all, error) : -1;
    for (uint32_t k = 0; k < count && rc == 0; k++) {
        values[k] = fmax(all[k], 0.0);
        memcpy(components + (size_t)k * dim, product + (size_t)k * dim, dim * sizeof *components);
    }
    free(all);
    return rc;
}

/* c (m, n) += a' b, with a (rows, m) and b (rows, n). */
static void add_product(const double *a, uint32_t m, const double *b, uint32_t n, uint32_t rows,
                        double *c)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < m; i++) {
            double factor = a[(size_t)r * m + i];
            for (uint32_t j = 0; j < n; j++)
                c[(size_t)i * n + j] += factor * b[(size_t)r * n + j];
        }
    }
}

/* out (rows, n) = a v', with a (rows, m) and v (n, m), each row of v times scale[j]. */
static void combine(const double *a, uint32_t m, const double *v, uint32_t n, uint32_t rows,
                    const double *scale, double *out)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (uint32_t i = 0; i < m; i++)
                sum += a[(size_t)r * m + i] * v[(size_t)j * m + i];
            out[(size_t)r * n + j] = sum * scale[j];
        }
    }
}

/* The memory of solve_randomized: (dim, width) twice, (width, width), and vectors. */
struct sketch {
    double *omega;
    double *root;  /* product V D^-1/2: root root' is the approximation */
    double *inner; /* (width, width) */
    double *values;
    double *scale;
};

static uint32_t find_root(const struct tr_pca_moments *m, const double *product, struct sketch *s,
                          struct tr_error *error)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < (size_t)m->dim * m->width; i++)
        s->omega[i] = (double)m->omega[i];
    add_product(s->omega, m->width, product, m->width, m->dim, s->inner);
    for (uint32_t i = 0; i < m->width; i++) {
        for (uint32_t j = i + 1; j < m->width; j++)
            s->inner[(size_t)i * m->width + j] =
                0.5 * (s->inner[(size_t)i * m->width + j] + s->inner[(size_t)j * m->width + i]);
    }
    if (tr_eigen_symmetric(s->inner, m->width, s->values, error) < 0)
        return UINT32_MAX;
    while (rank < m->width && s->values[rank] > NOISE * s->values[0] && s->values[rank] > 0.0) {
        s->scale[rank] = 1.0 / sqrt(s->values[rank]);
        rank++;
    }
    combine(product, m->width, s->inner, rank, m->dim, s->scale, s->root);
    return rank;
}

static int solve_sketch(const struct tr_pca_moments *m, const double *product, struct sketch *s,
                        uint32_t count, double *components, double *values, struct tr_error *error)
{
    uint32_t rank = find_root(m, product, s, error);
    if (rank == UINT32_MAX)
        return -1;
    memset(s->inner, 0, (size_t)rank * rank * sizeof *s->inner);
    add_product(s->root, rank, s->root, rank, m->dim, s->inner);
    if (rank > 0 && tr_eigen_symmetric(s->inner, rank, s->values, error) < 0)
        return -1;
    for (uint32_t k = 0; k < count; k++) {
        double *component = components + (size_t)k * m->dim;
        values[k] = k < rank ? fmax(s->values[k], 0.0) : 0.0;
        memset(component, 0, m->dim * sizeof *component);
        if (values[k] <= 0.0)
            continue;
        double scale = 1.0 / sqrt(values[k]);
        combine(s->root, rank, s->inner + (size_t)k * rank, 1, m->dim, &scale, component);
        tr_eigen_fix_sign(component, m->dim);
    }
    return 0;
}

static int solve_randomized(const struct tr_pca_moments *m, const double *product, uint32_t count,
                            double *components, double *values, struct tr_error *error)
{
    size_t n = (size_t)m->dim * m->width;
    size_t inner = (size_t)m->width * m->width;
    double *memory = doubles(2 * n + inner + 2 * (size_t)m->width, error);
    struct sketch s = {.omega = memory};
    int rc = -1;
    if (memory) {
        s.root = memory + n;
        s.inner = s.root + n;
        s.values = s.inner + inner;
        s.scale = s.values + m->width;
        rc = solve_sketch(m, product, &s, count, components, values, error);
    }
    free(memory);
    return rc;
}

int tr_pca_solve(const struct tr_pca_moments *moments, const double *origin, uint32_t count,
                 double *components, double *values, double *total, struct tr_error *error)
{
    size_t n = (size_t)moments->dim * moments->width;
    double *product = doubles(n + moments->width, error);
    int rc = -1;
    *total = total_about(moments, origin);
    if (product) {
        product_about(moments, origin, product + n, product);
        rc = moments->omega
                 ? solve_randomized(moments, product, count, components, values, error)
                 : solve_regular(product, moments->dim, count, components, values, error);
    }
    free(product);
    return rc;
}

void tr_pca_explained(const struct tr_pca_moments *moments, const double *origin, double *total,
                      double *explained)
{
    *total = total_about(moments, origin);
    *explained = 0.0;
    for (uint32_t k = 0; k < moments->width; k++) {
        double distance = 0.0;
        for (uint32_t i = 0; i < moments->dim; i++) {
            size_t at = (size_t)i * moments->width + k;
            double component = (double)moments->omega[at];
            *explained += component * moments->product[at];
            distance += component * (moments->mean[i] - origin[i]);
        }
        *explained += moments->rows * distance * distance;
    }
}
