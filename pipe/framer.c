/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framer.c - see framer.h.
 *
 * The framer walks the plan with a cursor of its own, in step with the I/O threads' but behind it,
 * so that it knows where each object begins and ends in the stream. What is in an object is
 * framer_cut.c's.
 */
#include "pipe/framer.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/framer_cut.h"
#include "pipe/slot_rows.h"
#include "pipe/slots.h"

static void pass_object(struct ps_framer *f)
{
    struct ps_channel *ch = f->ch;

    if (ch->inflater) {
        pthread_mutex_lock(&ch->lock);
        ps_tap_pass(ch);
        pthread_mutex_unlock(&ch->lock);
    }
    /* Counted here, so that the count is right when the epoch's end is told. */
    atomic_fetch_add_explicit(&ch->counts.objects_streamed, 1, memory_order_relaxed);
}

static enum ps_step frame_object(struct ps_framer *f, const struct ps_object *object)
{
    enum ps_step step = PS_STEP_GO_ON;

    ps_tap_begin(f->ch, object, f->pos, &f->view);
    f->cut = (struct fmt_cut){.rows = 0};
    f->limit_bytes = f->ch->chunk_bytes;
    f->object_row = 0;
    f->epoch_objects++;
    f->index = f->cursor.index - 1;
    if (f->pass_rows > 0 &&
        ps_state_enter(f->ch, object, &f->view, &f->object_row, &f->ch->frame_error) != PENSTOCK_OK)
        return PS_STEP_ERROR;
    f->pass_rows -= f->object_row;
    f->position += f->object_row;
    f->lost = f->seeking = object->slice && object->slice->from > 0 &&
                           f->ch->split == PS_SPLIT_BYTES &&
                           ps_view_offset(&f->view, f->pos) == object->slice->from;
    while (step == PS_STEP_GO_ON && f->pos < f->view.object_end_pos)
        step = ps_framer_cut(f);
    if (step == PS_STEP_GO_ON && f->pass_rows > 0 &&
        ps_state_fell_short(f->ch, object, &f->ch->frame_error) != PENSTOCK_OK)
        return PS_STEP_ERROR;
    f->pass_rows = 0;
    if (step == PS_STEP_GO_ON)
        pass_object(f);
    return step;
}

/* Queues a mark, behind all that came before. */
static bool mark(struct ps_framer *f, enum ps_chunk_kind kind, enum ps_event_kind event)
{
    struct ps_chunk chunk = {.kind = kind};

    if (f->ch->staged)
        return ps_framer_push(f, &chunk, 0) == PS_STEP_GO_ON;
    return ps_slots_queue(f->ch, event, event == PS_EVENT_ERROR ? f->slot : NULL);
}

/* The last batch of an epoch goes out, if it is not full. */
static bool end_last(struct ps_framer *f)
{
    struct ps_slot *slot = f->slot;
    const struct ps_channel *ch = f->ch;
    const struct ps_row_share *share = &ch->shaping.share;
    uint32_t rows = ps_row_share_of(share, f->rows);
    uint32_t whole_rows = f->rows;

    f->slot = NULL;
    f->rows = 0;
    f->past_first = false;
    if (!slot)
        return true;
    slot->whole_rows = whole_rows;
    if (ch->shaping.last == PS_LAST_PAD) {
        slot->batch.rows_padded = share->rows - rows;
        ps_slot_pad(slot, rows, slot->batch.rows_padded, ch->shaping.pad_label);
    }
    slot->dropped = ch->shaping.last == PS_LAST_DROP;
    slot->after = ps_framer_anchor(f);
    return ps_slots_queue(f->ch, PS_EVENT_BATCH, slot);
}

/* The epoch is complete: its last, partial batch goes out, then the mark. */
static enum ps_step end_epoch(struct ps_framer *f)
{
    struct ps_channel *ch = f->ch;

    if (ps_channel_is_empty(ch, &ch->frame_error) ||
        (f->pass_rows > 0 && ps_state_fell_short(ch, NULL, &ch->frame_error) != PENSTOCK_OK))
        return PS_STEP_ERROR;
    /* A FIFO of no bytes is the share of a host for which there is no object. */
    if (f->position == 0 && f->epoch_objects > 0 && !ch->split &&
        !(ch->pipe && f->pos == f->view.object_pos)) {
        ps_fail(&ch->frame_error, PENSTOCK_E_EMPTY,
                "channel %s is empty: %llu objects under %s hold no record", ch->name,
                (unsigned long long)f->epoch_objects, ch->sources[0].text);
        return PS_STEP_ERROR;
    }
    if (!end_last(f) || !mark(f, PS_CHUNK_EPOCH_END, PS_EVENT_EPOCH_END))
        return PS_STEP_BROKEN_OFF;
    f->cursor = (struct ps_cursor){.epoch = f->cursor.epoch + 1};
    pthread_mutex_lock(&ch->lock);
    ch->consumed_epoch = f->cursor.epoch;
    pthread_mutex_unlock(&ch->lock);
    ps_engine_wake_io(ch->stream);
    f->position = f->pass_rows = 0;
    f->epoch_objects = 0;
    return PS_STEP_GO_ON;
}

/* Waits until the plan has grown, is complete, or the stream stops. */
static enum ps_step wait_plan(struct ps_framer *f)
{
    struct ps_channel *ch = f->ch;
    const struct ps_object *object;

    pthread_mutex_lock(&ch->lock);
    while (ps_plan_at(ch->plan, &f->cursor, &object) == PS_PLAN_WAIT && !ch->decode_failed &&
           !atomic_load(&ch->stream->stopping))
        ps_wait_on(&ch->waits[PS_WAIT_BYTES], &ch->framer_wakes, &ch->lock, NULL);
    bool broken_off = ch->decode_failed || atomic_load(&ch->stream->stopping);

    pthread_mutex_unlock(&ch->lock);
    return broken_off ? PS_STEP_BROKEN_OFF : PS_STEP_GO_ON;
}

/* What follows an object in its line of a manifest. A line is there as a whole or not at all. */
static const struct ps_object *value_of(const struct ps_framer *f)
{
    const struct ps_object *next;

    if (f->ch->data_type != PS_DATA_AUGMENTED || f->ch->attribute_count < 2 ||
        ps_plan_at(f->ch->plan, &f->cursor, &next) != PS_PLAN_OBJECT)
        return NULL;
    return next->state == PS_OBJECT_VALUE ? next : NULL;
}

/* One object, or one mark between objects. *last: the stream ends here. */
static enum ps_step frame_next(struct ps_framer *f, bool *last)
{
    const struct ps_object *object;
    struct ps_channel *ch = f->ch;

    switch (ps_plan_at(ch->plan, &f->cursor, &object)) {
    case PS_PLAN_OBJECT:
        f->cursor.index++;
        if (object->state == PS_OBJECT_LEFT_OUT || object->state == PS_OBJECT_VALUE)
            return PS_STEP_GO_ON;
        f->value = value_of(f);
        return frame_object(f, object);
    case PS_PLAN_WAIT:
        return wait_plan(f);
    case PS_PLAN_EPOCH_END:
        return end_epoch(f);
    case PS_PLAN_FAILED:
        ch->frame_error = *ps_plan_error(ch->plan);
        return PS_STEP_ERROR;
    case PS_PLAN_END:
        break;
    }
    *last = true;
    mark(f, PS_CHUNK_END, PS_EVENT_END);
    return PS_STEP_GO_ON;
}

void *ps_framer_main(void *channel)
{
    struct ps_channel *ch = channel;
    const struct ps_anchor *begin = &ch->state->begin;
    struct ps_framer f = {.ch = ch,
                          .cursor = ps_state_begin(ch),
                          .index = begin->index,
                          .position = begin->position - begin->object_row,
                          .pass_rows = begin->object_row};
    enum ps_step step = PS_STEP_GO_ON;
    bool last = false;

    if (ps_state_check_data(ch, &ch->frame_error) != PENSTOCK_OK)
        step = PS_STEP_ERROR;

    while (step == PS_STEP_GO_ON && !last)
        step = frame_next(&f, &last);
    /* Broken off by a bad record: the batch that holds it, or this event, tells which. */
    if (step != PS_STEP_GO_ON)
        mark(&f, PS_CHUNK_ERROR, PS_EVENT_ERROR);
    return NULL;
}
