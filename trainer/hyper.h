/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/hyper.h - hyperparameters under SageMaker's names: a table for every model says what
 * there is, and this takes "name=value" by it.
 *
 * A model's values are a struct of its own that starts with struct tr_hyper_common.
 *
 * Owner: the caller; values hold no pointer. Threads: pure functions.
 * Errors: functions return 0, or -1 with *error, a sentence that names the hyperparameter.
 */
#ifndef TRAINER_HYPER_H
#define TRAINER_HYPER_H

#include "trainer/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any model's values. */
#define TR_HYPER_BYTES_MAX 8192U

/* The start of every model's values: what the loop itself needs. */
struct tr_hyper_common {
    uint32_t feature_dim; /* 0: as the data has */
    uint32_t epochs;
    uint32_t mini_batch_size;
    uint32_t seed; /* of whatever the model draws; models that draw nothing have no such name */
};

enum tr_hyper_kind {
    TR_HYPER_WORD,  /* int: the value of the word */
    TR_HYPER_COUNT, /* uint32_t */
    TR_HYPER_REAL,  /* double */
    TR_HYPER_TRUTH, /* int: enum tr_truth */
    TR_HYPER_TEXT,  /* char array of `most` bytes */
    TR_HYPER_COUNTS /* struct tr_hyper_counts: numbers with commas between; "": none */
};

#define TR_HYPER_COUNTS_MAX 8U
#define TR_HYPER_BELOW_ONE 0.9999999999 /* the most of what has to be below 1 */

struct tr_hyper_counts {
    uint32_t count;
    uint32_t at[TR_HYPER_COUNTS_MAX];
};

/* "auto" is NAN for a double, 0 for a count, TR_AUTO for a truth value, unless the model's defaults
 * say otherwise. */
enum tr_truth { TR_FALSE = 0, TR_TRUE = 1, TR_AUTO = 2 };

struct tr_hyper_word {
    const char *text;
    int value;
};

struct tr_hyper_parameter {
    const char *name;
    enum tr_hyper_kind kind;
    size_t offset;    /* in the model's values */
    bool may_be_auto; /* "auto" puts the default back */
    double least;     /* COUNT, COUNTS and REAL: inclusive bounds */
    double most;
    const struct tr_hyper_word *words; /* ends with a NULL text; REAL: words that stand for a value,
                                          or NULL */
};

/* One of SageMaker's with a single value here: another is refused. */
struct tr_hyper_fixed {
    const char *name;
    const char *only;
};

struct tr_hyper_table {
    const struct tr_hyper_parameter *parameters; /* ends with a NULL name */
    const struct tr_hyper_parameter *shared;     /* likewise: the start of the values, which other
                                                    models have too; NULL: none */
    const struct tr_hyper_fixed *fixed;          /* likewise; NULL: none */
    size_t values_bytes;                         /* at most TR_HYPER_BYTES_MAX */
    void (*init)(void *values);                  /* fills in the defaults */
    /* Checks what only the whole set shows, e.g. that num_classes goes with predictor_type. */
    int (*check)(const void *values, struct tr_error *error);
    /* Takes a name that is not listed. NULL: it is refused. */
    int (*other)(void *values, const char *name, const char *value, struct tr_error *error);
};

/* Parameter i of both lists, or NULL after the last. */
const struct tr_hyper_parameter *tr_hyper_at(const struct tr_hyper_table *table, size_t i);

/* Takes one "name=value". */
int tr_hyper_set(const struct tr_hyper_table *table, void *values, const char *assignment,
                 struct tr_error *error);

/* The word of this value. */
const char *tr_hyper_word(const struct tr_hyper_word *words, int value);

/* `value`, or `automatic` when it is NAN. */
double tr_hyper_or_auto(double value, double automatic);

#endif
