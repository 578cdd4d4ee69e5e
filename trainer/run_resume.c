/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/run_resume.c - a run that goes on from a checkpoint: see trainer/run.h. */
#include "trainer/run.h"

/* Lets go what an earlier run has been through: so many epochs, and batches of the next. */
static int let_go(struct tr_run *run, enum tr_channel channel, uint32_t epochs, uint64_t batches,
                  struct tr_error *error)
{
    const struct tr_source source = tr_steps_source(&run->steps[channel]);
    while (epochs > 0 || batches > 0) {
        const struct penstock_batch *batch;
        int rc = source.next(source.cookie, -1, &batch);
        if (rc == PENSTOCK_OK) {
            source.release(source.cookie, batch);
            batches -= epochs == 0;
        } else if (rc == PENSTOCK_EPOCH_END && epochs > 0) {
            epochs--;
        } else if (run->steps[channel].failed) {
            return tr_fail(error, "%s", run->steps[channel].error.text);
        } else if (run->steps[channel].all_stop) {
            return tr_run_stopped(run, error); /* the checkpoint is still the newest */
        } else if (rc < 0) {
            return tr_inputs_failed(&run->inputs, channel, error);
        } else if (rc != PENSTOCK_AGAIN) {
            return tr_fail(error, "the %s channel has ended before the checkpoint's place",
                           tr_channel_name(channel));
        }
    }
    return 0;
}

/* What cannot be opened at a place brings everything again. */
static int let_go_all(struct tr_run *run, struct tr_error *error)
{
    const struct tr_progress *p = &run->progress;
    bool validates = tr_inputs_has(&run->inputs, TR_CHANNEL_VALIDATION);
    int rc = 0;
    run->lets_go = true;
    for (uint32_t epoch = 0; epoch < p->epoch && rc == 0; epoch++) {
        rc = let_go(run, TR_CHANNEL_TRAIN, 1, 0, error);
        if (rc == 0 && validates)
            rc = let_go(run, TR_CHANNEL_VALIDATION, 1, 0, error);
    }
    if (rc == 0)
        rc = let_go(run, TR_CHANNEL_TRAIN, p->validates ? 1 : 0, p->validates ? 0 : p->pass.batches,
                    error);
    run->lets_go = false;
    return rc;
}

int tr_run_go_on(struct tr_run *run, struct tr_error *error)
{
    struct tr_keeper *keeper = &run->keeper;
    int found = tr_keeper_begin(keeper, &run->report, &run->progress, error);
    if (found <= 0)
        return found;
    run->goes_on = true;
    if (!*keeper->states[TR_CHANNEL_TRAIN])
        return let_go_all(run, error);
    for (int i = 0; i < TR_CHANNEL_COUNT; i++)
        run->inputs.resume[i] = keeper->states[i];
    keeper->head = NULL;
    tr_inputs_close(&run->inputs);
    if (tr_inputs_open(&run->inputs, run->options, run->device, error) < 0)
        return -1;
    const struct tr_source train = tr_inputs_source(&run->inputs, TR_CHANNEL_TRAIN);
    tr_run_step_through(run, &train);
    return 0;
}
