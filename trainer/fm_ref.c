/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_ref.c - see trainer/fm_ref.h. Slow on purpose.
 *
 * Error bounds follow the usual model of rounding, to first order: a sum of n terms is off by at
 * most n epsilon times the sum of their absolute values, in whatever order it is taken.
 */
#include "trainer/fm_ref.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPSILON ((double)FLT_EPSILON)

/* Error of expf, log1pf and a division in either maths library, in epsilons, with room. */
#define ELEMENTARY 16.0

int tr_fm_ref_new(const struct tr_fm_config *config, struct tr_fm_ref *ref)
{
    size_t factors = (size_t)config->dim * config->factor_count;
    size_t n = 1 + config->dim + factors;
    float *drawn = malloc(n * sizeof *drawn);
    *ref = (struct tr_fm_ref){.config = *config, .n = n};
    ref->w = calloc(5 * n, sizeof *ref->w);
    ref->touched = calloc(config->dim, sizeof *ref->touched);
    if (!drawn || !ref->w || !ref->touched) {
        free(drawn);
        tr_fm_ref_free(ref);
        return -1;
    }
    ref->g = ref->w + n;
    ref->g_error = ref->g + n;
    ref->m = ref->g_error + n;
    ref->v = ref->m + n;
    tr_fm_draw(config, TR_FM_BIAS, drawn, 1);
    tr_fm_draw(config, TR_FM_LINEAR, drawn + 1, config->dim);
    tr_fm_draw(config, TR_FM_FACTORS, drawn + 1 + config->dim, factors);
    for (size_t i = 0; i < n; i++)
        ref->w[i] = (double)drawn[i];
    free(drawn);
    return 0;
}

void tr_fm_ref_free(struct tr_fm_ref *ref)
{
    free(ref->w);
    free(ref->touched);
    memset(ref, 0, sizeof *ref);
}

/* Where a factor of a column lies in the arrays. */
static size_t factor_at(const struct tr_fm_ref *ref, uint32_t column, uint32_t f)
{
    return 1 + ref->config.dim + (size_t)column * ref->config.factor_count + f;
}

/* Prediction of a row; *error bounds what rounding may add in the formula in linear time. */
static double predict(const struct tr_fm_ref *ref, const struct tr_fm_rows *rows, uint32_t row,
                      double *error)
{
    uint32_t from = rows->offsets[row];
    uint32_t to = rows->offsets[row + 1];
    double z = ref->w[0];
    double size = fabs(z);
    for (uint32_t i = from; i < to; i++) {
        double term = ref->w[1 + rows->columns[i]] * (double)rows->values[i];
        z += term;
        size += fabs(term);
    }
    for (uint32_t f = 0; f < ref->config.factor_count; f++) {
        double absolute = 0.0;
        for (uint32_t i = from; i < to; i++) {
            double vi = ref->w[factor_at(ref, rows->columns[i], f)] * (double)rows->values[i];
            absolute += fabs(vi);
            for (uint32_t j = i + 1; j < to; j++)
                z += vi * ref->w[factor_at(ref, rows->columns[j], f)] * (double)rows->values[j];
        }
        size += 2.0 * absolute * absolute; /* of the sum's square and the squares' sum */
    }
    *error = (3.0 * (double)(to - from) + (double)ref->config.factor_count + 8.0) * EPSILON * size;
    return z;
}

static double differentiate(const struct tr_fm_ref *ref, double z, double label, double *dz,
                            double *error)
{
    if (ref->config.loss == TR_LOSS_SQUARED) {
        *dz = 2.0 * (z - label);
        *error = 2.0 * *error + ELEMENTARY * EPSILON * (fabs(z) + fabs(label));
        return (z - label) * (z - label);
    }
    double p = 1.0 / (1.0 + exp(-z));
    *dz = p - label;
    *error = *error / 4.0 + ELEMENTARY * EPSILON;
    return label > 0.5 ? -log(p) : -log1p(-p);
}

static void add_gradient(struct tr_fm_ref *ref, size_t at, double slope, double slope_size,
                         double dz, double dz_error, double rounding)
{
    ref->g[at] += dz * slope;
    ref->g_error[at] += dz_error * fabs(slope) + rounding * EPSILON * fabs(dz) * slope_size;
}

double tr_fm_ref_gradient(struct tr_fm_ref *ref, const struct tr_fm_rows *rows)
{
    const struct tr_fm_config *c = &ref->config;
    double rate = c->row_rate > 0.0 ? c->row_rate : 1.0 / (double)rows->rows;
    double loss = 0.0;
    memset(ref->g, 0, 2 * ref->n * sizeof *ref->g);
    memset(ref->touched, 0, c->dim * sizeof *ref->touched);
    for (uint32_t row = 0; row < rows->rows; row++) {
        uint32_t from = rows->offsets[row];
        uint32_t to = rows->offsets[row + 1];
        double error;
        double dz;
        double z = predict(ref, rows, row, &error);
        loss += differentiate(ref, z, (double)rows->labels[row], &dz, &error);
        dz *= rate;
        error *= rate;
        double rounding = (double)rows->rows + 3.0 * (double)(to - from) + 8.0;
        add_gradient(ref, 0, 1.0, 1.0, dz, error, rounding);
        for (uint32_t i = from; i < to; i++) {
            double x = (double)rows->values[i];
            ref->touched[rows->columns[i]] = true;
            add_gradient(ref, 1 + rows->columns[i], x, fabs(x), dz, error, rounding);
            for (uint32_t f = 0; f < c->factor_count; f++) {
                double others = 0.0; /* what this factor's slope is made of */
                double size = 0.0;
                for (uint32_t j = from; j < to; j++) {
                    double term =
                        ref->w[factor_at(ref, rows->columns[j], f)] * (double)rows->values[j];
                    others += j == i ? 0.0 : term;
                    size += j == i ? 2.0 * fabs(term) : fabs(term);
                }
                add_gradient(ref, factor_at(ref, rows->columns[i], f), x * others, fabs(x) * size,
                             dz, error, rounding);
            }
        }
    }
    return loss;
}

static void update_one(struct tr_fm_ref *ref, size_t at, const struct tr_fm_group *group)
{
    const struct tr_fm_config *c = &ref->config;
    double t = (double)ref->steps;
    double g = ref->g[at] + group->wd * ref->w[at];
    if (c->clip > 0.0)
        g = fmin(fmax(g, -c->clip), c->clip);
    if (c->optimizer == TR_OPTIMIZER_SGD) {
        ref->w[at] -= group->learning_rate * g;
        return;
    }
    ref->m[at] = c->beta1 * ref->m[at] + (1.0 - c->beta1) * g;
    ref->v[at] = c->beta2 * ref->v[at] + (1.0 - c->beta2) * g * g;
    ref->w[at] -= group->learning_rate * (ref->m[at] / (1.0 - pow(c->beta1, t))) /
                  (sqrt(ref->v[at] / (1.0 - pow(c->beta2, t))) + c->epsilon);
}

void tr_fm_ref_update(struct tr_fm_ref *ref)
{
    const struct tr_fm_config *c = &ref->config;
    ref->steps++;
    update_one(ref, 0, &c->groups[TR_FM_BIAS]);
    for (uint32_t column = 0; column < c->dim; column++) {
        if (!ref->touched[column])
            continue;
        update_one(ref, 1 + column, &c->groups[TR_FM_LINEAR]);
        for (uint32_t f = 0; f < c->factor_count; f++)
            update_one(ref, factor_at(ref, column, f), &c->groups[TR_FM_FACTORS]);
    }
}
