/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/lloyd.c - see trainer/lloyd.h. */
#include "trainer/lloyd.h"

#include "trainer/random.h"

#include <math.h>
#include <string.h>

static double weight_of(const struct tr_points *points, size_t at)
{
    return points->weight ? points->weight[at] : 1.0;
}

static const double *place_of(const struct tr_points *points, size_t at)
{
    return points->place + at * points->dim;
}

/* In four sums, which the compiler computes side by side. */
static double squared_distance(const double *restrict a, const double *restrict b, uint32_t dim)
{
    double sums[4] = {0.0, 0.0, 0.0, 0.0};
    uint32_t j = 0;
    for (; j + 4 <= dim; j += 4) {
        for (uint32_t i = 0; i < 4; i++)
            sums[i] += (a[j + i] - b[j + i]) * (a[j + i] - b[j + i]);
    }
    for (; j < dim; j++)
        sums[0] += (a[j] - b[j]) * (a[j] - b[j]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void tr_choose_random(const struct tr_points *points, struct tr_draw draw, uint32_t count,
                      double *centres)
{
    size_t usable = 0;
    uint32_t chosen = 0;
    for (size_t i = 0; i < points->count; i++)
        usable += weight_of(points, i) > 0.0 ? 1 : 0;
    /* Each is taken with the probability that leaves every choice equally likely. */
    for (size_t i = 0; i < points->count && chosen < count; i++) {
        double u = tr_random_uniform(draw.seed, draw.stream, i);
        if (weight_of(points, i) <= 0.0)
            continue;
        if (u * (double)usable < (double)(count - chosen))
            memcpy(centres + (size_t)chosen++ * points->dim, place_of(points, i),
                   points->dim * sizeof *centres);
        usable--;
    }
    for (; chosen < count; chosen++)
        memcpy(centres + (size_t)chosen * points->dim, place_of(points, points->count - 1),
               points->dim * sizeof *centres);
}

/* The point where the running sum of probabilities passes u. */
static size_t draw_point(const struct tr_points *points, const double *distance, double u)
{
    double total = 0.0;
    double sum = 0.0;
    size_t last = points->count - 1;
    for (size_t i = 0; i < points->count; i++)
        total += weight_of(points, i) * distance[i];
    for (size_t i = 0; i < points->count; i++) {
        double share = weight_of(points, i) * distance[i];
        if (share <= 0.0)
            continue;
        last = i;
        sum += share;
        if (sum > u * total)
            break;
    }
    return last;
}

void tr_choose_apart(const struct tr_points *points, struct tr_draw draw, uint32_t count,
                     double *centres, double *distance)
{
    for (size_t i = 0; i < points->count; i++)
        distance[i] = 1.0;
    for (uint32_t k = 0; k < count; k++) {
        double *centre = centres + (size_t)k * points->dim;
        double u = tr_random_uniform(draw.seed, draw.stream, k);
        memcpy(centre, place_of(points, draw_point(points, distance, u)),
               points->dim * sizeof *centre);
        for (size_t i = 0; i < points->count; i++) {
            double d = squared_distance(place_of(points, i), centre, points->dim);
            distance[i] = k == 0 ? d : fmin(distance[i], d);
        }
    }
}

static uint32_t nearest(const double *point, const double *centres, uint32_t count, uint32_t dim,
                        double *distance)
{
    uint32_t best = 0;
    *distance = INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        double d = squared_distance(point, centres + (size_t)k * dim, dim);
        if (d < *distance) {
            *distance = d;
            best = k;
        }
    }
    return best;
}

/* One iteration; returns the sum of distances before it. */
static double iterate(const struct tr_points *points, uint32_t count, double *centres, double *sums)
{
    uint32_t dim = points->dim;
    double *weights = sums + (size_t)count * dim;
    double total = 0.0;
    memset(sums, 0, (size_t)count * (dim + 1) * sizeof *sums);
    for (size_t i = 0; i < points->count; i++) {
        const double *point = place_of(points, i);
        double weight = weight_of(points, i);
        double distance;
        if (weight <= 0.0)
            continue;
        uint32_t k = nearest(point, centres, count, dim, &distance);
        total += weight * distance;
        weights[k] += weight;
        for (uint32_t j = 0; j < dim; j++)
            sums[(size_t)k * dim + j] += weight * point[j];
    }
    for (uint32_t k = 0; k < count; k++) {
        for (uint32_t j = 0; j < dim && weights[k] > 0.0; j++)
            centres[(size_t)k * dim + j] = sums[(size_t)k * dim + j] / weights[k];
    }
    return total;
}

double tr_lloyd(const struct tr_points *points, uint32_t count, uint32_t max_iterations,
                double tolerance, double *centres, double *sums)
{
    double before = INFINITY;
    double total = 0.0;
    for (uint32_t i = 0; i < max_iterations; i++) {
        total = iterate(points, count, centres, sums);
        if (before - total <= tolerance * total)
            break;
        before = total;
    }
    return total;
}
