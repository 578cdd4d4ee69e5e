/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_ref.c - see trainer/net_ref.h. Slow on purpose.
 *
 * Error bounds follow the usual model of rounding, to first order: a sum of n products is off by at
 * most (n + 2) epsilon times the sum of their absolute values, in whatever order it is taken, and
 * by what its terms were off.
 */
#include "trainer/net_ref.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPSILON ((double)FLT_EPSILON)

/* Error of expf, tanhf, log1pf and a division in either maths library, in epsilons, with room. */
#define ELEMENTARY 16.0

int tr_net_ref_new(const struct tr_net_config *config, struct tr_net_ref *ref)
{
    const struct tr_plan *plan = &config->plan;
    size_t n = tr_plan_parameters(plan);
    memset(ref, 0, sizeof *ref);
    ref->config = config;
    ref->parameters = calloc(n, sizeof *ref->parameters);
    ref->gradient = calloc(n, sizeof *ref->gradient);
    ref->input = calloc(tr_extent_values(&plan->in), sizeof *ref->input);
    bool good = ref->parameters && ref->gradient && ref->input;
    for (uint32_t k = 0; k < plan->layer_count; k++) {
        size_t values = tr_extent_values(&plan->layers[k].out);
        ref->out[k] = calloc(values, sizeof *ref->out[k]);
        ref->d[k] = calloc(values, sizeof *ref->d[k]);
        good = good && ref->out[k] && ref->d[k];
    }
    if (!good)
        tr_net_ref_free(ref);
    return good ? 0 : -1;
}

void tr_net_ref_free(struct tr_net_ref *ref)
{
    free(ref->parameters);
    free(ref->gradient);
    free(ref->input);
    for (size_t k = 0; k < TR_LAYERS_MAX; k++) {
        free(ref->out[k]);
        free(ref->d[k]);
    }
    memset(ref, 0, sizeof *ref);
}

/* sum += x * y, where the whole sum has n terms. */
static void add_product(struct tr_num *sum, struct tr_num x, struct tr_num y, double n)
{
    double product = x.value * y.value;
    sum->value += product;
    sum->error += fabs(x.value) * y.error + x.error * fabs(y.value) + x.error * y.error +
                  (n + 2.0) * EPSILON * fabs(product);
}

static struct tr_num exactly(double value)
{
    return (struct tr_num){value, 0.0};
}

/* --- forward -------------------------------------------------------------------------------------
 */

static void load(struct tr_net_ref *ref, const void *features, size_t row)
{
    const struct tr_net_config *config = ref->config;
    const struct tr_extent *in = &config->plan.in;
    size_t pixels = (size_t)in->height * in->width;
    for (size_t pixel = 0; pixel < pixels; pixel++) {
        for (size_t c = 0; c < in->channels; c++) {
            size_t place = config->planes ? c * pixels + pixel : pixel * in->channels + c;
            size_t at = row * pixels * in->channels + place;
            double x = config->bytes ? (double)((const uint8_t *)features)[at]
                                     : (double)((const float *)features)[at];
            if (config->mean)
                x = (x - (double)config->mean[c]) * (double)config->inv_std[c];
            ref->input[pixel * in->channels + c] =
                (struct tr_num){x, config->mean ? 2.0 * EPSILON * fabs(x) : 0.0};
        }
    }
}

static struct tr_num *source(struct tr_net_ref *ref, uint32_t number)
{
    return number == 0 ? ref->input : ref->out[number - 1];
}

/* A pair of a layer's input and output that a weight joins. */
struct joint {
    size_t input;
    size_t output;
    size_t weight; /* in the parameters */
};

typedef void (*joint_fn)(struct tr_net_ref *ref, uint32_t k, struct joint joint, double terms);

static void each_joint_of_pixel(struct tr_net_ref *ref, uint32_t k, uint32_t oy, uint32_t ox,
                                joint_fn visit, double terms)
{
    const struct tr_layer *l = &ref->config->plan.layers[k];
    int64_t pad = l->kernel / 2;
    for (uint32_t ky = 0; ky < l->kernel; ky++) {
        for (uint32_t kx = 0; kx < l->kernel; kx++) {
            int64_t y = (int64_t)oy * l->stride + ky - pad;
            int64_t x = (int64_t)ox * l->stride + kx - pad;
            if (y < 0 || y >= l->in.height || x < 0 || x >= l->in.width)
                continue;
            for (uint32_t c = 0; c < l->in.channels; c++) {
                for (uint32_t o = 0; o < l->outputs; o++) {
                    size_t line = ((size_t)ky * l->kernel + kx) * l->in.channels + c;
                    struct joint joint = {((size_t)y * l->in.width + (size_t)x) * l->in.channels +
                                              c,
                                          ((size_t)oy * l->out.width + ox) * l->outputs + o,
                                          l->weights_at + line * l->outputs + o};
                    visit(ref, k, joint, terms);
                }
            }
        }
    }
}

/* Visits every joint of a dense layer or a convolution. */
static void each_joint(struct tr_net_ref *ref, uint32_t k, joint_fn visit, double terms)
{
    const struct tr_layer *l = &ref->config->plan.layers[k];
    if (l->op == TR_LAYER_CONV) {
        for (uint32_t oy = 0; oy < l->out.height; oy++) {
            for (uint32_t ox = 0; ox < l->out.width; ox++)
                each_joint_of_pixel(ref, k, oy, ox, visit, terms);
        }
        return;
    }
    for (uint32_t i = 0; i < tr_layer_dim(l); i++) {
        for (uint32_t o = 0; o < l->outputs; o++) {
            struct joint joint = {i, o, l->weights_at + (size_t)i * l->outputs + o};
            visit(ref, k, joint, terms);
        }
    }
}

static void join_forward(struct tr_net_ref *ref, uint32_t k, struct joint j, double terms)
{
    const struct tr_num *x = source(ref, ref->config->plan.layers[k].input);
    add_product(&ref->out[k][j.output], x[j.input], exactly(ref->parameters[j.weight]), terms);
}

static void average(const struct tr_layer *l, const struct tr_num *x, struct tr_num *out)
{
    size_t pixels = (size_t)l->in.height * l->in.width;
    for (size_t c = 0; c < l->in.channels; c++) {
        out[c] = exactly(0.0);
        for (size_t pixel = 0; pixel < pixels; pixel++)
            add_product(&out[c], x[pixel * l->in.channels + c], exactly(1.0 / (double)pixels),
                        (double)pixels);
    }
}

static struct tr_num activated(enum tr_activation activation, struct tr_num z)
{
    if (activation == TR_ACTIVATION_RELU) /* what is surely negative gives a zero without error */
        return (struct tr_num){fmax(z.value, 0.0), z.value < -z.error ? 0.0 : z.error};
    if (activation == TR_ACTIVATION_TANH)
        return (struct tr_num){tanh(z.value), z.error + ELEMENTARY * EPSILON};
    return z;
}

static void forward_layer(struct tr_net_ref *ref, uint32_t k)
{
    const struct tr_plan *plan = &ref->config->plan;
    const struct tr_layer *l = &plan->layers[k];
    size_t n = tr_extent_values(&l->out);
    struct tr_num *out = ref->out[k];
    double terms = (double)tr_layer_dim(l) + 1.0;
    if (l->op == TR_LAYER_MEAN) {
        average(l, source(ref, l->input), out);
    } else {
        const double *bias = ref->parameters + plan->weight_count + l->bias_at;
        for (size_t i = 0; i < n; i++) {
            double b = bias[i % l->outputs];
            out[i] = (struct tr_num){b, (terms + 2.0) * EPSILON * fabs(b)};
        }
        each_joint(ref, k, join_forward, terms);
    }
    for (size_t i = 0; i < n; i++) {
        if (l->residual > 0) {
            struct tr_num r = ref->out[l->residual - 1][i];
            out[i].value += r.value;
            out[i].error += r.error + EPSILON * fabs(out[i].value);
        }
        out[i] = activated(l->activation, out[i]);
    }
}

/* --- loss ----------------------------------------------------------------------------------------
 */

/* Fills the derivative of the last layer from its output; returns the loss. */
static double differentiate(struct tr_net_ref *ref, double label, double *hit)
{
    const struct tr_net_config *c = ref->config;
    uint32_t last = c->plan.layer_count - 1;
    uint32_t outputs = c->plan.layers[last].outputs;
    const struct tr_num *z = ref->out[last];
    struct tr_num *d = ref->d[last];
    double loss;
    *hit = 0.0;
    if (c->loss == TR_LOSS_SQUARED) {
        double target = (label - c->label_mean) / c->label_std;
        double size = fabs(z[0].value) + (fabs(label) + fabs(c->label_mean)) / c->label_std;
        double difference = z[0].value - target;
        d[0] = (struct tr_num){2.0 * difference, 2.0 * z[0].error + ELEMENTARY * EPSILON * size};
        return difference * difference;
    }
    if (c->loss == TR_LOSS_LOGISTIC) {
        double p = 1.0 / (1.0 + exp(-z[0].value));
        d[0] = (struct tr_num){p - label, z[0].error / 4.0 + ELEMENTARY * EPSILON};
        *hit = (z[0].value > 0.0) == (label > 0.5) ? 1.0 : 0.0;
        return label > 0.5 ? -log(p) : -log1p(-p);
    }
    uint32_t best = 0;
    double sum = 0.0;
    double error = 0.0;
    for (uint32_t j = 0; j < outputs; j++) {
        best = z[j].value > z[best].value ? j : best;
        error = fmax(error, z[j].error);
    }
    for (uint32_t j = 0; j < outputs; j++)
        sum += exp(z[j].value - z[best].value);
    loss = log(sum) + z[best].value - z[(uint32_t)label].value;
    for (uint32_t j = 0; j < outputs; j++) {
        double p = exp(z[j].value - z[best].value) / sum;
        /* d p_j = p_j (d z_j - sum p dz): at most 2 max |d z| p_j. */
        d[j] = (struct tr_num){p - (j == (uint32_t)label ? 1.0 : 0.0),
                               2.0 * error + (ELEMENTARY + (double)outputs) * EPSILON};
    }
    *hit = best == (uint32_t)label ? 1.0 : 0.0;
    return loss;
}

/* --- backward ------------------------------------------------------------------------------------
 */

/* The derivative by what went into the activation. Where float32 may be on the other side of relu's
 * bend, all of it is in doubt. */
static struct tr_num bent(enum tr_activation activation, struct tr_num a, struct tr_num d)
{
    struct tr_num slope = exactly(1.0);
    struct tr_num out = exactly(0.0);
    if (activation == TR_ACTIVATION_RELU)
        slope.value = a.value > 0.0 ? 1.0 : 0.0;
    if (activation == TR_ACTIVATION_RELU && a.error > 0.0 && a.value <= a.error)
        slope.error = 1.0;
    if (activation == TR_ACTIVATION_TANH)
        slope =
            (struct tr_num){1.0 - a.value * a.value, 2.0 * fabs(a.value) * a.error + 2.0 * EPSILON};
    add_product(&out, d, slope, 1.0);
    return out;
}

static void add(struct tr_num *to, struct tr_num from)
{
    to->value += from.value;
    to->error += from.error + EPSILON * fabs(from.value);
}

static void join_backward(struct tr_net_ref *ref, uint32_t k, struct joint j, double terms)
{
    uint32_t input = ref->config->plan.layers[k].input;
    struct tr_num d = ref->d[k][j.output];
    add_product(&ref->gradient[j.weight], source(ref, input)[j.input], d, ref->gradient_terms);
    if (input > 0)
        add_product(&ref->d[input - 1][j.input], d, exactly(ref->parameters[j.weight]), terms);
}

static void backward_layer(struct tr_net_ref *ref, uint32_t k)
{
    const struct tr_plan *plan = &ref->config->plan;
    const struct tr_layer *l = &plan->layers[k];
    size_t n = tr_extent_values(&l->out);
    for (size_t i = 0; i < n; i++) {
        ref->d[k][i] = bent(l->activation, ref->out[k][i], ref->d[k][i]);
        if (l->residual > 0)
            add(&ref->d[l->residual - 1][i], ref->d[k][i]);
    }
    if (l->op == TR_LAYER_MEAN) {
        size_t pixels = (size_t)l->in.height * l->in.width;
        for (size_t i = 0; l->input > 0 && i < pixels * l->in.channels; i++)
            add_product(&ref->d[l->input - 1][i], ref->d[k][i % l->in.channels],
                        exactly(1.0 / (double)pixels), 2.0);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_product(&ref->gradient[plan->weight_count + l->bias_at + i % l->outputs], ref->d[k][i],
                    exactly(1.0), ref->gradient_terms);
    /* An input meets every output channel of as many pixels as the kernel has. */
    each_joint(ref, k, join_backward,
               (double)l->outputs * (l->op == TR_LAYER_CONV ? l->kernel * l->kernel : 1) + 1.0);
}

double tr_net_ref_gradient(struct tr_net_ref *ref, const void *features, const float *labels,
                           uint32_t label_dim, uint32_t rows, double *hits)
{
    const struct tr_plan *plan = &ref->config->plan;
    uint32_t last = plan->layer_count - 1;
    double loss = 0.0;
    uint32_t pixels = 1;
    *hits = 0.0;
    memset(ref->gradient, 0, tr_plan_parameters(plan) * sizeof *ref->gradient);
    for (uint32_t k = 0; k < plan->layer_count; k++)
        pixels =
            tr_layer_pixels(&plan->layers[k]) > pixels ? tr_layer_pixels(&plan->layers[k]) : pixels;
    ref->gradient_terms = (double)rows * (double)pixels + 1.0;
    for (uint32_t row = 0; row < rows; row++) {
        double hit;
        load(ref, features, row);
        for (uint32_t k = 0; k < plan->layer_count; k++) {
            forward_layer(ref, k);
            memset(ref->d[k], 0, tr_extent_values(&plan->layers[k].out) * sizeof *ref->d[k]);
        }
        loss += differentiate(ref, (double)labels[(size_t)row * label_dim], &hit);
        *hits += hit;
        for (uint32_t j = 0; j < plan->layers[last].outputs; j++) {
            ref->d[last][j].value /= (double)rows;
            ref->d[last][j].error /= (double)rows;
        }
        for (uint32_t k = plan->layer_count; k-- > 0;)
            backward_layer(ref, k);
    }
    return loss / (double)rows;
}
