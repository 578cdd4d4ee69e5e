/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/model_files.h - a trained linear model as files that others can open:
 *
 *   model.safetensors  weights (dim, outputs) and bias (outputs), float32; metadata in its header
 *   model.npz          the same arrays for NumPy
 *   config.json        what it is, how it was trained, what it scored
 *
 * Scalings are folded in: raw features x give x @ weights + bias, which is class scores
 * (multiclass_classifier), the log odds of class 1 (binary_classifier) or the prediction
 * (regressor).
 *
 * Owner: the caller owns every pointer. Threads: one.
 */
#ifndef TRAINER_MODEL_FILES_H
#define TRAINER_MODEL_FILES_H

#include "trainer/hyper.h"
#include "trainer/linear.h"

#define TR_SCORES_MAX 8U

/* A named result, e.g. "test_multiclass_accuracy". */
struct tr_score {
    char name[64];
    double value;
};

struct tr_model_info {
    const struct tr_hyper *hyper;
    const struct tr_linear_config *config;
    const float *weights; /* (dim, outputs), folded */
    const float *bias;    /* (outputs), folded */
    uint32_t epochs;      /* done */
    uint64_t rows;        /* of one epoch */
    const char *device;   /* name */
    const struct tr_score *scores;
    size_t score_count;
};

/* Writes all files under temporary names and renames them when every one is complete on the disk;
 * on failure none is left behind or replaced. Returns 0, or -1 with *error. */
int tr_model_save(const char *directory, const struct tr_model_info *info, struct tr_error *error);

#endif
