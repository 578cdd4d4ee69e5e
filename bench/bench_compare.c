/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_compare.c - see bench_compare.h. */
#include "bench/bench_compare.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX 40 /* measurements of both together, up to which all orders are counted */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Share of all orders of n and m measurements in which the count of pairs in the wrong order is u:
 * p(u; n, m) = n/(n+m) p(u - m; n - 1, m) + m/(n+m) p(u; n, m - 1). */
static double share_of(double *table, size_t n, size_t m, size_t u, size_t stride)
{
    if (u > n * m)
        return 0;
    if (n == 0 || m == 0)
        return 1;
    double *known = &table[(n * stride + m) * stride * stride + u];

    if (*known >= 0)
        return *known;
    double share = (double)m / (double)(n + m) * share_of(table, n, m - 1, u, stride);

    if (u >= m)
        share += (double)n / (double)(n + m) * share_of(table, n - 1, m, u - m, stride);
    return *known = share;
}

/* How many of the ratios on either side may be left out of the interval; -1: not even none. */
static long left_out_exact(size_t n, size_t m, double tail)
{
    size_t stride = (n > m ? n : m) + 1;
    size_t room = stride * stride * stride * stride;
    double *table = malloc(room * sizeof *table);
    double sum = 0;
    long count = -1;

    if (!table)
        return -1;
    for (size_t i = 0; i < room; i++)
        table[i] = -1;
    while ((size_t)(count + 1) <= n * m) {
        sum += share_of(table, n, m, (size_t)(count + 1), stride);
        if (sum > tail)
            break;
        count++;
    }
    free(table);
    return count;
}

/* The same by the normal distribution, of which `tail` is cut off at -z. */
static long left_out_about(size_t n, size_t m, double tail)
{
    double low = 0, high = 10;

    while (high - low > 1e-9) {
        double z = (low + high) / 2;

        if (erfc(z / sqrt(2)) / 2 > tail)
            low = z;
        else
            high = z;
    }
    double mean = (double)n * (double)m / 2;
    double deviation = sqrt((double)n * (double)m * (double)(n + m + 1) / 12);

    return (long)floor(mean - 0.5 - high * deviation);
}

bool bench_factor_of(const double *a, size_t a_count, const double *b, size_t b_count,
                     double confidence, struct bench_factor *out)
{
    size_t count = a_count * b_count;
    double *ratios = malloc((count + 1) * sizeof *ratios);
    double tail = (1 - confidence) / 2;

    *out = (struct bench_factor){.factor = NAN, .least = 0, .most = INFINITY};
    if (!ratios || count == 0) {
        free(ratios);
        return false;
    }
    for (size_t i = 0; i < a_count; i++)
        for (size_t k = 0; k < b_count; k++)
            ratios[i * b_count + k] = b[k] / a[i];
    qsort(ratios, count, sizeof *ratios, ascending);
    out->factor = count % 2 ? ratios[count / 2] : sqrt(ratios[count / 2 - 1] * ratios[count / 2]);
    long left_out =
        a_count + b_count <= EXACT_MAX && a_count <= EXACT_MAX / 2 && b_count <= EXACT_MAX / 2
            ? left_out_exact(a_count, b_count, tail)
            : left_out_about(a_count, b_count, tail);

    out->sure = left_out >= 0 && (size_t)left_out < count / 2 + 1;
    if (out->sure) {
        out->least = ratios[left_out];
        out->most = ratios[count - 1 - (size_t)left_out];
    }
    free(ratios);
    return true;
}
