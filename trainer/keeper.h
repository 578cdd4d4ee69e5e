/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/keeper.h - when checkpoints of a run are written, what they hold, and how a run goes on
 * from one.
 *
 * A run that goes on reads the head of the data and makes its model from it as the first one did,
 * puts back what the model and the run knew, and opens the stream again at the place where the
 * checkpoint is. Data that cannot be opened there (FIFOs; the head itself) are read again and let
 * go up to it.
 *
 * Of several ranks, rank 0 writes: the model is the same on all, and so are the places of channels
 * whose rows they share; of data that each rank has of its own there is a place for each. All go on
 * from what rank 0 finds.
 *
 * Owner: the run; it keeps pointers to what tr_keeper_begin is given. Threads: the device's thread.
 * Errors: int functions return -1 with *error.
 */
#ifndef TRAINER_KEEPER_H
#define TRAINER_KEEPER_H

#include "trainer/checkpoint.h"
#include "trainer/inputs.h"
#include "trainer/steps.h"
#include "trainer/summary.h"

/* Where a run is. */
struct tr_progress {
    uint32_t epoch;
    uint32_t validates;  /* its training is done, and `pass` is all of it; its validation is not */
    uint32_t ended;      /* all training is done, whatever `epochs` says */
    struct tr_pass pass; /* of training, so far */
};

#define TR_MARKS_MAX 96U

struct tr_keeper {
    const struct tr_train_options *options;
    struct tr_inputs *inputs;
    struct tr_model *model;
    const struct tr_head *head; /* whose batches are played first; NULL: none are */
    struct tr_summary *summary;
    const struct tr_steps *trains; /* of the training channel */
    bool keeps;                    /* rank 0 has a directory for checkpoints */
    struct tr_mark marks[TR_MARKS_MAX];
    char values[TR_MARKS_MAX][96]; /* 8 counts of 10 digits are the longest */
    size_t mark_count;
    double saved_at_s;
    uint64_t batches; /* since then */
    bool evaluates;   /* a pass over validation runs, which began at `held_out` */
    char held_out[PENSTOCK_STATE_BYTES];
    char fetched[PENSTOCK_STATE_BYTES]; /* see tr_keeper_fetches */
    struct tr_gathered places; /* of the next checkpoint: of each rank, TR_CHANNEL_COUNT texts */
    char states[TR_CHANNEL_COUNT][PENSTOCK_STATE_BYTES]; /* of the checkpoint to go on from */
};

/* Together, first: learns from rank 0 whether there are checkpoints, and compares the settings of
 * all ranks. */
int tr_keeper_agree(struct tr_keeper *keeper, uint32_t feature_dim, struct tr_error *error);
void tr_keeper_close(struct tr_keeper *keeper);

/* Together: looks for a checkpoint to go on from, if there are any, and puts it back into the
 * model and *summary. Returns 1 with *progress, 0 if there is none, or -1. Warnings go to
 * *report. */
int tr_keeper_begin(struct tr_keeper *keeper, struct tr_report *report,
                    struct tr_progress *progress, struct tr_error *error);

/* The model has been given another batch of training. Whether it is time for a checkpoint. */
bool tr_keeper_is_due(struct tr_keeper *keeper);

/* A pass over the validation channel begins; `evaluates` is to be set to false behind it. */
int tr_keeper_evaluates(struct tr_keeper *keeper, struct tr_error *error);

/* Of a rank that has batches of its own: the one after the next is about to be fetched, and where
 * the training channel is now is where a checkpoint after the next step has to be. */
int tr_keeper_fetches(struct tr_keeper *keeper, struct tr_error *error);

/* Together: rank 0 learns where the others are in their data. */
int tr_keeper_gather(struct tr_keeper *keeper, struct tr_error *error);

/* Of rank 0, after that: writes a checkpoint. */
int tr_keeper_save(struct tr_keeper *keeper, const struct tr_progress *progress,
                   struct tr_error *error);

#endif
