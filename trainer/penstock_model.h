/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/penstock_model.h - a model of your own in penstock's training loop: the interface of
 * `penstock train --algorithm custom --hp library=/path/model.so`.
 *
 * The library exports one function, penstock_model, that gives a table of callbacks. The loop opens
 * the stream, calls init once the first batch is there, step with every batch of the channel train,
 * eval with those of validation and test, results after each pass, save at the end (and for
 * checkpoints, from which load goes on), and free. trainer/example_custom.c is a whole one.
 *
 *     cc -shared -fPIC -o model.so model.c
 *     penstock train --algorithm custom --hp library=$PWD/model.so --hp rate=0.1 --train URI
 *
 * Devices: setup->device says where a batch's arrays are. "cpu": in host memory, stream is NULL,
 * and a callback has done its work when it returns. "cuda": in the memory of the CUDA device that
 * is current; stream is a cudaStream_t, and step and eval give their work to it and return without
 * waiting. The arrays are there for work on that stream, and are overwritten after it. The device
 * is idle, all of that work done, in results, save, load and free. Ranks: a run may have several
 * processes, each with a share of every batch's rows and a model of its own; all begin with the
 * same and make the same steps. A model that says PENSTOCK_MODEL_RANKS does three things for that,
 * which are right for one rank as well:
 *
 *   - it draws what it draws from setup->seed, which is the same everywhere;
 *   - step makes the gradient of its rows' losses, divided by batch->all_rows, not by batch->rows,
 *     which may be 0, and has setup->sum add it up over ranks before it is used;
 *   - what is summed up over rows for results it names by `sums`.
 *
 * The program does the rest: sums are those of all ranks when results is called, and in
 * checkpoints, which rank 0 alone writes. Other models are for one rank. Threads: one callback at a
 * time; not always from the same thread. Errors: a callback that cannot go on writes a sentence of
 * up to error_bytes - 1 bytes to `error` and returns other than 0: the run ends with it, and no
 * model is written. Version: PENSTOCK_MODEL_ABI is raised with every change of this file, which is
 * made at the end of structs: libraries of every version so far are taken, later ones refused.
 * Version 2 has ranks.
 *
 * Compiles alone, as C99 and as C++.
 */
#ifndef PENSTOCK_MODEL_H
#define PENSTOCK_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_MODEL_ABI 2

/* What rows the model takes; others are refused before it sees them. */
#define PENSTOCK_MODEL_DENSE 1U   /* float32 matrices */
#define PENSTOCK_MODEL_SPARSE 2U  /* CSR rows */
#define PENSTOCK_MODEL_BYTES 4U   /* uint8 matrices */
#define PENSTOCK_MODEL_WEIGHTS 8U /* rows that have weights */
#define PENSTOCK_MODEL_LABELS 16U /* rows without labels are refused */
#define PENSTOCK_MODEL_RANKS 32U  /* several ranks can train it */

/* A hyperparameter that is not the loop's own, as it was given: --hp NAME=VALUE, or of
 * hyperparameters.json. */
struct penstock_model_parameter {
    const char *name;
    const char *value;
};

enum penstock_model_number { PENSTOCK_MODEL_FLOATS = 0, PENSTOCK_MODEL_DOUBLES = 1 };

/* Adds up arrays of so many numbers over ranks: all receive the sums, the same to the bit. For
 * step, where every rank calls it equally often and in the same order, also with batch->rows 0, and
 * for no other callback. The array is where a batch's arrays may be: on "cuda" it is taken after
 * the work that the stream has been given, and the sums are there for what it is given later.
 * Returns other than 0 when a rank has failed: step returns that, with `error` as it is. In a run
 * of one rank the array stays as it is. */
typedef int (*penstock_model_sum_fn)(void *cookie, void *numbers, size_t count,
                                     enum penstock_model_number type);

/* What the model is made for. Valid during init; sum and its cookie until free. */
struct penstock_model_setup {
    uint32_t abi;       /* the library's */
    const char *device; /* "cpu" or "cuda" */
    uint32_t feature_dim;
    uint32_t label_dim;       /* of the first batch; 0: there are no labels */
    uint32_t mini_batch_size; /* most rows of a batch, on all ranks together */
    uint32_t epochs;
    uint64_t seed; /* for whatever the model draws */
    size_t parameter_count;
    const struct penstock_model_parameter *parameters;
    /* Version 2. */
    uint32_t rank; /* 0 .. rank_count - 1 */
    uint32_t rank_count;
    penstock_model_sum_fn sum;
    void *sum_cookie;
};

/* Rows, row-major without gaps. What there is none of is NULL. */
struct penstock_model_batch {
    uint32_t rows; /* mini_batch_size / rank_count, but in an epoch's last batch; there maybe 0 */
    uint32_t feature_dim;
    uint32_t label_dim;
    uint32_t epoch;              /* from 0 */
    uint64_t position;           /* of the first row in the epoch, from 0 */
    const float *features;       /* (rows, feature_dim) */
    const uint8_t *bytes;        /* (rows, feature_dim), in place of features */
    const float *labels;         /* (rows, label_dim) */
    const float *weights;        /* (rows) */
    const uint32_t *row_offsets; /* (rows + 1): sparse rows, in place of features */
    const uint32_t *columns;     /* (row_offsets[rows]), from 0 */
    const float *values;         /* (row_offsets[rows]) */
    /* Version 2. */
    uint32_t first_row; /* of all_rows: the rank's first */
    uint32_t all_rows;  /* of the batch on all ranks: at least 1 */
};

#define PENSTOCK_MODEL_SCORES_MAX 8

struct penstock_model_score {
    char name[48]; /* letters, digits and '_' */
    int is_loss;   /* less is better */
    double value;
};

/* What the rows since the last call came to. */
struct penstock_model_results {
    double loss; /* mean of the objective over the rows; training ends where it is not finite */
    uint32_t score_count;
    struct penstock_model_score scores[PENSTOCK_MODEL_SCORES_MAX];
};

enum penstock_model_pass { PENSTOCK_MODEL_TRAIN = 0, PENSTOCK_MODEL_HELD_OUT = 1 };

enum penstock_model_type {
    PENSTOCK_MODEL_FLOAT32 = 0, /* in model files and checkpoints */
    PENSTOCK_MODEL_STATE = 1    /* bytes, in checkpoints alone: what further steps depend on */
};

/* Takes an array, which it copies: name of up to 40 letters, digits, '_' and '.', up to 4
 * dimensions (of PENSTOCK_MODEL_STATE: one, in bytes), host memory. Names and shapes are the same
 * in every save. Returns other than 0 when it cannot: save returns that, with `error` as it is. */
typedef int (*penstock_model_put_fn)(void *cookie, const char *name, enum penstock_model_type type,
                                     uint32_t dim_count, const uint64_t *shape, const void *data);

/* The bytes that save gave under this name; NULL when there are none. Valid during load. */
typedef const void *(*penstock_model_get_fn)(void *cookie, const char *name, size_t *len_bytes);

struct penstock_model_ops {
    uint32_t abi;          /* PENSTOCK_MODEL_ABI */
    uint32_t takes;        /* PENSTOCK_MODEL_* */
    const char *name;      /* "poisson-regression" */
    const char *objective; /* of metric lines: "poisson_objective" */
    const char
        *prediction; /* for config.json: how arrays and features make a prediction; or NULL */

    int (*init)(const struct penstock_model_setup *setup, void **model, char *error,
                size_t error_bytes);
    int (*step)(void *model, const struct penstock_model_batch *batch, void *stream, char *error,
                size_t error_bytes);
    int (*eval)(void *model, const struct penstock_model_batch *batch, void *stream, char *error,
                size_t error_bytes);
    int (*results)(void *model, enum penstock_model_pass pass, struct penstock_model_results *out,
                   char *error, size_t error_bytes);
    int (*save)(void *model, penstock_model_put_fn put, void *cookie, char *error,
                size_t error_bytes);
    int (*load)(void *model, penstock_model_get_fn get, void *cookie, char *error,
                size_t error_bytes); /* NULL: there is no going on from a checkpoint */
    void (*free)(void *model);
    /* Version 2. */
    /* The sums over a pass's rows since the last results, *count numbers where a batch's arrays may
     * be. Those of all ranks when results is called, which makes them 0 again; 0 on ranks other
     * than 0 after load. NULL: there are none. */
    double *(*sums)(void *model, enum penstock_model_pass pass, size_t *count);
};

/* What the library exports. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const struct penstock_model_ops *
penstock_model(void);

#ifdef __cplusplus
}
#endif
#endif
