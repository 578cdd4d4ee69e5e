/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/inputs.h - the channels of a training run, one stream, as sources of batches.
 *
 * Owner: the caller owns the struct and the options it was opened with. Threads: one.
 */
#ifndef TRAINER_INPUTS_H
#define TRAINER_INPUTS_H

#include "pipe/metrics.h"
#include "trainer/feed.h"
#include "trainer/report.h"
#include "trainer/train.h"

/* One channel of the stream. */
struct tr_input {
    struct penstock *stream;
    size_t channel_no;
};

struct tr_inputs {
    const struct tr_train_options *options;
    struct penstock *stream;
    struct ps_metrics *metrics; /* of the caller, told of the stream; NULL */
    struct tr_input of[TR_CHANNEL_COUNT];
    double opened_s;
    const char *resume[TR_CHANNEL_COUNT]; /* states to open channels at; NULL or "": none */
};

/* Whether the run has this channel. */
bool tr_inputs_has(const struct tr_inputs *inputs, enum tr_channel channel);

/* Opens the stream; host memory of its batches is pinned for the device. */
int tr_inputs_open(struct tr_inputs *inputs, const struct tr_train_options *options,
                   struct tr_device *device, struct tr_error *error);
void tr_inputs_close(struct tr_inputs *inputs); /* also when never opened */

/* Batches of a channel. Valid until tr_inputs_close. */
struct tr_source tr_inputs_source(struct tr_inputs *inputs, enum tr_channel channel);

/* Where a channel is, behind the last batch or end of an epoch that it brought. */
int tr_inputs_state(const struct tr_inputs *inputs, enum tr_channel channel,
                    char text[PENSTOCK_STATE_BYTES], struct tr_error *error);

void tr_inputs_counters(const struct tr_inputs *inputs, enum tr_channel channel,
                        struct penstock_counters *counters);

/* Fills *error with why the channel, or a signal, ended the run. Returns -1. */
int tr_inputs_failed(const struct tr_inputs *inputs, enum tr_channel channel,
                     struct tr_error *error);

/* Trouble with a held-out channel ends the run now and not after hours of training. */
int tr_inputs_check_held_out(const struct tr_inputs *inputs, struct tr_error *error);

/* Warnings: what --verify=always could not do, and which records were left out as bad. */
void tr_inputs_report(const struct tr_inputs *inputs, struct tr_report *report);

#endif
