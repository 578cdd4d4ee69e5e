/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/run_pass.c - one epoch of a channel through the model: see trainer/run.h. */
#include "trainer/run.h"

#include "pipe/stop.h"
#include "trainer/shape.h"

/* --- checkpoints ---------------------------------------------------------------------------------
 */

/* Rows and bytes of all ranks, on all. */
static int sum_pass(struct tr_group *group, struct tr_pass *pass, struct tr_error *error)
{
    uint64_t words[] = {pass->rows, pass->batch_bytes};
    if (tr_group_sum(group, words, 2, TR_NUMBER_WORD, error) < 0)
        return -1;
    pass->rows = words[0];
    pass->batch_bytes = words[1];
    return 0;
}

/* Rank 0 has counted for all. */
static void leave_to_first(const struct tr_group *group, struct tr_pass *pass)
{
    if (tr_group_rank(group) > 0)
        pass->rows = pass->batch_bytes = 0;
}

int tr_run_save(struct tr_run *run, const struct tr_progress *progress, struct tr_error *unsaved,
                struct tr_error *error)
{
    const struct tr_model_ops *ops = run->model->ops;
    unsaved->text[0] = '\0';
    if (!run->keeper.keeps)
        return 0;
    if ((ops->fold && ops->fold(run->model, error) < 0) ||
        tr_keeper_gather(&run->keeper, error) < 0)
        return -1;
    if (tr_group_rank(run->group) == 0)
        tr_keeper_save(&run->keeper, progress, unsaved);
    return 0;
}

int tr_run_save_or_warn(struct tr_run *run, const struct tr_progress *progress,
                        struct tr_error *error)
{
    struct tr_error unsaved;
    if (tr_run_save(run, progress, &unsaved, error) < 0)
        return -1;
    if (unsaved.text[0])
        tr_report_line(&run->report, "warning: no checkpoint was written: %s", unsaved.text);
    return 0;
}

/* Where the pass is: between two batches of training, or, with `trained`, before its validation. */
static int progress_of(struct tr_run *run, const struct tr_pass *trained,
                       struct tr_progress *progress, struct tr_error *error)
{
    *progress = (struct tr_progress){.epoch = run->epoch, .validates = trained != NULL};
    if (trained) {
        progress->pass = *trained;
        return 0;
    }
    if (sum_pass(run->group, &run->pass, error) < 0)
        return -1;
    progress->pass = run->pass;
    progress->pass.seconds = tr_now_s() - run->pass_from_s;
    leave_to_first(run->group, &run->pass);
    return 0;
}

static int save_or_warn(struct tr_run *run, struct tr_error *error)
{
    struct tr_progress progress;
    if (progress_of(run, NULL, &progress, error) < 0)
        return -1;
    return tr_run_save_or_warn(run, &progress, error);
}

/* --- a signal ------------------------------------------------------------------------------------
 */

/* "by signal 15", of this rank or of another. */
static const char *stopped_by(char *text, size_t text_bytes)
{
    if (ps_stop_signal())
        snprintf(text, text_bytes, "by signal %d", ps_stop_signal());
    else
        snprintf(text, text_bytes, "as another rank was");
    return text;
}

int tr_run_stopped(const struct tr_run *run, struct tr_error *error)
{
    const char *directory = run->options->checkpoint_dir;
    char how[32];
    stopped_by(how, sizeof how);
    tr_group_part(run->group);
    if (!run->keeper.keeps)
        return tr_fail(error, "stopped %s before the end; no model was written", how);
    return tr_fail(error,
                   "stopped %s before the end; no model was written, but a checkpoint is in %s",
                   how, directory ? directory : "rank 0's directory");
}

/* A signal ended the pass. `trained`: of validation, which will be done anew. */
static int interrupted(struct tr_run *run, const struct tr_pass *trained, struct tr_error *error)
{
    struct tr_results ignored;
    struct tr_progress progress;
    struct tr_error unsaved = {""};
    struct tr_error why;
    char how[32];
    int rc = 0;
    if (!run->keeper.keeps)
        return tr_run_stopped(run, error);
    if (trained)
        rc = run->model->ops->results(run->model, TR_SUMS_EVALUATE, &ignored, &why);
    if (rc == 0 && run->channel != TR_CHANNEL_TEST) { /* before which there was one */
        rc = progress_of(run, trained, &progress, &why);
        if (rc == 0)
            rc = tr_run_save(run, &progress, &unsaved, &why);
    }
    if (rc == 0) /* and none ends before it is written */
        rc = tr_group_broadcast(run->group, &unsaved, sizeof unsaved, &why);
    if (rc == 0 && !unsaved.text[0])
        return tr_run_stopped(run, error);
    if (rc == 0)
        tr_group_part(run->group);
    return tr_fail(error, "stopped %s, and no checkpoint was written: %.1900s",
                   stopped_by(how, sizeof how), rc < 0 ? why.text : unsaved.text);
}

/* --- batches -------------------------------------------------------------------------------------
 */

static int show_progress(struct tr_run *run, struct tr_error *error)
{
    struct tr_pass so_far = run->pass;
    double now_s = tr_now_s();
    if (!tr_report_progress_due(&run->report, now_s))
        return 0;
    if (run->model->ops->peek_loss &&
        run->model->ops->peek_loss(run->model, &so_far.results.loss, error) < 0)
        return -1;
    so_far.seconds = now_s - run->pass_from_s;
    tr_report_progress(&run->report, run->epoch, tr_common(run->options)->epochs, &so_far);
    return 0;
}

void tr_run_tell_metrics(struct tr_run *run, const struct tr_pass *done)
{
    struct ps_metrics *metrics = run->inputs.metrics;
    const struct tr_pass *pass = &run->pass;
    if (!metrics)
        return;
    ps_metrics_set(metrics, "train_epoch", "Epoch that runs, the first is 0", run->epoch);
    ps_metrics_set(metrics, "train_rows_total", "Rows that the model was trained on",
                   (double)(run->summary.rows + (done ? 0 : pass->rows)));
    if (done)
        ps_metrics_set(metrics, "train_loss", "Mean of the objective in the epoch before",
                       done->results.loss);
}

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct tr_run *run = cookie;
    const struct tr_model_ops *ops = run->model->ops;
    const char *name = tr_channel_name(run->channel);
    if (tr_shape_check(ops, name, batch->host, run->feature_dim, error) < 0 ||
        ops->check(run->model, name, batch->host, error) < 0)
        return -1;
    run->pass.rows += batch->host->rows;
    run->pass.batches++;
    run->pass.batch_bytes += batch->host->len_bytes;
    bool trains = run->channel == TR_CHANNEL_TRAIN;
    int rc =
        trains ? tr_model_step(run->model, batch, error) : ops->evaluate(run->model, batch, error);
    if (rc == 0 && !run->group && ps_stop_signal()) {
        run->stopped = true;
        return tr_run_stopped(run, error);
    }
    if (rc < 0 || !trains)
        return rc;
    if (!run->group && tr_keeper_is_due(&run->keeper) && save_or_warn(run, error) < 0)
        return -1;
    tr_run_tell_metrics(run, NULL);
    return show_progress(run, error);
}

/* --- steps of several ranks ----------------------------------------------------------------------
 */

static uint32_t says(void *cookie)
{
    struct tr_run *run = cookie;
    bool saves = run->channel == TR_CHANNEL_TRAIN && !run->lets_go &&
                 tr_group_rank(run->group) == 0 && tr_keeper_is_due(&run->keeper);
    return (ps_stop_signal() ? TR_SAYS_STOP : 0) | (saves ? TR_SAYS_SAVE : 0);
}

static int between(void *cookie, const struct tr_heard *heard, struct tr_error *error)
{
    struct tr_run *run = cookie;
    bool stops = heard->any & TR_SAYS_STOP; /* and is saved then */
    return heard->first & TR_SAYS_SAVE && !stops ? save_or_warn(run, error) : 0;
}

static int fetches(void *cookie, struct tr_error *error)
{
    struct tr_run *run = cookie;
    return tr_keeper_fetches(&run->keeper, error);
}

static struct tr_steps steps_of(struct tr_run *run, enum tr_channel channel,
                                const struct tr_source *inner)
{
    bool shared = run->options->channels[channel].share == TR_SHARE_ROWS;
    bool trains = channel == TR_CHANNEL_TRAIN;
    return (struct tr_steps){
        .group = run->group,
        .kind = shared ? TR_STEPS_SHARED : TR_STEPS_OWN,
        .inner = *inner,
        .may_be_empty = !shared,
        .events = {run, says, between, trains && run->keeper.keeps ? fetches : NULL},
        .like = tr_head_batch(run->head, 0),
    };
}

void tr_run_step_through(struct tr_run *run, const struct tr_source *train)
{
    run->steps[TR_CHANNEL_TRAIN] = steps_of(run, TR_CHANNEL_TRAIN, train);
    for (int i = TR_CHANNEL_VALIDATION; i < TR_CHANNEL_COUNT; i++) {
        const struct tr_source held_out = tr_inputs_source(&run->inputs, (enum tr_channel)i);
        run->steps[i] = steps_of(run, (enum tr_channel)i, &held_out);
    }
}

/* --- a pass --------------------------------------------------------------------------------------
 */

/* What the pass begins with: nothing, or what an earlier run has done of it. The first pass starts
 * when the stream was opened, so that reading the head counts. */
static void begin_pass(struct tr_run *run, enum tr_channel channel, uint32_t epoch)
{
    bool first = channel == TR_CHANNEL_TRAIN && epoch == 0;
    run->channel = channel;
    run->epoch = epoch;
    run->pass = (struct tr_pass){.started_at_s = tr_calendar_s()};
    run->pass_from_s = first ? run->inputs.opened_s : tr_now_s();
    if (channel == TR_CHANNEL_TRAIN && run->goes_on) {
        run->pass = run->progress.pass;
        run->pass_from_s -= run->pass.seconds;
        run->goes_on = false;
        leave_to_first(run->group, &run->pass);
    }
}

/* Why the feeding ended before the pass did. Returns -1. */
static int broke_off(struct tr_run *run, enum tr_channel channel, int rc, int source_rc,
                     const struct tr_pass *trained, struct tr_error *error)
{
    const struct tr_steps *steps = &run->steps[channel];
    if (rc == 0 && steps->failed)
        return tr_fail(error, "%s", steps->error.text);
    if (run->stopped ||
        (rc == 0 && (steps->all_stop || (source_rc == PENSTOCK_E_STOPPED && ps_stop_signal()))))
        return interrupted(run, trained, error);
    return rc < 0 ? -1 : tr_inputs_failed(&run->inputs, channel, error);
}

int tr_run_pass(struct tr_run *run, enum tr_channel channel, uint32_t epoch,
                const struct tr_pass *trained, struct tr_pass *pass, struct tr_error *error)
{
    const struct tr_source source = tr_steps_source(&run->steps[channel]);
    const struct tr_sink sink = {run, step};
    enum tr_sums sums = channel == TR_CHANNEL_TRAIN ? TR_SUMS_TRAIN : TR_SUMS_EVALUATE;
    int source_rc = PENSTOCK_OK;
    begin_pass(run, channel, epoch);
    int rc = tr_feed_run(run->feeds[channel], &source, &sink, &source_rc, error);
    if (rc < 0 || source_rc < 0)
        return broke_off(run, channel, rc, source_rc, trained, error);
    if (sum_pass(run->group, &run->pass, error) < 0)
        return -1;
    if (run->pass.rows == 0)
        return tr_fail(error, "the %s channel ended with no rows", tr_channel_name(channel));
    *pass = run->pass;
    if (run->model->ops->results(run->model, sums, &pass->results, error) < 0)
        return -1;
    pass->seconds = tr_now_s() - run->pass_from_s;
    return 0;
}
