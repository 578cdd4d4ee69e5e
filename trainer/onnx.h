/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/onnx.h - trained models as ONNX graphs: what their functions `onnx` share.
 *
 * Owner: the caller. Graphs point to the export's arrays and to constants. Threads: pure functions.
 */
#ifndef TRAINER_ONNX_H
#define TRAINER_ONNX_H

#include "trainer/kernels.h"
#include "trainer/model.h"

/* The graph's input `features`, rows of `dim` values. */
void tr_onnx_features(struct fmt_onnx_graph *graph, uint64_t dim);

/* Turns `last`, the output of a node (rows, outputs), into the graph's outputs:
 *   softmax   scores, probabilities (rows, outputs); label (rows), int64
 *   logistic  score, probability (rows, 1); label (rows, 1), int64
 *   hinge     the same without probability
 *   others    prediction (rows, 1)
 * The node is renamed to the first of these. */
void tr_onnx_results(struct fmt_onnx_graph *graph, enum tr_loss loss, uint64_t outputs);

/* features @ weights + bias, the first two arrays. */
void tr_onnx_linear(const struct tr_export *arrays, enum tr_loss loss,
                    struct fmt_onnx_graph *graph);

/* Factorization machines from rows that are dense, of the arrays bias, linear and factors. */
void tr_onnx_fm(const struct tr_export *arrays, enum tr_loss loss, struct fmt_onnx_graph *graph);

/* Of struct tr_model_ops. kmeans, of the array of centroids, gives
 *   squared_distances    (rows, k)
 *   closest_cluster      (rows), int64
 *   distance_to_cluster  (rows): the root of the least
 * pca, of its first two arrays, components and mean: projection (rows, num_components). */
void tr_onnx_kmeans(const struct tr_model *model, const struct tr_export *arrays,
                    struct fmt_onnx_graph *graph);
void tr_onnx_pca(const struct tr_model *model, const struct tr_export *arrays,
                 struct fmt_onnx_graph *graph);

#endif
