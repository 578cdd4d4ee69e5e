/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_ref.c - see trainer/linear_ref.h. Slow on purpose: one row at a time.
 *
 * Error bounds follow the usual model of rounding, fl(a op b) = (a op b)(1 + d) with |d| <=
 * epsilon, to first order: a sum of n products is off by at most (n + 1) epsilon times the sum of
 * their absolute values, in whatever order it is taken.
 */
#include "trainer/linear_ref.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPSILON ((double)FLT_EPSILON)

/* Error of expf, log1pf and a division in either maths library, in epsilons, with room. */
#define ELEMENTARY 16.0

int tr_ref_new(const struct tr_linear_config *config, struct tr_ref *ref)
{
    size_t n = (size_t)config->dim * config->outputs;
    size_t all = n + config->outputs;
    memset(ref, 0, sizeof *ref);
    ref->config = *config;
    ref->w = calloc(5 * all + 2 * (size_t)config->dim + config->outputs, sizeof(double));
    if (!ref->w)
        return -1;
    ref->b = ref->w + n;
    ref->dw = ref->w + all;
    ref->db = ref->dw + n;
    ref->dw_error = ref->dw + all;
    ref->db_error = ref->dw_error + n;
    ref->m = ref->dw_error + all;
    ref->v = ref->m + all;
    ref->x = ref->v + all;
    ref->x_error = ref->x + config->dim;
    ref->z = ref->x_error + config->dim;
    return 0;
}

void tr_ref_free(struct tr_ref *ref)
{
    free(ref->w);
    memset(ref, 0, sizeof *ref);
}

/* Fills x and z; returns a bound on the error of every z. */
static double forward(struct tr_ref *ref, const float *features)
{
    const struct tr_linear_config *c = &ref->config;
    double worst = 0.0;
    for (uint32_t i = 0; i < c->dim; i++) {
        double raw = (double)features[i];
        double mean = c->mean ? (double)c->mean[i] : 0.0;
        double inv_std = c->mean ? (double)c->inv_std[i] : 1.0;
        ref->x[i] = (raw - mean) * inv_std;
        ref->x_error[i] = c->mean ? 2.0 * EPSILON * fabs(ref->x[i]) : 0.0;
    }
    for (uint32_t j = 0; j < c->outputs; j++) {
        double z = ref->b[j];
        double size = fabs(ref->b[j]);
        double inherited = 0.0;
        for (uint32_t i = 0; i < c->dim; i++) {
            double w = ref->w[(size_t)i * c->outputs + j];
            z += ref->x[i] * w;
            size += fabs(ref->x[i] * w);
            inherited += ref->x_error[i] * fabs(w);
        }
        ref->z[j] = z;
        /* One more epsilon: the device's weights are this one's, rounded. */
        worst = fmax(worst, ((double)c->dim + 2.0) * EPSILON * size + inherited);
    }
    return worst;
}

/* Losses of d, the difference of a prediction and its label in units of label_std; *slope receives
 * the derivative. */
static double distance(const struct tr_linear_config *c, double d, double *slope)
{
    double unit = c->loss == TR_LOSS_QUANTILE ? 1.0 : c->label_std;
    double p = c->loss_parameter / unit;
    double sign = (d > 0.0) - (d < 0.0);
    double beyond = fabs(d) - p;
    switch (c->loss) {
    case TR_LOSS_SQUARED:
        *slope = 2.0 * d;
        return d * d;
    case TR_LOSS_HUBER:
        *slope = beyond > 0.0 ? p * sign : d;
        return beyond > 0.0 ? p * (fabs(d) - p / 2.0) : d * d / 2.0;
    case TR_LOSS_QUANTILE: /* of the label: it is above the prediction where d < 0 */
        *slope = d < 0.0 ? -p : (d > 0.0 ? 1.0 - p : 0.0);
        return d < 0.0 ? p * -d : (1.0 - p) * d;
    case TR_LOSS_EPS_SQUARED:
        *slope = beyond > 0.0 ? 2.0 * beyond * sign : 0.0;
        return beyond > 0.0 ? beyond * beyond : 0.0;
    case TR_LOSS_EPS_ABSOLUTE:
        *slope = beyond > 0.0 ? sign : 0.0;
        return beyond > 0.0 ? beyond : 0.0;
    case TR_LOSS_ABSOLUTE:
    case TR_LOSS_LOGISTIC:
    case TR_LOSS_SOFTMAX:
    case TR_LOSS_HINGE:
    case TR_LOSS_COUNT:
        break;
    }
    *slope = sign;
    return fabs(d);
}

/* Replaces z by its derivative; returns the loss. *error holds z's bound and receives dz's. */
static double differentiate(struct tr_ref *ref, double label, double *hit, double *error)
{
    const struct tr_linear_config *c = &ref->config;
    double *z = ref->z;
    double loss = 0.0;
    if (c->loss != TR_LOSS_SOFTMAX && c->loss != TR_LOSS_LOGISTIC && c->loss != TR_LOSS_HINGE) {
        double target = (label - c->label_mean) / c->label_std;
        *error =
            2.0 * *error + ELEMENTARY * EPSILON *
                               (fabs(z[0]) + (fabs(label) + fabs(c->label_mean)) / c->label_std);
        loss = distance(c, z[0] - target, &z[0]);
        *hit = 0.0;
    } else if (c->loss == TR_LOSS_HINGE) {
        double y = label > 0.5 ? 1.0 : -1.0;
        *hit = (z[0] > 0.0) == (label > 0.5) ? 1.0 : 0.0;
        loss = fmax(0.0, c->loss_parameter - y * z[0]);
        z[0] = loss > 0.0 ? -y : 0.0;
        *error = ELEMENTARY * EPSILON;
    } else if (c->loss == TR_LOSS_LOGISTIC) {
        double p = 1.0 / (1.0 + exp(-z[0]));
        loss = label > 0.5 ? -log(p) : -log1p(-p);
        *hit = (z[0] > 0.0) == (label > 0.5) ? 1.0 : 0.0;
        *error = *error / 4.0 + ELEMENTARY * EPSILON;
        z[0] = p - label;
    } else {
        uint32_t best = 0;
        double sum = 0.0;
        for (uint32_t j = 1; j < c->outputs; j++)
            best = z[j] > z[best] ? j : best;
        double top = z[best];
        for (uint32_t j = 0; j < c->outputs; j++)
            sum += exp(z[j] - top);
        loss = log(sum) + top - z[(uint32_t)label];
        for (uint32_t j = 0; j < c->outputs; j++)
            z[j] = exp(z[j] - top) / sum - (j == (uint32_t)label ? 1.0 : 0.0);
        *hit = best == (uint32_t)label ? 1.0 : 0.0;
        /* d p_j = p_j (d z_j - sum p dz): at most 2 max |d z| p_j. */
        *error = 2.0 * *error + (ELEMENTARY + (double)c->outputs) * EPSILON;
    }
    return loss;
}

double tr_ref_gradient(struct tr_ref *ref, const float *features, const float *labels,
                       uint32_t label_dim, uint32_t rows, double *hits)
{
    const struct tr_linear_config *c = &ref->config;
    size_t all = ((size_t)c->dim + 1) * c->outputs;
    double loss = 0.0;
    double hit_sum = 0.0;
    double per_row = 1.0 / (double)rows;
    double sum_error = ((double)rows + 2.0) * EPSILON;
    memset(ref->dw, 0, 2 * all * sizeof(double)); /* dw, db and their bounds */
    for (uint32_t r = 0; r < rows; r++) {
        double hit;
        double error = forward(ref, features + (size_t)r * c->dim);
        double label = (double)labels[(size_t)r * label_dim];
        double weight = ref->weights ? (double)ref->weights[r] : 1.0;
        weight *= c->class_weights ? (double)c->class_weights[(uint32_t)label] : 1.0;
        loss += weight * differentiate(ref, label, &hit, &error);
        hit_sum += hit;
        for (uint32_t j = 0; j < c->outputs; j++) {
            double dz = ref->z[j] * per_row * weight;
            double dz_error = error * per_row * weight;
            ref->db[j] += dz;
            ref->db_error[j] += dz_error + sum_error * fabs(dz);
            for (uint32_t i = 0; i < c->dim; i++) {
                size_t at = (size_t)i * c->outputs + j;
                ref->dw[at] += ref->x[i] * dz;
                ref->dw_error[at] += fabs(ref->x[i]) * (dz_error + sum_error * fabs(dz)) +
                                     ref->x_error[i] * fabs(dz);
            }
        }
    }
    if (hits)
        *hits = hit_sum;
    return loss * per_row;
}

void tr_ref_update(struct tr_ref *ref)
{
    const struct tr_linear_config *c = &ref->config;
    size_t n = (size_t)c->dim * c->outputs;
    size_t all = n + c->outputs;
    double t = (double)++ref->steps;
    double rate = c->learning_rate;
    if (c->lr_step > 0) {
        rate *= pow(c->lr_factor, floor((t - 1.0) / (double)c->lr_step));
        rate = fmax(rate, fmin(c->lr_minimum, c->learning_rate));
    }
    for (size_t i = 0; i < all; i++) {
        bool is_bias = i >= n;
        if (is_bias && !c->use_bias)
            break;
        double *w = &ref->w[i];
        double sign = *w > 0.0 ? 1.0 : (*w < 0.0 ? -1.0 : 0.0);
        double step = is_bias ? rate * c->bias_lr_mult : rate;
        double g = ref->dw[i] + c->wd * (is_bias ? c->bias_wd_mult : 1.0) * *w;
        g += is_bias ? 0.0 : c->l1 * sign;
        if (c->optimizer == TR_OPTIMIZER_SGD) {
            ref->m[i] = c->momentum * ref->m[i] + g;
            *w -= step * ref->m[i];
            continue;
        }
        ref->m[i] = c->beta1 * ref->m[i] + (1.0 - c->beta1) * g;
        ref->v[i] = c->beta2 * ref->v[i] + (1.0 - c->beta2) * g * g;
        *w -= step * (ref->m[i] / (1.0 - pow(c->beta1, t))) /
              (sqrt(ref->v[i] / (1.0 - pow(c->beta2, t))) + 1e-8);
    }
}
