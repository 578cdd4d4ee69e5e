/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/steps.c - see trainer/steps.h. */
#include "trainer/steps.h"

#include "pipe/stop.h"
#include "trainer/clock.h"

#define SLICE_MS 500
#define BEAT_S 1.0
#define STOP_WAIT_S 3.0 /* for a batch, once the run is to end: a checkpoint is between two */

static int fail(struct tr_steps *s)
{
    s->failed = true;
    return PENSTOCK_E_STOPPED;
}

/* --- data ----------------------------------------------------------------------------------------
 */

static int beat(struct tr_steps *s)
{
    double now_s = tr_now_s();
    if (now_s - s->beat_at_s < BEAT_S)
        return 0;
    s->beat_at_s = now_s;
    return tr_group_beat(s->group, &s->error);
}

/* The others cannot know before this rank's next step that it is to end. */
static int stop_waiting(struct tr_steps *s)
{
    double now_s = tr_now_s();
    if (!ps_stop_signal())
        return 0;
    if (s->stop_seen_s == 0.0)
        s->stop_seen_s = now_s;
    if (now_s - s->stop_seen_s < STOP_WAIT_S)
        return 0;
    return tr_fail(&s->error, "stopped by a signal while it waited for data, which is no place for "
                              "a checkpoint: the one before is the last");
}

static int next_of_inner(struct tr_steps *s, int timeout_ms, const struct penstock_batch **batch)
{
    for (;;) {
        int slice_ms = timeout_ms < 0 ? SLICE_MS : timeout_ms;
        int rc = s->inner.next(s->inner.cookie, slice_ms, batch);
        if (rc == PENSTOCK_E_EMPTY && s->may_be_empty)
            rc = PENSTOCK_EPOCH_END;
        if (beat(s) < 0)
            return fail(s);
        if (rc != PENSTOCK_AGAIN)
            return rc;
        if (stop_waiting(s) < 0)
            return fail(s);
        if (timeout_ms >= 0)
            return rc;
    }
}

/* --- what all say --------------------------------------------------------------------------------
 */

static int say(struct tr_steps *s, uint32_t flags, uint32_t rows)
{
    if (tr_group_say(s->group, flags | s->events.says(s->events.cookie), rows, &s->error) < 0)
        return fail(s);
    s->said = true;
    return PENSTOCK_OK;
}

static int hear(struct tr_steps *s)
{
    if (tr_group_hear(s->group, &s->heard, &s->error) < 0)
        return fail(s);
    s->said = false;
    if (s->stepped && s->events.between(s->events.cookie, &s->heard, &s->error) < 0)
        return fail(s);
    s->stepped = false;
    s->all_stop = s->heard.any & TR_SAYS_STOP;
    return s->all_stop ? PENSTOCK_E_STOPPED : PENSTOCK_OK;
}

/* --- shares of the same batches ------------------------------------------------------------------
 */

/* Ranks that count other rows would wait for each other for ever, or add up what is not one batch.
 */
static int compare_rows(struct tr_steps *s)
{
    if (s->heard.rows == (uint64_t)tr_group_count(s->group) * s->share_rows)
        return PENSTOCK_OK;
    tr_fail(&s->error,
            "the ranks share the rows of the same data, and theirs are not the same: this one (%u) "
            "has a batch of %u rows where another has not: look at the data and the options of "
            "every rank, or choose another --share",
            tr_group_rank(s->group), s->share_rows);
    return fail(s);
}

/* No rank has another batch. A signal is said in the next pass, as this one has no place any more.
 */
static int end_shares(struct tr_steps *s)
{
    s->share_rows = 0;
    if (tr_group_say(s->group, 0, 0, &s->error) < 0 ||
        tr_group_hear(s->group, &s->heard, &s->error) < 0)
        return fail(s);
    int rc = compare_rows(s);
    return rc == PENSTOCK_OK ? PENSTOCK_EPOCH_END : rc;
}

static int next_share(struct tr_steps *s, int timeout_ms, const struct penstock_batch **batch)
{
    int rc = PENSTOCK_OK;
    if (s->said && (rc = hear(s)) == PENSTOCK_OK)
        rc = compare_rows(s);
    if (rc == PENSTOCK_OK)
        rc = next_of_inner(s, timeout_ms, batch);
    if (rc == PENSTOCK_EPOCH_END)
        return end_shares(s);
    if (rc != PENSTOCK_OK)
        return rc;
    s->stepped = true;
    s->share_rows = (*batch)->rows + (*batch)->rows_elsewhere;
    if (say(s, TR_SAYS_MORE, s->share_rows) == PENSTOCK_OK)
        return PENSTOCK_OK;
    s->inner.release(s->inner.cookie, *batch);
    *batch = NULL;
    return PENSTOCK_E_STOPPED;
}

/* --- batches of its own --------------------------------------------------------------------------
 */

static int fetch_ahead(struct tr_steps *s, int timeout_ms)
{
    if (s->ahead_rc == PENSTOCK_OK || s->ahead_rc == PENSTOCK_AGAIN) {
        if (s->ahead_rc == PENSTOCK_OK && s->events.fetches &&
            s->events.fetches(s->events.cookie, &s->error) < 0)
            return fail(s);
        s->ahead_rc = next_of_inner(s, timeout_ms, &s->ahead);
        if (s->ahead_rc == PENSTOCK_AGAIN || s->ahead_rc < 0)
            return s->ahead_rc;
        s->in_pass = true;
    }
    if (s->ahead)
        s->epoch = s->ahead->epoch;
    return say(s, s->ahead ? TR_SAYS_MORE : 0, s->ahead ? s->ahead->rows : 0);
}

/* All ranks have come to the end of the pass. */
static int end_pass(struct tr_steps *s)
{
    int rc = s->ahead_rc;
    s->ahead_rc = PENSTOCK_OK;
    s->in_pass = false;
    s->epoch++;
    return rc;
}

/* A batch as the model is to see it: with the rows that the other ranks have. */
static const struct penstock_batch *show(struct tr_steps *s)
{
    uint32_t no = s->next_shown;
    struct penstock_batch *batch = &s->shown[no].batch;
    s->next_shown = (no + 1) % TR_STEPS_ON_LOAN;
    s->shown[no].inner = s->now;
    if (s->now) {
        *batch = *s->now;
    } else {
        *batch = *s->like;
        batch->rows = batch->rows_padded = 0;
        batch->len_bytes = 0;
        batch->epoch = s->epoch;
    }
    batch->first_row = (uint32_t)s->heard.rows_before;
    batch->rows_elsewhere = (uint32_t)(s->heard.rows - batch->rows);
    s->now = NULL;
    return batch;
}

static int next_own(struct tr_steps *s, int timeout_ms, const struct penstock_batch **batch)
{
    int rc;
    if (!s->said && !s->turned && (rc = fetch_ahead(s, timeout_ms)) != PENSTOCK_OK)
        return rc; /* the first of a pass */
    if (s->said) {
        if ((rc = hear(s)) != PENSTOCK_OK)
            return rc;
        if (!(s->heard.any & TR_SAYS_MORE))
            return end_pass(s);
        s->now = s->ahead;
        s->ahead = NULL;
        s->turned = true;
    }
    if ((rc = fetch_ahead(s, timeout_ms)) != PENSTOCK_OK)
        return rc;
    s->turned = false;
    s->stepped = true;
    *batch = show(s);
    return PENSTOCK_OK;
}

/* --- the source ----------------------------------------------------------------------------------
 */

static int steps_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct tr_steps *s = cookie;
    *batch = NULL;
    if (!s->group)
        return s->inner.next(s->inner.cookie, timeout_ms, batch);
    if (s->failed || s->all_stop)
        return PENSTOCK_E_STOPPED;
    switch (s->kind) {
    case TR_STEPS_SHARED:
        return next_share(s, timeout_ms, batch);
    case TR_STEPS_OWN:
        return next_own(s, timeout_ms, batch);
    case TR_STEPS_ALONE:
        break;
    }
    return next_of_inner(s, timeout_ms, batch);
}

static void steps_release(void *cookie, const struct penstock_batch *batch)
{
    struct tr_steps *s = cookie;
    for (uint32_t i = 0; i < TR_STEPS_ON_LOAN && s->kind == TR_STEPS_OWN; i++) {
        if (batch != &s->shown[i].batch)
            continue;
        if (s->shown[i].inner)
            s->inner.release(s->inner.cookie, s->shown[i].inner);
        s->shown[i].inner = NULL;
        return;
    }
    s->inner.release(s->inner.cookie, batch);
}

static size_t steps_batch_bytes_max(void *cookie)
{
    const struct tr_steps *s = cookie;
    return s->inner.batch_bytes_max(s->inner.cookie);
}

struct tr_source tr_steps_source(struct tr_steps *steps)
{
    return (struct tr_source){steps, steps_next, steps_release, steps_batch_bytes_max};
}

void tr_steps_drop(struct tr_steps *s)
{
    if (s->ahead)
        s->inner.release(s->inner.cookie, s->ahead);
    if (s->now)
        s->inner.release(s->inner.cookie, s->now);
    s->ahead = s->now = NULL;
}
