/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/linear_parts.h - what a linear model holds: for trainer/linear.c, which makes and reads
 * it, and trainer/linear_step.c, which trains it.
 */
#ifndef TRAINER_LINEAR_PARTS_H
#define TRAINER_LINEAR_PARTS_H

#include "trainer/entry_order.h"
#include "trainer/linear.h"
#include "trainer/tally.h"

/* Weights or biases with their gradient and the optimizer's memory; device arrays of n floats. The
 * biases' gradient lies behind the weights': one array is summed over ranks. */
struct tr_linear_parameters {
    float *value;
    float *gradient;
    float *m;
    float *v;
    size_t n;
};

struct tr_linear {
    struct tr_device *device;
    struct tr_linear_config config;
    uint32_t width; /* models * outputs */
    uint32_t block_rows;
    uint64_t steps;
    struct tr_linear_parameters w; /* (dim, width) */
    struct tr_linear_parameters b; /* (width) */
    size_t gradient_floats;        /* of both, and what is between them, which is zero */
    float *mean;                   /* (dim), device; NULL without scaling, or with sparse rows */
    float *inv_std;                /* (dim); NULL without scaling */
    float *class_weights;          /* NULL: 1 */
    float *scaled; /* (block_rows, dim); NULL without scaling, or with sparse rows */
    float *z;      /* (block_rows, width), as the next */
    float *dz;
    float *row_loss; /* (block_rows), as the next two */
    float *row_hit;
    float *row_error; /* NULL for classes */
    struct tr_entry_order order;
    struct tr_tally tally;
};

#endif
