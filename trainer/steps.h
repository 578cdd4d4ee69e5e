/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/steps.h - the batches of a channel, step by step together with the other ranks.
 *
 * Without a group all of this is the inner source's own doing.
 *
 * Ranks that share every batch see the same number of them, of the same rows: they compare. Ranks
 * that have batches of their own may not: each keeps the next batch in hand and says, one step
 * ahead, whether there is one and of how many rows; one that has run dry goes on with batches
 * without rows until all are dry. In either case what is to happen between two steps, on every
 * rank, is said before the first and heard after it: no step waits for an answer.
 *
 * Owner: the caller owns the struct, its strings and what it points to. Threads: the device's.
 */
#ifndef TRAINER_STEPS_H
#define TRAINER_STEPS_H

#include "trainer/feed.h"
#include "trainer/group.h"

#define TR_STEPS_ON_LOAN 8U /* most batches of its own that are on loan at a time */

struct tr_steps_events {
    void *cookie;
    /* TR_SAYS_STOP and TR_SAYS_SAVE, as this rank has it: once a step, before it. */
    uint32_t (*says)(void *cookie);
    /* Together: a step is done, and this is what was said before it. */
    int (*between)(void *cookie, const struct tr_heard *heard, struct tr_error *error);
    /* The next batch is about to be asked for: where the channel is now is behind the batch that is
     * given next. Of batches of its own alone; NULL: nothing. */
    int (*fetches)(void *cookie, struct tr_error *error);
};

enum tr_steps_kind {
    TR_STEPS_ALONE, /* no steps of a model: nothing is said, but signs of life */
    TR_STEPS_SHARED,
    TR_STEPS_OWN,
};

struct tr_steps {
    struct tr_group *group;
    enum tr_steps_kind kind;
    struct tr_source inner;
    bool may_be_empty;                 /* that this rank alone has no data is no error */
    struct tr_steps_events events;     /* not of TR_STEPS_ALONE */
    const struct penstock_batch *like; /* own: whose shape a batch without rows has */
    /* How far it is. */
    bool in_pass;                       /* own: something was fetched, and not all are done */
    bool said;                          /* and not heard yet */
    bool stepped;                       /* a batch was given since */
    bool turned;                        /* own: what was ahead has become the batch to give */
    uint32_t share_rows;                /* shared: of the whole batch that was said; 0: none */
    struct tr_heard heard;              /* own: of the batch to give */
    const struct penstock_batch *now;   /* own: to give; NULL: this rank has none */
    const struct penstock_batch *ahead; /* own: the next one; NULL: there is none */
    int ahead_rc;                       /* PENSTOCK_OK, or what there is in place of it */
    uint32_t epoch;
    double beat_at_s;
    double stop_seen_s; /* when it was first known, while data were waited for, that the run ends */
    struct {
        struct penstock_batch batch;
        const struct penstock_batch *inner; /* NULL: none, or not on loan */
    } shown[TR_STEPS_ON_LOAN];
    uint32_t next_shown;
    /* Why next was PENSTOCK_E_STOPPED: */
    bool failed;   /* *error says why */
    bool all_stop; /* a rank has said so */
    struct tr_error error;
};

/* The source that goes along with the other ranks; it lives as long as *steps. It never waits for
 * data for more than a second without a sign of life. */
struct tr_source tr_steps_source(struct tr_steps *steps);

/* Gives back what is ahead: the inner source ends. */
void tr_steps_drop(struct tr_steps *steps);

#endif
