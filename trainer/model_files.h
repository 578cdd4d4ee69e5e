/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/model_files.h - a trained model as files that others can open:
 *
 *   model.safetensors  the model's arrays, float32; metadata in its header
 *   model.npz          the same arrays for NumPy
 *   model.onnx         its graph, from raw features to predictions; of models that have one, and
 *                      where a file of that kind holds it
 *   config.json        what it is, how it was trained, what it scored
 *
 * Owner: the caller owns every pointer. Threads: one.
 */
#ifndef TRAINER_MODEL_FILES_H
#define TRAINER_MODEL_FILES_H

#include "trainer/model.h"

struct tr_model_info {
    const struct tr_model *model;
    const struct tr_hyper_common *common;
    const struct tr_export *arrays;
    uint32_t epochs;               /* done */
    uint64_t rows;                 /* of one epoch */
    const struct tr_score *scores; /* e.g. "test_multiclass_accuracy" */
    size_t score_count;
};

/* Makes the directory, and checks that the files can be written there. Returns 0, or -1 with
 * *error.
 */
int tr_model_prepare(const char *directory, struct tr_error *error);

/* Whether model.onnx is one of the files. */
bool tr_model_has_graph(const struct tr_model_ops *ops, const struct tr_export *arrays);

/* Writes all files under temporary names and renames them when every one is complete on the disk;
 * on failure none is left behind or replaced. Returns 0, or -1 with *error. */
int tr_model_save(const char *directory, const struct tr_model_info *info, struct tr_error *error);

#endif
