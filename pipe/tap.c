/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tap.c - see tap.h. */
#include "pipe/tap.h"

#include "pipe/engine.h"
#include "pipe/inflater.h"

/* What is known of the end of the object it is at. */
static void see_end(struct ps_channel *ch, struct ps_view *view)
{
    const struct ps_object *object = view->object;
    uint64_t size_bytes = object ? (uint64_t)object->size_bytes : PS_SIZE_UNKNOWN;

    if (object && object->slice)
        size_bytes = ps_object_ring_bytes(object);
    view->object_end_pos =
        ch->inflater || size_bytes == PS_SIZE_UNKNOWN ? UINT64_MAX : view->object_pos + size_bytes;
}

void ps_tap_begin(struct ps_channel *ch, const struct ps_object *object, uint64_t pos,
                  struct ps_view *view)
{
    view->object = object;
    view->object_pos = pos;
    if (ch->inflater)
        view->head_pos = pos; /* what was seen before may be of this object, or of later ones */
    see_end(ch, view);
}

void ps_tap_pass(struct ps_channel *ch)
{
    if (!ch->inflater)
        return;
    ch->inflater->end_first++;
    pthread_cond_signal(&ch->inflater->wakes);
}

enum ps_head_answer ps_tap_look(struct ps_channel *ch, uint64_t pos, struct ps_view *view)
{
    enum ps_head_answer answer;

    if (ch->inflater) {
        answer = ps_inflater_look(ch, view);
    } else {
        answer = ps_stream_look_head(ch, pos);
        view->head_pos = ch->head_pos;
        see_end(ch, view); /* known before head moves into the next object */
    }
    return view->head_pos > pos || view->object_end_pos <= pos ? PS_HEAD_MOVED : answer;
}

enum ps_head_answer ps_tap_wait(struct ps_channel *ch, uint64_t pos, struct ps_view *view)
{
    enum ps_head_answer answer;

    pthread_mutex_lock(&ch->lock);
    ps_tap_hunger(ch, true);
    while ((answer = ps_tap_look(ch, pos, view)) == PS_HEAD_WAIT)
        ps_wait_on(&ch->waits[PS_WAIT_BYTES], &ch->framer_wakes, &ch->lock, NULL);
    ps_tap_hunger(ch, false);
    pthread_mutex_unlock(&ch->lock);
    return answer;
}

void ps_tap_hunger(struct ps_channel *ch, bool hungry)
{
    if (ch->inflater) {
        ch->inflater->hungry = hungry;
        if (hungry) /* it may have waited for more room than there is going to be */
            pthread_cond_signal(&ch->inflater->wakes);
    } else {
        ps_stream_hunger(ch, hungry);
    }
}

const struct penstock_error *ps_tap_error(const struct ps_channel *ch)
{
    return ch->inflater ? &ch->inflater->error : &ch->fetch_error;
}

void ps_tap_release(struct ps_channel *ch, uint64_t pos)
{
    if (ch->inflater) {
        ch->inflater->released_pos = pos;
        pthread_cond_signal(&ch->inflater->wakes);
    } else {
        ch->released_pos = pos;
    }
}

uint64_t ps_tap_skip_epoch(struct ps_channel *ch, struct ps_cursor cursor, uint64_t pos)
{
    return ch->inflater ? ps_inflater_skip_epoch(ch, cursor.epoch, pos)
                        : ps_stream_skip_epoch(ch, cursor, pos);
}
