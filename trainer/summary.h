/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/summary.h - what a run leaves behind: totals, the model files, the metrics file.
 *
 * The metrics file is one JSON object: device, I/O backend, one entry an epoch, scores of held-out
 * channels, counters of the training stream.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef TRAINER_SUMMARY_H
#define TRAINER_SUMMARY_H

#include "trainer/report.h"
#include "trainer/train.h"

#define TR_SUMMARY_EPOCHS_MAX 1000U /* epochs kept one by one; later ones count in the totals */

struct tr_summary_epoch {
    struct tr_pass train;
    struct tr_pass validation;
};

struct tr_summary {
    char device_line[512];
    char io_backend[16];
    char io_reason[160];
    uint32_t epochs;
    uint64_t rows; /* all epochs together, as the next two */
    uint64_t batches;
    double train_seconds;
    bool has_validation;
    bool has_test;
    struct tr_pass train;      /* of the last epoch */
    struct tr_pass validation; /* of the last epoch */
    struct tr_pass test;
    double seconds; /* from opening the stream to the end */
    struct penstock_counters counters;
    struct tr_feed_stats feed;        /* of the training channel */
    double headroom;                  /* see struct tr_data_figures */
    struct tr_summary_epoch *history; /* (epochs, at most TR_SUMMARY_EPOCHS_MAX) */
};

/* Checks before the run that what it leaves behind can be written. */
int tr_summary_prepare(const struct tr_train_options *options, struct tr_error *error);

/* Adds an epoch; validation may be NULL. */
void tr_summary_epoch(struct tr_summary *summary, const struct tr_pass *train,
                      const struct tr_pass *validation);
void tr_summary_test(struct tr_summary *summary, const struct tr_pass *test);

/* Writes the model (when options say where) and the metrics file (likewise). */
int tr_summary_save(const struct tr_summary *summary, const struct tr_train_options *options,
                    const struct tr_model *model, const struct tr_export *arrays,
                    struct tr_error *error);

#endif
