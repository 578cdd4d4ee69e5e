/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/kmeans_hyper.h - hyperparameters of kmeans.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_KMEANS_HYPER_H
#define TRAINER_KMEANS_HYPER_H

#include "trainer/hyper.h"

enum tr_kmeans_init { TR_KMEANS_RANDOM = 0, TR_KMEANS_PLUS_PLUS };

#define TR_KMEANS_MSD 1 /* bits of eval_metrics */
#define TR_KMEANS_SSD 2

struct tr_kmeans_hyper {
    struct tr_hyper_common common;
    uint32_t k;
    int init_method;              /* enum tr_kmeans_init */
    uint32_t extra_center_factor; /* 0: auto */
    uint32_t half_life_time_size; /* 0: no row is forgotten */
    int local_lloyd_init_method;  /* enum tr_kmeans_init */
    uint32_t local_lloyd_max_iter;
    uint32_t local_lloyd_num_trials; /* 0: auto */
    double local_lloyd_tol;
    int eval_metrics;
};

extern const struct tr_hyper_table tr_kmeans_hyper_table;

/* Centres of the first pass: k times extra_center_factor. */
uint32_t tr_kmeans_centres(const struct tr_kmeans_hyper *hyper);

/* local_lloyd_num_trials for so many centres. */
uint32_t tr_kmeans_trials(const struct tr_kmeans_hyper *hyper, uint32_t centres);

/* "random", "kmeans++". */
const char *tr_kmeans_init_name(int init_method);

#endif
