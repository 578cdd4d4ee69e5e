/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cluster_math.h - the element-wise maths of trainer/cluster.h, one source for gcc (cpu
 * device) and nvcc (CUDA kernels).
 *
 * Owner: pure functions.
 */
#ifndef TRAINER_CLUSTER_MATH_H
#define TRAINER_CLUSTER_MATH_H

#include "trainer/cluster.h"
#include "trainer/linear_math.h"

/* The squared distance from a row, less the row's squared length, which all centres share. */
TR_FN float tr_nearest_measure(float norm, float product)
{
    return norm - 2.0F * product;
}

TR_FN double tr_nearest_term(float x, double place)
{
    double difference = (double)x - place;
    return difference * difference;
}

/* The next place of one element; number is not 0. */
TR_FN double tr_move_one(double place, double sum, double number, double weight)
{
    return place + (sum - number * place) / weight;
}

#endif
