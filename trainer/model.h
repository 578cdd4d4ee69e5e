/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/model.h - what the training loop asks of a model: one table of functions each.
 *
 * The loop (trainer/train.c) reads the head of the training channel, makes the model from it, gives
 * it batches that are on the device, asks for results after every pass, and for arrays to write at
 * the end. A model only gives work to the compute stream in `step` and `evaluate`: it allocates
 * nothing there and never waits for the device.
 *
 * Owner: the caller owns the model and frees it before the device.
 * Ranks: every rank makes the same calls, but for batches: each has its share of one, which may be
 *   without rows. A step adds up what the ranks' shares come to (trainer/group.h) and leaves the
 *   same weights everywhere. create, step, epoch_end, results and fold are where a model may call
 *   its group; the others are for one rank alone.
 * Threads: the device's thread.
 * Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_MODEL_H
#define TRAINER_MODEL_H

#include "formats/onnx_write.h"
#include "formats/tensor.h"
#include "trainer/feed.h"
#include "trainer/group.h"
#include "trainer/head.h"
#include "trainer/hyper.h"
#include "trainer/json.h"

/* What rows a model takes: the loop refuses others before the model sees them. */
#define TR_TAKES_DENSE 1U   /* float32 matrices */
#define TR_TAKES_SPARSE 2U  /* CSR rows of float32 */
#define TR_TAKES_BYTES 4U   /* uint8 matrices */
#define TR_TAKES_WEIGHTS 8U /* of rows; without, a channel that has them is refused */
#define TR_NEEDS_LABELS 16U

#define TR_SCORES_MAX 12U
#define TR_SCORE_NAME_BYTES 64U
#define TR_TENSORS_MAX 96U

/* A named result: "multiclass_accuracy" is a score (more is better), "mse" a loss. */
struct tr_score {
    char name[TR_SCORE_NAME_BYTES];
    bool is_loss;
    double value;
};

/* What a pass over a channel came to. */
struct tr_results {
    double rows;
    double loss; /* mean of the objective */
    size_t score_count;
    struct tr_score scores[TR_SCORES_MAX];
};

/* Two sets of sums, so that evaluation leaves those of training alone. */
enum tr_sums { TR_SUMS_TRAIN = 0, TR_SUMS_EVALUATE = 1, TR_SUMS_COUNT = 2 };

struct tr_model_ops;

/* The start of every model. */
struct tr_model {
    const struct tr_model_ops *ops;
    struct tr_device *device;
    struct tr_group *group; /* of the ranks that train it; NULL: one */
};

/* What a model is made from. */
struct tr_setup {
    struct tr_device *device;
    const void *hyper;          /* the model's own values, checked */
    const struct tr_head *head; /* first rows of the training channel; valid during the call */
    uint64_t seed;              /* of whatever the model draws: initial weights, centres, masks */
    struct tr_group *group;     /* all of it is the same on every rank */
};

#define TR_FACTS_MAX 8U

struct tr_fact {
    const char *name;
    uint64_t value;
};

/* A trained model as arrays, and what to say of them. The arrays are the export's and freed with
 * it; texts are constants or the model's. */
struct tr_export {
    size_t tensor_count;
    struct fmt_tensor tensors[TR_TENSORS_MAX];
    size_t fact_count;
    struct tr_fact facts[TR_FACTS_MAX]; /* sizes of the model, e.g. "outputs" */
    const char *variant;                /* e.g. "binary_classifier"; NULL: none */
    const char *prediction; /* in words: how arrays and raw features make a prediction */
};

/* One piece of what a checkpoint has to hold: weights, optimizer's memory, counters. */
struct tr_state_item {
    char name[48];
    void *memory;
    size_t len_bytes;
    bool on_device; /* else host memory of the model */
};

struct tr_model_ops {
    const char *name;  /* "linear-learner" */
    const char *title; /* of SageMaker's "#metrics" lines: "Linear Learner" */
    const struct tr_hyper_table *hyper;
    uint32_t takes;     /* TR_TAKES_* and TR_NEEDS_* */
    bool waits_in_step; /* a step may wait, or do what cannot be recorded as a graph */

    /* Rows of the head that `create` wants to learn from, at least 1. */
    uint64_t (*head_rows)(const void *hyper);

    int (*create)(const struct tr_setup *setup, struct tr_model **out, struct tr_error *error);
    void (*free)(struct tr_model *model); /* waits for the device */

    /* One line for people: what it is, e.g. "binary_classifier, 784 features, adam". */
    void (*describe)(const struct tr_model *model, char *text, size_t text_bytes);

    /* Whether this model can take a batch (in host memory): its labels, and whatever `takes` and
     * the number of features, which the loop has looked at, leave open. `channel` is for the
     * message. */
    int (*check)(const struct tr_model *model, const char *channel,
                 const struct penstock_batch *batch, struct tr_error *error);

    /* Before a step, what it cannot do itself when it is recorded as a graph: allocate, or wait.
     * NULL: nothing. */
    int (*prepare)(struct tr_model *model, const struct tr_device_batch *batch,
                   struct tr_error *error);
    int (*step)(struct tr_model *model, const struct tr_device_batch *batch,
                struct tr_error *error);
    int (*evaluate)(struct tr_model *model, const struct tr_device_batch *batch,
                    struct tr_error *error);

    /* After the last batch of a pass of training: what is done once an epoch, e.g. merging centres.
     * NULL: nothing. `last`: no epoch follows. */
    int (*epoch_end)(struct tr_model *model, uint32_t epoch, bool last, struct tr_error *error);

    /* After every epoch, with what it came to; validation is NULL where there is no such channel.
     * Returns whether another epoch is worth while. NULL: always. */
    bool (*goes_on)(struct tr_model *model, const struct tr_results *train,
                    const struct tr_results *validation);

    /* The objective as SageMaker names it, e.g. "multiclass_cross_entropy_objective". */
    const char *(*objective)(const struct tr_model *model);

    /* Waits for the device and reads the results of one set of sums, which start afresh. */
    int (*results)(struct tr_model *model, enum tr_sums which, struct tr_results *out,
                   struct tr_error *error);

    /* Mean training loss so far, without waiting; 0 before it is known. NULL: none. */
    int (*peek_loss)(struct tr_model *model, double *loss, struct tr_error *error);

    /* Waits for the device and gives the trained model in host memory. */
    int (*export_arrays)(struct tr_model *model, struct tr_export *out, struct tr_error *error);

    /* The same as an ONNX graph from raw features to predictions: its input, nodes and outputs; the
     * initializers are the arrays, or the first of them where it says so. NULL: this kind of model
     * has none. */
    void (*onnx)(const struct tr_model *model, const struct tr_export *arrays,
                 struct fmt_onnx_graph *graph);

    /* Members of config.json's "hyperparameters", with what "auto" became. */
    void (*put_config)(const struct tr_model *model, struct tr_json *json);

    /* Lists everything that decides what further steps do; *count is at most TR_TENSORS_MAX. The
     * memory is read and written by trainer/checkpoint.c while the device is idle. */
    size_t (*state)(struct tr_model *model, struct tr_state_item *items);

    /* After the memory that `state` lists was written to, on every rank what rank 0 had after
     * `fold`: what counts once for all ranks is let go on the others than rank 0 (tr_tally_unfold).
     * NULL: there is nothing to do. */
    int (*restored)(struct tr_model *model, struct tr_error *error);

    /* Together: what the ranks have summed up on their own since the last results goes to rank 0,
     * and begins at nothing on the others: what rank 0 then has is the whole state. NULL: every
     * rank has the same. */
    int (*fold)(struct tr_model *model, struct tr_error *error);

    /* After results: how many rows of training were seen, and a checksum of them that does not
     * depend on their order. NULL: the model keeps none. */
    void (*seen)(const struct tr_model *model, uint64_t *rows, uint64_t *checksum);
};

/* Gives one step to the device, as one graph where it has such. A step of several ranks is none: it
 * waits for what they add up. */
int tr_model_step(struct tr_model *model, const struct tr_device_batch *batch,
                  struct tr_error *error);

/* Frees and clears *model; accepts NULL. */
void tr_model_free(struct tr_model **model);

/* Adds a named result; there are at most TR_SCORES_MAX. */
void tr_results_add(struct tr_results *out, const char *name, bool is_loss, double value);

/* An item of `state` in the device's memory. */
struct tr_state_item tr_state_on_device(const char *name, void *memory, size_t len_bytes);

/* Adds an array of the given shape, filled with zeros, to the export, which owns it. NULL when
 * memory is out, with *error. `name` stays the caller's. */
float *tr_export_add(struct tr_export *out, const char *name, uint32_t dim_count,
                     const uint64_t *shape, struct tr_error *error);
void tr_export_fact(struct tr_export *out, const char *name, uint64_t value);

/* Frees the arrays. */
void tr_export_free(struct tr_export *out);

/* The model of this name, or NULL. */
const struct tr_model_ops *tr_model_find(const char *name);

/* All models, ends with NULL. */
extern const struct tr_model_ops *const tr_models[];

extern const struct tr_model_ops tr_model_linear; /* trainer/linear_model.c */
extern const struct tr_model_ops tr_model_fm;     /* trainer/fm_model.c */
extern const struct tr_model_ops tr_model_pca;    /* trainer/pca.c */
extern const struct tr_model_ops tr_model_kmeans; /* trainer/kmeans.c */
extern const struct tr_model_ops tr_model_mlp;    /* trainer/mlp.c */
extern const struct tr_model_ops tr_model_resnet; /* trainer/resnet.c */
extern const struct tr_model_ops tr_model_custom; /* trainer/custom.c */

#endif
