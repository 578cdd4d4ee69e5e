/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/run.h - a training run while it runs: between trainer/train.c, which begins and ends it,
 * trainer/run_pass.c, which takes a channel through the model, and trainer/run_resume.c, which goes
 * on from a checkpoint.
 *
 * Owner: tr_train. Threads: one. Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include "trainer/inputs.h"
#include "trainer/keeper.h"
#include "trainer/steps.h"
#include "trainer/summary.h"
#include "trainer/train.h"

struct tr_run {
    const struct tr_train_options *options;
    struct tr_group *group; /* the options' */
    struct tr_report report;
    struct tr_device *device;
    struct tr_inputs inputs;
    struct tr_feed *feeds[TR_CHANNEL_COUNT];
    struct tr_steps listening; /* what the head is read through */
    struct tr_head *head;
    struct tr_steps steps[TR_CHANNEL_COUNT]; /* of the channels that the run has */
    struct tr_model *model;
    uint32_t feature_dim;
    char text[256]; /* the model in words */
    struct tr_summary summary;
    /* The pass that is running. */
    enum tr_channel channel;
    uint32_t epoch;
    struct tr_pass pass; /* rows and bytes: of this rank, until it ends */
    double pass_from_s;
    bool stopped; /* by a signal, with all that the source has brought done */
    struct tr_keeper keeper;
    struct tr_progress progress; /* of the run that this one goes on with */
    bool goes_on;                /* its epoch has not been done with yet */
    bool lets_go;                /* of batches that it has been through */
};

/* What the batches of all channels come through; those of training from `train`. */
void tr_run_step_through(struct tr_run *run, const struct tr_source *train);

/* Together: runs one epoch of a channel through the model; *pass receives what came of it, on all
 * ranks. `trained` is the epoch's training, if that is over. */
int tr_run_pass(struct tr_run *run, enum tr_channel channel, uint32_t epoch,
                const struct tr_pass *trained, struct tr_pass *pass, struct tr_error *error);

/* Together: a checkpoint, if the run keeps any. That it cannot be written is no failure, as a run
 * is worth more than one checkpoint: *unsaved then says why, else it is "". */
int tr_run_save(struct tr_run *run, const struct tr_progress *progress, struct tr_error *unsaved,
                struct tr_error *error);

/* The same, and a warning where it cannot be written. */
int tr_run_save_or_warn(struct tr_run *run, const struct tr_progress *progress,
                        struct tr_error *error);

/* Why a run ended before its end, though a checkpoint was written. Returns -1. */
int tr_run_stopped(const struct tr_run *run, struct tr_error *error);

/* Values for --metrics. `done`: the epoch's training is over. */
void tr_run_tell_metrics(struct tr_run *run, const struct tr_pass *done);

/* Together: goes on from the newest checkpoint, if there is one. */
int tr_run_go_on(struct tr_run *run, struct tr_error *error);

#endif
